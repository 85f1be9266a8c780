//! OpenAI's Responses: what its newer clients speak, Codex and `@ai-sdk/openai` by default.
//!
//! Knows the request's fields and items, the response object and the events of its stream. Refuses to know engines, and
//! to keep anything: each request holds its whole conversation. Invariants: what cannot be kept is refused by its field;
//! what is harmless and not acted on is named ([`ResponseRequest::ignored`]); a stream ends with exactly one of
//! `response.completed`, `response.incomplete` and `response.failed`.

mod echo;
mod input;
mod item;
mod request;
mod rows;
mod stream;
mod tools;
mod whole;

pub use echo::Echo;
pub use request::{ResponseRequest, parse_response};
pub use rows::ROWS;
pub use stream::ResponseStream;
pub use whole::ResponseWhole;

use crate::error::ApiError;

/// The name here of what a chat calls so, as errors do that were found once a request was read.
fn own_name(param: &str) -> &str {
    match param {
        "messages" => "input",
        "max_tokens" | "max_completion_tokens" => "max_output_tokens",
        "response_format" => "text.format",
        "reasoning_effort" | "think" => "reasoning.effort",
        "logprobs" => "include",
        other => other,
    }
}

/// The error, with the field's name that its client knows.
#[must_use]
pub fn in_own_words(error: ApiError) -> ApiError {
    match error.param().map(|param| own_name(param).to_owned()) {
        Some(own) => error.with_param(own),
        None => error,
    }
}
