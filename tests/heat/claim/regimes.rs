//! The three regimes, each card in each.
//!
//! Knows by which rule a case is made that brings a card into a regime. Refuses to know the figures. Invariant: the rules are the same for
//! all cards; what was measured stands beside them as it was measured.

use ghostllm_core::heat::ByClass;

use super::{Arrivals, MOST, Run};
use crate::sim::{CARDS, Card, Case};

/// What happens to a card under a full load, if nothing is done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Regime {
    /// Its driver holds its temperature: clocks go down step by step.
    Soft,
    /// Its hardware halves its clocks, and where that is not enough it switches itself off.
    Hard,
    /// It stays cool enough.
    None,
}

/// One card in one case under one kind of load.
#[derive(Debug, Clone, Copy)]
pub struct Trial {
    /// The regime.
    pub regime: Regime,
    /// The card.
    pub card: Card,
    /// The case.
    pub case: Case,
    /// The case in words.
    pub place: &'static str,
    /// How requests come.
    pub arrivals: Arrivals,
    /// Seconds until a card that has switched itself off is back.
    pub outage: f64,
    /// How many may run at once.
    pub most: ByClass<u32>,
}

/// °C above its shutdown at which one would come to rest whose fan fails, at the lowest clocks that its driver and hardware go down to:
/// they cannot hold it, while one with nothing to do stays well below.
const FAILED_ABOVE: f64 = 5.0;
/// °C below where it gets slower at which a power limit would hold it.
const CAPPED_BELOW: f64 = 2.0;
/// When the fan fails and when it is mended, in seconds: twenty minutes of an hour.
const FAILS: (f64, f64) = (600.0, 1800.0);

impl Regime {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Soft, Self::Hard, Self::None];

    /// What it is called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Soft => "Soft slowdown",
            Self::Hard => "Hardware slowdown and shutdown",
            Self::None => "No heat problem",
        }
    }
}

impl Trial {
    /// °C above the driver's limit at which a card of the soft regime would come to rest: 6, at which #178's RTX 3090 loses the fifth of
    /// its clocks that was measured.
    pub const TOO_WARM: f64 = 6.0;
    /// °C below where it gets slower at which one comes to rest that has no heat problem: near enough to be warm.
    pub const COOL_BELOW: f64 = 10.0;

    /// Its card held below where it gets slower by a power limit, which takes root; none where a limit is no answer to what happens.
    #[must_use]
    pub fn capped(&self) -> Option<Self> {
        let cools = self.case.failure.is_none() && self.regime != Regime::None;
        let watts = self.case.limit_for(&self.card, self.card.limits.slower() - CAPPED_BELOW);
        let mut card = self.card;
        card.power.limit = watts;
        cools.then_some(Self { card, ..*self })
    }

    /// A run of it.
    #[must_use]
    pub fn run(&self, seed: u64, seconds: f64) -> Run {
        let Self { card, case, arrivals, outage, most, .. } = *self;
        Run { card, case, arrivals, seed, seconds, most, policy: None, outage }
    }
}

/// Seconds until a box whose card has switched itself off serves again: somebody sees it, restarts the machine, the model is loaded.
/// Assumed.
pub(super) const OUTAGE: f64 = 600.0;

fn cool(card: &Card) -> Case {
    Case::ending_at(card, card.limits.slower() - Trial::COOL_BELOW)
}

/// The case of a card whose fan fails.
fn failing(card: &Card) -> Case {
    cool(card).failing(card, FAILS.0, FAILS.1, card.limits.shutdown + FAILED_ABOVE)
}

fn cases(change: fn(&mut Card)) -> Vec<(Regime, Card, Case, &'static str)> {
    let changed = |mut card: Card| {
        change(&mut card);
        card
    };
    let [a4000, rest @ ..] = CARDS.map(changed);
    let mut cases = Vec::new();
    for card in rest {
        let soft = card.limits.slower() + Trial::TOO_WARM;
        cases.push((Regime::Soft, card, Case::ending_at(&card, soft), "6 °C too warm"));
    }
    cases.push((Regime::Hard, a4000, Case::measured(&a4000), "as measured"));
    for card in CARDS.map(changed) {
        cases.push((Regime::Hard, card, failing(&card), "fan fails for 20 minutes"));
    }
    for card in CARDS.map(changed) {
        cases.push((Regime::None, card, cool(&card), "10 °C below"));
    }
    cases
}

/// All that are run, of cards that are changed so.
#[must_use]
pub fn trials_of(change: fn(&mut Card)) -> Vec<Trial> {
    let both = |(regime, card, case, place)| {
        [Arrivals::Steady, Arrivals::Bursts].map(|arrivals| Trial {
            regime,
            card,
            case,
            place,
            arrivals,
            outage: OUTAGE,
            most: MOST,
        })
    };
    cases(change).into_iter().flat_map(both).collect()
}

/// All that are run.
#[must_use]
pub fn trials() -> Vec<Trial> {
    trials_of(|_| {})
}
