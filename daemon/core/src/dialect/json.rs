//! Writing and reading JSON without a tree in between.
//!
//! Knows serde_json and byte buffers. Refuses to know any dialect. Invariant: what is written is one JSON value.

use std::{borrow::Cow, fmt, marker::PhantomData};

use bytes::{BufMut, BytesMut};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

/// Whether a text is nested deeper than `most` levels, by its brackets outside of strings: deep nesting costs a parser its
/// stack long before it costs bytes.
#[must_use]
pub fn is_deeper(text: &[u8], most: usize) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                if depth > most {
                    return true;
                }
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// A struct that is read from a JSON object. By itself, a derived reader takes a list as well, its elements for the fields
/// in their order, which is no form of anybody's.
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Reader<T> {
            type Value = Object<T>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }

        deserializer.deserialize_map(Reader(PhantomData))
    }
}

/// A JSON text on one line, no longer and no shorter: JSON may hold line ends between its tokens, and nowhere else; a line
/// of an event may not.
pub(crate) fn flat(text: &[u8]) -> Cow<'_, [u8]> {
    let ends = |byte: &u8| matches!(byte, b'\r' | b'\n');
    if text.iter().any(ends) {
        text.iter().map(|byte| if ends(byte) { b' ' } else { *byte }).collect()
    } else {
        Cow::Borrowed(text)
    }
}

/// Appends a value. The values that are written here are strings, numbers and structs of them, with string keys
/// only, and a growing buffer takes any length: neither of serde_json's two ways to fail exists.
pub(crate) fn write<T: Serialize + ?Sized>(out: &mut BytesMut, value: &T) {
    let before = out.len();
    if serde_json::to_writer(out.writer(), value).is_err() {
        out.truncate(before);
        out.put_slice(b"null");
    }
}

/// Where a piece that was borrowed from a text begins and ends in it.
pub(crate) fn span(whole: &[u8], piece: &str) -> std::ops::Range<usize> {
    let start = (piece.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize);
    start..start.saturating_add(piece.len())
}

/// The text with one range replaced by a JSON string.
pub(crate) fn spliced(out: &mut BytesMut, whole: &[u8], range: std::ops::Range<usize>, text: &str) {
    out.put_slice(whole.get(..range.start).unwrap_or_default());
    write(out, text);
    out.put_slice(whole.get(range.end..).unwrap_or_default());
}

/// Reads an object from bytes that may be anything; the error is a sentence for the log, which says where and how much, and
/// never what: the bytes may be a person's words. The whole is checked to be UTF-8, also what the value ignores, since it
/// may be passed on.
pub(crate) fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8], what: &str) -> Result<T, String> {
    let length = bytes.len();
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Err(format!("{what}: {length} bytes that are not UTF-8"));
    };
    serde_json::from_str(text).map(|Object(value)| value).map_err(|error| {
        let place = format!("line {} column {} of {length} bytes", error.line(), error.column());
        let form = if error.is_data() { "JSON of another form" } else { "no JSON" };
        format!("{what}: {form}, at {place}")
    })
}
