//! Moments that the state bears witness to: no clock that is right shows less.
//!
//! Knows the audit log; the keys know their own. Not the box's certificate: one that was made while the clock was lost lasts for years,
//! and says nothing of when that was. Refuses to judge the clock. Invariant: what is given was the box's time at some moment.

use time::OffsetDateTime;

use crate::{
    date,
    store::{audit::Audit, keys::Keys},
};

/// Tells the keys of them, and says so where the clock was lost. Blocks.
pub(super) fn tell(keys: &Keys, audit: &Audit, now: OffsetDateTime) {
    // An audit log that cannot be read is told by whoever asks for it.
    keys.witness_all(audit.last().ok().flatten());
    if let Some(known) = keys.clock_lost(now) {
        tracing::warn!(
            clock = date::rfc3339(now),
            known = date::rfc3339(known),
            "the clock shows less than the state knows it to be: keys end by what is known, until the clock is right (timedatectl \
             set-ntp true) or, where it once ran ahead, until that time"
        );
    }
}
