//! The core's judge, predictor and governor, looking at a simulated card as the daemon does: once a second, in whole degrees.
//!
//! Knows how what a card says becomes a sample. Refuses to know the queue. Invariant: it sees what NVML would tell and nothing else.

use std::time::Duration;

use ghostllm_core::heat::{
    Absent, Bounds, ByClass, Decision, Governor, Judge, Moment, Policy, Prediction, Predictor, Reason,
    Sample, Sensor, Throttles,
};

use crate::sim::Device;

/// Seconds between readings: the daemon's usual pace; near a limit it reads ten times as often, which is not counted on here.
const READS: f64 = 1.0;

/// What stands beside one card.
#[derive(Debug)]
pub(super) struct Steward {
    judge: Judge,
    predictor: Predictor,
    governor: Governor,
    next: f64,
    last: Option<Decision>,
}

#[expect(clippy::cast_possible_truncation, reason = "degrees and watts")]
fn single(value: f64) -> f32 {
    value as f32
}

/// What the card says.
fn sample(device: &Device, at: Duration) -> Sample {
    if device.is_off() {
        return Sample::missing(at, Absent::Lost);
    }
    let mut sample = Sample::missing(at, Absent::Unsupported);
    let (limits, celsius) = (&device.card().limits, device.celsius().round());
    let below = |limit: f64| Ok(single(limit - celsius));
    sample.gpu = Sensor {
        celsius: Ok(single(celsius)),
        to_soft: limits.soft.map_or(Err(Absent::Unsupported), below),
        to_slowdown: below(limits.slowdown),
        to_shutdown: below(limits.shutdown),
    };
    let slowdown = device.slowdown();
    let reasons = [
        (slowdown.power, Reason::PowerCap),
        (slowdown.soft, Reason::SoftHeat),
        (slowdown.hard, Reason::HardHeat),
        (slowdown.hard, Reason::Slowdown),
    ];
    sample.throttles =
        Ok(reasons.into_iter().filter(|(is, _)| *is).map(|(_, why)| why).collect::<Throttles>());
    sample.power.watts = Ok(single(device.watts()));
    sample
}

impl Steward {
    pub(super) fn new(policy: Policy) -> Self {
        Self {
            judge: Judge::new(Bounds::default()),
            predictor: Predictor::new(),
            governor: Governor::new(policy),
            next: 0.0,
            last: None,
        }
    }

    /// The decision at this moment, anew where a reading is due.
    pub(super) fn decide(
        &mut self,
        device: &Device,
        running: ByClass<u32>,
        queued: ByClass<u32>,
    ) -> Option<Decision> {
        if device.now() < self.next {
            return self.last;
        }
        self.next = device.now() + READS;
        let now = Duration::from_secs_f64(device.now());
        let sample = sample(device, now);
        if let Some(margin) = sample.margins().slower {
            self.predictor.push(now, margin);
        }
        let verdict = self.judge.look(now, Some(&sample));
        let prediction = if device.is_off() { Prediction::UNKNOWN } else { self.predictor.look(now) };
        let moment = Moment { now, verdict: &verdict, prediction, running, queued };
        self.last = Some(self.governor.decide(&moment));
        self.last
    }
}
