//! `POST /api/embed`: a request from the internal form, and vectors from its answer.
//!
//! Knows the native fields. Refuses to know the client's dialect, and the older `/api/embeddings`, whose vectors are of any length.
//! Invariants: `truncate` is always false, since a text that is cut in silence has another meaning's vector; an answer is
//! believed only if it has a vector for each input, which Ollama's empty lists have not.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::chat::Defaults;
use crate::dialect::json;
use crate::embedding::{EmbeddingInput, EmbeddingRequest, Embeddings, Measure};
use crate::error::{ApiError, BackendFault};

#[cfg(test)]
mod tests;

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    input: &'a [String],
    truncate: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    dimensions: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_alive: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    options: Option<Options>,
}

#[derive(Serialize)]
struct Options {
    num_ctx: u32,
}

/// The body for a request to this model, as Ollama spells its name; with the context and the time that it stays loaded by the
/// administrator's choice, without which Ollama would load the model anew.
///
/// # Errors
/// 400 where the inputs are token ids, which Ollama does not take (recorded: `invalid input type`).
pub fn embed_body(request: &EmbeddingRequest, model: &str, defaults: &Defaults) -> Result<Bytes, ApiError> {
    let EmbeddingInput::Texts(texts) = &request.input else {
        let why = "The engine of this model takes no token ids. Send the texts themselves (with langchain-openai: \
                   check_embedding_ctx_length=False).";
        return Err(ApiError::unsupported("input", why));
    };
    let size: usize = texts.iter().map(|text| text.len() + 8).sum();
    let body = Body {
        model,
        input: texts,
        truncate: false,
        dimensions: request.dimensions,
        keep_alive: defaults.keep_alive,
        options: defaults.num_ctx.map(|num_ctx| Options { num_ctx }),
    };
    Ok(json::body(&body, 128 + size + size / 8))
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    embeddings: Option<&'a RawValue>,
    /// It is left out where it is zero.
    #[serde(default)]
    prompt_eval_count: u64,
}

/// Reads the answer to so many inputs.
///
/// # Errors
/// An error object, something that is no answer, vectors that are too few, too many, of different lengths or not of numbers.
pub fn parse_embed(body: &[u8], inputs: usize) -> Result<Embeddings, BackendFault> {
    let answer: Answer<'_> = json::read(body, "answer").map_err(BackendFault::garbage)?;
    if answer.error.is_some() {
        return Err(BackendFault::ErrorLine { message: String::from_utf8_lossy(body).into_owned() });
    }
    let Some(list) = answer.embeddings else {
        return Err(BackendFault::garbage(format!("an answer of {} bytes without embeddings", body.len())));
    };
    let (mut measure, mut vectors) = (Measure::new(inputs), Vec::new());
    let take = |_place, vector: Vec<f32>| {
        measure.take(&vector)?;
        vectors.push(vector);
        Ok(())
    };
    let wrong =
        |place, _what: &str| BackendFault::garbage(format!("a vector of another form, number {place}"));
    json::each(list, take, wrong)?;
    measure.finish()?;
    Ok(Embeddings { vectors, prompt_tokens: answer.prompt_eval_count, estimated: false })
}
