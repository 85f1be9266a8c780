//! Completions, asked of each kind of backend.
//!
//! Knows that engines of OpenAI's language are asked as for a chat, at another route, and Ollama natively. Refuses to know what a client
//! is. Invariant: what an engine refuses for the request's sake is the request's error, and not the engine's.

use std::sync::Arc;

use bytes::Bytes;
use ghostllm_core::{
    ApiError,
    completion::refusal,
    dialect::{
        ollama::{ChatDecoder, generate_body},
        openai::parse_completion,
    },
};
use http::Method;

use super::{Answer, Asked, ChatCall, ChatError, Parts, answer::Reader, wire::Ask};
use crate::apart;

/// The model that is to go on with a text, by the name that it was asked by; none for a chat.
pub(super) fn completed(call: &ChatCall) -> Option<String> {
    match &call.asked {
        Asked::AsSent { passed, .. } if passed.completes() => Some(passed.model.clone()),
        Asked::AsSent { .. } | Asked::Read { .. } => None,
    }
}

/// The same error; where it was the request's doing, as its own.
pub(super) fn judged(error: ChatError, model: &str) -> ChatError {
    match &error {
        ChatError::Fault(fault) => refusal(fault, model).map_or(error, ChatError::Request),
        ChatError::Request(_) | ChatError::Stopping => error,
    }
}

impl Parts {
    /// Asks an Ollama to go on with this request's one text.
    pub(super) async fn ollama_complete(&self, body: Bytes, call: &ChatCall) -> Result<Answer, ChatError> {
        let (limits, model, defaults) = (Arc::clone(&self.limits), call.model.clone(), call.defaults);
        let translate = move |body: &Bytes| {
            let mut request = parse_completion(body, &limits)?;
            request.fill(&defaults);
            let native = generate_body(&request, &model);
            Ok::<_, ApiError>((native, request.echo.then_some(request.prompt), request.logprobs))
        };
        let (body, echo, odds) = apart::read(&body, translate).await.map_err(ChatError::Request)?;
        let wish = self.ollama_wish(odds).await.map_err(ChatError::Request)?;
        let (method, accept, trace) = (Method::POST, "application/x-ndjson", Some(call.trace.clone()));
        let ask = Ask { method, route: "/api/generate", accept, body, trace, slot: call.slot.clone() };
        let reply = self.wire()?.ask(&ask).await?;
        let reply = reply.success(&["application/x-ndjson", "application/json"]).await?;
        let lines = ChatDecoder::completing(echo, self.limits.backend_line.as_usize());
        Ok(self.rendered(reply, (Reader::Ollama(lines), wish), call).await?)
    }
}
