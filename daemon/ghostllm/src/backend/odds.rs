//! The probabilities of tokens that a client asks for and its engine does not tell.
//!
//! Knows how long what an Ollama has said of its version is believed. Refuses to know which version tells them. Invariant: a wish for
//! them that comes to nothing is refused where that is known before, and named in the answer's head where it is seen by its first event
//! or by the whole of it.

use std::{
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use ghostllm_core::{ApiError, dialect::ollama::Version};
use http::Method;
use tokio::time::{Instant, timeout};

use super::Parts;

/// One that tells them is hardly replaced by an older one.
const GOOD: Duration = Duration::from_secs(3600);
/// One that does not, or that says nothing of its version, may be replaced at any time.
const AGAIN: Duration = Duration::from_secs(60);
/// An Ollama answers at once, also while it loads a model.
const WITHIN: Duration = Duration::from_secs(2);

/// What an Ollama has said of its version, and until when that is believed.
#[derive(Debug, Default)]
pub(super) struct Odds(Mutex<Option<(Option<Version>, Instant)>>);

impl Odds {
    /// What was said, where it is believed still.
    fn believed(&self) -> Option<Option<Version>> {
        let said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        said.as_ref().filter(|(_, until)| Instant::now() < *until).map(|(version, _)| version.clone())
    }

    fn heard(&self, version: Option<Version>) {
        let good = version.as_ref().is_some_and(Version::tells_logprobs);
        let until = Instant::now() + if good { GOOD } else { AGAIN };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((version, until));
    }
}

impl Parts {
    /// The wish for the probabilities of tokens, and of so many alternatives, where there is one; refused where this Ollama is known to pass
    /// over it.
    pub(super) async fn ollama_wish(&self, top: Option<u8>) -> Result<Option<Wish>, ApiError> {
        let Some(top) = top else { return Ok(None) };
        let version = match self.odds.believed() {
            Some(version) => version,
            None => {
                let asked = timeout(WITHIN, self.list(Method::GET, "/api/version", Bytes::new())).await;
                let version = asked.ok().and_then(Result::ok).and_then(|answer| Version::read(&answer));
                self.odds.heard(version.clone());
                version
            }
        };
        match version {
            Some(old) if !old.tells_logprobs() => Err(old.tells_none()),
            known => Ok(Some(Wish { top, doubtful: known.is_none() })),
        }
    }
}

/// A wish for the probabilities of tokens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish {
    /// Of how many alternatives.
    pub(super) top: u8,
    /// Whether nothing is known of an engine that may be too old: then the first piece of a stream shows it. Elsewhere a piece may come before
    /// its probabilities.
    pub(super) doubtful: bool,
}

/// The fields of a request that its engine's answer shows to have come to nothing. Clones share it; it is told of the first reply,
/// before whoever has asked for an answer has it.
#[derive(Debug, Clone, Default)]
pub struct Unheard(Arc<OnceLock<&'static [&'static str]>>);

impl Unheard {
    /// Their names; none where nothing is known to have been passed over.
    #[must_use]
    pub fn names(&self) -> &'static [&'static str] {
        self.0.get().copied().unwrap_or_default()
    }

    pub(super) fn are(&self, names: &'static [&'static str]) {
        // Of several replies to one request the first has said it.
        let _again = self.0.set(names);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_was_said_is_believed_for_a_while() {
        let version = |said: &str| Version::read(format!("{{\"version\":\"{said}\"}}").as_bytes());
        let odds = Odds::default();
        assert_eq!(odds.believed(), None);
        for (said, kept) in [(version("0.12.10"), AGAIN), (version("0.12.11"), GOOD), (None, AGAIN)] {
            odds.heard(said.clone());
            tokio::time::advance(kept - Duration::from_millis(1)).await;
            assert_eq!(odds.believed(), Some(said));
            tokio::time::advance(Duration::from_millis(1)).await;
            assert_eq!(odds.believed(), None);
        }
    }
}
