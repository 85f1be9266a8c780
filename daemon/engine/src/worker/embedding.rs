//! Vectors of texts: each text is read in one step, and its vector is as long as 1.
//!
//! Invariant: no text has more tokens than one step of its context takes, on which llama.cpp would end the process; before
//! each text the asker is known to be there.

use super::generation::forget;
use super::{Loaded, prompt};
use crate::error::Failure;
use crate::queue::Job;
use crate::wire::embeddings::Embeddings;
use crate::wire::input::Input;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::vocab::LlamaVocab;

/// One vector for each text, and how many tokens they all were.
type Vectors = (Vec<Vec<f32>>, usize);

/// The vectors for the request of this body; `None` if its asker left.
pub(super) fn embed(loaded: &mut Loaded<'_>, job: &Job, body: &[u8]) -> Result<Option<Vectors>, Failure> {
    let limits = loaded.settings.limits;
    let request = Embeddings::read(body, &job.model.summary, &limits)?;
    let vocabulary = loaded.weights.vocab();
    // The context itself may have been rounded up, beyond what the model was trained on.
    let trained = usize::try_from(loaded.weights.n_ctx_train()).unwrap_or(usize::MAX);
    let most = trained.min(loaded.settings.context_of(&job.model.summary) as usize);
    // All are looked at before any is read, so that a fault costs nothing.
    let mut texts = Vec::with_capacity(request.inputs.len());
    for (index, input) in request.inputs.iter().enumerate() {
        match tokens(job, &vocabulary, index, input, most)? {
            Some(tokens) => texts.push(tokens),
            None => return Ok(None),
        }
    }
    let mut batch = LlamaBatch::new(most, 1);
    let mut vectors = Vec::with_capacity(texts.len());
    for tokens in &texts {
        if job.abandoned() {
            return Ok(None);
        }
        // One step, of more than the tokens that others have.
        job.takes(limits.silence.saturating_mul(steps(tokens.len(), limits.batch)));
        vectors.push(vector(loaded, &mut batch, tokens)?);
    }
    Ok(Some((vectors, texts.iter().map(Vec::len).sum())))
}

/// As how many steps of `batch` tokens so many count.
fn steps(tokens: usize, batch: u32) -> u32 {
    u32::try_from(tokens).unwrap_or(u32::MAX).div_ceil(batch)
}

/// The tokens of one text, with those that the model wants around it; numbers are taken as they are.
fn tokens(
    job: &Job,
    vocabulary: &LlamaVocab<'_>,
    index: usize,
    input: &Input,
    most: usize,
) -> Result<Option<Vec<LlamaToken>>, Failure> {
    let at = format!("input[{index}]");
    let tokens = match input {
        Input::Text(text) => {
            let count = |piece: &str| vocabulary.tokenize(piece.as_bytes(), false, false).len();
            match prompt::fits(text, most, count, || !job.abandoned()) {
                None => return Ok(None),
                Some(false) => return Err(too_long(&at, most, None)),
                Some(true) => vocabulary.tokenize(text.as_bytes(), true, false),
            }
        }
        Input::Tokens(numbers) => prompt::numbered(vocabulary, numbers, &at)?,
    };
    match tokens.len() {
        0 => Err(Failure::wrong_value(&at, "a text that has at least one token")),
        length if length > most => Err(too_long(&at, most, Some(length))),
        _ => Ok(Some(tokens)),
    }
}

fn too_long(at: &str, most: usize, used: Option<usize>) -> Failure {
    let used = used.map_or_else(|| "many more".to_owned(), |used| used.to_string());
    let message = format!("A text may have {most} tokens here, but {at} has {used}; shorten it, or split it");
    Failure { code: Some("context_length_exceeded"), ..Failure::invalid(at, message) }
}

fn vector(
    loaded: &mut Loaded<'_>,
    batch: &mut LlamaBatch<'_>,
    tokens: &[LlamaToken],
) -> Result<Vec<f32>, Failure> {
    let failed =
        |problem: String| Failure::internal(format!("llama.cpp could not embed the text: {problem}"));
    forget(&mut loaded.context);
    batch.clear();
    for (position, token) in (0_i32..).zip(tokens) {
        // Pooling takes all tokens together, so each must give its vector.
        batch.add(*token, position, &[0], true).map_err(|error| failed(error.to_string()))?;
    }
    loaded.context.decode(batch).map_err(|error| failed(error.to_string()))?;
    let vector = loaded.context.embeddings_seq_ith(0).map_err(|error| failed(error.to_string()))?;
    normalised(vector).ok_or_else(|| failed("its numbers have no length".into()))
}

/// The same direction at the length 1, as OpenAI's vectors have it; `None` where there is none.
fn normalised(vector: &[f32]) -> Option<Vec<f32>> {
    let length = vector.iter().map(|number| f64::from(*number).powi(2)).sum::<f64>().sqrt();
    #[expect(clippy::cast_possible_truncation, reason = "a share of 1")]
    let shares = vector.iter().map(|number| (f64::from(*number) / length) as f32);
    (length.is_finite() && length > 0.0).then(|| shares.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_keeps_its_direction_at_the_length_one() {
        assert_eq!(normalised(&[3.0, -4.0]), Some(vec![0.6, -0.8]));
        assert_eq!(normalised(&[f32::MAX, 0.0]), Some(vec![1.0, 0.0]));
        for none in [&[0.0, 0.0][..], &[f32::NAN], &[f32::INFINITY], &[]] {
            assert_eq!(normalised(none), None);
        }
    }
}
