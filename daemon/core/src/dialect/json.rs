//! Writing and reading JSON without a tree in between.
//!
//! Knows serde_json and byte buffers. Refuses to know any dialect. Invariant: what is written is one JSON value.

use bytes::{BufMut, BytesMut};
use serde::{Deserialize, Serialize};

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

/// Reads a value from bytes that may be anything; the error is a sentence for the log, which says where and how much, and
/// never what: the bytes may be a person's words. The whole is checked to be UTF-8, also what the value ignores, since it
/// may be passed on.
pub(crate) fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8], what: &str) -> Result<T, String> {
    let length = bytes.len();
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Err(format!("{what}: {length} bytes that are not UTF-8"));
    };
    serde_json::from_str(text).map_err(|error| {
        let place = format!("line {} column {} of {length} bytes", error.line(), error.column());
        let form = if error.is_data() { "JSON of another form" } else { "no JSON" };
        format!("{what}: {form}, at {place}")
    })
}
