//! Requests of 4 kB, whole, as an engine is asked.
//!
//! Knows a conversation of several turns with a tool. Refuses to know answers.
//!
//! Where the work goes, in looks at each byte (the second way below, 25,500 instructions; the promise of 15 µs is about eight of them where
//! nobody else uses the processor, at 1.7 µs each), by instructions that callgrind counts, which no neighbour changes:
//!
//! | part | looks |
//! |---|---|
//! | the body's fields: its grammar, its characters, names that are refused | 1.2 |
//! | the messages, each a role and a text alone, which is kept as it is spelled | 0.6 |
//! | the other fields of a chat, by their table | 0.2 |
//! | the tools, as they came | 0.4 |
//! | a tool of which Ollama keeps all, found to be one | 0.2 |
//! | a tool of which it drops words, written anew | 0.8 |
//! | the tools of a response, written as a chat's | 0.5 |
//! | what a response repeats of its request | 0.4 |
//! | the messages, written | 0.1 |
//!
//! A text that is escaped as often as this one, about every thirty bytes, is searched for its end and copied twice. Messages with parts, calls
//! or names are read by serde, and cost more.

use std::hint::black_box;

use anyhow::{Result, ensure};
use bytes::Bytes;
use ghostllm_core::{
    chat::{ChatRequest, Defaults},
    config::Limits,
    dialect::{
        ollama::chat_body,
        openai::{self, parse_chat, passthrough::inspect},
        responses::parse_response,
    },
};
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use crate::Way;

/// Requests of a turn.
pub(crate) const PIECES: usize = 10;

/// What a request may cost.
const PROMISED_NS: f64 = 15_000.0;

/// How large one is, in bytes, within a twentieth.
const SIZE: usize = 4_096;

/// What a turn says: words with a quote and a line's end among them, as letters and code have.
const SAID: &str =
    "The tower was built for the fair of 1889; its maker said \"three hundred metres\".\nIs it so? ";

fn tool() -> Value {
    let place = json!({"type": "string", "description": "The city, with its country where it is not plain."});
    json!({
        "name": "weather", "description": "Says what the weather is at a place.",
        "parameters": {"type": "object", "properties": {"place": place}, "required": ["place"]},
    })
}

/// The same in OpenAI's strict form, which clients' libraries make of their types.
fn strict() -> Value {
    let mut tool = tool();
    tool["strict"] = true.into();
    tool["parameters"]["additionalProperties"] = false.into();
    tool
}

/// A conversation of three turns, filled up to the size.
fn turns(rest: usize) -> Vec<Value> {
    let text = SAID.repeat(1 + rest / 3 / SAID.len());
    let said: String = text.chars().take(rest / 3).collect();
    ["user", "assistant", "user"].iter().map(|role| json!({"role": role, "content": said})).collect()
}

/// The largest that is no larger than it may be: the quotes and lines within are escaped, so that it is tried.
fn sized(make: impl Fn(usize) -> Value) -> Result<Bytes> {
    let bytes = (0..SIZE)
        .rev()
        .step_by(16)
        .map(|rest| make(rest).to_string())
        .find(|body| body.len() <= SIZE)
        .unwrap_or_default();
    ensure!(bytes.len() > SIZE - SIZE / 20, "{} bytes", bytes.len());
    Ok(bytes.into())
}

fn chat(tool: &Value) -> Result<Bytes> {
    sized(|rest| {
        let tools = json!([{"type": "function", "function": tool}]);
        json!({"model": "tiny", "messages": turns(rest), "tools": tools, "temperature": 0.2, "stream": true})
    })
}

fn response() -> Result<Bytes> {
    sized(|rest| {
        let mut tool = tool();
        tool["type"] = "function".into();
        json!({"model": "tiny", "input": turns(rest), "tools": [tool], "temperature": 0.2, "stream": true})
    })
}

fn way(words: &'static str, promised: Option<f64>, once: impl Fn() -> Result<usize> + 'static) -> Way {
    let work = move |pieces| (0..pieces).map(|_| once()).sum();
    Way { words, promised, work: Box::new(work) }
}

/// All that are compared, the bytes themselves first.
pub(crate) fn ways() -> Result<Vec<Way>> {
    let (chat, strict, response) = (chat(&tool())?, chat(&strict())?, response()?);
    let (copied, looked_at, passed) = (chat.clone(), chat.clone(), chat.clone());
    let limits = Limits::default();
    Ok(vec![
        way("passed on as it came", None, move || Ok(black_box(Bytes::copy_from_slice(&copied)).len())),
        way("each byte looked at, nothing kept", None, move || {
            serde_json::from_slice::<IgnoredAny>(black_box(&looked_at))?;
            Ok(looked_at.len())
        }),
        way("a chat, renamed, for an engine of OpenAI's", Some(PROMISED_NS), move || {
            let read = inspect(black_box(&passed), &limits)?;
            Ok(black_box(read.with(&passed, "another", &Defaults::default())).len())
        }),
        for_ollama("a chat for Ollama", chat),
        for_ollama("the same, of whose tool Ollama drops words", strict),
        answered("a response for Ollama", response.clone(), |chat| Ok(chat_body(chat, "tiny")?)),
        answered("a response for an engine of OpenAI's", response, |chat| {
            Ok(openai::chat_body(chat, "tiny", true))
        }),
    ])
}

fn for_ollama(words: &'static str, body: Bytes) -> Way {
    let limits = Limits::default();
    way(words, Some(PROMISED_NS), move || {
        let read = parse_chat(black_box(&body), &limits)?;
        Ok(black_box(chat_body(&read, "tiny")?).len())
    })
}

fn answered(words: &'static str, body: Bytes, asked: fn(&ChatRequest) -> Result<Bytes>) -> Way {
    let limits = Limits::default();
    way(words, Some(PROMISED_NS), move || {
        let read = parse_response(black_box(&body), &limits)?;
        Ok(black_box(asked(&read.chat)?).len())
    })
}
