//! The program as a value: build, run, drain.
//!
//! Knows every part and joins them. Refuses to know how any of them works. Invariants: every socket is bound before
//! readiness is said, so that a wrong setting fails the start; what fails without making the box useless (HTTP/3, a
//! plain port) is said and left out.

mod admin_socket;
mod away;
mod build;
pub(crate) mod descriptors;
mod error;
mod handed;
pub(crate) mod heap;
mod limits;
mod listeners;
mod moments;
pub(crate) mod named;
mod news;
mod reload;
mod standing;
mod stop;
mod systemd;
pub(crate) mod trial;
mod upkeep;

use std::{
    future::Future,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use ghostllm_edge::{
    drain::Drain,
    freeze,
    workers::{self, Workers},
};
use tokio::time::timeout;

use crate::{
    log,
    pipeline::Pipeline,
    store::{Claim, keys::Show, settings::Kept},
    tasks::{
        alerts::Alerts,
        reload::Changes,
        room::{self, Watching},
        supervisor::{Failure, InVain, Policy, Supervisor},
        usage, watchdog,
    },
};
use admin_socket::AdminSocket;
use build::{engine_wanted, given_pair, listen_names, rules};
pub use error::StartError;
pub use handed::Handed;
use limits::edge_limits;
use listeners::{HTTP3, Listeners, Serving};
use reload::Running;
pub(crate) use standing::{Standing, UNSENT};
use stop::Stop;
use upkeep::Upkeep;

/// How long clients may take to read that their requests are ended.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How long open requests may go on once the program has failed: whoever starts it anew should not wait for them.
const FAILED_GRACE: Duration = Duration::from_secs(1);

/// How long closed HTTP/3 connections may take to say goodbye.
const LAST_PACKETS: Duration = Duration::from_secs(2);

/// Where the program can be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// TLS over TCP.
    pub tls: SocketAddr,
    /// HTTP/3; none where it is off or its port is taken.
    pub quic: Option<SocketAddr>,
    /// Plain HTTP.
    pub plain: Vec<SocketAddr>,
    /// The admin's Unix socket; none where it cannot be had.
    pub admin: Option<PathBuf>,
}

/// A program that is wired and bound, and not serving yet.
pub struct App {
    stop: Stop,
    claim: Claim,
    changes: Changes,
    listeners: Listeners,
    pipeline: Pipeline,
    running: Running,
    upkeep: Upkeep,
    workers: Workers,
    drain: Drain,
    standing: Arc<Standing>,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("addresses", &self.listeners.addresses()).finish_non_exhaustive()
    }
}

/// What is given to an [`App`] from outside.
#[derive(Debug)]
pub struct Given<'a> {
    /// The state directory.
    pub state: &'a Path,
    /// What `ghostctl config set` has kept there, which is part of the configuration.
    pub kept: Kept,
    /// How a first key is shown.
    pub show: Show,
    /// What changes how much is logged, and the thread that writes it.
    pub log: &'a log::Started,
    /// What the service manager has handed down.
    pub handed: Handed,
}

impl App {
    /// Where it will be reached.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.listeners.addresses()
    }

    /// Serves until SIGTERM or SIGINT, then drains; a second signal ends what is open.
    ///
    /// # Errors
    /// When a listener cannot be started, or a task has ended without which the program cannot go on.
    pub async fn run(self) -> Result<(), StartError> {
        let addresses = self.addresses();
        let Self {
            mut stop,
            claim,
            mut changes,
            listeners,
            pipeline,
            mut running,
            mut upkeep,
            workers,
            drain,
            standing,
        } = self;
        tokio::select! {
            biased;
            () = stop.asked() => {
                tracing::info!("asked to stop before it served");
                ended(&running).await;
                return Ok(());
            }
            () = systemd::while_it_goes_on(first_round(&running)) => {}
        }
        upkeep.render();
        let (limits, guard) = (edge_limits(&running.config.limits), upkeep.guard());
        let serving = listeners
            .serve(&pipeline, limits, guard, upkeep.resolver(), workers.seats(), &drain)
            .map_err(|error| StartError::internal("a listener cannot be started", error))?;
        let supervisor = running.supervisor.clone();
        supervise(&serving, &supervisor, &standing, &workers);
        let stopped = tokio::select! {
            biased;
            () = stop.asked() => true,
            answered = watchdog::answers(serving.probe()) => {
                answered.map_err(|error| StartError::internal("nothing is answered", error))?;
                false
            }
        };
        let parts = (&serving, &*standing);
        let failure = if stopped {
            tracing::info!("asked to stop before it served");
            None
        } else {
            announce(&addresses, &upkeep);
            announce_models(&running);
            systemd::ready(&addresses);
            standing.certified(upkeep.left_out(), upkeep.complaint());
            standing.serves();
            spawn_watchers(&running, &pipeline, &standing);
            watch_heat(&running, &serving);
            watch_room(&supervisor, &pipeline, &standing, &drain);
            let kept_up = reload::kept_up(&mut changes, &mut running, &mut upkeep, parts, &drain);
            going_on(&mut stop, &supervisor, kept_up, parts).await
        };
        systemd::stopping(failure.as_ref());
        running.refuse_orders();
        let grace = if failure.is_some() { FAILED_GRACE } else { running.config.limits.drain_grace };
        // As long as the owner allows, which may be longer than the unit does.
        let failure = systemd::while_it_goes_on(async {
            drained(serving, &drain, grace, stop.asked_again()).await;
            // What fails meanwhile has failed as well.
            let failure = failure.or_else(|| supervisor.failure());
            ended(&running).await;
            failure
        })
        .await;
        // With their threads the last requests have ended, and are counted.
        drop(workers);
        usage::written_at_the_end(&running.usage, running.config.usage.days).await;
        running.heat.end().await;
        drop(claim);
        failure.map_or(Ok(()), |failure| Err(StartError::Task(failure)))
    }
}

/// Goes on until it is asked to stop, or a task has ended without which it cannot.
async fn going_on(
    stop: &mut Stop,
    supervisor: &Supervisor,
    kept_up: impl Future<Output = ()>,
    (serving, standing): (&Serving, &Standing),
) -> Option<Failure> {
    let ended = async {
        tokio::select! {
            // So that the tasks are always listed in the same order.
            biased;
            () = stop.asked() => None,
            failure = supervisor.failed() => Some(failure),
            () = supervisor.here("main", kept_up) => None,
            () = watched(serving, standing, supervisor) => None,
        }
    };
    freeze::thread(&workers::name(0), ended).await
}

/// Looks after the threads and the listeners, which the edge has started, and starts HTTP/3's.
fn supervise(serving: &Serving, supervisor: &Supervisor, standing: &Arc<Standing>, workers: &Workers) {
    // The thread that all of this runs on, whose end is the program's.
    supervisor.watch(&workers::name(0), std::future::pending::<Result<(), Failure>>());
    for (name, ended) in workers.ended().chain(serving.ends()) {
        supervisor.watch(&name, ended);
    }
    let Some((name, accept, lost)) = serving.http3() else { return };
    let standing = Arc::clone(standing);
    supervisor.spawn(&name, Policy::Restartable, move || {
        let (accepting, lost, standing) = (accept(), lost.clone(), Arc::clone(&standing));
        async move {
            accepting.await;
            // In vain, to begin again on the same socket: the rest goes on, and whoever asks hears of it.
            if lost() {
                standing.lost(HTTP3, "quic");
                return Err(
                    InVain("its socket has failed: HTTP/3 is away until ghostllm is restarted").into()
                );
            }
            Ok(())
        }
    });
}

/// Starts what runs beside the requests.
fn spawn_watchers(running: &Running, pipeline: &Pipeline, standing: &Arc<Standing>) {
    let rounds = Arc::clone(&running.registry);
    running.supervisor.spawn("backends", Policy::Restartable, move || {
        let rounds = Arc::clone(&rounds);
        async move {
            rounds.run().await;
            Ok(())
        }
    });
    let (expiring, news) = (pipeline.clone(), Arc::clone(&running.registry));
    running.supervisor.spawn("keys", Policy::Restartable, move || {
        let expiring = expiring.clone();
        async move {
            expiring.expire().await;
            Ok(())
        }
    });
    let (ledger, settings) = (running.usage.clone(), running.settings.subscribe());
    let (kept, using) = (Arc::clone(standing), pipeline.clone());
    running.supervisor.spawn("usage", Policy::Restartable, move || {
        let writing = usage::write(ledger.clone(), settings.clone(), Arc::clone(&kept), using.clone());
        async move {
            writing.await;
            Ok(())
        }
    });
    let health = Arc::clone(&running.health);
    running.supervisor.spawn("health", Policy::Restartable, move || {
        let health = Arc::clone(&health);
        async move {
            health.run().await;
            Ok(())
        }
    });
    spawn_alerts(running, pipeline, standing);
    let (journal, standing) = (running.journal.clone(), Arc::clone(standing));
    running.supervisor.spawn("news", Policy::Restartable, move || {
        let (registry, journal, standing) = (Arc::clone(&news), journal.clone(), Arc::clone(&standing));
        async move {
            news::backends_told(&registry, &journal, &standing).await;
            Ok(())
        }
    });
}

/// Tells the webhook what is amiss.
fn spawn_alerts(running: &Running, pipeline: &Pipeline, standing: &Arc<Standing>) {
    let (settings, standing) = (running.settings.subscribe(), Arc::clone(standing));
    let alerts = Arc::new(Alerts::new(pipeline.clone(), settings, standing));
    running.supervisor.spawn("alerts", Policy::Restartable, move || {
        let alerts = Arc::clone(&alerts);
        async move {
            alerts.run().await;
            Ok(())
        }
    });
}

/// Looks after the cards.
fn watch_heat(running: &Running, serving: &Serving) {
    let (heat, pulse) = (Arc::clone(&running.heat), serving.pulse().clone());
    running.supervisor.spawn("heat", Policy::Restartable, move || {
        let (heat, pulse) = (Arc::clone(&heat), pulse.clone());
        async move { heat.run(&pulse).await }
    });
}

/// Looks after memory and descriptors.
fn watch_room(supervisor: &Supervisor, pipeline: &Pipeline, standing: &Arc<Standing>, drain: &Drain) {
    let watching = Watching {
        room: pipeline.room(),
        pipeline: pipeline.clone(),
        standing: Arc::clone(standing),
        idle: drain.idle(),
        drain: drain.watch(),
    };
    supervisor.spawn("room", Policy::Restartable, move || {
        let watching = watching.clone();
        async move {
            room::watch(watching).await;
            Ok(())
        }
    });
}

/// Ends what runs beside the requests.
async fn ended(running: &Running) {
    if let Some(engine) = &running.engine {
        engine.stop().await;
    }
    running.supervisor.stop().await;
}

/// Asks everybody once before readiness. What does not answer in time is heard in a later round.
async fn first_round(running: &Running) {
    let limit = running.config.limits.first_lists;
    let _in_time = timeout(limit, async {
        if let Some(engine) = &running.engine {
            engine.wait_ready(limit).await;
        }
        running.registry.refresh().await;
    })
    .await;
}

/// Tells the service manager that all goes on, as long as it does, where it wants to hear that; never completes.
async fn watched(serving: &Serving, standing: &Standing, supervisor: &Supervisor) {
    let Some(limit) = systemd::watchdog() else { return std::future::pending().await };
    let feeding = watchdog::feed(limit, serving.pulse(), serving.probe(), |late| {
        standing.late(late);
        if late.is_empty() {
            systemd::alive();
        }
    });
    supervisor.here("watchdog", feeding).await;
}

/// Lets open requests end within the grace time, or until it is asked `again`.
async fn drained(serving: Serving, drain: &Drain, grace: Duration, again: impl Future<Output = ()>) {
    let open = drain.open();
    tracing::info!(
        connections = open,
        grace_s = grace.as_secs(),
        "stopping: no new requests, open ones may end"
    );
    drain.begin();
    let cut = tokio::select! {
        finished = drain.finished(grace) => (!finished).then_some("the grace time is over"),
        () = again => Some("asked a second time to stop"),
    };
    if let Some(why) = cut {
        tracing::warn!(connections = drain.open(), "{why}: what is open ends with an error");
        drain.end();
        let _in_time = drain.finished(LAST_WORDS).await;
        serving.close();
    } else {
        tracing::info!("every request has ended");
    }
    let _in_time = timeout(LAST_PACKETS, serving.wait()).await;
}

/// What a person who starts it wants to know.
fn announce(addresses: &Addresses, upkeep: &Upkeep) {
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        tls = %addresses.tls,
        http3 = addresses.quic.is_some(),
        plain = %join(&addresses.plain),
        admin = addresses.admin.as_ref().map(|path| path.display().to_string()),
        "GhostLLM serves"
    );
    match upkeep.fingerprint() {
        Some(print) => tracing::info!(
            sha256 = print,
            "clients must trust this box's CA: the page at https://{}:{}/ says how",
            upkeep.name(),
            addresses.tls.port()
        ),
        None => tracing::info!("clients see the certificate of listen.certificate"),
    }
}

/// Whether a model answers, and what to do where none or only a toy does.
fn announce_models(running: &Running) {
    let snapshot = running.registry.snapshot();
    let files = running.engine.as_ref().and_then(|engine| engine.models.as_deref());
    let files = files.map_or_else(|| "the engine's directory".to_owned(), |path| path.display().to_string());
    let ollama = &running.config.default_ollama;
    if !snapshot.ready() {
        tracing::warn!(
            "no model can answer yet: start Ollama (it is looked for every few seconds), or name a server under \
             [[backends]]"
        );
    } else if snapshot.only_demo() {
        tracing::warn!(
            "the demo model is all there is, a toy that shows the wiring: start Ollama (it is looked for at \
             {ollama}), put a GGUF file into {files}, or name a server under [[backends]]"
        );
    }
}

fn join(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests;
