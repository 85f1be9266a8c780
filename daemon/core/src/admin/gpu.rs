//! What the cards say, what is made of it, and what it means for the requests.
//!
//! Knows the forms, and of what judges and decides the names alone, which are the same to everybody ([`GpuState`], [`GpuCause`]); nothing of
//! how a card is asked. Invariant: a reading that is missing says why, and is never a number ([`GpuReading`]).

mod card;
mod history;
mod reading;
pub mod wrong;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::heat::ByClass;
pub use crate::heat::{Cause as GpuCause, State as GpuState};
pub use card::{
    GpuCard, GpuClocks, GpuFaults, GpuInstance, GpuInstances, GpuLink, GpuMaker, GpuMargins, GpuMemory,
    GpuOutlook, GpuPlace, GpuPower, GpuProcess, GpuProcesses, GpuReason, GpuSensor, GpuShared, GpuSlower,
    GpuThrottle, GpuUtilisation,
};
pub use history::{GpuHistory, GpuPoint, GpuSpan};
pub use reading::{GpuReading, tenths};

/// `GET /gpu`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GpuReport {
    /// The version of this form.
    pub version: u32,
    /// When this was put together.
    pub at: String,
    /// What is done about heat.
    pub governor: GpuGovernor,
    /// Whose cards cannot be asked, and why; empty where nobody's is missed. Having no card at all is told here too, and is no fault.
    pub missing: Vec<GpuMissing>,
    /// The cards, by their `index`.
    pub cards: Vec<GpuCard>,
}

/// What is done about heat: for all cards together, as one gate stands in front of all backends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GpuGovernor {
    /// Whether it acts.
    pub mode: GpuMode,
    /// What is decided, or would be where it only watches; null where it is off, and before it has decided for the first time.
    pub decision: Option<GpuDecision>,
    /// How many may run at once, as it is kept to now: what is set (`gpu.interactive`, `gpu.background`) and what heat has lowered.
    pub limits: GpuLimits,
    /// How many requests run.
    pub running: GpuByClass,
    /// How many wait for their turn.
    pub waiting: GpuByClass,
}

/// Whether the governor acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GpuMode {
    /// It decides how many requests may run at once.
    On,
    /// It does not decide.
    Off,
    /// It says what it would decide, and nothing comes of it.
    Watch,
}

/// A number for each class of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct GpuByClass {
    /// Of those that somebody waits for.
    pub interactive: u32,
    /// Of those that have time.
    pub background: u32,
}

impl<T: Into<u32>> From<ByClass<T>> for GpuByClass {
    fn from(counts: ByClass<T>) -> Self {
        Self { interactive: counts.interactive.into(), background: counts.background.into() }
    }
}

/// How many requests of each class may run at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct GpuLimits {
    /// Of those that somebody waits for; null where there is no limit.
    pub interactive: Option<u32>,
    /// Of those that have time; null where there is no limit.
    pub background: Option<u32>,
}

/// What the governor has decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GpuDecision {
    /// How many requests may run at once; null where heat lowers nothing. Fewer than run already ends none of these.
    pub limits: GpuLimits,
    /// What is counted down from: what is set, or else the most that ran at once of late. No limit by itself.
    pub most: GpuByClass,
    /// What becomes of requests that have not begun.
    pub gate: GpuGate,
    /// `Retry-After` of those that are refused, in seconds; null where none is.
    pub retry_after: Option<u32>,
    /// Why.
    pub cause: GpuCause,
    /// The `index` of the card for whose sake it is so: the one that allows the least; null where no card stands in the way.
    pub card: Option<u32>,
    /// All of it in words, `4 of 8 interactive requests may run at once: it is 2 °C below where it gets slower`.
    pub words: String,
}

/// What becomes of requests that have not begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GpuGate {
    /// They begin as the limits allow.
    Open,
    /// None begins; they wait.
    Hold,
    /// New ones are answered with 503 `gpu_thermal`; those that wait go on waiting.
    Refuse,
}

/// Why nobody's cards of this maker can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GpuMissing {
    /// Whose cards.
    pub maker: GpuMaker,
    /// What is in the way.
    pub cause: GpuMissingCause,
    /// Whether somebody should act; false where there simply is no such card.
    pub fault: bool,
    /// What is wrong, and what to do next.
    pub words: String,
}

/// What is in the way of asking cards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GpuMissingCause {
    /// The driver's library is not there.
    NoLibrary,
    /// It is there and cannot be used.
    BadLibrary,
    /// The kernel's part of the driver is not loaded.
    DriverNotLoaded,
    /// Library and kernel module are of different versions, as after an upgrade.
    VersionMismatch,
    /// This user may not use the cards.
    NoPermission,
    /// A container or a control group keeps them away.
    Blocked,
    /// The driver runs and sees no card.
    NoCard,
    /// The driver does not answer.
    Hangs,
    /// Something else, which the words tell.
    Other,
}
