//! One card's thread.
//!
//! Knows the round: ask, put down, wait. Refuses to know how a card is asked. Invariant: no lock is held while a card is asked.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::{Ask, Shared, Slot, pace::Pace};

/// Asks this card until the sampler or its driver's session ends.
pub(crate) fn watch(shared: &Shared, slot: &Slot, card: &mut dyn Ask) {
    let mut pace = Pace::default();
    let mut known = false;
    loop {
        let began = shared.now();
        slot.begin(began);
        let sample = card.sample(began, pace.whole(&shared.options, began));
        // A card that is lost is not asked twice in a round.
        if !known
            && !sample.is_lost()
            && let Ok(identity) = card.identity()
        {
            slot.is(Arc::new(identity));
            known = true;
        }
        if card.is_over() {
            slot.over.store(true, Ordering::Relaxed);
        }
        slot.end(sample, card.who());
        shared.tell();
        let ended = shared.now();
        let gap = pace.until_next(&shared.options, ended, &sample);
        if shared.wait_of(slot, rest(gap, ended.saturating_sub(began))) {
            return;
        }
    }
}

/// What is left of the time to the next question; a tenth of it at least, so that a slow driver is not asked without end.
fn rest(gap: Duration, took: Duration) -> Duration {
    gap.saturating_sub(took).max(gap / 10)
}
