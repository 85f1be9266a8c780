//! The shapes of a chat's answer.
//!
//! Invariant: no two calls of an answer have the same id.

use super::{Answer, Finish, Head, Odds, Part, Said, Usage};
use crate::output::Piece;
use crate::output::calls::Call;
use serde_json::{Map, Value, json};

const WHOLE: &str = "chat.completion";
const CHUNK: &str = "chat.completion.chunk";

/// Writes one answer.
#[derive(Debug)]
pub struct ChatAnswer {
    head: Head,
    /// Whether they were asked for.
    odds: bool,
    calls: usize,
}

impl ChatAnswer {
    /// `number` tells this answer from all others of this process and start; `created` is in seconds since 1970; `odds`: whether they
    /// were asked for.
    #[must_use]
    pub fn new(model: &str, number: u64, created: u64, odds: bool) -> Self {
        Self { head: Head::new("chatcmpl", model, number, created), odds, calls: 0 }
    }

    fn chunk(&self, delta: &Value, odds: Option<&[Odds]>, finish: Option<&str>) -> Value {
        let odds = odds.map(|odds| logprobs(odds.iter()));
        let choices = json!([{"index": 0, "delta": delta, "logprobs": odds, "finish_reason": finish}]);
        self.head.object(CHUNK, &choices)
    }

    fn call_json(&mut self, call: &Call) -> Value {
        let index = self.calls;
        self.calls += 1;
        let id = format!("call_{}_{index}", self.head.id.trim_start_matches("chatcmpl-"));
        json!({"index": index, "id": id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}})
    }

    fn finish_word(&self, finish: Finish) -> &'static str {
        match finish {
            Finish::Stop if self.calls > 0 => "tool_calls",
            Finish::Stop | Finish::Length => finish.word(),
        }
    }

    fn choice(&mut self, index: usize, said: &Said) -> Value {
        let (mut content, mut reasoning, mut calls) = (String::new(), String::new(), Vec::new());
        for part in &said.parts {
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
        // OpenAI's message always has it. What a model here refuses in, it says as content.
        message.insert("refusal".into(), Value::Null);
        if !reasoning.is_empty() {
            message.insert("reasoning_content".into(), json!(reasoning));
            message.insert("reasoning".into(), json!(reasoning));
        }
        if !calls.is_empty() {
            message.insert("tool_calls".into(), Value::Array(calls));
        }
        let finish = self.finish_word(said.finish);
        let odds =
            self.odds.then(|| logprobs(said.parts.iter().filter_map(|part| part.odds.as_ref()).flatten()));
        json!({"index": index, "message": message, "logprobs": odds, "finish_reason": finish})
    }
}

impl Answer for ChatAnswer {
    fn opening(&self) -> Option<Value> {
        Some(self.chunk(&json!({"role": "assistant", "content": ""}), None, None))
    }

    /// Reasoning goes under both names that clients know.
    fn part(&mut self, part: &Part) -> Value {
        let delta = match &part.piece {
            Piece::Content(text) => json!({ "content": text }),
            Piece::Reasoning(text) => json!({"reasoning_content": text, "reasoning": text}),
            Piece::Call(call) => json!({"tool_calls": [self.call_json(call)]}),
        };
        self.chunk(&delta, part.odds.as_deref(), None)
    }

    fn closing(&mut self, finish: Finish) -> Value {
        self.chunk(&json!({}), None, Some(self.finish_word(finish)))
    }

    fn usage(&self, usage: Usage) -> Value {
        self.head.counted(CHUNK, &json!([]), usage)
    }

    fn whole(&mut self, all: &[Said], usage: Usage) -> Value {
        let choices = all.iter().enumerate().map(|(index, said)| self.choice(index, said)).collect();
        self.head.counted(WHOLE, &Value::Array(choices), usage)
    }
}

/// OpenAI's `logprobs` of a choice.
fn logprobs<'a>(odds: impl Iterator<Item = &'a Odds>) -> Value {
    json!({"content": odds.map(Odds::json).collect::<Vec<_>>(), "refusal": null})
}
