//! What is told to whoever wants to know what is amiss: each thing once when it has begun, and once when it is over.
//!
//! Knows causes and how long they last. Refuses to know how they are found, where they are told and the clock: moments are counted from an
//! instant that the caller has chosen once. Invariants: nothing counts as told before [`Ledger::told`] says so, so that what could not be told
//! is told later, if it is still so; what was told and comes and goes within [`CALM`] is one thing; no more than [`MOST`] are followed.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::admin::{Cause, FORM, Severity};

#[cfg(test)]
mod tests;

/// Something is over when it has not been seen for so long: a card that is hot every other second is hot.
pub const CALM: Duration = Duration::from_secs(30);
/// More at a time than a box has backends, cards and checks.
pub const MOST: usize = 256;

/// What is sent to the webhook, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Alert {
    /// Of this form: 1.
    pub version: u32,
    /// The box, by its name.
    pub host: String,
    /// When it was sent, as RFC 3339 has it, in UTC.
    pub at: String,
    /// All of it in words, a line for each: what programs show that know no more of it.
    pub text: String,
    /// What has become amiss.
    pub began: Vec<Cause>,
    /// What is no longer so, as it was seen last.
    pub ended: Vec<Cause>,
    /// How many things are amiss now, these among them.
    pub lasting: usize,
}

/// What is to be told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Change {
    /// What has become amiss.
    pub began: Vec<Cause>,
    /// What is over.
    pub ended: Vec<Cause>,
    /// How many things are amiss now.
    pub lasting: usize,
}

/// What is amiss, and what of it was told.
#[derive(Debug, Default)]
pub struct Ledger {
    all: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    cause: Cause,
    since: Duration,
    seen: Duration,
    told: bool,
}

impl Ledger {
    /// Takes what is amiss at this moment, and says what of it is to be told, or else nothing: what has lasted for `after` and was not told
    /// yet, and what was told and is over.
    pub fn look(&mut self, now: Duration, causes: &[Cause], after: Duration) -> Option<Change> {
        for cause in causes.iter().filter(|cause| cause.severity >= Severity::Warning) {
            self.see(now, cause);
        }
        // What is over before it was told never was.
        self.all.retain(|entry| entry.told || entry.seen == now);
        let is_over = |entry: &Entry| now.saturating_sub(entry.seen) >= CALM;
        let causes =
            |entries: &mut dyn Iterator<Item = &Entry>| entries.map(|entry| entry.cause.clone()).collect();
        let lasts = |entry: &&Entry| !entry.told && now.saturating_sub(entry.since) >= after;
        let began: Vec<Cause> = causes(&mut self.all.iter().filter(lasts));
        let ended: Vec<Cause> = causes(&mut self.all.iter().filter(|entry| is_over(entry)));
        let lasting = self.all.iter().filter(|entry| !is_over(entry)).count();
        (!began.is_empty() || !ended.is_empty()).then_some(Change { began, ended, lasting })
    }

    /// That was told.
    pub fn told(&mut self, change: &Change) {
        let is_of = |entry: &Entry, causes: &[Cause]| causes.iter().any(|cause| is_same(cause, &entry.cause));
        self.all.retain(|entry| !is_of(entry, &change.ended));
        for entry in &mut self.all {
            entry.told |= is_of(entry, &change.began);
        }
    }

    fn see(&mut self, now: Duration, cause: &Cause) {
        if let Some(entry) = self.all.iter_mut().find(|entry| is_same(&entry.cause, cause)) {
            // What has become worse is worth telling again.
            entry.told &= cause.severity <= entry.cause.severity;
            entry.cause.clone_from(cause);
            entry.seen = now;
        } else if self.all.len() < MOST {
            self.all.push(Entry { cause: cause.clone(), since: now, seen: now, told: false });
        }
    }
}

/// Of these there may be several at once, told apart by what their words begin with, up to the first colon: `the backend x does not answer:
/// timed out`. All others are about the box.
const SEVERAL: [&str; 10] = [
    "backend_down",
    "listener_missing",
    "gpu_lost",
    "gpu_silent",
    "gpu_memory",
    "gpu_xid",
    "gpu_heat",
    "task_rests",
    "health_check",
    "certificate_lacks",
];

/// Whether it is the same thing that is amiss, however its words go on.
fn is_same(one: &Cause, other: &Cause) -> bool {
    fn about(cause: &Cause) -> &str {
        let what = cause.what.as_str();
        let about = what.split_once(": ").map_or(what, |(about, _)| about);
        if SEVERAL.contains(&cause.code.as_str()) { about } else { "" }
    }
    one.code == other.code && about(one) == about(other)
}

impl Change {
    /// What is sent: from this box, at this moment.
    #[must_use]
    pub fn alert(&self, host: &str, at: &str) -> Alert {
        let Self { began, ended, lasting } = self.clone();
        let name = if host.is_empty() { "GhostLLM" } else { host };
        let began_lines = began
            .iter()
            .map(|cause| format!("{name}: {} ({}). Next: {}", cause.what, cause.code, cause.next));
        let ended_lines = ended.iter().map(|cause| format!("{name}: over: {} ({})", cause.what, cause.code));
        let text = began_lines.chain(ended_lines).collect::<Vec<_>>().join("\n");
        Alert { version: FORM, host: host.to_owned(), at: at.to_owned(), text, began, ended, lasting }
    }
}
