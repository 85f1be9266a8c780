//! What a request has used so far, for whoever looks before its end.
//!
//! Knows the counts of the replies that are over and of the one that speaks. Refuses to know who looks, and when. Invariant: what is
//! read is never more than what is counted in the end, but for what was estimated.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ghostllm_core::chat::Usage;

/// The counts of one request so far. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Meter(Arc<Mutex<Metered>>);

#[derive(Debug, Default)]
struct Metered {
    /// Of all that is over.
    before: Option<Usage>,
    /// Of the reply that is gathered now.
    now: Option<Usage>,
    /// What it has used at the least, if its engine was asked: its prompt.
    asked: Option<Usage>,
}

impl Meter {
    /// So much in all.
    pub(crate) fn comes_to(&self, usage: Usage) {
        let mut metered = self.metered();
        (metered.before, metered.now) = (Some(usage), None);
    }

    /// So much in the reply that is gathered now.
    pub(super) fn gathers(&self, usage: Usage) {
        self.metered().now = Some(usage);
    }

    /// An answer comes in one piece, and nothing is known of it until it is there.
    pub(super) fn waits(&self, prompt_bytes: u64) {
        self.metered().asked = Some(Usage::estimated(prompt_bytes, 0));
    }

    /// What is known; nothing before the first word.
    pub(crate) fn read(&self) -> Option<Usage> {
        let metered = self.metered();
        match (metered.before, metered.now) {
            (Some(before), Some(now)) => Some(before.and_choice(now)),
            (before, now) => before.or(now),
        }
    }

    /// The same of a request whose engine was asked and is not waited for any more.
    pub(crate) fn left(&self) -> Option<Usage> {
        self.read().or_else(|| self.metered().asked)
    }

    fn metered(&self) -> MutexGuard<'_, Metered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_and_what_is_gathered_make_the_whole() {
        let meter = Meter::default();
        assert_eq!([meter.read(), meter.left()], [None; 2]);
        meter.waits(400);
        assert_eq!((meter.read(), meter.left()), (None, Some(Usage::estimated(400, 0))));
        meter.gathers(Usage::estimated(400, 3));
        assert_eq!(meter.clone().left(), Some(Usage::estimated(400, 3)));
        meter.comes_to(Usage::counted(100, 5));
        assert_eq!(meter.read(), Some(Usage::counted(100, 5)));
        meter.gathers(Usage::estimated(400, 2));
        assert_eq!(meter.read(), Some(Usage { estimated: true, ..Usage::counted(100, 7) }));
    }
}
