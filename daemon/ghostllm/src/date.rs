//! Moments as people and programs read them.

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// RFC 3339 in UTC, in milliseconds at the finest. For people: it decides nothing.
pub(crate) fn rfc3339(at: OffsetDateTime) -> String {
    let at = at.to_offset(time::UtcOffset::UTC);
    let at = at.replace_millisecond(at.millisecond()).unwrap_or(at);
    // Only a year beyond 9999 has no such form.
    at.format(&Rfc3339).unwrap_or_else(|_| "9999-12-31T23:59:59Z".to_owned())
}

/// The same, of now.
pub(crate) fn now() -> String {
    rfc3339(OffsetDateTime::now_utc())
}
