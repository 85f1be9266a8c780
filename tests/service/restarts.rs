//! Restarts under load: no client is refused, and HTTP/3 goes on at once.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{kept::Version, netns::Namespace, nspawn::Container};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{asked, check_admin, check_serves};

/// The issue's.
const RESTARTS: usize = 20;
/// How soon a new handshake of QUIC succeeds once the daemon is ready.
const SOON: Duration = Duration::from_secs(1);
/// How long a client waits that connects while nobody serves.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the clients have met.
#[derive(Debug, Default)]
struct Met {
    answered: AtomicUsize,
    refused: AtomicUsize,
    /// Accepted, and closed before an answer.
    unanswered: AtomicUsize,
    over: AtomicBool,
}

/// Connects, asks for /healthz and reads to the end, again and again, on a thread in that network.
async fn client(network: &Namespace, at: SocketAddr, met: &Met) {
    while !met.over.load(Relaxed) {
        match timeout(PATIENCE, network.run(TcpStream::connect(at))).await {
            Ok(Ok(stream)) => {
                let answered =
                    timeout(PATIENCE, answer(stream)).await.is_ok_and(|answered| answered.unwrap_or(false));
                if answered { &met.answered } else { &met.unanswered }.fetch_add(1, Relaxed);
            }
            _ => drop(met.refused.fetch_add(1, Relaxed)),
        }
    }
}

async fn answer(mut stream: TcpStream) -> Result<bool> {
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(answer.starts_with(b"HTTP/1.1 200 ") && answer.ends_with(b"serves\n"))
}

#[tokio::test]
async fn twenty_under_load_refuse_nobody_and_quic_goes_on_at_once() -> Result<()> {
    let container = Container::started().await?;
    let (network, met) = (container.network()?, Arc::new(Met::default()));
    let clients = ["127.0.0.1:11430", "[::1]:11430", "127.0.0.1:11430"]
        .map(|at| client(&network, at.parse().unwrap(), &met));
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
        met.over.store(true, Relaxed);
        anyhow::Ok((longest, handshake))
    };
    let (restarted, _) = tokio::join!(restarts, futures_util::future::join_all(clients));
    let (longest, handshake) = restarted?;
    println!(
        "{RESTARTS} restarts under load: {met:?}; the longest restart took {longest:?}, the first answer over QUIC behind one at most \
         {handshake:?}"
    );
    ensure!(met.refused.load(Relaxed) == 0 && met.answered.load(Relaxed) > RESTARTS, "{met:?}");
    ensure!(met.unanswered.load(Relaxed) == 0, "{met:?}");
    ensure!(handshake <= SOON, "{handshake:?}");
    check_serves(&container, &[Version::H1, Version::H2]).await?;
    check_admin(&container).await?;
    container.end().await
}
