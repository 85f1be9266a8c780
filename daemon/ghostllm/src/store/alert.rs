//! The standing alert that state, or the audit log, cannot be written.
//!
//! Knows whether the last write failed, and what the alert is called. Refuses to know what was written. Invariant: it is said once when it begins and
//! once when it is over, however many writes fail in between.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use super::StateError;

/// Shared by a state directory and the directories in it.
#[derive(Debug, Clone)]
pub(super) struct Alert {
    /// What it is called in the log.
    name: &'static str,
    /// What cannot be written.
    what: &'static str,
    /// How many bytes the failed write had, and at least one; 0 while all is well.
    failed: Arc<AtomicUsize>,
}

impl Default for Alert {
    fn default() -> Self {
        Self { name: "state_unwritable", what: "state", failed: Arc::default() }
    }
}

impl Alert {
    /// The audit log's own: keys may be written while it cannot be.
    pub(super) fn audit() -> Self {
        Self { name: "audit_unwritable", what: "the audit log", failed: Arc::default() }
    }

    /// A write of so many bytes has failed.
    pub(super) fn raise(&self, bytes: usize, error: &StateError) {
        if self.failed.swap(bytes.max(1), Ordering::Relaxed) == 0 {
            tracing::error!(
                alert = self.name,
                "{error}. Requests are served, and changes are refused until it can be written again; no restart is needed"
            );
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
        tracing::info!(alert = self.name, over = true, "{} can be written again", self.what);
    }

    /// How many bytes could not be written, while it stands.
    pub(super) fn standing(&self) -> Option<usize> {
        Some(self.failed.load(Ordering::Relaxed)).filter(|bytes| *bytes > 0)
    }
}
