//! From the model's tokens to what a client may see: whole characters, up to a stop text, sorted into reasoning,
//! content and tool calls.
//!
//! Knows the marks by which models open reasoning and calls. Knows nothing of tokens, requests or HTTP. Invariant:
//! however the text is cut into pieces, the concatenation of each kind is the same.

use calls::Tools;
use splitter::Splitter;

pub mod calls;
mod splitter;
mod stop;
mod utf8;

pub(crate) use splitter::MARKS;
pub use splitter::Piece;

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
        }
    }

    /// Takes the bytes of the next token.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Piece> {
        let text = self.characters.push(bytes);
        let text = self.stop.push(&text);
        self.splitter.push(&text)
    }

    /// Whether a stop text was met; what follows is ignored.
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.stop.met()
    }

    /// Ends the text: what was held back comes out.
    pub fn finish(&mut self) -> Vec<Piece> {
        let tail = self.characters.finish();
        let mut text = self.stop.push(&tail);
        text.push_str(&self.stop.finish());
        let mut pieces = self.splitter.push(&text);
        pieces.extend(self.splitter.finish());
        pieces
    }
}

#[cfg(test)]
mod tests;
