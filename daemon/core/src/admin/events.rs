//! What happens, and who has done what.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One event of `GET /events`, a stream of server-sent events whose `id` is this one's, and whose `event` its kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// The version of this form.
    pub version: u32,
    /// Its place: what a client sends as `Last-Event-ID` to go on behind it.
    pub id: String,
    /// When.
    pub at: String,
    /// What: `request_begun`, `request_ended`, `backend`, `configuration`, `key`, `certificate`, `listener`, `audit`, or
    /// `missed` where events between the client's last one and the next are gone.
    pub kind: String,
    /// What exactly; its fields depend on the kind.
    pub what: serde_json::Map<String, serde_json::Value>,
}

/// `GET /audit`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditLog {
    /// The version of this form.
    pub version: u32,
    /// The newest last.
    pub entries: Vec<AuditEntry>,
    /// Whether there are older ones that were not asked for.
    pub more: bool,
}

/// One act of an admin, and a line of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditEntry {
    /// When.
    pub at: String,
    /// Who: a key's id, `uid N` over the admin socket, or `system`.
    pub who: String,
    /// What a person calls them: the key's name, or the user's.
    pub name: String,
    /// From where: `socket`, or an IP address.
    pub from: String,
    /// What they did, such as `keys.create`.
    pub act: String,
    /// On what: a key's id, a request's, a setting's name; null where the act says it all.
    pub on: Option<String>,
    /// `done`, `denied`, or `failed`.
    pub result: ActResult,
    /// More, for a person; never a secret.
    pub detail: Option<String>,
}

/// How an act ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ActResult {
    /// It was done.
    Done,
    /// Whoever asked was not allowed it.
    Denied,
    /// It could not be done.
    Failed,
}
