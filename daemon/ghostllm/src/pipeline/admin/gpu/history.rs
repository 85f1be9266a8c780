//! What a card has been through, in the admin API's form.
//!
//! Knows that the core keeps tenths and rings. Invariant: the oldest first, and no point where nothing was read.

use std::time::Duration;

use ghostllm_core::{
    admin::{GpuPoint, GpuReason, tenths},
    heat::{Minute, Point, Throttles},
};

use crate::{
    date,
    tasks::heat::{Kept, Known},
};

/// So many seconds are told, one by one.
const SECONDS: usize = 600;

/// The last ten minutes, a point for each second.
pub(super) fn fine(kept: &Kept, known: &Known) -> Vec<GpuPoint> {
    let mut seconds: Vec<Point> = Vec::with_capacity(SECONDS);
    for point in kept.fine() {
        match seconds.last_mut().filter(|last| last.at / 10 == point.at / 10) {
            Some(last) => *last = together(last, point),
            None => seconds.push(*point),
        }
    }
    let newest = seconds.last().map_or(0, |last| last.at / 10);
    let within = |point: &&Point| newest - point.at / 10 < 600;
    seconds.iter().filter(within).map(|point| of_point(point, known)).collect()
}

/// The last day, a point for each minute.
pub(super) fn day(kept: &Kept, known: &Known) -> Vec<GpuPoint> {
    kept.minutes().map(|minute| of_minute(minute, known)).collect()
}

/// Two readings of one second: the hottest, the nearest, the gravest; of the rest, the later.
fn together(one: &Point, other: &Point) -> Point {
    let least = |a: Option<i16>, b: Option<i16>| a.into_iter().chain(b).min();
    let all = |a: Option<Throttles>, b: Option<Throttles>| a.into_iter().chain(b).reduce(Throttles::and);
    Point {
        at: one.at,
        gpu: one.gpu.max(other.gpu),
        memory: one.memory.max(other.memory),
        hotspot: one.hotspot.max(other.hotspot),
        margin: least(one.margin, other.margin),
        power: other.power.or(one.power),
        clock: other.clock.or(one.clock),
        busy: other.busy.or(one.busy),
        fan: other.fan.or(one.fan),
        used: other.used.or(one.used),
        throttles: all(one.throttles, other.throttles),
        state: one.state.max(other.state),
    }
}

fn of_point(point: &Point, known: &Known) -> GpuPoint {
    GpuPoint {
        at: date::rfc3339(known.date(Duration::from_millis(u64::from(point.at) * 100))),
        celsius: point.gpu.map(whole),
        memory_heat: point.memory.map(whole),
        hotspot: point.hotspot.map(whole),
        margin: point.margin.map(whole),
        watts: point.power.map(whole),
        utilisation: point.busy,
        clock: point.clock.map(u32::from),
        state: point.state,
        throttles: point.throttles.map(reasons),
    }
}

fn of_minute(minute: &Minute, known: &Known) -> GpuPoint {
    GpuPoint {
        at: date::rfc3339(known.date(Duration::from_secs(u64::from(minute.minute) * 60))),
        celsius: minute.gpu.map(|[_, _, highest]| whole(highest)),
        memory_heat: minute.memory.map(whole),
        hotspot: minute.hotspot.map(whole),
        margin: minute.margin.map(whole),
        watts: minute.power.map(|[mean, _]| whole(mean)),
        utilisation: minute.busy,
        clock: minute.clock.map(|[_, mean]| u32::from(mean)),
        state: minute.state,
        throttles: minute.throttles.map(reasons),
    }
}

/// Of tenths.
fn whole(value: impl Into<f32>) -> f64 {
    tenths(value.into() / 10.0)
}

fn reasons(throttles: Throttles) -> Vec<GpuReason> {
    throttles.iter().map(GpuReason::from).collect()
}
