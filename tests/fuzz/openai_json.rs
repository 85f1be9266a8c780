//! OpenAI's JSON, from clients and from engines: an answer or a fault and never a panic, the same one however
//! it is cut; what is passed on is what came, but for the edit; what is written can be read.
//!
//! An input is a body. Every reader is given it: a request may come from an engine, and an answer from a client.

mod answers;
mod mutation;
mod requests;

pub use mutation::{mutate, neighbours};

pub(crate) use answers::{LIMIT, NAME, chunks};

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

/// How deep serde_json's own values may be nested.
const DEPTH: usize = 127;

/// Holds every reader's answers against a reading of the whole as one value.
pub fn check(bytes: &[u8]) {
    requests::check(bytes);
    answers::check(bytes);
}

/// The value of a text that a reader has taken. None where serde_json has no value for it although it is JSON: numbers
/// beyond its floats, halves of surrogate pairs, and what is nested too deep for it.
pub(crate) fn value(bytes: &[u8]) -> Option<Value> {
    let error = match serde_json::from_slice(bytes) {
        Ok(value) => return Some(value),
        Err(error) => error.to_string(),
    };
    serde_json::from_slice::<IgnoredAny>(bytes).expect("what is taken is JSON");
    let known = ["number out of range", "surrogate", "hex escape", "recursion limit"];
    assert!(known.iter().any(|known| error.contains(known)), "taken, and yet: {error}");
    assert!(!error.contains("recursion limit") || depth(bytes) > DEPTH);
    None
}

/// The text as an engine's answer is passed on: the escape of U+FFFD for each half of a surrogate pair.
pub(crate) fn whole_characters(text: &[u8]) -> Vec<u8> {
    let unit = |at: usize| -> Option<u16> {
        let hex = text.get(at..at + 6)?.strip_prefix(b"\\u")?;
        u16::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()
    };
    let (mut out, mut at) = (Vec::new(), 0);
    while at < text.len() {
        let taken = match (unit(at), unit(at + 6)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
            (Some(0xd800..=0xdfff), _) => {
                out.extend(b"\\ufffd");
                at += 6;
                continue;
            }
            _ if text[at] == b'\\' => 2,
            _ => 1,
        };
        out.extend(text.iter().skip(at).take(taken));
        at += taken;
    }
    out
}

/// How deep a JSON text is nested.
fn depth(bytes: &[u8]) -> usize {
    let (mut depth, mut deepest, mut text) = (0_usize, 0, false);
    let mut bytes = bytes.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => text = !text,
            b'\\' if text => drop(bytes.next()),
            b'[' | b'{' if !text => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// The keys of an object, in their order, each as often as it is there.
struct Keys(Vec<String>);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Keys;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
                let mut keys = Vec::new();
                while let Some((key, IgnoredAny)) = map.next_entry()? {
                    keys.push(key);
                }
                Ok(Keys(keys))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

/// The value with one field replaced.
fn with(mut value: Value, key: &str, new: &str) -> Value {
    value[key] = new.into();
    value
}
