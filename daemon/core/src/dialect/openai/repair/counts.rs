//! What an engine has counted, and what of that its client sees.
//!
//! Every engine is asked for its counts (`stream_options.include_usage`), whether its client wants them or not, which is why a client
//! that has not asked does not get the chunk that has nothing but them. llama.cpp's server puts its `timings` into that chunk, and into
//! the one before where it is not asked for counts (`to_json_oaicompat_chat_stream` in its `server-task.cpp`): there its client finds them.

use std::borrow::Cow;

use bytes::{BufMut, BytesMut};
use serde::Deserialize;
use serde_json::value::RawValue;

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

/// The chunk with null in the place of these counts, as long as before.
pub(super) fn blanked<'a>(chunk: &'a [u8], usage: &RawValue) -> Cow<'a, [u8]> {
    let mut shown = chunk.to_vec();
    let place = shown.get_mut(json::span(chunk, usage.get())).unwrap_or_default();
    match place.split_at_mut_checked(NULL.len()) {
        Some((begin, rest)) => {
            begin.copy_from_slice(NULL);
            rest.fill(b' ');
            shown.into()
        }
        // An empty object, which says as little.
        None => chunk.into(),
    }
}

/// No counts.
const NULL: &[u8] = b"null";
