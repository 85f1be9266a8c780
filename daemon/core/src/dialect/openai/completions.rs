//! OpenAI's older completions, `POST /v1/completions`: requests of clients, and what they get.
//!
//! Knows the request's fields, for engines that speak OpenAI's language as for those that do not. Refuses to know chats. Invariants: what
//! is passed on has been checked in its form, and outside the values of a few fields its bytes are those that came; whether an
//! engine that takes one text at a time can be asked is known before it is asked.

use std::ops::Range;

use serde_json::value::RawValue;

use super::fields::Fields;
use super::media::{self, Allowance, Beside};
use super::passthrough::{self, Passed};
use super::request;
use super::table::{Behind, Wanted};
use crate::completion::CompletionRequest;
use crate::config::Limits;
use crate::dialect::json;
use crate::error::ApiError;

mod logprobs;
mod prompt;
mod rows;
mod stream;
#[cfg(test)]
mod tests;
mod whole;

pub(super) use logprobs::completion_logprobs;
use prompt::Prompts;
pub use rows::ROWS;
pub use stream::CompletionStream;
pub use whole::CompletionWhole;

/// The most alternatives of which OpenAI gives probabilities, by its API description.
const LOGPROBS_LIMIT: u32 = 5;

/// Reads what must be known of a request before it is passed on.
///
/// # Errors
/// 400 where the body is not a JSON object, a top-level key is doubled or refused, and with the field where one is missing, of the
/// wrong type or out of range.
pub fn inspect_completion(body: &[u8], limits: &Limits) -> Result<Passed, ApiError> {
    let fields = Fields::read(body, limits.request_fields)?;
    let field = media::check_beside(&fields, &mut Allowance::new(limits))?;
    let (samples, prompts) = (request::choices(&fields)?, Prompts::read(&fields)?);
    let choices = choices(samples, prompts.count())?;
    // Some engines count from -1, and some give no token at all, but probabilities of the prompt's.
    for name in ["max_tokens", "logprobs"] {
        fields.integer_or_none(name, 0, request::COUNT_LIMIT)?;
    }
    fields.integer_or_none("top_k", 0, request::COUNT_LIMIT)?;
    let best = best_of(&fields, samples)?;
    fields.read_as::<bool>("echo", "true or false")?;
    fields.get("suffix").map_or(Ok(()), text)?;
    let place = |name: &str| fields.get(name).map(|raw| json::span(body, raw.get()));
    let alone = Alone {
        samples,
        span: json::span(body, prompts.whole().get()),
        prompts: prompts.each().iter().map(|raw| json::span(body, raw.get())).collect(),
        best: best.filter(|best| *best == samples).and(place("best_of")),
        unjudged: unjudged(best, samples).err(),
        untaken: native(&fields, &prompts, limits).err(),
    };
    let wanted = Wanted::by(ROWS, &fields).with_media(Beside::of(field));
    let mut passed = passthrough::passed(&fields, body, limits, wanted)?;
    (passed.choices, passed.one_call, passed.alone) = (choices, false, Some(Box::new(alone)));
    // OpenAI's completions have no such field.
    passed.has_time = false;
    passed.prompt_bytes = prompts.bytes().saturating_add(suffix_bytes(&fields));
    Ok(passed)
}

/// How one answer of several is asked for by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Alone {
    /// How many answers are wanted to each prompt.
    pub(super) samples: u32,
    /// Where the prompts lie in the body, in whatever form.
    pub(super) span: Range<usize>,
    /// The same of each; that very place where there is one.
    pub(super) prompts: Vec<Range<usize>>,
    /// The same of how many the best are to be had, where that is as many as are wanted.
    pub(super) best: Option<Range<usize>>,
    /// Why an engine that gives out each of its answers cannot be asked.
    pub(super) unjudged: Option<ApiError>,
    /// Why an engine that takes texts one at a time cannot be asked.
    pub(super) untaken: Option<ApiError>,
}

impl Alone {
    /// Why this kind of engine cannot be asked.
    pub(super) fn untaken(&self, behind: Behind) -> Option<&ApiError> {
        match behind {
            Behind::Ollama => self.untaken.as_ref(),
            Behind::OpenAi => None,
            Behind::Engine => self.unjudged.as_ref(),
        }
    }

    /// The edits that leave this prompt of several, and make one answer the best of one.
    pub(super) fn edits(&self, body: &[u8], place: u32) -> Vec<(Range<usize>, String)> {
        let best = self.best.iter().map(|span| (span.clone(), "1".to_owned()));
        self.prompt(body, place).into_iter().chain(best).collect()
    }

    fn prompt(&self, body: &[u8], place: u32) -> Option<(Range<usize>, String)> {
        if self.prompts.len() < 2 {
            return None;
        }
        let own = self.prompts.get(usize::try_from(place).ok()?)?;
        Some((self.span.clone(), String::from_utf8_lossy(body.get(own.clone())?).into_owned()))
    }
}

/// Reads a request with one prompt for an engine of another language.
///
/// # Errors
/// As [`inspect_completion`]; 400 with the field that such an engine has no word for.
pub fn parse_completion(body: &[u8], limits: &Limits) -> Result<CompletionRequest, ApiError> {
    let fields = Fields::read(body, limits.request_fields)?;
    Wanted::by(ROWS, &fields).check(Behind::Ollama)?;
    let prompts = Prompts::read(&fields)?;
    if prompts.count() != 1 {
        return Err(ApiError::invalid_value(
            "prompt",
            "one text: the engine of this model takes one at a time",
        ));
    }
    let request = native(&fields, &prompts, limits)?;
    Ok(CompletionRequest { prompt: prompts.text()?, ..request })
}

/// All but the prompt, of which it is checked that each is a text with something in it.
fn native(
    fields: &Fields<'_>,
    prompts: &Prompts<'_>,
    limits: &Limits,
) -> Result<CompletionRequest, ApiError> {
    prompts.check_texts()?;
    let samples = request::choices(fields)?;
    unjudged(best_of(fields, samples)?, samples)?;
    let echo = fields.read_as("echo", "true or false")?.unwrap_or(false);
    let logprobs = fields.integer("logprobs", 0, LOGPROBS_LIMIT)?.and_then(|top| u8::try_from(top).ok());
    if echo && logprobs.is_some() {
        let why = "The engine of this model tells the probabilities of what it says, and none of the prompt's. Send echo \
                   or logprobs.";
        return Err(ApiError::unsupported("echo", why));
    }
    Ok(CompletionRequest {
        prompt: String::new(),
        // A text without a letter is none: an engine would see no suffix.
        suffix: fields.read_as::<String>("suffix", TEXT)?.filter(|text| !text.is_empty()),
        echo,
        sampling: request::sampling(fields)?,
        stop: request::stop(fields, limits.stop_texts)?,
        // Ollama takes zero for no limit.
        max_tokens: fields.integer("max_tokens", 1, request::COUNT_LIMIT)?,
        logprobs,
        num_ctx: None,
        keep_alive: None,
    })
}

const TEXT: &str = "a text";

fn text(raw: &RawValue) -> Result<(), ApiError> {
    if raw.get().starts_with('"') { Ok(()) } else { Err(ApiError::invalid_type("suffix", TEXT)) }
}

/// An engine shows it to the model as it does the prompt.
fn suffix_bytes(fields: &Fields<'_>) -> u64 {
    fields.get("suffix").map_or(0, |raw| (raw.get().len() as u64).saturating_sub(2))
}

/// Out of how many answers the best are given.
fn best_of(fields: &Fields<'_>, samples: u32) -> Result<Option<u32>, ApiError> {
    let best = fields.integer("best_of", 1, request::CHOICES_LIMIT)?;
    if best.is_some_and(|best| best < samples) {
        return Err(ApiError::invalid_value("best_of", "at least n"));
    }
    Ok(best)
}

/// None but those that are given are made.
fn unjudged(best: Option<u32>, samples: u32) -> Result<(), ApiError> {
    if best.is_some_and(|best| best > samples) {
        return Err(ApiError::unsupported("best_of", rows::NO_JUDGE));
    }
    Ok(())
}

/// How many answers are wanted in all: a stream keeps account of each.
fn choices(samples: u32, prompts: usize) -> Result<u32, ApiError> {
    let most = request::CHOICES_LIMIT;
    let all = u32::try_from(prompts).ok().and_then(|prompts| prompts.checked_mul(samples));
    all.filter(|all| *all <= most).ok_or_else(|| {
        let expected =
            format!("at most {most} prompts, or fewer where n is more than one: {most} answers are the most");
        ApiError::invalid_value("prompt", &expected)
    })
}
