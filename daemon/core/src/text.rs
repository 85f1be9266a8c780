//! Letters that nobody sees, and sizes and times as people read them.
//!
//! Knows which characters have no glyph of their own. Refuses to know where text is shown.

/// Whether it leaves no mark of its own: a name that holds one looks like another name. Unicode 16, `Default_Ignorable_Code_Point` of
/// DerivedCoreProperties.txt.
#[must_use]
pub const fn is_invisible(letter: char) -> bool {
    matches!(
        letter,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Whether a terminal or a log would obey it, or show the text around it otherwise than it is.
#[must_use]
pub fn is_obeyed(letter: char) -> bool {
    letter.is_control() || is_invisible(letter) || matches!(letter, '\u{2028}' | '\u{2029}')
}

/// With what a terminal would obey written out, as `\u{1b}` or `\n`.
#[must_use]
pub fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        if is_obeyed(letter) {
            out.extend(letter.escape_default());
        } else {
            out.push(letter);
        }
    }
    out
}

/// The same, line breaks staying what they are.
#[must_use]
pub fn clean_lines(text: &str) -> String {
    text.split('\n').map(clean).collect::<Vec<_>>().join("\n")
}

/// JSON in one line, with nothing that a terminal would obey: such a letter is only ever inside a string, where JSON has a way
/// to write it, and a raw line break or tab is only ever outside.
#[must_use]
pub fn one_line(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for letter in json.trim().chars() {
        match letter {
            '\n' | '\r' | '\t' => {}
            letter if is_obeyed(letter) => {
                out.extend(letter.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
            }
            letter => out.push(letter),
        }
    }
    out
}

/// So many bytes, in the largest unit of which there is one, with one place behind the point; never more than there are.
#[must_use]
pub fn size(bytes: u64) -> String {
    const UNITS: [(&str, u32); 4] = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let unit = UNITS.into_iter().find(|(_, bits)| bytes >> bits > 0);
    let Some((name, bits)) = unit else { return format!("{bytes} B") };
    let (whole, rest) = (bytes >> bits, bytes & ((1 << bits) - 1));
    format!("{whole}.{} {name}", (rest * 10) >> bits)
}

/// So many seconds, in the largest unit of which there is one, of days two; never more than there are: `59 s`, `59 min`, `47 h`, `2 days`.
#[must_use]
pub fn long(seconds: u64) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    match seconds {
        ..MINUTE => format!("{seconds} s"),
        MINUTE..HOUR => format!("{} min", seconds / MINUTE),
        HOUR..172_800 => format!("{} h", seconds / HOUR),
        _ => format!("{} days", seconds / DAY),
    }
}

#[cfg(test)]
mod tests {
    use super::{clean, clean_lines, is_obeyed, long, one_line, size};

    #[test]
    fn a_time_is_never_said_to_be_longer_than_it_is() {
        for (seconds, shown) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (3599, "59 min"),
            (3600, "1 h"),
            (172_799, "47 h"),
            (172_800, "2 days"),
            (259_199, "2 days"),
            (u64::MAX, "213503982334601 days"),
        ] {
            assert_eq!(long(seconds), shown);
        }
    }

    #[test]
    fn a_size_is_never_said_to_be_more_than_it_is() {
        for (bytes, shown) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            ((1 << 20) - 1, "1023.9 KiB"),
            ((10 << 30) - 1, "9.9 GiB"),
            (10 << 30, "10.0 GiB"),
            (u64::MAX, "16777215.9 TiB"),
        ] {
            assert_eq!(size(bytes), shown);
        }
    }

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        assert_eq!(clean("a\x1b[31mb\n\u{9b}1m\u{202e}"), "a\\u{1b}[31mb\\n\\u{9b}1m\\u{202e}");
        assert_eq!(clean("Grüße, 模型 🦙"), "Grüße, 模型 🦙");
        assert_eq!(clean_lines("a\nb\tc"), "a\nb\\tc");
    }

    #[test]
    fn json_in_one_line_is_the_same_json_and_nothing_in_it_is_obeyed() {
        let json = "{\n  \"a\": \"x\u{9b}\u{202e}\\u001b\"\n}\n";
        let line = one_line(json);
        assert!(!line.chars().any(is_obeyed), "{line}");
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(read(&line), read(json));
    }
}
