//! All backends, and what each has now.
//!
//! Knows which backends there are, asks them for their models for ever, and publishes what it hears. Refuses to
//! know requests. Invariant: a snapshot never changes, its backends and its catalog belong to each other, and a
//! backend that stopped answering keeps the models that it last listed, though not in the public list for ever.

mod snapshot;

use std::{
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use ghostllm_core::{
    config::{self, Config, Limits, NamedModel},
    error::BackendFault,
    routing::Model,
};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, timeout},
};

use snapshot::Moment;
pub use snapshot::{Known, Listed, Odd, Routed, Snapshot};

use super::{Backend, Kind, SetupError};

/// The id of the model that our engine always has.
pub const DEMO_MODEL: &str = "ghostllm-demo";

/// Whose the demo is, for people who read the list.
pub const DEMO_OWNER: &str = "ghostllm: a toy that shows the wiring, no real model; start Ollama or put a GGUF file \
                              into the engine's directory";

/// How soon a backend is asked again after a request has failed on it, and the least time between two rounds.
const SOON: Duration = Duration::from_secs(1);

/// How long new backends are waited for, while the program goes on with those that it had.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often backends are asked, and what becomes of a silent one's models.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// The time between two rounds.
    interval: Duration,
    /// How long the models of a backend that does not answer stay in the list.
    kept: Duration,
}

impl Pace {
    fn of(limits: &Limits) -> Self {
        Self { interval: limits.find_interval, kept: limits.models_kept }
    }

    fn moment(self) -> Moment {
        Moment { now: Instant::now(), kept: self.kept }
    }
}

/// Why a backend cannot be set up, and which.
#[derive(Debug, thiserror::Error)]
#[error("the backend \"{backend}\": {why}")]
pub struct BackendError {
    /// Its name.
    pub backend: String,
    /// Why.
    pub why: SetupError,
}

/// All backends.
pub struct Registry {
    snapshot: watch::Sender<Arc<Snapshot>>,
    pace: Mutex<Pace>,
    nudged: Notify,
    /// Whether the last round ended with a backend that had been there before.
    lost: AtomicBool,
}

impl Registry {
    /// The configured backends or, where there are none, an Ollama at its default address and our own engine.
    /// `engine` is our engine's socket, where one is or will be.
    ///
    /// # Errors
    /// A backend's key cannot be read, or nothing is there to check its certificate against.
    pub fn new(config: &Config, engine: Option<&Path>) -> Result<Self, BackendError> {
        let (snapshot, _) = watch::channel(Arc::new(Snapshot::unknown(Backends::of(config, engine)?)));
        let pace = Mutex::new(Pace::of(&config.limits));
        Ok(Self { snapshot, pace, nudged: Notify::new(), lost: AtomicBool::new(false) })
    }

    /// Takes these instead of those that there were, after those that are new were asked for their models, for `first_lists` at
    /// the most: whoever asks for one of them right afterwards must not hear that nobody knows it. What is as it was stays the very
    /// same, with its connections; what is taken away ends what it has begun. Gives whether anything has changed.
    pub async fn replace(&self, backends: Backends, limits: &Limits) -> bool {
        let (pace, within) = (Pace::of(limits), limits.first_lists.min(PATIENCE));
        *self.pace.lock().unwrap_or_else(PoisonError::into_inner) = pace;
        let there = self.snapshot();
        let backends = backends.reusing(&there);
        let is_new = |backend: &&Backend| !there.backends().iter().any(|known| known.backend().is(backend));
        let new: Vec<_> = backends.list.iter().filter(is_new).cloned().collect();
        let heard = join_all(new.iter().map(|backend| timeout(within, backend.models()))).await;
        let heard: Vec<_> = new.iter().cloned().zip(heard.into_iter().map(Result::ok)).collect();
        let (before, after) = self.publish(|now| now.with(backends, heard, pace.moment()));
        for backend in before.backends().iter().map(Known::backend).filter(|it| after.at(it).is_none()) {
            let (name, place, open) = (backend.name(), backend.place(), backend.retire());
            if open > 0 {
                tracing::info!(
                    backend = name,
                    open,
                    "{name} at {place} was taken away, and ends the requests that it has begun"
                );
            }
        }
        report_change(&before, &after);
        report_names(&before, &after);
        // What did not answer in time is asked again at once.
        self.nudge();
        !new.is_empty() || before.backends().len() != after.backends().len()
    }

    fn pace(&self) -> Pace {
        *self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts what comes of `next` in the place of what is known; gives both.
    fn publish(&self, next: impl FnOnce(&Snapshot) -> Snapshot) -> (Arc<Snapshot>, Arc<Snapshot>) {
        let mut before = self.snapshot();
        self.snapshot.send_modify(|now| {
            let after = Arc::new(next(now));
            before = std::mem::replace(now, after);
        });
        (before, self.snapshot())
    }

    /// What is known now.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot.borrow())
    }

    /// What is known, and each change of it.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshot.subscribe()
    }

    /// Asks for a round soon: a request has failed on a backend.
    pub fn nudge(&self) {
        self.nudged.notify_one();
    }

    /// Asks every backend for its models, all at once, and publishes the answers.
    pub async fn refresh(&self) {
        let all: Vec<_> = self.snapshot().backends().iter().map(|known| known.backend().clone()).collect();
        self.lost.store(self.ask(&all).await, Ordering::Relaxed);
    }

    /// Asks the backend of this name alone; says whether there is one.
    pub async fn refresh_one(&self, name: &str) -> bool {
        let named =
            self.snapshot().backends().iter().map(Known::backend).find(|it| it.name() == name).cloned();
        let Some(named) = named else { return false };
        if self.ask(&[named]).await {
            self.lost.store(true, Ordering::Relaxed);
        }
        true
    }

    /// Asks these for their models, and publishes the answers; whether one is lost that had been there before.
    async fn ask(&self, asked: &[Backend]) -> bool {
        let heard = join_all(asked.iter().map(Backend::models)).await;
        let (pace, heard) = (self.pace(), asked.iter().cloned().zip(heard).collect());
        // Published first, so that whoever reads of it in the log finds it so.
        let (before, after) = self.publish(|now| now.after(heard, pace.moment()));
        let (found, mut lost) = (after.found(), false);
        for (before, after) in before.backends().iter().zip(after.backends()) {
            report(before, after, found);
            if before.is_listed() && !after.is_listed() {
                let (name, kept) = (after.backend().name(), pace.kept);
                tracing::warn!(
                    backend = name,
                    "{name} has not answered for {kept:?}: its models leave the list until it does"
                );
            }
            lost |= !after.is_up() && before.is_up();
        }
        report_names(&before, &after);
        lost
    }

    /// One round and the wait for the next: shorter after a backend was lost or a request failed.
    pub async fn round(&self) {
        self.refresh().await;
        let Pace { interval, .. } = self.pace();
        let least = SOON.min(interval);
        sleep(least).await;
        if !self.lost.load(Ordering::Relaxed) {
            // Elapsed or nudged: either way it is time.
            let _ = timeout(interval.saturating_sub(least), self.nudged.notified()).await;
        }
    }

    /// Rounds for ever.
    pub async fn run(&self) {
        loop {
            self.round().await;
        }
    }
}

/// Those that a configuration names or has looked for, before anybody asks them.
pub struct Backends {
    list: Vec<Backend>,
    /// What the configuration names is missed aloud; what is only looked for is not.
    found: bool,
    /// What the configuration says of models by their names.
    models: Arc<[NamedModel]>,
}

impl Backends {
    /// The configured backends or, where there are none, an Ollama at its default address and our own engine, whose socket is
    /// `engine`. Reads files: the backends' keys, and what their certificates are checked against.
    ///
    /// # Errors
    /// A backend's key cannot be read, or nothing is there to check its certificate against.
    pub fn of(config: &Config, engine: Option<&Path>) -> Result<Self, BackendError> {
        let found = config.backends.is_empty();
        let limits = Arc::new(config.limits.clone());
        let list = if found { looked_for(config, engine, &limits)? } else { named(config, engine, &limits)? };
        Ok(Self { list, found, models: config.models.as_slice().into() })
    }

    /// With those that are there already in the place of their equals.
    fn reusing(mut self, there: &Snapshot) -> Self {
        let known = |new: Backend| match there.at(&new) {
            Some(known) if known.backend().equals(&new) => known.backend().clone(),
            Some(known) => new.counting_with(known.backend()),
            None => new,
        };
        self.list = self.list.into_iter().map(known).collect();
        self
    }
}

fn named(config: &Config, engine: Option<&Path>, limits: &Arc<Limits>) -> Result<Vec<Backend>, BackendError> {
    let made = |backend: &config::Backend| {
        let made = Backend::configured(backend, engine, limits);
        made.map_err(|why| BackendError { backend: backend.name.as_str().to_owned(), why })
    };
    config.backends.iter().map(made).collect()
}

fn looked_for(
    config: &Config,
    engine: Option<&Path>,
    limits: &Arc<Limits>,
) -> Result<Vec<Backend>, BackendError> {
    let of = |backend: &str| {
        let backend = backend.to_owned();
        move |why| BackendError { backend, why }
    };
    let mut backends = vec![Backend::found_ollama(&config.default_ollama, limits).map_err(of("ollama"))?];
    if let Some(socket) = engine {
        backends.push(Backend::engine(socket, limits).map_err(of("engine"))?);
    }
    Ok(backends)
}

/// Says which backends have come and gone with a configuration.
fn report_change(before: &Snapshot, after: &Snapshot) {
    for known in after.backends() {
        match before.at(known.backend()) {
            Some(same) => report(same, known, after.found()),
            None => report(&Known::unknown(known.backend().clone()), known, after.found()),
        }
    }
    for known in before.backends().iter().filter(|known| after.at(known.backend()).is_none()) {
        let (name, place) = (known.backend().name(), known.backend().place());
        tracing::info!(backend = name, "{name} at {place} is asked no more: the configuration has changed");
    }
}

/// Says what is odd about the configuration's names for models, once.
fn report_names(before: &Snapshot, after: &Snapshot) {
    for odd in after.odd().filter(|odd| before.odd().all(|other| other != *odd)) {
        tracing::warn!("{odd}");
    }
}

/// Says what has changed, once, to a person.
fn report(before: &Known, after: &Known, found: bool) {
    let (name, place) = (after.backend().name(), after.backend().place());
    match (before.fault(), after.fault()) {
        (_, None) if !after.is_asked() => {
            tracing::info!(backend = name, "{name} at {place} has not answered yet; it is asked again");
        }
        (_, None) if !before.is_up() => {
            let models = names(after.models());
            tracing::info!(backend = name, "{name} at {place} answers; its models: {models}");
        }
        (None, Some(fault)) if before.is_up() => {
            tracing::warn!(
                backend = name,
                "{name} at {place} does not answer any more: {fault}. It is asked again until it does"
            );
        }
        (None, Some(fault)) if found => {
            tracing::info!(backend = name, "no {name} at {place} yet ({fault}); it is looked for");
        }
        (before, Some(fault)) if before.is_none_or(|before| differs(before, fault)) => {
            tracing::warn!(
                backend = name,
                "{name} at {place} does not answer: {fault}. It is asked again until it does"
            );
        }
        (_, Some(_)) => {}
        (_, None) => report_models(before, after),
    }
}

/// The same fault in other words, such as another port number, is not told again; what is wrong with a file is.
fn differs(before: &BackendFault, now: &BackendFault) -> bool {
    match (before, now) {
        (BackendFault::Unusable { why: before }, BackendFault::Unusable { why: now }) => before != now,
        _ => std::mem::discriminant(before) != std::mem::discriminant(now),
    }
}

fn report_models(before: &Known, after: &Known) {
    let name = after.backend().name();
    let only = |these: &Known, others: &Known| {
        let others = others.models();
        let new = these.models().iter().filter(|model| others.iter().all(|other| other.id != model.id));
        names(&new.cloned().collect::<Vec<_>>())
    };
    let (come, gone) = (only(after, before), only(before, after));
    if come != NONE {
        tracing::info!(backend = name, "{name} has now: {come}");
    }
    if gone != NONE {
        tracing::info!(backend = name, "{name} has no longer: {gone}");
    }
}

const NONE: &str = "none";
/// So many models are named in one line of the log.
const NAMED: usize = 12;

fn names(models: &[Model]) -> String {
    if models.is_empty() {
        return NONE.to_owned();
    }
    let shown: Vec<_> = models.iter().take(NAMED).map(|model| model.id.as_str()).collect();
    let more = models.len().saturating_sub(NAMED);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{rest}", shown.join(", "))
}

/// The demo says what it is, whoever lists it.
fn marked(mut models: Vec<Model>, kind: &Kind) -> Vec<Model> {
    if *kind == Kind::Engine {
        for model in models.iter_mut().filter(|model| model.id == DEMO_MODEL) {
            DEMO_OWNER.clone_into(&mut model.owned_by);
        }
    }
    models
}
