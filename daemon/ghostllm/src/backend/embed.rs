//! Embeddings, asked of each kind of backend.
//!
//! Knows which route each kind has for them. Refuses to know what a client is. Invariant: what
//! is given is what was asked for, one vector for each input and as long as wanted; what an engine refuses for the request's
//! sake is the request's error, and not the engine's.

use std::sync::Arc;

use bytes::Bytes;
use ghostllm_core::{
    chat::{Defaults, Usage},
    config::Limits,
    dialect::{
        ollama::{embed_body, parse_embed},
        openai::{PassedEmbeddings, Vectors, check_embeddings, embeddings_body, parse_embeddings},
    },
    embedding::{check_dimensions, refusal, too_much},
    error::{ApiError, BackendFault},
};
use ghostllm_edge::room::Slot;
use http::Method;

use super::{Backend, ChatError, Kind, Parts, gathers, wire::Ask};
use crate::{apart, trace::Trace};

#[cfg(test)]
mod tests;

const JSON: &str = "application/json";

/// One request for embeddings, as a backend needs it.
#[derive(Debug, Clone)]
pub struct EmbedCall {
    /// The request's body, as the client sent it.
    pub body: Bytes,
    /// What [`ghostllm_core::dialect::openai::inspect_embeddings`] found in that very body.
    pub passed: PassedEmbeddings,
    /// The model's id, as the backend spells it.
    pub model: String,
    /// What is wanted of it.
    pub defaults: Defaults,
    /// What it is followed by.
    pub(crate) trace: Trace,
    /// Its descriptor, where it was promised one.
    pub(crate) slot: Option<Slot>,
}

/// Vectors for the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Embedded {
    /// The JSON body.
    pub body: Bytes,
    /// What the engine counted, or what is estimated where it did not.
    pub usage: Usage,
    /// The value of [`ghostllm_core::dialect::openai::table::IGNORED`]; none where nothing is ignored.
    pub ignored: Option<String>,
}

impl Backend {
    /// Asks for vectors, and gives them once all are there. Dropping the future closes the connection to the engine at once.
    ///
    /// # Errors
    /// The request is wrong for this kind of backend or for its model, or the backend failed.
    pub fn embed(&self, call: EmbedCall) -> impl Future<Output = Result<Embedded, ChatError>> + Send + use<> {
        let parts = Arc::clone(&self.0);
        async move {
            // By the name that it was asked by, which may be all that its caller is to know.
            let (model, dimensions, estimate) =
                (call.passed.model.clone(), call.passed.dimensions, call.passed.estimate);
            let ignored = call.passed.wanted.ignored(parts.kind.behind());
            let answered = match &parts.kind {
                Kind::Ollama => parts.ollama_embed(call).await,
                Kind::OpenAi => parts.openai_embed(call).await,
                Kind::Engine | Kind::Gguf(_) => match call.passed.check_known() {
                    Ok(()) => parts.openai_embed(call).await.map_err(own),
                    Err(error) => Err(ChatError::Request(error)),
                },
            };
            let vectors = answered.map_err(|error| judged(error, &model))?;
            check_dimensions(dimensions, vectors.dimensions).map_err(ChatError::Request)?;
            Ok(Embedded { body: vectors.body, usage: vectors.usage.unwrap_or(estimate), ignored })
        }
    }
}

/// The same error, of our own engine.
fn own(error: ChatError) -> ChatError {
    match error {
        ChatError::Fault(fault) => ChatError::Fault(fault.of_own_engine()),
        ChatError::Request(_) | ChatError::Stopping => error,
    }
}

/// The same error; where it was the request's doing, as its own.
fn judged(error: ChatError, model: &str) -> ChatError {
    match &error {
        ChatError::Fault(BackendFault::TooLong { limit }) => ChatError::Request(too_much(*limit)),
        ChatError::Fault(fault) => refusal(fault, model).map_or(error, ChatError::Request),
        ChatError::Request(_) | ChatError::Stopping => error,
    }
}

type Answered = Result<Vectors, ChatError>;

impl Parts {
    async fn ollama_embed(&self, call: EmbedCall) -> Answered {
        let EmbedCall { body, passed, model, defaults, trace, slot } = call;
        let limits = Arc::clone(&self.limits);
        let translated = apart::read(&body, move |body| translate(body, &model, &defaults, &limits)).await;
        let body = translated.map_err(ChatError::Request)?;
        let ask =
            Ask { method: Method::POST, route: "/api/embed", accept: JSON, body, trace: Some(trace), slot };
        let answer = self.embedded(&ask).await?;
        // For what is written beside it.
        gathers(ask.slot.as_ref(), answer.len())?;
        let vectors = apart::read(&answer, move |answer| {
            let mut embeddings = parse_embed(answer, passed.inputs)?;
            if embeddings.prompt_tokens == 0 {
                // No input is of no token: it has not counted.
                (embeddings.prompt_tokens, embeddings.estimated) = (passed.estimate.prompt_tokens, true);
            }
            Ok::<_, BackendFault>(embeddings_body(&embeddings, &passed.model, passed.encoding))
        });
        Ok(vectors.await?)
    }

    async fn openai_embed(&self, call: EmbedCall) -> Answered {
        // An engine of this language has no field for what is wanted of a loaded model.
        let EmbedCall { body, passed, model, defaults: _, trace, slot } = call;
        // A file is asked for by its path, as for a chat.
        let model = match &self.kind {
            Kind::Gguf(file) => file.to_string_lossy(),
            Kind::Ollama | Kind::OpenAi | Kind::Engine => model.into(),
        };
        let body = passed.with_model(&body, &model);
        let ask = Ask {
            method: Method::POST,
            route: "/v1/embeddings",
            accept: JSON,
            body,
            trace: Some(trace),
            slot,
        };
        let answer = self.embedded(&ask).await?;
        let vectors = apart::read(&answer, move |answer| check_embeddings(answer, &passed)).await?;
        Ok(vectors)
    }

    /// The engine's whole answer.
    async fn embedded(&self, ask: &Ask) -> Result<Bytes, BackendFault> {
        let mut reply = self.wire()?.ask(ask).await?.success(&[JSON]).await?;
        reply.gathered(self.limits.backend_answer.as_usize(), |bytes| gathers(ask.slot.as_ref(), bytes)).await
    }
}

/// Ollama's form of a request.
fn translate(body: &[u8], model: &str, defaults: &Defaults, limits: &Limits) -> Result<Bytes, ApiError> {
    embed_body(&parse_embeddings(body, limits)?, model, defaults)
}
