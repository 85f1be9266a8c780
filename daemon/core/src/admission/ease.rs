//! How what may run rises again after heat has lowered it.
//!
//! Knows what is lowered and since when, and how many wait. Refuses to know why, and the requests themselves. Invariants: what is lowered
//! is so at once; behind it a limit stays that rises by no more in a second than the governor's own, until nobody of its class waits and
//! nothing is in the way any more, or all of the class may run. Without that the whole queue would begin at once, on a card that has only
//! just cooled.

use std::time::Duration;

use super::Orders;
use crate::heat::{ByClass, Cause, Decision, STEP_MOST};

#[cfg(test)]
mod tests;

/// Seconds from none of a class to all of it, as the governor's own limits rise: half of [`Policy::recovery`](crate::heat::Policy), since
/// each half of its share is one class's.
const RISE: f32 = 30.0;

/// What was lowered, and how far it has risen since.
#[derive(Debug, Clone, Default)]
pub struct Ease {
    /// When it was asked last.
    last: Option<Duration>,
    /// The limits that heat has left; none where there is none.
    kept: ByClass<Option<f32>>,
    /// The last decision's.
    most: ByClass<u32>,
}

impl Ease {
    /// What is to be obeyed: what is set, what is decided because of the cards' heat, if anything is, and what that has left. To be asked once a
    /// second, and with every decision.
    #[must_use]
    pub fn orders(
        &mut self,
        now: Duration,
        set: Orders,
        decision: Option<&Decision>,
        waiting: ByClass<u32>,
    ) -> Orders {
        let passed = self.last.map_or(Duration::ZERO, |last| now.saturating_sub(last)).min(STEP_MOST);
        self.last = Some(now);
        self.most = decision.map_or(self.most, |decision| decision.most);
        let is_free = decision.is_none_or(|decision| decision.cause == Cause::Free);
        let lowered = decision.map(Decision::lowered).unwrap_or_default();
        let is_all = self.kept.with(self.most, |kept, most| kept.is_some_and(|kept| kept >= real(most)));
        let over = waiting.with(is_all, |waiting, is_all| waiting == 0 && (is_free || is_all));
        let mut rise = self.most.with(self.most, |most, _| passed.as_secs_f32() * a_second(most));
        if waiting.interactive > 0 {
            // Those that have time begin behind them: what their limit had risen by then would begin at once.
            rise.background = 0.0;
        }
        let step = over.with(rise, |over, rise| (over, rise));
        self.kept = lowered.with(self.kept.with(step, |kept, step| (kept, step)), next);
        let stricter = |set: Option<u32>, kept: Option<f32>| set.into_iter().chain(kept.map(whole)).min();
        let gate = decision.map_or(set.gate, |decision| decision.gate);
        let is_none = |kept: Option<f32>| kept.is_some_and(|kept| whole(kept) == 0);
        let hot = set.limits.with(self.kept, |set, kept| set != Some(0) && is_none(kept));
        Orders { limits: set.limits.with(self.kept, stricter), gate, hot, ..set }
    }
}

/// The limit of one class from now on, by what is decided, what was kept, whether that is over, and by how much it may rise.
fn next(lowered: Option<u32>, (kept, (is_over, rise)): (Option<f32>, (bool, f32))) -> Option<f32> {
    match (lowered, kept) {
        // The governor's own may have risen while none of the class could begin.
        (Some(limit), Some(kept)) => Some(real(limit).min(kept + rise)),
        (Some(limit), None) => Some(real(limit)),
        (None, Some(kept)) if !is_over => Some(kept + rise),
        (None, _) => None,
    }
}

/// By how many a limit may rise in a second, of which there are so many in all.
fn a_second(most: u32) -> f32 {
    (real(most) / RISE).max(1.0)
}

#[expect(clippy::cast_precision_loss, reason = "a count of requests; 16 million of them are exact")]
fn real(count: u32) -> f32 {
    count as f32
}

/// Rounded down.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "none is below 0, and it saturates"
)]
fn whole(limit: f32) -> u32 {
    limit as u32
}
