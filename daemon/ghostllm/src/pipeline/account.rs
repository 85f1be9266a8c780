//! The end of a request, told exactly once: completed, failed, or its client gone.
//!
//! Knows who asked for what and what the engine counted. Refuses to know what was said: no prompt and no answer
//! ever reaches the log.

use std::sync::Arc;

use ghostllm_core::{ApiError, chat::Usage};

use super::requests::{Place, Request};
use crate::log::{OneLine, millis};

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// Nobody has said yet; if nobody does, the client has left.
    Left,
    Completed,
    Failed,
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }
}

/// One chat's account; dropping it settles it.
#[derive(Debug)]
pub(super) struct Account {
    place: Place,
    outcome: Outcome,
    usage: Option<Usage>,
}

impl Account {
    pub(super) fn open(place: Place) -> Self {
        Self { place, outcome: Outcome::Left, usage: None }
    }

    /// The request itself.
    pub(super) fn request(&self) -> &Arc<Request> {
        &self.place.request
    }

    /// The answer is whole.
    pub(super) fn completed(&mut self, usage: Option<Usage>) {
        (self.outcome, self.usage) = (Outcome::Completed, usage);
    }

    /// What the engine has counted so far.
    pub(super) fn counted(&mut self, usage: Option<Usage>) {
        self.usage = usage.or(self.usage);
    }

    /// It failed; `cause` is for the log, `shown` is what the client hears.
    pub(super) fn failed(&mut self, cause: &dyn std::fmt::Display, shown: &ApiError) {
        self.outcome = Outcome::Failed;
        let (status, cause) = (shown.status(), cause.to_string());
        let request = self.request();
        let (model, backend, cause) = (OneLine(&request.model), request.backend.as_str(), OneLine(&cause));
        // A client's own mistake is nobody's alarm.
        if status.is_client_error() {
            tracing::info!(request = %request.id, backend, %model, status = status.as_u16(), %cause, "a chat was refused");
        } else {
            tracing::warn!(request = %request.id, backend, %model, status = status.as_u16(), %cause, "a chat failed");
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let usage = self.usage.unwrap_or_default();
        let request = self.request();
        self.place.over(self.outcome.name());
        tracing::info!(
            request = %request.id,
            caller = %OneLine(&request.caller.name),
            key = request.caller.id.as_deref(),
            backend = request.backend.as_str(),
            model = %OneLine(&request.model),
            outcome = ?self.outcome,
            prompt_tokens = usage.prompt_tokens,
            completion_tokens = usage.completion_tokens,
            ms = millis(request.begun),
            "chat"
        );
    }
}
