//! What requests have used of the models: counts by caller, model and day.
//!
//! Knows how counts add up, how many of them a month may have, and what is asked about them. Refuses to know files, the clock, and
//! what a caller is called. Invariant: a month's counts never take more than [`MOST_BYTES`] in their file, whatever callers and models
//! there are: what has no row of its own is counted as [`OTHER`]'s, and nothing goes uncounted.

mod day;
mod question;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use day::{Day, Month};
pub use question::{By, DAYS, MOST_DAYS, Question};

use crate::chat::Usage;
use crate::text::is_obeyed;

/// Whose counts have no row of their own.
pub const OTHER: &str = "other";
/// What a month's counts take in their file at the most; the largest state file has 16 MiB.
const MOST_BYTES: usize = 14 << 20;
/// From here on a new row has no model of its own: who has asked is the last that is given up.
const MODELS_BYTES: usize = 12 << 20;
/// A row in its file, its two names aside: eleven counts with their names, of ten digits each.
const ROW_BYTES: usize = 400;
/// The longest name of a model with a row of its own; Hugging Face allows 96 bytes a part.
const NAME_BYTES: usize = 256;

/// Counts of requests and tokens. Tokens are the engines' own counts, but for those that are said to be estimated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// Requests that a backend was found for, however they ended.
    pub requests: u64,
    /// Of these, those that the engine, or the daemon for it, has refused.
    pub refused: u64,
    /// Those that have failed, for want of room as well.
    pub failed: u64,
    /// Those that were ended before their answer was whole, by their client, an admin or the daemon's end.
    pub cancelled: u64,
    /// Those that an engine was asked for, and of which no count of tokens is known: ended before its first word.
    pub uncounted: u64,
    /// Tokens of prompts, cached ones among them.
    pub prompt_tokens: u64,
    /// Tokens of answers, thinking among them.
    pub completion_tokens: u64,
    /// Tokens of prompts that an engine had from earlier requests, where it says so.
    pub cached_tokens: u64,
    /// Tokens of answers that were thought, where the engine says so.
    pub reasoning_tokens: u64,
    /// Requests whose tokens are estimated: ended before their engine gave its counts, or answered by one that gives none.
    pub estimated_requests: u64,
    /// Their tokens, of prompts and answers together, which are among the tokens above.
    pub estimated_tokens: u64,
}

/// How a request has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With its whole answer.
    Completed,
    /// It was the client's mistake.
    Refused,
    /// With a failure.
    Failed,
    /// Somebody has ended it.
    Cancelled,
}

impl Counts {
    /// Those of one request; `asked` says whether its engine was asked at all.
    #[must_use]
    pub fn of(end: End, asked: bool, usage: Option<Usage>) -> Self {
        let of = |wanted| u64::from(end == wanted);
        let counts = Self {
            requests: 1,
            refused: of(End::Refused),
            failed: of(End::Failed),
            cancelled: of(End::Cancelled),
            ..Self::default()
        };
        let Some(usage) = usage else {
            return Self { uncounted: u64::from(asked && end != End::Refused), ..counts };
        };
        let estimated = u64::from(usage.estimated);
        Self {
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
            cached_tokens: usage.cached_tokens.unwrap_or(0),
            reasoning_tokens: usage.reasoning_tokens.unwrap_or(0),
            estimated_requests: estimated,
            estimated_tokens: estimated.saturating_mul(usage.total_tokens()),
            ..counts
        }
    }

    /// Adds others.
    pub fn add(&mut self, more: &Self) {
        let sum = |count: &mut u64, more: u64| *count = count.saturating_add(more);
        sum(&mut self.requests, more.requests);
        sum(&mut self.refused, more.refused);
        sum(&mut self.failed, more.failed);
        sum(&mut self.cancelled, more.cancelled);
        sum(&mut self.uncounted, more.uncounted);
        sum(&mut self.prompt_tokens, more.prompt_tokens);
        sum(&mut self.completion_tokens, more.completion_tokens);
        sum(&mut self.cached_tokens, more.cached_tokens);
        sum(&mut self.reasoning_tokens, more.reasoning_tokens);
        sum(&mut self.estimated_requests, more.estimated_requests);
        sum(&mut self.estimated_tokens, more.estimated_tokens);
    }
}

/// The rows of one day, by caller and model.
type Rows = BTreeMap<String, BTreeMap<String, Counts>>;

/// The counts of a month, or of any days.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Book {
    days: BTreeMap<Day, Rows>,
    /// What they take in their file at the most.
    bytes: usize,
}

impl Book {
    /// Counts something of a caller and a model on a day. The caller is a key's id, or the name of whoever needs none.
    pub fn add(&mut self, day: Day, caller: &str, model: &str, counts: &Counts) {
        let rows = self.days.entry(day).or_default();
        if let Some(row) = rows.get_mut(caller).and_then(|models| models.get_mut(model)) {
            return row.add(counts);
        }
        // A terminal would obey it, and JSON writes it six times as long.
        let odd = |name: &str| name.len() > NAME_BYTES || name.contains(is_obeyed);
        let model = if odd(model) || self.bytes > MODELS_BYTES { OTHER } else { model };
        let caller = if odd(caller) || self.bytes > MOST_BYTES { OTHER } else { caller };
        let models = rows.entry(caller.to_owned()).or_default();
        if !models.contains_key(model) {
            // A quote or a backslash takes two.
            self.bytes += ROW_BYTES + 2 * (caller.len() + model.len());
        }
        models.entry(model.to_owned()).or_default().add(counts);
    }

    /// Adds all of another book's.
    pub fn add_all(&mut self, other: &Self) {
        for (day, caller, model, counts) in other.rows() {
            self.add(day, caller, model, counts);
        }
    }

    /// Every row: day, caller, model and counts, in this order.
    pub fn rows(&self) -> impl Iterator<Item = (Day, &str, &str, &Counts)> {
        self.days.iter().flat_map(|(day, rows)| {
            rows.iter().flat_map(move |(caller, models)| {
                models.iter().map(move |(model, counts)| (*day, caller.as_str(), model.as_str(), counts))
            })
        })
    }

    /// Its days, the oldest first.
    pub fn days(&self) -> impl DoubleEndedIterator<Item = Day> {
        self.days.keys().copied()
    }

    /// Drops the days before `from` and those after `to`; says whether there were any.
    pub fn keep(&mut self, from: Option<Day>, to: Option<Day>) -> bool {
        let before = self.days.len();
        self.days.retain(|day, _| from.is_none_or(|from| *day >= from) && to.is_none_or(|to| *day <= to));
        if self.days.len() == before {
            return false;
        }
        let size =
            |(_, caller, model, _): (Day, &str, &str, &Counts)| ROW_BYTES + 2 * (caller.len() + model.len());
        self.bytes = self.rows().map(size).sum();
        true
    }
}

#[cfg(test)]
mod tests;
