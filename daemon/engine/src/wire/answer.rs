//! The shapes of an answer: one object, or the chunks of a stream.
//!
//! Invariant: the chunks of a stream, put together, say what the whole answer says.

use crate::output::Piece;
use crate::output::calls::Call;
use serde_json::{Map, Value, json};

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

/// What an answer cost, in tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Of the messages, tools and template.
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
    /// The natural logarithm of its share.
    pub log: f32,
}

impl Likelihood {
    fn json(&self) -> Map<String, Value> {
        let log = if self.log.is_finite() { self.log } else { NEVER };
        let mut fields = Map::new();
        fields.insert("token".into(), json!(shown(&self.bytes)));
        fields.insert("logprob".into(), json!(log));
        fields.insert("bytes".into(), json!(self.bytes));
        fields
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

/// OpenAI's `logprobs` of a choice.
fn logprobs<'a>(odds: impl Iterator<Item = &'a Odds>) -> Value {
    json!({"content": odds.map(Odds::json).collect::<Vec<_>>(), "refusal": null})
}

/// Writes one answer.
#[derive(Debug)]
pub struct Answer {
    id: String,
    model: String,
    created: u64,
    calls: usize,
}

impl Answer {
    /// `number` tells this answer from all others of this process and start; `created` is in seconds since 1970.
    #[must_use]
    pub fn new(model: &str, number: u64, created: u64) -> Self {
        Self { id: format!("chatcmpl-{created:x}{number:08x}"), model: model.to_owned(), created, calls: 0 }
    }

    fn envelope(&self, object: &str, choices: &Value) -> Value {
        json!({"id": self.id, "object": object, "created": self.created, "model": self.model, "choices": choices})
    }

    fn chunk(&self, delta: &Value, odds: Option<&[Odds]>, finish: Option<&str>) -> Value {
        let odds = odds.map(|odds| logprobs(odds.iter()));
        let choices = json!([{"index": 0, "delta": delta, "logprobs": odds, "finish_reason": finish}]);
        self.envelope("chat.completion.chunk", &choices)
    }

    fn call_json(&mut self, call: &Call) -> Value {
        let index = self.calls;
        self.calls += 1;
        let id = format!("call_{}_{index}", self.id.trim_start_matches("chatcmpl-"));
        json!({"index": index, "id": id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}})
    }

    fn finish_word(&self, finish: Finish) -> &'static str {
        match finish {
            Finish::Length => "length",
            Finish::Stop if self.calls > 0 => "tool_calls",
            Finish::Stop => "stop",
        }
    }

    /// The chunk that opens a stream.
    #[must_use]
    pub fn opening(&self) -> Value {
        self.chunk(&json!({"role": "assistant", "content": ""}), None, None)
    }

    /// The chunk for one part. Reasoning goes under both names that clients know.
    pub fn part(&mut self, part: &Part) -> Value {
        let delta = match &part.piece {
            Piece::Content(text) => json!({ "content": text }),
            Piece::Reasoning(text) => json!({"reasoning_content": text, "reasoning": text}),
            Piece::Call(call) => json!({"tool_calls": [self.call_json(call)]}),
        };
        self.chunk(&delta, part.odds.as_deref(), None)
    }

    /// The chunk that says why the answer ended.
    #[must_use]
    pub fn closing(&self, finish: Finish) -> Value {
        self.chunk(&json!({}), None, Some(self.finish_word(finish)))
    }

    /// The chunk with the token counts.
    #[must_use]
    pub fn usage(&self, usage: Usage) -> Value {
        let mut chunk = self.envelope("chat.completion.chunk", &json!([]));
        if let Some(fields) = chunk.as_object_mut() {
            fields.insert("usage".into(), usage.json());
        }
        chunk
    }

    /// The whole answer in one object; `odds`: whether they were asked for.
    pub fn whole(&mut self, parts: &[Part], odds: bool, finish: Finish, usage: Usage) -> Value {
        let (mut content, mut reasoning, mut calls) = (String::new(), String::new(), Vec::new());
        for part in parts {
            match &part.piece {
                Piece::Content(text) => content.push_str(text),
                Piece::Reasoning(text) => reasoning.push_str(text),
                Piece::Call(call) => {
                    let mut call = self.call_json(call);
                    // Only a stream needs to say which call its pieces belong to.
                    call.as_object_mut().map(|fields| fields.shift_remove("index"));
                    calls.push(call);
                }
            }
        }
        let mut message = Map::new();
        message.insert("role".into(), json!("assistant"));
        let silent = content.is_empty() && !calls.is_empty();
        message.insert("content".into(), if silent { Value::Null } else { Value::String(content) });
        if !reasoning.is_empty() {
            message.insert("reasoning_content".into(), json!(reasoning));
            message.insert("reasoning".into(), json!(reasoning));
        }
        if !calls.is_empty() {
            message.insert("tool_calls".into(), Value::Array(calls));
        }
        let finish = self.finish_word(finish);
        let odds = odds.then(|| logprobs(parts.iter().filter_map(|part| part.odds.as_ref()).flatten()));
        let choices = json!([{"index": 0, "message": message, "logprobs": odds, "finish_reason": finish}]);
        let mut whole = self.envelope("chat.completion", &choices);
        if let Some(fields) = whole.as_object_mut() {
            fields.insert("usage".into(), usage.json());
        }
        whole
    }
}
