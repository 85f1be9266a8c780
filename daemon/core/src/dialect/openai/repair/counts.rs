//! What an engine has counted, and what of that its client sees.
//!
//! Every engine is asked for its counts (`stream_options.include_usage`), whether its client wants them or not, which is why a client
//! that has not asked does not get the chunk that has nothing but them, nor the nulls that some engines, ours among them, have in each
//! other chunk then, as OpenAI does. llama.cpp's server puts its `timings` into that chunk, and into the one before where it is not asked
//! for counts (`to_json_oaicompat_chat_stream` in its `server-task.cpp`): there its client finds them.

use bytes::{BufMut, BytesMut};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Edit;
use crate::chat::Usage;
use crate::dialect::json::{self, Object};
use crate::error::BackendFault;

/// No answer has more tokens; contexts have millions.
const MOST: u64 = 1 << 40;

#[derive(Deserialize)]
struct WireUsage<'a> {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    #[serde(borrow)]
    prompt_tokens_details: Option<&'a RawValue>,
    #[serde(borrow)]
    completion_tokens_details: Option<&'a RawValue>,
    /// A word of ours: the engine is another GhostLLM, whose own has told no counts.
    #[serde(borrow)]
    estimated: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Details {
    cached_tokens: Option<u64>,
    reasoning_tokens: Option<u64>,
}

/// What they say; nothing where they are of another form, for which no answer is to fail.
fn details(raw: Option<&RawValue>) -> Option<Details> {
    serde_json::from_str(raw?.get()).map(|Object(details)| details).ok()
}

/// The counts of a chunk or an answer. Zeros are none: once it is asked for counts, Ollama's `/v1` has zeros in every chunk and its
/// counts in the last. What cannot be read, or cannot be true, is none either: no answer is to fail for it.
pub(in crate::dialect::openai) fn told(usage: &RawValue) -> Option<Usage> {
    let Object(wire) = serde_json::from_str::<Object<WireUsage<'_>>>(usage.get()).ok()?;
    let told = Usage {
        prompt_tokens: wire.prompt_tokens.unwrap_or(0),
        completion_tokens: wire.completion_tokens.unwrap_or(0),
        cached_tokens: details(wire.prompt_tokens_details).and_then(|details| details.cached_tokens),
        reasoning_tokens: details(wire.completion_tokens_details)
            .and_then(|details| details.reasoning_tokens),
        estimated: wire.estimated.is_some_and(|mark| mark.get() == "true"),
    };
    (1..=MOST).contains(&told.total_tokens()).then_some(told)
}

/// Whether an engine refuses to be asked for the counts of a stream. Those that check what they are sent say which field they do not
/// know, in words of their own.
#[must_use]
pub fn refuses_counts(fault: &BackendFault) -> bool {
    let BackendFault::Answered { status: 400 | 422, body, .. } = fault else { return false };
    ["stream_options", "include_usage"].iter().any(|name| body.contains(name))
}

/// Bytes of a text without its quotes, or of a list without its brackets.
pub(super) fn quoted_bytes(part: &RawValue) -> u64 {
    (part.get().len() as u64).saturating_sub(2)
}

/// A chunk, as it goes to the client.
#[derive(Debug)]
pub(super) struct Held(pub(super) BytesMut);

impl Held {
    /// The same chunk with llama.cpp's times, which it has none of.
    pub(super) fn add_timings(&mut self, timings: &RawValue) {
        let Self(chunk) = self;
        // An object, and its choices at least are in it.
        let Some(whole) = chunk.strip_suffix(END).map(<[u8]>::len) else { return };
        chunk.truncate(whole);
        chunk.put_slice(b",\"timings\":");
        chunk.put_slice(&json::flat(timings.get().as_bytes()));
        chunk.put_slice(END);
    }
}

/// How a chunk's event ends.
const END: &[u8] = b"}\n\n";

/// The edit that takes these counts out of a chunk, with their name and a comma; a name that is spelled with escapes keeps a null.
pub(super) fn hidden(chunk: &[u8], usage: &RawValue) -> Edit {
    let value = json::span(chunk, usage.get());
    let Some(before) = chunk.get(..value.start).and_then(before_name) else {
        return (value, "null".to_owned());
    };
    if let Some(before) = before.strip_suffix(b",") {
        return (before.len()..value.end, String::new());
    }
    // The first member: the comma behind it goes.
    let rest = chunk.get(value.end..).unwrap_or_default();
    let comma = rest.trim_ascii_start().strip_prefix(b",").map_or(0, |behind| rest.len() - behind.len());
    (before.len()..value.end + comma, String::new())
}

/// What stands before the name of the counts, whose value follows.
fn before_name(text: &[u8]) -> Option<&[u8]> {
    let name = text.trim_ascii_end().strip_suffix(b":")?.trim_ascii_end();
    name.strip_suffix(b"\"usage\"").map(<[u8]>::trim_ascii_end)
}
