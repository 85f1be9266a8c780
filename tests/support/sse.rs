//! Server-sent events as a strict reader takes them: `data:` lines, comments, blank lines, nothing else.
//!
//! Knows the format only, not what the data mean, save that `[DONE]` ends a stream. Invariant: it never guesses; what is
//! not well formed is an error with the offending line.

use anyhow::{Result, bail, ensure};
use serde_json::Value;

/// One thing in a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A comment (keep-alive), without its colon.
    Comment(String),
    /// The data of one event.
    Data(String),
}

/// Reads a whole stream.
///
/// # Errors
/// When a line is neither data, nor comment, nor blank, or the last event has no blank line behind it.
pub fn events(body: &[u8]) -> Result<Vec<Event>> {
    let text = std::str::from_utf8(body)?;
    let mut events = Vec::new();
    let mut data: Option<String> = None;
    ensure!(text.is_empty() || text.ends_with("\n\n"), "the stream does not end with a blank line: {text:?}");
    for line in text.split('\n') {
        if line.is_empty() {
            events.extend(data.take().map(Event::Data));
        } else if let Some(comment) = line.strip_prefix(':') {
            events.push(Event::Comment(comment.trim().to_owned()));
        } else if let Some(more) = line.strip_prefix("data:") {
            ensure!(data.is_none(), "two data lines in one event: {line:?}");
            data = Some(more.strip_prefix(' ').unwrap_or(more).to_owned());
        } else {
            bail!("a line that is neither data nor comment: {line:?}");
        }
    }
    Ok(events)
}

/// A chat stream, read.
#[derive(Debug, Clone, Default)]
pub struct Chat {
    /// Every chunk, in order; the error event too.
    pub chunks: Vec<Value>,
    /// How many comments there were.
    pub comments: usize,
    /// `[DONE]` stood at the end.
    pub done: bool,
}

impl Chat {
    /// Reads a chat stream.
    ///
    /// # Errors
    /// When it is malformed, or anything follows `[DONE]`.
    pub fn read(body: &[u8]) -> Result<Self> {
        let mut chat = Self::default();
        for event in events(body)? {
            ensure!(!chat.done, "something follows [DONE]: {event:?}");
            match event {
                Event::Comment(_) => chat.comments += 1,
                Event::Data(data) if data == "[DONE]" => chat.done = true,
                Event::Data(data) => chat.chunks.push(serde_json::from_str(&data)?),
            }
        }
        Ok(chat)
    }

    /// The text of all deltas.
    #[must_use]
    pub fn text(&self) -> String {
        self.chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect()
    }

    /// Every finish reason given.
    #[must_use]
    pub fn finishes(&self) -> Vec<&str> {
        self.chunks.iter().filter_map(|chunk| chunk["choices"][0]["finish_reason"].as_str()).collect()
    }

    /// The error event, which must be the last.
    #[must_use]
    pub fn error(&self) -> Option<&Value> {
        self.chunks.last().map(|chunk| &chunk["error"]).filter(|error| error.is_object())
    }

    /// The usage of the chunk that carries one.
    #[must_use]
    pub fn usage(&self) -> Option<&Value> {
        self.chunks.iter().map(|chunk| &chunk["usage"]).find(|usage| usage.is_object())
    }
}
