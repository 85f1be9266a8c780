//! The internal form of a request for embeddings, and of its answer: what every dialect translates to and from.
//!
//! Knows what is turned into vectors, and what an engine may give for it. Refuses to know how any client or engine spells it.
//! Invariants: a request has at least one input, and none of them is empty; an answer has one vector for each input, all of
//! one length, and every number in them is one.

use crate::error::{ApiError, BackendFault, Code, classify};
use crate::text::size;

#[cfg(test)]
mod tests;

/// OpenAI's own limit of inputs, by its API reference ("any array must be 2048 dimensions or less"): a promise to clients, not a
/// guard of ours, and so no setting.
pub const INPUTS_LIMIT: usize = 2048;

/// One request for vectors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddingRequest {
    /// The name that the client asked for; routing may turn it into another.
    pub model: String,
    /// What is turned into vectors, at most [`INPUTS_LIMIT`] of it.
    pub input: EmbeddingInput,
    /// How long the vectors shall be; absent is as long as the model makes them.
    pub dimensions: Option<u32>,
    /// How the client wants the numbers.
    pub encoding: Encoding,
}

/// What is turned into vectors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EmbeddingInput {
    /// Texts.
    Texts(Vec<String>),
    /// Ids of the model's own tokens, a list for each input.
    Tokens(Vec<Vec<u32>>),
}

/// How numbers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    /// As numbers of JSON.
    #[default]
    Float,
    /// As one text: the numbers in 32 bits each, the lowest byte first, in base64 (RFC 4648, padded).
    Base64,
}

/// The vectors that an engine gave.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Embeddings {
    /// One for each input, in their order.
    pub vectors: Vec<Vec<f32>>,
    /// The tokens of all inputs together, as the engine has counted them, or as they are estimated where it has not.
    pub prompt_tokens: u64,
    /// Whether these are estimated.
    pub estimated: bool,
}

impl Embeddings {
    /// The length of each vector.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        self.vectors.first().map_or(0, Vec::len)
    }
}

/// Looks at the vectors of one answer as they are read.
#[derive(Debug)]
pub(crate) struct Measure {
    wanted: usize,
    seen: usize,
    dimensions: usize,
}

impl Measure {
    /// Of an answer to so many inputs.
    pub(crate) fn new(wanted: usize) -> Self {
        Self { wanted, seen: 0, dimensions: 0 }
    }

    /// The next vector.
    ///
    /// # Errors
    /// One too many, an empty one, one of another length than those before, or a number beyond 32 bits.
    pub(crate) fn take(&mut self, vector: &[f32]) -> Result<(), BackendFault> {
        if self.seen == self.wanted {
            return Err(BackendFault::garbage(format!("more vectors than the {} inputs", self.wanted)));
        }
        if self.seen == 0 {
            self.dimensions = vector.len();
        }
        if vector.is_empty() || vector.len() != self.dimensions {
            let (one, other) = (self.dimensions, vector.len());
            return Err(BackendFault::garbage(format!("vectors of {one} and of {other} numbers")));
        }
        if !vector.iter().all(|number| number.is_finite()) {
            return Err(BackendFault::garbage("a vector with something in it that is no number"));
        }
        self.seen += 1;
        Ok(())
    }

    /// The length of the vectors, of which there are as many as inputs.
    ///
    /// # Errors
    /// There are fewer.
    pub(crate) fn finish(&self) -> Result<usize, BackendFault> {
        if self.seen < self.wanted {
            return Err(BackendFault::garbage(format!("{} vectors for {} inputs", self.seen, self.wanted)));
        }
        Ok(self.dimensions)
    }
}

/// Whether vectors are as long as the client wanted them: some engines pass over what they cannot do.
///
/// # Errors
/// 400 with the length that the model has.
pub fn check_dimensions(wanted: Option<u32>, got: usize) -> Result<(), ApiError> {
    match wanted.and_then(|wanted| usize::try_from(wanted).ok()) {
        Some(wanted) if wanted > got => {
            let expected = format!("at most {got}, which is what this model gives");
            Err(ApiError::invalid_value("dimensions", &expected))
        }
        Some(wanted) if wanted < got => {
            let why = format!("The engine of this model gives vectors of {got} numbers and no shorter ones.");
            Err(ApiError::unsupported("dimensions", &why))
        }
        _ => Ok(()),
    }
}

/// 400: the vectors are more than an answer may have, in bytes of JSON.
#[must_use]
pub fn too_much(limit: usize) -> ApiError {
    let limit = size(limit as u64);
    ApiError::new(
        Code::InvalidValue,
        format!(
            "The vectors of these inputs are longer than {limit}, the most that an answer may have here \
             (limits.backend_answer). Send fewer inputs at once, or ask for base64 or fewer dimensions."
        ),
    )
    .with_param("input")
}

/// 400: this model, or the engine behind it, makes no embeddings.
#[must_use]
pub fn no_embeddings(model: &str) -> ApiError {
    let shown: String = model.chars().take(128).collect();
    ApiError::new(
        Code::InvalidValue,
        format!(
            "The model '{shown}' makes no embeddings. Ask for an embedding model; GET /v1/models lists the models that there \
             are, and of some what they can do. A server of llama.cpp's that an admin has named under [[backends]] makes them if it \
             was started with --embeddings."
        ),
    )
    .with_param("model")
}

/// How engines say that a model makes none: Ollama and vLLM, and our own.
const NO_EMBEDDINGS: [&str; 2] = ["does not support embedding", "makes no embeddings"];

/// What an engine's refusal means where it is the request's doing, and not the engine's: an input that is too long for the
/// model, or a model that makes no embeddings. Some engines say the second by having no such route.
#[must_use]
pub fn refusal(fault: &BackendFault, model: &str) -> Option<ApiError> {
    let BackendFault::Answered { status, body, .. } = fault else { return None };
    let error = classify(*status, body);
    match (error.code(), status) {
        (Code::ContextLengthExceeded, _) => Some(error.with_param("input")),
        (Code::ModelNotFound, _) => None,
        (_, 404 | 405 | 501) => Some(no_embeddings(model)),
        _ if NO_EMBEDDINGS.iter().any(|words| body.to_ascii_lowercase().contains(words)) => {
            Some(no_embeddings(model))
        }
        _ => None,
    }
}
