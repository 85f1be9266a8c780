//! A request for an engine that speaks OpenAI's language itself.
//!
//! Knows the few fields that the daemon must read or change. Refuses to know the rest: unknown fields reach the
//! engine byte for byte. Invariant: outside the range of the model's name, and of fields that say nothing and have a
//! default, the bytes that go out are the bytes that came in.

mod defaults;

use std::ops::Range;

use bytes::{Bytes, BytesMut};

use super::fields::Fields;
use super::{media, request};
use crate::chat::Defaults;
use crate::config::Limits;
use crate::dialect::json;
use crate::error::ApiError;

use defaults::Sent;

#[cfg(test)]
mod tests;

/// What was read from a request that will be passed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    /// The model's name, as asked for.
    pub model: String,
    /// Whether the client wants a stream.
    pub stream: bool,
    /// Whether the stream shall end with the count of tokens.
    pub include_usage: bool,
    /// How many answers it wants, at least one.
    pub choices: u32,
    /// Where the model's name lies in the body, its quotes included.
    span: Range<usize>,
    /// What it says of all that may have a default.
    sent: Sent,
}

impl Passed {
    /// The body with another model's name, and not a byte changed elsewhere.
    ///
    /// `body` is the one that was inspected.
    #[must_use]
    pub fn with_model(&self, body: &Bytes, model: &str) -> Bytes {
        self.with(body, model, &Defaults::default())
    }

    /// The same, and each default in it of which the client has said nothing; the context length and the time that a model
    /// stays loaded are not among a request's fields in this language.
    ///
    /// `body` is the one that was inspected.
    #[must_use]
    pub fn with(&self, body: &Bytes, model: &str, defaults: &Defaults) -> Bytes {
        let mut edits = self.sent.filled(defaults);
        edits.extend(renamed(&self.span, (&self.model, model)));
        if edits.is_empty() {
            return body.clone();
        }
        json::edited(body, edits)
    }
}

/// The edit by which the model of one name, which lies in this range, gets another; none where that is the same.
pub(super) fn renamed(span: &Range<usize>, (from, to): (&str, &str)) -> Option<(Range<usize>, String)> {
    let mut name = BytesMut::new();
    json::write(&mut name, to);
    (from != to).then(|| (span.clone(), String::from_utf8_lossy(&name).into_owned()))
}

/// Reads what must be known of a request before it is passed on.
///
/// # Errors
/// 400 where the body is not a JSON object, a top-level key is doubled or refused, a count is out of range, or
/// media lie at a remote address.
pub fn inspect(body: &[u8], limits: &Limits) -> Result<Passed, ApiError> {
    let fields = Fields::read(body, limits.request_fields)?;
    let model = request::model(&fields, limits)?;
    let raw = fields.get("model").ok_or_else(|| ApiError::missing("model"))?;
    for name in ["max_tokens", "max_completion_tokens"] {
        fields.integer_or_none(name, 1, request::COUNT_LIMIT)?;
    }
    let choices = fields.integer("n", 1, request::CHOICES_LIMIT)?.unwrap_or(1);
    fields.integer("top_logprobs", 0, 20)?;
    fields.integer_or_none("top_k", 0, request::COUNT_LIMIT)?;
    fields.read_as::<i64>("seed", request::SEED)?;
    if let Some(messages) = fields.get("messages") {
        media::check_passed(messages, limits)?;
    }
    Ok(Passed {
        model,
        stream: request::stream(&fields)?,
        include_usage: request::include_usage(&fields)?,
        choices,
        span: json::span(body, raw.get()),
        sent: Sent::read(&fields, body),
    })
}
