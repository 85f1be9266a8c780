use std::time::Duration;

use proptest::prelude::*;

use super::{HORIZON, Outlook, Prediction, Predictor};

fn secs(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// What is foretold at that second by a margin's curve, read so often a second and rounded to whole degrees where it is to be.
fn seen(until: f64, a_second: f64, whole: bool, curve: impl Fn(f64) -> f64) -> Prediction {
    let mut predictor = Predictor::new();
    let mut at = 0.0;
    while at <= until {
        let margin = if whole { curve(at).round() } else { curve(at) };
        #[expect(clippy::cast_possible_truncation, reason = "a margin")]
        predictor.push(secs(at), margin as f32);
        at += 1.0 / a_second;
    }
    predictor.look(secs(until))
}

/// 40 °C below at first, 8 °C above in the end, in the time constant of 60 s: it gets slower after 60 ln 6 = 107.5 s.
fn heats(at: f64) -> f64 {
    -8.0 + 48.0 * (-at / 60.0).exp()
}

#[test]
fn foretells_an_even_load_the_better_the_nearer_it_is() {
    let true_at = 107.5;
    for (a_second, whole) in [(1.0, false), (10.0, false), (1.0, true), (10.0, true)] {
        for (seen_at, most_off) in [(60.0, 4.0), (80.0, 3.0), (97.5, 2.0)] {
            let Outlook::In(span) = seen(seen_at, a_second, whole, heats).slower else {
                panic!("nothing foretold")
            };
            let left = true_at - seen_at;
            assert!((f64::from(span.seconds) - left).abs() < most_off, "{span:?}, of {left}");
            assert!(
                f64::from(span.earliest) <= left && left <= f64::from(span.latest),
                "{span:?}, of {left}"
            );
        }
    }
}

#[test]
fn knows_what_never_comes_and_what_has_come() {
    assert_eq!(seen(90.0, 1.0, true, |_| 12.0).slower, Outlook::Never);
    assert_eq!(seen(90.0, 1.0, true, |_| 12.0).cooled, Outlook::Reached);
    assert_eq!(seen(90.0, 1.0, true, |at| 10.0 + 30.0 * (-at / 40.0).exp()).slower, Outlook::Never);
    assert_eq!(seen(90.0, 1.0, true, |at| at / 10.0).slower, Outlook::Never, "it cools");
    assert_eq!(seen(130.0, 1.0, true, heats).slower, Outlook::Reached);
    let leaps = |at: f64| if at < 60.0 { 5.0 } else { -1.0 };
    assert_eq!(seen(60.0, 1.0, true, leaps).slower, Outlook::Reached, "sooner than any curve has it");
    assert_eq!(seen(3.0, 1.0, true, heats), Prediction::UNKNOWN);
    assert_eq!(Predictor::new().look(secs(5.0)), Prediction::UNKNOWN);
}

#[test]
fn foretells_when_it_is_cool_again() {
    // From 5 °C above to 25 below: 10 below is reached after 50 ln 2 = 34.7 s.
    let Outlook::In(span) = seen(15.0, 1.0, false, |at| 25.0 - 30.0 * (-at / 50.0).exp()).cooled else {
        panic!("nothing foretold")
    };
    assert!((span.seconds - 19.7).abs() < 3.0, "{span:?}");
    assert!(span.earliest <= 19.7 && 19.7 <= span.latest, "{span:?}");
}

#[test]
fn forgets_the_load_of_before() {
    // A minute at rest, then 1.5 °C a second.
    let kink = |at: f64| if at < 60.0 { 45.0 } else { 45.0 - 1.5 * (at - 60.0) };
    let Outlook::In(span) = seen(76.0, 1.0, true, kink).slower else { panic!("nothing foretold") };
    assert!((span.seconds - 14.0).abs() < 4.0, "{span:?}");
    // The other way round: what has just ended is foretold no more.
    let ends = |at: f64| if at < 20.0 { 45.0 - 1.5 * at } else { 15.0 + (at - 20.0) };
    assert_eq!(seen(30.0, 1.0, true, ends).slower, Outlook::Never);
}

#[test]
fn time_goes_on_between_readings_and_a_long_pause_ends_it() {
    let mut predictor = Predictor::new();
    for second in 0..20 {
        predictor.push(secs(f64::from(second)), 60.0 - 2.0 * f32::from(u8::try_from(second).unwrap()));
    }
    let left = |at| predictor.look(secs(at)).slower.seconds();
    let (at_once, later) = (left(19.0).unwrap(), left(24.0).unwrap());
    assert!((at_once - later - 5.0).abs() < 0.5, "{at_once} {later}");
    assert!(predictor.slope().is_some_and(|slope| (slope + 2.0).abs() < 0.2), "{:?}", predictor.slope());
    assert_eq!(left(60.0), None);
    predictor.push(secs(70.0), 5.0);
    assert_eq!(predictor.look(secs(70.0)), Prediction::UNKNOWN, "what was before the pause says nothing");
}

proptest! {
    #[test]
    fn whatever_is_read_what_is_foretold_has_its_order(
        readings in prop::collection::vec((0.0_f64..5.0, prop_oneof![-200.0_f32..200.0, Just(f32::NAN), Just(f32::MAX)]), 0..200),
    ) {
        let mut predictor = Predictor::new();
        let mut now = 0.0;
        for (passed, margin) in readings {
            now += passed;
            predictor.push(secs(now), margin);
            for outlook in [predictor.look(secs(now)).slower, predictor.look(secs(now)).cooled] {
                if let Outlook::In(span) = outlook {
                    prop_assert!(0.0 <= span.earliest && span.earliest <= span.seconds, "{:?}", span);
                    prop_assert!(span.seconds <= span.latest && span.latest <= HORIZON.as_secs_f32(), "{:?}", span);
                }
            }
        }
    }
}
