//! What was promised, what was seen, and whether it holds.
//!
//! Knows the claim's sentences and their bounds. Refuses to know how the figures came about. Invariant: a bound is the issue's; none is
//! moved to fit a figure.

use ghostllm_core::heat::Policy;

use super::{Regime, Run, Tally, Trial, run};

/// The same hours without the governor and with it.
#[derive(Debug, Clone, Default)]
pub struct Pair {
    /// Without.
    pub without: Tally,
    /// With.
    pub with: Tally,
}

/// One sentence of the claim.
#[derive(Debug, Clone)]
pub struct Promise {
    /// What it is about, with its bound.
    pub promised: &'static str,
    /// What was seen.
    pub seen: String,
    /// Whether it holds.
    pub verdict: Verdict,
}

/// Whether a promise holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It does.
    Kept,
    /// It does not.
    Broken,
}

/// The most of its tokens that a governed box loses under soft heat, and where there is no heat.
const SOFT_LOSS: f64 = 0.02;
const COOL_LOSS: f64 = 0.01;

impl Pair {
    /// Runs it over so many seeds, so many seconds each.
    #[must_use]
    pub fn of(trial: &Trial, policy: Policy, seeds: u64, seconds: f64) -> Self {
        let over = |policy: Option<Policy>| over(trial, policy, seeds, seconds);
        Self { without: over(None), with: over(Some(policy)) }
    }

    /// The same, and in the place of the governor a power limit ([`Trial::capped`]).
    #[must_use]
    pub fn with_cap(&self, capped: &Trial, seeds: u64, seconds: f64) -> Self {
        Self { without: self.without.clone(), with: over(capped, None, seeds, seconds) }
    }

    /// How many more tokens are finished with it, as a part of those without.
    #[must_use]
    pub fn gain(&self) -> f64 {
        self.with.an_hour() / self.without.an_hour().max(1.0) - 1.0
    }
}

fn over(trial: &Trial, policy: Option<Policy>, seeds: u64, seconds: f64) -> Tally {
    (1..=seeds)
        .map(|seed| run(&Run { policy, ..trial.run(seed, seconds) }))
        .fold(Tally::default(), |all, one| all.and(&one))
}

fn verdict(holds: bool) -> Verdict {
    if holds { Verdict::Kept } else { Verdict::Broken }
}

/// A number of seconds, or `never`.
pub(super) fn seconds(value: f64) -> String {
    if value.is_finite() { format!("{value:.1} s") } else { "never".to_owned() }
}

/// What the claim says of this regime.
#[must_use]
pub fn judge(regime: Regime, pair: &Pair) -> Vec<Promise> {
    let (without, with, gain) = (&pair.without, &pair.with, pair.gain());
    let tokens = |promised, holds| Promise {
        promised,
        seen: format!("{:+.1} %", 100.0 * gain),
        verdict: verdict(holds),
    };
    match regime {
        Regime::Soft => vec![
            tokens("at most 2 % fewer tokens an hour", gain >= -SOFT_LOSS),
            Promise {
                promised: "a lower p99",
                seen: format!("{} → {}", seconds(without.last()), seconds(with.last())),
                verdict: verdict(with.last() < without.last()),
            },
        ],
        Regime::Hard => vec![
            tokens("more tokens finished", gain > 0.0),
            Promise {
                promised: "no shutdown",
                seen: format!("{} → {}", without.shutdowns, with.shutdowns),
                verdict: verdict(with.shutdowns == 0),
            },
        ],
        Regime::None => vec![tokens("at most 1 % fewer tokens an hour", gain >= -COOL_LOSS)],
    }
}
