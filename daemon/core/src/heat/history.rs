//! What a card has been through.
//!
//! Knows two rings of fixed size: the last readings, and the last day by the minute. Refuses to know who looks at them. Invariant: taking a
//! reading allocates nothing and takes the same few steps, however long it has run; what was not read is a gap, never a 0.

use std::time::Duration;

use ghostllm_readings::{Reading, Sample, Throttles};
use heapless::HistoryBuf;
use serde::{Deserialize, Serialize};

use super::judge::{State, Verdict};

pub(super) mod kept;

#[cfg(test)]
mod tests;

/// Readings that are kept one by one: ten minutes of ten a second.
pub const FINE: usize = 6000;
/// Minutes that are kept: a day.
pub const MINUTES: usize = 1440;

/// One reading, as it is kept. A gap ([`None`]) is what was not read, or does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    /// When, in tenths of a second since the caller's first instant; good for 13 years.
    pub at: u32,
    /// The chip, in tenths of a degree Celsius.
    pub gpu: Option<i16>,
    /// Its memory, in tenths of a degree Celsius.
    pub memory: Option<i16>,
    /// Its hottest place, in tenths of a degree Celsius.
    pub hotspot: Option<i16>,
    /// How far it is from where it gets slower, in tenths of a degree Celsius.
    pub margin: Option<i16>,
    /// What it draws, in tenths of a watt.
    pub power: Option<u16>,
    /// The clock of what computes, in MHz.
    pub clock: Option<u16>,
    /// How busy that is, in percent.
    pub busy: Option<u8>,
    /// Its fan, in percent.
    pub fan: Option<u8>,
    /// Its memory in use, in MiB.
    pub used: Option<u32>,
    /// Why its clocks are not the highest.
    #[serde(with = "kept")]
    pub throttles: Option<Throttles>,
    /// What the judge said.
    pub state: State,
}

/// One minute. What no reading of it had is a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Minute {
    /// Which, counted from the caller's first instant.
    pub minute: u32,
    /// Readings in it; 600 at the most are taken at ten a second.
    pub readings: u16,
    /// The chip's lowest, mean and highest, in tenths of a degree Celsius.
    pub gpu: Option<[i16; 3]>,
    /// Its memory's highest, in tenths of a degree Celsius.
    pub memory: Option<i16>,
    /// Its hottest place's highest, in tenths of a degree Celsius.
    pub hotspot: Option<i16>,
    /// The smallest distance from where it gets slower, in tenths of a degree Celsius.
    pub margin: Option<i16>,
    /// Mean and highest power, in tenths of a watt.
    pub power: Option<[u16; 2]>,
    /// Lowest and mean clock of what computes, in MHz.
    pub clock: Option<[u16; 2]>,
    /// How busy that was, in percent, in the mean.
    pub busy: Option<u8>,
    /// The fastest of its fan, in percent.
    pub fan: Option<u8>,
    /// The most memory in use, in MiB.
    pub used: Option<u32>,
    /// All reasons that there were for lower clocks.
    #[serde(with = "kept")]
    pub throttles: Option<Throttles>,
    /// The gravest state.
    pub state: State,
}

/// The last readings of one card, and its last day. Some 370 kB: 48 bytes a reading, 56 a minute.
#[derive(Debug, Default)]
pub struct History {
    fine: HistoryBuf<Point, FINE>,
    minutes: HistoryBuf<Minute, MINUTES>,
    open: Option<Open>,
}

/// A minute that is not over.
#[derive(Debug, Clone, Copy)]
struct Open {
    minute: Minute,
    gpu: Mean,
    power: Mean,
    clock: Mean,
    busy: Mean,
}

#[derive(Debug, Clone, Copy, Default)]
struct Mean {
    sum: i64,
    count: i64,
}

impl Point {
    /// What is kept of this reading and of what the judge said of it.
    #[must_use]
    pub fn of(sample: &Sample, verdict: &Verdict) -> Self {
        Self {
            at: tenths_of_second(sample.at),
            gpu: tenths(sample.gpu.celsius.ok()),
            memory: tenths(sample.memory_heat.celsius.ok()),
            hotspot: tenths(sample.hotspot.celsius.ok()),
            margin: tenths(sample.margins().slower),
            power: tenths(sample.power.watts.ok()),
            clock: fits(sample.clocks.core),
            busy: sample.utilisation.core.ok(),
            fan: sample.fan.ok(),
            used: fits(sample.memory.used.map(|bytes| bytes >> 20)),
            throttles: sample.throttles.ok(),
            state: verdict.now,
        }
    }
}

impl History {
    /// An empty one on the heap, since it is too large for most stacks. The only thing here that allocates.
    #[must_use]
    pub fn boxed() -> Box<Self> {
        Box::default()
    }

    /// Takes a reading. Minutes are those of the caller's clock; one in which nothing was read is not there.
    pub fn push(&mut self, point: Point) {
        self.fine.write(point);
        let minute = point.at / 600;
        match &mut self.open {
            Some(open) if open.minute.minute == minute => open.take(&point),
            open => {
                if let Some(over) = open.take() {
                    self.minutes.write(over.minute);
                }
                *open = Some(Open::begun(minute, &point));
            }
        }
    }

    /// The readings one by one, the oldest first.
    pub fn fine(&self) -> impl Iterator<Item = &Point> {
        self.fine.oldest_ordered()
    }

    /// The minutes, the oldest first; the last is the one that is not over.
    pub fn minutes(&self) -> impl Iterator<Item = &Minute> {
        self.minutes.oldest_ordered().chain(self.open.iter().map(|open| &open.minute))
    }
}

impl Open {
    fn begun(minute: u32, point: &Point) -> Self {
        let minute = Minute {
            minute,
            readings: 0,
            gpu: None,
            memory: None,
            hotspot: None,
            margin: None,
            power: None,
            clock: None,
            busy: None,
            fan: None,
            used: None,
            throttles: None,
            state: point.state,
        };
        let none = Mean::default();
        let mut open = Self { minute, gpu: none, power: none, clock: none, busy: none };
        open.take(point);
        open
    }

    fn take(&mut self, point: &Point) {
        let minute = &mut self.minute;
        minute.readings = minute.readings.saturating_add(1);
        if let Some(gpu) = point.gpu {
            let [lowest, _, highest] = minute.gpu.unwrap_or([gpu; 3]);
            minute.gpu = Some([lowest.min(gpu), self.gpu.with(gpu), highest.max(gpu)]);
        }
        if let Some(power) = point.power {
            let [_, highest] = minute.power.unwrap_or([power; 2]);
            minute.power = Some([self.power.with(power), highest.max(power)]);
        }
        if let Some(clock) = point.clock {
            let [lowest, _] = minute.clock.unwrap_or([clock; 2]);
            minute.clock = Some([lowest.min(clock), self.clock.with(clock)]);
        }
        if let Some(busy) = point.busy {
            minute.busy = Some(self.busy.with(busy));
        }
        minute.memory = minute.memory.max(point.memory);
        minute.hotspot = minute.hotspot.max(point.hotspot);
        minute.margin = least(minute.margin, point.margin);
        minute.fan = minute.fan.max(point.fan);
        minute.used = minute.used.max(point.used);
        if let Some(throttles) = point.throttles {
            minute.throttles = Some(minute.throttles.unwrap_or_default().and(throttles));
        }
        minute.state = minute.state.max(point.state);
    }
}

impl Mean {
    /// The mean with this value as well; it lies between those that were taken, so that it fits.
    fn with<T: Copy + Into<i64> + TryFrom<i64>>(&mut self, value: T) -> T {
        self.sum += value.into();
        self.count += 1;
        T::try_from(self.sum / self.count).unwrap_or(value)
    }
}

pub(super) fn least<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

pub(super) fn tenths_of_second(at: Duration) -> u32 {
    u32::try_from(at.as_millis() / 100).unwrap_or(u32::MAX)
}

pub(super) fn tenths<T: TryFrom<i32>>(value: Option<f32>) -> Option<T> {
    let value = (value? * 10.0).round();
    // Beyond this a cast would give something else; no card is there.
    if !(-1e6..=1e6).contains(&value) {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "a whole number of at most a million")]
    let whole = value as i32;
    T::try_from(whole).ok()
}

pub(super) fn fits<T, N: TryFrom<T>>(value: Reading<T>) -> Option<N> {
    N::try_from(value.ok()?).ok()
}
