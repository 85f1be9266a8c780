//! HTTP/3 across a restart: whoever was connected before hears at once that it is over (RFC 9000 section 10.3).

use std::{
    net::{Ipv6Addr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use ghostllm_tests::{
    client::{Caller, Family, Request, Version, client_config},
    daemon::{Daemon, Setup, Signal},
};
use quinn::{ConnectionError, Endpoint, crypto::rustls::QuicClientConfig};
use tokio::time::{Instant, timeout};

use crate::handed::Ports;

/// A client asks again after a second where nothing is answered; what is heard sooner was told.
const PATIENCE: Duration = Duration::from_secs(5);
/// While a client that is told nothing waits.
const WHILE: Duration = Duration::from_secs(2);

/// A daemon at this port, whose state outlives it.
async fn start(ports: &Ports, state: &Path) -> Result<Daemon> {
    let arguments = vec!["--state-dir".to_owned(), state.display().to_string()];
    Daemon::start(&Setup { state: false, arguments, ..ports.setup() }).await
}

/// A connection that has been used, and what holds it.
async fn connected(daemon: &Daemon, state: &Path) -> Result<(Endpoint, quinn::Connection)> {
    let tls = client_config(&std::fs::read(state.join("ca/ca.pem"))?, b"h3")?;
    let mut endpoint = Endpoint::client(SocketAddr::from((Ipv6Addr::LOCALHOST, 0)))?;
    let config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
    endpoint.set_default_client_config(config);
    let at = SocketAddr::from((Ipv6Addr::LOCALHOST, daemon.tls));
    let connection = endpoint.connect(at, "localhost")?.await?;
    // The server's settings have come: it knows the connection.
    timeout(PATIENCE, connection.accept_uni()).await.context("nothing comes")??;
    Ok((endpoint, connection))
}

/// The same to a daemon that has been killed since.
async fn orphaned(ports: &Ports, state: &Path) -> Result<(Endpoint, quinn::Connection)> {
    let daemon = start(ports, state).await?;
    let connected = connected(&daemon, state).await?;
    daemon.signal(Signal::SIGKILL)?;
    daemon.wait().await?;
    Ok(connected)
}

/// Says something on the connection of before, and waits for so long for its end.
async fn end(
    connection: &quinn::Connection,
    within: Duration,
) -> Result<Option<(ConnectionError, Duration)>> {
    let begun = Instant::now();
    // A late acknowledgement, or a probe, may have asked before: it has ended then.
    if let Ok((mut stream, _answer)) = connection.open_bi().await {
        drop(stream.write_all(&[0; 64]).await);
    }
    Ok(timeout(within, connection.closed()).await.ok().map(|error| (error, begun.elapsed())))
}

#[tokio::test]
async fn the_next_daemon_ends_the_connections_of_one_that_was_killed() -> Result<()> {
    let (place, ports) = (tempfile::tempdir()?, Ports::free()?);
    let state = place.path().join("state");
    let (_endpoint, connection) = orphaned(&ports, &state).await?;
    let daemon = start(&ports, &state).await?;
    let Some((error, after)) = end(&connection, PATIENCE).await? else { bail!("the client hears nothing") };
    ensure!(error == ConnectionError::Reset, "{error}");
    println!("a client of a daemon that was killed hears of it {after:?} after it has asked the next one");
    let caller = Caller::keyless(&daemon, Version::H3, Family::V6).await?;
    ensure!(caller.send(&Request::get("/healthz")).await?.status == 200, "new ones are served");
    daemon.stop().await
}

#[tokio::test]
async fn without_the_key_that_was_kept_a_client_hears_nothing() -> Result<()> {
    let (place, ports) = (tempfile::tempdir()?, Ports::free()?);
    let state = place.path().join("state");
    let (_endpoint, connection) = orphaned(&ports, &state).await?;
    std::fs::write(state.join("quic-key"), "damaged")?;
    let daemon = start(&ports, &state).await?;
    ensure!(daemon.stderr().contains("quic-key is made anew (it is damaged)"), "{}", daemon.stderr());
    let heard = end(&connection, WHILE).await?;
    ensure!(heard.is_none(), "so this shows nothing of the key: {heard:?}");
    daemon.stop().await
}
