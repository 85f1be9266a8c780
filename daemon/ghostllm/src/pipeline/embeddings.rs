//! One request for embeddings: which backend, and its vectors in one piece.
//!
//! Knows that there is nothing to stream. Refuses to know the vectors. Invariant: what a chat is held to, such a request is held to
//! as well: its caller's models, room for it, its place in the list, its record.

use std::sync::Arc;

use bytes::Bytes;
use ghostllm_core::{ApiError, dialect::openai::inspect_embeddings};
use ghostllm_edge::{ResponseBody, room::Stay};
use http::Response;

use super::{
    Settings, Shared,
    chat::{self, Begun},
    content,
    requests::Asked,
    respond, stream,
};
use crate::{
    apart,
    backend::{EmbedCall, Embedded},
};

pub(super) async fn answer(
    shared: &Shared,
    settings: &Arc<Settings>,
    asked: Asked,
    body: Bytes,
    stay: Stay,
) -> Result<Response<ResponseBody>, ApiError> {
    let reading = Arc::clone(settings);
    let passed = apart::read(&body, move |body| {
        content::check_depth(body, reading.limits.json_depth)?;
        inspect_embeddings(body, &reading.limits)
    })
    .await?;
    let trace = asked.record.trace.clone();
    let begun = chat::begin(shared, asked, &passed.model, stay, |_routed| Ok(()))?;
    let (Begun { mut account, routed, slot, wait }, ()) = begun;
    let call =
        EmbedCall { body, passed, model: routed.model, defaults: routed.defaults, trace, slot: Some(slot) };
    let request = Arc::clone(account.request());
    let turn = chat::its_turn(shared, settings, wait);
    let answering = async {
        turn.await?;
        routed.backend.embed(call).await
    };
    let answered = tokio::select! {
        answered = answering => answered,
        why = stream::ending(shared.drain.clone(), request) => return Err(chat::stopped(why, account)),
    };
    match answered {
        Ok(Embedded { body, usage, ignored }) => {
            account.gathered(usage);
            let mut response = respond::json(body);
            respond::ignored(&mut response, &[ignored.as_deref().unwrap_or_default()]);
            Ok(response)
        }
        Err(error) => Err(chat::fault(shared, error, account)),
    }
}
