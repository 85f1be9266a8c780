//! What `ghostctl logs` reads in the journal.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A line of `ghostctl logs --json`: one entry of the journal. No route gives it: it is read beside the daemon, which may not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogEntry {
    /// The version of this form.
    pub version: u32,
    /// When the journal took it.
    pub at: String,
    /// The unit that it is about.
    pub unit: String,
    /// The program that wrote it: the daemon, its engine, or systemd itself.
    pub program: String,
    /// How much it matters.
    pub level: LoggedLevel,
    /// The part of the program that said it; null where the program names none.
    pub target: Option<String>,
    /// What was said.
    pub message: String,
    /// What the message is about, by name. The journal keeps no order: of a name that stands there twice, both values, with a comma.
    pub fields: BTreeMap<String, String>,
    /// The process; null where that is not known.
    pub pid: Option<u32>,
    /// Its place in the journal, which `journalctl --after-cursor` takes as well.
    pub cursor: String,
}

/// How much a log entry matters, from the most to the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LoggedLevel {
    /// What failed.
    Error,
    /// What may fail soon.
    Warn,
    /// What happens.
    Info,
    /// How it happens.
    Debug,
    /// Every step.
    Trace,
}
