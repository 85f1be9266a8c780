//! Nothing is allocated where cards are sampled: taking a reading, judging it, foretelling, deciding, saying why, and recording it.
//!
//! A test of its own file, since the allocator that counts is the whole program's.

use std::{
    alloc::System,
    fmt::{self, Write as _},
    time::Duration,
};

use ghostllm_core::heat::{
    Absent, Bounds, ByClass, Governor, History, Judge, Moment, Point, Policy, Predictor, Reason, Sample,
    flight::{Look, Recorder, Requests, Step},
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Where words go: how many bytes they had.
struct Written(usize);

impl fmt::Write for Written {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}

/// A card that warms and cools, by its second.
fn sample(tenths: u32) -> Sample {
    let at = Duration::from_millis(u64::from(tenths) * 100);
    let mut sample = Sample::missing(at, Absent::Unsupported);
    let margin = 12.0 + 16.0 * (at.as_secs_f32() / 200.0).sin();
    sample.gpu.celsius = Ok((93.0 - margin).round());
    sample.gpu.to_slowdown = Ok(margin.round());
    sample.gpu.to_shutdown = Ok(margin.round() + 5.0);
    sample.throttles = Ok((margin < 0.0).then_some(Reason::HardHeat).into_iter().collect());
    sample.power.watts = Ok(140.0);
    sample.memory.used = Ok(12 << 30);
    sample
}

/// Allocations and reallocations of two hours of ten readings a second.
fn two_hours() -> (usize, usize) {
    let (mut history, mut judge, mut predictor) =
        (History::boxed(), Judge::new(Bounds::default()), Predictor::new());
    let most = ByClass { interactive: 8, background: 4 };
    let mut governor = Governor::new(Policy::new(most));
    let (mut recorder, mut records) = (Box::new(Recorder::default()), 0);
    let mut written = Written(0);
    let mut lowered = 0;
    let region = Region::new(ALLOCATOR);
    for tenths in 0..72_000 {
        let sample = sample(tenths);
        let verdict = judge.look(sample.at, Some(&sample));
        if let Some(margin) = sample.margins().slower {
            predictor.push(sample.at, margin);
        }
        let prediction = predictor.look(sample.at);
        let moment = Moment { now: sample.at, verdict: &verdict, prediction, running: most, queued: most };
        let decision = governor.decide(&moment);
        lowered += u32::from(decision.limits != most);
        assert!(write!(written, "{verdict} {decision}").is_ok());
        history.push(Point::of(&sample, &verdict));
        let requests = Requests::new(most, most, Some(&decision));
        let look = Look { now: sample.at, sample: Some(&sample), verdict: Some(&verdict), requests };
        records += u32::from(recorder.look(&look) == Step::Whole);
    }
    let change = region.change();
    // It was no idle run.
    assert!(lowered > 1000 && lowered < 71_000 && written.0 > 1_000_000, "{lowered} {}", written.0);
    assert_eq!((history.fine().count(), history.minutes().count()), (6000, 120));
    assert!(records >= 5, "{records} records");
    (change.allocations, change.reallocations)
}

#[test]
fn two_hours_of_ten_readings_a_second_allocate_nothing() {
    // The same two hours each time, so that what they allocate comes each time; what the tests' own thread does meanwhile does not.
    let runs = [(); 5].map(|()| two_hours());
    assert!(runs.contains(&(0, 0)), "{runs:?}");
}
