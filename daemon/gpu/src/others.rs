//! The cards that the kernel's files tell of, asked once.
//!
//! Knows where they are looked for. Refuses to know NVIDIA's. Invariant: a card that does not answer stays in the list, lost.

use std::{path::Path, time::Duration};

use ghostllm_readings::Sample;

use crate::{
    sampler::Ask,
    sysfs::{FileCard, Processor, cards},
    who::Identity,
};

/// One of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Other {
    /// Its place on the bus, `0000:03:00.0`; empty for the processor, which has none.
    pub bus: String,
    /// Which one it is; none where it does not answer.
    pub identity: Option<Identity>,
    /// What it says.
    pub sample: Sample,
}

/// Cards of AMD and of Intel in the order of their places on the bus; `root` is where the kernel's files are, `/sys`.
///
/// It reads files, of which one may hang with its driver: call it from a thread that may wait.
#[must_use]
pub fn others(root: &Path) -> Vec<Other> {
    let mut places = cards(root);
    places.sort();
    // One that has several nodes is there several times.
    places.dedup();
    places.into_iter().map(|bus| asked(FileCard::new(root, &bus), bus)).collect()
}

/// The machine's processor, where the kernel tells how warm it is.
#[must_use]
pub fn processor(root: &Path) -> Option<Other> {
    Processor::find(root).map(|found| asked(found, String::new()))
}

fn asked(mut card: impl Ask, bus: String) -> Other {
    // The sample first: it is what finds a card.
    let sample = card.sample(Duration::ZERO, true);
    Other { bus, identity: card.identity().ok(), sample }
}
