//! Crashes in a row and a configuration that keeps the daemon from starting: the ports live through both.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    client::client_config,
    kept::Version,
    nspawn::{Container, UNIT},
};
use quinn::{ConnectionError, Endpoint, crypto::rustls::QuicClientConfig};
use tokio::{net::TcpStream, time::timeout};

use crate::{VERSIONS, asked, check_admin, check_serves};

/// More than systemd allows a service to start in its time by default (5 in 10 s), and a socket to trigger one (20 in 2 s).
const CRASHES: usize = 30;
const CONFIG: &str = "/etc/ghostllm/ghostllm.toml";
const PATIENCE: Duration = Duration::from_secs(20);
/// How long clients knock at a daemon that does not start, and how often it may try meanwhile: RestartSec=2s, and one.
const KNOCKING: Duration = Duration::from_secs(5);
const TRIES: usize = 4;

#[tokio::test]
async fn thirty_in_a_row_leave_the_ports_open() -> Result<()> {
    let container = Container::boot().await?;
    container.drop_in(UNIT, "[Service]\nRestartSec=10ms\n").await?;
    container.systemctl("start ghostllm").await?;
    let (network, begun) = (container.network()?, Instant::now());
    for crash in 0..CRASHES {
        container.systemctl(&format!("kill --signal=KILL --kill-who=main {UNIT}")).await?;
        let connected = network.run(TcpStream::connect((Ipv4Addr::LOCALHOST, 11443))).await;
        connected.with_context(|| format!("crash {crash} has closed the port"))?;
        // It counts as active until systemd has heard of its end.
        container.until("NRestarts", |restarts| restarts.parse() == Ok(crash + 1)).await?;
        container.until("ActiveState", |state| state == "active").await?;
    }
    let took = begun.elapsed();
    println!(
        "{CRASHES} crashes in {took:?}, {} of them a restart by systemd",
        container.property("NRestarts").await?
    );
    ensure!(took < Duration::from_secs(30), "so slow that this shows little: {took:?}");
    check_serves(&container, &VERSIONS).await?;
    check_admin(&container).await?;
    container.end().await
}

#[tokio::test]
async fn clients_that_knock_at_a_wrong_configuration_wait_and_are_served_once_it_is_mended() -> Result<()> {
    let container = Container::boot().await?;
    container.write(CONFIG, "[listen]\ntsl = \"[::]:443\"\n")?;
    let (succeeded, _) = container.tried("start ghostllm").await?;
    ensure!(!succeeded, "it starts");
    let network = container.network()?;
    let starts = async || anyhow::Ok(container.journal().await?.matches("Starting ghostllm.service").count());
    let (before, begun, mut waiting) = (starts().await?, Instant::now(), Vec::new());
    while begun.elapsed() < KNOCKING {
        for port in [11430, 11443] {
            waiting
                .push(network.run(TcpStream::connect((Ipv4Addr::LOCALHOST, port))).await.context("refused")?);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let tried = starts().await? - before;
    println!("{} clients knocked for {KNOCKING:?}: {tried} starts", waiting.len());
    ensure!((1..=TRIES).contains(&tried), "{tried} starts:\n{}", container.journal().await?);
    container.write(CONFIG, "")?;
    timeout(PATIENCE, asked(&container, &network, Version::Plain)).await.context("it is not served")??;
    check_serves(&container, &VERSIONS).await?;
    check_admin(&container).await?;
    container.end().await
}

#[tokio::test]
async fn an_old_client_of_http3_hears_of_a_crash_from_the_next_daemon() -> Result<()> {
    let container = Container::boot().await?;
    container.drop_in(UNIT, "[Service]\nRestartSec=10ms\n").await?;
    container.systemctl("start ghostllm").await?;
    let network = container.network()?;
    let tls = client_config(&std::fs::read(container.path("/var/lib/ghostllm/ca/ca.pem"))?, b"h3")?;
    let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut endpoint = network.run(async { Endpoint::client(local) }).await?;
    endpoint.set_default_client_config(quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?)));
    let connection = endpoint.connect(SocketAddr::from((Ipv4Addr::LOCALHOST, 11443)), "localhost")?.await?;
    timeout(PATIENCE, connection.accept_uni()).await.context("nothing comes")??;
    let restarts = container.property("NRestarts").await?;
    container.systemctl(&format!("kill --signal=KILL --kill-who=main {UNIT}")).await?;
    container.until("NRestarts", |now| now != restarts).await?;
    container.until("ActiveState", |state| state == "active").await?;
    let begun = Instant::now();
    let (mut stream, _answer) = connection.open_bi().await?;
    stream.write_all(&[0; 64]).await?;
    let error = timeout(PATIENCE, connection.closed()).await.context("it hears nothing")?;
    println!("an old client of HTTP/3 hears of a crash {:?} after it has asked", begun.elapsed());
    ensure!(error == ConnectionError::Reset, "{error}");
    container.end().await
}
