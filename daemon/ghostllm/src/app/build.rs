//! The program's parts, wired.
//!
//! Knows the order in which they are made: what may fail comes before what cannot be made twice. Refuses to serve.

use std::{path::Path, sync::Arc};

use ghostllm_core::{
    config::{Config, Exposure, Loaded, Target},
    routes,
};
use ghostllm_edge::{drain::Drain, guard::Rules, quic, room, tls, workers::Workers};
use time::OffsetDateTime;
use tokio::sync::{Semaphore, mpsc, watch};

use super::{
    AdminSocket, App, Given, StartError,
    listeners::Listeners,
    moments,
    reload::{self, Running},
    standing::Standing,
    stop::Stop,
    systemd,
    upkeep::{CaFiles, Records, Upkeep, say},
};
use crate::{
    admin::{
        Configured, Desk,
        events::{Followers, Journal},
    },
    backend::registry::Registry,
    certificates::{self, Certificates},
    gate::Gate,
    host::Host,
    pipeline::{Parts, Pipeline, Settings},
    secrets,
    store::{
        StateDir,
        audit::Audit,
        flight::Room,
        keys::{self, FirstKey, Keys, Opened, Show},
        quic_key,
        usage::Ledger,
    },
    tasks::{
        alerts,
        engine::EngineTask,
        health::Health,
        heat::{self, Heat},
        reload::Changes,
        supervisor::Supervisor,
    },
};

/// So many orders of admins wait for their turn.
const ORDERS: usize = 8;

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
        let (kept, mut handed) = (given.kept, given.handed);
        let configured = Configured::new(&loaded, &loaded.config, changes.files(), &kept);
        let config = Arc::new(loaded.config);
        changes.watch(&config);
        tls::install_provider();
        let now = OffsetDateTime::now_utc();
        let (state, claim) = StateDir::claim(given.state)?;
        kept.open(&state, now)?;
        // Each step that has waited for a disk is told: a slow one is no reason to be killed.
        systemd::goes_on();
        let host = Host::read();
        let certificates = opened_certificates(&config, &state, &host)?;
        systemd::goes_on();
        let admin = AdminSocket::open(&mut handed, &config.listen, &state);
        let listeners = Listeners::bind(&config.listen, admin, &mut handed, quic_keys(&state)?);
        // Also where a port is taken: by whom, is most often among these.
        handed.tell_unused();
        let listeners = listeners?;
        let supervisor = Supervisor::new();
        supervisor.adopt(given.log.task());
        let engine = engine_wanted(&config).then(|| EngineTask::start(&config.engine, &state, &supervisor));
        let socket = engine.as_ref().and_then(|engine| engine.socket.as_deref());
        let registry = named(&config, socket)?;
        let (drain, journal) = (Drain::default(), Journal::new());
        let records = Records { state: state.clone(), audit: Audit::new(&state), journal: journal.clone() };
        let addresses = listeners.addresses();
        let mut upkeep = Upkeep::new(records, certificates, host, &addresses, Arc::clone(&config), &registry);
        let workers = workers(&config)?;
        // Behind all that may fail: the first key is shown once, and a start that ends would take it along.
        let (keys, usage) = opened_keys(&state, upkeep.audit(), now, given.show)?;
        systemd::goes_on();
        let (settings, seen) = watch::channel(Arc::new(reload::settings(&config, &upkeep)));
        let (orders, taken) = mpsc::channel(ORDERS);
        let (configured, shown) = watch::channel(Arc::new(configured));
        let (health, heat, gate) = watchers(&config, &registry, &seen, &state);
        let standing = standing(&listeners, &config, &mut upkeep);
        let desk = Desk {
            state: state.clone(),
            orders,
            config: shown,
            certificates: upkeep.shown(),
            standing: Arc::clone(&standing),
            audit: upkeep.audit().clone(),
            look: Arc::new(Semaphore::new(1)),
            followers: Followers::default(),
            journal: journal.clone(),
            lost: given.log.lost(),
            tasks: supervisor.list(),
            health: health.verdicts(),
            heat: heat.known(),
        };
        let pipeline = pipeline(&upkeep, (keys, usage.clone(), gate), &registry, seen, &drain, desk)?;
        let running = Running {
            config,
            registry,
            settings,
            state,
            engine,
            supervisor,
            level: given.log.level(),
            apart: changes.apart(),
            orders: taken,
            kept,
            configured,
            journal,
            health,
            heat,
            usage,
        };
        Ok(Self { stop, claim, changes, listeners, pipeline, running, upkeep, workers, drain, standing })
    }
}

/// What outlives the daemon of its HTTP/3 connections.
fn quic_keys(state: &StateDir) -> Result<quic::Keys, StartError> {
    let random = |error| StartError::internal("HTTP/3 has no keys", error);
    let secret = quic_key::open(state).map_err(random)?;
    quic::Keys::new(&secret).map_err(random)
}

/// How many threads serve, at least one. More cost CPU for each request, since each sleeps more and must be woken, and gain
/// nothing: the work is the engine's.
pub(super) fn threads(wanted: usize) -> usize {
    let automatic = || std::thread::available_parallelism().map_or(1, |cores| cores.get().min(2));
    if wanted == 0 { automatic() } else { wanted }
}

/// Whether our own engine has anything to do: explicit backends turn finding off, the engine's demo included.
pub(super) fn engine_wanted(config: &Config) -> bool {
    let files = || config.backends.iter().any(|backend| matches!(backend.target, Target::Gguf(_)));
    config.backends.is_empty() || files()
}

pub(super) fn listen_names(config: &Config) -> Vec<String> {
    config.listen.names.iter().map(ToString::to_string).collect()
}

pub(super) fn given_pair(config: &Config) -> Result<Option<certificates::Given>, StartError> {
    let listen = &config.listen;
    let (Some(certificate), Some(key)) = (&listen.certificate, &listen.key) else { return Ok(None) };
    Ok(Some(certificates::Given { certificate: certificate.clone(), key: secrets::path(key, "listen.key")? }))
}

/// What the guard goes by on this host.
pub(super) fn rules(config: &Config, host: &Host, given: Option<Vec<String>>) -> Rules {
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

fn opened_certificates(
    config: &Config,
    state: &StateDir,
    host: &Host,
) -> Result<Certificates<CaFiles>, StartError> {
    let (pair, files, names) = (given_pair(config)?, CaFiles::open(state)?, listen_names(config));
    let (certificates, said) = Certificates::open(files, pair, host, &names, OffsetDateTime::now_utc())?;
    say(&said);
    Ok(certificates)
}

fn workers(config: &Config) -> Result<Workers, StartError> {
    let threads = threads(config.limits.threads);
    Workers::start(threads - 1).map_err(|source| StartError::Threads { threads, source })
}

/// What the configuration names beyond this program: the backends, which it goes on with, and who is told what is amiss.
fn named(config: &Config, engine: Option<&Path>) -> Result<Arc<Registry>, StartError> {
    alerts::check(&config.alerts)?;
    Ok(Arc::new(Registry::new(config, engine)?))
}

/// Who looks at disks and cards, who looks after the cards' heat, and the gate that this one keeps.
fn watchers(
    config: &Config,
    registry: &Arc<Registry>,
    settings: &watch::Receiver<Arc<Settings>>,
    state: &StateDir,
) -> (Arc<Health>, Arc<Heat>, Gate) {
    let gate = Gate::new(heat::standing(&config.gpu));
    let heat = Heat::new(settings.clone(), gate.clone(), Room::new(state));
    (Arc::new(Health::new(Arc::clone(registry), settings.clone())), Arc::new(heat), gate)
}

fn standing(listeners: &Listeners, config: &Config, upkeep: &mut Upkeep) -> Arc<Standing> {
    let (addresses, list) = (listeners.addresses(), listeners.list(&config.listen));
    let standing = Standing::new(&addresses, list, listeners.missing());
    standing.is_called(upkeep.host());
    upkeep.look_at_addresses(&standing);
    Arc::new(standing)
}

fn pipeline(
    upkeep: &Upkeep,
    (keys, usage, gate): (Keys, Ledger, Gate),
    registry: &Arc<Registry>,
    settings: watch::Receiver<Arc<Settings>>,
    drain: &Drain,
    desk: Desk,
) -> Result<Pipeline, StartError> {
    let parts = Parts {
        guard: Arc::clone(upkeep.guard()),
        keys,
        registry: Arc::clone(registry),
        settings,
        page: upkeep.page(),
        drain: drain.watch(),
        room: room::Room::default(),
        usage,
        gate,
        desk,
    };
    let random = |_unspecified| StartError::internal("no random bytes", "the operating system gave none");
    Pipeline::new(parts).map_err(random)
}

/// The keys, which are told what time it has been already, and what they have used.
fn opened_keys(
    state: &StateDir,
    audit: &Audit,
    now: OffsetDateTime,
    show: Show,
) -> Result<(Keys, Ledger), StartError> {
    let Opened { keys, first } = Keys::open(state, now, keys::random, show)?;
    tell_first_key(first.as_ref());
    moments::tell(&keys, audit, now);
    let usage = Ledger::open(state, &keys);
    Ok((keys, usage))
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
