//! What a backend did wrong.
//!
//! Knows the ways in which an engine can fail a request, with the details that the log wants. Refuses to know
//! sockets: whoever owns one says which of these happened. Invariant: the conversion to [`ApiError`] has no
//! wildcard arm, and no detail of a fault reaches a client unless [`classify`] found it harmless, or our own engine
//! tells how a file is mended.

use super::{ApiError, RETRY_AFTER_DOWN, classify, classify_within};

/// The most seconds of a wait that an engine asks for.
const LONGEST_REST: u32 = 3600;

/// Where a backend's silence began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The connection was not made in time.
    Connect,
    /// The request went out, and no byte of an answer came.
    FirstByte,
    /// An answer had begun, and stopped.
    Idle,
}

/// One failure of a backend. `Display` is for the log: it may hold addresses and causes, and never what a backend wrote,
/// which may repeat a prompt, an answer or a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BackendFault {
    /// No connection: refused, no route, no such socket, name not found, TLS refused.
    #[error("the backend cannot be reached: {detail}")]
    Unreachable {
        /// The cause, for the log.
        detail: String,
    },
    /// This program, or its system, has no descriptor left for a connection; of the backend nothing is known.
    #[error("there is no descriptor left for a connection to the backend: {detail}")]
    Full {
        /// The cause, for the log.
        detail: String,
    },
    /// There is no memory left to gather an answer that is to be given out whole; of the backend nothing is known.
    #[error("there is no memory left to gather the answer")]
    NoMemory,
    /// Nothing happened for too long.
    #[error("the backend was silent for too long ({stage:?})")]
    Timeout {
        /// When.
        stage: Stage,
    },
    /// The connection broke after the request was sent, before the end of the answer.
    #[error("the backend broke off: {detail}")]
    Died {
        /// The cause, for the log.
        detail: String,
    },
    /// The body ended cleanly, and the answer in it did not: no done line, no finish reason.
    #[error("the backend's answer ended before it was complete")]
    EndedEarly,
    /// The answer is not what the dialect allows.
    #[error("the backend answered garbage: {what}")]
    Garbage {
        /// What was found, for the log.
        what: String,
    },
    /// One line or one whole answer is larger than the limit, in bytes.
    #[error("the backend sent more than {limit} bytes where that is the limit")]
    TooLong {
        /// The limit that was passed.
        limit: usize,
    },
    /// The backend said, inside an answer that had begun well, that it failed.
    #[error("the backend reported an error in its stream, in {} bytes", message.len())]
    ErrorLine {
        /// The line or its error text, as sent.
        message: String,
    },
    /// Our own engine cannot use a model's file.
    #[error("its file cannot be used: {why}")]
    Unusable {
        /// What is wrong with the file and what to do about it, which names the file.
        why: String,
    },
    /// The backend answered with a status that is not a success.
    #[error("the backend answered with status {status} and {} bytes", body.len())]
    Answered {
        /// The status code.
        status: u16,
        /// The body, or its beginning.
        body: String,
        /// In how many seconds it may be asked again, where it has said so.
        retry_after: Option<u32>,
    },
}

impl BackendFault {
    /// The fault of an answer with a status other than 2xx; whoever read the body has bounded it.
    #[must_use]
    pub fn answered(status: u16, body: &[u8]) -> Self {
        Self::Answered { status, body: String::from_utf8_lossy(body).into_owned(), retry_after: None }
    }

    /// The same of an answer that has said in how many seconds it may be asked again; more than an hour is nobody's to wait for.
    #[must_use]
    pub fn again_after(mut self, seconds: Option<u32>) -> Self {
        if let Self::Answered { retry_after, .. } = &mut self {
            *retry_after = seconds.filter(|seconds| *seconds > 0).map(|seconds| seconds.min(LONGEST_REST));
        }
        self
    }

    /// This fault of our own engine; where it said that a file cannot be used, with what it said. No other engine is
    /// believed so far that a client reads its words about files.
    #[must_use]
    pub fn of_own_engine(self) -> Self {
        match &self {
            Self::Answered { body, .. } => unusable(body).map_or(self, |why| Self::Unusable { why }),
            _ => self,
        }
    }

    /// A line that breaks the dialect's rules.
    #[must_use]
    pub fn garbage(what: impl Into<String>) -> Self {
        Self::Garbage { what: what.into() }
    }
}

/// What our own engine says of a file that it cannot use, where that is what it says.
fn unusable(body: &str) -> Option<String> {
    let body: serde_json::Value = serde_json::from_str(body).ok()?;
    let error =
        body.get("error").filter(|error| error.get("code").is_some_and(|code| code == "model_unusable"))?;
    error.get("message")?.as_str().map(str::to_owned)
}

impl From<BackendFault> for ApiError {
    fn from(fault: BackendFault) -> Self {
        match fault {
            BackendFault::Unreachable { .. } | BackendFault::Timeout { stage: Stage::Connect } => {
                Self::backend_unavailable(
                    "The engine behind this model cannot be reached now. Is it running?",
                    RETRY_AFTER_DOWN,
                )
            }
            BackendFault::Full { .. } => Self::overloaded("descriptors"),
            BackendFault::NoMemory => Self::overloaded("memory"),
            BackendFault::Timeout { stage: Stage::FirstByte } => Self::backend_timeout(
                "The engine behind this model took the request and did not answer in time.",
            ),
            BackendFault::Timeout { stage: Stage::Idle } => {
                Self::backend_timeout("The engine behind this model stopped in the middle of its answer.")
            }
            BackendFault::Died { .. } => {
                Self::backend_error("The engine behind this model broke off before its answer was complete.")
            }
            BackendFault::EndedEarly => {
                Self::backend_error("The engine behind this model ended its answer before it was complete.")
            }
            BackendFault::Garbage { .. } => Self::backend_error(
                "The engine behind this model answered something that cannot be understood.",
            ),
            BackendFault::TooLong { limit } => Self::backend_error(format!(
                "The engine behind this model sent more than {limit} bytes where that is the limit."
            )),
            // Whoever asks is somebody on this box or has its key, and may be the one who can mend it.
            BackendFault::Unusable { why } => Self::backend_unavailable(
                format!("The file of this model cannot be used now: {why}"),
                RETRY_AFTER_DOWN,
            ),
            BackendFault::ErrorLine { message } => classify_within(&message),
            BackendFault::Answered { status, body, retry_after } => {
                let error = classify(status, &body);
                // Of what is not worth a second try its engine says nothing to a client.
                match retry_after.filter(|_| error.retry_after().is_some()) {
                    Some(seconds) => error.with_retry_after(seconds),
                    None => error,
                }
            }
        }
    }
}
