//! The program as a value: build, run, drain.
//!
//! Knows every part and joins them. Refuses to know how any of them works. Invariants: every socket is bound before
//! readiness is said, so that a wrong setting fails the start; what fails without making the box useless (HTTP/3, a
//! plain port) is said and left out.

mod admin_socket;
pub(crate) mod descriptors;
mod error;
mod limits;
mod listeners;
mod moments;
pub(crate) mod named;
mod reload;
mod standing;
mod stop;
mod systemd;
mod upkeep;

use std::{
    collections::HashMap,
    future::Future,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use ghostllm_core::{
    config::{Config, Exposure, Loaded, Target},
    routes,
};
use ghostllm_edge::{drain::Drain, guard::Rules, tls, workers::Workers};
use time::OffsetDateTime;
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};

use crate::{
    admin::{Configured, Desk, events::Journal},
    backend::registry::Registry,
    certificates::{self, Certificates},
    host::Host,
    log::Level,
    pipeline::{Parts, Pipeline},
    secrets,
    store::{
        Claim, StateDir,
        audit::Audit,
        keys::{self, FirstKey, Keys, Show},
        settings::Kept,
    },
    tasks::{
        engine::EngineTask,
        reload::Changes,
        supervisor::{Policy, Supervisor},
    },
};
use admin_socket::AdminSocket;
pub use admin_socket::Handed;
pub use error::StartError;
use limits::edge_limits;
use listeners::{HTTP3, Listeners, Serving};
use reload::Running;
pub(crate) use standing::Standing;
use stop::Stop;
use upkeep::{CaFiles, Upkeep, say};

/// So many orders of admins wait for their turn.
const ORDERS: usize = 8;

/// How long clients may take to read that their requests are ended.
const LAST_WORDS: Duration = Duration::from_secs(2);

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
    /// What changes how much is logged.
    pub level: Level,
    /// What the service manager has handed down.
    pub handed: Handed,
}

impl App {
    /// Wires everything and binds every socket; `changes` tells when the configuration is to be read anew. Blocks for as long
    /// as files take; call it within the runtime.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn build(loaded: Loaded, mut changes: Changes, given: Given<'_>) -> Result<Self, StartError> {
        // Before anything that takes time: a signal during the start is heard when it is over, and ends the program well.
        let signals = |error| StartError::internal("signals cannot be taken", error);
        let stop = Stop::new().map_err(signals)?;
        changes.take_hangup().map_err(signals)?;
        let kept = given.kept;
        let configured = Configured::new(&loaded, &loaded.config, changes.files(), &kept);
        let config = loaded.config;
        changes.watch(&config);
        tls::install_provider();
        let now = OffsetDateTime::now_utc();
        let (state, claim) = StateDir::claim(given.state)?;
        kept.open(&state, now)?;
        let host = Host::read();
        let pair = given_pair(&config)?;
        let (certificates, said) =
            Certificates::open(CaFiles::open(&state)?, pair, &host, &listen_names(&config), now)?;
        say(&said);
        let admin = AdminSocket::open(given.handed, &config.listen, &state);
        let listeners = Listeners::bind(&config.listen, admin)?;
        let supervisor = Supervisor::new();
        let engine = engine_wanted(&config).then(|| EngineTask::start(&config.engine, &state, &supervisor));
        let socket = engine.as_ref().and_then(|engine| engine.socket.as_deref());
        let registry = Arc::new(Registry::new(&config, socket)?);
        let drain = Drain::default();
        let config = Arc::new(config);
        let addresses = listeners.addresses();
        let upkeep =
            Upkeep::new(state.clone(), certificates, host, &addresses, Arc::clone(&config), &registry);
        let threads = threads(config.limits.threads);
        let workers =
            Workers::start(threads - 1).map_err(|source| StartError::Threads { threads, source })?;
        // Behind all that may fail: the first key is shown once, and a start that ends would take it along.
        let keys = opened_keys(&state, now, given.show)?;
        let audit = moments::tell(&keys, Audit::new(&state), &upkeep.shown().borrow(), now);
        let (settings, seen) = watch::channel(Arc::new(reload::settings(&config, &upkeep)));
        let standing = Standing::new(&addresses, listeners.list(&config.listen), listeners.missing());
        standing.is_called(upkeep.host());
        let standing = Arc::new(standing);
        let (orders, taken) = mpsc::channel(ORDERS);
        let (configured, shown) = watch::channel(Arc::new(configured));
        let journal = Journal::new();
        let desk = Desk {
            state: state.clone(),
            orders,
            config: shown,
            certificates: upkeep.shown(),
            standing: Arc::clone(&standing),
            audit,
            journal: journal.clone(),
        };
        let pipeline = Pipeline::new(Parts {
            guard: Arc::clone(upkeep.guard()),
            keys,
            registry: Arc::clone(&registry),
            settings: seen,
            page: upkeep.page(),
            drain: drain.watch(),
            desk,
        })
        .map_err(|_unspecified| StartError::internal("no random bytes", "the operating system gave none"))?;
        let running = Running {
            config,
            registry,
            settings,
            state,
            engine,
            supervisor,
            level: given.level,
            apart: changes.apart(),
            orders: taken,
            kept,
            configured,
            journal,
        };
        Ok(Self { stop, claim, changes, listeners, pipeline, running, upkeep, workers, drain, standing })
    }

    /// Where it will be reached.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.listeners.addresses()
    }

    /// Serves until SIGTERM or SIGINT, then drains; a second signal ends what is open.
    ///
    /// # Errors
    /// When a listener cannot be started.
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
            () = first_round(&running) => {}
        }
        upkeep.render();
        let serving = listeners
            .serve(
                &pipeline,
                edge_limits(&running.config.limits),
                upkeep.guard(),
                upkeep.resolver(),
                workers.seats(),
                &drain,
            )
            .map_err(|error| StartError::internal("a listener cannot be started", error))?;
        announce(&addresses, &upkeep);
        announce_models(&running);
        systemd::ready(&addresses);
        standing.serves(upkeep.left_out());
        spawn_watchers(&running, &pipeline);
        tokio::select! {
            () = stop.asked() => {}
            () = reload::kept_up(&mut changes, &mut running, &mut upkeep, (&serving, &standing), &drain) => {}
            () = without_http3(&serving, &standing) => {}
        }
        systemd::stopping();
        running.refuse_orders();
        drained(serving, &drain, running.config.limits.drain_grace, stop.asked_again()).await;
        ended(&running).await;
        drop(workers);
        drop(claim);
        Ok(())
    }
}

/// Starts what runs beside the requests.
fn spawn_watchers(running: &Running, pipeline: &Pipeline) {
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
    let journal = running.journal.clone();
    running.supervisor.spawn("news", Policy::Restartable, move || {
        let (registry, journal) = (Arc::clone(&news), journal.clone());
        async move {
            backends_told(&registry, &journal).await;
            Ok(())
        }
    });
}

/// Tells whoever follows the events which backends come and go.
async fn backends_told(registry: &Registry, journal: &Journal) {
    let mut snapshots = registry.watch();
    let mut before: HashMap<String, bool> = HashMap::new();
    loop {
        let snapshot = Arc::clone(&snapshots.borrow_and_update());
        for known in snapshot.backends().iter().filter(|known| known.is_asked()) {
            let (name, up) = (known.backend().name(), known.is_up());
            if before.insert(name.to_owned(), up).is_none_or(|before| before != up) {
                let fault = known.fault().map(ToString::to_string);
                journal.say("backend", serde_json::json!({"name": name, "up": up, "fault": fault}));
            }
        }
        if snapshots.changed().await.is_err() {
            return;
        }
    }
}

/// Ends what runs beside the requests.
async fn ended(running: &Running) {
    if let Some(engine) = &running.engine {
        engine.stop().await;
    }
    running.supervisor.stop().await;
}

/// How many threads serve, at least one. More cost CPU for each request, since each sleeps more and must be woken, and gain
/// nothing: the work is the engine's.
fn threads(wanted: usize) -> usize {
    let automatic = || std::thread::available_parallelism().map_or(1, |cores| cores.get().min(2));
    if wanted == 0 { automatic() } else { wanted }
}

/// Whether our own engine has anything to do: explicit backends turn finding off, the engine's demo included.
fn engine_wanted(config: &Config) -> bool {
    let files = || config.backends.iter().any(|backend| matches!(backend.target, Target::Gguf(_)));
    config.backends.is_empty() || files()
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

/// Says so if HTTP/3 is lost; never completes, since the rest goes on.
async fn without_http3(serving: &Serving, standing: &Standing) {
    serving.http3_lost().await;
    standing.lost(HTTP3, "quic");
    std::future::pending::<()>().await;
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

fn listen_names(config: &Config) -> Vec<String> {
    config.listen.names.iter().map(ToString::to_string).collect()
}

fn given_pair(config: &Config) -> Result<Option<certificates::Given>, StartError> {
    let listen = &config.listen;
    let (Some(certificate), Some(key)) = (&listen.certificate, &listen.key) else { return Ok(None) };
    Ok(Some(certificates::Given { certificate: certificate.clone(), key: secrets::path(key, "listen.key")? }))
}

/// What the guard goes by on this host.
fn rules(config: &Config, host: &Host, given: Option<Vec<String>>) -> Rules {
    let mut names = host.names.clone();
    names.extend(listen_names(config));
    names.extend(given.unwrap_or_default());
    Rules {
        names,
        addresses: host.addresses.clone(),
        origins: config.listen.origins.iter().map(ToString::to_string).collect(),
        pages: routes::pages().map(str::to_owned).collect(),
        slashed: vec![routes::MODEL_PREFIX.to_owned()],
        exposure_everywhere: config.listen.exposure == Exposure::Everywhere,
        on_link: host.on_link.clone(),
    }
}

fn opened_keys(state: &StateDir, now: OffsetDateTime, show: Show) -> Result<Keys, StartError> {
    let opened = Keys::open(state, now, keys::random, show)?;
    tell_first_key(opened.first.as_ref());
    Ok(opened.keys)
}

fn tell_first_key(first: Option<&FirstKey>) {
    use std::io::Write;
    // A file's path is in the log already; a key never is.
    if let Some(FirstKey::Made(key)) = first {
        let _told = writeln!(
            std::io::stderr(),
            "\nThe first API key of this box, shown this once and kept nowhere:\n\n    {}\n",
            key.reveal()
        );
    }
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
