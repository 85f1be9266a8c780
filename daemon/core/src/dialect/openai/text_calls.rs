//! Calls of functions that an engine leaves in its answer's text, given as calls in OpenAI's own answers and chunks.
//!
//! Knows what clients get of an engine that speaks their language. Refuses to know how such a text reads, which
//! [`ToolText`] does. Invariants: what holds nothing of a call is passed byte for byte; a choice's role comes in its first delta; what was
//! counted stands in the last chunk that is made of one.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use bytes::{Bytes, BytesMut};
use memchr::memmem;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};

use crate::chat::{ChatEvent, FinishReason};
use crate::dialect::json::{self, Object};
use crate::dialect::tool_text::ToolText;

#[cfg(test)]
mod tests;

/// Finds the calls in the texts of one answer.
#[derive(Debug)]
pub struct TextCalls {
    tools: Arc<[String]>,
    id_seed: String,
    limit: usize,
    choices: BTreeMap<u32, Choice>,
}

/// One choice of it.
#[derive(Debug)]
struct Choice {
    reader: ToolText,
    /// Its role was given.
    spoke: bool,
}

/// What must be known of a chunk.
#[derive(Deserialize)]
struct Look<'a> {
    #[serde(borrow)]
    choices: Option<Vec<Object<Part<'a>>>>,
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(default)]
    index: u32,
    #[serde(borrow)]
    delta: Option<Object<Delta<'a>>>,
    #[serde(borrow)]
    finish_reason: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    role: Option<IgnoredAny>,
    #[serde(borrow)]
    content: Option<Cow<'a, str>>,
    tool_calls: Option<Vec<IgnoredAny>>,
}

impl TextCalls {
    /// For a request with functions of these names; each choice may hold a call of `limit` bytes back. `id_seed` makes the calls' ids
    /// unique beyond this answer.
    #[must_use]
    pub fn new(tools: Arc<[String]>, id_seed: &str, limit: usize) -> Self {
        Self { tools, id_seed: id_seed.to_owned(), limit, choices: BTreeMap::new() }
    }

    /// How many bytes of text are held back.
    #[must_use]
    pub fn held(&self) -> usize {
        self.choices.values().map(|choice| choice.reader.held()).sum()
    }

    /// The chunks in the place of this one; none where it is to be passed as it came.
    pub(super) fn chunk(&mut self, data: &[u8]) -> Option<Vec<Value>> {
        // Of another form it is passed on as it is, as it would be without tools.
        let look: Look<'_> = json::read(data, "chunk").ok()?;
        let mut calm = true;
        for Object(part) in look.choices.iter().flatten() {
            calm &= self.choice(part.index).passes(part);
        }
        if !calm {
            return self.parted(serde_json::from_slice(data).ok()?);
        }
        for Object(part) in look.choices.iter().flatten() {
            self.choice(part.index).spoke |=
                part.delta.as_ref().is_some_and(|Object(delta)| delta.role.is_some());
        }
        None
    }

    /// A whole answer, with the calls in its texts as calls.
    #[must_use]
    pub fn whole(mut self, answer: Bytes) -> Bytes {
        // Some writers of JSON escape the bracket.
        let may_call = [&b"<tool_call>"[..], b"\\u003ctool_call", b"\\u003Ctool_call"];
        if !may_call.iter().any(|words| memmem::find(&answer, words).is_some()) {
            return answer;
        }
        let Ok(mut whole) = serde_json::from_slice::<Value>(&answer) else { return answer };
        let mut changed = false;
        for choice in whole.get_mut("choices").and_then(Value::as_array_mut).into_iter().flatten() {
            let index = index(choice);
            changed |= choice.as_object_mut().and_then(|fields| self.choice(index).whole(fields)).is_some();
        }
        if !changed {
            return answer;
        }
        let mut out = BytesMut::with_capacity(answer.len());
        json::write(&mut out, &whole);
        out.freeze()
    }

    /// The chunk in pieces, each with one choice and one event at the most.
    fn parted(&mut self, mut chunk: Value) -> Option<Vec<Value>> {
        let choices = std::mem::take(chunk.get_mut("choices")?.as_array_mut()?);
        let mut pieces = Vec::new();
        for choice in choices {
            self.choice(index(&choice)).pieces(choice, &mut pieces);
        }
        if pieces.is_empty() && !chunk.get("usage").is_some_and(Value::is_object) {
            return Some(Vec::new());
        }
        let last = pieces.pop();
        let mut before = chunk.clone();
        if let Some(usage) = before.get_mut("usage") {
            *usage = Value::Null;
        }
        let mut chunks: Vec<_> = pieces.into_iter().map(|piece| with(&before, vec![piece])).collect();
        chunks.push(with(&chunk, last.into_iter().collect()));
        Some(chunks)
    }

    fn choice(&mut self, index: u32) -> &mut Choice {
        let (tools, id_seed, limit) = (&self.tools, &self.id_seed, self.limit);
        self.choices.entry(index).or_insert_with(|| {
            let id_seed = match index {
                0 => Cow::Borrowed(id_seed.as_str()),
                _ => format!("{id_seed}x{index}").into(),
            };
            Choice { reader: ToolText::new(Arc::clone(tools), &id_seed, limit), spoke: false }
        })
    }
}

impl Choice {
    /// Whether its part of a chunk can be given as it is.
    fn passes(&mut self, part: &Part<'_>) -> bool {
        let delta = part.delta.as_ref().map(|Object(delta)| delta);
        let ends = part.finish_reason.as_ref().is_some_and(|reason| !reason.is_empty());
        let calls = delta.and_then(|delta| delta.tool_calls.as_ref()).is_some_and(|calls| !calls.is_empty());
        let nothing = self.reader.held() == 0 && self.reader.calls() == 0;
        if calls && nothing {
            self.reader.close(&mut Vec::new());
        }
        let text = delta.and_then(|delta| delta.content.as_deref()).unwrap_or_default();
        (nothing || !ends && !calls) && self.reader.passes(text)
    }

    /// Appends what its part of a chunk comes to: the same choice, each time with a delta of its own.
    fn pieces(&mut self, choice: Value, out: &mut Vec<Value>) {
        let Value::Object(mut choice) = choice else { return };
        let mut rest = match choice.remove("delta") {
            Some(Value::Object(delta)) => delta,
            _ => Map::new(),
        };
        let role = rest.remove("role").filter(says);
        let logprobs = choice.remove("logprobs");
        let reason = choice.remove("finish_reason").filter(says);
        let mut events = Vec::new();
        if let Some(Value::String(text)) = rest.remove("content") {
            let logprobs = logprobs.as_ref().and_then(list).map(|list| Value::from(list).to_string().into());
            self.reader.event(ChatEvent::Text { text, logprobs }, &mut events);
        }
        let calls = rest.get("tool_calls").is_some_and(says);
        if calls {
            self.reader.close(&mut events);
            renumber(&mut rest, self.reader.calls());
        }
        if reason.is_some() {
            self.reader.event(ChatEvent::Finish(FinishReason::Stop), &mut events);
        }
        let mut deltas: Vec<_> = events.into_iter().filter_map(delta).collect();
        if rest.values().any(says) {
            let place = if calls { deltas.len() } else { 0 };
            deltas.insert(place, (rest, None));
        }
        if let Some(role) = role.filter(|_| !std::mem::replace(&mut self.spoke, true)) {
            if deltas.is_empty() {
                deltas.push((Map::from_iter([("content".to_owned(), "".into())]), None));
            }
            if let Some((first, _)) = deltas.first_mut() {
                first.insert("role".to_owned(), role);
            }
        }
        for (delta, own) in deltas {
            out.push(piece(&choice, delta, own.map(|own| with_list(logprobs.as_ref(), own)), Value::Null));
        }
        if let Some(reason) = reason {
            out.push(piece(&choice, Map::new(), None, self.reason(reason)));
        }
    }

    /// Takes the calls out of a whole answer's choice; none where there is none.
    fn whole(&mut self, choice: &mut Map<String, Value>) -> Option<()> {
        let message = choice.get("message")?.as_object()?;
        if message.get("tool_calls").is_some_and(says) {
            return None;
        }
        let content = message.get("content")?.as_str()?;
        let (mut events, mut text, mut calls, mut probabilities) =
            (Vec::new(), String::new(), Vec::new(), Vec::new());
        for event in tokens(content, choice.get("logprobs")) {
            self.reader.event(event, &mut events);
        }
        self.reader.event(ChatEvent::Finish(FinishReason::Stop), &mut events);
        if self.reader.calls() == 0 {
            return None;
        }
        for event in events {
            match event {
                ChatEvent::Text { text: more, logprobs } => {
                    text.push_str(&more);
                    probabilities
                        .extend(logprobs.and_then(|list| serde_json::from_str::<Vec<Value>>(&list).ok()));
                }
                ChatEvent::ToolCall { id, name, arguments, .. } => calls.push(call(&id, &name, &arguments)),
                ChatEvent::Reasoning(_) | ChatEvent::Usage(_) | ChatEvent::Finish(_) => {}
            }
        }
        let message = choice.get_mut("message")?.as_object_mut()?;
        message.insert("content".to_owned(), if text.is_empty() { Value::Null } else { text.into() });
        message.insert("tool_calls".to_owned(), calls.into());
        if let Some(logprobs) = choice.get_mut("logprobs") {
            let left = probabilities.concat();
            *logprobs = if left.is_empty() { Value::Null } else { with_list(Some(logprobs), left.into()) };
        }
        if let Some(reason) = choice.get_mut("finish_reason") {
            *reason = self.reason(reason.take());
        }
        Some(())
    }

    /// Clients go by the word: an engine that has left a call in its text says "stop".
    fn reason(&self, reason: Value) -> Value {
        if self.reader.calls() > 0 && reason == "stop" { "tool_calls".into() } else { reason }
    }
}

fn index(choice: &Value) -> u32 {
    choice.get("index").and_then(Value::as_u64).and_then(|index| u32::try_from(index).ok()).unwrap_or(0)
}

/// Whether it is more than nothing.
fn says(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => true,
    }
}

/// The probabilities of a text's tokens.
fn list(logprobs: &Value) -> Option<Vec<Value>> {
    logprobs.get("content")?.as_array().filter(|list| !list.is_empty()).cloned()
}

/// The same object with other ones.
fn with_list(logprobs: Option<&Value>, list: Value) -> Value {
    let mut fields = logprobs.and_then(Value::as_object).cloned().unwrap_or_default();
    fields.insert("content".to_owned(), list);
    fields.into()
}

/// A whole text as the tokens of which it was made, each with its probabilities, where the answer has them.
fn tokens(content: &str, logprobs: Option<&Value>) -> Vec<ChatEvent> {
    let tokens = logprobs.and_then(list).unwrap_or_default();
    let token = |token: &Value| token.get("token").and_then(Value::as_str).unwrap_or_default().to_owned();
    if tokens.iter().map(token).collect::<String>() != content {
        return vec![ChatEvent::text(content)];
    }
    let event =
        |one: Value| ChatEvent::Text { text: token(&one), logprobs: Some(json!([one]).to_string().into()) };
    tokens.into_iter().map(event).collect()
}

/// An event as a delta, and the probabilities of its text.
fn delta(event: ChatEvent) -> Option<(Map<String, Value>, Option<Value>)> {
    let (name, value, logprobs) = match event {
        ChatEvent::Text { text, logprobs } => {
            ("content", text.into(), logprobs.and_then(|list| serde_json::from_str(&list).ok()))
        }
        ChatEvent::ToolCall { index, id, name, arguments } => {
            let mut call = call(&id, &name, &arguments);
            call.as_object_mut()?.insert("index".to_owned(), index.into());
            ("tool_calls", json!([call]), None)
        }
        ChatEvent::Reasoning(_) | ChatEvent::Usage(_) | ChatEvent::Finish(_) => return None,
    };
    Some((Map::from_iter([(name.to_owned(), value)]), logprobs))
}

fn call(id: &str, name: &str, arguments: &str) -> Value {
    json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
}

/// The engine's own calls come behind those that its text had.
fn renumber(delta: &mut Map<String, Value>, before: u32) {
    for (place, call) in
        delta.get_mut("tool_calls").and_then(Value::as_array_mut).into_iter().flatten().enumerate()
    {
        let own = call.get("index").and_then(Value::as_u64).unwrap_or(place as u64);
        if let Some(fields) = call.as_object_mut() {
            fields.insert("index".to_owned(), own.saturating_add(before.into()).into());
        }
    }
}

fn piece(
    choice: &Map<String, Value>,
    delta: Map<String, Value>,
    logprobs: Option<Value>,
    reason: Value,
) -> Value {
    let mut piece = choice.clone();
    piece.insert("delta".to_owned(), delta.into());
    piece.extend(logprobs.map(|logprobs| ("logprobs".to_owned(), logprobs)));
    piece.insert("finish_reason".to_owned(), reason);
    piece.into()
}

/// The same chunk with these choices.
fn with(chunk: &Value, choices: Vec<Value>) -> Value {
    let mut chunk = chunk.clone();
    if let Some(list) = chunk.get_mut("choices") {
        *list = choices.into();
    }
    chunk
}
