//! What an admin has done.

use std::sync::Arc;

use ghostllm_core::{
    ApiError,
    access::{Grant, Role},
    admin::{Cancelled, ConfigChange, FORM, FirstKey, MadeKey, NewKey, Reloaded, Renewed, Rotation},
    config::Config,
    error::Code,
    key::PREFIX,
    routes::Admin,
};
use ghostllm_edge::ResponseBody;
use http::Response;
use serde_json::json;
use time::OffsetDateTime;

use super::{audited::Noted, backup, blocking, facts, json, nothing, read};
use crate::{
    admin::Order,
    pipeline::{Shared, requests::Asked},
    store::keys::{ChangeError, Made, Wanted},
};

/// For how long a rotated key is taken where nobody asks for another time: whoever has it in a file has a working day.
const OVERLAP_S: u64 = 24 * 3600;

pub(super) type Answer = Result<Response<ResponseBody>, ApiError>;

pub(super) async fn act(
    shared: &Arc<Shared>,
    endpoint: Admin,
    taken: &str,
    (asked, order): (&Asked, &[u8]),
    noted: &mut Noted,
) -> Answer {
    if !matches!(endpoint, Admin::MakeKey | Admin::RotateKey | Admin::Backup | Admin::ChangeConfig) {
        nothing(order)?;
    }
    match endpoint {
        Admin::MakeKey => make(shared, order, noted).await,
        Admin::RotateKey => rotate(shared, taken, order, noted).await,
        Admin::RevokeKey => revoke(shared, taken, noted).await,
        Admin::FirstKey => first(shared, noted).await,
        Admin::CancelRequest => cancel(shared, taken, noted),
        Admin::TestBackend => test(shared, taken).await,
        Admin::Reload => reloaded(&shared.desk.order(Order::Reload).await?),
        Admin::ChangeConfig => change(shared, asked, order, noted).await,
        Admin::RenewCertificate => renew(shared, false).await,
        Admin::RenewAuthority => renew(shared, true).await,
        Admin::Backup => backup::answer(shared, order, noted).await,
        _ => Err(ApiError::internal()),
    }
}

async fn make(shared: &Arc<Shared>, order: &[u8], noted: &mut Noted) -> Answer {
    let NewKey { name, role, scopes, class, models, expires_in_s } = read(order)?;
    let role = role.or(scopes.is_empty().then_some(Role::User));
    let grant = Grant::new(role, scopes)
        .map_err(|_| ApiError::invalid_value("scopes", "left out where there is a role"))?;
    let wanted = Wanted { name, grant, class, models, expires_in_s };
    let keys = shared.keys.clone();
    let made = blocking(shared, move || keys.make(wanted, OffsetDateTime::now_utc())).await?;
    shown(shared, made, "created", noted)
}

async fn rotate(shared: &Arc<Shared>, id: &str, order: &[u8], noted: &mut Noted) -> Answer {
    let rotation: Rotation = if order.is_empty() { Rotation::default() } else { read(order)? };
    let (keys, old) = (shared.keys.clone(), id.to_owned());
    let overlap = rotation.overlap_s.unwrap_or(OVERLAP_S);
    let made = blocking(shared, move || keys.rotate(&old, overlap, OffsetDateTime::now_utc())).await?;
    if made.is_ok() {
        noted.detail = Some(format!("the old one is taken for {overlap} s more"));
    }
    // Without an overlap the old one ends now, and what it has begun with it.
    shared.requests.sweep(&shared.keys, OffsetDateTime::now_utc());
    shown(shared, made, "rotated", noted)
}

/// A new key, shown once.
fn shown(shared: &Shared, made: Result<Made, ChangeError>, what: &str, noted: &mut Noted) -> Answer {
    let Made { key, info } = made.map_err(told)?;
    if noted.on.is_none() {
        noted.on = Some(info.id.clone());
    } else {
        let after = noted.detail.take().map(|detail| format!("; {detail}")).unwrap_or_default();
        noted.detail = Some(format!("{} takes its place{after}", info.id));
    }
    shared.desk.journal.say("key", json!({"id": info.id, "name": info.name, "what": what}));
    json(&MadeKey { version: FORM, id: info.id.clone(), key: key.reveal().to_owned(), info })
}

async fn revoke(shared: &Arc<Shared>, id: &str, noted: &mut Noted) -> Answer {
    let (keys, gone) = (shared.keys.clone(), id.to_owned());
    let revoked = blocking(shared, move || keys.revoke(&gone)).await?;
    // The key is gone already, also where that could not be written; so nothing begins with it behind this.
    shared.requests.sweep(&shared.keys, OffsetDateTime::now_utc());
    let name = revoked.map_err(told)?;
    shared.desk.journal.say("key", json!({"id": id, "name": name, "what": "revoked"}));
    noted.detail = Some(format!("it was called {name}"));
    json(&facts::keys(shared).await)
}

async fn first(shared: &Arc<Shared>, noted: &mut Noted) -> Answer {
    let keys = shared.keys.clone();
    let key = blocking(shared, move || keys.show_first()).await?.map_err(|error| {
        tracing::error!(%error, "the first key cannot be shown");
        error.answer()
    })?;
    let key = key.ok_or_else(|| {
        ApiError::new(
            Code::NotFound,
            "The first key waits no longer: it was shown, used or revoked. Make another one: ghostctl keys create NAME.",
        )
    })?;
    noted.on = Some(key.id().to_owned());
    json(&FirstKey { version: FORM, id: key.id().to_owned(), key: key.reveal().to_owned() })
}

/// A change's failure, whose cause is the log's.
fn told(error: ChangeError) -> ApiError {
    if let ChangeError::State(error) | ChangeError::Closed(error) = &error {
        tracing::error!(%error, "the keys could not be changed");
    }
    error.into()
}

fn cancel(shared: &Shared, id: &str, noted: &mut Noted) -> Answer {
    if let Some(own) = shared.requests.cancel(id) {
        noted.on = Some(own);
        return json(&Cancelled { version: FORM, id: id.to_owned() });
    }
    Err(ApiError::new(
        Code::NotFound,
        "No request of this id is being answered. GET /admin/api/v1/requests lists those that are.",
    ))
}

async fn test(shared: &Shared, name: &str) -> Answer {
    if !shared.registry.refresh_one(name).await {
        return Err(ApiError::new(
            Code::NotFound,
            "No backend has this name. GET /admin/api/v1/backends lists them.",
        ));
    }
    let list = facts::backends(shared);
    let backend = list.backends.into_iter().find(|backend| backend.name == name);
    json(&backend.ok_or_else(ApiError::internal)?)
}

/// A configuration that cannot be used is an answer, not a failure of the route; but whoever only looks at the status must see it.
fn reloaded(reloaded: &Reloaded) -> Answer {
    if let Some(fault) = &reloaded.fault {
        return Err(ApiError::new(
            Code::Conflict,
            format!("The configuration is not in use, the one before it stays: {fault}"),
        ));
    }
    json(reloaded)
}

async fn change(shared: &Shared, asked: &Asked, order: &[u8], noted: &mut Noted) -> Answer {
    let change: ConfigChange = read(order)?;
    let names = || change.set.keys().chain(&change.unset);
    if names().chain(change.set.values()).any(|text| text.contains(PREFIX)) {
        return Err(ApiError::invalid_request(
            "A key stands where a setting belongs; no setting holds a secret.",
        ));
    }
    // With them a stolen key would read the box's files, and run its programs.
    if let Some(name) = names().find(|name| Config::names_file(name)).filter(|_| !asked.is_on_the_box()) {
        return Err(ApiError::forbidden(format!(
            "A setting that names a file is changed over the admin's socket alone: run ghostctl config set {name} on the box."
        )));
    }
    let on_the_box = asked.is_on_the_box();
    noted.on = Some(names().map(String::as_str).collect::<Vec<_>>().join(", "));
    // The log outlives the setting, and is read by those that may not have it.
    let set = change.set.iter().map(|(name, value)| format!("{name} = {}", Config::told(name, value)));
    let set: Vec<String> = set.collect();
    let unset = change.unset.iter().map(|name| format!("{name} unset"));
    let detail = set.into_iter().chain(unset).collect::<Vec<_>>().join("; ");
    // A refused value may be anything, and stands in the refusal.
    noted.detail = Some("not taken".to_owned());
    let reloaded = shared.desk.order(|done| Order::Change { change, on_the_box, done }).await??;
    noted.detail = Some(detail);
    json(&reloaded)
}

async fn renew(shared: &Shared, authority: bool) -> Answer {
    let certificates = shared.desk.order(|done| Order::Renew { authority, done }).await??;
    json(&Renewed { version: FORM, certificates })
}
