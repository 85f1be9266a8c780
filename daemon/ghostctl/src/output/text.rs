//! Text on a screen: its width, its line breaks, and nothing in it that a terminal would obey.

use ghostllm_core::text::is_obeyed;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// With what a terminal would obey written out, as `\u{1b}` or `\n`.
pub(crate) fn clean(text: &str) -> String {
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
pub(crate) fn clean_lines(text: &str) -> String {
    text.split('\n').map(clean).collect::<Vec<_>>().join("\n")
}

/// JSON in one line, with nothing that a terminal would obey: such a letter is only ever inside a string, where JSON has a way
/// to write it, and a raw line break or tab is only ever outside.
pub(crate) fn one_line(json: &str) -> String {
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

/// Columns that it takes.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// At most so many columns, the last a `…` where something is left out.
pub(crate) fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let (whole, _) = split(text, columns.saturating_sub(1));
    format!("{whole}…")
}

/// Lines of at most so many columns, broken between words where that is possible. Never none.
pub(crate) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(2);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        let mut word = word;
        let gap = usize::from(!line.is_empty());
        if width(&line) + gap + width(word) > columns && !line.is_empty() {
            lines.push(std::mem::take(&mut line));
        }
        while width(word) > columns {
            let (part, rest) = split(word, columns);
            lines.push(part.to_owned());
            word = rest;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

/// As many letters as fit into so many columns, and the rest.
fn split(text: &str, columns: usize) -> (&str, &str) {
    let mut taken = 0;
    for (place, letter) in text.char_indices() {
        taken += letter.width().unwrap_or(0);
        if taken > columns {
            return text.split_at_checked(place).unwrap_or((text, ""));
        }
    }
    (text, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        assert_eq!(clean("a\x1b[31mb\n\u{9b}1m\u{202e}"), "a\\u{1b}[31mb\\n\\u{9b}1m\\u{202e}");
        assert_eq!(clean("Grüße, 模型 🦙"), "Grüße, 模型 🦙");
        assert_eq!(clean_lines("a\nb\tc"), "a\nb\\tc");
        let json = "{\n  \"a\": \"x\u{9b}\u{202e}\\u001b\"\n}\n";
        let line = one_line(json);
        assert!(!line.chars().any(is_obeyed), "{line}");
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(read(&line), read(json));
    }

    #[test]
    fn widths_count_columns_and_not_letters() {
        assert_eq!(cut("模型模型", 8), "模型模型");
        assert_eq!(cut("模型模型", 7), "模型模…");
        assert_eq!(cut("模型模型", 6), "模型…");
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abcd", 3), "ab…");
    }

    #[test]
    fn long_text_breaks_between_words_and_long_words_anywhere() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("", 7), [""]);
        assert_eq!(wrap("a abcdefghij b", 4), ["a", "abcd", "efgh", "ij b"]);
        assert_eq!(wrap("模型模型", 5), ["模型", "模型"]);
        for columns in 0..12 {
            for line in wrap("Qwen/Qwen3-Coder:480b is 模型 🦙🦙🦙", columns) {
                assert!(width(&line) <= columns.max(2), "{line:?} {columns}");
            }
        }
    }
}
