//! The internal form of a completion: a text that a model is to go on with, without a conversation around it.
//!
//! Knows what is asked of an engine that takes one text at a time. Refuses to know how clients and engines spell it. Invariant: a value
//! of these types has been checked, and an engine's refusal that is the request's doing is told as such.

use crate::chat::{Defaults, Sampling};
use crate::error::{ApiError, BackendFault, Code, classify};

#[cfg(test)]
mod tests;

/// The most tokens of an answer where nobody has said how many: OpenAI's own default by its API description. A text without an end
/// of turns is gone on with until the context is full.
pub const MAX_TOKENS: u32 = 16;

/// One text to go on with.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CompletionRequest {
    /// What the model goes on with, as it is; never empty.
    pub prompt: String,
    /// What is to follow the answer.
    pub suffix: Option<String>,
    /// Whether the answer begins with the prompt.
    pub echo: bool,
    /// How tokens are drawn; what is absent is the model's own choice.
    pub sampling: Sampling,
    /// Texts that end the answer.
    pub stop: Vec<String>,
    /// The most tokens of the answer.
    pub max_tokens: Option<u32>,
    /// Whether to give the tokens' probabilities, and of how many alternatives (0 to 5).
    pub logprobs: Option<u8>,
    /// See [`crate::chat::ChatRequest::num_ctx`].
    pub num_ctx: Option<u32>,
    /// See [`crate::chat::ChatRequest::keep_alive`].
    pub keep_alive: Option<i64>,
}

impl CompletionRequest {
    /// Puts what the administrator wants where the request says nothing; of thinking a completion knows nothing.
    pub fn fill(&mut self, defaults: &Defaults) {
        self.sampling = self.sampling.or(defaults.sampling);
        self.max_tokens = self.max_tokens.or(defaults.max_tokens);
        (self.num_ctx, self.keep_alive) = (defaults.num_ctx, defaults.keep_alive);
    }
}

fn no_completions(model: &str, why: &str) -> ApiError {
    let shown: String = model.chars().take(128).collect();
    ApiError::new(
        Code::InvalidValue,
        format!(
            "The model '{shown}' {why}. Ask for it at POST /v1/chat/completions, or for a model of the own engine, of an Ollama, \
             of vLLM or of llama.cpp's server here; GET /v1/models lists the models that there are."
        ),
    )
    .with_param("model")
}

/// What an engine's refusal means where it is the request's doing, and not the engine's: a prompt that is too long for the model, a
/// model that fills nothing in, or an engine without such a route.
#[must_use]
pub fn refusal(fault: &BackendFault, model: &str) -> Option<ApiError> {
    let BackendFault::Answered { status, body, .. } = fault else { return None };
    let error = in_own_words(classify(*status, body));
    match (error.code(), status) {
        (Code::ContextLengthExceeded, _) => Some(error),
        (Code::ModelNotFound, _) => None,
        // Ollama's words, as recorded.
        _ if body.contains("does not support insert") => {
            let why = "This model fills nothing in before a suffix. Ask for one that can (capability insert), or send the \
                       text alone.";
            Some(ApiError::unsupported("suffix", why))
        }
        _ if body.contains("does not support generate") => {
            Some(no_completions(model, "completes no texts, says its engine"))
        }
        (_, 404 | 405 | 501) => Some(no_completions(model, "has an engine that completes no texts")),
        _ => None,
    }
}

/// The error, with the field's name that its client knows: where a chat has messages, a completion has a prompt.
#[must_use]
pub fn in_own_words(error: ApiError) -> ApiError {
    if error.param() == Some("messages") { error.with_param("prompt") } else { error }
}
