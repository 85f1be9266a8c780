//! Tells the admin's webhook what becomes amiss and what is over.
//!
//! Knows the causes that the status shows, the clock and how the webhook is asked. Refuses to know which of them is worth telling, which the
//! core decides ([`Ledger`]). Invariants: one request at a time, no oftener than once in [`REST`], ever more seldom while it fails; nothing
//! else waits for it; what could not be told is told later, and the status says so meanwhile.

use std::{path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use ghostllm_core::{
    admin::Cause,
    alerts::{Change, Ledger},
    config::{self, SecretFile, Timeouts, WebhookUrl},
    error::{BackendFault, Stage},
};
use http::Method;
use time::OffsetDateTime;
use tokio::{
    sync::{Mutex, watch},
    time::{Instant, sleep},
};

use crate::{
    app::{Standing, UNSENT},
    backend::{
        SetupError,
        wire::{Ask, Place, Wire, check_key},
    },
    date,
    errand::Errand,
    pipeline::{Pipeline, Settings},
    secrets,
};

/// How often it is looked what is amiss.
const LOOK: Duration = Duration::from_secs(1);
/// What comes together is told together: one request in this time.
const REST: Duration = Duration::from_secs(5);
/// The longest wait after a failure.
const LONGEST: Duration = Duration::from_secs(300);
/// A webhook that takes longer has not taken it.
const PATIENCE: Timeouts = Timeouts {
    connect: Duration::from_secs(5),
    first_byte: Duration::from_secs(10),
    idle: Duration::from_secs(10),
};

/// Who tells.
pub(crate) struct Alerts {
    pipeline: Pipeline,
    settings: watch::Receiver<Arc<Settings>>,
    standing: Arc<Standing>,
    begun: Instant,
    /// What was told outlives a restart of the task, which alone takes it.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// For whom the ledger is kept: another one has heard nothing of it yet.
    of: config::Alerts,
    ledger: Ledger,
    /// The disk that the key is on, or that the system's roots are on, may hang.
    opening: Errand<Wire>,
}

/// The wait before the next request, and how many have failed in a row.
struct Wait {
    until: Instant,
    failed: u32,
}

impl Alerts {
    pub(crate) fn new(
        pipeline: Pipeline,
        settings: watch::Receiver<Arc<Settings>>,
        standing: Arc<Standing>,
    ) -> Self {
        Self { pipeline, settings, standing, begun: Instant::now(), state: Mutex::default() }
    }

    /// Tells, for ever, as the settings say.
    pub(crate) async fn run(&self) {
        let (mut settings, mut state) = (self.settings.clone(), self.state.lock().await);
        let mut wait = Wait::new();
        loop {
            let now = Arc::clone(&settings.borrow_and_update());
            if state.of != now.alerts {
                (state.of, state.ledger, wait) = (now.alerts.clone(), Ledger::default(), Wait::new());
                self.standing.tells(None);
            }
            if !now.alerts.is_on() {
                if settings.changed().await.is_err() {
                    // The program ends, and this with it.
                    return std::future::pending().await;
                }
                continue;
            }
            let change = state.ledger.look(self.begun.elapsed(), &self.causes(), now.alerts.after);
            if let Some(change) = change.filter(|_| wait.is_over()) {
                match self.tell(&mut state, &now, &change).await {
                    Ok(()) => {
                        state.ledger.told(&change);
                        self.well(&mut wait);
                    }
                    Err(why) => self.failed(&mut wait, why),
                }
            }
            tokio::select! {
                Ok(()) = settings.changed() => {}
                () = sleep(LOOK) => {}
            }
        }
    }

    /// What is amiss, but that this could not be told.
    fn causes(&self) -> Vec<Cause> {
        let mut causes = self.pipeline.causes();
        causes.retain(|cause| cause.code != UNSENT);
        causes
    }

    fn well(&self, wait: &mut Wait) {
        self.standing.tells(None);
        if wait.failed > 0 {
            tracing::info!("the webhook of [alerts] is told again what is amiss");
        }
        wait.told();
    }

    fn failed(&self, wait: &mut Wait, why: String) {
        if wait.failed == 0 {
            tracing::warn!("the webhook of [alerts] was not told what is amiss: {why}; it is tried again");
        }
        wait.failed();
        self.standing.tells(Some(why));
    }

    async fn tell(&self, state: &mut State, now: &Arc<Settings>, change: &Change) -> Result<(), String> {
        let alert = change.alert(&self.pipeline.host(), &date::rfc3339(OffsetDateTime::now_utc()));
        let body = serde_json::to_vec(&alert).map_err(|why| why.to_string())?;
        let wire = opened(&mut state.opening, now).await?;
        let (method, accept) = (Method::POST, "*/*");
        let ask = Ask { method, route: "", accept, body: Bytes::from(body), trace: None, slot: None };
        let reply = wire.ask(&ask).await.map_err(|fault| in_words(&fault))?;
        let status = reply.status();
        if status.is_success() { Ok(()) } else { Err(format!("it answered {status}")) }
    }
}

/// The way there, anew each time: a key that was changed is the one that is sent. Nobody waits for its files longer than a connection may take.
async fn opened(opening: &mut Errand<Wire>, now: &Arc<Settings>) -> Result<Wire, String> {
    const LATE: &str = "the files that [alerts] names cannot be read in time: their disk does not answer";
    let settings = Arc::clone(now);
    let opened = opening.run(PATIENCE.connect, move || wire(&settings)).await;
    opened.unwrap_or_else(|| Err(LATE.to_owned()))
}

/// Blocks.
fn wire(now: &Settings) -> Result<Wire, String> {
    let Found { webhook, key } = found(&now.alerts)?;
    let (place, limits) = (Place::Url(webhook.url().clone()), Arc::new(now.limits.clone()));
    let wire = Wire::new(&place, key.as_deref(), PATIENCE, &limits).map_err(|why| of_key(&why))?;
    Ok(wire.under(webhook.path()))
}

/// Why what `[alerts]` names cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("[alerts]: {0}")]
pub struct Unusable(String);

/// Whether what `[alerts]` names can be used. Blocks.
///
/// # Errors
/// Why not.
pub(crate) fn check(alerts: &config::Alerts) -> Result<(), Unusable> {
    if !alerts.is_on() {
        return Ok(());
    }
    let found = found(alerts).map_err(Unusable)?;
    found.key.as_deref().map_or(Ok(()), check_key).map_err(|why| Unusable(of_key(&why)))
}

/// A backend's words for it, with the setting's own name.
fn of_key(why: &SetupError) -> String {
    why.to_string().replace("change key_file", "change webhook_key_file")
}

/// What `[alerts]` names.
struct Found {
    webhook: WebhookUrl,
    key: Option<PathBuf>,
}

/// Finds it. Blocks.
///
/// # Errors
/// In words: a file that cannot be read, or has no address in it; which is not repeated, since it may be a secret. The key is left to whoever
/// sends it.
fn found(alerts: &config::Alerts) -> Result<Found, String> {
    let path = |file: &Option<SecretFile>, setting: &str| {
        let path = file.as_ref().map(|file| secrets::path(file, setting)).transpose();
        path.map_err(|why| why.to_string())
    };
    let key = path(&alerts.webhook_key_file, "alerts.webhook_key_file")?;
    let webhook = match (&alerts.webhook, path(&alerts.webhook_file, "alerts.webhook_file")?) {
        (Some(webhook), _) => webhook.clone(),
        (None, Some(file)) => {
            let text = secrets::read(&file).map_err(|why| {
                let path = file.display();
                format!(
                    "webhook_file: cannot read {path}: {why}; it must be there, and readable by this program"
                )
            })?;
            text.trim()
                .parse()
                .map_err(|why: String| format!("{} has no address that can be used: {why}", file.display()))?
        }
        (None, None) => return Err("there is no address".to_owned()),
    };
    Ok(Found { webhook, key })
}

/// It is no backend.
fn in_words(fault: &BackendFault) -> String {
    match fault {
        BackendFault::Unreachable { detail } => format!("it cannot be reached: {detail}"),
        BackendFault::Timeout { stage: Stage::Connect } => {
            format!("it has not taken a connection within {} s", PATIENCE.connect.as_secs())
        }
        BackendFault::Timeout { .. } => {
            format!("it has not answered within {} s", PATIENCE.first_byte.as_secs())
        }
        BackendFault::Died { detail } => format!("it broke off: {detail}"),
        other => other.to_string(),
    }
}

impl Wait {
    fn new() -> Self {
        Self { until: Instant::now(), failed: 0 }
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }

    fn told(&mut self) {
        (self.until, self.failed) = (Instant::now() + REST, 0);
    }

    /// Twice as long as the last time.
    fn failed(&mut self) {
        let rest = REST.saturating_mul(1 << self.failed.min(10)).min(LONGEST);
        (self.until, self.failed) = (Instant::now() + rest, self.failed.saturating_add(1));
    }
}
