//! Starts and stops that take longer than the unit allows: systemd waits for them as long as they go on. And whoever connects once it is
//! active is answered.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    double::Double,
    nspawn::{Container, UNIT},
    ollama::Ollama,
    script::Sin,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};

use crate::{VERSIONS, asked};

const CONFIG: &str = "/etc/ghostllm/ghostllm.toml";
/// What the unit allows, and what it takes here.
const ALLOWED: &str = "[Service]\nTimeoutStartSec=2s\nTimeoutStopSec=2s\n";
const LONGER: Duration = Duration::from_secs(6);
const PATIENCE: Duration = Duration::from_secs(20);
/// How often it is started anew, and asked at once.
const STARTS: usize = 5;

fn backend(at: SocketAddr, limits: &str) -> String {
    format!("[limits]\n{limits}\n[[backends]]\nname = \"box\"\nkind = \"ollama\"\nurl = \"http://{at}\"\n")
}

#[tokio::test]
async fn a_start_that_waits_for_its_backends_is_waited_for() -> Result<()> {
    let container = Container::boot().await?;
    container.drop_in(UNIT, ALLOWED).await?;
    // It takes connections, and says nothing.
    let silent = container.network()?.run(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).await?;
    let limits = "first_lists = \"6s\"\nbackend_list = \"1h\"";
    container.write(CONFIG, &backend(silent.local_addr()?, limits))?;
    let begun = Instant::now();
    let (started, before) = tokio::join!(container.systemctl("start ghostllm"), async {
        sleep(LONGER / 2).await;
        container.property("ActiveState").await
    });
    started?;
    ensure!(before? == "activating", "it is called active before it serves");
    ensure!(begun.elapsed() >= LONGER, "it took {:?}, which shows nothing", begun.elapsed());
    for version in VERSIONS {
        asked(&container, &container.network()?, version).await?;
    }
    ensure!(container.property("NRestarts").await? == "0", "{}", container.journal().await?);
    container.end().await
}

#[tokio::test]
async fn a_drain_that_the_configuration_allows_is_waited_for() -> Result<()> {
    let container = Container::boot().await?;
    container.drop_in(UNIT, ALLOWED).await?;
    let network = container.network()?;
    let double = network.run(Double::start(Ollama::default())).await;
    double.misbehave("tiny", Sin::Gated);
    double.release(2);
    container.write(CONFIG, &backend(double.address(), "drain_grace = \"60s\""))?;
    container.systemctl("start ghostllm").await?;
    let mut stream = network.run(TcpStream::connect((Ipv4Addr::LOCALHOST, 11430))).await?;
    let body = r#"{"model": "tiny", "messages": [{"role": "user", "content": "Hello"}], "stream": true}"#;
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + body).as_bytes()).await?;
    let mut answer = Vec::new();
    while !String::from_utf8_lossy(&answer).contains("data:") {
        ensure!(timeout(PATIENCE, stream.read_buf(&mut answer)).await?? > 0, "it ends without an event");
    }
    let begun = Instant::now();
    let (stopped, read) = tokio::join!(container.systemctl("stop ghostllm.service"), async {
        sleep(LONGER).await;
        double.release(100);
        timeout(PATIENCE, stream.read_to_end(&mut answer)).await.context("the stream has no end")
    });
    stopped?;
    read??;
    ensure!(begun.elapsed() >= LONGER, "it took {:?}, which shows nothing", begun.elapsed());
    let text = String::from_utf8_lossy(&answer);
    ensure!(text.contains("[DONE]"), "{text}");
    let journal = container.journal().await?;
    ensure!(
        container.property("Result").await? == "success" && journal.contains("every request has ended"),
        "{journal}"
    );
    container.end().await
}

#[tokio::test]
async fn whoever_connects_the_moment_it_is_active_is_answered() -> Result<()> {
    let container = Container::boot().await?;
    // Sockets of systemd's take connections also while nobody serves.
    for socket in ["tls", "quic", "plain", "admin"] {
        container.systemctl(&format!("mask --runtime ghostllm-{socket}.socket")).await?;
    }
    let network = container.network()?;
    for _ in 0..STARTS {
        let refused = network.run(TcpStream::connect((Ipv4Addr::LOCALHOST, 11430))).await;
        ensure!(refused.is_err(), "somebody listens there already");
        container.systemctl("start ghostllm").await?;
        for version in VERSIONS {
            asked(&container, &network, version).await?;
        }
        container.systemctl("stop ghostllm.service").await?;
    }
    container.end().await
}
