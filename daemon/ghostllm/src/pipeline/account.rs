//! The end of a chat, told exactly once: completed, failed, or its client gone.
//!
//! Knows what the engine counted, or what is estimated in its place. Refuses to know what was said. Invariant: whatever becomes of
//! the chat, its place in the list is given back, and its record has its end.

use std::{fmt::Display, sync::Arc, time::Instant};

use ghostllm_core::{ApiError, chat::Usage};
use ghostllm_edge::room::Stay;

use super::{
    record::{By, Record},
    requests::{Place, Request},
};
use crate::{gate::Turn, store::usage::Ledger};

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
    record: Arc<Record>,
    outcome: Outcome,
    /// Since when it waits for its engine.
    since: Instant,
    /// When the engine said its first word.
    first: Option<Instant>,
    /// When it had said all.
    last: Option<Instant>,
    /// All of it was given to its client, the last event as well.
    over: bool,
    /// Somebody has ended it.
    ended: bool,
    /// What it has of the box until then.
    stay: Stay,
    /// Its turn at the gate, until its engine has said all; none where other machines' cards answer.
    turn: Option<Turn>,
}

impl Account {
    pub(super) fn open(place: Place, record: Arc<Record>, stay: Stay, ledger: &Ledger) -> Self {
        record.chat(&place.request, ledger);
        let (outcome, since, turn) = (Outcome::Left, Instant::now(), None);
        Self { place, record, outcome, since, first: None, last: None, over: false, ended: false, stay, turn }
    }

    /// It has come, or waits for it.
    pub(super) fn has(&mut self, turn: Turn) {
        self.turn = Some(turn);
    }

    /// The request itself.
    pub(super) fn request(&self) -> &Arc<Request> {
        &self.place.request
    }

    /// By which its client knows it.
    #[cfg(feature = "freeze")]
    pub(super) fn trace(&self) -> &crate::trace::Trace {
        &self.record.trace
    }

    /// The answer is whole.
    pub(super) fn completed(&mut self, usage: Usage) {
        // No first word of its own: an answer in one piece says all at once.
        self.place.request.meter.comes_to(usage);
        self.last = Some(Instant::now());
        self.outcome = Outcome::Completed;
        // Its client may take its time with what is left.
        self.turn = None;
    }

    /// The same, of an answer that is given out whole: its client may take its time.
    pub(super) fn gathered(&mut self, usage: Usage) {
        self.record.holds(self.stay.slot());
        self.completed(usage);
    }

    /// An engine's words for whoever has asked: a model that was asked for by another name is called by that one, since its caller need
    /// not know, nor be told, what it stands for.
    pub(super) fn in_its_words(&self, error: ApiError) -> ApiError {
        match self.record.names() {
            Some((asked, target)) => {
                let short = target.strip_suffix(":latest").unwrap_or(&target).to_owned();
                error.renamed(&target, &asked).renamed(&short, &asked)
            }
            None => error,
        }
    }

    /// The last event of a stream has been given.
    pub(super) fn over(&mut self, usage: Usage) {
        self.completed(usage);
        self.over = true;
    }

    /// The engine has said something; what is known of its counts so far.
    pub(super) fn counted(&mut self, usage: Usage) {
        self.first.get_or_insert_with(Instant::now);
        self.place.request.meter.comes_to(usage);
    }

    /// It failed, by somebody's doing or by itself; `cause` is for the log, `shown` is what the client hears.
    pub(super) fn failed(&mut self, cause: &dyn Display, shown: &ApiError, by: Option<By>) {
        self.outcome = Outcome::Failed;
        self.turn = None;
        self.ended = by.is_some();
        self.record.failed(cause, shown, by);
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.place.over(self.outcome.name());
        let queued = self.stay.opened().map(|opened| opened.duration_since(self.since));
        let meter = &self.place.request.meter;
        // Its engine was at work on what it was asked, for somebody who did not wait.
        let left = queued.is_some() && (self.outcome == Outcome::Left || self.ended);
        let usage = if left { meter.left() } else { meter.read() };
        self.record.settled(usage, (queued, self.first, self.last), self.over);
    }
}
