//! What if the assumptions are wrong.
//!
//! Knows each number of the cards that nobody has published and that the figures might hang on, and what else it may be. Refuses to know the
//! policy. Invariant: each is varied by itself, with everything else as it stands.

use ghostllm_core::heat::Policy;

use super::{
    Pair, Regime, Trial, Verdict, judge,
    regimes::{OUTAGE, trials_of},
};
use crate::sim::Card;

/// One assumption as it might be.
#[derive(Debug, Clone)]
pub struct Varied {
    /// What is varied, and to what.
    pub what: &'static str,
    /// Of the soft regime and of the hard one: the promises that are kept, of how many, and the least and the most that is gained.
    pub seen: [(usize, usize, f64, f64); 2],
}

/// Each assumption, and what it is changed to.
const CHANGES: [(&str, fn(&mut Card)); 9] = [
    ("as they stand", |_| {}),
    ("the hardware lets go 1 °C below, not 3", |card| card.limits.hysteresis = 1.0),
    ("and 6 °C below", |card| card.limits.hysteresis = 6.0),
    ("it leaves half of the clocks, not 40 %", |card| card.limits.left = 0.5),
    ("and 30 %", |card| card.limits.left = 0.3),
    ("one request alone draws much less (40 % of the core's power)", |card| card.power.active_alone = 0.4),
    ("and nearly as much as many (90 %)", |card| card.power.active_alone = 0.9),
    ("twice the sink", |card| card.thermal.sink *= 2.0),
    ("half of it", |card| card.thermal.sink *= 0.5),
];

/// And how long a box is gone whose card has switched itself off, in seconds.
const OUTAGES: [(&str, f64); 2] = [
    ("a box whose card went off is back after two minutes, not ten", 120.0),
    ("and after half an hour", 1800.0),
];

/// Runs all of them.
#[must_use]
pub fn assumed(policy: Policy, seconds: f64) -> Vec<Varied> {
    let of = |what, change: fn(&mut Card), outage| Varied {
        what,
        seen: [Regime::Soft, Regime::Hard].map(|regime| {
            let trials = trials_of(change).into_iter().filter(|trial| trial.regime == regime);
            seen(trials.map(|trial| Trial { outage, ..trial }), policy, seconds)
        }),
    };
    let cards = CHANGES.into_iter().map(|(what, change)| of(what, change, OUTAGE));
    cards.chain(OUTAGES.into_iter().map(|(what, outage)| of(what, |_| {}, outage))).collect()
}

fn seen(trials: impl Iterator<Item = Trial>, policy: Policy, seconds: f64) -> (usize, usize, f64, f64) {
    let mut seen = (0, 0, f64::INFINITY, f64::NEG_INFINITY);
    for trial in trials {
        let pair = Pair::of(&trial, policy, 1, seconds);
        for promise in judge(trial.regime, &pair) {
            seen.0 += usize::from(promise.verdict == Verdict::Kept);
            seen.1 += 1;
        }
        seen.2 = seen.2.min(pair.gain());
        seen.3 = seen.3.max(pair.gain());
    }
    seen
}
