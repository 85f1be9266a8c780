//! Each source's share of the connections, over TCP and QUIC together.

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    client::{Caller, PATIENCE, Request, Stream, Version},
    daemon::{Daemon, Setup},
    double::Double,
    netns::Namespace,
    ollama::Ollama,
    script::Sin,
};
use tokio::time::timeout;

use crate::{address, check_served};

/// Two addresses of one caller's box, each a source of its own.
const SIX: &str = "fd00:1::1";
const FOUR: &str = "192.168.7.1";

struct Place {
    peer: Namespace,
    daemon: Daemon,
    _own: Namespace,
    _double: Double,
}

impl Place {
    /// A daemon that allows each source three connections, and whose model begins to speak and never ends.
    async fn new() -> Result<Self> {
        let (own, peer) = (Namespace::new()?, Namespace::new()?);
        own.cable(
            ("eth0", &["fd00:1::1/64", "192.168.7.1/24"]),
            &peer,
            ("eth0", &["fd00:1::2/64", "192.168.7.2/24"]),
        )?;
        let double = own.run(Double::start(Ollama::default())).await;
        double.misbehave("tiny", Sin::StallAfter(2));
        let setup = Setup::backend("ollama", &double.url()).with_limits("connections_per_source = 3");
        let daemon = own.run(Daemon::start(&setup)).await?;
        Ok(Self { peer, daemon, _own: own, _double: double })
    }

    /// A connection that lasts: its answer has begun.
    async fn hold(&self, version: Version, at: &str) -> Result<Stream> {
        let caller = Caller::at(&self.daemon, version, address(at))?.with_key(self.daemon.key.as_deref());
        let mut stream = self.peer.run(caller.open(&Request::chat("tiny", "Hello", true))).await?;
        stream.until("data:").await?;
        Ok(stream)
    }

    /// A connection as soon as there is a place for it; a place that is never free is a failure.
    async fn hold_when_free(&self, version: Version, at: &str) -> Result<Stream> {
        let held = timeout(PATIENCE, async {
            loop {
                if let Ok(held) = self.hold(version, at).await {
                    return held;
                }
            }
        });
        held.await.context("the place is not free again")
    }

    /// No place is left, whatever the version: TCP is closed before TLS, QUIC with H3_EXCESSIVE_LOAD.
    async fn check_full(&self, at: &str) -> Result<()> {
        for version in [Version::H1, Version::H2, Version::H3] {
            let error = match self.hold(version, at).await {
                Ok(_held) => anyhow::bail!("{version:?} has a fourth place"),
                Err(error) => format!("{error:#}"),
            };
            let wanted = if version == Version::H3 { "code: 263" } else { "TLS handshake" };
            ensure!(error.contains(wanted), "{version:?} is refused otherwise: {error}");
        }
        Ok(())
    }
}

#[tokio::test]
async fn counts_every_transport_of_one_source_together() -> Result<()> {
    let place = Place::new().await?;
    let one = place.hold(Version::H1, SIX).await?;
    let two = place.hold(Version::H2, SIX).await?;
    let three = place.hold(Version::H3, SIX).await?;
    place.check_full(SIX).await?;
    // Another source has places of its own.
    check_served(&place.peer, &place.daemon, FOUR).await?;
    // A place that QUIC gives back can be taken by TCP, and the other way round; never more than one.
    drop(three);
    let three = place.hold_when_free(Version::H1, SIX).await?;
    place.check_full(SIX).await?;
    drop(one);
    let one = place.hold_when_free(Version::H3, SIX).await?;
    place.check_full(SIX).await?;
    drop((one, two, three));
    place.daemon.stop().await
}

#[tokio::test]
async fn counts_quic_alone() -> Result<()> {
    let place = Place::new().await?;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(place.hold(Version::H3, FOUR).await?);
    }
    place.check_full(FOUR).await?;
    held.pop();
    held.push(place.hold_when_free(Version::H3, FOUR).await?);
    place.check_full(FOUR).await?;
    drop(held);
    place.daemon.stop().await
}
