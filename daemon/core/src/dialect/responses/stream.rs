//! The events of a streamed response.
//!
//! Knows their order: the response, its items one after the other, each with its parts, and the response once more, whole.
//! Refuses to know engines. Invariants: sequence numbers count from 0 without a gap; whatever was begun is ended before the
//! last event of an answer that did not fail; what that event holds is what those before it have told.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use serde::Serialize;

use super::echo::Echo;
use super::in_own_words;
use super::item::{
    self, Call, Head, Held, Item, Items, KeptItem, Outcome, Status, SummaryText, inside, write_response,
    write_text,
};
use crate::chat::{ChatEvent, FinishReason, Usage};
use crate::dialect::json;
use crate::error::{ApiError, BackendFault, Code};

#[cfg(test)]
mod tests;

/// Writes one answer as a stream of events.
#[derive(Debug)]
pub struct ResponseStream {
    head: Head,
    echo: Arc<Echo>,
    items: Items,
    sequence: u64,
    begun: bool,
    finish: Option<FinishReason>,
    usage: Option<Usage>,
    ended: bool,
}

impl ResponseStream {
    /// A stream whose id is made of `unique`, with its creation time in Unix seconds, and the most bytes of an answer that
    /// are held for its last events.
    #[must_use]
    pub fn new(unique: &str, created: u64, echo: Arc<Echo>, limit: usize) -> Self {
        Self {
            head: Head { id: format!("resp_{unique}"), created },
            echo,
            items: Items::new(unique, limit),
            sequence: 0,
            begun: false,
            finish: None,
            usage: None,
            ended: false,
        }
    }

    /// The same stream, of which so many events were given by another writer, whose items are lost. It can only fail.
    #[must_use]
    pub fn behind(self, events: u64) -> Self {
        Self { sequence: events, begun: events > 0, ..self }
    }

    /// How many events it has written.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.sequence
    }

    /// How many bytes it holds, or will at its end: its last events repeat a text four times, and the first and the last what is
    /// repeated of the request.
    #[must_use]
    pub fn held(&self) -> usize {
        self.items.held() * 5 + self.echo.fields.len() * 3
    }

    /// Appends what this event is on the wire; what was counted, and why it ended, stand in the last one.
    ///
    /// # Errors
    /// [`BackendFault::TooLong`] where the answer passes the limit.
    pub fn event(&mut self, event: ChatEvent, out: &mut BytesMut) -> Result<(), BackendFault> {
        match event {
            ChatEvent::Text { text, logprobs } => {
                // The probabilities of what is thought or called begin no message.
                if text.is_empty() && !self.items.speaks() {
                    return Ok(());
                }
                let logprobs = inside(logprobs.as_deref());
                self.items.hold(text.len() + logprobs.len())?;
                self.say(&text, &logprobs, out);
            }
            ChatEvent::Reasoning(text) => {
                self.items.hold(text.len())?;
                self.think(&text, out);
            }
            ChatEvent::ToolCall { id, name, arguments, .. } => {
                self.items.hold(id.len() + name.len() + arguments.len())?;
                let call = item::call(&self.echo, id, name, arguments);
                self.open(Held::Call(call), out);
                self.close(Status::Completed, out);
            }
            ChatEvent::Usage(usage) => self.usage = Some(usage),
            ChatEvent::Finish(reason) => self.finish = Some(reason),
        }
        Ok(())
    }

    /// Appends the last event: the response, whole. Nothing where no finish reason came, since such an answer is not
    /// complete.
    pub fn finish(&mut self, out: &mut BytesMut) {
        let Some(reason) = self.finish.filter(|_| !self.ended) else { return };
        let outcome = Outcome::of(reason);
        self.begin(out);
        self.close(outcome.last(), out);
        self.response(outcome.event(), outcome, out);
        self.ended = true;
    }

    /// The items that a later request may name; none before the answer is complete, and none where it failed.
    #[must_use]
    pub fn kept(&self) -> Vec<KeptItem> {
        if self.ended && self.finish.is_some() { self.items.kept() } else { Vec::new() }
    }

    /// The last events of a response that failed. The one tells it to whoever follows the response; from the other
    /// OpenAI's own libraries make an exception, which nobody overlooks.
    #[must_use]
    pub fn failure(&mut self, error: &ApiError) -> Bytes {
        let mut out = BytesMut::new();
        if self.ended {
            return out.freeze();
        }
        self.begin(&mut out);
        let error = &in_own_words(error.clone(), &self.echo);
        // What was being said when it failed is told as it is, and not as something that was ended.
        let outcome = Outcome::Failed(code(error.code()), error.message());
        self.items.close(outcome.last());
        self.response(outcome.event(), outcome, &mut out);
        self.error(error, &mut out);
        self.ended = true;
        out.freeze()
    }

    /// What was counted, where it was.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        self.usage
    }

    fn say(&mut self, text: &str, logprobs: &str, out: &mut BytesMut) {
        if !self.items.speaks() {
            self.open(Held::Message { text: String::new(), logprobs: String::new() }, out);
        }
        self.items.say(text, logprobs);
        self.delta("response.output_text.delta", out, |out| {
            out.put_slice(b",\"delta\":");
            json::write(out, text);
            out.put_slice(b",\"logprobs\":[");
            out.put_slice(logprobs.as_bytes());
            out.put_slice(b"]");
        });
    }

    fn think(&mut self, text: &str, out: &mut BytesMut) {
        if !matches!(self.items.open(), Some((_, Item { held: Held::Reasoning(_), .. }))) {
            self.open(Held::Reasoning(String::new()), out);
        }
        self.items.think(text);
        self.delta("response.reasoning_summary_text.delta", out, |out| {
            out.put_slice(b",\"delta\":");
            json::write(out, text);
        });
    }

    /// The response itself, once and first.
    fn begin(&mut self, out: &mut BytesMut) {
        if self.begun {
            return;
        }
        self.begun = true;
        for kind in ["response.created", "response.in_progress"] {
            self.response(kind, Outcome::InProgress, out);
        }
    }

    /// Ends the item that is open, and begins another.
    fn open(&mut self, held: Held, out: &mut BytesMut) {
        self.begin(out);
        self.close(Status::Completed, out);
        self.items.begin(held);
        let Some((place, item)) = self.items.open() else { return };
        let mut event = Events { sequence: &mut self.sequence, item, place, out };
        event.item("response.output_item.added");
        match &item.held {
            Held::Message { .. } => {
                event.inside("response.content_part.added", |out| {
                    out.put_slice(b",\"part\":");
                    write_text("", "", out);
                });
            }
            Held::Reasoning(_) => {
                event.inside("response.reasoning_summary_part.added", |out| {
                    out.put_slice(b",\"part\":");
                    json::write(out, &SummaryText::new(""));
                });
            }
            Held::Call(call) => {
                event.inside(kinds(call).0, |out| {
                    out.put_slice(b",\"delta\":");
                    json::write(out, &call.input);
                });
            }
        }
    }

    /// Ends the item that is open: its part, and the item itself, whole.
    fn close(&mut self, status: Status, out: &mut BytesMut) {
        self.items.end(status);
        let Some((place, item)) = self.items.open() else { return };
        let mut event = Events { sequence: &mut self.sequence, item, place, out };
        match &item.held {
            Held::Message { text, logprobs } => {
                event.inside("response.output_text.done", |out| {
                    out.put_slice(b",\"text\":");
                    json::write(out, text);
                    out.put_slice(b",\"logprobs\":[");
                    out.put_slice(logprobs.as_bytes());
                    out.put_slice(b"]");
                });
                event.inside("response.content_part.done", |out| {
                    out.put_slice(b",\"part\":");
                    write_text(text, logprobs, out);
                });
            }
            Held::Reasoning(text) => {
                event.inside("response.reasoning_summary_text.done", |out| {
                    out.put_slice(b",\"text\":");
                    json::write(out, text);
                });
                event.inside("response.reasoning_summary_part.done", |out| {
                    out.put_slice(b",\"part\":");
                    json::write(out, &SummaryText::new(text));
                });
            }
            Held::Call(call) => {
                let field: &[u8] = if call.custom { b",\"input\":" } else { b",\"arguments\":" };
                event.inside(kinds(call).1, |out| {
                    out.put_slice(field);
                    json::write(out, &call.input);
                });
            }
        }
        event.item("response.output_item.done");
        self.items.close(status);
    }

    /// An event about what was just added to the item that is open.
    fn delta(&mut self, kind: &'static str, out: &mut BytesMut, rest: impl FnOnce(&mut BytesMut)) {
        if let Some((place, item)) = self.items.open() {
            Events { sequence: &mut self.sequence, item, place, out }.inside(kind, rest);
        }
    }

    /// An event about the response.
    fn response(&mut self, kind: &'static str, outcome: Outcome<'_>, out: &mut BytesMut) {
        begin(kind, &mut self.sequence, out);
        out.put_slice(b",\"response\":");
        let usage = if matches!(outcome, Outcome::InProgress) { None } else { self.usage };
        write_response(&self.head, &self.echo, &self.items, outcome, usage, out);
        out.put_slice(b"}\n\n");
    }

    /// As OpenAI documents it, and with the object inside that it sends.
    fn error(&mut self, error: &ApiError, out: &mut BytesMut) {
        #[derive(Serialize)]
        struct Inner<'a> {
            #[serde(rename = "type")]
            kind: &'static str,
            code: Option<&'static str>,
            message: &'a str,
            param: Option<&'a str>,
        }
        let (code, message) = (error.code().text(), error.message());
        let param = error.param();
        begin("error", &mut self.sequence, out);
        for (name, value) in [("code", code), ("message", Some(message)), ("param", param)] {
            out.put_slice(b",\"");
            out.put_slice(name.as_bytes());
            out.put_slice(b"\":");
            json::write(out, &value);
        }
        out.put_slice(b",\"error\":");
        json::write(out, &Inner { kind: error.code().kind(), code, message, param });
        out.put_slice(b"}\n\n");
    }
}

/// Writes the events about one item.
struct Events<'a> {
    sequence: &'a mut u64,
    item: &'a Item,
    place: usize,
    out: &'a mut BytesMut,
}

impl Events<'_> {
    /// About its inside; `rest` writes `,"name":value`.
    fn inside(&mut self, kind: &'static str, rest: impl FnOnce(&mut BytesMut)) {
        begin(kind, self.sequence, self.out);
        self.out.put_slice(b",\"item_id\":");
        json::write(self.out, &self.item.id);
        self.output_index();
        // A message and a thought have one part; a call has none.
        self.out.put_slice(match self.item.held {
            Held::Message { .. } => b",\"content_index\":0",
            Held::Reasoning(_) => b",\"summary_index\":0",
            Held::Call(_) => b"",
        });
        rest(self.out);
        self.out.put_slice(b"}\n\n");
    }

    /// About the item itself.
    fn item(&mut self, kind: &'static str) {
        begin(kind, self.sequence, self.out);
        self.output_index();
        self.out.put_slice(b",\"item\":");
        self.item.write(self.out);
        self.out.put_slice(b"}\n\n");
    }

    fn output_index(&mut self) {
        self.out.put_slice(b",\"output_index\":");
        json::write(self.out, &self.place);
    }
}

/// An event, up to the inside of its data; the caller closes the object.
fn begin(kind: &'static str, sequence: &mut u64, out: &mut BytesMut) {
    out.put_slice(b"event: ");
    out.put_slice(kind.as_bytes());
    out.put_slice(b"\ndata: {\"type\":\"");
    out.put_slice(kind.as_bytes());
    out.put_slice(b"\",\"sequence_number\":");
    json::write(out, sequence);
    *sequence += 1;
}

/// The events of the pieces of a call's input, and of its end.
fn kinds(call: &Call) -> (&'static str, &'static str) {
    if call.custom {
        ("response.custom_tool_call_input.delta", "response.custom_tool_call_input.done")
    } else {
        ("response.function_call_arguments.delta", "response.function_call_arguments.done")
    }
}

/// OpenAI's few codes of a response that failed; a client that reads one that it knows can act by it.
fn code(code: Code) -> &'static str {
    match code {
        Code::RateLimited => "rate_limit_exceeded",
        // Not in its schema, but what is sent: Codex then shortens the conversation.
        Code::ContextLengthExceeded => "context_length_exceeded",
        _ if code.status().is_client_error() => "invalid_prompt",
        _ => "server_error",
    }
}
