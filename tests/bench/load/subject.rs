//! What is measured: the daemon on either wire, nginx and haproxy, each in front of the same engine with the same
//! certificate, and that engine alone.
//!
//! Knows how each is started. Invariants: each has what a careful owner would give it (connections kept to the engine, no
//! access log, no buffering of streams), and as many connections as the bench opens; what was raised for that is printed.

use std::{
    fmt::Write as _,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use ghostllm_tests::{
    daemon::{Daemon, Setup},
    proxies::{Program, Proxy},
};
use tokio::net::TcpStream;

use crate::{
    cost::Tree,
    order::{Place, Version},
};

/// What the daemon is given beyond its defaults.
pub(crate) const RAISED: &str = "connections = 20000\nhandshakes = 4096\n";

/// Which program, and over which wire it asks the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// The engine itself, which every other figure is compared with.
    Direct,
    /// The daemon, whose engine speaks OpenAI's wire.
    Passthrough,
    /// The same with one thread (`limits.threads`).
    OneThread,
    /// The daemon, whose engine speaks Ollama's wire.
    Translated,
    Nginx,
    Haproxy,
}

impl Kind {
    pub(crate) fn versions(self) -> &'static [Version] {
        match self {
            Self::Direct => &[Version::Plain],
            Self::Passthrough | Self::OneThread | Self::Translated => {
                &[Version::H1, Version::H2, Version::H3]
            }
            Self::Nginx | Self::Haproxy => &[Version::H1, Version::H2],
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Direct => "direct",
            Self::Passthrough => "ghostllm",
            Self::OneThread => "ghostllm, 1 thread",
            Self::Translated => "ghostllm, Ollama",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
        })
    }
}

/// One that runs. Dropping it ends it.
pub(crate) struct Subject {
    pub(crate) kind: Kind,
    pub(crate) tree: Tree,
    /// From the start of its process until it took a connection, or said that it was ready.
    pub(crate) ready: Duration,
    places: Vec<Place>,
    _held: Held,
}

enum Held {
    Daemon(#[expect(dead_code, reason = "held for as long as it runs")] Box<Daemon>),
    Proxy(#[expect(dead_code, reason = "likewise")] Proxy),
    Nothing,
}

/// What every subject is started with.
pub(crate) struct Stage<'a> {
    pub(crate) backend: SocketAddr,
    pub(crate) backend_id: u32,
    /// The daemon's program, where it is not the one beside this.
    pub(crate) program: Option<PathBuf>,
    /// The certificate of a daemon, its chain and key in one file, and the CA.
    pub(crate) certificate: &'a Path,
    pub(crate) ca: &'a Path,
    /// A directory for configurations.
    pub(crate) scratch: &'a Path,
}

impl Subject {
    pub(crate) fn place(&self, version: Version) -> Result<&Place> {
        self.places.iter().find(|place| place.version == version).context("it does not speak that version")
    }

    pub(crate) async fn start(kind: Kind, stage: &Stage<'_>) -> Result<Self> {
        match kind {
            Kind::Direct => {
                let place =
                    |version| Place { version, address: stage.backend, ca: stage.ca.into(), key: None };
                let (tree, places) = (Tree(stage.backend_id), vec![place(Version::Plain)]);
                Ok(Self { kind, tree, ready: Duration::ZERO, places, _held: Held::Nothing })
            }
            Kind::Passthrough => daemon(kind, "openai", "", stage).await,
            Kind::OneThread => daemon(kind, "openai", "threads = 1\n", stage).await,
            Kind::Translated => daemon(kind, "ollama", "", stage).await,
            Kind::Nginx => proxy(kind, Program::Nginx, nginx, stage).await,
            Kind::Haproxy => proxy(kind, Program::Haproxy, haproxy, stage).await,
        }
    }
}

async fn daemon(kind: Kind, wire: &str, lines: &str, stage: &Stage<'_>) -> Result<Subject> {
    let url = format!("http://{}", stage.backend);
    let begun = Instant::now();
    let setup = Setup::backend(wire, &url).with_limits(&format!("{RAISED}{lines}"));
    let daemon = Daemon::start(&Setup { program: stage.program.clone(), ..setup }).await?;
    let ready = begun.elapsed();
    let place = |version, port| Place {
        version,
        address: (Ipv4Addr::LOCALHOST, port).into(),
        ca: daemon.state("ca/ca.pem"),
        key: daemon.key.clone(),
    };
    let quic = daemon.quic.context("no HTTP/3")?;
    let places =
        vec![place(Version::H1, daemon.tls), place(Version::H2, daemon.tls), place(Version::H3, quic)];
    let tree = Tree(daemon.id()?);
    Ok(Subject { kind, tree, ready, places, _held: Held::Daemon(Box::new(daemon)) })
}

async fn proxy(
    kind: Kind,
    program: Program,
    configuration: fn(&Stage<'_>, u16) -> String,
    stage: &Stage<'_>,
) -> Result<Subject> {
    let port = free_port()?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listens = async || TcpStream::connect(address).await.is_ok();
    let proxy = Proxy::start(program, stage.scratch, &configuration(stage, port), listens).await?;
    let place = |version| Place { version, address, ca: stage.ca.into(), key: None };
    let places = vec![place(Version::H1), place(Version::H2)];
    let (tree, ready) = (Tree(proxy.id()?), proxy.ready);
    Ok(Subject { kind, tree, ready, places, _held: Held::Proxy(proxy) })
}

/// One that nobody has now. These programs cannot be asked which port the kernel gave them.
fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn nginx(stage: &Stage<'_>, port: u16) -> String {
    let (certificate, backend) = (stage.certificate.display(), stage.backend);
    format!(
        "daemon off;\nuser root;\nworker_processes 2;\nworker_rlimit_nofile 20000;\npid nginx.pid;\nerror_log stderr crit;\n\
         events {{ worker_connections 20000; }}\n\
         http {{\n access_log off;\n keepalive_requests 100000000;\n tcp_nodelay on;\n client_max_body_size 32m;\n\
         client_body_buffer_size 2m;\n http2_max_concurrent_streams 128;\n\
         upstream engine {{ server {backend}; keepalive 64; keepalive_requests 100000000; }}\n\
         server {{\n listen 127.0.0.1:{port} ssl http2 backlog=4096;\n server_name localhost;\n\
         ssl_certificate {certificate};\n ssl_certificate_key {certificate};\n ssl_protocols TLSv1.3;\n\
         location / {{ proxy_pass http://engine; proxy_http_version 1.1; proxy_set_header Connection \"\";\n\
         proxy_buffering off; proxy_read_timeout 300s; }}\n }}\n}}\n"
    )
}

fn haproxy(stage: &Stage<'_>, port: u16) -> String {
    let mut config =
        String::from("global\n maxconn 9900\n nbthread 2\n ssl-default-bind-options ssl-min-ver TLSv1.3\n");
    let _never = write!(
        config,
        "defaults\n mode http\n timeout connect 2s\n timeout client 300s\n timeout server 300s\n option http-keep-alive\n\
         frontend tls\n bind 127.0.0.1:{port} ssl crt {} alpn h2,http/1.1 backlog 4096\n default_backend engine\n\
         backend engine\n http-reuse always\n server engine {} pool-max-conn 64\n",
        stage.certificate.display(),
        stage.backend
    );
    config
}
