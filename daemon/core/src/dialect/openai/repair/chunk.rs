//! What must be known of an engine's chunks and answers.
//!
//! Knows their fields. Refuses to know what follows from them. Invariant: what is not needed is not read, but for its JSON.

use std::borrow::Cow;
use std::cell::OnceCell;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::counts::quoted_bytes;
use crate::chat::tokens_of;
use crate::dialect::json::{self, Object, Quoted};

/// A chunk or an answer.
#[derive(Deserialize)]
pub(super) struct Chunk<'a> {
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) model: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) choices: Option<Vec<Object<Choice<'a>>>>,
    /// Null as well: a client that has not asked for counts gets no member of that name.
    #[serde(borrow, default, deserialize_with = "json::there")]
    pub(super) usage: Option<&'a RawValue>,
    /// llama.cpp's, beside the counts where it is asked for these, and else in the chunk that ends the answer.
    #[serde(borrow)]
    pub(super) timings: Option<&'a RawValue>,
}

impl Chunk<'_> {
    /// Whether it has counts of whatever form, and no null in their place.
    pub(super) fn has_counts(&self) -> bool {
        self.usage.is_some_and(|usage| usage.get() != "null")
    }

    /// Whether it has counts and nothing that is said.
    pub(super) fn is_counts(&self) -> bool {
        self.has_counts() && self.choices.as_ref().is_none_or(Vec::is_empty)
    }

    /// About how many tokens it says.
    pub(super) fn said(&self) -> u64 {
        self.choices.iter().flatten().map(|Object(choice)| choice.tokens()).sum()
    }
}

/// One of its choices.
#[derive(Deserialize)]
pub(super) struct Choice<'a> {
    #[serde(default)]
    pub(super) index: u32,
    #[serde(borrow)]
    pub(super) finish_reason: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) logprobs: Option<&'a RawValue>,
    /// Of a stream.
    #[serde(borrow)]
    pub(super) delta: Option<&'a RawValue>,
    /// Of a whole answer.
    #[serde(borrow)]
    pub(super) message: Option<&'a RawValue>,
    /// Of a completion, streamed or whole.
    #[serde(borrow)]
    pub(super) text: Option<&'a RawValue>,
    /// What its delta or its message says, read once it is asked for.
    #[serde(skip)]
    said: OnceCell<Option<Said<'a>>>,
}

/// What a chunk's delta says, or a whole answer's message.
#[derive(Debug, Deserialize)]
pub(super) struct Said<'a> {
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "json::there")]
    pub(super) reasoning: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "json::there")]
    pub(super) reasoning_content: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_calls: Option<&'a RawValue>,
}

impl Said<'_> {
    /// Bytes of text, thought and calls: the first chunk has a role alone, and the last nothing.
    fn bytes(&self) -> u64 {
        let Self { content, reasoning, reasoning_content, tool_calls } = *self;
        let [reasoning, reasoning_content] =
            [reasoning, reasoning_content].map(|thought| thought.filter(|raw| raw.get() != "null"));
        // Some engines tell their thoughts by both names.
        let parts = [content, reasoning_content.or(reasoning), tool_calls].into_iter().flatten();
        parts.map(quoted_bytes).sum()
    }
}

impl<'a> Choice<'a> {
    /// What it says in a chat; none of what is of another form, which is the client's to judge.
    pub(super) fn said(&self) -> Option<&Said<'a>> {
        let read = || {
            let said = self.delta.or(self.message)?;
            let Object(said) = serde_json::from_str(said.get()).ok()?;
            Some(said)
        };
        self.said.get_or_init(read).as_ref()
    }

    /// Bytes of what it says, in text, thought and calls.
    pub(super) fn said_bytes(&self) -> u64 {
        self.said().map_or(0, Said::bytes) + self.text.map_or(0, quoted_bytes)
    }

    /// About how many tokens it says. A call comes in pieces, whose names are many times as long as they are.
    fn tokens(&self) -> u64 {
        /// Most pieces are so short, and one token.
        const SHORT: u64 = 8;
        let bytes = self.said_bytes();
        if bytes <= SHORT && !self.text.or(self.delta).is_some_and(|raw| raw.get().contains(' ')) {
            return bytes.min(1);
        }
        let said = self.said();
        let thought = said.and_then(|said| {
            [said.reasoning_content, said.reasoning]
                .into_iter()
                .flatten()
                .find_map(|raw| Quoted::of(raw.get()))
        });
        let content = said.and_then(|said| Quoted::of(said.content?.get()));
        let text = self.text.and_then(|text| Quoted::of(text.get()));
        let pieces = [content, thought, text].into_iter().flatten();
        pieces.map(|piece| tokens_of(piece.spelled())).sum::<u64>().max(bytes.min(1))
    }

    pub(super) fn is_finished(&self) -> bool {
        self.finish_reason.as_ref().is_some_and(|reason| !reason.is_empty())
    }
}
