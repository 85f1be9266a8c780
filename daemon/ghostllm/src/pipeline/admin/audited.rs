//! Acts and their lines in the audit log.
//!
//! Invariants: nothing is done whose line cannot be written, but for a key's revocation, which is never put off; and nobody hears
//! that something was done before its line is on the disk.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use ghostllm_core::{
    ApiError,
    admin::{ActResult, AuditEntry},
    error::Code,
    key::{PREFIX, is_id},
    routes::{Admin, Endpoint, Row},
};
use ghostllm_edge::{ResponseBody, workers::spawn};
use http::{Response, StatusCode};
use serde_json::json;
use tokio::{
    sync::{Semaphore, oneshot},
    time::timeout,
};

use super::{acts, blocking, still};
use crate::{
    date,
    pipeline::{Shared, requests::Asked},
    store::audit::{self, Of, Room},
};

/// How long whoever orders a certificate waits for it: on a disk that is well it takes milliseconds.
const RENEWING: Duration = Duration::from_secs(5);

/// What an act was done on and more, for the log.
#[derive(Debug, Default)]
pub(super) struct Noted {
    pub(super) on: Option<String>,
    pub(super) detail: Option<String>,
}

impl Noted {
    /// So many like it before it have no line of their own.
    fn omits(&mut self, others: u32) {
        if others > 0 {
            let detail = self.detail.take().map(|detail| format!("; {detail}")).unwrap_or_default();
            self.detail = Some(format!("and {others} more before it{detail}"));
        }
    }
}

/// Does what the endpoint stands for, and notes it. Whoever leaves meanwhile takes back neither the act nor its line.
pub(super) async fn act(
    shared: &Arc<Shared>,
    endpoint: Admin,
    taken: String,
    asked: Asked,
    order: Bytes,
) -> Result<Response<ResponseBody>, ApiError> {
    still(shared, &asked)?;
    let (done, hear) = oneshot::channel();
    let acting = Arc::clone(shared);
    drop(spawn(async move {
        let _left = done.send(noted(&acting, endpoint, &taken, &asked, &order).await);
    }));
    let heard = match endpoint {
        Admin::RenewCertificate | Admin::RenewAuthority => {
            // Its line says how it ends, however late.
            timeout(RENEWING, hear).await.map_err(|_elapsed| still_going())?
        }
        _ => hear.await,
    };
    // Only a panic sends nothing.
    heard.unwrap_or_else(|_| {
        shared.metrics.panicked();
        Err(ApiError::internal())
    })
}

fn still_going() -> ApiError {
    ApiError::new(
        Code::StillGoing,
        format!(
            "The certificate is not made after {} s: the disk of the box's state is slow or does not answer (dmesg, df -h). The order \
             is still going, and the certificate is in use once it is done, which ghostctl cert show and ghostctl audit tell; the \
             one before it is shown until then.",
            RENEWING.as_secs()
        ),
    )
}

async fn noted(
    shared: &Arc<Shared>,
    endpoint: Admin,
    taken: &str,
    asked: &Asked,
    order: &[u8],
) -> Result<Response<ResponseBody>, ApiError> {
    let mut noted = Noted { on: named(endpoint, taken), detail: None };
    let _room = match endpoint {
        Admin::RevokeKey => None,
        _ => Some(ready(shared, endpoint, asked).await?),
    };
    let outcome = acts::act(shared, endpoint, taken, (asked, order), &mut noted).await;
    let (of, result) = match &outcome {
        Ok(_) => (Of::Done, ActResult::Done),
        Err(error) => {
            noted.detail.get_or_insert_with(|| error.message().to_owned());
            match error.status() {
                StatusCode::FORBIDDEN => (Of::Refused, ActResult::Denied),
                // In vain, which must not push out what was done.
                status if status.is_client_error() => (Of::Refused, ActResult::Failed),
                _ => (Of::Done, ActResult::Failed),
            }
        }
    };
    if of == Of::Refused {
        let Some(omitted) = shared.denials.noted(&who(asked), name(endpoint), IN_VAIN, Instant::now()) else {
            return outcome;
        };
        noted.omits(omitted);
    }
    let written = note(shared, of, entry(name(endpoint), asked, noted, result)).await;
    if !written && endpoint == Admin::RevokeKey && outcome.is_ok() {
        return Err(ApiError::new(
            Code::StateUnwritable,
            "The key is taken no more; but the audit log has no line of it, since that cannot be written: ghostctl status \
             says what to do.",
        ));
    }
    outcome
}

/// Refuses an act that could not be written down. A disk may have become full since the last one, or answer no more.
async fn ready(shared: &Shared, endpoint: Admin, asked: &Asked) -> Result<Room, ApiError> {
    /// Far longer than a disk that is well takes for a block.
    const PATIENCE: Duration = Duration::from_secs(3);
    let (audit, look) = (shared.desk.audit.clone(), Arc::clone(&shared.desk.look));
    let log = audit.clone();
    let looked = timeout(PATIENCE, async {
        let turn = look.acquire_owned().await;
        blocking(shared, move || (audit.ready(), drop(turn)).0).await
    });
    let why = match looked.await {
        Ok(Ok(Ok(room))) => {
            shared.desk.standing.audits(true);
            return Ok(room);
        }
        Ok(Ok(Err(error))) => error.to_string(),
        Ok(Err(panicked)) => return Err(panicked),
        Err(_elapsed) => log.hangs().to_string(),
    };
    shared.desk.standing.audits(false);
    let (who, act) = (who(asked), name(endpoint));
    tracing::warn!(who, act, "an act was not done, since the audit log cannot be written: {why}");
    Err(audit::not_done())
}

/// What the path names, where it can be what belongs there: a caller may have put a whole key in its place.
fn named(endpoint: Admin, taken: &str) -> Option<String> {
    /// No backend needs a longer name.
    const LONGEST: usize = 64;
    let fits = match endpoint {
        Admin::RotateKey | Admin::RevokeKey => is_id(taken),
        Admin::CancelRequest => taken.len() == 32 && taken.bytes().all(|byte| byte.is_ascii_hexdigit()),
        _ => (1..=LONGEST).contains(&taken.len()) && !taken.contains(PREFIX),
    };
    fits.then(|| taken.to_owned())
}

/// Notes that somebody was not allowed something of the admin API. Whoever tries again and again is noted once a minute: the log
/// is bounded, and must not be made to forget.
pub(in crate::pipeline) fn denied(shared: &Arc<Shared>, row: &Row, asked: &Asked, taken: &str) {
    let Endpoint::Admin(endpoint) = row.endpoint else { return };
    let Some(omitted) = shared.denials.noted(&who(asked), name(endpoint), 1, Instant::now()) else { return };
    let mut noted = Noted { on: named(endpoint, taken), detail: None };
    noted.omits(omitted);
    let entry = entry(name(endpoint), asked, noted, ActResult::Denied);
    let audit = shared.desk.audit.clone();
    // Whoever is refused does not wait for the disk, and on one that hangs takes up no thread after the other.
    let Ok(turn) = Arc::clone(&shared.denials.turns).try_acquire_owned() else { return };
    drop(tokio::task::spawn_blocking(move || {
        let written = audit.write(Of::Refused, &entry);
        drop(turn);
        written
    }));
}

/// Says whether it is on the disk.
async fn note(shared: &Shared, of: Of, entry: AuditEntry) -> bool {
    shared
        .desk
        .journal
        .say("audit", json!({"act": entry.act, "on": entry.on, "who": entry.who, "result": entry.result}));
    tracing::info!(who = %entry.who, act = %entry.act, on = entry.on, result = ?entry.result, "an admin's act");
    let audit = shared.desk.audit.clone();
    let written = blocking(shared, move || audit.write(of, &entry)).await;
    if let Ok(Err(error)) = &written {
        // What was done is done, and stands in the line above.
        tracing::error!(%error, "an act could not be written to the audit log");
    }
    let written = matches!(written, Ok(Ok(())));
    shared.desk.standing.audits(written);
    written
}

fn who(asked: &Asked) -> String {
    asked.caller.id.as_deref().unwrap_or(&asked.caller.name).to_owned()
}

fn entry(act: &str, asked: &Asked, noted: Noted, result: ActResult) -> AuditEntry {
    AuditEntry {
        at: date::now(),
        who: who(asked),
        name: asked.caller.name.to_string(),
        from: asked.from.to_string(),
        act: act.to_owned(),
        on: noted.on.map(|on| on.chars().take(MOST).collect()),
        result,
        detail: noted.detail.map(|detail| detail.chars().take(MOST).collect()),
    }
}

/// So many denials wait for the disk at the most.
const DENIALS: usize = 4;

/// So many acts of a caller and a kind that were asked for in vain are noted in a minute: whoever goes on and on must not push out
/// what was denied before.
const IN_VAIN: u32 = 10;

/// What a caller has written is cut to this many characters.
const MOST: usize = 500;

/// What the act is called in the log.
fn name(endpoint: Admin) -> &'static str {
    match endpoint {
        Admin::Status => "status.read",
        Admin::Listeners => "listeners.read",
        Admin::Certificates => "certificates.read",
        Admin::RenewCertificate => "certificates.renew",
        Admin::RenewAuthority => "certificates.new_ca",
        Admin::Backends => "backends.read",
        Admin::TestBackend => "backends.test",
        Admin::Models => "models.read",
        Admin::Requests => "requests.read",
        Admin::Tasks => "tasks.read",
        Admin::Usage => "usage.read",
        Admin::Gpu => "gpu.read",
        Admin::GpuHistory => "gpu.history",
        Admin::CancelRequest => "requests.cancel",
        Admin::Config => "config.read",
        Admin::ChangeConfig => "config.set",
        Admin::CheckConfig => "config.check",
        Admin::Reload => "config.reload",
        Admin::Keys => "keys.read",
        Admin::MakeKey => "keys.create",
        Admin::FirstKey => "keys.first",
        Admin::RotateKey => "keys.rotate",
        Admin::RevokeKey => "keys.revoke",
        Admin::Audit => "audit.read",
        Admin::Backup => "state.backup",
        Admin::Events => "events.read",
        Admin::Routes => "routes.read",
    }
}

/// Who was denied what, or has asked for it in vain, and how often that was noted.
#[derive(Debug)]
pub(in crate::pipeline) struct Denials {
    minutes: Mutex<HashMap<(String, &'static str), Minute>>,
    /// So many are being written at once.
    turns: Arc<Semaphore>,
}

/// A minute of a caller and an act.
#[derive(Debug)]
struct Minute {
    begun: Instant,
    noted: u32,
    omitted: u32,
}

impl Default for Denials {
    fn default() -> Self {
        Self { minutes: Mutex::default(), turns: Arc::new(Semaphore::new(DENIALS)) }
    }
}

impl Denials {
    /// Whether one more is to be noted, of which there are `most` in a minute; if so, how many before it were not. There are as many
    /// as there are keys and acts.
    fn noted(&self, who: &str, act: &'static str, most: u32, now: Instant) -> Option<u32> {
        const MINUTE: Duration = Duration::from_secs(60);
        let mut minutes = self.minutes.lock().unwrap_or_else(PoisonError::into_inner);
        minutes.retain(|_, minute| minute.omitted > 0 || now.duration_since(minute.begun) < MINUTE);
        let minute =
            minutes.entry((who.to_owned(), act)).or_insert(Minute { begun: now, noted: 0, omitted: 0 });
        if now.duration_since(minute.begun) >= MINUTE {
            (minute.begun, minute.noted) = (now, 0);
        }
        if minute.noted >= most {
            minute.omitted += 1;
            return None;
        }
        minute.noted += 1;
        Some(std::mem::take(&mut minute.omitted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_refused_again_and_again_is_noted_a_few_times_a_minute_with_how_often() {
        let (denials, begun) = (Denials::default(), Instant::now());
        let noted = |who, most, seconds| {
            denials.noted(who, "keys.create", most, begun + Duration::from_secs(seconds))
        };
        assert_eq!((noted("a", 1, 0), noted("a", 1, 1), noted("a", 1, 59)), (Some(0), None, None));
        assert_eq!((noted("b", 2, 0), noted("b", 2, 1), noted("b", 2, 2)), (Some(0), Some(0), None));
        assert_eq!((noted("a", 1, 61), noted("a", 1, 62)), (Some(2), None));
        assert_eq!((noted("b", 2, 600), noted("a", 1, 600)), (Some(1), Some(1)));
        assert_eq!(noted("a", 1, 1200), Some(0));
        assert_eq!(denials.minutes.lock().unwrap().len(), 1, "who was not seen for a while is forgotten");
    }
}
