//! What there is to see.

use std::{collections::HashMap, sync::Arc};

use ghostllm_core::{
    access::{Role, Scope},
    admin::{
        BackendInfo, BackendList, Cause, Condition, ConfigShown, FORM, KeyList, ListenerList, ModelInfo,
        ModelList, RequestList, RouteInfo, RouteList, Severity, Status, TaskInfo, TaskList, TaskPhase,
        TaskPolicy,
    },
    routes::{Access, TABLE},
};
use time::OffsetDateTime;

use super::{blocking, gpu};
use crate::{
    admin::Configured,
    backend::{
        amiss,
        registry::{Known, Listed, Snapshot},
    },
    date,
    log::OneLine,
    pipeline::Shared,
    tasks::{
        health::{Amiss, Verdict},
        heat,
        state::{Phase, Policy, TaskState},
    },
};

pub(super) async fn status(shared: &Arc<Shared>) -> Status {
    let snapshot = shared.registry.snapshot();
    let standing = &shared.desk.standing;
    // Whoever was told a moment ago that nothing can be written looks here next.
    standing.writes(!shared.desk.state.is_alarmed());
    standing.audits(!shared.desk.audit.is_alarmed());
    standing.keeps_usage(!shared.usage.is_alarmed());
    let causes = causes(shared, &snapshot);
    let condition = if shared.drain.has_begun() {
        Condition::Stopping
    } else if !snapshot.ready() {
        Condition::NoModel
    } else if causes.iter().any(|cause| cause.severity >= Severity::Warning) {
        Condition::Degraded
    } else {
        Condition::Ready
    };
    let backends = snapshot.backends();
    Status {
        version: FORM,
        condition,
        causes,
        host: standing.host(),
        program: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        since: date::rfc3339(standing.since()),
        uptime_s: standing.uptime().as_secs(),
        listeners: standing.listeners(),
        models: snapshot.listed().filter(|listed| !listed.hidden).count(),
        backends: backends.len(),
        backends_up: backends.iter().filter(|known| known.is_up()).count(),
        requests: shared.requests.count(),
        connections: shared.drain.connections(),
        keys: shared.keys.count(),
        certificate_expires: shared.desk.certificates.borrow().server.expires.clone(),
    }
}

/// What is amiss, the worst first.
pub(in crate::pipeline) fn causes(shared: &Shared, snapshot: &Snapshot) -> Vec<Cause> {
    let mut causes = amiss::causes(snapshot);
    causes.extend(shared.desk.standing.causes());
    causes.extend(shared.desk.tasks.states().into_iter().filter_map(task_rests));
    causes.extend(heat::causes(&shared.desk.heat.now()));
    causes.extend(gpu::causes(shared));
    causes.extend(shared.desk.health.all().iter().filter_map(check_fails));
    let now = OffsetDateTime::now_utc();
    if let Some(known) = shared.keys.clock_lost(now) {
        let (shows, known) = (date::rfc3339(now), date::rfc3339(known));
        causes.push(Cause {
            code: "clock_lost".to_owned(),
            severity: Severity::Warning,
            what: format!("the clock shows {shows}, and it is at least {known}, by which keys end until the clock is right"),
            next: "set the clock: timedatectl set-ntp true; where it is right, it once ran ahead: keys that ended then stay shut, so \
                   make new ones (ghostctl keys create)"
                .to_owned(),
        });
    }
    if shared.keys.first_waits() {
        causes.push(Cause {
            code: "first_key_waits".to_owned(),
            severity: Severity::Note,
            what: "the first API key has not been taken yet".to_owned(),
            next: "show it, once: ghostctl keys first".to_owned(),
        });
    }
    causes.sort_by_key(|cause| std::cmp::Reverse(cause.severity));
    causes
}

/// A task that has failed. The engine's is told by its backend.
fn task_rests(TaskState { name, phase, last_error, .. }: TaskState) -> Option<Cause> {
    let why = last_error.filter(|_| phase == Phase::Waiting && name != "engine")?;
    Some(Cause {
        code: "task_rests".to_owned(),
        severity: Severity::Warning,
        what: format!("the background task {name} has failed, and is tried again after a rest: {why}"),
        next: "see what the log has of it: journalctl -u ghostllm; and whether it goes on: ghostctl tasks"
            .to_owned(),
    })
}

/// A check of the admin's own.
fn check_fails(Verdict { check, outcome }: &Verdict) -> Option<Cause> {
    let Amiss { what, next } = outcome.as_ref().err()?;
    Some(Cause {
        code: "health_check".to_owned(),
        severity: Severity::Warning,
        what: format!("the health check {} fails: {what}", check.name),
        next: next.clone(),
    })
}

pub(super) fn listeners(shared: &Shared) -> ListenerList {
    ListenerList { version: FORM, listeners: shared.desk.standing.listeners() }
}

pub(super) fn backends(shared: &Shared) -> BackendList {
    let snapshot = shared.registry.snapshot();
    let mut requests: HashMap<String, usize> = HashMap::new();
    for ((backend, _), count) in shared.requests.by_model() {
        *requests.entry(backend).or_default() += count;
    }
    let info = |known: &Known| BackendInfo {
        name: known.backend().name().to_owned(),
        kind: known.backend().kind().name().to_owned(),
        at: known.backend().place().to_owned(),
        up: known.is_asked().then(|| known.is_up()),
        fault: known.fault().map(ToString::to_string),
        models: known.models().len(),
        requests: requests.get(known.backend().name()).copied().unwrap_or_default(),
    };
    BackendList { version: FORM, backends: snapshot.backends().iter().map(info).collect() }
}

pub(super) fn models(shared: &Shared) -> ModelList {
    let (snapshot, requests) = (shared.registry.snapshot(), shared.requests.by_model());
    let models = snapshot.listed().map(|Listed { id, known, model, alias, hidden, .. }| {
        let place = (known.backend().name().to_owned(), model.id.clone());
        let requests = requests.get(&place).copied().unwrap_or_default();
        let (backend, own) = place;
        let target = alias.then_some(own);
        ModelInfo { id: id.to_owned(), backend, up: known.is_up(), requests, target, hidden }
    });
    ModelList { version: FORM, models: models.collect() }
}

pub(super) fn requests(shared: &Shared) -> RequestList {
    RequestList { version: FORM, requests: shared.requests.list() }
}

pub(super) fn tasks(shared: &Shared) -> TaskList {
    let standing = &shared.desk.standing;
    let info = |task: TaskState| TaskInfo {
        policy: match task.policy {
            Policy::Critical => TaskPolicy::Critical,
            Policy::Restartable => TaskPolicy::Restartable,
        },
        state: match task.phase {
            Phase::Running if standing.is_late(&task.name) => TaskPhase::Hanging,
            Phase::Running => TaskPhase::Running,
            Phase::Waiting => TaskPhase::Waiting,
            Phase::Ended => TaskPhase::Ended,
        },
        restarts: task.restarts,
        last_error: task.last_error.map(|error| OneLine(&error).to_string()),
        name: task.name,
    };
    let tasks = shared.desk.tasks.states().into_iter().map(info).collect();
    TaskList { version: FORM, tasks, request_panics: shared.metrics.panics() }
}

pub(super) fn config(shared: &Shared) -> ConfigShown {
    let shown = Arc::clone(&shared.desk.config.borrow());
    let (refused, restart) = shared.desk.standing.configuration();
    let Configured { toml, pending, files, kept } = Configured::clone(&shown);
    ConfigShown { version: FORM, toml, files, kept, refused, restart, pending }
}

pub(super) async fn keys(shared: &Arc<Shared>) -> KeyList {
    let keys = shared.keys.clone();
    let waits = blocking(shared, move || keys.first_waits_since()).await.ok().flatten();
    KeyList {
        version: FORM,
        keys: shared.keys.list(OffsetDateTime::now_utc()),
        first_waits_since: waits.map(date::rfc3339),
    }
}

pub(super) fn routes() -> RouteList {
    let info = |row: &ghostllm_core::routes::Row| {
        let permission = match row.access {
            Access::Public => None,
            Access::Needs(permission) => Some(permission),
        };
        let may = |permissions: ghostllm_core::access::Permissions| {
            permission.is_none_or(|permission| permissions.has(permission))
        };
        RouteInfo {
            method: row.verb.method().to_string(),
            path: row.path.to_owned(),
            permission,
            roles: Role::ALL.into_iter().filter(|role| may(role.permissions())).collect(),
            scopes: Scope::ALL.into_iter().filter(|scope| may(scope.permissions())).collect(),
        }
    };
    RouteList { version: FORM, routes: TABLE.iter().map(info).collect() }
}
