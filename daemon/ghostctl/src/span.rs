//! A span of time as a person writes it: `30d`, `12h`, `90m`.

/// Units and their seconds.
const UNITS: [(&str, u64); 5] = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400), ("w", 604_800)];

/// Seconds of such a text.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits).unwrap_or_default();
    let factor = UNITS.iter().find(|(name, _)| *name == unit.trim_start()).map(|(_, factor)| factor);
    number
        .parse::<u64>()
        .ok()
        .zip(factor)
        .and_then(|(number, factor)| number.checked_mul(*factor))
        .ok_or_else(|| "write a number and one of s, m, h, d, w, as in 30d".to_owned())
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn spans_have_a_number_and_a_unit() {
        for (text, seconds) in [
            ("30d", 2_592_000),
            ("1d", 86_400),
            ("12h", 43_200),
            ("90 m", 5400),
            ("0s", 0),
            ("2w", 1_209_600),
        ] {
            assert_eq!(parse(text), Ok(seconds), "{text}");
        }
        for text in
            ["", "30", "d", "-1d", "1.5h", "1y", "1dd", "99999999999999999999s", "18446744073709551615w"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
