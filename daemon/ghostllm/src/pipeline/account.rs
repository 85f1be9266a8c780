//! The end of a request, told exactly once: completed, failed, or its client gone.
//!
//! Knows who asked for what and what the engine counted. Refuses to know what was said: no prompt and no answer
//! ever reaches the log.

use std::time::Instant;

use ghostllm_core::{ApiError, chat::Usage};

use super::ids::Id;
use crate::{
    backend::Lease,
    log::{OneLine, millis},
    store::keys::Caller,
};

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// Nobody has said yet; if nobody does, the client has left.
    Left,
    Completed,
    Failed,
}

/// One chat's account; dropping it settles it.
#[derive(Debug)]
pub(super) struct Account {
    id: Id,
    caller: Caller,
    model: String,
    backend: Lease,
    begun: Instant,
    outcome: Outcome,
    usage: Option<Usage>,
}

impl Account {
    pub(super) fn open(id: Id, caller: Caller, model: &str, backend: Lease) -> Self {
        Self {
            id,
            caller,
            model: model.to_owned(),
            backend,
            begun: Instant::now(),
            outcome: Outcome::Left,
            usage: None,
        }
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
        let (model, cause) = (OneLine(&self.model), OneLine(&cause));
        // A client's own mistake is nobody's alarm.
        if status.is_client_error() {
            tracing::info!(request = %self.id, backend = self.backend.backend().name(), %model, status = status.as_u16(), %cause, "a chat was refused");
        } else {
            tracing::warn!(request = %self.id, backend = self.backend.backend().name(), %model, status = status.as_u16(), %cause, "a chat failed");
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let usage = self.usage.unwrap_or_default();
        tracing::info!(
            request = %self.id,
            caller = %self.caller.name,
            key = self.caller.id.as_deref(),
            backend = self.backend.backend().name(),
            model = %OneLine(&self.model),
            outcome = ?self.outcome,
            prompt_tokens = usage.prompt_tokens,
            completion_tokens = usage.completion_tokens,
            ms = millis(self.begun),
            "chat"
        );
    }
}
