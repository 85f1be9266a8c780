//! The fields of requests and answers that belong to no one route.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::operation::Tag;
use crate::{
    admission::PRIORITY,
    dialect::openai::table::{IGNORED, UNPROMISED},
};

/// A field of an answer, and what it says.
pub(super) const ANSWERS: [(&str, &str); 7] = [
    (
        "x-request-id",
        "The request's id: the client's own where it has sent a sane one, else one of ours. The log has it too.",
    ),
    ("traceparent", "The trace that the request belongs to (W3C Trace Context)."),
    (
        IGNORED,
        "The fields of the request of which nothing came, separated by commas; `+N` where N more are not named. It is not there \
         where there are none.",
    ),
    (
        UNPROMISED,
        "The field of the request that this engine was asked for and cannot be held to: `tool_choice`, where a call is wanted of an \
         Ollama, or of a server of OpenAI's API, of which some pass it over. The answer may be another one.",
    ),
    (
        "retry-after",
        "Seconds to wait before the next try. It stands in answers that are worth one, and in no other.",
    ),
    ("allow", "The methods that the path takes."),
    ("www-authenticate", "What is asked for: a key."),
];

/// A field of a request that is heeded wherever it stands.
pub(super) const REQUESTS: [(&str, &str); 3] = [
    (
        "x-request-id",
        "An id for the request, at most 128 letters; it is returned, logged and sent to the backend.",
    ),
    (
        "traceparent",
        "The trace that the request is a part of (W3C Trace Context); the backend is sent it with a new parent.",
    ),
    (
        PRIORITY,
        "`background`: the request has time, and gives way to those that somebody waits for; `interactive`: it has none, whatever its \
         `service_tier`. It counts where an engine on this machine answers.",
    ),
];

pub(super) fn answers() -> Map<String, Value> {
    let header = |(name, words): &(&str, &str)| {
        let kind = if *name == "retry-after" { json!({"type": "integer", "minimum": 0}) } else { text() };
        ((*name).to_owned(), json!({"description": words, "schema": kind}))
    };
    ANSWERS.iter().map(header).collect()
}

pub(super) fn requests() -> Map<String, Value> {
    let parameter = |(name, words): &(&str, &str)| {
        let described = json!({"name": name, "in": "header", "description": words, "schema": text()});
        ((*name).to_owned(), described)
    };
    REQUESTS.iter().map(parameter).collect()
}

fn text() -> Value {
    json!({"type": "string"})
}

/// The fields that are worth sending to routes of this kind.
pub(super) fn sent(tag: Tag) -> Vec<Value> {
    if !tag.asks_a_model() {
        return Vec::new();
    }
    REQUESTS.iter().map(|(name, _)| json!({"$ref": format!("#/components/parameters/{name}")})).collect()
}

/// The fields of an answer that is none of a failure.
pub(super) fn given(tag: Tag) -> Map<String, Value> {
    let of_models = [IGNORED, UNPROMISED].into_iter().filter(|_| tag.asks_a_model());
    referred(["x-request-id", "traceparent"].into_iter().chain(of_models))
}

/// The fields of a failure of this status.
pub(super) fn failed(status: StatusCode) -> Map<String, Value> {
    let own = match status {
        StatusCode::UNAUTHORIZED => Some("www-authenticate"),
        StatusCode::METHOD_NOT_ALLOWED => Some("allow"),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Some("retry-after"),
        _ => None,
    };
    referred(["x-request-id", "traceparent"].into_iter().chain(own))
}

fn referred<'a>(names: impl Iterator<Item = &'a str>) -> Map<String, Value> {
    names.map(|name| (name.to_owned(), json!({"$ref": format!("#/components/headers/{name}")}))).collect()
}
