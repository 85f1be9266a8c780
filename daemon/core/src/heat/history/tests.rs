use std::time::Duration;

use super::{FINE, History, MINUTES, Point};
use crate::heat::{Absent, Bounds, Judge, Reason, Sample, State, Throttles};

fn point(tenths: u32, celsius: f32) -> Point {
    let mut sample = Sample::missing(Duration::from_millis(u64::from(tenths) * 100), Absent::Unsupported);
    sample.gpu.celsius = Ok(celsius);
    sample.gpu.to_slowdown = Ok(90.0 - celsius);
    sample.throttles = Ok(Throttles::default());
    let verdict = Judge::new(Bounds::default()).look(sample.at, Some(&sample));
    Point::of(&sample, &verdict)
}

#[test]
fn keeps_ten_minutes_of_ten_a_second_and_a_day_of_minutes() {
    let mut history = History::boxed();
    let all = 600 * (u32::try_from(MINUTES).unwrap() + 5);
    let mut point = point(0, 50.0);
    for tenths in 0..all {
        point.at = tenths;
        history.push(point);
    }
    let kept: Vec<u32> = history.fine().map(|point| point.at).collect();
    assert_eq!(kept.len(), FINE);
    assert_eq!((kept[0], kept[FINE - 1]), (all - 6000, all - 1));
    assert!(kept.is_sorted());
    let minutes: Vec<u32> = history.minutes().map(|minute| minute.minute).collect();
    assert_eq!(minutes, (4..=1444).collect::<Vec<_>>(), "1,440 that are over, and the one that is not");
    assert!(history.minutes().all(|minute| minute.readings == 600));
}

#[test]
fn a_minute_says_lowest_mean_highest_and_the_gravest() {
    let mut history = History::boxed();
    history.push(point(0, 60.0));
    history.push(Point {
        power: Some(1000),
        clock: Some(1500),
        busy: Some(50),
        fan: Some(30),
        memory: Some(880),
        hotspot: Some(905),
        ..point(10, 70.0)
    });
    history.push(Point {
        power: Some(2000),
        clock: Some(1000),
        busy: Some(100),
        used: Some(7),
        hotspot: Some(1011),
        ..point(20, 89.0)
    });
    let hot = Point {
        gpu: None,
        throttles: Some(Throttles::default().with(Reason::HardHeat)),
        state: State::ThrottledByHeat,
        ..point(30, 0.0)
    };
    history.push(Point { margin: None, ..hot });
    history.push(point(600, 20.0));
    let minutes: Vec<_> = history.minutes().copied().collect();
    let [first, second] = minutes[..] else { panic!("two minutes") };
    assert_eq!((first.minute, first.readings, second.minute, second.readings), (0, 4, 1, 1));
    assert_eq!(first.gpu, Some([600, 730, 890]));
    assert_eq!((first.memory, first.hotspot, first.margin), (Some(880), Some(1011), Some(10)));
    assert_eq!((first.power, first.clock, first.busy), (Some([1500, 2000]), Some([1000, 1250]), Some(75)));
    assert_eq!((first.fan, first.used, first.state), (Some(30), Some(7), State::ThrottledByHeat));
    assert!(first.throttles.is_some_and(|reasons| reasons.has(Reason::HardHeat)));
    assert_eq!((second.power, second.busy, second.state), (None, None, State::Cool), "a gap, not 0");
    assert_eq!((second.memory, second.hotspot), (None, None), "a gap, not 0");
}

#[test]
fn what_was_not_read_or_does_not_fit_is_a_gap() {
    let mut sample = Sample::missing(Duration::from_secs(2), Absent::Late);
    let verdict = Judge::new(Bounds::default()).look(sample.at, Some(&sample));
    sample.gpu.celsius = Ok(f32::NAN);
    sample.hotspot.celsius = Ok(1e9);
    sample.power.watts = Ok(7000.0);
    sample.clocks.core = Ok(70_000);
    sample.memory.used = Ok(3 << 20);
    let point = Point::of(&sample, &verdict);
    assert_eq!(
        (point.gpu, point.hotspot, point.memory, point.power, point.clock),
        (None, None, None, None, None)
    );
    assert_eq!((point.at, point.used, point.throttles, point.state), (20, Some(3), None, State::Unknown));
}

#[test]
fn has_the_size_that_is_said() {
    assert!(size_of::<History>() <= 370_000, "{}", size_of::<History>());
}

#[test]
fn what_is_kept_is_read_again_as_it_was() {
    let mut kept = point(7, 70.0);
    for throttles in [None, Some(Throttles::default()), Some(Throttles::default().with(Reason::HardHeat))] {
        kept.throttles = throttles;
        let written = serde_json::to_string(&kept).unwrap();
        assert_eq!(serde_json::from_str::<Point>(&written).unwrap(), kept, "{written}");
    }
}
