//! An answer of `POST /api/chat` or `POST /api/generate`, from its bytes to events.
//!
//! Knows the lines of the stream, and that a whole answer is one such line. Refuses to know what the client gets.
//! Invariant: the events end with a usage and a finish reason, or there is a fault; an end without a done line,
//! which Ollama produces when its runner dies, is one.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::logprobs::{self, Odds};
use crate::chat::{ChatEvent, FinishReason, Usage};
use crate::dialect::json::{self, Object};
use crate::error::BackendFault;
use crate::framing::ndjson::Lines;

#[cfg(test)]
mod tests;

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<Object<Message<'a>>>,
    /// Both are of `/api/generate`.
    response: Option<String>,
    thinking: Option<String>,
    done: Option<bool>,
    #[serde(borrow)]
    done_reason: Option<Cow<'a, str>>,
    /// Both counts are left out where they are zero.
    #[serde(default)]
    prompt_eval_count: u64,
    #[serde(default)]
    eval_count: u64,
    #[serde(borrow)]
    logprobs: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Message<'a> {
    content: Option<String>,
    thinking: Option<String>,
    #[serde(borrow)]
    tool_calls: Option<Vec<Object<Call<'a>>>>,
}

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow)]
    function: Object<Function<'a>>,
}

#[derive(Deserialize)]
struct Function<'a> {
    name: String,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}

/// Turns the bytes of one answer into events.
#[derive(Debug)]
pub struct ChatDecoder {
    lines: Lines,
    id_seed: String,
    calls: u32,
    done: bool,
    /// Whether it is an answer of `/api/generate`, and what stands before it.
    completion: bool,
    echo: Option<String>,
    odds: Odds,
}

impl ChatDecoder {
    /// A decoder that refuses lines of more than `limit` bytes. `id_seed` makes the ids of tool calls unique
    /// beyond this answer: Ollama's own are random per call, or missing, and lack the `call_` that clients expect.
    #[must_use]
    pub fn new(id_seed: &str, limit: usize) -> Self {
        let (id_seed, lines) = (id_seed.to_owned(), Lines::new(limit));
        Self { lines, id_seed, calls: 0, done: false, completion: false, echo: None, odds: Odds::default() }
    }

    /// The same for an answer of `/api/generate`, whose text begins with this.
    #[must_use]
    pub fn completing(echo: Option<String>, limit: usize) -> Self {
        Self { completion: true, echo, ..Self::new("", limit) }
    }

    /// Takes bytes of the body, split anywhere, and appends the events in them. Those that were appended before a
    /// fault was found are good.
    ///
    /// # Errors
    /// An error line, a line that is not one of an answer, a line that is too long.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<ChatEvent>) -> Result<(), BackendFault> {
        if self.done {
            return Ok(());
        }
        self.lines.push(bytes);
        while let Some(line) = self.lines.next_line()? {
            self.line(&line, out)?;
            if self.done {
                break;
            }
        }
        Ok(())
    }

    /// The body has ended. A whole answer, which has no line end, is read now.
    ///
    /// # Errors
    /// As [`ChatDecoder::feed`]; [`BackendFault::EndedEarly`] where no done line came.
    pub fn finish(&mut self, out: &mut Vec<ChatEvent>) -> Result<(), BackendFault> {
        if self.done {
            return Ok(());
        }
        if let Some(rest) = self.lines.finish() {
            // A line that was cut off is no garbage, it is just not whole.
            let cut = rest.trim_ascii().starts_with(b"{");
            self.line(&rest, out).map_err(|fault| match fault {
                BackendFault::Garbage { .. } if cut => BackendFault::EndedEarly,
                other => other,
            })?;
        }
        if self.done { Ok(()) } else { Err(BackendFault::EndedEarly) }
    }

    /// Whether the done line came: the rest of the body means nothing.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.done
    }

    fn line(&mut self, bytes: &[u8], out: &mut Vec<ChatEvent>) -> Result<(), BackendFault> {
        let bytes = &*json::paired(bytes);
        let line: Line<'_> = json::read(bytes, "line").map_err(BackendFault::garbage)?;
        if line.error.is_some() {
            return Err(BackendFault::ErrorLine { message: String::from_utf8_lossy(bytes).into_owned() });
        }
        let says = if self.completion { line.response.is_some() } else { line.message.is_some() };
        if !says && line.done.is_none() {
            return Err(BackendFault::garbage(format!(
                "{} bytes that are no line of an answer",
                bytes.len()
            )));
        }
        // Judged before anything is given out: a done line that reports a broken end must not look like text.
        let finish =
            if line.done == Some(true) { Some(finish_reason(line.done_reason.as_deref())?) } else { None };
        if self.completion {
            self.pieces([line.thinking, line.response], line.logprobs, out);
        } else if let Some(Object(message)) = line.message {
            self.message(message, line.logprobs, out)?;
        }
        if let Some(reason) = finish {
            let reason =
                if self.calls > 0 && reason == FinishReason::Stop { FinishReason::ToolCalls } else { reason };
            out.push(ChatEvent::Usage(Usage::counted(line.prompt_eval_count, line.eval_count)));
            out.push(ChatEvent::Finish(reason));
            self.done = true;
        }
        Ok(())
    }

    /// The pieces of a completion, all of which are its text.
    fn pieces(&mut self, pieces: [Option<String>; 2], logprobs: Option<&RawValue>, out: &mut Vec<ChatEvent>) {
        out.extend(self.echo.take().map(ChatEvent::text));
        let text: String = pieces.into_iter().flatten().collect();
        let logprobs = logprobs.and_then(|list| logprobs::of_text(list.get()));
        if !text.is_empty() || logprobs.is_some() {
            out.push(ChatEvent::Text { text, logprobs });
        }
    }

    fn message(
        &mut self,
        message: Message<'_>,
        logprobs: Option<&RawValue>,
        out: &mut Vec<ChatEvent>,
    ) -> Result<(), BackendFault> {
        let thinking = message.thinking.filter(|text| !text.is_empty());
        let text = message.content.unwrap_or_default();
        let logprobs = self.odds.of_line(&text, thinking.is_some(), logprobs);
        out.extend(thinking.map(ChatEvent::Reasoning));
        if !text.is_empty() {
            out.push(ChatEvent::Text { text, logprobs });
        }
        for Object(Call { function: Object(function) }) in message.tool_calls.unwrap_or_default() {
            out.push(self.call(function)?);
        }
        Ok(())
    }

    fn call(&mut self, function: Function<'_>) -> Result<ChatEvent, BackendFault> {
        let arguments = function.arguments.map_or("{}", RawValue::get);
        let arguments = if arguments == "null" { "{}" } else { arguments };
        if !arguments.starts_with('{') {
            return Err(BackendFault::garbage("tool arguments that are not an object"));
        }
        let index = self.calls;
        self.calls += 1;
        Ok(ChatEvent::ToolCall {
            index,
            id: format!("call_{}_{index}", self.id_seed),
            name: function.name,
            arguments: arguments.to_owned(),
        })
    }
}

/// The words are stop, length, load and unload; none where the runner's connection closed.
fn finish_reason(word: Option<&str>) -> Result<FinishReason, BackendFault> {
    match word {
        Some("length") => Ok(FinishReason::Length),
        None | Some("") => Err(BackendFault::EndedEarly),
        Some(_) => Ok(FinishReason::Stop),
    }
}
