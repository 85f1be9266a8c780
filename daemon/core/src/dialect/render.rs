//! An answer in the language of whoever asked.
//!
//! Knows which languages clients speak, and has one writer of each. Refuses to know engines, and how a request was read.
//! Invariant: whatever the language, what was written before a failure is good, and behind its end nothing follows.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::openai::{ChatStream, ChatWhole, CompletionStream, CompletionWhole, KEEP_ALIVE_COMMENT};
use super::responses::{self, Echo, KeptItem, ResponseStream, ResponseWhole};
use crate::chat::ChatEvent;
use crate::completion::in_own_words;
use crate::config::KeepAliveStyle;
use crate::error::{ApiError, BackendFault};

#[cfg(test)]
mod tests;

/// A language, with what it needs of the request.
#[derive(Debug, Clone)]
pub enum Form {
    /// OpenAI's chat completions.
    Chat {
        /// The model's name, as asked for.
        model: Arc<str>,
        /// Whether a stream ends with the count of tokens.
        include_usage: bool,
    },
    /// OpenAI's older completions.
    Completion {
        /// The model's name, as asked for.
        model: Arc<str>,
        /// Whether a stream ends with the count of tokens.
        include_usage: bool,
    },
    /// OpenAI's Responses.
    Response(Arc<Echo>),
}

/// One answer's name: something unique, from which its ids are made, and its creation time in Unix seconds.
#[derive(Debug, Clone, Copy)]
pub struct Named<'a> {
    /// Letters and digits.
    pub unique: &'a str,
    /// Unix seconds.
    pub created: u64,
}

impl Form {
    /// A stream; of an answer that it must repeat at its end, it holds no more than `limit` bytes.
    #[must_use]
    pub fn stream(&self, named: Named<'_>, limit: usize) -> StreamOut {
        let Named { unique, created } = named;
        match self {
            Self::Chat { model, include_usage } => {
                StreamOut::Chat(ChatStream::new(&chat_id(unique), created, model, *include_usage))
            }
            Self::Completion { model, include_usage } => {
                let id = completion_id(unique);
                StreamOut::Completion(CompletionStream::new(&id, created, model, *include_usage))
            }
            Self::Response(echo) => {
                StreamOut::Response(ResponseStream::new(unique, created, Arc::clone(echo), limit))
            }
        }
    }

    /// An answer in one piece, of at most `limit` bytes.
    #[must_use]
    pub fn whole(&self, named: Named<'_>, limit: usize) -> WholeOut {
        let Named { unique, created } = named;
        match self {
            Self::Chat { model, .. } => {
                WholeOut::Chat(ChatWhole::new(&chat_id(unique), created, model, limit))
            }
            Self::Completion { model, .. } => {
                WholeOut::Completion(CompletionWhole::new(&completion_id(unique), created, model, limit))
            }
            Self::Response(echo) => {
                WholeOut::Response(ResponseWhole::new(unique, created, Arc::clone(echo), limit))
            }
        }
    }

    /// The last of a stream whose writer is lost, behind so many numbered events of it ([`StreamOut::numbered`]).
    #[must_use]
    pub fn failure(&self, named: Named<'_>, error: &ApiError, numbered: u64) -> Bytes {
        match self.stream(named, 0) {
            StreamOut::Response(stream) => stream.behind(numbered).failure(error),
            mut unnumbered => unnumbered.failure(error),
        }
    }

    /// What is sent while an engine is silent, before its first event or between two.
    ///
    /// An empty delta of a chat has no role: clients append the texts of two roles to each other. A response has no event
    /// that says nothing, so that it is a comment there in either style.
    #[must_use]
    pub fn keep_alive(&self, style: KeepAliveStyle, named: Named<'_>) -> Bytes {
        match (self.stream(named, 0), style) {
            (StreamOut::Chat(mut stream), KeepAliveStyle::EmptyDelta) => {
                let mut out = BytesMut::new();
                stream.keep_alive(&mut out);
                out.clear();
                stream.keep_alive(&mut out);
                out.freeze()
            }
            (StreamOut::Completion(mut stream), KeepAliveStyle::EmptyDelta) => {
                let mut out = BytesMut::new();
                stream.keep_alive(&mut out);
                out.freeze()
            }
            (_, _) => Bytes::from_static(KEEP_ALIVE_COMMENT),
        }
    }

    /// The fields of a request that ask for the probabilities of tokens, and with `top` for those of alternatives, by the names that the
    /// header of what came to nothing has for them.
    #[must_use]
    pub fn odds_fields(&self, top: u8) -> &'static [&'static str] {
        match (self, top) {
            (Self::Chat { .. }, 0) | (Self::Completion { .. }, _) => &["logprobs"],
            (Self::Chat { .. }, _) => &["logprobs", "top_logprobs"],
            (Self::Response(_), 0) => &[responses::ODDS],
            (Self::Response(_), _) => &[responses::ODDS, "top_logprobs"],
        }
    }

    /// An error that is the whole answer, with its client's own name of the field.
    #[must_use]
    pub fn refusal(&self, error: ApiError) -> ApiError {
        match self {
            Self::Response(echo) => responses::in_own_words(error, echo),
            Self::Chat { .. } | Self::Completion { .. } => self.words(error),
        }
    }

    /// An error that an engine has ended a stream with, with its client's own name of the field. A response names it as it is written.
    #[must_use]
    pub fn words(&self, error: ApiError) -> ApiError {
        match self {
            Self::Completion { .. } => in_own_words(error),
            Self::Chat { .. } | Self::Response(_) => error,
        }
    }
}

fn chat_id(unique: &str) -> String {
    format!("chatcmpl-{unique}")
}

fn completion_id(unique: &str) -> String {
    format!("cmpl-{unique}")
}

/// Writes one answer as a stream.
#[derive(Debug)]
pub enum StreamOut {
    /// Chunks.
    Chat(ChatStream),
    /// Chunks of a completion.
    Completion(CompletionStream),
    /// Events of a response.
    Response(ResponseStream),
}

impl StreamOut {
    /// Appends what this event is on the wire.
    ///
    /// # Errors
    /// [`BackendFault::TooLong`] where the answer passes what may be held of it.
    pub fn event(&mut self, event: ChatEvent, out: &mut BytesMut) -> Result<(), BackendFault> {
        match self {
            Self::Chat(stream) => {
                stream.event(&event, out);
                Ok(())
            }
            Self::Completion(stream) => {
                stream.event(&event, out);
                Ok(())
            }
            Self::Response(stream) => stream.event(event, out),
        }
    }

    /// Appends the end of the stream; nothing where no finish reason came, since such an answer is not complete.
    pub fn finish(&mut self, out: &mut BytesMut) {
        match self {
            Self::Chat(stream) => stream.finish(out),
            Self::Completion(stream) => stream.finish(out),
            Self::Response(stream) => stream.finish(out),
        }
    }

    /// Whether an answer in it has counts in any case, which are estimated where its engine tells none: typed clients of Responses want
    /// them, and zeros would be untrue.
    #[must_use]
    pub fn counts_anyway(&self) -> bool {
        matches!(self, Self::Response(_))
    }

    /// How many bytes of the answer it holds, to repeat them at its end.
    #[must_use]
    pub fn held(&self) -> usize {
        match self {
            Self::Chat(_) | Self::Completion(_) => 0,
            Self::Response(stream) => stream.held(),
        }
    }

    /// How many events it has written whose language numbers them.
    #[must_use]
    pub fn numbered(&self) -> u64 {
        match self {
            Self::Chat(_) | Self::Completion(_) => 0,
            Self::Response(stream) => stream.events(),
        }
    }

    /// What of it may be named in a later request: the items of a response that is complete.
    #[must_use]
    pub fn kept(&self) -> Vec<KeptItem> {
        match self {
            Self::Chat(_) | Self::Completion(_) => Vec::new(),
            Self::Response(stream) => stream.kept(),
        }
    }

    /// The last of a stream that failed.
    #[must_use]
    pub fn failure(&mut self, error: &ApiError) -> Bytes {
        match self {
            Self::Chat(_) | Self::Completion(_) => error.stream_event(),
            Self::Response(stream) => stream.failure(error),
        }
    }
}

/// Gathers one answer.
#[derive(Debug)]
pub enum WholeOut {
    /// A chat completion.
    Chat(ChatWhole),
    /// A completion.
    Completion(CompletionWhole),
    /// A response.
    Response(ResponseWhole),
}

impl WholeOut {
    /// Takes the next event.
    ///
    /// # Errors
    /// [`BackendFault::TooLong`] where the answer passes the limit.
    pub fn event(&mut self, event: ChatEvent) -> Result<(), BackendFault> {
        match self {
            Self::Chat(whole) => whole.event(event),
            Self::Completion(whole) => whole.event(event),
            Self::Response(whole) => whole.event(event),
        }
    }

    /// As [`StreamOut::counts_anyway`].
    #[must_use]
    pub fn counts_anyway(&self) -> bool {
        matches!(self, Self::Response(_))
    }

    /// How many bytes it holds.
    #[must_use]
    pub fn held(&self) -> usize {
        match self {
            Self::Chat(whole) => whole.held(),
            Self::Completion(whole) => whole.held(),
            Self::Response(whole) => whole.held(),
        }
    }

    /// As [`StreamOut::kept`].
    #[must_use]
    pub fn kept(&self) -> Vec<KeptItem> {
        match self {
            Self::Chat(_) | Self::Completion(_) => Vec::new(),
            Self::Response(whole) => whole.kept(),
        }
    }

    /// The body of the answer.
    ///
    /// # Errors
    /// [`BackendFault::EndedEarly`] where no finish reason came.
    pub fn body(&self) -> Result<Bytes, BackendFault> {
        match self {
            Self::Chat(whole) => whole.body(),
            Self::Completion(whole) => whole.body(),
            Self::Response(whole) => whole.body(),
        }
    }
}
