//! How requests fail: OpenAI's error object, and every code with its status and its meaning.
//!
//! Invariant: a code more does not compile until it has a meaning here.

use std::collections::BTreeSet;

use http::StatusCode;
use schemars::JsonSchema;
use serde_json::{Map, Value, json};

use super::schemas::Schemas;
use crate::error::Code;
use crate::routes::{Access, Row, Verb};

/// What every failure is told in, before an answer has begun. In a stream that has begun it is the last event.
#[derive(JsonSchema)]
#[schemars(rename = "Error")]
#[expect(dead_code, reason = "it is read for its form alone")]
struct Envelope {
    /// What went wrong.
    error: Object,
}

/// What went wrong.
#[derive(JsonSchema)]
#[schemars(rename = "ErrorObject")]
#[expect(dead_code, reason = "it is read for its form alone")]
struct Object {
    /// For people: what is wrong, where, and what to do.
    message: String,
    /// Whose turn it is: `invalid_request_error`, `permission_error`, `rate_limit_error` or `server_error`.
    #[serde(rename = "type")]
    kind: String,
    /// The field of the request that is at fault, such as `messages[2].content`.
    param: Option<String>,
    /// For programs; the answers below name each. Newer versions may have more.
    code: Option<String>,
}

/// What any request may meet.
const ANY: [Code; 7] = [
    Code::InvalidRequest,
    Code::Forbidden,
    Code::UriTooLong,
    Code::Misdirected,
    Code::HeaderTooLarge,
    Code::RateLimited,
    Code::Internal,
];

/// What a request with a body may meet.
const BODY: [Code; 5] = [
    Code::InvalidJson,
    Code::InvalidType,
    Code::RequestTimeout,
    Code::PayloadTooLarge,
    Code::UnsupportedMediaType,
];

/// What a request that a model is asked for may meet.
pub(super) const MODEL: [Code; 13] = [
    Code::ModelNotFound,
    Code::BackendUnavailable,
    Code::BackendTimeout,
    Code::BackendError,
    Code::QueueFull,
    Code::Overloaded,
    Code::GpuThermal,
    Code::ContextLengthExceeded,
    Code::MissingParameter,
    Code::InvalidValue,
    Code::UnsupportedParameter,
    Code::RequestCancelled,
    Code::RateLimited,
];

/// What an act of an admin may meet.
pub(super) const ACT: [Code; 3] = [Code::InvalidValue, Code::MissingParameter, Code::StateUnwritable];

/// All that this route may meet, its own among it.
pub(super) fn statuses(row: &Row, own: &[Code]) -> BTreeSet<StatusCode> {
    let body = matches!(row.verb, Verb::Post | Verb::Patch);
    let key = (row.access != Access::Public).then_some(Code::InvalidApiKey);
    let body = if body { &BODY[..] } else { &[] };
    ANY.iter().chain(body).chain(own).chain(&key).map(|code| code.status()).collect()
}

/// The name of the answers of this status.
pub(super) fn component(status: StatusCode) -> String {
    format!("Error{}", status.as_str())
}

/// An answer of any other status.
pub(super) fn any(schemas: &mut Schemas) -> Value {
    json!({
        "description": "Any other failure.",
        "content": {"application/json": {"schema": schemas.given::<Envelope>()}},
    })
}

/// The answers of each status, with what each code means.
pub(super) fn responses(schemas: &mut Schemas) -> Map<String, Value> {
    let statuses: BTreeSet<StatusCode> = Code::ALL.iter().map(|code| code.status()).collect();
    let response = |status: StatusCode| {
        let codes = Code::ALL.iter().filter(|code| code.status() == status);
        let lines = codes.map(|code| format!("- `{}`: {}", name(*code), meaning(*code)));
        let words = status.canonical_reason().unwrap_or_default();
        let example = Code::ALL.iter().find(|code| code.status() == status).map(|code| {
            json!({"error": {
                "message": meaning(*code), "type": code.kind(), "param": null, "code": code.text(),
            }})
        });
        let response = json!({
            "description": format!("{words}\n\n{}", lines.collect::<Vec<_>>().join("\n")),
            "headers": super::headers::failed(status),
            "content": {"application/json": {"schema": schemas.given::<Envelope>(), "example": example}},
        });
        (component(status), response)
    };
    statuses.into_iter().map(response).collect()
}

/// A code's text; null is OpenAI's own word for one that has none.
pub(super) fn name(code: Code) -> &'static str {
    code.text().unwrap_or("null")
}

/// What a code tells, and what is to be done.
pub(super) const fn meaning(code: Code) -> &'static str {
    match code {
        Code::ModelNotFound => {
            "No backend has this model, or the key may not use it. GET /v1/models lists the ones that there are."
        }
        Code::InvalidApiKey => "The key is missing, not one of this box's, or over.",
        Code::BackendUnavailable => {
            "The model's backend cannot be reached, or still loads. Try again after Retry-After."
        }
        Code::BackendTimeout => "The model's backend took the request and said nothing for too long.",
        Code::BackendError => "The model's backend failed, or answered what it should not.",
        Code::QueueFull => "Every place and every waiting place is taken. Try again after Retry-After.",
        Code::Overloaded => "The box is short of memory or connections. Try again after Retry-After.",
        Code::GpuThermal => "The graphics card is too hot for more work. Try again after Retry-After.",
        Code::ContextLengthExceeded => "The conversation does not fit into the model's context: shorten it.",
        Code::InvalidRequest => "The request is wrong in a way that has no code; the message says how.",
        Code::InvalidJson => "The body is not JSON; the message has the line and the column.",
        Code::MissingParameter => "A field that must be there is not.",
        Code::InvalidType => "A field has the wrong type.",
        Code::InvalidValue => "A field has a value that is not allowed.",
        Code::UnsupportedParameter => {
            "A field that is not offered here, or not by the model's backend; the message says why."
        }
        Code::RateLimited => {
            "Too much came from this caller, or too many wrong keys from its address. Wait for Retry-After."
        }
        Code::Forbidden => "The key is good and does not allow this.",
        Code::RouteNotFound => "There is nothing at this path.",
        Code::MethodNotAllowed => {
            "The path does not take this method; the field Allow names those that it takes."
        }
        Code::RequestTimeout => "The request did not arrive in time.",
        Code::PayloadTooLarge => "The body is larger than limits.body.",
        Code::UnsupportedMediaType => "The body is not application/json, or packed in another way than zstd.",
        Code::Misdirected => "The host that was asked for is none of this box's names.",
        Code::HeaderTooLarge => {
            "The header fields are larger than limits.header_bytes or more than limits.header_count."
        }
        Code::UriTooLong => "The target is longer than limits.uri_bytes.",
        Code::NotFound => "What was asked for by its id is not there.",
        Code::Conflict => "What is there already stands against it.",
        Code::RequestCancelled => "An admin has ended this request.",
        Code::StateUnwritable => "The change could not be written to the disk, and was not made.",
        Code::StillGoing => "What was ordered takes longer, and goes on.",
        Code::Internal => "A defect of the daemon; its log has the cause under this request's id.",
    }
}
