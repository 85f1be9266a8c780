//! What a client is told when something fails.
//!
//! Knows OpenAI's error object and the constructors for each kind of failure. Refuses to know what
//! went wrong inside: addresses, paths and causes belong in the log, beside the request id. Invariant: every
//! failure that a client sees is an [`ApiError`], and every [`Code`] has exactly one status, type and code text.

use bytes::{BufMut, Bytes, BytesMut};
use http::StatusCode;
use serde::Serialize;

mod code;
mod fault;
mod upstream;

use crate::key::hidden;

pub use code::Code;
pub use fault::{BackendFault, Stage};
pub use upstream::{classify, classify_within};

#[cfg(test)]
mod tests;

/// How long a client is asked to wait when a backend is down: half the ten seconds between two probes, so that
/// the retry meets a fresh answer about half the time and never waits for two.
pub const RETRY_AFTER_DOWN: u32 = 5;

/// How long a client is asked to wait when a queue is full: one short answer of a small model.
pub const RETRY_AFTER_BUSY: u32 = 2;

/// How long a client is asked to wait where the box has no room for it: as long as most short answers take, which then give theirs back.
pub const RETRY_AFTER_OVERLOAD: u32 = 5;

/// The only failure that a client ever sees. Small, because it travels in every `Result`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {}", self.code().text().unwrap_or("invalid_request_error"), self.message())]
pub struct ApiError(Box<Parts>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Parts {
    code: Code,
    message: String,
    param: Option<String>,
    retry_after: Option<u32>,
    allow: Option<String>,
}

#[derive(Serialize)]
struct Envelope<'a> {
    error: Object<'a>,
}

#[derive(Serialize)]
struct Object<'a> {
    message: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    param: Option<&'a str>,
    code: Option<&'a str>,
}

impl ApiError {
    /// An error of this code with this text, which a stranger may read: no addresses, paths or causes in it.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        // It may repeat what was asked for.
        let message = hidden(&message.into()).into_owned();
        Self(Box::new(Parts { code, message, param: None, retry_after: None, allow: None }))
    }

    /// The same error, naming the field of the request that is at fault (`messages[2].content`).
    #[must_use]
    pub fn with_param(mut self, param: impl Into<String>) -> Self {
        self.0.param = Some(param.into());
        self
    }

    /// The same error, in whose text this name stands for that one wherever it is a word by itself.
    #[must_use]
    pub fn renamed(mut self, from: &str, to: &str) -> Self {
        let text = &self.0.message;
        let inside = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
        let (mut out, mut rest) = (String::with_capacity(text.len()), 0);
        for (at, found) in text.match_indices(from).filter(|(_, found)| !found.is_empty()) {
            let (before, behind) = (&text[..at], &text[at + found.len()..]);
            if !before.ends_with(inside) && !behind.starts_with(inside) {
                out.push_str(&text[rest..at]);
                out.push_str(to);
                rest = at + found.len();
            }
        }
        out.push_str(&text[rest..]);
        self.0.message = out;
        self
    }

    /// The same error, asking the client to wait this many seconds before it tries again.
    #[must_use]
    pub fn with_retry_after(mut self, seconds: u32) -> Self {
        self.0.retry_after = Some(seconds);
        self
    }

    /// 404: no backend has a model of this name.
    #[must_use]
    pub fn model_not_found(model: &str) -> Self {
        let shown = clip(model, 128);
        Self::new(
            Code::ModelNotFound,
            format!("The model '{shown}' does not exist here. GET /v1/models lists the ones that do."),
        )
        .with_param("model")
    }

    /// 404: no backend has the model that the administrator has given this name to. Cut like the name itself.
    #[must_use]
    pub fn target_not_found(model: &str, target: &str) -> Self {
        let (shown, target) = (clip(model, 128), clip(target, 128));
        Self::new(
            Code::ModelNotFound,
            format!(
                "The model '{shown}' does not exist here: the box's admin has given that name to '{target}', which no backend \
                 has. GET /v1/models lists the models that exist."
            ),
        )
        .with_param("model")
    }

    /// 401: the key is missing or not one of ours. The text says which, never more.
    #[must_use]
    pub fn invalid_api_key(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidApiKey, message)
    }

    /// 503: the backend cannot be reached now; `retry_after` in seconds.
    #[must_use]
    pub fn backend_unavailable(message: impl Into<String>, retry_after: u32) -> Self {
        Self::new(Code::BackendUnavailable, message).with_retry_after(retry_after)
    }

    /// 504: the backend took the request and said nothing for too long.
    #[must_use]
    pub fn backend_timeout(message: impl Into<String>) -> Self {
        Self::new(Code::BackendTimeout, message)
    }

    /// 502: the backend failed or answered garbage.
    #[must_use]
    pub fn backend_error(message: impl Into<String>) -> Self {
        Self::new(Code::BackendError, message)
    }

    /// 503: the queue has no place left; `retry_after` in seconds.
    #[must_use]
    pub fn queue_full(retry_after: u32) -> Self {
        Self::new(Code::QueueFull, "Every place and every waiting place is taken. Try again shortly.")
            .with_retry_after(retry_after)
    }

    /// 503: its caller has as many requests waiting as one may; `retry_after` in seconds.
    #[must_use]
    pub fn share_full(retry_after: u32) -> Self {
        let why = "Every place is taken, and this caller's other requests have half of the waiting places, which is all that one \
                   caller gets. Try again shortly.";
        Self::new(Code::QueueFull, why).with_retry_after(retry_after)
    }

    /// 503: its turn has not come within `seconds`; `retry_after` in seconds.
    #[must_use]
    pub fn waited_too_long(seconds: u64, retry_after: u32) -> Self {
        Self::new(
            Code::QueueFull,
            format!(
                "Every place was taken for {seconds} s, for which this request waited. Try again shortly."
            ),
        )
        .with_retry_after(retry_after)
    }

    /// 503: this box has no room for one request of a model more; `of` completes "short of ...".
    #[must_use]
    pub fn overloaded(of: &str) -> Self {
        Self::new(
            Code::Overloaded,
            format!("This box is short of {of} and begins no further answer now. Try again shortly."),
        )
        .with_retry_after(RETRY_AFTER_OVERLOAD)
    }

    /// 503: the cards are too hot for more work; `retry_after` in seconds.
    #[must_use]
    pub fn gpu_thermal(retry_after: u32) -> Self {
        Self::new(
            Code::GpuThermal,
            "The graphics card is too hot to take more work. Try again when it has cooled.",
        )
        .with_retry_after(retry_after)
    }

    /// 400: the conversation does not fit into the model's context.
    #[must_use]
    pub fn context_length_exceeded(message: impl Into<String>) -> Self {
        Self::new(Code::ContextLengthExceeded, message).with_param("messages")
    }

    /// 400 without a code: what is wrong has no name of its own.
    #[must_use]
    pub fn invalid_request(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidRequest, message)
    }

    /// 400: the body is not JSON; line and column count from 1.
    #[must_use]
    pub fn invalid_json(what: &str, line: usize, column: usize) -> Self {
        Self::new(
            Code::InvalidJson,
            format!("The body is not valid JSON: {what} at line {line}, column {column}."),
        )
    }

    /// 400: this field is required.
    #[must_use]
    pub fn missing(param: impl Into<String>) -> Self {
        let param = param.into();
        Self::new(Code::MissingParameter, format!("The field '{param}' is required.")).with_param(param)
    }

    /// 400: this field has the wrong type; `expected` completes "must be ...".
    #[must_use]
    pub fn invalid_type(param: impl Into<String>, expected: &str) -> Self {
        let param = param.into();
        Self::new(Code::InvalidType, format!("The field '{param}' must be {expected}.")).with_param(param)
    }

    /// 400: this field stands twice in what holds it.
    #[must_use]
    pub fn doubled(param: impl Into<String>) -> Self {
        let param = param.into();
        let message = format!(
            "The field '{param}' is there twice: send it once. One reader takes the first of two, another one the last."
        );
        Self::new(Code::InvalidRequest, message).with_param(param)
    }

    /// 400: this field has a value that is not allowed; `expected` completes "must be ...".
    #[must_use]
    pub fn invalid_value(param: impl Into<String>, expected: &str) -> Self {
        let param = param.into();
        Self::new(Code::InvalidValue, format!("The field '{param}' must be {expected}.")).with_param(param)
    }

    /// 400: this field is not offered; `why` is a whole sentence.
    #[must_use]
    pub fn unsupported(param: impl Into<String>, why: &str) -> Self {
        let param = param.into();
        Self::new(Code::UnsupportedParameter, format!("The field '{param}' is not taken here. {why}"))
            .with_param(param)
    }

    /// 429: this caller has sent too much; `retry_after` in seconds.
    #[must_use]
    pub fn rate_limited(message: impl Into<String>, retry_after: u32) -> Self {
        Self::new(Code::RateLimited, message).with_retry_after(retry_after)
    }

    /// 403: who you are is known, and this is not for you.
    #[must_use]
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(Code::Forbidden, message)
    }

    /// 404: no such path. The path is the client's own text, so it is cut; `instead` is a whole sentence.
    #[must_use]
    pub fn route_not_found(method: &str, path: &str, instead: &str) -> Self {
        let (method, path) = (clip(method, 16), clip(path, 128));
        Self::new(Code::RouteNotFound, format!("There is nothing at {method} {path}. {instead}"))
    }

    /// 405: the path exists; `allow` is the value of the `Allow` header, such as `GET, HEAD`.
    #[must_use]
    pub fn method_not_allowed(method: &str, allow: &str) -> Self {
        let method = clip(method, 16);
        let mut error = Self::new(
            Code::MethodNotAllowed,
            format!("This path does not take the method {method}. It takes: {allow}."),
        );
        error.0.allow = Some(allow.to_owned());
        error
    }

    /// 408: the request did not arrive in time.
    #[must_use]
    pub fn request_timeout() -> Self {
        Self::new(Code::RequestTimeout, "The request did not arrive in time.")
    }

    /// 413: the body is larger than `limit` bytes.
    #[must_use]
    pub fn payload_too_large(limit: u64) -> Self {
        Self::new(Code::PayloadTooLarge, format!("The body is larger than the limit of {limit} bytes."))
    }

    /// 415: the body is not of a type that is taken.
    #[must_use]
    pub fn unsupported_media_type(message: impl Into<String>) -> Self {
        Self::new(Code::UnsupportedMediaType, message)
    }

    /// 421: the host asked for is not this machine's; the text names the setting that changes it.
    #[must_use]
    pub fn misdirected(message: impl Into<String>) -> Self {
        Self::new(Code::Misdirected, message)
    }

    /// 431: the header section is too large.
    #[must_use]
    pub fn header_too_large() -> Self {
        Self::new(Code::HeaderTooLarge, "The headers of the request are too large.")
    }

    /// 414: the target is too long.
    #[must_use]
    pub fn uri_too_long() -> Self {
        Self::new(Code::UriTooLong, "The address of the request is too long.")
    }

    /// 507: what was to be kept cannot be written, so nothing has changed. The path and the cause are in the log.
    #[must_use]
    pub fn state_unwritable() -> Self {
        Self::new(
            Code::StateUnwritable,
            "This change cannot be stored now, so nothing was changed: the box's disk is full, read-only or failing. \
             Its log says more. Try again when that is mended; no restart is needed.",
        )
    }

    /// 500: a defect of this daemon. What happened is in the log, under the request id.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(
            Code::Internal,
            "Something went wrong inside GhostLLM. The log has the cause under this request's id.",
        )
    }

    /// What kind of failure it is.
    #[must_use]
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.code.status()
    }

    /// The text for people.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The field of the request at fault.
    #[must_use]
    pub fn param(&self) -> Option<&str> {
        self.0.param.as_deref()
    }

    /// The value of `Retry-After`, in seconds.
    #[must_use]
    pub fn retry_after(&self) -> Option<u32> {
        self.0.retry_after
    }

    /// The value of `Allow`, for 405.
    #[must_use]
    pub fn allow(&self) -> Option<&str> {
        self.0.allow.as_deref()
    }

    /// The JSON body, `{"error":{"message","type","param","code"}}`, all four keys always there.
    #[must_use]
    pub fn body(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(160 + self.0.message.len());
        self.write(&mut out);
        out.freeze()
    }

    /// The last event of a stream that failed. No event name and no `[DONE]` after it: this form was read by
    /// every client that was tried, named events by few.
    #[must_use]
    pub fn stream_event(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(170 + self.0.message.len());
        out.put_slice(b"data: ");
        self.write(&mut out);
        out.put_slice(b"\n\n");
        out.freeze()
    }

    fn write(&self, out: &mut BytesMut) {
        let error = Object {
            message: &self.0.message,
            kind: self.0.code.kind(),
            param: self.0.param.as_deref(),
            code: self.0.code.text(),
        };
        crate::dialect::json::write(out, &Envelope { error });
    }
}

/// At most `limit` characters of a text that a client chose, control characters made visible.
fn clip(text: &str, limit: usize) -> String {
    let mut shown: String =
        text.chars().take(limit).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(limit).is_some() {
        shown.push('…');
    }
    shown
}
