//! What each card has been through, for whoever asks.
//!
//! Knows the rings of the core. Invariant: a card is kept by its name, so that one that comes back goes on where it was; those of cards that
//! are gone are kept as long as there is room for them.

use std::sync::Arc;

use ghostllm_core::heat::{History, Minute, Point};
use ghostllm_gpu::{Identity, Seen};

/// More cards than a machine has: what is kept of one takes some 370 kB.
const CARDS: usize = 32;

/// What one card has been through.
#[derive(Debug)]
pub(crate) struct Kept {
    index: u32,
    identity: Option<Arc<Identity>>,
    history: Box<History>,
}

impl Kept {
    /// The one of this card, which is made where there is none.
    pub(super) fn of<'a>(all: &'a mut Vec<Self>, seen: &Seen) -> Option<&'a mut Self> {
        if !all.iter().any(|kept| kept.is_of(seen)) {
            if all.len() >= CARDS {
                all.remove(0);
            }
            all.push(Self { index: seen.index, identity: None, history: History::boxed() });
        }
        let kept = all.iter_mut().find(|kept| kept.is_of(seen))?;
        kept.index = seen.index;
        if seen.identity.is_some() {
            kept.identity.clone_from(&seen.identity);
        }
        Some(kept)
    }

    /// Before a card has told its name, it is taken for the one of its number.
    fn is_of(&self, seen: &Seen) -> bool {
        match (&self.identity, &seen.identity) {
            (Some(own), Some(other)) => own.uuid == other.uuid,
            (None, _) | (_, None) => self.index == seen.index,
        }
    }

    pub(super) fn push(&mut self, point: Point) {
        self.history.push(point);
    }

    /// The card's number, as it was last.
    pub(crate) fn index(&self) -> u32 {
        self.index
    }

    /// The readings one by one, the oldest first.
    pub(crate) fn fine(&self) -> impl Iterator<Item = &Point> {
        self.history.fine()
    }

    /// The minutes, the oldest first.
    pub(crate) fn minutes(&self) -> impl Iterator<Item = &Minute> {
        self.history.minutes()
    }
}
