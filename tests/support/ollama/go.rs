//! Text as Go's standard library writes it: JSON strings with HTML escaped, RFC 3339 with nanoseconds, HTTP dates.
//!
//! Knows `encoding/json` and `time`; knows no route. Invariant: a JSON reader gets back exactly the string put in.

use std::fmt::Write as _;

use time::OffsetDateTime;

/// A JSON string as `encoding/json` writes it with its default of escaping HTML.
#[must_use]
pub(super) fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(character));
            }
            _ => out.push(character),
        }
    }
    out.push('"');
    out
}

/// A number of 32 bits as `encoding/json` writes it: as few digits as tell it, an exponent for what is very small or large.
#[must_use]
pub(super) fn float32(number: f32) -> String {
    let size = number.abs();
    if size == 0.0 || (1e-6..1e21).contains(&size) {
        return number.to_string();
    }
    let text = format!("{number:e}");
    if text.contains("e-") { text } else { text.replace('e', "e+") }
}

/// `time.RFC3339Nano` in UTC: trailing zeros of the fraction are dropped.
#[must_use]
pub(super) fn rfc3339(at: OffsetDateTime) -> String {
    let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
    let (hour, minute, second) = (at.hour(), at.minute(), at.second());
    let fraction = format!(".{:09}", at.nanosecond());
    let fraction = fraction.trim_end_matches('0').trim_end_matches('.');
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

/// The `Date` header.
#[must_use]
pub(super) fn http_date(at: OffsetDateTime) -> String {
    let weekday = at.weekday().to_string();
    let month = at.month().to_string();
    let (day, year) = (at.day(), at.year());
    let (hour, minute, second) = (at.hour(), at.minute(), at.second());
    format!("{}, {day:02} {} {year} {hour:02}:{minute:02}:{second:02} GMT", &weekday[..3], &month[..3])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_what_go_escapes() {
        assert_eq!(quote("a<b>&\"\\\n\u{1}\u{2028}é😀"), r#""a\u003cb\u003e\u0026\"\\\n\u0001\u2028é😀""#);
    }

    #[test]
    fn writes_numbers_as_go_does() {
        let written = [0.5, -0.043540757, 1e-6, 1e-7, -2.5e-9, 1e21, 16.0, 0.0].map(float32);
        assert_eq!(written, ["0.5", "-0.043540757", "0.000001", "1e-7", "-2.5e-9", "1e+21", "16", "0"]);
    }

    #[test]
    fn drops_trailing_zeros_of_the_fraction() {
        let at = OffsetDateTime::from_unix_timestamp_nanos(1_795_430_895_305_537_330).unwrap();
        assert_eq!(rfc3339(at), "2026-11-23T10:48:15.30553733Z");
        assert_eq!(http_date(at), "Mon, 23 Nov 2026 10:48:15 GMT");
        assert_eq!(rfc3339(OffsetDateTime::UNIX_EPOCH), "1970-01-01T00:00:00Z");
    }
}
