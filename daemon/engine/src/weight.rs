//! What a conversation may weigh, in bytes of text and in JSON values, before anything is built from it.
//!
//! Knows how a model's context bounds what can be said to it. Knows nothing of fields, templates or HTTP. Invariant:
//! nothing is allocated for what is weighed but the list of an object's keys, and weighing ends where the allowance does. An object that has
//! a key twice is none: a tree keeps the last of them, and another reader the first.

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

/// llama.cpp rounds contexts up to a multiple of this (`GGML_PAD` in its `llama_context`).
const CONTEXT_STEP: u32 = 256;
/// Up to here, asking the template and the tokenizer costs tens of megabytes and milliseconds, and they are exact.
const LEAST_BYTES: usize = 256 << 10;
/// A vocabulary may have a token of hundreds of spaces, and llama.cpp's tokenizer takes up to eighty times the text's
/// size. Up to here that is taken into account for any context that can hold so much.
const AMPLE_BYTES: usize = 4 << 20;
/// Beyond that: no language, code or table fills a long context with more bytes a token than this.
const TOKEN_BYTES: usize = 16;
/// As [`LEAST_BYTES`], for JSON values: a tree of these takes some ten megabytes.
const LEAST_VALUES: usize = 16 << 10;
/// A value and its key, in a template that shows it, take several tokens; a message or a part of text has four values.
const TOKEN_VALUES: usize = 4;
/// A tree takes up to 360 bytes a value. A million tokens of JSON schemas have about so many.
const MOST_VALUES: usize = 256 << 10;

/// What may be said to one model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// The context, in tokens.
    pub tokens: usize,
    /// Bytes of text: more than this cannot fit into the context.
    pub bytes: usize,
    /// JSON values and keys.
    pub values: usize,
}

impl Allowance {
    /// For a context of `tokens` and a vocabulary whose longest token has so many bytes (`None` if that is unknown).
    #[must_use]
    pub fn new(tokens: u32, longest: Option<u64>) -> Self {
        let tokens = usize::try_from(tokens.checked_next_multiple_of(CONTEXT_STEP).unwrap_or(tokens))
            .unwrap_or(usize::MAX);
        let longest = longest.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(usize::MAX);
        let cap = AMPLE_BYTES.max(tokens.saturating_mul(TOKEN_BYTES));
        Self {
            tokens,
            bytes: tokens.saturating_mul(longest).clamp(LEAST_BYTES, cap),
            values: tokens.saturating_mul(TOKEN_VALUES).clamp(LEAST_VALUES, MOST_VALUES),
        }
    }
}

/// Why something was not weighed to its end.
#[derive(Debug)]
pub enum WeightError {
    /// It is heavier than what was left of the allowance.
    TooHeavy,
    /// An object in it has a key twice.
    Twice,
    /// It is no JSON that can be read; serde's words, which hold none of its text.
    Unreadable(serde_json::Error),
}

/// What is left of an allowance while a request's fields are weighed one after the other.
#[derive(Debug)]
pub struct Scale {
    bytes: usize,
    values: usize,
    spent: bool,
    twice: bool,
}

impl Scale {
    /// A scale on which nothing lies yet.
    #[must_use]
    pub fn new(allowance: &Allowance) -> Self {
        Self { bytes: allowance.bytes, values: allowance.values, spent: false, twice: false }
    }

    /// Adds this JSON text.
    ///
    /// # Errors
    /// See [`WeightError`].
    pub fn add(&mut self, json: &str) -> Result<(), WeightError> {
        let mut deserializer = serde_json::Deserializer::from_str(json);
        let weighed = (&mut *self).deserialize(&mut deserializer);
        weighed.map_err(|error| match (self.spent, self.twice) {
            (true, _) => WeightError::TooHeavy,
            (false, true) => WeightError::Twice,
            (false, false) => WeightError::Unreadable(error),
        })
    }

    /// Adds the values, but not the bytes, of a JSON text that lies in a string which was added already.
    ///
    /// # Errors
    /// See [`WeightError`].
    pub fn add_inner(&mut self, json: &str) -> Result<(), WeightError> {
        let mut inner = Self { bytes: usize::MAX, values: self.values, spent: false, twice: false };
        let weighed = inner.add(json);
        self.values = inner.values;
        weighed
    }

    fn take<E: Error>(&mut self, bytes: usize) -> Result<(), E> {
        let left = self.bytes.checked_sub(bytes).zip(self.values.checked_sub(1));
        let Some((bytes, values)) = left else {
            self.spent = true;
            return Err(E::custom("too heavy"));
        };
        (self.bytes, self.values) = (bytes, values);
        Ok(())
    }
}

/// A key: borrowed where it holds no escapes.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> DeserializeSeed<'de> for &mut Scale {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &mut Scale {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.take(0)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.take(0)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.take(0)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.take(0)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.take(0)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.take(text.len())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        self.take(0)?;
        while items.next_element_seed(&mut *self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        self.take(0)?;
        let mut keys = HashSet::new();
        while let Some(Key(key)) = entries.next_key()? {
            self.take(key.len())?;
            if !keys.insert(key) {
                self.twice = true;
                return Err(A::Error::custom("a key is there twice"));
            }
            entries.next_value_seed(&mut *self)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weigh(allowance: &Allowance, json: &str) -> Result<(), WeightError> {
        Scale::new(allowance).add(json)
    }

    #[test]
    fn the_limits_themselves_pass_and_one_more_does_not() {
        let allowance = |bytes, values| Allowance { tokens: 1, bytes, values };
        // Seven values and keys, five bytes of text.
        let json = r#"{"a": ["bc", null, 1.5], "\u0064": "e"}"#;
        weigh(&allowance(5, 8), json).unwrap();
        for (bytes, values) in [(4, 8), (5, 7)] {
            assert!(matches!(weigh(&allowance(bytes, values), json), Err(WeightError::TooHeavy)));
        }
    }

    #[test]
    fn fields_share_one_allowance() {
        let mut scale = Scale::new(&Allowance { tokens: 1, bytes: 3, values: 2 });
        scale.add("\"ab\"").unwrap();
        assert!(matches!(scale.add("\"ab\""), Err(WeightError::TooHeavy)));
    }

    #[test]
    fn what_is_there_twice_is_told_however_deep_and_however_it_is_spelled() {
        let weigh = |json: &str| weigh(&Allowance::new(8192, None), json);
        for json in [r#"{"a": 1, "b": 2, "a": 3}"#, r#"[{"f": {"name": 1, "n\u0061me": 1}}]"#] {
            assert!(matches!(weigh(json), Err(WeightError::Twice)), "{json}");
        }
        weigh(r#"[{"a": {"a": 1}}, {"a": 1, "A": 2}]"#).unwrap();
    }

    #[test]
    fn what_cannot_be_read_is_not_too_heavy() {
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        for json in ["\"\\ud800\"", "1e999", &deep] {
            let weighed = weigh(&Allowance::new(8192, None), json);
            assert!(matches!(weighed, Err(WeightError::Unreadable(_))), "{json}: {weighed:?}");
        }
    }

    #[test]
    fn a_context_gives_room_for_whatever_fills_it() {
        // Llama 3: its longest token has 128 spaces.
        let usual = Allowance::new(8192, Some(128));
        assert_eq!((usual.tokens, usual.bytes), (8192, 8192 * 128));
        // The context's padding counts; what is cheap passes always.
        let small = Allowance::new(300, Some(18));
        assert_eq!((small.tokens, small.bytes, small.values), (512, 256 << 10, 16 << 10));
        for tokens in [131_072, 1 << 20, 10_000_000] {
            let long = Allowance::new(tokens, Some(512));
            assert!(long.bytes >= 16 * long.tokens, "{long:?}");
            assert_eq!(long.values, 256 << 10);
        }
        let unknown = Allowance::new(u32::MAX, Some(u64::MAX));
        assert_eq!(unknown.values, 256 << 10);
        assert_eq!(Allowance::new(8192, None).bytes, 4 << 20);
    }
}
