//! Sorts a text into reasoning, content and tool calls while it arrives.
//!
//! Knows three families of call: Hermes and Qwen (`<tool_call>…</tool_call>`), Llama 3 (`<|python_tag|>…` or a bare
//! JSON object at the start) and Mistral (`[TOOL_CALLS]…`). Invariants: a call is of a function that was offered; text that turns out to
//! be no such call comes out as content, unchanged, or not at all where a call is forced.

use super::calls::{self, Call, Tools};
use super::held_back;
use std::ops::Range;

pub(crate) const THINK: &str = "<think>";
pub(crate) const THINK_END: &str = "</think>";
pub(crate) const CALL: &str = "<tool_call>";
pub(crate) const CALL_END: &str = "</tool_call>";
/// Models of these two families end their turn after the calls, so the calls reach to the end.
pub(crate) const PYTHON: &str = "<|python_tag|>";
pub(crate) const MISTRAL: &str = "[TOOL_CALLS]";

/// The special tokens that this room must see, although they are no words of the answer.
pub(crate) const MARKS: [&str; 8] =
    [THINK, THINK_END, CALL, CALL_END, PYTHON, MISTRAL, "[ARGS]", "[CALL_ID]"];

/// A part of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Part of the reasoning.
    Reasoning(String),
    /// Part of the content.
    Content(String),
    /// One whole call.
    Call(Call),
}

/// What the text that comes next belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The answer may open with reasoning.
    Opening,
    /// Reasoning, until its end mark; `true` once some of it was seen.
    Reasoning(bool),
    /// Reasoning or a call has ended; content or another call follows after white space.
    Between,
    /// An object that may be a bare call.
    Bare,
    /// Plain content.
    Content,
    /// Inside `<tool_call>`.
    Hermes,
    /// After `<|python_tag|>`.
    Python,
    /// After `[TOOL_CALLS]`.
    Mistral,
}

/// The state of one answer.
pub(super) struct Splitter {
    tools: Option<Tools>,
    /// The answer is held to a call, and has no content.
    pub(super) forced: bool,
    place: Place,
    held: String,
    /// How much of the text came before what is held.
    at: usize,
    pieces: Vec<Piece>,
    /// Where in the text each piece of content stands that was not asked after.
    shown: Vec<Range<usize>>,
}

impl Splitter {
    pub(super) fn new(tools: Option<Tools>, thinking: bool) -> Self {
        let place = if thinking { Place::Reasoning(false) } else { Place::Opening };
        let (held, pieces, shown) = (String::new(), Vec::new(), Vec::new());
        Self { tools, forced: false, place, held, at: 0, pieces, shown }
    }

    /// One that sorts nothing.
    pub(super) fn plain() -> Self {
        Self { place: Place::Content, ..Self::new(None, false) }
    }

    pub(super) fn push(&mut self, text: &str) -> Vec<Piece> {
        self.held.push_str(text);
        while self.step() {}
        std::mem::take(&mut self.pieces)
    }

    pub(super) fn finish(&mut self) -> Vec<Piece> {
        let at = self.at;
        let rest = self.take_front(self.held.len());
        match self.place {
            Place::Reasoning(_) => self.reasoning(rest.trim_end()),
            Place::Between if rest.trim().is_empty() => {}
            Place::Opening | Place::Between | Place::Content => self.content(at, rest),
            Place::Bare => self.calls_or(calls::sequence(&rest), at, rest),
            Place::Hermes => {
                let calls = calls::hermes(&rest, self.tools.as_ref());
                self.calls_or(calls, at - CALL.len(), format!("{CALL}{rest}"));
            }
            Place::Python => self.calls_or(calls::sequence(&rest), at, rest),
            Place::Mistral => {
                self.calls_or(calls::mistral(&rest), at - MISTRAL.len(), format!("{MISTRAL}{rest}"));
            }
        }
        std::mem::take(&mut self.pieces)
    }

    /// Where in the text the pieces of content stand that came since this was last asked: one place for each of them.
    pub(super) fn shown(&mut self) -> Vec<Range<usize>> {
        std::mem::take(&mut self.shown)
    }

    /// Takes so many bytes off the front of what is held.
    fn take_front(&mut self, length: usize) -> String {
        let rest = self.held.split_off(length);
        self.at += length;
        std::mem::replace(&mut self.held, rest)
    }

    /// Drops all of what is held but so many bytes at its end.
    fn keep(&mut self, length: usize) {
        let dropped = self.held.len() - length;
        self.held.drain(..dropped);
        self.at += dropped;
    }

    /// One step; `false` when more text is needed.
    fn step(&mut self) -> bool {
        match self.place {
            Place::Opening | Place::Between => self.open(),
            Place::Reasoning(begun) => self.reason(begun),
            Place::Bare => self.bare(),
            Place::Content => self.speak(),
            Place::Hermes => self.hermes(),
            Place::Python | Place::Mistral => false,
        }
    }

    fn open(&mut self) -> bool {
        let start = self.held.trim_start();
        if start.is_empty() || (self.place == Place::Opening && THINK.starts_with(start) && start != THINK) {
            return false;
        }
        if let (Place::Opening, Some(rest)) = (self.place, start.strip_prefix(THINK)) {
            self.keep(rest.len());
            self.place = Place::Reasoning(false);
            return true;
        }
        if self.place == Place::Between {
            // A list of bare calls is divided by semicolons or commas.
            self.keep(start.trim_start_matches([';', ',']).trim_start().len());
            if self.held.is_empty() {
                return false;
            }
        }
        let bare = self.tools.is_some() && self.held.trim_start().starts_with('{');
        self.place = if bare { Place::Bare } else { Place::Content };
        true
    }

    fn reason(&mut self, begun: bool) -> bool {
        if !begun {
            let start = self.held.trim_start();
            if start.is_empty() {
                return false;
            }
            self.keep(start.len());
            self.place = Place::Reasoning(true);
        }
        if let Some((thought, rest)) = self.held.split_once(THINK_END) {
            let (thought, rest) = (thought.trim_end().to_owned(), rest.len());
            self.reasoning(&thought);
            self.keep(rest);
            self.place = Place::Between;
            return true;
        }
        let (_, ready) = self.ready(&[THINK_END]);
        self.reasoning(&ready);
        false
    }

    fn speak(&mut self) -> bool {
        let at = self.at;
        if self.tools.is_none() {
            let all = self.take_front(self.held.len());
            self.content(at, all);
            return false;
        }
        let marks = [(CALL, Place::Hermes), (PYTHON, Place::Python), (MISTRAL, Place::Mistral)];
        let found = marks
            .iter()
            .filter_map(|(mark, place)| Some((self.held.find(mark)?, *mark, *place)))
            .min_by_key(|f| f.0);
        let Some((length, mark, place)) = found else {
            let (at, ready) = self.ready(&[CALL, PYTHON, MISTRAL]);
            self.content(at, ready);
            return false;
        };
        let before = self.take_front(length);
        self.content(at, before.trim_end().to_owned());
        self.keep(self.held.len() - mark.len());
        self.place = place;
        true
    }

    fn hermes(&mut self) -> bool {
        let Some((body, rest)) = self.held.split_once(CALL_END) else { return false };
        let (at, body, rest) = (self.at - CALL.len(), body.to_owned(), rest.len());
        self.keep(rest);
        self.place = Place::Between;
        self.calls_or(calls::hermes(&body, self.tools.as_ref()), at, format!("{CALL}{body}{CALL_END}"));
        true
    }

    fn bare(&mut self) -> bool {
        let (call, length) = match calls::leading_object(&self.held) {
            calls::Leading::Unfinished => return false,
            calls::Leading::No => (None, 0),
            calls::Leading::Object(value, length) => (calls::from_value(&value), length),
        };
        // A model that answers in JSON is not calling anything: only offered names count here.
        match call.filter(|call| self.tools.as_ref().is_some_and(|tools| tools.contains(&call.name))) {
            Some(call) => {
                self.pieces.push(Piece::Call(call));
                self.keep(self.held.len() - length);
                self.place = Place::Between;
            }
            None => self.place = Place::Content,
        }
        true
    }

    /// Takes what can be shown, and where it stands: all but the beginning of a mark, and white space that may precede one.
    fn ready(&mut self, marks: &[&str]) -> (usize, String) {
        let keep = held_back(&self.held, marks.iter().copied());
        let end = self.held.get(..self.held.len() - keep).map_or(0, |text| text.trim_end().len());
        (self.at, self.take_front(end))
    }

    /// What the text means, if that is a call of what was offered, or several; else the text itself: a client has nothing that it
    /// could call by another name.
    fn calls_or(&mut self, calls: Option<Vec<Call>>, at: usize, raw: String) {
        let offered = |call: &Call| self.tools.as_ref().is_some_and(|tools| tools.contains(&call.name));
        match calls.filter(|calls| calls.iter().all(offered)) {
            Some(calls) => self.pieces.extend(calls.into_iter().map(Piece::Call)),
            None => self.content(at, raw),
        }
    }

    fn reasoning(&mut self, text: &str) {
        if !text.is_empty() {
            self.pieces.push(Piece::Reasoning(text.to_owned()));
        }
    }

    fn content(&mut self, at: usize, text: String) {
        if !text.is_empty() && !self.forced {
            self.shown.push(at..at + text.len());
            self.pieces.push(Piece::Content(text));
        }
    }
}
