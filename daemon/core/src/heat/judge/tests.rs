use std::time::Duration;

use proptest::prelude::*;

use super::{Bounds, Judge, State};
use crate::heat::{Absent, Reason, Sample, Throttles};

fn secs(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// A card that gets slower by its hardware at this margin, for these reasons.
fn sample(at: f64, margin: f32, reasons: &[Reason]) -> Sample {
    let mut sample = Sample::missing(secs(at), Absent::Unsupported);
    sample.gpu.celsius = Ok(90.0 - margin);
    sample.gpu.to_slowdown = Ok(margin);
    sample.throttles = Ok(reasons.iter().copied().collect());
    sample
}

fn once(sample: &Sample) -> State {
    Judge::new(Bounds::default()).look(sample.at, Some(sample)).state
}

#[test]
fn each_state_is_told_by_its_readings() {
    assert_eq!(once(&sample(0.0, 30.0, &[])), State::Cool);
    assert_eq!(once(&sample(0.0, 30.0, &[Reason::Idle, Reason::Setting, Reason::Sync])), State::Cool);
    assert_eq!(once(&sample(0.0, 10.0, &[])), State::Warm);
    assert_eq!(once(&sample(0.0, 30.0, &[Reason::PowerCap])), State::ThrottledByPower);
    assert_eq!(
        once(&sample(0.0, 5.0, &[Reason::PowerCap])),
        State::Warm,
        "a power cap alone is no heat, nor hides it"
    );
    assert_eq!(once(&sample(0.0, 30.0, &[Reason::Brake])), State::ThrottledByBrake);
    assert_eq!(once(&sample(0.0, 30.0, &[Reason::SoftHeat])), State::ThrottledByHeat);
    assert_eq!(once(&sample(0.0, 30.0, &[Reason::HardHeat, Reason::PowerCap])), State::ThrottledByHeat);
    assert_eq!(once(&sample(0.0, 0.0, &[])), State::ThrottledByHeat, "whatever it says");
    assert_eq!(once(&Sample::missing(secs(0.0), Absent::Lost)), State::Lost);
}

#[test]
fn a_slowdown_without_a_reason_is_heat_only_near_the_limit() {
    assert_eq!(once(&sample(0.0, 20.0, &[Reason::Slowdown])), State::ThrottledByBrake);
    assert_eq!(once(&sample(0.0, 4.0, &[Reason::Slowdown])), State::ThrottledByHeat);
    assert_eq!(once(&sample(0.0, 4.0, &[Reason::Slowdown, Reason::Brake])), State::ThrottledByBrake);
}

#[test]
fn what_cannot_be_read_is_never_cool() {
    assert_eq!(once(&Sample::missing(secs(0.0), Absent::UnknownForm)), State::Unknown);
    let mut hot = sample(0.0, -1.0, &[]);
    hot.throttles = Err(Absent::UnknownForm);
    assert_eq!(once(&hot), State::ThrottledByHeat, "the temperature alone tells it");
    let mut told = Sample::missing(secs(0.0), Absent::Unsupported);
    told.throttles = Ok(Throttles::default().with(Reason::Other));
    assert_eq!(once(&told), State::Unknown, "a reason that nobody knows may be heat");
    assert_eq!(Judge::new(Bounds::default()).look(secs(100.0), None).state, State::Unknown);
}

#[test]
fn a_graver_state_comes_at_once_and_a_milder_one_after_its_time() {
    let mut judge = Judge::new(Bounds::default());
    judge.look(secs(0.0), Some(&sample(0.0, 30.0, &[])));
    let hot = judge.look(secs(1.0), Some(&sample(1.0, 2.0, &[Reason::HardHeat])));
    assert_eq!((hot.state, hot.since), (State::ThrottledByHeat, secs(1.0)));
    let flickers = judge.look(secs(2.0), Some(&sample(2.0, 2.0, &[])));
    assert_eq!((flickers.state, flickers.now), (State::ThrottledByHeat, State::Warm));
    judge.look(secs(20.0), Some(&sample(20.0, 2.0, &[Reason::HardHeat])));
    for second in 21..50 {
        let at = f64::from(second);
        assert_eq!(
            judge.look(secs(at), Some(&sample(at, 2.0, &[]))).state,
            State::ThrottledByHeat,
            "{second}"
        );
    }
    let over = judge.look(secs(50.0), Some(&sample(50.0, 2.0, &[])));
    assert_eq!((over.state, over.since), (State::Warm, secs(50.0)));
}

#[test]
fn warm_ends_five_degrees_further_than_it_begins() {
    let mut judge = Judge::new(Bounds::default());
    judge.look(secs(0.0), Some(&sample(0.0, 10.0, &[])));
    for second in 1..200 {
        let at = f64::from(second);
        assert_eq!(judge.look(secs(at), Some(&sample(at, 14.0, &[]))).state, State::Warm);
    }
    let cooler = judge.look(secs(200.0), Some(&sample(200.0, 15.0, &[])));
    assert_eq!(cooler.now, State::Cool);
    let later = judge.look(secs(240.0), Some(&sample(240.0, 11.0, &[])));
    assert_eq!(later.state, State::Cool, "11 is not near enough to begin");
}

#[test]
fn is_stale_after_five_seconds_and_lost_as_long_as_it_is() {
    let mut judge = Judge::new(Bounds::default());
    judge.look(secs(0.0), Some(&sample(0.0, 30.0, &[])));
    assert_eq!(judge.look(secs(4.9), None).state, State::Cool);
    let stale = judge.look(secs(5.0), None);
    assert_eq!((stale.state, stale.age), (State::Stale, Some(secs(5.0))));
    let hot = judge.look(secs(6.0), Some(&sample(6.0, 2.0, &[Reason::HardHeat])));
    assert_eq!(hot.state, State::ThrottledByHeat, "an answer that is grave waits for nothing");
    let lost = judge.look(secs(7.0), Some(&Sample::missing(secs(7.0), Absent::Lost)));
    assert_eq!(lost.state, State::Lost);
    assert_eq!(judge.look(secs(500.0), None).state, State::Lost);
}

#[test]
fn is_said_in_words() {
    let mut judge = Judge::new(Bounds::default());
    let warm = judge.look(secs(0.0), Some(&sample(0.0, 4.0, &[])));
    assert_eq!(warm.to_string(), "warm, 4 °C below where it gets slower");
    let hot = judge.look(secs(1.0), Some(&sample(1.0, -2.0, &[])));
    assert_eq!(hot.to_string(), "slowed down by its heat, 2 °C above where it gets slower");
    assert_eq!(judge.look(secs(1000.0), None).to_string(), "not answering (its last word is 999 s old)");
}

/// A margin, the reasons, and why nothing else is there where it is not.
type Read = (f32, Vec<Reason>, Option<Absent>);

/// One step of anything: how long it takes, and what is read, if anything is.
fn step() -> impl Strategy<Value = (f64, Option<Read>)> {
    let reasons = prop::collection::vec(prop::sample::select(Reason::ALL.to_vec()), 0..3);
    let absent = prop::sample::select(vec![None, None, None, Some(Absent::Lost), Some(Absent::UnknownForm)]);
    (0.05_f64..8.0, prop::option::weighted(0.8, (-5.0_f32..40.0, reasons, absent)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn no_state_is_entered_twice_in_half_a_minute_and_a_graver_one_waits_for_nothing(
        steps in prop::collection::vec(step(), 1..300),
    ) {
        let bounds = Bounds::default();
        let mut judge = Judge::new(bounds);
        let mut entered = [None::<Duration>; State::ALL.len()];
        let (mut now, mut state) = (0.0, None);
        for (passed, read) in steps {
            now += passed;
            let read = read.map(|(margin, reasons, absent)| {
                absent.map_or_else(|| sample(now, margin, &reasons), |why| Sample::missing(secs(now), why))
            });
            let verdict = judge.look(secs(now), read.as_ref());
            if verdict.age.is_none() {
                continue;
            }
            prop_assert!(verdict.state >= verdict.now, "{verdict:?} is milder than what was read");
            if state != Some(verdict.state) {
                let place = State::ALL.iter().position(|state| *state == verdict.state).unwrap();
                if let Some(before) = entered[place].replace(secs(now)) {
                    prop_assert!(secs(now) - before >= bounds.hold, "{:?} again after {:?}", verdict.state, secs(now) - before);
                }
                prop_assert_eq!(verdict.since, secs(now));
                state = Some(verdict.state);
            }
        }
    }
}
