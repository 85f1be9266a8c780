//! An answer in one piece.
//!
//! Knows OpenAI's completion object. Refuses to know engines. Invariant: it is given out only when the answer is
//! complete, and never holds more than its limit.

use bytes::{BufMut, Bytes, BytesMut};
use serde::Serialize;

use crate::chat::{ChatEvent, FinishReason, Usage};
use crate::dialect::json;
use crate::error::BackendFault;

#[cfg(test)]
mod tests;

/// Gathers the events of one answer.
#[derive(Debug)]
pub struct ChatWhole {
    id: String,
    created: u64,
    model: String,
    limit: usize,
    held: usize,
    text: String,
    reasoning: String,
    /// The inside of a JSON array.
    logprobs: String,
    calls: Vec<Call>,
    usage: Usage,
    finish: Option<FinishReason>,
}

#[derive(Debug, Serialize)]
struct Call {
    id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    function: Function,
}

#[derive(Debug, Serialize)]
struct Function {
    name: String,
    arguments: String,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    reasoning: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    reasoning_content: &'a str,
    refusal: Option<&'a str>,
    #[serde(skip_serializing_if = "<[Call]>::is_empty")]
    tool_calls: &'a [Call],
}

/// OpenAI's usage object.
#[derive(Serialize)]
pub(super) struct UsageObject {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_tokens_details: Option<PromptDetails>,
    #[serde(skip_serializing_if = "Option::is_none")]
    completion_tokens_details: Option<CompletionDetails>,
    /// A word of ours: it is no engine's count.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    estimated: bool,
}

#[derive(Serialize)]
struct PromptDetails {
    cached_tokens: u64,
}

#[derive(Serialize)]
struct CompletionDetails {
    reasoning_tokens: u64,
}

impl From<Usage> for UsageObject {
    fn from(usage: Usage) -> Self {
        Self {
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
            total_tokens: usage.total_tokens(),
            prompt_tokens_details: usage.cached_tokens.map(|cached_tokens| PromptDetails { cached_tokens }),
            completion_tokens_details: usage
                .reasoning_tokens
                .map(|reasoning_tokens| CompletionDetails { reasoning_tokens }),
            estimated: usage.estimated,
        }
    }
}

/// The finish reason's text. Engines say "stop" after tool calls; clients decide by the word whether to run them.
pub(super) fn finish_text(reason: FinishReason, calls: bool) -> &'static str {
    match reason {
        FinishReason::Stop if calls => "tool_calls",
        FinishReason::Stop => "stop",
        FinishReason::Length => "length",
        FinishReason::ToolCalls => "tool_calls",
        FinishReason::ContentFilter => "content_filter",
    }
}

impl ChatWhole {
    /// An answer with this id, creation time in Unix seconds, the model's name as asked for, and the most bytes
    /// of text that are held.
    #[must_use]
    pub fn new(id: &str, created: u64, model: &str, limit: usize) -> Self {
        Self {
            id: id.to_owned(),
            created,
            model: model.to_owned(),
            limit,
            held: 0,
            text: String::new(),
            reasoning: String::new(),
            logprobs: String::new(),
            calls: Vec::new(),
            usage: Usage::default(),
            finish: None,
        }
    }

    /// Takes the next event.
    ///
    /// # Errors
    /// [`BackendFault::TooLong`] where the answer passes the limit.
    pub fn event(&mut self, event: ChatEvent) -> Result<(), BackendFault> {
        match event {
            ChatEvent::Text { text, logprobs } => {
                self.hold(text.len() + logprobs.as_ref().map_or(0, |list| list.len()))?;
                self.text.push_str(&text);
                self.add_logprobs(logprobs.as_deref());
            }
            ChatEvent::Reasoning(text) => {
                self.hold(text.len())?;
                self.reasoning.push_str(&text);
            }
            ChatEvent::ToolCall { id, name, arguments, .. } => {
                self.hold(id.len() + name.len() + arguments.len())?;
                self.calls.push(Call { id, kind: "function", function: Function { name, arguments } });
            }
            ChatEvent::Usage(usage) => self.usage = usage,
            ChatEvent::Finish(reason) => self.finish = Some(reason),
        }
        Ok(())
    }

    /// How many bytes it holds.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held
    }

    /// What was counted, as far as it is known.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.usage
    }

    /// The body of the answer.
    ///
    /// # Errors
    /// [`BackendFault::EndedEarly`] where no finish reason came.
    pub fn body(&self) -> Result<Bytes, BackendFault> {
        let reason = self.finish.ok_or(BackendFault::EndedEarly)?;
        let calls = !self.calls.is_empty();
        let mut out = BytesMut::with_capacity(512 + self.held + self.held / 4);
        out.put_slice(b"{\"id\":");
        json::write(&mut out, &self.id);
        out.put_slice(b",\"object\":\"chat.completion\",\"created\":");
        json::write(&mut out, &self.created);
        out.put_slice(b",\"model\":");
        json::write(&mut out, &self.model);
        out.put_slice(b",\"choices\":[{\"index\":0,\"message\":");
        json::write(&mut out, &self.message());
        out.put_slice(b",\"logprobs\":");
        if self.logprobs.is_empty() {
            out.put_slice(b"null");
        } else {
            out.put_slice(b"{\"content\":[");
            out.put_slice(self.logprobs.as_bytes());
            out.put_slice(b"],\"refusal\":null}");
        }
        out.put_slice(b",\"finish_reason\":");
        json::write(&mut out, finish_text(reason, calls));
        out.put_slice(b"}],\"usage\":");
        json::write(&mut out, &UsageObject::from(self.usage));
        out.put_slice(b"}");
        Ok(out.freeze())
    }

    fn message(&self) -> Message<'_> {
        let silent = self.text.is_empty() && !self.calls.is_empty();
        Message {
            role: "assistant",
            content: (!silent).then_some(self.text.as_str()),
            reasoning: &self.reasoning,
            reasoning_content: &self.reasoning,
            refusal: None,
            tool_calls: &self.calls,
        }
    }

    fn hold(&mut self, more: usize) -> Result<(), BackendFault> {
        self.held = self.held.saturating_add(more);
        if self.held > self.limit { Err(BackendFault::TooLong { limit: self.limit }) } else { Ok(()) }
    }

    /// Appends the elements of a JSON array to those before.
    fn add_logprobs(&mut self, list: Option<&str>) {
        let inner =
            list.and_then(|list| list.trim().strip_prefix('[')?.strip_suffix(']')).unwrap_or_default();
        if inner.trim().is_empty() {
            return;
        }
        if !self.logprobs.is_empty() {
            self.logprobs.push(',');
        }
        self.logprobs.push_str(inner);
    }
}
