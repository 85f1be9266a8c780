//! A request for an engine that speaks OpenAI's language itself.
//!
//! Knows the few fields that the daemon must read or change. Refuses to know the rest: unknown fields reach the
//! engine byte for byte. Invariant: outside the values of the model's name, of `n`, `seed` and `prompt` where the answers are asked
//! for one by one, of a `store` that is true, of tools that may not be called, of fields that say nothing and have a default, and of the words that have a stream end
//! with its counts, the bytes that go out are the bytes that came in.

mod counted;
mod defaults;

use std::{ops::Range, sync::Arc};

use bytes::{Bytes, BytesMut};
use serde::Deserialize;

use super::completions::{self, Alone};
use super::fields::Fields;
use super::table::{self, Behind, Wanted};
use super::thinking::Thinking;
use super::{choice, refused, request, turns};
use crate::chat::{Defaults, Heeds, Sampling, Think};
use crate::completion::MAX_TOKENS;
use crate::config::Limits;
use crate::dialect::json::{self, Object};
use crate::error::ApiError;

use counted::Counted;
use defaults::Sent;

#[cfg(test)]
mod tests;

/// What was read from a request that will be passed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    /// The model's name, as asked for.
    pub model: String,
    /// Whether the client wants a stream.
    pub stream: bool,
    /// Whether the stream shall end with the count of tokens.
    pub include_usage: bool,
    /// How many answers it wants, at least one: of a completion, to all of its prompts.
    pub choices: u32,
    /// Whether each may hold one call of a function at the most.
    pub one_call: bool,
    /// The functions that it may call; none where `tool_choice` is none.
    pub functions: Arc<[String]>,
    /// Whether one of them must be called, whatever the model would say; never of a completion, which calls nothing.
    pub forces_call: bool,
    /// Whether it has time: its `service_tier` is "flex".
    pub has_time: bool,
    /// How hard it says to think, and by which field; none of what is no such word, which its engine judges, and of a completion.
    pub effort: Option<(Think, &'static str)>,
    /// Bytes of what is said in the conversation and of the tools that are shown, as [`crate::chat::ChatRequest::prompt_bytes`] counts
    /// them, or of all prompts.
    pub prompt_bytes: u64,
    /// Of these, the bytes of tools that an Ollama is not shown, since others were chosen.
    pub unchosen_bytes: u64,
    /// Which fields it has.
    wanted: Box<Wanted>,
    /// Where the model's name lies in the body, its quotes included.
    span: Range<usize>,
    /// The same of the number of answers.
    choices_span: Option<Range<usize>>,
    /// The seed, and the same of it.
    seed: Option<(i64, Range<usize>)>,
    /// Where the wish lies that the answer be kept.
    store: Option<Range<usize>>,
    /// Where the tools lie, where `tool_choice` is none: models that are shown some call them all the same, in their text, as recorded
    /// of llama.cpp's server and vLLM.
    idle_tools: Option<Range<usize>>,
    /// What it says of all that may have a default.
    sent: Box<Sent>,
    /// Of a completion, how each of its answers is asked for by itself; none for a chat.
    pub(super) alone: Option<Box<Alone>>,
    /// What has the engine count a stream whose client has not asked for that.
    counted: Option<Counted>,
}

impl Passed {
    /// Refuses what would change the answer and cannot be had behind there; else the value of [`super::table::IGNORED`] for
    /// the answer.
    ///
    /// # Errors
    /// 400 with the field.
    pub fn taken(&self, behind: Behind, limits: &Limits) -> Result<Option<String>, ApiError> {
        self.wanted.check(behind)?;
        // Another engine may have more of its own; what it gives is seen then.
        let own = matches!(behind, Behind::Ollama | Behind::Engine);
        if own && self.choices as usize > limits.choices {
            return Err(self.too_many(limits.choices));
        }
        match self.alone.as_ref().and_then(|alone| alone.untaken(behind)) {
            Some(untaken) => Err(untaken.clone()),
            None => Ok(self.wanted.ignored(behind)),
        }
    }

    /// What its turns have of which the template of a model of our own engine shows nothing.
    #[must_use]
    pub fn unshown(&self, heeds: Heeds) -> Vec<&'static str> {
        self.wanted.unshown(heeds)
    }

    /// 400: more answers are wanted than are asked for one by one.
    #[must_use]
    pub fn too_many(&self, most: usize) -> ApiError {
        if self.alone.as_ref().is_none_or(|alone| alone.prompts.len() < 2) {
            return too_many_choices(most);
        }
        let expected = format!(
            "a list that at most {most} answers are wanted to in all (limits.choices): the engine of this model gives one answer \
             at a time"
        );
        ApiError::invalid_value("prompt", &expected)
    }

    /// Whether it wants a text gone on with, and no chat.
    #[must_use]
    pub fn completes(&self) -> bool {
        self.alone.is_some()
    }

    /// How many answers it wants to one prompt.
    #[must_use]
    pub fn samples(&self) -> u32 {
        self.alone.as_ref().map_or(self.choices, |alone| alone.samples).max(1)
    }

    /// The same of another body, such as [`Passed::with_choice`] makes.
    ///
    /// # Errors
    /// As whoever has inspected this one.
    pub fn inspect_again(&self, body: &[u8], limits: &Limits) -> Result<Self, ApiError> {
        if self.completes() { completions::inspect_completion(body, limits) } else { inspect(body, limits) }
    }

    /// The body with another model's name, and not a byte changed elsewhere.
    ///
    /// `body` is the one that was inspected.
    #[must_use]
    pub fn with_model(&self, body: &Bytes, model: &str) -> Bytes {
        match renamed(&self.span, (&self.model, model)) {
            None => body.clone(),
            Some(name) => json::edited(body, vec![name]),
        }
    }

    /// The same, and each default in it of which the client has said nothing, for a completion also OpenAI's own of [`MAX_TOKENS`]; the
    /// context length and the time that a model stays loaded are not among a request's fields in this language. What the client would
    /// have kept is not: nothing is kept here, and an engine that could is told so.
    ///
    /// `body` is the one that was inspected.
    #[must_use]
    pub fn with(&self, body: &Bytes, model: &str, defaults: &Defaults) -> Bytes {
        let edits = self.edits(model, defaults);
        if edits.is_empty() { body.clone() } else { json::edited(body, edits) }
    }

    /// The same; with `counts` it asks for those of a stream whose client has not asked for them.
    ///
    /// `body` is the one that was inspected.
    #[must_use]
    pub fn asking(&self, body: &Bytes, model: &str, defaults: &Defaults, counts: bool) -> Asking {
        let Some(counted) = self.counted.as_ref().filter(|_| counts) else {
            return self.with(body, model, defaults).into();
        };
        let mut edits = self.edits(model, defaults);
        let words = counted.words_behind(&edits, body);
        edits.push(counted.edit());
        Asking { body: json::edited(body, edits), words: Some(words) }
    }

    fn edits(&self, model: &str, defaults: &Defaults) -> Vec<(Range<usize>, String)> {
        let mut edits = if self.completes() {
            let max_tokens = defaults.max_tokens.or(Some(MAX_TOKENS));
            self.sent.filled(&Defaults { think: None, max_tokens, ..*defaults }, false)
        } else {
            let off = self.effort.is_some_and(|(think, _)| think == Think::Off);
            self.sent.filled(defaults, off)
        };
        edits.extend(renamed(&self.span, (&self.model, model)));
        edits.extend(self.store.iter().map(|span| (span.clone(), "false".to_owned())));
        edits.extend(self.idle_tools.iter().map(|span| (span.clone(), "null".to_owned())));
        edits
    }

    /// The body for one answer of several, counted from 0: the same, with 1 for the number of answers, a seed of its own
    /// ([`seed_of`]), of the client's or, where it has said none, of this one, and of several prompts the one that it answers.
    #[must_use]
    pub fn with_choice(&self, body: &Bytes, seed: Option<i64>, choice: u32) -> Bytes {
        // The answers to the first of several prompts come first.
        let (prompt, choice) = match self.alone {
            Some(_) => (choice / self.samples(), choice % self.samples()),
            None => (0, choice),
        };
        let sampling = Sampling { seed: seed.map(|seed| seed_of(seed, choice)), ..Sampling::default() };
        let mut edits = self.sent.filled(&Defaults { sampling, ..Defaults::default() }, false);
        edits.extend(self.choices_span.iter().map(|span| (span.clone(), "1".to_owned())));
        edits.extend(self.seed.iter().map(|(seed, span)| (span.clone(), seed_of(*seed, choice).to_string())));
        edits.extend(self.alone.iter().flat_map(|alone| alone.edits(body, prompt)));
        json::edited(body, edits)
    }
}

/// What a client hears that wants more answers than this limit ([`Limits::choices`]) where the engine gives one at a time.
#[must_use]
pub fn too_many_choices(most: usize) -> ApiError {
    let expected = format!(
        "a number from 1 to {most} (limits.choices): the engine of this model gives one answer at a time"
    );
    ApiError::invalid_value("n", &expected)
}

/// A body for an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asking {
    /// As it goes out.
    pub body: Bytes,
    /// Where in it the counts are asked for, and what its client has put there.
    words: Option<(Range<usize>, String)>,
}

impl From<Bytes> for Asking {
    /// One that asks for no more than its client.
    fn from(body: Bytes) -> Self {
        Self { body, words: None }
    }
}

impl Asking {
    /// Whether it asks for the counts of a stream, which its client does not.
    #[must_use]
    pub fn asks(&self) -> bool {
        self.words.is_some()
    }

    /// The body for an engine that refuses to be asked for them; none where it is not asked.
    #[must_use]
    pub fn without(&self) -> Option<Bytes> {
        self.words.clone().map(|words| json::edited(&self.body, vec![words]))
    }
}

/// The seed of one answer of several, counted from 0: each has one of its own, so that they differ, and the same again for the
/// same request.
#[must_use]
pub fn seed_of(seed: i64, choice: u32) -> i64 {
    let next = seed.wrapping_add(i64::from(choice));
    // A number that engines take for a seed is not followed by one that some do not.
    if seed >= 0 { next & i64::MAX } else { next }
}

/// The edit by which the model of one name, which lies in this range, gets another; none where that is the same.
pub(super) fn renamed(span: &Range<usize>, (from, to): (&str, &str)) -> Option<(Range<usize>, String)> {
    let mut name = BytesMut::new();
    json::write(&mut name, to);
    (from != to).then(|| (span.clone(), String::from_utf8_lossy(&name).into_owned()))
}

/// Reads what must be known of a request before it is passed on.
///
/// # Errors
/// 400 where the body is not a JSON object, a top-level key is doubled or refused, a count is out of range, or
/// media lie at a remote address.
pub fn inspect(body: &[u8], limits: &Limits) -> Result<Passed, ApiError> {
    let fields = Fields::read(body, limits.request_fields)?;
    for (name, least) in [("max_tokens", 1), ("max_completion_tokens", 1), ("top_k", 0)] {
        fields.integer_or_none(name, least, request::COUNT_LIMIT)?;
    }
    fields.integer("top_logprobs", 0, 20)?;
    let turns = turns::look(&fields, limits)?;
    let tools = fields.get("tools").filter(|_| !calls_nothing(&fields)).map_or(0, turns::tools_bytes);
    let (prompt_bytes, thinking) = (turns.said.saturating_add(tools), Thinking::of(&fields));
    let wanted = Wanted::of(&fields).with_insides(&fields, turns, &thinking);
    let effort = thinking.wanted().ok().flatten();
    let choice::Outcome { forces_call, unchosen_bytes } = choice::look(&fields);
    Ok(Passed { effort, forces_call, prompt_bytes, unchosen_bytes, ..passed(&fields, body, limits, wanted)? })
}

/// What every request has that is passed on, without how hard to think, whether a call is forced, and how long its prompt is.
pub(super) fn passed(
    fields: &Fields<'_>,
    body: &[u8],
    limits: &Limits,
    wanted: Wanted,
) -> Result<Passed, ApiError> {
    refused::check_tools(fields)?;
    let model = request::model(fields, limits)?;
    let raw = fields.get("model").ok_or_else(|| ApiError::missing("model"))?;
    let seed = fields.read_as::<i64>("seed", request::SEED)?;
    let place = |name: &str| fields.get(name).map(|raw| json::span(body, raw.get()));
    let (stream, include_usage) = (request::stream(fields)?, request::include_usage(fields)?);
    let counted = if stream && !include_usage { Counted::wanted(body, fields) } else { None };
    Ok(Passed {
        model,
        choices: request::choices(fields)?,
        one_call: request::one_call(fields)?,
        functions: functions(fields),
        forces_call: false,
        has_time: fields.get("service_tier").is_some_and(table::is_flex),
        effort: None,
        prompt_bytes: 0,
        unchosen_bytes: 0,
        wanted: Box::new(wanted),
        choices_span: place("n"),
        store: request::stores(fields)?.then(|| place("store")).flatten(),
        idle_tools: calls_nothing(fields).then(|| place("tools")).flatten(),
        seed: seed.zip(place("seed")),
        stream,
        include_usage,
        span: json::span(body, raw.get()),
        sent: Box::new(Sent::read(fields, body)),
        alone: None,
        counted,
    })
}

/// Whether its tools are shown to no model, and so sent to no engine.
fn calls_nothing(fields: &Fields<'_>) -> bool {
    fields.get("tool_choice").is_some_and(|choice| choice.get() == "\"none\"")
}

/// The names of the tools that are functions. Of any other form, they are the engine's to refuse.
fn functions(fields: &Fields<'_>) -> Arc<[String]> {
    #[derive(Deserialize)]
    struct Tool {
        function: Option<Object<Function>>,
    }
    #[derive(Deserialize)]
    struct Function {
        name: Option<String>,
    }
    if calls_nothing(fields) {
        return Arc::default();
    }
    let tools: Vec<Object<Tool>> = fields.read_as("tools", "a list").ok().flatten().unwrap_or_default();
    let names = tools.into_iter().filter_map(|Object(tool)| tool.function?.0.name);
    names.filter(|name| !name.is_empty()).collect()
}
