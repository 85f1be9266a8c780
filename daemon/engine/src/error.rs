//! What a client is told when something fails.
//!
//! Knows OpenAI's error form and the status that belongs to each failure. Refuses to know causes in other rooms.
//! Invariant: every failure has a status, a type and a message that says what is wrong and what to do next, and none
//! repeats anything of a conversation.

use crate::weight::Allowance;
use http::StatusCode;
use serde_json::{Value, json};

/// Longer than any model's name: a path on the Hugging Face hub has at most 96 characters, a tag some more.
const NAME_BYTES: usize = 128;

/// What helps where a model's context is too short. Whoever asks can only do the first; the engine may have been started by the daemon,
/// from its configuration, or by hand.
const SHORTEN: &str = "shorten it, or have whoever runs this server allow a longer context, as far as the model was trained for it \
                       (engine.context in GhostLLM's configuration, --context of an engine started by hand)";

/// A failed request.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The HTTP status, where the answer has not begun.
    pub status: StatusCode,
    /// OpenAI's error type.
    pub kind: &'static str,
    /// A word for programs.
    pub code: Option<&'static str>,
    /// The field of the request that is at fault.
    pub param: Option<String>,
    /// For people.
    pub message: String,
}

impl Failure {
    /// The caller's fault, 400. `param` names the field.
    pub fn invalid(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self::refused("invalid_value", message).at(param)
    }

    /// A value that is not allowed, 400; `wanted` completes "must be".
    #[must_use]
    pub fn wrong_value(param: &str, wanted: &str) -> Self {
        Self::invalid(param, must_be(param, wanted))
    }

    /// A field that is not of the type that it must be, 400; `wanted` completes "must be".
    #[must_use]
    pub fn wrong_type(param: &str, wanted: &str) -> Self {
        Self::refused("invalid_type", must_be(param, wanted)).at(param)
    }

    /// A field that is not there, 400; `wanted` completes "must be".
    #[must_use]
    pub fn missing(param: &str, wanted: &str) -> Self {
        Self::refused(
            "missing_required_parameter",
            format!("The field '{param}' is required; it must be {wanted}."),
        )
        .at(param)
    }

    /// A field that this engine does not support, 400.
    pub fn unsupported(param: &str, message: impl Into<String>) -> Self {
        Self { code: Some("unsupported_parameter"), ..Self::invalid(param, message) }
    }

    /// The request is not JSON, 400.
    #[must_use]
    pub fn json(problem: &str) -> Self {
        Self::refused("invalid_json", format!("The request's body is not usable JSON: {problem}"))
    }

    /// The request is JSON, but not an object; 400.
    #[must_use]
    pub fn no_object() -> Self {
        Self::refused("invalid_type", "The request's body must be a JSON object.")
    }

    /// No such model, 404.
    #[must_use]
    pub fn model_not_found(model: &str) -> Self {
        // A long text, or one with spaces, is no name but something that went astray, and not to be repeated.
        let name = model.len() <= NAME_BYTES && model.bytes().all(|byte| byte.is_ascii_graphic());
        let named = if name { format!("no model {model:?}") } else { "no model of that name".to_owned() };
        // No path: the daemon keeps what looks like one from clients, and the whole sentence with it.
        let message = format!("There is {named} here; the list of models has those that there are");
        Self::new(StatusCode::NOT_FOUND, "invalid_request_error", Some("model_not_found"), message)
            .at("model")
    }

    /// What the field `at` says leaves no room for an answer, 400. `used`: how many tokens that has, if they were all counted.
    #[must_use]
    pub fn context(at: &str, limit: usize, used: Option<usize>) -> Self {
        let used = used.map_or_else(|| "many more".to_owned(), |used| used.to_string());
        // A template shows both in one text.
        let what = if at == "messages" { "messages and tools" } else { at };
        let message = format!(
            "This model's context is {limit} tokens, but of {what} alone there are {used}; {SHORTEN}"
        );
        Self::refused("context_length_exceeded", message).at(at)
    }

    /// The request was not taken in, since with this field it is heavier than anything that fits, 400.
    #[must_use]
    pub fn too_heavy(param: &str, allowance: &Allowance) -> Self {
        let Allowance { tokens, bytes, values } = allowance;
        let message = format!(
            "This model's context is {tokens} tokens, so that more than {bytes} bytes of text or {values} JSON values \
             together (messages, tools and template values, or a prompt) are not taken in; {param} goes beyond that: \
             {SHORTEN}"
        );
        Self::refused("context_length_exceeded", message).at(param)
    }

    /// Other bodies take all the room that there is for them, 503.
    #[must_use]
    pub fn no_room() -> Self {
        let message = "Long requests take all the room that there is for them; try again in a moment";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", Some("queue_full"), message)
    }

    /// The queue is full, 503.
    #[must_use]
    pub fn queue_full(limit: usize) -> Self {
        let message = format!("All {limit} places of the queue are taken; try again in a moment");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", Some("queue_full"), message)
    }

    /// A model's file cannot be used. `asked`: the caller named the file (400), else the engine did (500).
    pub fn model_file(asked: bool, message: impl Into<String>) -> Self {
        let (status, kind) = if asked {
            (StatusCode::BAD_REQUEST, "invalid_request_error")
        } else {
            (StatusCode::INTERNAL_SERVER_ERROR, "server_error")
        };
        Self::new(status, kind, Some("model_unusable"), message)
    }

    /// The engine itself failed, 500.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", Some("engine_error"), message)
    }

    fn refused(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", Some(code), message)
    }

    /// Any other failure.
    pub fn new(
        status: StatusCode,
        kind: &'static str,
        code: Option<&'static str>,
        message: impl Into<String>,
    ) -> Self {
        Self { status, kind, code, param: None, message: message.into() }
    }

    fn at(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// Seconds after which a retry makes sense.
    #[must_use]
    pub fn retry_after(&self) -> Option<u32> {
        (self.status == StatusCode::SERVICE_UNAVAILABLE).then_some(1)
    }

    /// OpenAI's error body.
    #[must_use]
    pub fn body(&self) -> Value {
        json!({"error": {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}})
    }
}

fn must_be(param: &str, wanted: &str) -> String {
    format!("The field '{param}' must be {wanted}.")
}
