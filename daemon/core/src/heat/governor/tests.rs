use std::time::Duration;

use super::{ByClass, Cause, Decision, Gate, Governor, Moment, Policy};
use crate::heat::{Margins, Outlook, Prediction, Reason, Span, State, Throttles, Verdict};

mod properties;

const MOST: ByClass<u32> = ByClass { interactive: 8, background: 8 };

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A card whose hardware slows it down first, and that switches itself off 5 °C above.
fn verdict(margin: f32) -> Verdict {
    let margins = Margins { slower: Some(margin), slowdown: Some(margin), shutdown: Some(margin + 5.0) };
    let state = if margin <= 10.0 { State::Warm } else { State::Cool };
    let age = Some(Duration::ZERO);
    Verdict { state, now: state, since: Duration::ZERO, age, margins, throttles: Some(Throttles::default()) }
}

fn hot(margin: f32, reason: Reason) -> Verdict {
    let now = State::ThrottledByHeat;
    Verdict { state: now, now, throttles: Some(Throttles::default().with(reason)), ..verdict(margin) }
}

fn blind(state: State) -> Verdict {
    Verdict { state, now: state, ..verdict(3.0) }
}

fn soon(seconds: f32) -> Outlook {
    Outlook::In(Span { seconds, earliest: seconds, latest: seconds })
}

/// A governor with a clock of seconds, and with requests that never end.
struct Rig {
    governor: Governor,
    now: u64,
    running: ByClass<u32>,
    queued: ByClass<u32>,
    prediction: Prediction,
}

impl Rig {
    /// The policy that is the usual one, and half as many waiting as may run.
    fn new() -> Self {
        Self::of(Policy::new(MOST))
    }

    fn of(policy: Policy) -> Self {
        let prediction = Prediction { slower: Outlook::Never, cooled: Outlook::Unknown };
        let governor = Governor::new(policy);
        let queued = ByClass { interactive: MOST.interactive / 2, background: 0 };
        Self { governor, now: 0, running: MOST, queued, prediction }
    }

    /// One second of this verdict.
    fn second(&mut self, verdict: &Verdict) -> Decision {
        self.now += 1;
        let (now, prediction) = (secs(self.now), self.prediction);
        let (running, queued) = (self.running, self.queued);
        self.governor.decide(&Moment { now, verdict, prediction, running, queued })
    }

    fn seconds(&mut self, count: u64, verdict: &Verdict) -> Decision {
        let mut last = self.second(verdict);
        for _ in 1..count {
            last = self.second(verdict);
        }
        last
    }
}

fn limits(decision: &Decision) -> (u32, u32) {
    (decision.limits.background, decision.limits.interactive)
}

#[test]
fn a_cool_card_and_one_at_its_power_limit_are_left_alone() {
    let mut card = Rig::new();
    let cool = card.second(&verdict(30.0));
    assert_eq!((cool.limits, cool.gate, cool.cause), (MOST, Gate::Open, Cause::Free));
    let capped = Verdict { now: State::ThrottledByPower, state: State::ThrottledByPower, ..verdict(30.0) };
    assert_eq!(card.seconds(100, &capped).limits, MOST);
    assert_eq!(card.seconds(100, &verdict(4.0)).limits, MOST, "steady and near is no reason");
}

#[test]
fn a_card_that_is_held_costs_one_background_request_and_one_interactive_request_always_runs() {
    let mut card = Rig::new();
    assert_eq!(limits(&card.second(&verdict(3.5))), (7, 8));
    assert_eq!(limits(&card.second(&verdict(0.0))), (7, 8));
    assert_eq!(limits(&card.second(&verdict(-0.5))), (0, 7), "half the way to where nothing begins");
    let least = card.second(&verdict(-0.9));
    assert_eq!((limits(&least), least.gate, least.cause), ((0, 1), Gate::Open, Cause::Margin));
}

#[test]
fn of_a_few_places_one_gives_way_to_the_hardware_s_hold_and_none_to_the_driver_s() {
    // Places; what is left of them while the driver holds the card, while the hardware does, and in a rush.
    for (background, soft, hard, rush) in
        [(0, 0, 0, 0), (1, 1, 1, 1), (2, 2, 1, 1), (3, 3, 2, 2), (4, 4, 3, 2), (5, 4, 4, 3), (8, 7, 7, 4)]
    {
        let most = ByClass { interactive: 4, background };
        let mut driver = hot(1.0, Reason::SoftHeat);
        driver.margins.slower = Some(0.0);
        let hardware = hot(0.0, Reason::HardHeat);
        for (queued, soft, hard) in [(1, background, background), (2, soft, hard), (16, rush, rush)] {
            let mut card = Rig::of(Policy::new(most));
            card.queued.interactive = queued;
            assert_eq!(limits(&card.second(&driver)), (soft, 4), "of {background}, {queued} wait");
            assert_eq!(limits(&card.second(&hardware)), (hard, 4), "of {background}, {queued} wait");
            assert_eq!(limits(&card.seconds(59, &driver)), (hard, 4), "and no swing");
            assert_eq!(card.seconds(100, &verdict(30.0)).limits, most, "and it comes back");
        }
    }
}

#[test]
fn what_hardly_anybody_waits_for_gives_way_to_nobody() {
    let mut card = Rig::new();
    let mut soft = hot(0.0, Reason::SoftHeat);
    soft.margins = Margins { slower: Some(-1.0), slowdown: Some(8.0), shutdown: Some(11.0) };
    card.queued.interactive -= 1;
    let held = card.second(&soft);
    assert_eq!((held.limits, held.cause), (MOST, Cause::Heat));
    card.queued.interactive += 1;
    assert_eq!(limits(&card.second(&soft)), (7, 8), "half as many as may run");
    card.queued.interactive = 0;
    assert_eq!(limits(&card.seconds(59, &soft)), (7, 8), "and no swing from second to second");
    assert_eq!(card.seconds(20, &soft).limits, MOST);
    // A card that nothing holds is another matter, whoever waits.
    assert_eq!(limits(&card.second(&hot(-0.5, Reason::HardHeat))), (0, 4));
    // Where all of them run at once nobody is ever seen to wait.
    let mut card = Rig::new();
    card.queued.interactive = 0;
    card.governor.waits(false);
    assert_eq!(limits(&card.second(&soft)), (7, 8));
}

#[test]
fn half_of_the_background_gives_way_to_a_rush() {
    let mut card = Rig::new();
    card.queued.interactive = 4 * MOST.interactive - 1;
    assert_eq!(limits(&card.second(&verdict(0.0))), (7, 8));
    card.queued.interactive += 1;
    assert_eq!(limits(&card.second(&verdict(0.0))), (4, 8));
    assert_eq!(
        card.seconds(100, &verdict(30.0)).limits,
        MOST,
        "and comes back, whoever waits, when it is cool"
    );
}

#[test]
fn a_slowdown_that_is_foretold_lowers_before_it_comes() {
    let mut card = Rig::new();
    card.prediction.slower = soon(30.0);
    assert_eq!(card.second(&verdict(20.0)).limits, MOST, "far away, the curve tells little");
    let near = card.second(&verdict(10.0));
    assert_eq!((limits(&near), near.cause), ((7, 8), Cause::Foretold));
    card.prediction.slower = soon(10.0);
    assert_eq!(limits(&card.second(&verdict(9.0))), (7, 8), "no lower than if it were there");
}

#[test]
fn heat_that_the_hardware_no_longer_holds_halves_what_runs_and_more_does_so_each_five_seconds() {
    let mut card = Rig::new();
    card.running = ByClass { interactive: 6, background: 0 };
    let held = card.second(&hot(5.0, Reason::HardHeat));
    assert_eq!((limits(&held), held.cause), ((7, 8), Cause::Heat), "lowered with the first reading");
    let beyond = hot(-0.5, Reason::HardHeat);
    card.seconds(4, &hot(0.0, Reason::HardHeat));
    assert_eq!(limits(&card.second(&beyond)), (0, 3));
    card.running.interactive = 3;
    assert_eq!(limits(&card.seconds(4, &beyond)), (0, 3));
    assert_eq!(limits(&card.second(&beyond)), (0, 1));
    assert_eq!(limits(&card.seconds(60, &beyond)), (0, 1), "never below one");
    let mut unknown = Rig::new();
    let mut says = hot(0.0, Reason::HardHeat);
    says.margins = Margins::default();
    assert_eq!(
        limits(&unknown.second(&says)),
        (0, 4),
        "one that does not tell how hot it may be is not known to be held"
    );
}

#[test]
fn what_gives_way_to_the_driver_s_heat_is_no_halving_that_the_hardware_s_would_wait_for() {
    let mut held = hot(0.0, Reason::SoftHeat);
    held.margins = Margins { slower: Some(-1.0), slowdown: Some(4.0), shutdown: Some(14.0) };
    let mut beyond = hot(-1.0, Reason::HardHeat);
    beyond.margins.shutdown = Some(9.0);
    for before in [verdict(30.0), verdict(3.0), held, hot(0.0, Reason::HardHeat)] {
        for waits in [true, false] {
            let mut card = Rig::new();
            card.governor.waits(waits);
            card.seconds(30, &before);
            let halved = card.second(&beyond);
            assert_eq!(limits(&halved), (0, 4), "{before:?}");
            assert_eq!(limits(&card.seconds(4, &beyond)).1, 4, "and a halving is five seconds from the next");
            assert_eq!(limits(&card.second(&beyond)).1, 2);
        }
    }
    // More run than could be counted down from: they began before it was known how many do.
    let mut card = Rig::new();
    card.running = ByClass { interactive: 40, background: 0 };
    assert_eq!(limits(&card.second(&beyond)), (0, 4));
}

#[test]
fn what_the_driver_slows_down_costs_one_background_request() {
    let mut card = Rig::new();
    let mut soft = hot(0.0, Reason::SoftHeat);
    soft.margins = Margins { slower: Some(-1.0), slowdown: Some(8.0), shutdown: Some(11.0) };
    assert_eq!(limits(&card.second(&soft)), (7, 8));
    assert_eq!(limits(&card.seconds(100, &soft)), (7, 8));
    soft.margins = Margins { slower: Some(-1.0), slowdown: Some(1.0), shutdown: Some(4.0) };
    let close = card.second(&soft);
    assert_eq!(
        (limits(&close), close.gate),
        ((7, 8), Gate::Open),
        "limits that lie close together are none of its heat"
    );
    soft.throttles = Some(Throttles::default().with(Reason::SoftHeat).with(Reason::HardHeat));
    soft.margins = Margins { slower: Some(-9.5), slowdown: Some(-0.5), shutdown: Some(4.5) };
    assert_eq!(limits(&card.seconds(6, &soft)), (0, 2), "unless the hardware does not hold it either");
}

#[test]
fn near_its_shutdown_nothing_begins_and_then_new_ones_are_refused() {
    let mut card = Rig::new();
    card.second(&verdict(0.0));
    let held = card.second(&verdict(-1.0));
    assert_eq!((held.gate, held.cause, held.limits.interactive), (Gate::Hold, Cause::Shutdown, 1));
    card.queued = ByClass { interactive: 3, background: 2 };
    card.prediction.cooled = soon(41.2);
    let refused = card.second(&verdict(-3.0));
    assert_eq!((refused.gate, refused.limits), (Gate::Refuse { retry_after: 47 }, ByClass::default()));
    card.prediction.cooled = Outlook::Unknown;
    assert_eq!(card.second(&verdict(-3.0)).gate, Gate::Refuse { retry_after: 35 });
    card.queued.interactive = u32::MAX;
    assert_eq!(card.second(&verdict(-3.0)).gate, Gate::Refuse { retry_after: 120 });
}

#[test]
fn who_is_held_for_long_is_refused_and_the_gate_opens_half_a_minute_after_it_has_cooled() {
    let mut card = Rig::new();
    assert_eq!(card.seconds(20, &verdict(-1.0)).gate, Gate::Hold);
    let long = card.second(&verdict(-1.0));
    assert!(matches!(long.gate, Gate::Refuse { .. }) && long.cause == Cause::HeldLong, "{long:?}");
    assert!(matches!(card.seconds(29, &verdict(9.0)).gate, Gate::Refuse { .. }));
    let open = card.second(&verdict(9.0));
    assert_eq!((open.gate, limits(&open)), (Gate::Open, (0, 1)), "for as few as can be");
    let later = card.seconds(30, &verdict(9.0));
    assert!(limits(&later).1 > 1 && limits(&later).1 <= 8 && later.cause == Cause::Recovering, "{later:?}");
    assert_eq!(card.seconds(40, &verdict(9.0)).limits, MOST);
}

#[test]
fn the_gate_opens_later_within_the_hysteresis_but_it_opens() {
    let mut card = Rig::new();
    card.second(&verdict(-3.0));
    assert_ne!(card.seconds(59, &verdict(1.9)).gate, Gate::Open, "6.9 °C below its shutdown");
    // As an RTX 3090 is that its driver holds (93, 95, 98 °C), for as long as anybody computes on it.
    let open = card.second(&verdict(1.9));
    assert_eq!((open.gate, limits(&open)), (Gate::Open, (0, 1)));
}

#[test]
fn a_card_that_its_driver_holds_is_let_up_to_the_floor_again_after_the_gate() {
    // Its driver holds it 4 °C below where its hardware would.
    let held = |margin: f32| {
        let mut held = hot(margin, Reason::SoftHeat);
        held.margins.slower = Some(margin - 5.0);
        held
    };
    // Nearer to where the hardware slows it down it stays as the gate has left it.
    for (verdict, wanted) in
        [(held(4.0), (7, 8)), (hot(1.0, Reason::HardHeat), (0, 1)), (verdict(0.5), (0, 1))]
    {
        let mut card = Rig::new();
        card.second(&held(-3.0));
        let opened = (0..120).find(|_| card.second(&verdict).gate == Gate::Open);
        assert!(opened.is_some(), "{verdict:?}");
        let begun = card.second(&verdict).limits;
        assert!(begun.interactive < 4 && begun.background == 0, "little by little: {begun:?}");
        let later = card.seconds(100, &verdict);
        assert_eq!(limits(&later), wanted, "{later}");
        let beyond = card.second(&hot(-0.9, Reason::HardHeat));
        assert_eq!(limits(&beyond), (0, 1), "and less at once where it is not held");
        assert_eq!(limits(&card.seconds(59, &verdict)), (0, 1));
    }
}

#[test]
fn why_it_is_still_shut_and_why_less_is_allowed_is_said_of_now() {
    let mut card = Rig::new();
    card.second(&verdict(-3.0));
    let cooled = card.second(&verdict(40.0));
    assert_eq!(
        cooled.to_string().split_once(": ").unwrap().1,
        "it was near to where it switches itself off; they begin again once it has stayed cooler for half a minute; 16 that run are \
         finished first"
    );
    let mut card = Rig::new();
    assert_eq!(card.second(&hot(0.0, Reason::HardHeat)).cause, Cause::Heat);
    assert_eq!(card.second(&verdict(20.0)).cause, Cause::Recovering, "its heat slows it down no more");
    let mut card = Rig::new();
    card.second(&verdict(12.0));
    assert_eq!(
        card.second(&blind(State::Stale)).to_string().split_once(": ").unwrap().1,
        "how far it is from getting slower is not known"
    );
}

#[test]
fn without_readings_nothing_changes_for_a_minute_and_then_more_is_allowed() {
    for state in [State::Stale, State::Unknown, State::Lost] {
        let mut card = Rig::new();
        assert_eq!(card.seconds(200, &blind(state)).limits, MOST, "a box without readings serves");
        card.second(&verdict(1.0));
        let before = card.second(&blind(state));
        assert_eq!((limits(&before), before.cause), ((7, 8), Cause::Blind));
        assert_eq!(limits(&card.seconds(58, &blind(state))), (7, 8), "no reading is no leave to let in more");
        let later = card.seconds(120, &blind(state));
        assert_eq!((later.limits, later.cause), (MOST, Cause::Free), "a lost card does not keep the box low");
        card.second(&verdict(-3.0));
        assert!(matches!(card.seconds(59, &blind(state)).gate, Gate::Refuse { .. }));
        let open = card.second(&blind(state));
        assert_eq!((open.gate, limits(&open)), (Gate::Open, (0, 1)));
    }
}

#[test]
fn a_shutdown_that_is_not_told_is_taken_to_be_three_degrees_above_the_slowdown() {
    let mut card = Rig::new();
    let mut told = verdict(-0.5);
    told.margins.shutdown = None;
    assert_eq!(card.second(&told).gate, Gate::Hold);
    told.margins.slowdown = Some(-1.0);
    assert!(matches!(card.second(&told).gate, Gate::Refuse { .. }));
    told.margins = Margins::default();
    assert_eq!(card.seconds(30, &told).gate, Gate::Open, "one that tells no more is not kept closed");
}

#[test]
fn two_cards_allow_what_both_do() {
    let (free, near, held) = (
        Rig::new().second(&verdict(30.0)),
        Rig::new().second(&verdict(1.0)),
        Rig::new().second(&verdict(-1.0)),
    );
    for (one, other) in [(free, near), (near, free)] {
        let both = one.and(other);
        assert_eq!((limits(&both), both.gate, both.cause), ((7, 8), Gate::Open, Cause::Margin));
    }
    let nearer = Rig::new().second(&verdict(12.0));
    for both in [free.and(nearer), nearer.and(free)] {
        assert_eq!(both.margins, nearer.margins, "the words are of the one that is nearer");
    }
    assert_eq!(near.and(held), held);
    assert_eq!(held.and(near), held);
}

#[test]
fn every_decision_is_said_in_words() {
    let mut card = Rig::new();
    let said = |decision: Decision| decision.to_string();
    assert_eq!(
        said(card.second(&verdict(12.0))),
        "as many requests run at once as are allowed: it is 12 °C below where it gets slower"
    );
    assert_eq!(
        said(card.second(&verdict(3.0))),
        "7 of 8 background and 8 of 8 interactive requests may run at once: it is 3 °C below where it gets slower"
    );
    let mut card = Rig::new();
    card.prediction.slower = soon(20.4);
    assert_eq!(
        said(card.second(&verdict(5.0))),
        "7 of 8 background and 8 of 8 interactive requests may run at once: in about 20 s it gets slower, as it goes"
    );
    assert_eq!(
        said(card.second(&hot(5.0, Reason::HardHeat))),
        "7 of 8 background and 8 of 8 interactive requests may run at once: its heat has slowed it down"
    );
    card.running = ByClass { interactive: 1, background: 0 };
    assert_eq!(
        said(card.second(&verdict(-2.0))),
        "new requests wait in the queue: it is 3 °C below where it switches itself off; 1 that runs is finished first"
    );
    (card.running, card.queued) = (ByClass { interactive: 1, background: 2 }, ByClass::default());
    assert_eq!(
        said(card.second(&verdict(-4.0))),
        "new requests are refused and asked to come again in 30 s: it is 1 °C below where it switches itself off; 3 that run are \
         finished first"
    );
    assert_eq!(
        said(card.second(&blind(State::Stale))),
        "new requests are refused and asked to come again in 30 s: its heat is not known now; once that has lasted a minute, more are \
         let in little by little; 3 that run are finished first"
    );
}

#[test]
fn what_is_counted_down_from_may_change_and_the_share_stays() {
    let mut rig = Rig::new();
    assert_eq!(rig.second(&verdict(20.0)).limits, MOST);
    rig.governor.allow(ByClass { interactive: 40, background: 20 });
    rig.queued.interactive = 20;
    let free = rig.second(&verdict(20.0));
    assert_eq!((free.limits, free.most), (free.most, ByClass { interactive: 40, background: 20 }));
    let warm = rig.second(&verdict(3.0));
    assert_eq!(warm.limits, ByClass { interactive: 40, background: 18 }, "94 %");
    rig.governor.allow(ByClass::default());
    assert_eq!(rig.second(&verdict(3.0)).limits, ByClass { interactive: 1, background: 0 });
}
