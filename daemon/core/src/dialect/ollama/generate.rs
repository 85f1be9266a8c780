//! A completion, from the internal form to the body of `POST /api/generate`.
//!
//! Knows the native fields. Refuses to know the client's dialect. Invariants: a text goes to the model as it is (`raw`), but for one
//! with a suffix, which the model's own template puts together; nothing is cut from it in silence; what the model writes is all given
//! as text, also where it looks like thoughts.

use bytes::{Bytes, BytesMut};
use serde::Serialize;

use super::request::Options;
use crate::completion::{CompletionRequest, MAX_TOKENS};
use crate::dialect::json;

#[cfg(test)]
mod tests;

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    prompt: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    suffix: Option<&'a str>,
    raw: bool,
    stream: bool,
    truncate: bool,
    /// A model that thinks would have what stands between its tags taken out of the text.
    think: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_logprobs: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_alive: Option<i64>,
    options: Options<'a>,
}

/// The body for a request to this model, as Ollama spells its name. It always asks for a stream: a whole answer is
/// gathered from it, so that silence and failures are seen while it is made.
#[must_use]
pub fn generate_body(request: &CompletionRequest, model: &str) -> Bytes {
    let body = Body {
        model,
        prompt: &request.prompt,
        suffix: request.suffix.as_deref(),
        // Ollama looks at a suffix by the template alone.
        raw: request.suffix.is_none(),
        stream: true,
        truncate: false,
        think: false,
        logprobs: request.logprobs.map(|_| true),
        top_logprobs: request.logprobs.filter(|&top| top > 0),
        keep_alive: request.keep_alive,
        options: Options {
            sampling: &request.sampling,
            stop: &request.stop,
            num_predict: Some(request.max_tokens.unwrap_or(MAX_TOKENS)),
            num_ctx: request.num_ctx,
        },
    };
    let mut out = BytesMut::with_capacity(256 + request.prompt.len() + request.prompt.len() / 8);
    json::write(&mut out, &body);
    out.freeze()
}
