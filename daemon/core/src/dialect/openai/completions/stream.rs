//! The chunks of a streamed completion.
//!
//! Knows OpenAI's order: pieces of text, a piece with the finish reason, the usage with no choices, `[DONE]`. Refuses to know engines.
//! Invariant: no `[DONE]` without a finish reason before it.

use bytes::{BufMut, BytesMut};

use super::super::stream::DONE;
use super::super::whole::{UsageObject, finish_text};
use super::logprobs;
use crate::chat::{ChatEvent, Usage};
use crate::dialect::json;

/// Writes one answer as a stream of chunks.
#[derive(Debug)]
pub struct CompletionStream {
    /// `data: {` and the fields that every chunk has, up to the value of `choices`.
    head: Vec<u8>,
    include_usage: bool,
    /// Characters that were given with probabilities.
    offset: usize,
    finished: bool,
    usage: Usage,
}

impl CompletionStream {
    /// A stream with this id (`cmpl-...`), creation time in Unix seconds, and the model's name as asked for.
    #[must_use]
    pub fn new(id: &str, created: u64, model: &str, include_usage: bool) -> Self {
        let mut head = BytesMut::with_capacity(160 + id.len() + model.len());
        head.put_slice(b"data: {\"id\":");
        json::write(&mut head, id);
        head.put_slice(b",\"object\":\"text_completion\",\"created\":");
        json::write(&mut head, &created);
        head.put_slice(b",\"model\":");
        json::write(&mut head, model);
        head.put_slice(b",\"choices\":");
        let usage = Usage::default();
        Self { head: head.to_vec(), include_usage, offset: 0, finished: false, usage }
    }

    /// Appends what this event is on the wire, nothing for usage, which [`CompletionStream::finish`] sends.
    pub fn event(&mut self, event: &ChatEvent, out: &mut BytesMut) {
        match event {
            ChatEvent::Text { text, logprobs } => self.chunk(text, logprobs.as_deref(), None, out),
            ChatEvent::Usage(usage) => self.usage = *usage,
            ChatEvent::Finish(reason) if !self.finished => {
                self.finished = true;
                self.chunk("", None, Some(finish_text(*reason, false)), out);
            }
            // Nobody reads these out of a text.
            ChatEvent::Reasoning(_) | ChatEvent::ToolCall { .. } | ChatEvent::Finish(_) => {}
        }
    }

    /// Appends a chunk without text: what keeps a silent stream alive for clients that count parsed events.
    pub fn keep_alive(&mut self, out: &mut BytesMut) {
        if !self.finished {
            self.chunk("", None, None, out);
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

    fn chunk(
        &mut self,
        text: &str,
        logprobs: Option<&str>,
        reason: Option<&'static str>,
        out: &mut BytesMut,
    ) {
        out.put_slice(&self.head);
        out.put_slice(b"[{\"text\":");
        json::write(out, text);
        out.put_slice(b",\"index\":0,\"logprobs\":");
        json::write(out, &logprobs.and_then(|array| logprobs::lists(array, &mut self.offset)));
        out.put_slice(b",\"finish_reason\":");
        json::write(out, &reason);
        // With include_usage, OpenAI's other chunks say null.
        out.put_slice(if self.include_usage { b"}],\"usage\":null}\n\n" } else { b"}]}\n\n" });
    }
}
