//! What the steps of the pipeline have told of a request, and what that comes to.
//!
//! Knows how each end is called. Refuses to know where it is told.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use ghostllm_core::{
    chat::Usage,
    error::Code,
    routes::{Endpoint, Row},
    usage::End,
};
use ghostllm_edge::room::Slot;
use http::StatusCode;

use super::{Record, Request};
use crate::{
    metrics::{self, Operation},
    store::{keys::Caller, usage::Ledger},
};

#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) row: Option<&'static Row>,
    pub(super) caller: Option<Caller>,
    pub(super) model: Option<String>,
    /// The model that answers, where the configuration has given it the name that was asked for.
    pub(super) target: Option<String>,
    pub(super) chat: Option<Arc<Request>>,
    /// Counts what it has used, since there is such a thing.
    pub(super) ledger: Option<Ledger>,
    /// None where not all of it was read.
    pub(super) bytes_in: Option<u64>,
    pub(super) usage: Option<Usage>,
    /// Until it went to its engine.
    pub(super) queued: Option<Duration>,
    /// When the engine said its first word.
    pub(super) first: Option<Instant>,
    /// When it had said all.
    pub(super) last: Option<Instant>,
    /// The last event of a stream was given.
    pub(super) over: bool,
    /// Its backend has listed the model that answers.
    pub(super) listed: bool,
    pub(super) failure: Option<Failure>,
    /// What was gathered of an answer that is given out whole is held until its reader has it.
    pub(super) held: Option<Slot>,
    /// Since there is an answer.
    pub(super) answer: Option<Answer>,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) code: Option<Code>,
    pub(super) bytes: u64,
    /// All of it was taken.
    pub(super) whole: bool,
    pub(super) broken: bool,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Completed,
    /// By the client's own mistake, or for want of a permission.
    Refused,
    Failed,
    /// There was no room for it, which is nobody's fault.
    Shed,
    /// Its client went before the answer's end.
    Left,
    /// Somebody else has ended it.
    Cancelled,
}

/// Who has ended a request before its answer's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pipeline) enum By {
    /// Whoever asked.
    Client,
    /// An admin.
    Admin,
    /// Its key, which is taken no more.
    Key,
    /// The end of the program.
    Shutdown,
}

/// Why an answer is none.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) cause: String,
    pub(super) code: Code,
    pub(super) by: Option<By>,
}

impl Told {
    pub(super) fn ended(&self) -> Ended {
        let Some(answer) = self.answer else { return Ended::Left };
        match &self.failure {
            Some(Failure { by: Some(_), .. }) => Ended::Cancelled,
            // A client's own mistake is nobody's alarm.
            Some(Failure { code, .. }) if code.status().is_client_error() => Ended::Refused,
            Some(Failure { code: Code::Overloaded, .. }) => Ended::Shed,
            Some(_) => Ended::Failed,
            None if answer.code == Some(Code::Overloaded) => Ended::Shed,
            None if answer.status.is_client_error() => Ended::Refused,
            None if answer.status.is_server_error() || answer.broken => Ended::Failed,
            None if answer.whole || self.over => Ended::Completed,
            None => Ended::Left,
        }
    }

    pub(super) fn by(&self, ended: Ended) -> Option<&'static str> {
        let by = self.failure.as_ref().and_then(|failure| failure.by);
        by.or((ended == Ended::Left).then_some(By::Client)).map(By::name)
    }

    pub(super) fn code(&self) -> Option<&'static str> {
        let failed = self.failure.as_ref().map(|failure| failure.code);
        let code = failed.or_else(|| self.answer.and_then(|answer| answer.code))?;
        // OpenAI has no code for it.
        Some(code.text().unwrap_or("invalid_request"))
    }

    /// The path, where its route does not say it.
    pub(super) fn path<'a>(&self, record: &'a Record) -> Option<&'a str> {
        let (_, path) = record.asked.as_ref()?;
        self.row.is_none_or(|row| row.path.contains('{')).then_some(path)
    }

    pub(super) fn generated<'a>(&self, record: &Record, chat: &'a Request) -> metrics::Chat<'a> {
        metrics::Chat {
            operation: self.operation(),
            model: self.listed.then_some(chat.routed.as_str()),
            backend: &chat.backend,
            provider: chat.provider,
            first: self.first.map(|first| first - record.begun),
            rest: self.first.zip(self.last).map(|(first, last)| last - first),
            // Histograms are of the engines' own counts.
            usage: self.usage.filter(|usage| !usage.estimated),
        }
    }

    /// What its engine was asked for, if it was asked.
    pub(super) fn operation(&self) -> Operation {
        match self.row.map(|row| row.endpoint) {
            Some(Endpoint::Completions) => Operation::Completion,
            Some(Endpoint::Embeddings) => Operation::Embeddings,
            _ => Operation::Chat,
        }
    }

    pub(super) fn subject(&self) -> &'static str {
        match self.row.map(|row| row.endpoint) {
            Some(Endpoint::Chat | Endpoint::Responses) => "a chat",
            Some(Endpoint::Completions) => "a completion",
            Some(Endpoint::Embeddings) => "a request for embeddings",
            _ => "a request",
        }
    }
}

impl Ended {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Shed => "shed",
            Self::Left => "left",
            Self::Cancelled => "cancelled",
        }
    }

    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Completed => "was answered",
            Self::Refused => "was refused",
            Self::Failed => "failed",
            Self::Shed => "found no room",
            Self::Left => "was left",
            Self::Cancelled => "was ended",
        }
    }
}

impl From<Ended> for End {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Completed => Self::Completed,
            Ended::Refused => Self::Refused,
            // There was no answer either.
            Ended::Failed | Ended::Shed => Self::Failed,
            Ended::Left | Ended::Cancelled => Self::Cancelled,
        }
    }
}

impl By {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Admin => "admin",
            Self::Key => "key",
            Self::Shutdown => "shutdown",
        }
    }
}
