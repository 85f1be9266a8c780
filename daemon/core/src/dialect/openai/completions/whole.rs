//! A completion in one piece.
//!
//! Knows OpenAI's object. Refuses to know engines. Invariant: it is given out only when the answer is complete, and never holds more
//! than its limit.

use bytes::{BufMut, Bytes, BytesMut};

use super::super::whole::{UsageObject, finish_text};
use super::logprobs;
use crate::chat::{ChatEvent, FinishReason, Usage};
use crate::dialect::json;
use crate::error::BackendFault;

/// Gathers the events of one answer.
#[derive(Debug)]
pub struct CompletionWhole {
    id: String,
    created: u64,
    model: String,
    limit: usize,
    held: usize,
    text: String,
    /// JSON arrays in a chat's form, one for each piece.
    logprobs: Vec<Box<str>>,
    usage: Usage,
    finish: Option<FinishReason>,
}

impl CompletionWhole {
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
            logprobs: Vec::new(),
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
                self.logprobs.extend(logprobs);
            }
            ChatEvent::Usage(usage) => self.usage = usage,
            ChatEvent::Finish(reason) => self.finish = Some(reason),
            // Nobody reads these out of a text.
            ChatEvent::Reasoning(_) | ChatEvent::ToolCall { .. } => {}
        }
        Ok(())
    }

    /// How many bytes it holds.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held
    }

    /// The body of the answer.
    ///
    /// # Errors
    /// [`BackendFault::EndedEarly`] where no finish reason came.
    pub fn body(&self) -> Result<Bytes, BackendFault> {
        let reason = self.finish.ok_or(BackendFault::EndedEarly)?;
        let mut out = BytesMut::with_capacity(512 + self.held + self.held / 4);
        out.put_slice(b"{\"id\":");
        json::write(&mut out, &self.id);
        out.put_slice(b",\"object\":\"text_completion\",\"created\":");
        json::write(&mut out, &self.created);
        out.put_slice(b",\"model\":");
        json::write(&mut out, &self.model);
        out.put_slice(b",\"choices\":[{\"text\":");
        json::write(&mut out, &self.text);
        out.put_slice(b",\"index\":0,\"logprobs\":");
        let (array, mut offset) = (self.tokens(), 0);
        json::write(&mut out, &array.as_deref().and_then(|array| logprobs::lists(array, &mut offset)));
        out.put_slice(b",\"finish_reason\":");
        json::write(&mut out, finish_text(reason, false));
        out.put_slice(b"}],\"usage\":");
        json::write(&mut out, &UsageObject::from(self.usage));
        out.put_slice(b"}");
        Ok(out.freeze())
    }

    /// The probabilities of all pieces as one JSON array; none where there are none.
    fn tokens(&self) -> Option<String> {
        let inner = |list: &str| list.trim().strip_prefix('[')?.strip_suffix(']').map(str::to_owned);
        let pieces: Vec<String> = self.logprobs.iter().filter_map(|list| inner(list)).collect();
        let pieces: Vec<&str> =
            pieces.iter().map(|piece| piece.trim()).filter(|piece| !piece.is_empty()).collect();
        (!pieces.is_empty()).then(|| format!("[{}]", pieces.join(",")))
    }

    fn hold(&mut self, more: usize) -> Result<(), BackendFault> {
        self.held = self.held.saturating_add(more);
        if self.held > self.limit { Err(BackendFault::TooLong { limit: self.limit }) } else { Ok(()) }
    }
}
