//! What a client gets for its inputs: written anew for an engine of another language, or an engine's own answer, checked.
//!
//! Knows OpenAI's list of embeddings. Refuses to know how many are wanted, and in which form, but from the request. Invariant:
//! a client gets one vector for each of its inputs, in their order and in the form that it has asked for, or a fault.

use std::borrow::Cow;
use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{PassedEmbeddings, base64};
use crate::chat::Usage;
use crate::dialect::json::{self, Object};
use crate::embedding::{Embeddings, Encoding, Measure};
use crate::error::BackendFault;

/// An answer for the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vectors {
    /// The JSON body.
    pub body: Bytes,
    /// What the engine counted, where it said so; of an answer there are no tokens.
    pub usage: Option<Usage>,
    /// The length of each vector.
    pub dimensions: usize,
}

/// The answer to a request for this model, as the client has called it, with the numbers in this form.
#[must_use]
pub fn embeddings_body(embeddings: &Embeddings, model: &str, encoding: Encoding) -> Vectors {
    #[derive(Serialize)]
    struct Counted {
        prompt_tokens: u64,
        total_tokens: u64,
        /// A word of ours, as in a chat's.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        estimated: bool,
    }
    let dimensions = embeddings.dimensions();
    // A number has up to 12 characters and a comma, or five and a third.
    let each = 64 + dimensions * if encoding == Encoding::Base64 { 6 } else { 13 };
    let mut out = BytesMut::with_capacity(128 + model.len() + embeddings.vectors.len() * each);
    out.put_slice(b"{\"object\":\"list\",\"data\":[");
    for (place, vector) in embeddings.vectors.iter().enumerate() {
        if place > 0 {
            out.put_u8(b',');
        }
        out.put_slice(b"{\"object\":\"embedding\",\"index\":");
        json::write(&mut out, &place);
        out.put_slice(b",\"embedding\":");
        write(&mut out, vector, encoding);
        out.put_u8(b'}');
    }
    out.put_slice(b"],\"model\":");
    json::write(&mut out, model);
    out.put_slice(b",\"usage\":");
    let count = embeddings.prompt_tokens;
    let estimated = embeddings.estimated;
    json::write(&mut out, &Counted { prompt_tokens: count, total_tokens: count, estimated });
    out.put_u8(b'}');
    let usage = (count > 0).then(|| Usage { estimated, ..Usage::counted(count, 0) });
    Vectors { body: out.freeze(), usage, dimensions }
}

fn write(out: &mut BytesMut, vector: &[f32], encoding: Encoding) {
    match encoding {
        Encoding::Float => json::write(out, vector),
        Encoding::Base64 => {
            out.put_u8(b'"');
            base64::encode(out, vector);
            out.put_u8(b'"');
        }
    }
}

/// What must be known of an engine's answer.
#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<Object<Counted<'a>>>,
}

#[derive(Deserialize)]
struct Item<'a> {
    index: Option<usize>,
    #[serde(borrow)]
    embedding: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Counted<'a> {
    prompt_tokens: Option<u64>,
    total_tokens: Option<u64>,
    /// A word of ours, as in a chat's, of another GhostLLM.
    #[serde(borrow)]
    estimated: Option<&'a RawValue>,
}

/// A part of the answer that the client gets in another form.
type Edit = (Range<usize>, Bytes);

/// Checks an engine's answer of status 200, gives the model the name that the client asked for, and the numbers the form: some
/// engines know one form alone, and a client that has asked for one need not read the other.
///
/// # Errors
/// An error object, something that is no list of embeddings, vectors that are too few, too many, out of their order, of
/// different lengths or not of numbers.
pub fn check_embeddings(body: &Bytes, passed: &PassedEmbeddings) -> Result<Vectors, BackendFault> {
    let body = match json::paired(body) {
        Cow::Borrowed(_) => body.clone(),
        Cow::Owned(mended) => mended.into(),
    };
    let answer: Answer<'_> = json::read(&body, "answer").map_err(BackendFault::garbage)?;
    if answer.error.is_some() {
        return Err(BackendFault::ErrorLine { message: String::from_utf8_lossy(&body).into_owned() });
    }
    let mut edits: Vec<Edit> = Vec::new();
    let dimensions = match answer.data {
        Some(data) => items(&body, data, passed, &mut edits)?,
        None => return Err(BackendFault::garbage(format!("an answer of {} bytes without data", body.len()))),
    };
    if let Some(raw) = answer.model {
        let mut name = BytesMut::new();
        json::write(&mut name, &passed.model);
        edits.push((json::span(&body, raw.get()), name.freeze()));
    }
    let usage = answer.usage.and_then(|Object(counted)| {
        let prompt_tokens = counted.prompt_tokens.or(counted.total_tokens)?;
        // No prompt has none.
        let estimated = counted.estimated.is_some_and(|mark| mark.get() == "true");
        (prompt_tokens > 0).then(|| Usage { estimated, ..Usage::counted(prompt_tokens, 0) })
    });
    Ok(Vectors { body: edited(&body, edits), usage, dimensions })
}

/// The length of the vectors; what is of another form than the client's goes into `edits`.
fn items(
    body: &[u8],
    data: &RawValue,
    passed: &PassedEmbeddings,
    edits: &mut Vec<Edit>,
) -> Result<usize, BackendFault> {
    let mut measure = Measure::new(passed.inputs);
    let wrong = |place: usize| BackendFault::garbage(format!("an embedding of another form, number {place}"));
    let take = |place, Object(item): Object<Item<'_>>| {
        if item.index != Some(place) {
            return Err(BackendFault::garbage(format!("embedding number {place} without that index")));
        }
        let raw = item.embedding.ok_or_else(|| wrong(place))?;
        let (encoding, vector) = read(raw).ok_or_else(|| wrong(place))?;
        measure.take(&vector)?;
        if encoding != passed.encoding {
            let mut text = BytesMut::new();
            write(&mut text, &vector, passed.encoding);
            edits.push((json::span(body, raw.get()), text.freeze()));
        }
        Ok(())
    };
    json::each(data, take, |place, _what| wrong(place))?;
    measure.finish()
}

fn read(raw: &RawValue) -> Option<(Encoding, Vec<f32>)> {
    if raw.get().starts_with('"') {
        let text: Cow<'_, str> = serde_json::from_str(raw.get()).ok()?;
        return Some((Encoding::Base64, base64::decode(&text)?));
    }
    Some((Encoding::Float, serde_json::from_str(raw.get()).ok()?))
}

/// The body with these parts replaced.
fn edited(body: &Bytes, mut edits: Vec<Edit>) -> Bytes {
    if edits.is_empty() {
        return body.clone();
    }
    edits.sort_unstable_by_key(|(range, _)| range.start);
    let more: usize = edits.iter().map(|(_, text)| text.len()).sum();
    let (mut out, mut place) = (BytesMut::with_capacity(body.len() + more), 0);
    for (range, text) in edits {
        out.put_slice(body.get(place..range.start).unwrap_or_default());
        out.put_slice(&text);
        place = range.end;
    }
    out.put_slice(body.get(place..).unwrap_or_default());
    out.freeze()
}
