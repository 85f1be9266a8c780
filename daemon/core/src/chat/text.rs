//! Words of a turn.
//!
//! Knows that they come inside of a JSON string and leave inside of another. Refuses to know whose. Invariant: between two quotes they
//! are one JSON string, of whole characters.

use std::borrow::Cow;
use std::fmt;

use crate::dialect::json::Quoted;

/// Words, spelled as JSON spells them, their quotes aside: a prompt of a megabyte has thousands of quotes and lines, and is kept as its
/// client has written it, for an engine that reads it as well.
#[derive(Clone, Default)]
pub struct Text(String);

impl Text {
    /// A line's end, as it is spelled.
    pub(crate) const LINE_END: &str = "\\n";

    /// The words.
    #[must_use]
    pub fn get(&self) -> Cow<'_, str> {
        self.quoted().text()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many bytes they are, however they are spelled.
    #[must_use]
    pub fn len(&self) -> usize {
        self.quoted().text_length()
    }

    /// The words as they are spelled.
    pub(crate) fn quoted(&self) -> Quoted<'_> {
        Quoted::inside(&self.0)
    }

    /// How many bytes they are as they are spelled.
    pub(crate) fn spelled_len(&self) -> usize {
        self.0.len()
    }

    /// Puts more behind them.
    pub(crate) fn push(&mut self, more: Quoted<'_>) {
        self.0.push_str(more.spelled());
    }

    /// Ends a line.
    pub(crate) fn push_line_end(&mut self) {
        self.0.push_str(Self::LINE_END);
    }
}

impl From<Quoted<'_>> for Text {
    fn from(words: Quoted<'_>) -> Self {
        Self(words.spelled().to_owned())
    }
}

impl From<&str> for Text {
    fn from(words: &str) -> Self {
        // A text can be written.
        let json = serde_json::to_string(words).unwrap_or_default();
        let inside = json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        Self(inside.unwrap_or_default().to_owned())
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl Eq for Text {}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.get() == other
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.get() == *other
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_are_equal_however_they_are_spelled() {
        let spelled = |json: &'static str| Text::from(Quoted::of(json).unwrap());
        let (short, long) = (spelled(r#""\"é/\ud83d\ude00\n""#), spelled(r#""\u0022\u00E9\/😀\u000a""#));
        assert_eq!(short, long);
        assert_eq!(short, "\"é/😀\n");
        assert_ne!(short, Text::from("\"é/😀"));
    }

    proptest! {
        #[test]
        fn words_are_those_that_came_and_are_counted(words in any::<String>(), more in any::<String>()) {
            let units: String = words.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
            let json = format!("\"{units}\"");
            let mut text = Text::from(Quoted::of(&json).unwrap());
            prop_assert_eq!(&text, &*words);
            prop_assert_eq!((text.len(), text.is_empty()), (words.len(), words.is_empty()));
            text.push_line_end();
            text.push(Text::from(&*more).quoted());
            prop_assert_eq!(text.len(), words.len() + 1 + more.len());
            prop_assert_eq!(text.get(), format!("{words}\n{more}"));
        }
    }
}
