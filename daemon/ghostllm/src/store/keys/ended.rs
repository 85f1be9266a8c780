//! Keys whose time is over: that they stay so, and how long they are remembered.
//!
//! Knows when each key has ended. Refuses to know why. Invariants: that a key has ended is on the disk soon after, where a clock
//! that is lost cannot take it back; a key that opens is never left out.

use std::time::Instant;

use ghostllm_core::state::keys::StoredKey;
use time::{Duration, OffsetDateTime};

use super::{ChangeError, Keys};

/// For so long an ended key stays in the list: whoever wonders why it is taken no more should find it there.
pub(super) const REMEMBERED: Duration = Duration::days(30);
/// How soon what could not be written is tried again.
const AGAIN: std::time::Duration = std::time::Duration::from_secs(10);

/// Whether the key's time is over.
pub(super) fn has_ended(key: &StoredKey, now: OffsetDateTime) -> bool {
    key.expires.is_some_and(|expires| expires <= now)
}

/// Leaves out the first of those that have ended, as far as more than `most` are left. For want of room alone: a clock that runs ahead
/// for a moment must not take a key away for ever.
pub(super) fn forget(stored: &mut Vec<StoredKey>, most: usize, now: OffsetDateTime) {
    let surplus = stored.len().saturating_sub(most);
    if surplus == 0 {
        return;
    }
    let mut ends: Vec<_> =
        stored.iter().filter(|key| has_ended(key, now)).map(|key| (key.expires, key.id.clone())).collect();
    ends.sort_unstable();
    ends.truncate(surplus);
    stored.retain(|key| !ends.iter().any(|(_, id)| *id == key.id));
}

impl Keys {
    /// Whether [`Keys::tend`] has something to do.
    #[must_use]
    pub fn wants_tending(&self, now: OffsetDateTime) -> bool {
        let rests = self.0.tended.lock().is_ok_and(|failed| failed.is_some_and(|at| at.elapsed() < AGAIN));
        !rests && (self.has_unwitnessed(self.known(now)) || !self.closed().is_empty())
    }

    /// Sees to it that keys which have ended are known to have, also by a start whose clock is lost; and that those which were revoked
    /// while the disk could not be written are. Blocks.
    ///
    /// # Errors
    /// It cannot be written; it is tried again after a while.
    pub fn tend(&self, now: OffsetDateTime) -> Result<(), ChangeError> {
        let _writing = self.writing();
        let now = self.known(now);
        let tended = self.tended(now);
        if let Ok(mut failed) = self.0.tended.lock() {
            *failed = tended.is_err().then(Instant::now);
        }
        tended
    }

    fn tended(&self, now: OffsetDateTime) -> Result<(), ChangeError> {
        if !self.closed().is_empty() {
            self.save(self.stored())?;
            tracing::info!(
                "the keys that were revoked while nothing could be written are gone from the disk as well"
            );
        }
        if self.has_unwitnessed(now) {
            self.0.file.stamp(now.into())?;
            self.witness(now);
        }
        Ok(())
    }

    /// Whether a key has ended since the latest moment that the state bears witness to.
    fn has_unwitnessed(&self, now: OffsetDateTime) -> bool {
        let witnessed = self.witnessed();
        let since =
            |key: &StoredKey| key.expires.is_some_and(|expires| expires <= now && expires > witnessed);
        self.0.table.borrow().records().any(|key| since(&key.stored))
    }
}
