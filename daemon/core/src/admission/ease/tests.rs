use std::time::Duration;

use proptest::prelude::*;

use super::{super::*, Ease, a_second};
use crate::heat::{
    ByClass, Cause, Decision, Gate, Governor, Margins, Moment, Outlook, Policy, Prediction, Reason, State,
    Throttles, Verdict,
};

const NOBODY: ByClass<u32> = ByClass { interactive: 0, background: 0 };

fn both(interactive: u32, background: u32) -> ByClass<u32> {
    ByClass { interactive, background }
}

fn set(interactive: Option<u32>, background: Option<u32>) -> Orders {
    Orders {
        limits: ByClass { interactive, background },
        gate: Gate::Open,
        queue: 4096,
        hot: ByClass::default(),
    }
}

fn decision(limits: ByClass<u32>, most: ByClass<u32>, gate: Gate, cause: Cause) -> Decision {
    let (margins, slower) = (Margins::default(), Outlook::Unknown);
    Decision { limits, most, gate, cause, margins, slower, running: 0 }
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_decision_limits_what_it_lowers_and_nothing_else() {
    let most = both(8, 4);
    let obeyed =
        |set: Orders, decision: &Decision| Ease::default().orders(at(1), set, Some(decision), NOBODY);
    let (limited, none) = (set(Some(6), None), set(None, None));
    let free = decision(most, most, Gate::Open, Cause::Free);
    assert_eq!((obeyed(none, &free), obeyed(limited, &free)), (none, limited));
    let warm = decision(both(8, 1), most, Gate::Open, Cause::Margin);
    assert_eq!(obeyed(none, &warm), set(None, Some(1)));
    assert_eq!(obeyed(limited, &warm), set(Some(6), Some(1)));
    let hot = decision(both(7, 0), most, Gate::Hold, Cause::Shutdown);
    let by_heat = ByClass { interactive: false, background: true };
    assert_eq!(obeyed(none, &hot), Orders { gate: Gate::Hold, hot: by_heat, ..set(Some(7), Some(0)) });
    assert_eq!(obeyed(set(None, Some(0)), &hot).hot, ByClass::default(), "somebody has set it so");
    assert_eq!(obeyed(limited, &hot).limits, set(Some(6), Some(0)).limits);
    assert_eq!(Ease::default().orders(at(1), limited, None, NOBODY), limited, "no card decides anything");
}

#[test]
fn what_was_lowered_stays_a_limit_until_all_that_waits_has_begun() {
    let (mut ease, most, none) = (Ease::default(), both(4, 2), set(None, None));
    let mut obey =
        |now, decision: &Decision, waiting| ease.orders(at(now), none, Some(decision), waiting).limits;
    let limits = |interactive, background| ByClass { interactive, background };
    let forty = both(40, 0);
    let rising = |interactive| decision(both(interactive, 0), most, Gate::Open, Cause::Recovering);
    assert_eq!(obey(1, &rising(3), forty), limits(Some(3), Some(0)));
    // The governor has no more to say of them.
    assert_eq!(obey(2, &rising(4), forty), limits(Some(4), Some(0)));
    assert_eq!(obey(3, &rising(4), forty), limits(Some(5), Some(0)));
    assert_eq!(obey(4, &rising(4), NOBODY), limits(None, Some(0)), "nobody waits, and all of them may run");
    assert_eq!(obey(5, &rising(3), forty), limits(Some(3), Some(0)));
    assert_eq!(obey(6, &rising(4), forty), limits(Some(4), Some(0)));
    let free = decision(most, most, Gate::Open, Cause::Free);
    assert_eq!(obey(7, &free, forty), limits(Some(5), None), "it is cool, and many wait");
    assert_eq!(obey(8, &free, NOBODY), limits(None, None));
    assert_eq!(obey(9, &rising(2), NOBODY), limits(Some(2), Some(0)), "what is lowered is so at once");
    assert_eq!(
        ease.orders(at(10), none, None, forty).limits,
        limits(Some(3), None),
        "a card that is gone frees nobody"
    );
}

/// A card this far from where its hardware slows it down, and from its end.
fn verdict(margin: f32) -> Verdict {
    let margins = Margins { slower: Some(margin), slowdown: Some(margin), shutdown: Some(margin + 5.0) };
    let (state, throttles) = if margin <= 0.0 {
        (State::ThrottledByHeat, Throttles::default().with(Reason::HardHeat))
    } else {
        (State::Cool, Throttles::default())
    };
    let (since, age) = (Duration::ZERO, Some(Duration::ZERO));
    Verdict { state, now: state, since, age, margins, throttles: Some(throttles) }
}

/// A box with a hot card in front of which so many wait, and that has measured so many at once.
struct House {
    governor: Governor,
    ease: Ease,
    gate: Admission,
    most: ByClass<u32>,
    now: Duration,
}

impl House {
    fn new(most: ByClass<u32>, waiting: ByClass<u32>) -> Self {
        let mut gate = Admission::new(Orders { gate: Gate::Hold, ..set(None, None) });
        for class in Class::ALL {
            for _ in 0..*waiting.of(class) {
                assert!(matches!(gate.enter(Whose(0), class, Duration::ZERO), Ok(Entered::Waits(_))));
            }
        }
        let governor = Governor::new(Policy::new(most));
        Self { governor, ease: Ease::default(), gate, most, now: Duration::ZERO }
    }

    fn step(&mut self, passed: Duration, margin: f32) -> (Duration, Counts) {
        self.now += passed;
        let Counts { running, waiting } = self.gate.counts();
        let prediction = Prediction { slower: Outlook::Never, cooled: Outlook::Unknown };
        let verdict = verdict(margin);
        let moment = Moment { now: self.now, verdict: &verdict, prediction, running, queued: waiting };
        let decision = self.governor.decide(&moment);
        let orders = self.ease.orders(self.now, set(None, None), Some(&decision), waiting);
        self.gate.obey(orders);
        while self.gate.begin(self.now).is_some() {}
        (self.now, self.gate.counts())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// None of those that begin ends, so that what runs is what was allowed to.
    #[test]
    fn what_may_run_never_rises_by_more_than_so_many_a_second_while_a_card_recovers(
        interactive in 1_u32..60,
        background in 0_u32..60,
        waits_interactive in 0_u32..150,
        waits_background in 0_u32..150,
        hot_for in 1_u64..60,
        cool in 8.0_f32..40.0,
        steps in prop::collection::vec(200_u64..1200, 16),
    ) {
        let (most, waiting) = (both(interactive, background), both(waits_interactive, waits_background));
        let mut house = House::new(most, waiting);
        let mut seen: Vec<(Duration, Counts)> = Vec::new();
        for turn in 0..2000 {
            let passed = Duration::from_millis(steps[turn % steps.len()]);
            let margin = if house.now < at(hot_for) { -3.0 } else { cool };
            let (now, counts) = house.step(passed, margin);
            for (then, before) in seen.iter().rev().take(40) {
                for class in Class::ALL {
                    let (ran, runs) = (*before.running.of(class), *counts.running.of(class));
                    // A place of the governor's whole numbers, and the one that it opens for.
                    let bound = a_second(*house.most.of(class)) * (now - *then).as_secs_f32() + 2.0;
                    prop_assert!(
                        f64::from(runs) <= f64::from(ran) + f64::from(bound),
                        "{class:?}: {ran} at {then:?}, {runs} at {now:?}"
                    );
                }
            }
            seen.push((now, counts));
        }
        // And in the end there is neither who waits nor a limit.
        prop_assert_eq!(house.gate.counts().waiting, NOBODY);
        prop_assert_eq!(house.gate.orders().limits, set(None, None).limits);
    }
}
