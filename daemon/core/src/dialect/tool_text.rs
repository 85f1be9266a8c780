//! Calls of functions that an engine leaves in its text, found as the text comes.
//!
//! Knows the form in which the templates of Qwen, Hermes and their kin write a call: `<tool_call>{"name": ..., "arguments": {...}}
//! </tool_call>`; transformers' server gives it to its clients as it is. Refuses to know which engines do that. Invariants: what is no call of
//! one of the request's own tools is text, byte for byte; however the text is cut, the events say the same; no more of it is held back than
//! a call may be long.

use std::{borrow::Cow, sync::Arc};

use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::json::{self, Object};
use crate::chat::{ChatEvent, FinishReason, Json};

#[cfg(test)]
mod tests;

const OPEN: &str = "<tool_call>";
const CLOSE: &str = "</tool_call>";
/// So often the closing words may stand inside of a call's own strings.
const QUOTED: usize = 8;
/// So many bytes of blanks around a call are no text; more of them are not waited with.
const BLANKS: usize = 256;
/// So often the opening words may begin no call; who writes them more often writes about them, and each of them may cost a look at all
/// that is held.
const MISSES: usize = 64;

/// Turns the calls in one answer's text into calls.
#[derive(Debug)]
pub struct ToolText {
    tools: Arc<[String]>,
    id_seed: String,
    limit: usize,
    /// Text that is not given out yet.
    held: String,
    /// The probabilities of tokens, of which some are not given out yet: the elements of JSON arrays.
    logprobs: String,
    /// Whether `held` begins with a call, behind so many bytes of blanks, which are text where it is none.
    inside: bool,
    blank: usize,
    /// Where in `held` the call's closing words are looked for next, and how often they have stood inside of a string.
    next: usize,
    quoted: usize,
    /// How often the opening words began no call.
    misses: usize,
    /// All is text from now on.
    closed: bool,
    /// Whether text was given out since the last call: before and between calls, blanks are no text.
    spoken: bool,
    calls: u32,
}

/// What a text may be.
enum Read {
    Call {
        name: String,
        arguments: String,
    },
    /// It ends inside of a value.
    Cut,
    Text,
}

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, alias = "parameters")]
    arguments: Option<&'a RawValue>,
}

impl ToolText {
    /// For a request with tools of these names; a call may be `limit` bytes long. `id_seed` makes the calls' ids unique beyond this answer.
    #[must_use]
    pub fn new(tools: impl Into<Arc<[String]>>, id_seed: &str, limit: usize) -> Self {
        Self {
            tools: tools.into(),
            id_seed: id_seed.to_owned(),
            limit,
            held: String::new(),
            logprobs: String::new(),
            inside: false,
            blank: 0,
            next: 0,
            quoted: 0,
            misses: 0,
            closed: false,
            spoken: false,
            calls: 0,
        }
    }

    /// Takes an event of the engine's and appends those that it makes whole.
    pub fn event(&mut self, event: ChatEvent, out: &mut Vec<ChatEvent>) {
        match event {
            ChatEvent::Text { text, logprobs } => {
                self.held.push_str(&text);
                self.add_logprobs(logprobs.as_deref());
                self.read(out);
            }
            ChatEvent::ToolCall { id, name, arguments, .. } => {
                self.close(out);
                out.push(self.numbered(id, name, arguments));
            }
            ChatEvent::Finish(FinishReason::Stop) => {
                self.end(out);
                let reason = if self.calls > 0 { FinishReason::ToolCalls } else { FinishReason::Stop };
                out.push(ChatEvent::Finish(reason));
            }
            ChatEvent::Finish(_) | ChatEvent::Usage(_) => {
                self.end(out);
                out.push(event);
            }
            ChatEvent::Reasoning(_) => out.push(event),
        }
    }

    /// Whether nothing is held and this text is none but text. Then it counts as given, and need not be taken as an event.
    pub fn passes(&mut self, text: &str) -> bool {
        if self.closed {
            return self.held.is_empty();
        }
        let calm = !self.inside && self.held.is_empty() && self.logprobs.is_empty();
        let bytes = text.as_bytes();
        let passes = calm
            && (self.spoken || text.is_empty() || !text.trim_ascii().is_empty())
            && (memchr::memchr(b'<', bytes).is_none()
                || memmem::find(bytes, OPEN.as_bytes()).is_none() && begun(text, OPEN) == 0);
        self.spoken |= passes && !text.is_empty();
        passes
    }

    /// The engine itself tells calls: what is held is given, and all that follows is text.
    pub fn close(&mut self, out: &mut Vec<ChatEvent>) {
        self.end(out);
        self.closed = true;
    }

    /// How many calls were given.
    #[must_use]
    pub fn calls(&self) -> u32 {
        self.calls
    }

    /// How many bytes are held back.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.len() + self.logprobs.len()
    }

    /// Gives out all that is known to be text or a call.
    fn read(&mut self, out: &mut Vec<ChatEvent>) {
        while if self.inside { self.read_call(out) } else { self.read_text(out) } {}
    }

    /// Text up to where a call may begin; whether one does.
    fn read_text(&mut self, out: &mut Vec<ChatEvent>) -> bool {
        if self.closed {
            self.give(self.held.len(), out);
            return false;
        }
        let found = memmem::find(self.held.as_bytes(), OPEN.as_bytes());
        let end = found.unwrap_or_else(|| self.held.len() - begun(&self.held, OPEN));
        let is_blank = end <= BLANKS && self.held.get(..end).is_some_and(|text| text.trim_ascii().is_empty());
        let gives = !is_blank || self.spoken;
        self.inside = found.is_some();
        self.blank = if gives || !self.inside { 0 } else { end };
        (self.next, self.quoted) = (self.blank + OPEN.len(), 0);
        if gives {
            self.give(end, out);
        }
        self.inside
    }

    /// The call with which the rest begins, if it is one; whether there is more to read.
    fn read_call(&mut self, out: &mut Vec<ChatEvent>) -> bool {
        let begins =
            self.held.get(self.blank + OPEN.len()..).and_then(|text| text.trim_ascii_start().chars().next());
        if begins.is_some_and(|first| first != '{') {
            self.no_call(out);
            return true;
        }
        let most = self.held.len().min(self.blank + self.limit);
        while let Some(end) = find(&self.held, CLOSE, self.next, most) {
            match self.judge(end) {
                Read::Call { name, arguments } => {
                    self.held.drain(..end + CLOSE.len());
                    self.call(name, arguments, out);
                    return true;
                }
                Read::Cut if self.quoted < QUOTED => {
                    (self.next, self.quoted) = (end + CLOSE.len(), self.quoted + 1);
                }
                Read::Cut | Read::Text => {
                    self.no_call(out);
                    return true;
                }
            }
        }
        // The rest was looked through, but for the words' own beginning at its end.
        self.next = self.next.max((most + 1).saturating_sub(CLOSE.len()));
        if self.held.len() - self.blank >= self.limit {
            self.no_call(out);
            return true;
        }
        false
    }

    /// No more text comes. Engines end at the token behind a call, and some without its closing words.
    fn end(&mut self, out: &mut Vec<ChatEvent>) {
        while self.inside {
            match self.judge(self.held.len()) {
                Read::Call { name, arguments } => {
                    self.held.clear();
                    self.call(name, arguments, out);
                }
                Read::Cut | Read::Text => {
                    self.no_call(out);
                    self.read(out);
                }
            }
        }
        if self.calls > 0 && self.held.trim_ascii().is_empty() && !self.spoken {
            self.held.clear();
        }
        self.give(self.held.len(), out);
        self.spoken = false;
    }

    /// What stands between the opening words and `end`.
    fn judge(&self, end: usize) -> Read {
        read(self.held.get(self.blank + OPEN.len()..end).unwrap_or_default(), &self.tools)
    }

    fn call(&mut self, name: String, arguments: String, out: &mut Vec<ChatEvent>) {
        (self.inside, self.spoken) = (false, false);
        // Probabilities are those of text.
        self.logprobs.clear();
        // Another's ids may be made of the same seed and a number.
        let id = format!("call_{}_t{}", self.id_seed, self.calls);
        out.push(self.numbered(id, name, arguments));
    }

    fn numbered(&mut self, id: String, name: String, arguments: String) -> ChatEvent {
        let index = self.calls;
        self.calls += 1;
        ChatEvent::ToolCall { index, id, name, arguments }
    }

    /// The opening words are text like any other.
    fn no_call(&mut self, out: &mut Vec<ChatEvent>) {
        self.inside = false;
        self.misses += 1;
        self.closed |= self.misses >= MISSES;
        self.give((self.blank + OPEN.len()).min(self.held.len()), out);
        self.blank = 0;
    }

    fn give(&mut self, end: usize, out: &mut Vec<ChatEvent>) {
        let rest = self.held.split_off(end);
        let text = std::mem::replace(&mut self.held, rest);
        let logprobs = match text.is_empty() && !self.held.is_empty() {
            // They may be those of a call.
            true => None,
            false => Some(std::mem::take(&mut self.logprobs)).filter(|list| !list.is_empty()),
        };
        if !text.is_empty() || logprobs.is_some() {
            self.spoken |= !text.is_empty();
            out.push(ChatEvent::Text { text, logprobs: logprobs.map(|list| format!("[{list}]").into()) });
        }
    }

    fn add_logprobs(&mut self, list: Option<&str>) {
        let inner = list.and_then(|list| list.trim().strip_prefix('[')?.strip_suffix(']'));
        let Some(inner) = inner.filter(|inner| !inner.trim().is_empty()) else { return };
        if !self.logprobs.is_empty() {
            self.logprobs.push(',');
        }
        self.logprobs.push_str(inner);
    }
}

/// How many bytes at the text's end may be the beginning of these words.
fn begun(text: &str, words: &str) -> usize {
    let most = text.len().min(words.len() - 1);
    (1..=most).rev().find(|length| text.ends_with(words.get(..*length).unwrap_or("\0"))).unwrap_or(0)
}

/// Where the words stand whole between two places.
fn find(text: &str, words: &str, from: usize, to: usize) -> Option<usize> {
    memmem::find(text.as_bytes().get(from..to)?, words.as_bytes()).map(|place| from + place)
}

fn read(text: &str, tools: &[String]) -> Read {
    let text = json::paired(text.as_bytes());
    let Ok(text) = std::str::from_utf8(&text) else { return Read::Text };
    let Object(Wire { name, arguments }) = match serde_json::from_str(text) {
        Ok(call) => call,
        Err(error) if error.is_eof() => return Read::Cut,
        Err(_) => return Read::Text,
    };
    match object(arguments).filter(|_| tools.iter().any(|tool| *tool == name)) {
        Some(arguments) => Read::Call { name: name.into_owned(), arguments },
        None => Read::Text,
    }
}

/// The arguments as OpenAI's clients read them: a JSON object as text. Some models write that text themselves.
fn object(arguments: Option<&RawValue>) -> Option<String> {
    let raw = arguments.map_or("null", RawValue::get);
    let text: Cow<'_, str> =
        if raw.starts_with('"') { serde_json::from_str(raw).ok()? } else { Cow::Borrowed(raw) };
    match text.trim() {
        "" | "null" => Some("{}".to_owned()),
        text => Json::object(text).map(|object| object.get().to_owned()),
    }
}
