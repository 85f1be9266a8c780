//! A streamed answer of an engine that speaks OpenAI's language, from its bytes to events.
//!
//! Knows the chunks, and how engines begin and end them, well and badly. Refuses to know what the client gets. Invariant:
//! the events end with a finish reason, behind the usage where the engine counted, or there is a fault; a call of a
//! function is given once all of its pieces are there.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::repair::told;
use crate::chat::{Arguments, ChatEvent, FinishReason, Json, Usage};
use crate::dialect::json::{self, Object};
use crate::dialect::tool_text::ToolText;
use crate::error::BackendFault;
use crate::framing::sse::{Event, Events};

#[cfg(test)]
mod tests;

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    choices: Option<Vec<Object<Choice<'a>>>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(default)]
    index: u32,
    #[serde(borrow)]
    delta: Option<Object<Delta<'a>>>,
    #[serde(borrow)]
    logprobs: Option<Object<Logprobs<'a>>>,
    #[serde(borrow)]
    finish_reason: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    content: Option<String>,
    refusal: Option<String>,
    reasoning: Option<String>,
    reasoning_content: Option<String>,
    #[serde(borrow)]
    tool_calls: Option<Vec<Object<Piece<'a>>>>,
}

#[derive(Deserialize)]
struct Logprobs<'a> {
    #[serde(borrow)]
    content: Option<&'a RawValue>,
}

/// A piece of a call: its name first, then its arguments, in any number of pieces.
#[derive(Deserialize)]
struct Piece<'a> {
    #[serde(default)]
    index: u32,
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    function: Option<Object<Function<'a>>>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    arguments: Option<Cow<'a, str>>,
}

/// A call whose pieces come.
#[derive(Debug, Default)]
struct Gathered {
    /// The engine's own number for it.
    index: u32,
    id: String,
    name: String,
    arguments: String,
}

impl Gathered {
    /// Whether it has a name, and arguments that are an object.
    fn is_whole(&self) -> bool {
        let arguments = self.arguments.trim_end();
        !self.name.is_empty() && arguments.ends_with('}') && Json::object(arguments.trim_start()).is_some()
    }
}

/// Turns the bytes of one stream into events.
#[derive(Debug)]
pub struct ChunkDecoder {
    events: Events,
    id_seed: String,
    /// The most bytes of calls that are held.
    most: usize,
    held: usize,
    calls: Vec<Gathered>,
    /// How many calls were given.
    given: u32,
    reason: Option<FinishReason>,
    usage: Option<Usage>,
    done: bool,
    text: Option<Box<ToolText>>,
}

impl ChunkDecoder {
    /// A decoder that refuses lines of more than `limit` bytes, and calls that hold more than `most` together. `id_seed`
    /// makes an id for a call that the engine gave none.
    #[must_use]
    pub fn new(id_seed: &str, limit: usize, most: usize) -> Self {
        Self {
            events: Events::new(limit),
            id_seed: id_seed.to_owned(),
            most,
            held: 0,
            calls: Vec::new(),
            given: 0,
            reason: None,
            usage: None,
            done: false,
            text: None,
        }
    }

    /// Calls in the answer's text are given as calls.
    #[must_use]
    pub fn calling(self, text: Option<ToolText>) -> Self {
        Self { text: text.map(Box::new), ..self }
    }

    /// Takes bytes of the body, split anywhere, and appends the events in them. Those that were appended before a
    /// fault was found are good.
    ///
    /// # Errors
    /// An error object in the stream, a chunk that is not one, a line that is too long.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<ChatEvent>) -> Result<(), BackendFault> {
        self.calls_read(out, |decoder, events| decoder.read(bytes, events))
    }

    fn read(&mut self, bytes: &[u8], out: &mut Vec<ChatEvent>) -> Result<(), BackendFault> {
        if self.done {
            return Ok(());
        }
        self.events.push(bytes);
        while let Some(event) = self.events.next_event()? {
            self.event(&event, out)?;
            if self.done {
                break;
            }
        }
        Ok(())
    }

    /// The body has ended: that is the answer's end too where a finish reason came, with `[DONE]` or without.
    ///
    /// # Errors
    /// As [`ChunkDecoder::feed`]; [`BackendFault::EndedEarly`] where no finish reason came.
    pub fn finish(&mut self, out: &mut Vec<ChatEvent>) -> Result<(), BackendFault> {
        self.calls_read(out, Self::ended)
    }

    fn ended(&mut self, out: &mut Vec<ChatEvent>) -> Result<(), BackendFault> {
        if self.done {
            return Ok(());
        }
        if let Some(event) = self.events.finish()? {
            // The rest of a body that broke off is no garbage, it is just not whole.
            let part = event.data.len() < b"[DONE]".len() && b"[DONE]".starts_with(&event.data);
            let cut = event.data.starts_with(b"{") || part;
            match self.event(&event, out) {
                Err(BackendFault::Garbage { .. }) if cut => {
                    return self.end(out).map_err(|_early| BackendFault::EndedEarly);
                }
                read => read?,
            }
        }
        if self.done { Ok(()) } else { self.end(out) }
    }

    /// The engine's body has broken off, by this fault: where a finish reason came, nothing of the answer is missing.
    ///
    /// # Errors
    /// The fault, where the answer is not whole.
    pub fn broke(&mut self, fault: BackendFault, out: &mut Vec<ChatEvent>) -> Result<(), BackendFault> {
        self.calls_read(
            out,
            |decoder, events| if decoder.done { Ok(()) } else { decoder.end(events).map_err(|_early| fault) },
        )
    }

    /// What `read` gives, with the calls in its texts as calls. What came before a fault is good.
    fn calls_read(
        &mut self,
        out: &mut Vec<ChatEvent>,
        read: impl FnOnce(&mut Self, &mut Vec<ChatEvent>) -> Result<(), BackendFault>,
    ) -> Result<(), BackendFault> {
        let Some(mut text) = self.text.take() else { return read(self, out) };
        let mut events = Vec::new();
        let result = read(self, &mut events);
        events.into_iter().for_each(|event| text.event(event, out));
        self.text = Some(text);
        result
    }

    /// Whether the end was given: the rest of the body means nothing.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// How many bytes of calls have come so far: what they come to is given once they are whole. Those of text that may be a call are
    /// among them until it is known.
    #[must_use]
    pub fn gathered(&self) -> usize {
        self.held + self.text.as_ref().map_or(0, |text| text.held())
    }

    fn event(&mut self, event: &Event, out: &mut Vec<ChatEvent>) -> Result<(), BackendFault> {
        let data = event.data.trim_ascii();
        if data.is_empty() {
            return Ok(());
        }
        if data == b"[DONE]" {
            return self.end(out);
        }
        let data = &*json::paired(data);
        let chunk: Chunk<'_> = json::read(data, "chunk").map_err(BackendFault::garbage)?;
        if chunk.error.is_some() || event.name.as_deref() == Some(b"error") {
            return Err(BackendFault::ErrorLine { message: String::from_utf8_lossy(data).into_owned() });
        }
        for Object(choice) in chunk.choices.into_iter().flatten() {
            self.choice(choice, data, out)?;
        }
        self.usage = chunk.usage.and_then(told).or(self.usage);
        Ok(())
    }

    fn choice(
        &mut self,
        choice: Choice<'_>,
        data: &[u8],
        out: &mut Vec<ChatEvent>,
    ) -> Result<(), BackendFault> {
        if choice.index != 0 {
            // One answer was asked for.
            return Err(BackendFault::garbage(format!("choice number {}", choice.index)));
        }
        if let Some(Object(delta)) = choice.delta {
            let logprobs = choice.logprobs.and_then(|Object(logprobs)| logprobs.content);
            self.delta(delta, logprobs, out)?;
        }
        let Some(word) = choice.finish_reason.filter(|word| !word.is_empty()) else { return Ok(()) };
        if word == "error" {
            return Err(BackendFault::ErrorLine { message: String::from_utf8_lossy(data).into_owned() });
        }
        let reason = finish_reason(&word)?;
        self.give_calls(reason, out)?;
        let calls = self.given > 0 && reason == FinishReason::Stop;
        self.reason.get_or_insert(if calls { FinishReason::ToolCalls } else { reason });
        Ok(())
    }

    fn delta(
        &mut self,
        delta: Delta<'_>,
        logprobs: Option<&RawValue>,
        out: &mut Vec<ChatEvent>,
    ) -> Result<(), BackendFault> {
        // Some engines send both names of it.
        let thought = delta.reasoning_content.or(delta.reasoning).filter(|text| !text.is_empty());
        out.extend(thought.map(ChatEvent::Reasoning));
        let text = delta.content.or(delta.refusal).unwrap_or_default();
        let logprobs = logprobs.map(RawValue::get).filter(|list| list.starts_with('['));
        if !text.is_empty() || logprobs.is_some() {
            out.push(ChatEvent::Text { text, logprobs: logprobs.map(Box::from) });
        }
        for Object(piece) in delta.tool_calls.into_iter().flatten() {
            self.piece(&piece)?;
        }
        Ok(())
    }

    /// Adds a piece to its call.
    fn piece(&mut self, piece: &Piece<'_>) -> Result<(), BackendFault> {
        let id = piece.id.as_deref().unwrap_or_default();
        let function = piece.function.as_ref().map(|Object(function)| function);
        let name = function.and_then(|function| function.name.as_deref()).unwrap_or_default();
        let arguments = function.and_then(|function| function.arguments.as_deref()).unwrap_or_default();
        self.held = self.held.saturating_add(id.len() + name.len() + arguments.len() + size_of::<Gathered>());
        if self.held > self.most {
            return Err(BackendFault::TooLong { limit: self.most });
        }
        // Some number all calls alike, some name a call with each of its pieces, and some make an id for each piece: another call begins
        // where there is another name, or a name and the one before has all of its arguments.
        let another = |call: &Gathered| {
            let anew = id.is_empty() && !arguments.trim().is_empty() || !id.is_empty() && call.id != id;
            anew && !name.is_empty() && (call.is_whole() || !call.name.is_empty() && call.name != name)
        };
        let known = self.calls.iter_mut().rev().find(|call| call.index == piece.index);
        let call = match known {
            Some(call) if !another(call) => call,
            _ => self.calls.push_mut(Gathered { index: piece.index, ..Gathered::default() }),
        };
        for (field, more) in [(&mut call.id, id), (&mut call.name, name)] {
            // Repeated with each piece by some.
            if field.is_empty() {
                field.push_str(more);
            }
        }
        call.arguments.push_str(arguments);
        Ok(())
    }

    /// Gives the calls that were gathered. One that the limit of tokens has cut off is none; what else a model has written for arguments
    /// is its client's to judge, as in a chat that is passed on.
    fn give_calls(&mut self, reason: FinishReason, out: &mut Vec<ChatEvent>) -> Result<(), BackendFault> {
        for call in std::mem::take(&mut self.calls) {
            let arguments = Arguments::of(&call.arguments);
            let cut_off = call.name.is_empty() || matches!(arguments, Arguments::Text(_));
            if cut_off && reason == FinishReason::Length {
                continue;
            }
            if call.name.is_empty() {
                return Err(BackendFault::garbage("a call without a name"));
            }
            let index = self.given;
            self.given += 1;
            let id = if call.id.is_empty() { format!("call_{}_{index}", self.id_seed) } else { call.id };
            let arguments = arguments.get().to_owned();
            out.push(ChatEvent::ToolCall { index, id, name: call.name, arguments });
        }
        Ok(())
    }

    fn end(&mut self, out: &mut Vec<ChatEvent>) -> Result<(), BackendFault> {
        let reason = self.reason.ok_or(BackendFault::EndedEarly)?;
        // What came behind the finish reason.
        self.give_calls(reason, out)?;
        let calls = self.given > 0 && reason == FinishReason::Stop;
        let reason = if calls { FinishReason::ToolCalls } else { reason };
        out.extend(self.usage.map(ChatEvent::Usage));
        out.push(ChatEvent::Finish(reason));
        self.done = true;
        Ok(())
    }
}

/// OpenAI's words, and vLLM's for a request that it gave up.
fn finish_reason(word: &str) -> Result<FinishReason, BackendFault> {
    match word {
        "length" => Ok(FinishReason::Length),
        "tool_calls" | "function_call" => Ok(FinishReason::ToolCalls),
        "content_filter" => Ok(FinishReason::ContentFilter),
        "abort" => Err(BackendFault::EndedEarly),
        _ => Ok(FinishReason::Stop),
    }
}
