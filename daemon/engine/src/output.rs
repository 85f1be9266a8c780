//! From the model's tokens to what a client may see: whole characters, up to a stop text, sorted into reasoning,
//! content and tool calls.
//!
//! Knows the marks by which models open reasoning and calls. Knows nothing of tokens, requests or HTTP. Invariant:
//! however the text is cut into pieces, the concatenation of each kind is the same.

use calls::Tools;
use splitter::Splitter;
use std::ops::Range;

pub mod calls;
mod splitter;
mod stop;
mod utf8;

pub use splitter::Piece;
pub(crate) use splitter::{CALL, CALL_END, MARKS, MISTRAL, PYTHON, THINK, THINK_END};

/// The length of the longest suffix of `text` that begins, but does not complete, one of `marks`.
fn held_back<'a>(text: &str, marks: impl Iterator<Item = &'a str>) -> usize {
    marks
        .filter_map(|mark| {
            (1..mark.len()).rev().find(|n| mark.get(..*n).is_some_and(|start| text.ends_with(start)))
        })
        .max()
        .unwrap_or(0)
}

/// What the output of one generation passes through.
pub struct Output {
    characters: utf8::Characters,
    stop: stop::StopTexts,
    splitter: Splitter,
    length: usize,
}

impl Output {
    /// `stops` end the text before themselves; `tools` are the functions offered, if any; `thinking` says that the
    /// prompt itself already opened the reasoning.
    #[must_use]
    pub fn new(stops: Vec<String>, tools: Option<Tools>, thinking: bool) -> Self {
        Self {
            characters: utf8::Characters::default(),
            stop: stop::StopTexts::new(stops),
            splitter: Splitter::new(tools, thinking),
            length: 0,
        }
    }

    /// The same of a text that is no answer of a conversation: all of it is content, whatever it looks like.
    #[must_use]
    pub fn plain(stops: Vec<String>) -> Self {
        Self { splitter: Splitter::plain(), ..Self::new(stops, None, false) }
    }

    /// The same of an answer that is held to a call, if `forced`: what is no whole call is the beginning of one, which is no text for
    /// anybody, and is left out.
    #[must_use]
    pub fn forced(mut self, forced: bool) -> Self {
        self.splitter.forced = forced;
        self
    }

    /// Takes the bytes of the next token.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Piece> {
        let text = self.characters.push(bytes);
        self.length += text.len();
        let text = self.stop.push(&text);
        self.splitter.push(&text)
    }

    /// The bytes of text that the tokens made so far, whether it was shown or not.
    #[must_use]
    pub fn length(&self) -> usize {
        self.length
    }

    /// Where in that text the pieces of content stand that came since this was last asked: one place for each of them.
    pub fn shown(&mut self) -> Vec<Range<usize>> {
        self.splitter.shown()
    }

    /// Whether a stop text was met; what follows is ignored.
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.stop.met()
    }

    /// Ends the text: what was held back comes out.
    pub fn finish(&mut self) -> Vec<Piece> {
        let tail = self.characters.finish();
        self.length += tail.len();
        let mut text = self.stop.push(&tail);
        text.push_str(&self.stop.finish());
        let mut pieces = self.splitter.push(&text);
        pieces.extend(self.splitter.finish());
        pieces
    }
}

#[cfg(test)]
mod tests;
