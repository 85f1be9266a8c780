//! Times as people tell them.

pub(crate) use ghostllm_core::text::long;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{Screen, text};

const HOUR: i64 = 3600;

/// `3 min ago`, `in 29 days`; the text itself where it is no time.
pub(crate) fn told(screen: &Screen, at: &str) -> String {
    let Ok(at) = OffsetDateTime::parse(at, &Rfc3339) else { return text::clean(at) };
    let seconds = (at - screen.now()).whole_seconds();
    match seconds {
        -9..=0 => "just now".to_owned(),
        ..-9 => format!("{} ago", long(seconds.unsigned_abs())),
        // To the nearest: what was made to last for 30 days does so "in 30 days", and not in 29 from the first second on.
        1..HOUR => format!("in {}", long(seconds.unsigned_abs())),
        HOUR..172_800 => format!("in {}", long(seconds.unsigned_abs() + 1800)),
        _ => format!("in {}", long(seconds.unsigned_abs() + 43_200)),
    }
}

/// A clock's time, for lines that are read later: `2026-11-28 14:42:00`, in UTC.
pub(crate) fn clock(at: &str) -> String {
    let text = text::clean(at);
    match (text.get(..10), text.get(10..11), text.get(11..19)) {
        (Some(day), Some("T"), Some(time)) if at.ends_with('Z') => format!("{day} {time}"),
        _ => text,
    }
}

/// Now, as the API writes it.
pub(crate) fn now() -> String {
    OffsetDateTime::now_utc()
        .replace_nanosecond(0)
        .ok()
        .and_then(|now| now.format(&Rfc3339).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_one_unit() {
        let screen = Screen::of_test(80, "2026-11-28T12:00:00Z");
        for (at, words) in [
            ("2026-11-28T12:00:00Z", "just now"),
            ("2026-11-28T11:59:30Z", "30 s ago"),
            ("2026-11-28T11:56:59.123Z", "3 min ago"),
            ("2026-11-27T13:00:00Z", "23 h ago"),
            ("2026-11-26T12:00:00Z", "2 days ago"),
            ("2026-12-28T11:59:59Z", "in 30 days"),
            ("2026-11-28T13:59:00Z", "in 2 h"),
            ("2026-11-28T12:05:00Z", "in 5 min"),
            ("2026-11-28T13:00:00+01:00", "just now"),
            ("soon\u{1b}", "soon\\u{1b}"),
        ] {
            assert_eq!(told(&screen, at), words, "{at}");
        }
        assert_eq!(clock("2026-11-28T11:57:00.123Z"), "2026-11-28 11:57:00");
        assert_eq!(clock("2026-11-28T11:57:00+01:00"), "2026-11-28T11:57:00+01:00");
    }
}
