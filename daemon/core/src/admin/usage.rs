//! What requests have used of the models.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::usage::Counts;

/// `GET /usage`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UsageReport {
    /// The version of this form.
    pub version: u32,
    /// From this day on, in UTC: `2026-11-01`.
    pub from: String,
    /// To this one, it included.
    pub to: String,
    /// What rows are told apart by: of `day`, `key` and `model`.
    pub by: Vec<String>,
    /// The newest day first, then by caller and model.
    pub rows: Vec<UsageRow>,
    /// Whether there are more rows than are given; they are in the total.
    pub more: bool,
    /// All of it together.
    pub total: Counts,
    /// Months of which not all is told, `2026-11`: their files cannot be read, or could not be used and are set aside, so that these
    /// months are counted anew.
    pub unreadable: Vec<String>,
}

/// What one caller has used of one model on one day, or a sum of such.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UsageRow {
    /// The day in UTC; null where rows are not told apart by it, as in what follows.
    pub day: Option<String>,
    /// The key's id; null for whoever needs none as well.
    pub key: Option<String>,
    /// What people call it: the key's name, its id where the key is no more, `local`, `uid N`, or `other` where there were more
    /// callers in a month than have rows of their own.
    pub caller: Option<String>,
    /// What its backend calls the model; `other` for what no backend has listed, and where there were more than have rows of their own.
    pub model: Option<String>,
    /// The counts.
    pub counts: Counts,
}
