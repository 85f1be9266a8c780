//! An engine's whole answer, checked.
//!
//! Knows when one is whole. Refuses to know what it says. Invariant: it is given on as it came, but for the model's name, for halves of
//! characters, for thoughts, which have both of their names, for a completion's probabilities, and for counts of one answer where there are several.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;

use super::chunk::{Choice, Chunk};
use super::thoughts::named_twice;
use super::{Offsets, evened, named, told};
use crate::chat::Usage;
use crate::dialect::json::{self, Object};
use crate::dialect::openai::whole::UsageObject;
use crate::error::BackendFault;

/// A whole answer that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    /// The body for the client.
    pub body: Bytes,
    /// What the engine counted of all of its answers, where it said so; estimated, where it has counted one of several.
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
    // llama.cpp's server, alone in telling times, puts together the answers of several, and has the counts of the first.
    // Another GhostLLM in between has done as is done here, and says so.
    let usage = answer.usage.and_then(told);
    let is_told = usage.is_some_and(|counts| counts.estimated);
    let of_one = answer.timings.is_some() && choices.len() > 1 && !is_told;
    let usage = if of_one { usage.and_then(|first| of_all(first, &choices, completes)) } else { usage };
    if choices.is_empty() {
        return Err(BackendFault::garbage(format!("an answer of {} bytes without choices", body.len())));
    }
    if choices.iter().any(|Object(choice)| choice.finish_reason.is_none()) {
        return Err(BackendFault::EndedEarly);
    }
    let said_bytes = choices.iter().map(|Object(choice)| choice.said_bytes()).sum();
    let mut edits = if completes {
        evened(&body, Some(&choices), &mut Offsets::new())
    } else {
        named_twice(&body, Some(&choices))
    };
    edits.extend(answer.usage.filter(|_| of_one).map(|counts| shown(json::span(&body, counts.get()), usage)));
    let name = answer.model.map(|raw| json::span(&body, raw.get()));
    edits.extend(model.zip(name).map(named));
    let body = if edits.is_empty() { body.clone() } else { json::edited(&body, edits) };
    Ok(Whole { body, usage, said_bytes })
}

/// What all answers come to, of which the first was counted: it takes about as many bytes to a token as the others. None for a
/// completion, whose answers may be to several prompts, each with counts of its own.
fn of_all(first: Usage, choices: &[Object<Choice<'_>>], completes: bool) -> Option<Usage> {
    let said = || choices.iter().map(|Object(choice)| choice.said_bytes());
    let (of_first, of_all) = (said().next()?, said().sum::<u64>());
    let completion_tokens = first.completion_tokens.saturating_mul(of_all).checked_div(of_first)?;
    let usage = Usage { completion_tokens, reasoning_tokens: None, estimated: true, ..first };
    Some(usage).filter(|_| !completes)
}

/// The edit that puts these counts, or none, where those of one answer are.
fn shown(place: Range<usize>, usage: Option<Usage>) -> (Range<usize>, String) {
    let mut counts = Vec::new();
    json::append(&mut counts, &usage.map(UsageObject::from));
    (place, String::from_utf8_lossy(&counts).into_owned())
}
