//! What a client is told when something fails.
//!
//! Knows OpenAI's error form and the status that belongs to each failure. Refuses to know causes in other rooms.
//! Invariant: every failure has a status, a type and a message that says what is wrong and what to do next.

use http::StatusCode;
use serde_json::{Value, json};

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
        Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", None, message).at(param)
    }

    /// A field that this engine does not support, 400.
    pub fn unsupported(param: &str, message: impl Into<String>) -> Self {
        Self { code: Some("unsupported_parameter"), ..Self::invalid(param, message) }
    }

    /// The request is not JSON, or not the JSON that is expected; 400.
    pub fn json(error: &serde_json::Error) -> Self {
        let message = format!("the request's body is not usable JSON: {error}");
        Self {
            code: Some("invalid_json"),
            ..Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", None, message)
        }
    }

    /// No such model, 404.
    #[must_use]
    pub fn model_not_found(model: &str) -> Self {
        let message = format!("there is no model {model:?} here; GET /v1/models lists those that there are");
        Self::new(StatusCode::NOT_FOUND, "invalid_request_error", Some("model_not_found"), message)
            .at("model")
    }

    /// The messages leave no room for an answer, 400.
    #[must_use]
    pub fn context(limit: usize, used: usize) -> Self {
        let message = format!(
            "this model's context is {limit} tokens, but the messages alone have {used}; shorten them, or start the \
             engine with a larger --context"
        );
        let code = Some("context_length_exceeded");
        Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", code, message).at("messages")
    }

    /// The queue is full, 503.
    #[must_use]
    pub fn queue_full(limit: usize) -> Self {
        let message = format!("all {limit} places of the queue are taken; try again in a moment");
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
