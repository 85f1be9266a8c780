//! From what was said to the tokens that the model reads.
//!
//! Invariant: between its steps, and between the pieces of the long ones, the asker is known to be there; what cannot
//! fit is noticed before it is made whole.

use crate::error::Failure;
use crate::queue::Job;
use crate::template::{ChatTemplate, Conversation, Paper, TemplateError, messages};
use crate::weight::Allowance;
use crate::wire::Chat;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::vocab::LlamaVocab;
use time::OffsetDateTime;

/// llama.cpp's tokenizer takes some milliseconds for so much, and memory of up to eighty times the size.
const PIECE_BYTES: usize = 64 << 10;
/// Tokens that a cut may make more than there are: a special token that is cut falls apart into its letters.
const PIECE_TOKENS: usize = 64;

/// The conversation as the model was taught to read it; `None` if its asker left.
pub(super) fn text(
    job: &Job,
    chat: &Chat,
    vocabulary: &LlamaVocab<'_>,
    allowance: &Allowance,
    work: u64,
) -> Result<Option<String>, Failure> {
    let Some(source) = job.model.summary.chat_template(!chat.tools.is_empty()) else {
        let message =
            format!("the model {:?} has no chat template, so it cannot hold a conversation", job.model.id);
        return Err(Failure::invalid("model", message));
    };
    let (bos, eos) = (text_of(vocabulary, vocabulary.bos()), text_of(vocabulary, vocabulary.eos()));
    let conversation = Conversation {
        messages: &chat.messages,
        tools: (!chat.tools.is_empty()).then_some(chat.tools.as_slice()),
        documents: None,
        add_generation_prompt: true,
        bos_token: &bos,
        eos_token: &eos,
        extra: &chat.extra,
    };
    let paper = Paper { most: allowance.bytes, wanted: &|| !job.abandoned() };
    let rendered = ChatTemplate::new(source, work, OffsetDateTime::now_utc())
        .and_then(|template| messages::render(&template, &conversation, paper));
    match rendered {
        Ok(text) => Ok(Some(text)),
        Err(TemplateError::Unwanted) => Ok(None),
        Err(TemplateError::TooLong) => Err(Failure::context("messages", allowance.tokens, None)),
        Err(error @ (TemplateError::Failed(_) | TemplateError::Spent)) => Err(Failure::invalid(
            "messages",
            format!("the model's chat template does not take these messages: {error}"),
        )),
    }
}

/// The text of a token; empty where there is none.
pub(super) fn text_of(vocabulary: &LlamaVocab<'_>, token: LlamaToken) -> String {
    // A negative number stands for "none", which llama.cpp's look-up does not expect.
    if token.0 < 0 {
        return String::new();
    }
    vocabulary.text(token).map_or_else(String::new, |text| text.to_string_lossy().into_owned())
}

/// The tokens of a text that is what the field `at` says, where they leave room for an answer; `None` if the asker left.
pub(super) fn tokens(
    job: &Job,
    vocabulary: &LlamaVocab<'_>,
    text: &str,
    (at, limit): (&str, usize),
) -> Result<Option<Vec<LlamaToken>>, Failure> {
    let Some(mut tokens) = piece_tokens(job, vocabulary, text, true, (at, limit))? else { return Ok(None) };
    begin(vocabulary, &mut tokens);
    leaves_room(tokens.len(), (at, limit))?;
    Ok(Some(tokens))
}

/// The tokens of a part of that text, without the one that a text begins with. `special`: what is written as a special token is one.
pub(super) fn piece_tokens(
    job: &Job,
    vocabulary: &LlamaVocab<'_>,
    text: &str,
    special: bool,
    (at, limit): (&str, usize),
) -> Result<Option<Vec<LlamaToken>>, Failure> {
    let count = |piece: &str| vocabulary.tokenize(piece.as_bytes(), false, special).len();
    match fits(text, limit, count, || !job.abandoned()) {
        None => Ok(None),
        Some(false) => Err(Failure::context(at, limit, None)),
        Some(true) => Ok(Some(vocabulary.tokenize(text.as_bytes(), false, special))),
    }
}

/// One place must be left, or nothing can be said.
pub(super) fn leaves_room(tokens: usize, (at, limit): (&str, usize)) -> Result<(), Failure> {
    if tokens >= limit { Err(Failure::context(at, limit, Some(tokens))) } else { Ok(()) }
}

/// The tokens of these numbers, as they are.
pub(super) fn numbered(
    vocabulary: &LlamaVocab<'_>,
    numbers: &[u32],
    at: &str,
) -> Result<Vec<LlamaToken>, Failure> {
    let token = |number: &u32| {
        let number = i32::try_from(*number).ok().filter(|number| *number < vocabulary.n_tokens());
        number.map(LlamaToken)
    };
    numbers.iter().map(token).collect::<Option<_>>().ok_or_else(|| {
        let wanted = format!("a list of token numbers below {}", vocabulary.n_tokens());
        Failure::wrong_value(at, &wanted)
    })
}

/// Whether a text may have less than `limit` tokens, as far as can be told from counting those of its pieces; `None`
/// if it is not `wanted` any more. The cuts change the count, so only what is well beyond the limit is told apart.
pub(super) fn fits(
    text: &str,
    limit: usize,
    count: impl Fn(&str) -> usize,
    wanted: impl Fn() -> bool,
) -> Option<bool> {
    let (mut rest, mut counted, mut most) = (text, 0_usize, limit.saturating_add(limit / 2));
    while rest.len() > PIECE_BYTES {
        if !wanted() {
            return None;
        }
        let (piece, after) =
            rest.split_at_checked(rest.floor_char_boundary(PIECE_BYTES)).unwrap_or((rest, ""));
        counted = counted.saturating_add(count(piece));
        most = most.saturating_add(PIECE_TOKENS);
        if counted > most {
            return Some(false);
        }
        rest = after;
    }
    wanted().then_some(true)
}

/// Templates write the first token themselves, mostly; where a text does not, and the model wants it, it is added, and this true.
pub(super) fn begin(vocabulary: &LlamaVocab<'_>, tokens: &mut Vec<LlamaToken>) -> bool {
    let first = vocabulary.bos();
    let lacks = vocabulary.should_add_bos() && first.0 >= 0 && tokens.first() != Some(&first);
    if lacks {
        tokens.insert(0, first);
    }
    lacks
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn a_text_far_beyond_the_limit_is_noticed_early_and_one_near_it_is_left_to_the_tokenizer() {
        let seen = Cell::new(0);
        // A token for each four bytes.
        let count = |piece: &str| {
            seen.set(seen.get() + piece.len());
            piece.len() / 4
        };
        let text = "é".repeat(5_000_000);
        assert_eq!(fits(&text, 8192, count, || true), Some(false));
        assert_eq!(seen.get(), PIECE_BYTES);
        assert_eq!(fits(&text, 2_500_000, count, || true), Some(true));
        assert_eq!(fits(&text, 2_000_000, count, || true), Some(true));
        assert_eq!(fits("short", 1, count, || true), Some(true));
    }

    #[test]
    fn who_leaves_is_noticed_between_two_pieces() {
        let text = "x".repeat(10 * PIECE_BYTES);
        let pieces = Cell::new(0);
        let count = |_: &str| {
            pieces.set(pieces.get() + 1);
            1
        };
        assert_eq!(fits(&text, 1_000_000, count, || pieces.get() < 3), None);
        assert_eq!(pieces.get(), 3);
        assert_eq!(fits("short", 1_000_000, count, || false), None);
    }
}
