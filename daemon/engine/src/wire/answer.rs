//! What an answer is made of, and that it is written as one object or as the chunks of a stream.
//!
//! Refuses to know how chats and completions differ. Invariant: the chunks of a stream, put together, say what the whole answer says.

use crate::output::Piece;
use serde_json::{Map, Value, json};

mod chat;
mod completion;

pub use chat::ChatAnswer;
pub use completion::TextAnswer;

/// What OpenAI tells of a token that the model all but ruled out: JSON has no infinity.
const NEVER: f32 = -9999.0;

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// The model ended it, or a stop text did.
    Stop,
    /// The token limit or the context ended it.
    Length,
}

impl Finish {
    /// OpenAI's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
        }
    }
}

/// What an answer cost, in tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Of the messages, tools and template, or of all prompts.
    pub prompt: usize,
    /// Made by the model.
    pub completion: usize,
}

impl Usage {
    fn json(self) -> Value {
        json!({
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.prompt + self.completion,
        })
    }
}

/// A token that the model may say, and how likely it thought it.
#[derive(Debug, Clone, PartialEq)]
pub struct Likelihood {
    /// The token's bytes, which may be a part of a character.
    pub bytes: Vec<u8>,
    /// The natural logarithm of its share; `None` of a prompt's first token, before which there is nothing.
    pub log: Option<f32>,
}

impl Likelihood {
    fn json(&self) -> Map<String, Value> {
        let mut fields = Map::new();
        fields.insert("token".into(), json!(shown(&self.bytes)));
        fields.insert("logprob".into(), self.log_json());
        fields.insert("bytes".into(), json!(self.bytes));
        fields
    }

    fn log_json(&self) -> Value {
        json!(self.log.map(|log| if log.is_finite() { log } else { NEVER }))
    }
}

/// A token's text; what is no text alone is written as OpenAI does, `\xe2\x82`.
fn shown(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect(),
    }
}

/// A token that was said, and those that might have been.
#[derive(Debug, Clone, PartialEq)]
pub struct Odds {
    /// What was said.
    pub said: Likelihood,
    /// The likeliest tokens, as many as were asked for, the likeliest first; the one that was said may be among them.
    pub likeliest: Vec<Likelihood>,
    /// Where its text begins in that of the part that it is told with, in bytes.
    pub at: usize,
}

impl Odds {
    fn json(&self) -> Value {
        let mut fields = self.said.json();
        let likeliest = self.likeliest.iter().map(|other| Value::Object(other.json())).collect();
        fields.insert("top_logprobs".into(), Value::Array(likeliest));
        Value::Object(fields)
    }
}

/// A part of an answer. Only content has odds, and only where they were asked for: those of its tokens, each once.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// What it says.
    pub piece: Piece,
    /// The tokens that it was made of.
    pub odds: Option<Vec<Odds>>,
}

/// One answer of those to a request, put together.
#[derive(Debug)]
pub struct Said {
    /// What it says.
    pub parts: Vec<Part>,
    /// Why it ended.
    pub finish: Finish,
}

/// Writes what a request gets.
pub trait Answer: std::fmt::Debug + Send {
    /// The chunk that opens a stream, if one does.
    fn opening(&self) -> Option<Value>;
    /// The chunk for one part.
    fn part(&mut self, part: &Part) -> Value;
    /// The chunk that says why the answer ended; parts behind it are the next one's.
    fn closing(&mut self, finish: Finish) -> Value;
    /// The chunk with the token counts.
    fn usage(&self, usage: Usage) -> Value;
    /// All answers in one object.
    fn whole(&mut self, all: &[Said], usage: Usage) -> Value;
}

/// What all objects of one answer have in common.
#[derive(Debug)]
struct Head {
    id: String,
    model: String,
    created: u64,
}

impl Head {
    /// `number` tells this answer from all others of this process and start; `created` is in seconds since 1970.
    fn new(kind: &str, model: &str, number: u64, created: u64) -> Self {
        Self { id: format!("{kind}-{created:x}{number:08x}"), model: model.to_owned(), created }
    }

    fn object(&self, object: &str, choices: &Value) -> Value {
        json!({"id": self.id, "object": object, "created": self.created, "model": self.model, "choices": choices})
    }

    fn counted(&self, object: &str, choices: &Value, usage: Usage) -> Value {
        let mut counted = self.object(object, choices);
        if let Some(fields) = counted.as_object_mut() {
            fields.insert("usage".into(), usage.json());
        }
        counted
    }
}
