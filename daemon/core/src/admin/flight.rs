//! What `ghostllm inspect --flight` has found.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{GpuByClass, GpuCause, GpuGate, GpuReason, GpuState};
pub use crate::heat::flight::Trigger as FlightTrigger;

/// What `ghostllm inspect --flight --json` prints. No route gives it: it is read beside the daemon, which may not run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Flights {
    /// The version of this form.
    pub version: u32,
    /// The directory of the records.
    pub directory: String,
    /// All of them, the newest first.
    pub records: Vec<FlightRecord>,
    /// One of them with its minutes: the one that was asked for, or the newest that can be read; null where there is none.
    pub shown: Option<Flight>,
}

/// A record, as the list has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FlightRecord {
    /// Its file's name.
    pub name: String,
    /// Nobody has ended it: a daemon is at it, or ended abruptly, of which the next start makes a record.
    pub running: bool,
    /// When its file was last written.
    pub written: Option<String>,
    /// When it happened, or, where nothing has yet, its last moment; null where the file cannot be read.
    pub at: Option<String>,
    /// The card's number.
    pub card: Option<u32>,
    /// The card's name.
    pub card_name: Option<String>,
    /// The gravest that happened; null where nothing has yet, or where the file cannot be read.
    pub what: Option<FlightTrigger>,
    /// How many seconds it tells of.
    pub seconds: Option<u32>,
    /// Why it cannot be read; null where it can.
    pub fault: Option<String>,
}

/// A record with its minutes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Flight {
    /// Its file's name.
    pub name: String,
    /// When it was made.
    pub made: String,
    /// The version of the daemon that made it.
    pub program: String,
    /// The card.
    pub card: FlightCard,
    /// What happened, the first of it first.
    pub events: Vec<FlightEvent>,
    /// Of an abrupt end, whether the machine ran on; false where it was started anew within a quarter of an hour of it; null where there was
    /// none, or where neither is known.
    pub machine_ran_on: Option<bool>,
    /// The seconds, the oldest first. One in which nothing was read is not there.
    pub frames: Vec<FlightFrame>,
}

/// The card of a record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FlightCard {
    /// Its number.
    pub index: u32,
    /// The product's name; empty where it never told one.
    pub name: String,
    /// The same after every restart.
    pub uuid: String,
    /// Its place on the bus.
    pub bus: String,
    /// The driver and its version.
    pub driver: String,
    /// The chip's thresholds.
    pub gpu: FlightThresholds,
    /// Its memory's.
    pub memory: FlightThresholds,
    /// Its hottest place's.
    pub hotspot: FlightThresholds,
    /// The highest clock of what computes, in MHz.
    pub clock: Option<u16>,
    /// All of its memory, in MiB.
    pub memory_mib: Option<u32>,
}

/// Where something is done about heat, in degrees Celsius; null where that is not known.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct FlightThresholds {
    /// The driver lowers clocks.
    pub soft: Option<f64>,
    /// The hardware slows the card down.
    pub slowdown: Option<f64>,
    /// It switches itself off.
    pub shutdown: Option<f64>,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FlightEvent {
    /// When.
    pub at: String,
    /// How many seconds after the first of them.
    pub offset_s: f64,
    /// What.
    pub what: FlightTrigger,
    /// The same in words.
    pub words: String,
}

/// A second. Null is what was not read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FlightFrame {
    /// When.
    pub at: String,
    /// How many seconds after what happened first; below 0 before it.
    pub offset_s: f64,
    /// What the card was; of several readings the gravest.
    pub state: GpuState,
    /// The chip, in degrees Celsius; of several readings the hottest.
    pub celsius: Option<f64>,
    /// Its memory.
    pub memory_celsius: Option<f64>,
    /// Its hottest place.
    pub hotspot_celsius: Option<f64>,
    /// How many degrees its nearest sensor is below where the card gets slower.
    pub to_slower: Option<f64>,
    /// Below where its hardware slows it down.
    pub to_slowdown: Option<f64>,
    /// Below where it switches itself off.
    pub to_shutdown: Option<f64>,
    /// What it draws.
    pub watts: Option<f64>,
    /// What it may.
    pub watts_limit: Option<f64>,
    /// The clock of what computes, in MHz; of several readings the lowest.
    pub clock: Option<u16>,
    /// That of its memory.
    pub memory_clock: Option<u16>,
    /// Why these are not the highest.
    pub throttles: Option<Vec<GpuReason>>,
    /// How busy it is, in percent.
    pub utilisation: Option<u8>,
    /// Its fan, in percent.
    pub fan: Option<u8>,
    /// Its memory in use, in MiB.
    pub memory_used_mib: Option<u32>,
    /// How many requests of this machine's backends ran.
    pub running: GpuByClass,
    /// How many waited.
    pub waiting: GpuByClass,
    /// How many might run at once; null where nothing was decided.
    pub limits: Option<GpuByClass>,
    /// Of how many.
    pub most: Option<GpuByClass>,
    /// What became of new ones.
    pub gate: Option<GpuGate>,
    /// Why.
    pub cause: Option<GpuCause>,
}
