//! What `ghostctl doctor` has found.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What `ghostctl doctor --json` prints. No route gives it: it is made beside the daemon, which may not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DoctorReport {
    /// The version of this form.
    pub version: u32,
    /// Every check, in the order in which they were made; one that has found several things stands there several times.
    pub checks: Vec<DoctorCheck>,
}

/// What a check has found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DoctorCheck {
    /// Its name, which stays.
    pub id: String,
    /// How it ended.
    pub result: DoctorResult,
    /// What is amiss; what was looked at, where nothing is.
    pub what: String,
    /// Why that matters; null where all is well.
    pub why: Option<String>,
    /// The next step; null where all is well.
    pub fix: Option<String>,
}

/// How a check ended, from the best to the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DoctorResult {
    /// All is well.
    Ok,
    /// Worth knowing; or it could not be looked at.
    Note,
    /// Part of the job is not done, or will not be.
    Warning,
    /// The job is not done.
    Error,
}
