//! The standing alert that state, the audit log, what requests have used, or what cards went through cannot be written.
//!
//! Knows whether the last write failed, and what the alert is called. Refuses to know what was written. Invariant: it is said once when it begins and
//! once when it is over, however many writes fail in between.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use super::StateError;

/// What it means where nobody may change anything that cannot be kept.
const REFUSED: &str =
    "Requests are served, and changes are refused until it can be written again; no restart is needed";

/// Shared by a state directory and the directories in it.
#[derive(Debug, Clone)]
pub(super) struct Alert {
    /// What it is called in the log.
    name: &'static str,
    /// What cannot be written.
    what: &'static str,
    /// What that means meanwhile; none where whoever writes says it.
    means: Option<&'static str>,
    /// How many bytes the failed write had, and at least one; 0 while all is well.
    failed: Arc<AtomicUsize>,
}

impl Default for Alert {
    fn default() -> Self {
        Self { name: "state_unwritable", what: "state", means: Some(REFUSED), failed: Arc::default() }
    }
}

impl Alert {
    /// The audit log's own: keys may be written while it cannot be.
    pub(super) fn audit() -> Self {
        Self { name: "audit_unwritable", what: "the audit log", means: Some(REFUSED), failed: Arc::default() }
    }

    /// That of what requests have used: it refuses nothing, and keys may be written while it cannot be, as on a disk that has room for
    /// these alone. What ended it would end an alert about them as well.
    pub(super) fn usage() -> Self {
        let means = "Requests are served, and what they use is counted in memory until it can be written again; no restart is needed";
        Self {
            name: "usage_unwritable",
            what: "what requests have used",
            means: Some(means),
            failed: Arc::default(),
        }
    }

    /// That of the flight recorder, which nothing waits for.
    pub(super) fn flight() -> Self {
        let means = "Requests are served, and what the cards go through is not kept until it can be written again; no restart is needed";
        Self {
            name: "flight_unwritable",
            what: "what the cards go through",
            means: Some(means),
            failed: Arc::default(),
        }
    }

    /// One that is not said: of files whose writer has an alert for all of them.
    pub(super) fn unsaid() -> Self {
        Self { means: None, ..Self::default() }
    }

    /// A write of so many bytes has failed.
    pub(super) fn raise(&self, bytes: usize, error: &StateError) {
        if self.failed.swap(bytes.max(1), Ordering::Relaxed) == 0
            && let Some(means) = self.means
        {
            tracing::error!(alert = self.name, "{error}. {means}");
        }
    }

    /// A write has succeeded.
    pub(super) fn clear(&self) {
        if self.failed.swap(0, Ordering::Relaxed) != 0 {
            self.say_over();
        }
    }

    /// A file was removed, which a full disk allows: that ends the alert of a removal and no other.
    pub(super) fn removed(&self) {
        if self.failed.compare_exchange(1, 0, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.say_over();
        }
    }

    fn say_over(&self) {
        if self.means.is_some() {
            tracing::info!(alert = self.name, over = true, "{} can be written again", self.what);
        }
    }

    /// How many bytes could not be written, while it stands.
    pub(super) fn standing(&self) -> Option<usize> {
        Some(self.failed.load(Ordering::Relaxed)).filter(|bytes| *bytes > 0)
    }
}
