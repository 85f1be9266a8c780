//! What every attack has: a daemon with an engine, how much that grows, and an honest caller.

pub(crate) mod echo;
pub(crate) mod h2;
pub(crate) mod h3;
pub(crate) mod honest;
pub(crate) mod python;
pub(crate) mod quic;
pub(crate) mod status;
pub(crate) mod torrent;

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use ghostllm_tests::{
    client::{Caller, Family, Request, VERSIONS, Version},
    daemon::{Daemon, Setup},
    double::Double,
    ollama::Ollama,
};

/// A daemon under attack.
pub(crate) struct Place {
    pub(crate) daemon: Daemon,
    pub(crate) double: Double,
    rest: u64,
}

impl Place {
    pub(crate) async fn new(limits: &str) -> Result<Self> {
        Self::with(limits, |setup| setup).await
    }

    /// The same with a second engine, of OpenAI's kind, at that address.
    pub(crate) async fn beside(limits: &str, engine: SocketAddr) -> Result<Self> {
        let url = format!("http://{engine}");
        Self::with(limits, |setup| setup.with_backend("beside", "openai", &url, "")).await
    }

    /// The same with whatever else it is started with.
    pub(crate) async fn with(limits: &str, more: impl FnOnce(Setup) -> Setup) -> Result<Self> {
        let double = Double::start(Ollama::default()).await;
        let setup = more(Setup::backend("ollama", &double.url()).with_limits(limits));
        let daemon = Daemon::start(&setup).await?;
        let mut place = Self { daemon, double, rest: 0 };
        // What a first request allocates is not the attacker's doing.
        place.check_served().await?;
        place.rest = place.daemon.peak_memory()?;
        Ok(place)
    }

    pub(crate) async fn caller(&self, version: Version) -> Result<Caller> {
        Caller::new(&self.daemon, version, Family::V4).await
    }

    /// An honest caller is served on every version.
    pub(crate) async fn check_served(&self) -> Result<()> {
        for version in VERSIONS {
            let answer = self.caller(version).await?.send(&Request::get("/v1/models")).await?;
            ensure!(
                answer.status == 200,
                "{version:?} is no longer served: {} {}",
                answer.status,
                answer.text()
            );
        }
        Ok(())
    }

    /// By how many bytes the daemon's memory has ever grown since it was at rest. The kernel counts in batches for each processor,
    /// so that a later figure may be some kB less.
    pub(crate) fn growth(&self) -> Result<u64> {
        Ok(self.daemon.peak_memory()?.saturating_sub(self.rest))
    }

    /// How many chats the engine was asked for.
    pub(crate) fn chats(&self) -> usize {
        self.double.seen_at("/api/chat").len()
    }

    /// Ends it, which fails where it has panicked.
    pub(crate) async fn end(self) -> Result<()> {
        self.check_served().await?;
        self.daemon.stop().await
    }
}

/// Bytes, as people read them.
pub(crate) fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / (1 << 20) as f64)
}
