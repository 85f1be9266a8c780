//! The admin API: what `/admin/api/v1` answers.
//!
//! Knows the forms and the desk. Refuses to decide who may ask: the row of the table has said so before. Invariant: every act
//! is in the audit log, whether it was done or not, before whoever asked for it hears of it.

mod acts;
mod audited;
mod backup;
mod facts;
mod gpu;
mod usage;

use std::sync::Arc;

use bytes::Bytes;
use ghostllm_core::{
    ApiError,
    admin::{AuditLog, Checked},
    dialect::json::Object,
    error::Code,
    key::PREFIX,
    routes::Admin,
};
use ghostllm_edge::{EndsAtDrain, RequestBody, ResponseBody};
use http::{HeaderMap, HeaderValue, Response, request::Parts};
use http_body_util::BodyExt;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use time::OffsetDateTime;

use super::{
    Settings, Shared, content,
    requests::{Asked, Ending, Source},
    respond,
};
use crate::admin::{Order, events::Follower};
pub(super) use audited::{Denials, denied};
pub(super) use facts::causes;

/// So many audit entries are given where nobody asks for another number.
const ENTRIES: usize = 100;
/// And so many at the most.
const MOST_ENTRIES: usize = 10_000;
/// So many with the same key follow the events over the network: each of them is told of every request.
const FAR_FOLLOWERS: usize = 16;

/// Answers a request that may be answered.
pub(super) async fn answer(
    shared: &Arc<Shared>,
    settings: &Settings,
    endpoint: Admin,
    taken: String,
    asked: Asked,
    head: &Parts,
    body: RequestBody,
) -> Result<Response<ResponseBody>, ApiError> {
    match endpoint {
        Admin::Status => json(&facts::status(shared).await),
        Admin::Listeners => json(&facts::listeners(shared)),
        Admin::Certificates => json(&**shared.desk.certificates.borrow()),
        Admin::Backends => json(&facts::backends(shared)),
        Admin::Models => json(&facts::models(shared)),
        Admin::Requests => json(&facts::requests(shared)),
        Admin::Tasks => json(&facts::tasks(shared)),
        Admin::Usage => json(&usage::answer(shared, head.uri.query()).await?),
        Admin::Gpu => json(&gpu::report(shared).await?),
        Admin::GpuHistory => json(&gpu::history(shared, head.uri.query())?),
        Admin::Config => json(&facts::config(shared)),
        Admin::Keys => json(&facts::keys(shared).await),
        Admin::Audit => json(&audit(shared, head).await?),
        Admin::Routes => json(&facts::routes()),
        Admin::Events => events(shared, settings, asked, &head.headers),
        Admin::CheckConfig => {
            nothing(&content(&head.headers, body, settings).await?)?;
            still(shared, &asked)?;
            json::<Checked>(&shared.desk.order(Order::Check).await?)
        }
        Admin::Backup => {
            let order = Bytes::copy_from_slice(head.uri.query().unwrap_or_default().as_bytes());
            audited::act(shared, endpoint, taken, asked, order).await
        }
        Admin::TestBackend
        | Admin::CancelRequest
        | Admin::Reload
        | Admin::ChangeConfig
        | Admin::RenewCertificate
        | Admin::RenewAuthority
        | Admin::MakeKey
        | Admin::FirstKey
        | Admin::RotateKey
        | Admin::RevokeKey => {
            let order = content(&head.headers, body, settings).await?;
            asked.record.read(order.len());
            audited::act(shared, endpoint, taken, asked, order).await
        }
    }
}

/// Refuses whoever's key was taken away while the order came in.
fn still(shared: &Shared, asked: &Asked) -> Result<(), ApiError> {
    let lost = shared.keys.lost(&asked.caller, OffsetDateTime::now_utc());
    lost.map_or(Ok(()), |lost| Err(Ending::from(lost).into()))
}

/// An answer in JSON.
fn json<T: Serialize>(answer: &T) -> Result<Response<ResponseBody>, ApiError> {
    let bytes = serde_json::to_vec(answer).map_err(|_| ApiError::internal())?;
    Ok(respond::json(Bytes::from(bytes)))
}

/// An order's body; most need none.
async fn content(headers: &HeaderMap, body: RequestBody, settings: &Settings) -> Result<Bytes, ApiError> {
    if http_body::Body::is_end_stream(&body) {
        return Ok(Bytes::new());
    }
    content::read(headers, body, &settings.limits).await
}

/// Reads an order, which is an object.
fn read<T: DeserializeOwned>(order: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(order).map(|Object(order)| order).map_err(|error| {
        if error.is_data() {
            // It repeats what it has read, and that may be a key in the wrong place.
            let text = error.to_string();
            let what = if text.contains(PREFIX) { "a key stands where none belongs" } else { text.as_str() };
            return ApiError::invalid_request(format!(
                "The order is not of the form that this route takes: {what}."
            ));
        }
        ApiError::invalid_json("it cannot be read", error.line(), error.column())
    })
}

/// What an order is that says nothing more than its route does.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// Refuses an order that says something: it would not be heard.
fn nothing(order: &[u8]) -> Result<(), ApiError> {
    if order.is_empty() { Ok(()) } else { read(order).map(|Nothing {}| ()) }
}

async fn audit(shared: &Arc<Shared>, head: &Parts) -> Result<AuditLog, ApiError> {
    let most = match head.uri.query().and_then(|query| query.strip_prefix("last=")) {
        None => ENTRIES,
        Some(text) => {
            text.parse().ok().filter(|number| (1..=MOST_ENTRIES).contains(number)).ok_or_else(|| {
                ApiError::invalid_value("last", &format!("a number from 1 to {MOST_ENTRIES}"))
            })?
        }
    };
    let audit = shared.desk.audit.clone();
    blocking(shared, move || audit.read(most)).await?.map_err(|error| {
        tracing::error!(%error, "the audit log cannot be read");
        error.answer()
    })
}

fn events(
    shared: &Arc<Shared>,
    settings: &Settings,
    asked: Asked,
    headers: &HeaderMap,
) -> Result<Response<ResponseBody>, ApiError> {
    let follower = follower(shared, settings, &asked)?;
    let caller = asked.caller;
    let last = headers.get("last-event-id").and_then(|value: &HeaderValue| value.to_str().ok());
    let permissions = caller.permissions;
    let keys = shared.keys.clone();
    let over = Box::new(move || keys.lost(&caller, OffsetDateTime::now_utc()).is_some());
    let events = shared.desk.journal.follow(last, permissions, over, shared.drain.clone(), follower);
    let mut response = respond::events(events.boxed_unsync());
    // Also one whose reader takes nothing.
    response.extensions_mut().insert(EndsAtDrain);
    Ok(response)
}

/// A place among those who follow the events. At the admin's socket they leave half of the connections to whoever asks and repairs.
fn follower(shared: &Shared, settings: &Settings, asked: &Asked) -> Result<Follower, ApiError> {
    let (who, most, then) = match &asked.caller.id {
        Some(id) if asked.from != Source::Socket => (
            &**id,
            FAR_FOLLOWERS,
            "End one of them (ghostctl events, or a page that shows them), or follow with another key.",
        ),
        _ => (
            "",
            (settings.limits.admin_connections / 2).max(1),
            "End one of them (ghostctl events), or raise limits.admin_connections, of which half are for events.",
        ),
    };
    shared.desk.followers.enter(who, most).ok_or_else(|| {
        let why =
            format!("{most} others like this follow the events already, which is as many as may. {then}");
        ApiError::new(Code::QueueFull, why).with_retry_after(5)
    })
}

/// Runs what waits for a disk where it holds up nobody.
async fn blocking<T: Send + 'static>(
    shared: &Shared,
    run: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(run).await.map_err(|_panicked| {
        shared.metrics.panicked();
        // Its words are left out, as everywhere: they may repeat what was asked for.
        tracing::error!("an admin's request has panicked");
        ApiError::internal()
    })
}
