//! Which form a scraper wants, by its `Accept` (RFC 9110 section 12.5.1).
//!
//! Invariant: whoever says nothing that is understood gets Prometheus' text, which everybody reads; nobody is refused for it.

use super::Format;

/// How much something is wanted, in thousandths, and how exactly it was named.
type Wish = Option<(u8, u16)>;

/// The form that is wanted most; where both are wanted alike, OpenMetrics, which was named.
pub(crate) fn wanted<'a>(accepts: impl Iterator<Item = &'a str>) -> Format {
    let (mut open, mut plain): (Wish, Wish) = (None, None);
    for range in accepts.flat_map(|value| value.split(',')) {
        let Some((kind, version, weight)) = read(range) else { continue };
        match (kind.as_str(), version) {
            ("application/openmetrics-text", None | Some("1.0.0")) => open = exacter(open, (3, weight)),
            ("text/plain", None | Some("0.0.4")) => plain = exacter(plain, (3, weight)),
            ("text/*", _) => plain = exacter(plain, (2, weight)),
            // Whoever takes anything is given what everybody reads.
            ("*/*", _) => plain = exacter(plain, (1, weight)),
            _ => {}
        }
    }
    let weight = |wish: Wish| wish.map_or(0, |(_, weight)| weight);
    if weight(open) > 0 && weight(open) >= weight(plain) { Format::OpenMetrics } else { Format::Prometheus }
}

/// The more exact of two, and of two alike the greater.
fn exacter(before: Wish, now: (u8, u16)) -> Wish {
    Some(before.map_or(now, |before| before.max(now)))
}

/// The type, its version, and its weight in thousandths; none for what is no media range.
fn read(range: &str) -> Option<(String, Option<&str>, u16)> {
    let mut parts = range.split(';').map(str::trim);
    let kind = parts.next().filter(|kind| kind.contains('/'))?.to_ascii_lowercase();
    let (mut version, mut weight) = (None, 1000);
    for (name, value) in parts.filter_map(|part| part.split_once('=')) {
        let value = value.trim().trim_matches('"');
        match name.trim().to_ascii_lowercase().as_str() {
            "version" => version = Some(value),
            "q" => weight = thousandths(value)?,
            _ => {}
        }
    }
    Some((kind, version, weight))
}

/// `0`, `1` or a number between them of three decimals at the most.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let decimals: u16 = format!("{decimals:0<3}").parse().ok()?;
    match whole {
        "0" => Some(decimals),
        "1" if decimals == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scrapers_get_what_they_want_most() {
        use Format::{OpenMetrics as O, Prometheus as P};
        let cases = [
            ("", P),
            ("*/*", P),
            ("text/html, application/xhtml+xml, */*;q=0.8", P),
            ("text/plain", P),
            ("text/plain;version=0.0.4", P),
            ("application/openmetrics-text", O),
            ("application/openmetrics-text; version=1.0.0; charset=utf-8", O),
            ("Application/OpenMetrics-Text;Version=\"1.0.0\"", O),
            ("application/openmetrics-text;version=2.0.0", P),
            ("application/openmetrics-text;version=0.0.1", P),
            ("application/openmetrics-text;q=0", P),
            ("application/openmetrics-text;q=0.000, */*", P),
            ("application/openmetrics-text, text/plain", O),
            ("application/openmetrics-text;q=0.3, text/plain;q=0.5", P),
            ("application/openmetrics-text;q=0.3, text/plain;q=0.2, */*;q=0.9", O),
            ("application/openmetrics-text;q=x", P),
            ("application/openmetrics-text;q=1.5", P),
            (";;;,,,=,/;q=", P),
            // What Prometheus 2.42 and 3.5 send.
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                 text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                O,
            ),
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,\
                 application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                 text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
                O,
            ),
        ];
        for (accept, expected) in cases {
            assert_eq!(wanted([accept].into_iter()), expected, "{accept}");
        }
        assert_eq!(wanted(["text/plain;q=0.1", "application/openmetrics-text"].into_iter()), O);
        assert_eq!(wanted(std::iter::empty()), P);
    }
}
