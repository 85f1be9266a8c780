//! Text on a screen: its width, its line breaks, and nothing in it that a terminal would obey.

pub(crate) use ghostllm_core::text::{clean, clean_lines, one_line};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

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
