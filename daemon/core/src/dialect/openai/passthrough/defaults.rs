//! The administrator's defaults in a body that is passed on.
//!
//! Knows by which fields a client says each of them, and by which ones engines take it. Refuses to know the rest of the body.
//! Invariant: what a client has said stays, and no field is there twice.

use std::ops::Range;

use super::super::fields::Fields;
use crate::chat::{Defaults, Think};
use crate::dialect::json;

/// What has a default, with every field by which a client may say it.
const SUBJECTS: [(Subject, &[&str]); 10] = [
    (Subject::Temperature, &["temperature"]),
    (Subject::TopP, &["top_p"]),
    (Subject::TopK, &["top_k"]),
    (Subject::MinP, &["min_p"]),
    (Subject::RepeatPenalty, &["repeat_penalty", "repetition_penalty"]),
    (Subject::FrequencyPenalty, &["frequency_penalty"]),
    (Subject::PresencePenalty, &["presence_penalty"]),
    (Subject::Seed, &["seed"]),
    (Subject::MaxTokens, &["max_tokens", "max_completion_tokens", "n_predict"]),
    (Subject::Think, &["reasoning_effort", "reasoning", "think", "thinking", "enable_thinking"]),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    Temperature,
    TopP,
    TopK,
    MinP,
    RepeatPenalty,
    FrequencyPenalty,
    PresencePenalty,
    Seed,
    MaxTokens,
    Think,
}

impl Subject {
    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// What a body says of these subjects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sent {
    /// Behind the brace that opens the body.
    open: usize,
    /// A bit for each subject that it says something of.
    said: u16,
    /// The fields that are there and say nothing: `null`, and where that lies.
    nulls: Vec<(&'static str, Range<usize>)>,
}

impl Sent {
    pub(super) fn read(fields: &Fields<'_>, body: &[u8]) -> Self {
        let open = memchr::memchr(b'{', body).map_or(0, |brace| brace + 1);
        let mut sent = Self { open, said: 0, nulls: Vec::new() };
        for (subject, names) in SUBJECTS {
            for name in names {
                match fields.lies(name) {
                    None => {}
                    // In another case some readers take it for this field and some for none: it is left as it is.
                    Some((key, value)) if key == *name && value.get() == "null" => {
                        sent.nulls.push((name, json::span(body, value.get())));
                    }
                    Some(_) => sent.said |= subject.bit(),
                }
            }
        }
        sent
    }

    /// The edits that put the defaults where the body says nothing: each a place in it and what stands there then. With `off` the body
    /// says that a model shall not think; what says so, the templates of most models do not go by.
    pub(super) fn filled(&self, defaults: &Defaults, off: bool) -> Vec<(Range<usize>, String)> {
        let (mut edits, mut more) = (Vec::new(), String::new());
        // Where both want the same of a model's thoughts, it is said in the administrator's way as well.
        let agree = off && defaults.think == Some(Think::Off);
        let is_open = |subject: Subject| self.said & subject.bit() == 0 || subject == Subject::Think && agree;
        for (name, value) in fields_of(defaults, is_open) {
            match self.nulls.iter().find(|(null, _)| *null == name) {
                Some((_, place)) => edits.push((place.clone(), value)),
                // There is always a field behind it: the model's.
                None => more.push_str(&format!("\"{name}\":{value},")),
            }
        }
        if !more.is_empty() {
            edits.push((self.open..self.open, more));
        }
        edits
    }
}

/// The defaults as fields, each with its JSON, of the subjects that are open.
fn fields_of(defaults: &Defaults, open: impl Fn(Subject) -> bool) -> Vec<(&'static str, String)> {
    let sampling = &defaults.sampling;
    let reals = [
        (Subject::Temperature, "temperature", sampling.temperature),
        (Subject::TopP, "top_p", sampling.top_p),
        (Subject::MinP, "min_p", sampling.min_p),
        // llama.cpp knows the first name, vLLM and its like the second.
        (Subject::RepeatPenalty, "repeat_penalty", sampling.repeat_penalty),
        (Subject::RepeatPenalty, "repetition_penalty", sampling.repeat_penalty),
        (Subject::FrequencyPenalty, "frequency_penalty", sampling.frequency_penalty),
        (Subject::PresencePenalty, "presence_penalty", sampling.presence_penalty),
    ];
    let counts = [
        (Subject::TopK, "top_k", sampling.top_k.map(i64::from)),
        (Subject::Seed, "seed", sampling.seed),
        (Subject::MaxTokens, "max_tokens", defaults.max_tokens.map(i64::from)),
    ];
    let reals =
        reals.into_iter().filter_map(|(subject, name, value)| Some((subject, name, value?.to_string())));
    let counts =
        counts.into_iter().filter_map(|(subject, name, value)| Some((subject, name, value?.to_string())));
    let thinks = defaults.think.into_iter().map(thinking);
    let thinks = thinks.map(|(name, value)| (Subject::Think, name, value));
    let all = reals.chain(counts).chain(thinks).filter(|(subject, ..)| open(*subject));
    all.map(|(_, name, value)| (name, value)).collect()
}

/// What makes a model think, or not, as engines have it: OpenAI's field knows no "on", and the templates of most models that can
/// be told not to think go by a value of their own, which no client may send.
fn thinking(think: Think) -> (&'static str, String) {
    const EFFORT: &str = "reasoning_effort";
    const TEMPLATE: &str = "chat_template_kwargs";
    match think.effort() {
        Some(effort) => (EFFORT, format!("\"{effort}\"")),
        // "none" is an effort that not all know.
        None => (TEMPLATE, format!("{{\"enable_thinking\":{}}}", think == Think::On)),
    }
}
