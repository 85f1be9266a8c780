//! Acts and their lines in the audit log.
//!
//! Invariant: nobody hears that something was done before its line is on the disk.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use ghostllm_core::{
    ApiError,
    admin::{ActResult, AuditEntry},
    routes::{Admin, Endpoint, Row},
};
use ghostllm_edge::ResponseBody;
use http::Response;
use serde_json::json;

use super::{acts, blocking};
use crate::{
    date,
    pipeline::{Shared, requests::Asked},
};

/// What an act was done on and more, for the log.
#[derive(Debug, Default)]
pub(super) struct Noted {
    pub(super) on: Option<String>,
    pub(super) detail: Option<String>,
}

/// Does what the endpoint stands for, and notes it.
pub(super) async fn act(
    shared: &Arc<Shared>,
    endpoint: Admin,
    taken: &str,
    asked: &Asked,
    order: &[u8],
) -> Result<Response<ResponseBody>, ApiError> {
    let mut noted = Noted { on: Some(taken.to_owned()).filter(|on| !on.is_empty()), detail: None };
    let outcome = acts::act(shared, endpoint, taken, order, &mut noted).await;
    let result = match &outcome {
        Ok(_) => ActResult::Done,
        Err(error) => {
            noted.detail.get_or_insert_with(|| error.message().to_owned());
            ActResult::Failed
        }
    };
    note(shared, entry(name(endpoint), asked, noted, result)).await;
    outcome
}

/// Notes that somebody was not allowed something of the admin API. Whoever tries again and again is noted once a minute: the log
/// is bounded, and must not be made to forget.
pub(in crate::pipeline) fn denied(shared: &Arc<Shared>, row: &Row, asked: &Asked, taken: &str) {
    let Endpoint::Admin(endpoint) = row.endpoint else { return };
    let who = who(asked);
    if !shared.denials.is_first(&who, Instant::now()) {
        return;
    }
    let noted = Noted { on: Some(taken.to_owned()).filter(|on| !on.is_empty()), detail: None };
    let entry = entry(name(endpoint), asked, noted, ActResult::Denied);
    let audit = shared.desk.audit.clone();
    // Whoever is refused does not wait for the disk.
    drop(tokio::task::spawn_blocking(move || audit.write(&entry)));
}

async fn note(shared: &Shared, entry: AuditEntry) {
    shared
        .desk
        .journal
        .say("audit", json!({"act": entry.act, "on": entry.on, "who": entry.who, "result": entry.result}));
    tracing::info!(who = %entry.who, act = %entry.act, on = entry.on, result = ?entry.result, "an admin's act");
    let audit = shared.desk.audit.clone();
    // A failure raises the state's alert, and what was done is done.
    if let Ok(Err(error)) = blocking(move || audit.write(&entry)).await {
        tracing::error!(%error, "an act could not be written to the audit log");
    }
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
        Admin::CancelRequest => "requests.cancel",
        Admin::Config => "config.read",
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

/// Who was denied something, and when that was noted.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct Denials(Mutex<HashMap<String, Instant>>);

impl Denials {
    /// Whether nothing was noted of them for a minute. There are as many as there are keys, and one more.
    fn is_first(&self, who: &str, now: Instant) -> bool {
        const REST: Duration = Duration::from_secs(60);
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        noted.retain(|_, at| now.duration_since(*at) < REST);
        let first = !noted.contains_key(who);
        if first {
            noted.insert(who.to_owned(), now);
        }
        first
    }
}
