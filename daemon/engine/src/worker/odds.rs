//! How likely each token was, and which part of the answer it came to be in.
//!
//! Odds are the model's own, the softmax of its logits: before penalties, cuts, temperature and grammar, as OpenAI's are.
//! Invariant: a token is told with the first piece of content that shows any of it, and once; one that no content shows
//! (reasoning, a call, what a stop text cut off) is not told.

use super::generation::piece;
use super::prompt::text_of;
use crate::wire::answer::{Likelihood, Odds};
use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::vocab::LlamaVocab;
use std::cmp::Ordering;
use std::collections::VecDeque;
use std::ops::Range;

/// The odds of `said`, and the `most` likeliest tokens, where the model gave these logits.
pub(super) fn odds(vocabulary: &LlamaVocab<'_>, logits: &[f32], said: LlamaToken, most: usize) -> Odds {
    let whole = log_of_sum(logits);
    let likelihood = |index: usize| {
        let token = LlamaToken(i32::try_from(index).unwrap_or(-1));
        let logit = logits.get(index).copied().unwrap_or(f32::NEG_INFINITY);
        #[expect(clippy::cast_possible_truncation, reason = "a logarithm, told to the seventh digit")]
        let log = (f64::from(logit) - whole) as f32;
        let bytes = bytes_of(vocabulary, token);
        Likelihood { bytes, log: Some(log) }
    };
    Odds {
        said: likelihood(usize::try_from(said.0).unwrap_or(usize::MAX)),
        likeliest: largest(logits, most).into_iter().map(likelihood).collect(),
        at: 0,
    }
}

/// The odds of a token before which there is nothing, and so none.
pub(super) fn unconditioned(vocabulary: &LlamaVocab<'_>, token: LlamaToken) -> Odds {
    let bytes = bytes_of(vocabulary, token);
    Odds { said: Likelihood { bytes, log: None }, likeliest: Vec::new(), at: 0 }
}

fn bytes_of(vocabulary: &LlamaVocab<'_>, token: LlamaToken) -> Vec<u8> {
    match piece(vocabulary, token) {
        // A control token ends an answer, or is silent in it.
        silent if silent.is_empty() => text_of(vocabulary, token).into_bytes(),
        bytes => bytes,
    }
}

/// The logarithm of the sum of all `exp(logit)`, from the largest down, so that nothing overflows.
fn log_of_sum(logits: &[f32]) -> f64 {
    let largest = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    // A vocabulary has up to a quarter of a million tokens.
    let sum: f64 = logits.iter().map(|logit| (f64::from(*logit) - largest).exp()).sum();
    largest + sum.ln()
}

/// Where the largest logits are, the largest first; of two alike the first.
fn largest(logits: &[f32], most: usize) -> Vec<usize> {
    let at = |index: &usize| logits.get(*index).copied().unwrap_or(f32::NEG_INFINITY);
    let order = |a: &usize, b: &usize| -> Ordering { at(b).total_cmp(&at(a)).then(a.cmp(b)) };
    let mut indices: Vec<usize> = (0..logits.len()).collect();
    if most < indices.len() {
        indices.select_nth_unstable_by(most, order);
        indices.truncate(most);
    }
    indices.sort_unstable_by(order);
    indices
}

/// The tokens said whose part of the answer is not known yet.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// With the place of their text.
    placed: VecDeque<(Range<usize>, Odds)>,
    /// Those that have made no whole character yet.
    unplaced: Vec<Odds>,
    length: usize,
}

impl Ledger {
    /// Takes a token, after which the text has so many bytes.
    pub(super) fn add(&mut self, odds: Odds, length: usize) {
        self.unplaced.push(odds);
        self.reach(length);
    }

    /// The text has so many bytes now, by the tokens that were added.
    pub(super) fn reach(&mut self, length: usize) {
        if length > self.length {
            let place = self.length..length;
            self.placed.extend(self.unplaced.drain(..).map(|odds| (place.clone(), odds)));
            self.length = length;
        }
    }

    /// The tokens of which the piece of content at this place shows something. Places only grow.
    pub(super) fn take(&mut self, shown: &Range<usize>) -> Vec<Odds> {
        let mut taken = Vec::new();
        while let Some((place, odds)) = self.placed.pop_front_if(|(place, _)| place.start < shown.end) {
            if place.end > shown.start {
                taken.push(Odds { at: place.start.saturating_sub(shown.start), ..odds });
            }
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: u8) -> Odds {
        Odds { said: Likelihood { bytes: vec![name], log: Some(0.0) }, likeliest: Vec::new(), at: 0 }
    }

    fn names(odds: &[Odds]) -> Vec<u8> {
        odds.iter().flat_map(|odds| odds.said.bytes.clone()).collect()
    }

    #[test]
    fn shares_sum_up_to_one_also_of_logits_that_would_overflow() {
        let logits = [1000.0, 999.0, -1000.0, f32::NEG_INFINITY];
        let whole = log_of_sum(&logits);
        let sum: f64 = logits.iter().map(|logit| (f64::from(*logit) - whole).exp()).sum();
        assert!((sum - 1.0).abs() < 1e-9, "{sum}");
        // Minus the logarithm of 1 + 1/e.
        assert!((1000.0 - whole + 0.313_261_687_518).abs() < 1e-9);
    }

    #[test]
    fn the_largest_come_first_and_of_two_alike_the_first() {
        let logits = [0.5, 2.0, 0.5, f32::NAN, 3.0];
        assert_eq!(largest(&logits[..3], 2), [1, 0]);
        assert_eq!(largest(&logits[..3], 3), [1, 0, 2]);
        assert_eq!(largest(&logits[..3], 9), [1, 0, 2]);
        assert_eq!(largest(&logits[..3], 0), Vec::<usize>::new());
        assert_eq!(largest(&logits, 5).len(), 5);
    }

    #[test]
    fn a_token_goes_with_the_first_piece_that_shows_some_of_it() {
        let mut ledger = Ledger::default();
        // Half a character, its other half, five letters, and one that is never shown.
        for (name, length) in [(b'a', 0), (b'b', 2), (b'c', 7), (b'd', 9)] {
            ledger.add(named(name), length);
        }
        let taken = ledger.take(&(0..4));
        assert_eq!(names(&taken), *b"abc");
        assert_eq!(taken.iter().map(|odds| odds.at).collect::<Vec<_>>(), [0, 0, 2]);
        assert_eq!(names(&ledger.take(&(4..7))), *b"");
        ledger.add(named(b'e'), 12);
        assert_eq!(names(&ledger.take(&(9..12))), *b"e");
        // Half a character at the end comes out as U+FFFD.
        ledger.add(named(b'f'), 12);
        ledger.reach(15);
        assert_eq!(names(&ledger.take(&(12..15))), *b"f");
    }
}
