//! One chat: which backend, and what the client gets until it answers.
//!
//! Invariant: a status is sent only once it is known, or once the wait for it is over.

use std::{
    fmt::Display,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use ghostllm_core::{ApiError, dialect::openai::passthrough, error::RETRY_AFTER_DOWN};
use ghostllm_edge::{
    ResponseBody,
    room::{Slot, Stay},
};
use http::Response;
use http_body_util::BodyExt;
use time::OffsetDateTime;
use tokio::time::timeout;

use super::{
    Settings, Shared,
    account::Account,
    content, models,
    requests::{Asked, Ending},
    respond,
    stream::{self, Events, Stopped},
};
use crate::{
    apart,
    backend::{
        Answer, ChatCall, ChatError,
        registry::{Routed, Snapshot},
    },
    store::keys::Caller,
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
        passthrough::inspect(body, &reading.limits)
    })
    .await?;
    let (id, trace) = (asked.record.id, asked.record.trace.clone());
    let Begun { account, routed, slot } = begin(shared, asked, &passed.model, stay)?;
    let streamed = passed.stream;
    let Routed { backend, model, defaults, .. } = routed;
    let id = format!("chatcmpl-{id}");
    let call = ChatCall { body, passed, model, defaults, id, created: now(), trace, slot: Some(slot) };
    let keep_alive = call.keep_alive(settings.limits.keep_alive_style);
    let answering = Box::pin(backend.chat(call));
    if streamed {
        stream(shared, settings, answering, account, keep_alive).await
    } else {
        let request = Arc::clone(account.request());
        let answered = tokio::select! {
            answered = answering => answered,
            why = stream::ending(shared.drain.clone(), request) => return Err(stopped(why, account)),
        };
        whole(shared, answered, account)
    }
}

/// A request that an engine is about to be asked for: it is in the list.
pub(super) struct Begun {
    pub(super) account: Account,
    pub(super) routed: Routed,
    pub(super) slot: Slot,
}

/// Finds the backend of a model that this caller may use, and opens the request's account.
pub(super) fn begin(shared: &Shared, asked: Asked, model: &str, stay: Stay) -> Result<Begun, ApiError> {
    let record = Arc::clone(&asked.record);
    record.model(model);
    let (routed, listed) = route(shared, &asked.caller, model)?;
    record.listed(listed);
    if routed.alias {
        record.target(&routed.model);
    }
    let lease = routed.backend.lease();
    let slot = stay.slot();
    let place = shared.requests.begin(asked, model, &routed.model, lease);
    let account = Account::open(place, record, stay);
    // Whoever revokes a key takes it away first and then looks at the list; here it is the other way round.
    if let Some(lost) = shared.keys.lost(&account.request().caller, OffsetDateTime::now_utc()) {
        return Err(stopped(Ending::from(lost).into(), account));
    }
    Ok(Begun { account, routed, slot })
}

/// Where it goes, and whether there is known to be such a model.
fn route(shared: &Shared, caller: &Caller, model: &str) -> Result<(Routed, bool), ApiError> {
    let snapshot = shared.registry.snapshot();
    let mine = |routed: &Routed| models::may_ask(caller, &snapshot, model, routed);
    let routed =
        snapshot.route(model).filter(mine).ok_or_else(|| models::refused(caller, &snapshot, model))?;
    Ok((routed, snapshot.lists(model)))
}

/// What a client hears of a name that no backend is known to have.
pub(super) fn unrouted(snapshot: &Snapshot, model: &str) -> ApiError {
    if let Some(fault) = snapshot.unusable(model) {
        return fault.clone().into();
    }
    if snapshot.is_doubtful() {
        return ApiError::backend_unavailable(
            "No backend that has this model answers now; try again shortly.",
            RETRY_AFTER_DOWN,
        );
    }
    match snapshot.target(model) {
        None => ApiError::model_not_found(model),
        Some(target) => ApiError::target_not_found(model, target),
    }
}

fn whole(
    shared: &Shared,
    answered: Result<Answer, ChatError>,
    mut account: Account,
) -> Result<Response<ResponseBody>, ApiError> {
    match answered {
        Ok(Answer::Whole(bytes, usage)) => {
            account.gathered(usage);
            Ok(respond::json(bytes))
        }
        Ok(Answer::Stream(_)) => Err(failed(
            &"a backend streamed an answer that was asked for whole",
            ApiError::internal(),
            account,
        )),
        Err(error) => Err(fault(shared, error, account)),
    }
}

/// Waits for the engine's first event, so that a failure still has a real status; then the stream begins anyway.
async fn stream<F>(
    shared: &Shared,
    settings: &Settings,
    mut answering: std::pin::Pin<Box<F>>,
    account: Account,
    keep_alive: Bytes,
) -> Result<Response<ResponseBody>, ApiError>
where
    F: Future<Output = Result<Answer, ChatError>> + Send + 'static,
{
    let request = Arc::clone(account.request());
    let answered = tokio::select! {
        answered = timeout(settings.limits.header_wait, answering.as_mut()) => answered,
        why = stream::ending(shared.drain.clone(), request) => return Err(stopped(why, account)),
    };
    let every = settings.limits.sse_keep_alive;
    let events = match answered {
        Ok(Ok(Answer::Stream(chunks))) => Events::of(chunks, account, (keep_alive, every), shared),
        Ok(Ok(whole @ Answer::Whole(..))) => return self::whole(shared, Ok(whole), account),
        Ok(Err(error)) => return Err(fault(shared, error, account)),
        Err(_elapsed) => Events::awaited(answering, account, (keep_alive, every), shared),
    };
    Ok(respond::events(events.boxed_unsync()))
}

/// The engine has failed.
pub(super) fn fault(shared: &Shared, error: ChatError, account: Account) -> ApiError {
    stream::blame(&shared.registry, &shared.room, &error);
    let cause = error.to_string();
    let shown = account.in_its_words(error.into());
    failed(&cause, shown, account)
}

fn failed(cause: &dyn Display, shown: ApiError, mut account: Account) -> ApiError {
    account.failed(cause, &shown, None);
    shown
}

/// Somebody has ended it.
pub(super) fn stopped(why: Stopped, mut account: Account) -> ApiError {
    account.failed(&why.cause, &why.shown, Some(why.by));
    why.shown
}

/// Unix seconds; a clock before 1970 counts as 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
