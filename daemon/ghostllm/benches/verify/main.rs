//! What it costs to find out who a key belongs to, among 10,000 keys, and whether the time tells anything of the secret.
//!
//! Knows the keys room's door alone. Costs are beside what cannot be saved: the SHA-256 of as many bytes, and the same among
//! one key. Whether the time tells anything is dudect's question (Reparaz, Balasch and Verbauwhede, 2017), asked by `leak`.
//! Invariant: nothing is measured alone; what is compared takes turns, in the same run, on the same buffers.
#![expect(
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a bench: figures are printed, and a panic is a failed bench"
)]

mod box_of_keys;
mod leak;

use std::{hint::black_box, time::Instant};

use anyhow::{Result, ensure};
use aws_lc_rs::digest::{SHA256, digest};
use box_of_keys::{BoxOfKeys, Draw};

/// What a key may cost, as its median (issue 6).
const PROMISED_NS: u64 = 5_000;
/// Keys of the box that is asked.
const KEYS: usize = 10_000;
/// Samples of each kind.
const SAMPLES: usize = 100_000;

/// What is presented, or done instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Nothing: what looking at the clock costs, which is in every other figure.
    Clock,
    Sha256,
    Right,
    WrongSecret,
    UnknownId,
    WrongChecksum,
    Foreign,
}

const KINDS: [(Kind, &str); 7] = [
    (Kind::Clock, "nothing, the clock alone"),
    (Kind::Sha256, "SHA-256 of 62 bytes alone"),
    (Kind::Right, "a right key"),
    (Kind::WrongSecret, "a right id, a wrong secret"),
    (Kind::UnknownId, "an unknown id"),
    (Kind::WrongChecksum, "a wrong checksum"),
    (Kind::Foreign, "another product's key"),
];

fn presented(keys: &BoxOfKeys, kind: Kind, at: usize) -> &str {
    match kind {
        Kind::Clock | Kind::Sha256 | Kind::Right => &keys.right[at],
        Kind::WrongSecret => &keys.wrong[at],
        Kind::UnknownId => &keys.unknown[at],
        Kind::WrongChecksum => &keys.mistyped[at],
        Kind::Foreign => "sk-proj-00000000000000000000000000000000000000000000000000000000000",
    }
}

/// Nanoseconds of each kind, in order of size.
fn costs(keys: &BoxOfKeys, draw: &mut Draw) -> Vec<Vec<u64>> {
    let mut samples = vec![Vec::with_capacity(SAMPLES); KINDS.len()];
    let mut buffer = String::with_capacity(128);
    for _ in 0..SAMPLES {
        for ((kind, _), samples) in KINDS.iter().zip(&mut samples) {
            buffer.clear();
            buffer.push_str(presented(keys, *kind, draw.below(keys.right.len())));
            let text = black_box(buffer.as_str());
            let begun = Instant::now();
            match kind {
                Kind::Clock => {}
                Kind::Sha256 => drop(black_box(digest(&SHA256, text.as_bytes()))),
                _ => drop(black_box(keys.keys.verify(text))),
            }
            samples.push(begun.elapsed().as_nanos() as u64);
        }
    }
    samples.iter_mut().for_each(|samples| samples.sort_unstable());
    samples
}

fn main() -> Result<()> {
    let mut draw = Draw::new();
    let (one, many) = (BoxOfKeys::new(1, &mut draw)?, BoxOfKeys::new(KEYS, &mut draw)?);
    for kind in KINDS.iter().filter(|(kind, _)| !matches!(kind, Kind::Clock | Kind::Sha256)) {
        let known = many.opens(presented(&many, kind.0, 7));
        ensure!(known == (kind.0 == Kind::Right), "{}: {known}", kind.1);
    }
    let (of_one, of_many) = (costs(&one, &mut draw), costs(&many, &mut draw));
    println!("ns, of {SAMPLES}                    median among {KEYS} keys   p99   median among 1   p99");
    let mut worst = 0;
    for (((kind, words), one), many) in KINDS.iter().zip(&of_one).zip(&of_many) {
        let at = |samples: &[u64], hundredth: usize| samples[samples.len() * hundredth / 100];
        println!(
            "{words:28} {:>26} {:>6} {:>16} {:>5}",
            at(many, 50),
            at(many, 99),
            at(one, 50),
            at(one, 99)
        );
        if !matches!(kind, Kind::Clock | Kind::Sha256) {
            worst = worst.max(at(many, 50));
        }
    }
    println!("the dearest median is {worst} ns; promised are {PROMISED_NS}");
    ensure!(worst <= PROMISED_NS, "more than is promised");
    leak::look(&many, &mut draw)
}
