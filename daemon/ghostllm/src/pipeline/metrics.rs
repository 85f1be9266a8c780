//! What monitoring is answered with.
//!
//! Knows where each part of the program says how it stands. Invariants: what was shown is shown again for a second, whoever asks, so
//! that no number of scrapers costs more than one; it is put together on no thread that serves.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use ghostllm_core::{ApiError, admin::Severity};
use ghostllm_edge::{ResponseBody, Transport, room::Lack, ways::WAYS};
use http::{HeaderMap, Response, header::ACCEPT};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::sync::Mutex;

use super::{Shared, admin::causes, requests::spoken, respond};
use crate::{
    backend::registry::{Known, Snapshot},
    metrics::{BackendNow, CardsNow, Format, Moment, TasksNow, wanted},
    tasks::state::Phase,
};

/// How long it is shown again.
const FRESH: Duration = Duration::from_secs(1);

/// What was shown last in each form, and when. Whoever asks while it is put together waits for that.
#[derive(Debug, Default)]
pub(super) struct Shown([Mutex<Option<(Instant, Bytes)>>; 2]);

impl Shown {
    fn of(&self, format: Format) -> &Mutex<Option<(Instant, Bytes)>> {
        let [prometheus, open_metrics] = &self.0;
        match format {
            Format::Prometheus => prometheus,
            Format::OpenMetrics => open_metrics,
        }
    }

    /// Nothing was shown; what is put together just now is, once more.
    pub(super) fn forget(&self) {
        for shown in &self.0 {
            if let Ok(mut shown) = shown.try_lock() {
                *shown = None;
            }
        }
    }
}

pub(super) async fn answer(shared: &Shared, headers: &HeaderMap) -> Result<Response<ResponseBody>, ApiError> {
    let format = wanted(headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()));
    let mut shown = shared.scraped.of(format).lock().await;
    let bytes = match &*shown {
        Some((at, bytes)) if at.elapsed() < FRESH => bytes.clone(),
        _ => {
            let bytes = made(shared, format).await?;
            *shown = Some((Instant::now(), bytes.clone()));
            bytes
        }
    };
    Ok(respond::metrics(format.content_type(), bytes))
}

async fn made(shared: &Shared, format: Format) -> Result<Bytes, ApiError> {
    let (metrics, now) = (Arc::clone(&shared.metrics), moment(shared));
    let made = tokio::task::spawn_blocking(move || metrics.text(format, now)).await;
    match made {
        Ok(Ok(text)) => Ok(Bytes::from(text)),
        Ok(Err(_)) | Err(_) => {
            tracing::error!("the metrics cannot be put together");
            Err(ApiError::internal())
        }
    }
}

/// How all stands now: looks at what others know already.
fn moment(shared: &Shared) -> Moment {
    let (snapshot, desk) = (shared.registry.snapshot(), &shared.desk);
    let (refused, restart) = desk.standing.configuration();
    let certificate = desk.certificates.borrow().server.clone();
    let moment = |text: Option<String>| OffsetDateTime::parse(&text?, &Rfc3339).ok();
    let certificate = [certificate.begins, certificate.expires].map(moment);
    let since = desk.standing.since();
    Moment {
        ready: !shared.drain.has_begun() && snapshot.ready(),
        causes: graveness(shared, &snapshot),
        connections: connections(shared),
        backends: backends(shared, &snapshot),
        cards: cards(shared),
        checks: checks(shared),
        tasks: tasks(shared),
        certificate: certificate.map(|moment| moment.map(OffsetDateTime::unix_timestamp)),
        reloaded: refused.is_none(),
        restart: !restart.is_empty(),
        panics: shared.metrics.panics(),
        shed: [Lack::Memory, Lack::Descriptors].map(|lack| (lack.name(), shared.room.refused(lack))),
        memory: desk.standing.memory(),
        log_lost: desk.lost.records(),
        events_lost: desk.journal.lost(),
        since: since.unix_timestamp() as f64 + f64::from(since.millisecond()) / 1e3,
        uptime: desk.standing.uptime().as_secs_f64(),
    }
}

/// How much is amiss, by how grave it is.
fn graveness(shared: &Shared, snapshot: &Snapshot) -> Vec<(&'static str, usize)> {
    let causes = causes(shared, snapshot);
    let count = |wanted| causes.iter().filter(|cause| cause.severity == wanted).count();
    [("error", Severity::Error), ("warning", Severity::Warning), ("note", Severity::Note)]
        .map(|(name, severity)| (name, count(severity)))
        .to_vec()
}

fn connections(shared: &Shared) -> Vec<([&'static str; 2], usize)> {
    let listener = |transport| match transport {
        Transport::Tls => "tls",
        Transport::Quic => "quic",
        Transport::Plain => "plain",
        Transport::Unix => "admin",
    };
    let labels = WAYS.map(|(transport, version)| [listener(transport), spoken(version)]);
    labels.into_iter().zip(shared.drain.speaking()).collect()
}

fn backends(shared: &Shared, snapshot: &Snapshot) -> Vec<BackendNow> {
    let mut requests: HashMap<String, usize> = HashMap::new();
    for ((backend, _), count) in shared.requests.by_model() {
        *requests.entry(backend).or_default() += count;
    }
    let now = |known: &Known| {
        let backend = known.backend();
        BackendNow {
            name: backend.name().to_owned(),
            up: known.is_up(),
            models: known.models().len(),
            requests: requests.get(backend.name()).copied().unwrap_or_default(),
            resting: backend.resting(),
        }
    };
    // One that was looked for, and has never been there, is none.
    let is_one = |known: &&Known| !snapshot.found() || known.has_answered();
    snapshot.backends().iter().filter(is_one).map(now).collect()
}

fn cards(shared: &Shared) -> CardsNow {
    let gate = &shared.gate;
    CardsNow {
        seen: shared.desk.heat.now(),
        orders: gate.orders(),
        counts: gate.counts(),
        refused: gate.refused(),
    }
}

fn checks(shared: &Shared) -> Vec<(String, bool)> {
    let all = shared.desk.health.all();
    all.iter().map(|verdict| (verdict.check.name.to_string(), verdict.outcome.is_ok())).collect()
}

fn tasks(shared: &Shared) -> BTreeMap<String, TasksNow> {
    let mut kinds: BTreeMap<String, TasksNow> = BTreeMap::new();
    for task in shared.desk.tasks.states() {
        let kind = task.name.split(' ').next().unwrap_or_default().to_owned();
        let now = kinds.entry(kind).or_default();
        match task.phase {
            Phase::Running if shared.desk.standing.is_late(&task.name) => now.failing += 1,
            Phase::Running => now.running += 1,
            Phase::Waiting => now.failing += 1,
            Phase::Ended => now.failing += usize::from(task.last_error.is_some()),
        }
        now.restarts += task.restarts;
    }
    kinds
}
