//! Moments that the state bears witness to: no clock that is right shows less.
//!
//! Knows the audit log and the box's own certificate; the keys know their own. Refuses to judge the clock. Invariant: what is
//! given was a real time at some moment, or the box's clock has said so.

use ghostllm_core::admin::Certificates;
use ghostllm_edge::ca::LEAF_LIFE;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    date,
    store::{audit::Audit, keys::Keys},
};

/// Tells the keys of them, and says so where the clock was lost. Blocks.
pub(super) fn tell(keys: &Keys, audit: &Audit, certificates: &Certificates, now: OffsetDateTime) {
    let read = |text: &String| OffsetDateTime::parse(text, &Rfc3339).ok();
    // An audit log that cannot be read is told by whoever asks for it.
    let last = audit.read(1).ok().and_then(|log| log.entries.last().and_then(|entry| read(&entry.at)));
    let server = &certificates.server;
    // A person's own has a life that nobody here knows.
    let made = server.renews.as_ref().and(server.expires.as_ref()).and_then(read).map(|end| end - LEAF_LIFE);
    keys.witness_all(last.into_iter().chain(made));
    if let Some(known) = keys.clock_lost(now) {
        tracing::warn!(
            clock = date::rfc3339(now),
            known = date::rfc3339(known),
            "the clock shows less than the state knows it to be: keys end by what is known, until the clock is right"
        );
    }
}
