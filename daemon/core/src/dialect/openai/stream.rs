//! The chunks of a streamed answer.
//!
//! Knows the order that strict clients want: the role once and first, one creation time, the finish chunk with an
//! empty delta, then the usage chunk with no choices, then `[DONE]`. Refuses to know engines. Invariant: no
//! `[DONE]` without a finish reason before it.

use bytes::{BufMut, BytesMut};
use serde::Serialize;

use super::whole::{UsageObject, finish_text};
use crate::chat::{ChatEvent, FinishReason, Usage};
use crate::dialect::json;

#[cfg(test)]
mod tests;

/// The end of a good stream.
pub const DONE: &[u8] = b"data: [DONE]\n\n";

/// What keeps a silent stream alive, for clients that count bytes.
pub const KEEP_ALIVE_COMMENT: &[u8] = b": keep-alive\n\n";

/// Writes one answer as a stream of chunks.
#[derive(Debug)]
pub struct ChatStream {
    /// `data: {` and the fields that every chunk has, up to the value of `choices`.
    head: Vec<u8>,
    /// What stands behind the choices of every chunk but the last.
    tail: &'static [u8],
    include_usage: bool,
    role_sent: bool,
    calls: bool,
    finished: bool,
    usage: Usage,
}

#[derive(Serialize)]
struct Call<'a> {
    index: u32,
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    function: Function<'a>,
}

#[derive(Serialize)]
struct Function<'a> {
    name: &'a str,
    arguments: &'a str,
}

impl ChatStream {
    /// A stream with this id (`chatcmpl-...`), creation time in Unix seconds, and the model's name as asked for.
    #[must_use]
    pub fn new(id: &str, created: u64, model: &str, include_usage: bool) -> Self {
        let mut head = BytesMut::with_capacity(160 + id.len() + model.len());
        head.put_slice(b"data: {\"id\":");
        json::write(&mut head, id);
        head.put_slice(b",\"object\":\"chat.completion.chunk\",\"created\":");
        json::write(&mut head, &created);
        head.put_slice(b",\"model\":");
        json::write(&mut head, model);
        head.put_slice(b",\"choices\":");
        Self {
            head: head.to_vec(),
            // With include_usage, OpenAI's other chunks say null.
            tail: if include_usage { b",\"usage\":null}\n\n" } else { b"}\n\n" },
            include_usage,
            role_sent: false,
            calls: false,
            finished: false,
            usage: Usage::default(),
        }
    }

    /// Appends what this event is on the wire, nothing for usage, which [`ChatStream::finish`] sends.
    pub fn event(&mut self, event: &ChatEvent, out: &mut BytesMut) {
        match event {
            ChatEvent::Text { text, logprobs } => {
                self.open(out);
                out.put_slice(b"\"content\":");
                json::write(out, text);
                self.close(logprobs.as_deref(), None, out);
            }
            ChatEvent::Reasoning(text) => {
                self.open(out);
                // Ollama and vLLM clients read the one name, llama.cpp's and DeepSeek's the other.
                out.put_slice(b"\"reasoning\":");
                json::write(out, text);
                out.put_slice(b",\"reasoning_content\":");
                json::write(out, text);
                self.close(None, None, out);
            }
            ChatEvent::ToolCall { index, id, name, arguments } => {
                self.calls = true;
                self.open(out);
                out.put_slice(b"\"tool_calls\":[");
                let function = Function { name, arguments };
                json::write(out, &Call { index: *index, id, kind: "function", function });
                out.put_slice(b"]");
                self.close(None, None, out);
            }
            ChatEvent::Usage(usage) => self.usage = *usage,
            ChatEvent::Finish(reason) => self.finish_chunk(*reason, out),
        }
    }

    /// Appends a chunk with an empty delta: what keeps a silent stream alive for clients that count parsed events.
    pub fn keep_alive(&mut self, out: &mut BytesMut) {
        if !self.finished {
            self.open(out);
            out.put_slice(b"\"content\":\"\"");
            self.close(None, None, out);
        }
    }

    /// Appends the end of the stream: the usage where it was asked for, and `[DONE]`. Nothing where no finish
    /// reason came, since such an answer is not complete.
    pub fn finish(&mut self, out: &mut BytesMut) {
        if !self.finished {
            return;
        }
        if self.include_usage {
            out.put_slice(&self.head);
            out.put_slice(b"[],\"usage\":");
            json::write(out, &UsageObject::from(self.usage));
            out.put_slice(b"}\n\n");
        }
        out.put_slice(DONE);
    }

    /// What was counted, as far as it is known.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.usage
    }

    fn finish_chunk(&mut self, reason: FinishReason, out: &mut BytesMut) {
        if self.finished {
            return;
        }
        if !self.role_sent {
            self.keep_alive(out);
        }
        self.finished = true;
        self.open(out);
        self.close(None, Some(finish_text(reason, self.calls)), out);
    }

    /// Begins a chunk, up to the inside of its delta.
    fn open(&mut self, out: &mut BytesMut) {
        out.put_slice(&self.head);
        out.put_slice(b"[{\"index\":0,\"delta\":{");
        if !self.role_sent {
            self.role_sent = true;
            out.put_slice(b"\"role\":\"assistant\",");
        }
    }

    fn close(&self, logprobs: Option<&str>, reason: Option<&'static str>, out: &mut BytesMut) {
        out.put_slice(b"}");
        if let Some(logprobs) = logprobs {
            out.put_slice(b",\"logprobs\":{\"content\":");
            out.put_slice(&json::flat(logprobs.as_bytes()));
            out.put_slice(b",\"refusal\":null}");
        }
        out.put_slice(b",\"finish_reason\":");
        json::write(out, &reason);
        out.put_slice(b"}]");
        out.put_slice(self.tail);
    }
}
