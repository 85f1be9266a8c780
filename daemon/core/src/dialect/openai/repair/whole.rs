//! An engine's whole answer, checked.
//!
//! Knows when one is whole. Refuses to know what it says. Invariant: it is given on as it came, but for the model's name, for halves of
//! characters, and for a completion's probabilities.

use std::borrow::Cow;

use bytes::Bytes;

use super::chunk::Chunk;
use super::{Offsets, evened, named, told};
use crate::chat::Usage;
use crate::dialect::json::{self, Object};
use crate::error::BackendFault;

/// A whole answer that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    /// The body for the client.
    pub body: Bytes,
    /// What the engine counted, where it said so, of all of its answers.
    pub usage: Option<Usage>,
    /// Bytes of what it says, in text, thought and calls of all choices.
    pub said_bytes: u64,
}

/// Checks an engine's whole answer of status 200, and gives the model this name where one is given.
///
/// # Errors
/// An error object, something that is not an answer, an answer without choices or without a finish reason.
pub fn check_whole(body: &Bytes, model: Option<&str>) -> Result<Whole, BackendFault> {
    checked(body, model, false)
}

/// The same of a completion, whose probabilities some engines tell in a chat's form.
///
/// # Errors
/// As [`check_whole`].
pub fn check_whole_completion(body: &Bytes, model: Option<&str>) -> Result<Whole, BackendFault> {
    checked(body, model, true)
}

fn checked(body: &Bytes, model: Option<&str>, completes: bool) -> Result<Whole, BackendFault> {
    let body = match json::paired(body) {
        Cow::Borrowed(_) => body.clone(),
        Cow::Owned(mended) => mended.into(),
    };
    let answer: Chunk<'_> = json::read(&body, "answer").map_err(BackendFault::garbage)?;
    if answer.error.is_some() {
        return Err(BackendFault::ErrorLine { message: String::from_utf8_lossy(&body).into_owned() });
    }
    let choices = answer.choices.unwrap_or_default();
    // llama.cpp's server, alone in telling times, puts together the answers of several, and has the counts of one of them.
    let of_one = answer.timings.is_some() && choices.len() > 1;
    let usage = answer.usage.and_then(told).filter(|_| !of_one);
    if choices.is_empty() {
        return Err(BackendFault::garbage(format!("an answer of {} bytes without choices", body.len())));
    }
    if choices.iter().any(|Object(choice)| choice.finish_reason.is_none()) {
        return Err(BackendFault::EndedEarly);
    }
    let said_bytes = choices.iter().map(|Object(choice)| choice.said_bytes()).sum();
    let mut edits = Vec::new();
    if completes {
        edits = evened(&body, Some(&choices), &mut Offsets::new());
    }
    let name = answer.model.map(|raw| json::span(&body, raw.get()));
    edits.extend(model.zip(name).map(named));
    let body = if edits.is_empty() { body.clone() } else { json::edited(&body, edits) };
    Ok(Whole { body, usage, said_bytes })
}
