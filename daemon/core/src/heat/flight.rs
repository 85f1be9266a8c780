//! The flight recorder: what a card went through in the minutes before it was lost, slowed down or near its end.
//!
//! Knows what is kept of a second ([`Frame`]), when a record begins and ends ([`Recorder`]), and which records go where there are too many
//! ([`surplus`]). Refuses to know where they are kept; their form is the state's (`state::flight`). Invariants: a record has at most
//! [`FRAMES_MOST`] frames and [`EVENTS_MOST`] events, whatever happens and for however long; what was not read is a gap, never a 0.

use std::ops::RangeInclusive;

use ghostllm_readings::{Sample, Sensor, Throttles};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    governor::{ByClass, Cause, Decision, Gate},
    history::{fits, kept, least, tenths, tenths_of_second},
    judge::{State, Verdict},
};

mod name;
mod recorder;

#[cfg(test)]
mod tests;

pub use name::{Name, RECORDS, surplus};
pub use recorder::{AFTER, BEFORE, FRAMES_MOST, Look, NEAR_SHUTDOWN, QUIET, Recorder, Step};

/// One of each kind that a recorder knows, and the end that only the next start sees.
pub const EVENTS_MOST: usize = 5;
/// The most bytes that are kept of a name; no card's has so many (NVML's are below 96).
const NAME_MOST: usize = 128;

/// What a record is begun for, or what came on top.
// The gravest last, by which they are compared. The admin API's form of it as well: its words are the files' (`Trigger::name`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "FlightTrigger")]
pub enum Trigger {
    /// It was slowed down from outside: by the machine's power supply, or by its hardware for a reason that it does not tell.
    Brake,
    /// Its heat slowed it down.
    Heat,
    /// It came near to where it switches itself off.
    #[serde(rename = "near_shutdown")]
    Shutdown,
    /// The daemon, or the whole machine, ended while the card was near its limit.
    #[serde(rename = "abrupt_end")]
    Abrupt,
    /// It was lost.
    Lost,
}

impl Trigger {
    /// All of them, the mildest first.
    pub const ALL: [Self; EVENTS_MOST] = [Self::Brake, Self::Heat, Self::Shutdown, Self::Abrupt, Self::Lost];

    /// Its short name, for programs and files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Brake => "brake",
            Self::Heat => "heat",
            Self::Shutdown => "near_shutdown",
            Self::Abrupt => "abrupt_end",
            Self::Lost => "lost",
        }
    }

    /// What happened, for people.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Brake => {
                "it was slowed down from outside, by the power supply or for a reason it does not tell"
            }
            Self::Heat => "its heat slowed it down",
            Self::Shutdown => "it came near to where it switches itself off",
            Self::Abrupt => "the daemon ended abruptly",
            Self::Lost => "it was lost: its driver reached it no more",
        }
    }
}

/// Something that happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When, in tenths of a second since the caller's first instant.
    pub at: u32,
    /// What.
    pub what: Trigger,
}

/// What the gate did with requests that had not begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Door {
    /// They began as the limits allowed.
    Open,
    /// They waited.
    Hold,
    /// New ones were refused.
    Refuse,
}

/// What was decided of the requests, in force or, where the governor only watches, not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// How many might run at once.
    pub limits: ByClass<u16>,
    /// Of how many.
    pub most: ByClass<u16>,
    /// What became of new ones.
    pub door: Door,
    /// Why.
    pub cause: Cause,
}

/// The requests of this machine's backends at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Requests {
    /// How many ran.
    pub running: ByClass<u16>,
    /// How many waited.
    pub waiting: ByClass<u16>,
    /// What was decided of them; none where nothing was.
    pub decided: Option<Decided>,
}

impl Requests {
    /// So many run and wait, and that is decided.
    #[must_use]
    pub fn new(running: ByClass<u32>, waiting: ByClass<u32>, decision: Option<&Decision>) -> Self {
        Self {
            running: few(running),
            waiting: few(waiting),
            decided: decision.map(|decision| Decided {
                limits: few(decision.limits),
                most: few(decision.most),
                door: match decision.gate {
                    Gate::Open => Door::Open,
                    Gate::Hold => Door::Hold,
                    Gate::Refuse { .. } => Door::Refuse,
                },
                cause: decision.cause,
            }),
        }
    }
}

fn few(counts: ByClass<u32>) -> ByClass<u16> {
    let few = |count: u32| u16::try_from(count).unwrap_or(u16::MAX);
    ByClass { interactive: few(counts.interactive), background: few(counts.background) }
}

/// One second of a card. Of several readings the hottest, the nearest and the gravest; of the rest the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// When its first reading was, in tenths of a second since the caller's first instant.
    pub at: u32,
    /// What the judge said.
    pub state: State,
    /// The chip, in tenths of a degree Celsius.
    pub gpu: Option<i16>,
    /// Its memory, likewise.
    pub memory: Option<i16>,
    /// Its hottest place, likewise.
    pub hotspot: Option<i16>,
    /// How far its nearest sensor is from where it gets slower, in tenths of a degree Celsius.
    pub slower: Option<i16>,
    /// From where its hardware slows it down, likewise.
    pub slowdown: Option<i16>,
    /// From where it switches itself off, likewise.
    pub shutdown: Option<i16>,
    /// What it draws, in tenths of a watt.
    pub power: Option<u16>,
    /// What it may, likewise.
    pub power_limit: Option<u16>,
    /// The clock of what computes, in MHz; of several readings the lowest.
    pub clock: Option<u16>,
    /// That of its memory, in MHz.
    pub memory_clock: Option<u16>,
    /// Why these are not the highest: all reasons of that second.
    #[serde(with = "kept")]
    pub throttles: Option<Throttles>,
    /// How busy it is, in percent.
    pub busy: Option<u8>,
    /// Its fan, in percent.
    pub fan: Option<u8>,
    /// Its memory in use, in MiB.
    pub used: Option<u32>,
    /// The requests.
    pub requests: Requests,
}

impl Frame {
    /// What is kept of this reading.
    #[must_use]
    pub fn of(sample: &Sample, verdict: &Verdict, requests: Requests) -> Self {
        let margins = sample.margins();
        Self {
            at: tenths_of_second(sample.at),
            state: verdict.now,
            gpu: tenths(sample.gpu.celsius.ok()),
            memory: tenths(sample.memory_heat.celsius.ok()),
            hotspot: tenths(sample.hotspot.celsius.ok()),
            slower: tenths(margins.slower),
            slowdown: tenths(margins.slowdown),
            shutdown: tenths(margins.shutdown),
            power: tenths(sample.power.watts.ok()),
            power_limit: tenths(sample.power.limit.ok()),
            clock: fits(sample.clocks.core),
            memory_clock: fits(sample.clocks.memory),
            throttles: sample.throttles.ok(),
            busy: sample.utilisation.core.ok(),
            fan: sample.fan.ok(),
            used: fits(sample.memory.used.map(|bytes| bytes >> 20)),
            requests,
        }
    }

    /// Which second it is.
    fn second(&self) -> u32 {
        self.at / 10
    }

    /// This and a later reading of the same second.
    fn and(&self, other: &Self) -> Self {
        if other.state == State::Lost && self.state != State::Lost {
            // It says nothing any more: what it said before in that second is not what it was lost with.
            return Self { at: self.at, ..*other };
        }
        let all = [self.throttles, other.throttles].into_iter().flatten().reduce(Throttles::and);
        Self {
            at: self.at,
            state: self.state.max(other.state),
            gpu: self.gpu.max(other.gpu),
            memory: self.memory.max(other.memory),
            hotspot: self.hotspot.max(other.hotspot),
            slower: least(self.slower, other.slower),
            slowdown: least(self.slowdown, other.slowdown),
            shutdown: least(self.shutdown, other.shutdown),
            power: self.power.max(other.power),
            power_limit: other.power_limit.or(self.power_limit),
            clock: least(self.clock, other.clock),
            memory_clock: least(self.memory_clock, other.memory_clock),
            throttles: all,
            busy: other.busy.or(self.busy),
            fan: other.fan.or(self.fan),
            used: other.used.or(self.used),
            requests: other.requests,
        }
    }
}

/// Where a sensor's card does something about its heat, in tenths of a degree Celsius.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Threshold {
    /// Its driver lowers clocks.
    pub soft: Option<i16>,
    /// Its hardware slows it down.
    pub slowdown: Option<i16>,
    /// It switches itself off.
    pub shutdown: Option<i16>,
}

impl Threshold {
    /// By a sensor's temperature and its margins; what it does not tell now is as it was.
    fn seen(&mut self, sensor: &Sensor) {
        let at = |margin: Result<f32, _>| {
            tenths(sensor.celsius.ok().zip(margin.ok()).map(|(now, left)| now + left))
        };
        self.soft = at(sensor.to_soft).or(self.soft);
        self.slowdown = at(sensor.to_slowdown).or(self.slowdown);
        self.shutdown = at(sensor.to_shutdown).or(self.shutdown);
    }
}

/// What a card can at most, as it was last told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Limits {
    /// Of the chip.
    pub gpu: Threshold,
    /// Of its memory.
    pub memory: Threshold,
    /// Of its hottest place.
    pub hotspot: Threshold,
    /// The highest clock of what computes, in MHz.
    pub clock: Option<u16>,
    /// All of its memory, in MiB.
    pub memory_size: Option<u32>,
}

impl Limits {
    fn seen(&mut self, sample: &Sample) {
        self.gpu.seen(&sample.gpu);
        self.memory.seen(&sample.memory_heat);
        self.hotspot.seen(&sample.hotspot);
        self.clock = fits(sample.clocks.core_most).or(self.clock);
        self.memory_size = fits(sample.memory.total.map(|bytes| bytes >> 20)).or(self.memory_size);
    }
}

/// Which card it is. None of its names is longer than any card's.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Card {
    /// Its number.
    pub index: u32,
    /// The product's name; empty where it never told one.
    pub name: String,
    /// What is the same after every restart.
    pub uuid: String,
    /// Its place on the bus; empty where it has none.
    pub bus: String,
    /// The driver and its version.
    pub driver: String,
}

impl Card {
    /// With names that are cut where they are longer than any card's.
    #[must_use]
    pub fn new(index: u32, [name, uuid, bus, driver]: [&str; 4]) -> Self {
        let cut = |name: &str| name.get(..name.floor_char_boundary(NAME_MOST)).unwrap_or_default().to_owned();
        Self { index, name: cut(name), uuid: cut(uuid), bus: cut(bus), driver: cut(driver) }
    }
}

/// Whose clock and program it was.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Origin {
    /// When the caller's first instant was, in milliseconds since 1970, by the clock as it was when the record was made.
    pub zero: i64,
    /// When the record was made, likewise.
    pub made: i64,
    /// The version of the program.
    pub program: String,
    /// The kernel's name of this run of the machine (`boot_id`); empty where it has none.
    pub boot: String,
}

/// The present run of the machine, as a start finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Boot<'a> {
    /// The kernel's name of it; empty where it has none.
    pub id: &'a str,
    /// When it began, in milliseconds since 1970 by the clock as it is now; none where that is not known.
    pub began: Option<i64>,
}

/// A machine that goes down and comes back by itself is there again within a quarter of an hour (a server's firmware takes minutes), in
/// milliseconds; a minute before, since a clock is set meanwhile.
const RESTART: RangeInclusive<i64> = -60_000..=900_000;

/// A record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flight {
    /// When and by whom it was made.
    pub origin: Origin,
    /// The card.
    pub card: Card,
    /// What that can at most.
    pub limits: Limits,
    /// What happened, the first of it first; nothing yet where the card was only near its limit.
    pub events: Vec<Event>,
    /// Of an abrupt end: whether the machine ran on, so that it was the daemon alone, or was started anew within a quarter of an hour; none
    /// where neither is known.
    pub ran_on: Option<bool>,
    /// The seconds, the oldest first.
    pub frames: Vec<Frame>,
}

impl Flight {
    /// When a moment of it was, in milliseconds since 1970.
    #[must_use]
    pub fn date(&self, at: u32) -> i64 {
        self.origin.zero.saturating_add(i64::from(at) * 100)
    }

    /// The moment that the others are counted from: what happened first, or the last that is known.
    #[must_use]
    pub fn event(&self) -> u32 {
        let last = self.frames.last().map_or(0, |frame| frame.at);
        self.events.first().map_or(last, |event| event.at)
    }

    /// The gravest that happened, if anything did.
    #[must_use]
    pub fn gravest(&self) -> Option<Trigger> {
        self.events.iter().map(|event| event.what).max()
    }

    /// Whether another, running record is this one as it was earlier: of the same card, with a part of what has happened.
    #[must_use]
    pub fn continues(&self, earlier: &Self) -> bool {
        let same = self.card.uuid == earlier.card.uuid && self.origin.boot == earlier.origin.boot;
        same && !earlier.events.is_empty() && self.events.starts_with(&earlier.events)
    }

    /// How long it is, in tenths of a second.
    #[must_use]
    pub fn span(&self) -> u32 {
        let first = self.frames.first().map(|frame| frame.at);
        first.zip(self.frames.last()).map_or(0, |(first, last)| last.at.saturating_sub(first))
    }

    /// The record of a running file that nobody has ended, as a start finds it in the present run of the machine.
    #[must_use]
    pub fn cut_off(mut self, boot: &Boot<'_>) -> Self {
        // Behind all that is known: an event may be of a moment after the first reading of its second.
        let (last, happened) =
            (self.frames.last().map(|frame| frame.at), self.events.last().map(|event| event.at));
        let at = last.max(happened).unwrap_or_default();
        if !self.has_ended_abruptly() {
            self.events.push(Event { at, what: Trigger::Abrupt });
        }
        self.ran_on = self.outlived(boot);
        self
    }

    /// Whether the machine outlived the daemon, which was last seen when the record was written.
    fn outlived(&self, boot: &Boot<'_>) -> Option<bool> {
        if boot.id.is_empty() || self.origin.boot.is_empty() {
            return None;
        }
        if boot.id == self.origin.boot {
            return Some(true);
        }
        // One that was started anew hours later may have run on until then, or have lain there without power.
        let away = boot.began?.saturating_sub(self.origin.made);
        RESTART.contains(&away).then_some(false)
    }

    fn has_ended_abruptly(&self) -> bool {
        self.events.iter().any(|event| event.what == Trigger::Abrupt)
    }

    /// What happened in that event, for people.
    #[must_use]
    pub fn words(&self, what: Trigger) -> &'static str {
        match (what, self.ran_on) {
            (Trigger::Abrupt, Some(true)) => {
                "the daemon ended abruptly, and the machine ran on: it was killed, or crashed"
            }
            (Trigger::Abrupt, Some(false)) => {
                "the machine went down with it, or was restarted within minutes: its power, a reset or a crash, or the card's own \
                 shutdown took it along"
            }
            (Trigger::Abrupt, None) if self.has_ended_abruptly() => {
                "the daemon ended abruptly; whether the machine went down with it is not known, since it was started anew much later, or \
                 does not tell"
            }
            _ => what.words(),
        }
    }
}
