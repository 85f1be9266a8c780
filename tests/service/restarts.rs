//! Restarts under load: no client is refused, and HTTP/3 goes on at once.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use ghostllm_tests::{
    kept::{Dialer, Version},
    netns::Namespace,
    nspawn::Container,
};
use tokio::time::timeout;

use crate::{ask, asked, check_admin, check_serves, dialer};

/// The issue's.
const RESTARTS: usize = 20;
/// How soon a new handshake of QUIC succeeds once the daemon is ready.
const SOON: Duration = Duration::from_secs(1);
/// How long a client waits that connects while nobody serves.
const PATIENCE: Duration = Duration::from_secs(20);

/// Who asks meanwhile.
const LOAD: [(Version, IpAddr); 5] = [
    (Version::Plain, IpAddr::V4(Ipv4Addr::LOCALHOST)),
    (Version::Plain, IpAddr::V6(Ipv6Addr::LOCALHOST)),
    (Version::H1, IpAddr::V4(Ipv4Addr::LOCALHOST)),
    (Version::H2, IpAddr::V6(Ipv6Addr::LOCALHOST)),
    (Version::H3, IpAddr::V4(Ipv4Addr::LOCALHOST)),
];

/// What one of them has met.
#[derive(Debug, Default)]
struct Met {
    answered: AtomicUsize,
    refused: AtomicUsize,
    /// Connected, and ended before an answer.
    unanswered: AtomicUsize,
}

impl Met {
    fn count(&self, ended: Result<()>) {
        let refused = |error: &anyhow::Error| {
            let of = |cause: &(dyn std::error::Error + 'static)| {
                cause.downcast_ref::<io::Error>().map(io::Error::kind)
            };
            error.chain().any(|cause| of(cause) == Some(io::ErrorKind::ConnectionRefused))
        };
        let count = match ended {
            Ok(()) => &self.answered,
            Err(error) if refused(&error) => &self.refused,
            Err(_) => &self.unanswered,
        };
        count.fetch_add(1, Relaxed);
    }
}

/// Connects, asks for /healthz and reads to the end, again and again, on a thread in that network.
async fn client(dialer: &Dialer, network: &Namespace, met: &Met, over: &AtomicBool) {
    while !over.load(Relaxed) {
        let asked = timeout(PATIENCE, ask(dialer, network)).await;
        met.count(asked.unwrap_or_else(|_| bail!("it hangs")));
    }
}

#[tokio::test]
async fn twenty_under_load_refuse_nobody_and_quic_goes_on_at_once() -> Result<()> {
    let container = Container::started().await?;
    let (network, over) = (container.network()?, AtomicBool::new(false));
    let mut load = Vec::new();
    for (version, at) in LOAD {
        load.push((version, dialer(&container, &network, version, at).await?, Met::default()));
    }
    let clients = load.iter().map(|(_, dialer, met)| client(dialer, &network, met, &over));
    let restarts = async {
        let (mut longest, mut handshake) = (Duration::ZERO, Duration::ZERO);
        for _ in 0..RESTARTS {
            let begun = Instant::now();
            container.systemctl("restart ghostllm").await?;
            longest = longest.max(begun.elapsed());
            let ready = Instant::now();
            timeout(PATIENCE, asked(&container, &network, Version::H3)).await.context("QUIC hangs")??;
            handshake = handshake.max(ready.elapsed());
        }
        over.store(true, Relaxed);
        anyhow::Ok((longest, handshake))
    };
    let (restarted, _) = tokio::join!(restarts, futures_util::future::join_all(clients));
    let (longest, handshake) = restarted?;
    println!(
        "{RESTARTS} restarts under load: the longest took {longest:?}, the first answer over QUIC behind one at most {handshake:?}"
    );
    for (version, _, met) in &load {
        println!("{version}: {met:?}");
        let [answered, refused, unanswered] =
            [&met.answered, &met.refused, &met.unanswered].map(|count| count.load(Relaxed));
        ensure!(refused == 0 && answered > 0, "{version}: {met:?}");
        // A connection of QUIC is a state of the daemon that went, and a first packet that it took is sent again a second later; over
        // TCP nobody loses anything.
        ensure!(*version == Version::H3 || unanswered == 0 && answered > RESTARTS, "{version}: {met:?}");
    }
    ensure!(handshake <= SOON, "{handshake:?}");
    check_serves(&container, &[Version::H1, Version::H2]).await?;
    check_admin(&container).await?;
    container.end().await
}
