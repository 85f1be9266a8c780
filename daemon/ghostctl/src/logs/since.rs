//! A moment as a person writes it: `2h`, `today`, `2026-11-28 10:00`, `2026-11-28T10:00:00Z`.

use time::{OffsetDateTime, PrimitiveDateTime, Time, UtcOffset, format_description::well_known::Rfc3339};

use crate::span;

const RIGHT: &str = "write a span as 2h, a day as 2026-11-28, today or yesterday, a time of this box as '2026-11-28 10:00', or one \
                     in UTC as 2026-11-28T10:00:00Z";

/// The moment of such a text.
pub(super) fn parse(text: &str) -> Result<OffsetDateTime, String> {
    at(text, OffsetDateTime::now_utc(), |at| UtcOffset::local_offset_at(at).ok())
}

/// The same where it is `now`, and the box's clock is this far from UTC at each moment; none where that cannot be found out.
fn at(
    text: &str,
    now: OffsetDateTime,
    offset: impl Fn(OffsetDateTime) -> Option<UtcOffset>,
) -> Result<OffsetDateTime, String> {
    let text = text.trim();
    if let Ok(seconds) = span::parse(text.strip_suffix("ago").unwrap_or(text).trim_end()) {
        let span = i64::try_from(seconds).ok().map(time::Duration::seconds);
        return span
            .and_then(|span| now.checked_sub(span))
            .ok_or_else(|| "that is before all times".to_owned());
    }
    if let Ok(at) = OffsetDateTime::parse(text, &Rfc3339) {
        return Ok(at);
    }
    let unknown =
        || "this box's time zone cannot be read; write a time in UTC, as 2026-11-28T10:00:00Z".to_owned();
    let here = |written| local(written, &offset).ok_or_else(unknown);
    let midnight = |day: OffsetDateTime| {
        let offset = offset(day).ok_or_else(unknown)?;
        here(PrimitiveDateTime::new(day.to_offset(offset).date(), Time::MIDNIGHT))
    };
    match text {
        "today" => midnight(now),
        "yesterday" => midnight(now.saturating_sub(time::Duration::DAY)),
        _ => written(text).ok_or_else(|| RIGHT.to_owned()).and_then(here),
    }
}

/// A day, or a day with hours and minutes, as a clock shows it.
fn written(text: &str) -> Option<PrimitiveDateTime> {
    let rest = match text.len() {
        10 => "T00:00:00Z",
        16 => ":00Z",
        19 => "Z",
        _ => return None,
    };
    let whole = format!("{}{rest}", text.replacen(' ', "T", 1));
    let at = OffsetDateTime::parse(&whole, &Rfc3339).ok()?;
    Some(PrimitiveDateTime::new(at.date(), at.time()))
}

/// The moment at which this box's clock shows that. What it shows twice or never, when summer time ends or begins, is taken as it
/// was on one side of that.
fn local(
    written: PrimitiveDateTime,
    offset: impl Fn(OffsetDateTime) -> Option<UtcOffset>,
) -> Option<OffsetDateTime> {
    let near = written.assume_offset(offset(written.assume_utc())?);
    Some(written.assume_offset(offset(near)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Result<String, String> {
        let now = OffsetDateTime::parse("2026-11-28T23:30:00Z", &Rfc3339).unwrap();
        // Central Europe's, as far as these tests need it.
        let summer = OffsetDateTime::parse("2026-10-25T01:00:00Z", &Rfc3339).unwrap();
        let hours = |at| if at < summer { 2 } else { 1 };
        let found = at(text, now, |at| UtcOffset::from_hms(hours(at), 0, 0).ok())?;
        Ok(found.to_offset(UtcOffset::UTC).format(&Rfc3339).unwrap())
    }

    #[test]
    fn a_moment_is_a_span_a_day_or_a_time() {
        for (text, wanted) in [
            ("2h", "2026-11-28T21:30:00Z"),
            ("90m", "2026-11-28T22:00:00Z"),
            ("1d ago", "2026-11-27T23:30:00Z"),
            // It is half past midnight on the 29th where the box stands.
            ("today", "2026-11-28T23:00:00Z"),
            ("yesterday", "2026-11-27T23:00:00Z"),
            ("2026-11-28", "2026-11-27T23:00:00Z"),
            ("2026-11-28 10:00", "2026-11-28T09:00:00Z"),
            ("2026-11-28T10:00", "2026-11-28T09:00:00Z"),
            ("2026-11-28 10:00:30", "2026-11-28T09:00:30Z"),
            ("2026-10-25 02:30", "2026-10-25T01:30:00Z"),
            ("2026-10-24 10:00", "2026-10-24T08:00:00Z"),
            ("2026-11-28T10:00:00Z", "2026-11-28T10:00:00Z"),
            ("2026-11-28T10:00:00+05:30", "2026-11-28T04:30:00Z"),
        ] {
            assert_eq!(told(text).as_deref(), Ok(wanted), "{text}");
        }
        for text in
            ["", "2", "h", "soon", "2026-13-01", "2026-11-28 25:00", "28.11.2026", "2026-11-28 10", "äääää"]
        {
            let wrong = told(text).unwrap_err();
            assert!(wrong.contains("2h") && wrong.contains("2026-11-28 10:00"), "{text}: {wrong}");
        }
        assert!(told("999999999999w").is_err());
    }
}
