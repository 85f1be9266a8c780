//! The program as a value: build, run, drain.
//!
//! Knows every part and joins them. Refuses to know how any of them works. Invariants: every socket is bound before
//! readiness is said, so that a wrong setting fails the start; what fails without making the box useless (HTTP/3, a
//! plain port) is said and left out.

pub(crate) mod descriptors;
mod error;
mod listeners;
mod stop;
mod systemd;
mod upkeep;

use std::{future::Future, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use ghostllm_core::config::{Config, Exposure, Target};
use ghostllm_edge::{
    Limits,
    drain::Drain,
    guard::{Guard, Rules},
    tls,
    workers::Workers,
};
use time::OffsetDateTime;
use tokio::time::timeout;

use crate::{
    backend::registry::Registry,
    certificates::{Certificates, Given},
    host::Host,
    pipeline::{self, Pipeline, Shared},
    secrets,
    store::{
        Claim, StateDir,
        keys::{self, FirstKey, Keys, Show},
    },
    tasks::{
        engine::{EngineAt, EngineTask},
        supervisor::{Policy, Supervisor},
    },
};
pub use error::StartError;
use listeners::{HTTP3, Listeners, Serving};
use stop::Stop;
use systemd::Standing;
use upkeep::{CaFiles, Upkeep, say};

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
}

/// A program that is wired and bound, and not serving yet.
pub struct App {
    stop: Stop,
    claim: Claim,
    config: Config,
    listeners: Listeners,
    pipeline: Pipeline,
    guard: Arc<Guard>,
    registry: Arc<Registry>,
    upkeep: Upkeep,
    supervisor: Supervisor,
    engine: Option<EngineAt>,
    workers: Workers,
    drain: Drain,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("addresses", &self.listeners.addresses()).finish_non_exhaustive()
    }
}

impl App {
    /// Wires everything and binds every socket. Blocks for as long as files take; call it within the runtime.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn build(config: Config, state: &Path, show: Show) -> Result<Self, StartError> {
        // Before anything that takes time: a signal during the start is heard when it is over, and ends the program well.
        let stop = Stop::new().map_err(|error| StartError::internal("signals cannot be taken", error))?;
        tls::install_provider();
        let now = OffsetDateTime::now_utc();
        let (state, claim) = StateDir::claim(state)?;
        let host = Host::read();
        let names = listen_names(&config);
        let (certificates, said) =
            Certificates::open(CaFiles::open(&state)?, given(&config)?, &host, &names, now)?;
        say(&said);
        let listeners = Listeners::bind(&config.listen)?;
        let supervisor = Supervisor::new();
        let engine = wants_engine(&config).then(|| EngineTask::start(&config.engine, &state, &supervisor));
        let socket = engine.as_ref().and_then(|engine| engine.socket.as_deref());
        let registry = Arc::new(Registry::new(&config, socket)?);
        let guard = Arc::new(Guard::new(rules(&config, &host, certificates.given_names())));
        let drain = Drain::default();
        let authority = certificates
            .trust()
            .map(|trust| (Bytes::copy_from_slice(trust.pem.as_bytes()), Bytes::copy_from_slice(trust.der)));
        let upkeep =
            Upkeep::new(state.clone(), certificates, host, names, &listeners.addresses(), &config, &registry);
        let threads = threads(config.limits.threads);
        let workers =
            Workers::start(threads - 1).map_err(|source| StartError::Threads { threads, source })?;
        // Behind all that may fail: the first key is shown once, and a start that ends would take it along.
        let opened = Keys::open(&state, now, keys::random, show)?;
        tell_first_key(opened.first.as_ref());
        let pipeline = Pipeline::new(Shared {
            guard: Arc::clone(&guard),
            keys: opened.keys,
            registry: Arc::clone(&registry),
            limits: config.limits.clone(),
            plain_auth: config.listen.plain_auth,
            page: upkeep.page(),
            authority,
            backends_named: !config.backends.is_empty(),
            drain: drain.watch(),
        })
        .map_err(|_unspecified| StartError::internal("no random bytes", "the operating system gave none"))?;
        Ok(Self {
            stop,
            claim,
            config,
            listeners,
            pipeline,
            guard,
            registry,
            upkeep,
            supervisor,
            engine,
            workers,
            drain,
        })
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
            config,
            listeners,
            pipeline,
            guard,
            registry,
            mut upkeep,
            supervisor,
            engine,
            workers,
            drain,
        } = self;
        tokio::select! {
            biased;
            () = stop.asked() => {
                tracing::info!("asked to stop before it served");
                ended(engine.as_ref(), supervisor).await;
                return Ok(());
            }
            () = first_round(&registry, engine.as_ref(), config.limits.first_lists) => {}
        }
        upkeep.render();
        let limits = edge_limits(&config.limits);
        let missing = listeners.missing().to_vec();
        let serving = listeners
            .serve(&pipeline, limits, &guard, upkeep.resolver(), workers.seats(), &drain)
            .map_err(|error| StartError::internal("a listener cannot be started", error))?;
        announce(&addresses, &upkeep);
        announce_models(&registry, engine.as_ref(), &config);
        systemd::ready(&addresses);
        let standing = Standing::tell(&addresses, &missing, upkeep.left_out());
        let (rounds, interval) = (Arc::clone(&registry), config.limits.find_interval);
        supervisor.spawn("backends", Policy::Restartable, move || {
            let rounds = Arc::clone(&rounds);
            async move {
                rounds.run(interval).await;
                Ok(())
            }
        });
        tokio::select! {
            () = stop.asked() => {}
            () = upkeep.run(
                |host, given| guard.replace(rules(&config, host, given)),
                || (drain.open(), drain.most()),
                |left_out| standing.lacks(left_out),
            ) => {}
            () = without_http3(&serving, &standing) => {}
        }
        systemd::stopping();
        drained(serving, &drain, config.limits.drain_grace, stop.asked_again()).await;
        ended(engine.as_ref(), supervisor).await;
        drop(workers);
        drop(claim);
        Ok(())
    }
}

/// Ends what runs beside the requests.
async fn ended(engine: Option<&EngineAt>, supervisor: Supervisor) {
    if let Some(engine) = engine {
        engine.stop().await;
    }
    supervisor.stop().await;
}

/// How many threads serve, at least one. More cost CPU for each request, since each sleeps more and must be woken, and gain
/// nothing: the work is the engine's.
fn threads(wanted: usize) -> usize {
    let automatic = || std::thread::available_parallelism().map_or(1, |cores| cores.get().min(2));
    if wanted == 0 { automatic() } else { wanted }
}

/// Whether our own engine has anything to do: explicit backends turn finding off, the engine's demo included.
fn wants_engine(config: &Config) -> bool {
    let files = || config.backends.iter().any(|backend| matches!(backend.target, Target::Gguf(_)));
    config.backends.is_empty() || files()
}

/// Asks everybody once before readiness. What does not answer in time is heard in a later round.
async fn first_round(registry: &Registry, engine: Option<&EngineAt>, limit: Duration) {
    let _in_time = timeout(limit, async {
        if let Some(engine) = engine {
            engine.wait_ready(limit).await;
        }
        registry.refresh().await;
    })
    .await;
}

/// Says so if HTTP/3 is lost; never completes, since the rest goes on.
async fn without_http3(serving: &Serving, standing: &Standing) {
    serving.http3_lost().await;
    standing.lost(HTTP3);
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

fn given(config: &Config) -> Result<Option<Given>, StartError> {
    let listen = &config.listen;
    let (Some(certificate), Some(key)) = (&listen.certificate, &listen.key) else { return Ok(None) };
    Ok(Some(Given { certificate: certificate.clone(), key: secrets::path(key, "listen.key")? }))
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
        pages: pipeline::PAGES.map(str::to_owned).to_vec(),
        slashed: vec![pipeline::MODEL_PREFIX.to_owned()],
        exposure_everywhere: config.listen.exposure == Exposure::Everywhere,
        on_link: host.on_link.clone(),
    }
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
fn announce_models(registry: &Registry, engine: Option<&EngineAt>, config: &Config) {
    let snapshot = registry.snapshot();
    let files = engine.and_then(|engine| engine.models.as_deref());
    let files = files.map_or_else(|| "the engine's directory".to_owned(), |path| path.display().to_string());
    let ollama = &config.default_ollama;
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

/// The edge's part of the limits.
fn edge_limits(limits: &ghostllm_core::config::Limits) -> Limits {
    Limits {
        handshake: limits.handshake,
        header_read: limits.header_read,
        keep_alive_idle: limits.keep_alive_idle,
        body_idle: limits.body_idle,
        body_rate: limits.body_rate.bytes(),
        body_rate_window: limits.body_rate_window,
        write_idle: limits.write_idle,
        header_bytes: limits.header_bytes.as_usize(),
        header_count: limits.header_count,
        uri_bytes: limits.uri_bytes.as_usize(),
        streams: limits.streams,
        h2_stream_window: limits.h2_stream_window.as_u32(),
        h2_connection_window: limits.h2_connection_window.as_u32(),
        h2_send_buffer: limits.h2_send_buffer.as_usize(),
        h2_error_resets: limits.h2_error_resets,
        h2_ping: limits.h2_ping,
        tcp_vanished: limits.tcp_vanished,
        tcp_unsent: limits.tcp_unsent.as_u32(),
        h2_linger: limits.h2_linger,
        quic_receive_window: limits.quic_receive_window.as_u32(),
        quic_stream_window: limits.quic_stream_window.as_u32(),
        quic_send_window: limits.quic_send_window.bytes(),
        quic_idle: limits.quic_idle,
        quic_incoming: limits.quic_incoming,
        quic_incoming_bytes: limits.quic_incoming_bytes.bytes(),
        quic_retry_from: limits.quic_retry_from,
        h3_headers_frame: limits.h3_headers_frame.bytes(),
        h3_other_frame: limits.h3_other_frame.bytes(),
        h3_empty_frames: limits.h3_empty_frames,
        h3_broken_requests: limits.h3_broken_requests,
        failure_linger: limits.failure_linger,
        refused_linger: limits.refused_linger,
        refused_bytes: limits.body.bytes(),
        h3_linger: limits.h3_linger,
        h3_vanished: limits.h3_vanished,
        connections_per_source: limits.connections_per_source,
        connections: limits.connections,
        handshakes: limits.handshakes,
    }
}

#[cfg(test)]
mod tests;
