//! More connections than the process may have descriptors: those that find none wait, the admin's socket goes on, state is written, and
//! it is over as soon as they are gone.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::future::join_all;
use ghostllm_tests::{
    admin, causes,
    client::{Caller, Family, Request, VERSIONS, Version, plain, unix},
    daemon::{Daemon, Setup},
    double::Double,
    ollama::Ollama,
    script::Sin,
    sheet::Sheet,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

/// F-23 of the research on security: so many connections, and so few descriptors.
const CONNECTIONS: usize = 1000;
const DESCRIPTORS: usize = 256;
/// What the admin's connections, the state and the log have for themselves.
const RESERVE: usize = 32;
/// Within this it must be over.
const RECOVERED: Duration = Duration::from_secs(1);
/// An answer to an admin meanwhile.
const ANSWERED: Duration = Duration::from_secs(1);
/// So long nothing of a connection ends by itself.
const LIMITS: &str = "handshake = \"1h\"\nkeep_alive_idle = \"1h\"\nheader_read = \"1h\"";

fn open_files(daemon: &Daemon) -> Result<usize> {
    Ok(std::fs::read_dir(format!("/proc/{}/fd", daemon.id()?))?.count())
}

/// Connections that have asked once and stay, as far as they are answered; the others stay as well.
async fn crowd(daemon: &Daemon) -> Result<(Vec<TcpStream>, usize)> {
    let address = daemon.plain(false)?;
    let joined = join_all((0..CONNECTIONS).map(|_| async move {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await?;
        let mut said = [0; 1024];
        let answered = timeout(Duration::from_secs(3), stream.read(&mut said)).await;
        anyhow::Ok((stream, answered.is_ok_and(|count| count.is_ok_and(|count| count > 0))))
    }))
    .await
    .into_iter()
    .collect::<Result<Vec<_>>>()?;
    let answered = joined.iter().filter(|(_, answered)| *answered).count();
    Ok((joined.into_iter().map(|(stream, _)| stream).collect(), answered))
}

async fn cause(daemon: &Daemon) -> Result<Option<Value>> {
    causes::now(daemon, "listener_paused").await
}

#[tokio::test]
async fn a_thousand_connections_at_256_descriptors_leave_the_admin_and_the_state_theirs() -> Result<()> {
    let double = Double::start(Ollama::default()).await;
    let setup = Setup::backend("ollama", &double.url()).with_limits(LIMITS);
    let prefix = ["prlimit", "--nofile=256:256"].map(str::to_owned).to_vec();
    let daemon = Daemon::start(&Setup { prefix, ..setup }).await?;
    let (held, answered) = crowd(&daemon).await?;
    let most = open_files(&daemon)?;
    println!(
        "{CONNECTIONS} connections at {DESCRIPTORS} descriptors: {answered} are answered, {most} descriptors are open"
    );
    ensure!(answered > 100 && answered < DESCRIPTORS, "{answered} are answered");
    // Each of the listeners may take one more than there is, since it waits for the next before it looks.
    ensure!(most <= DESCRIPTORS - RESERVE + 6, "{most} descriptors are open");
    let (mut slowest, mut made) = (Duration::ZERO, 0);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(2) {
        let asked = Instant::now();
        let paused = cause(&daemon).await?.context("listener_paused is no cause")?;
        ensure!(paused["what"].as_str().is_some_and(|what| what.contains("descriptors")), "{paused}");
        admin::make(&daemon, &json!({"name": format!("key {made}"), "role": "user"})).await?;
        made += 1;
        slowest = slowest.max(asked.elapsed());
    }
    println!("the admin asks and makes keys meanwhile: {slowest:?} at the most for both");
    ensure!(slowest <= ANSWERED, "{slowest:?}");
    daemon.wait_said("further connections wait until some are closed").await?;
    let gone = Instant::now();
    drop(held);
    let mut healthy = None;
    while healthy.is_none() && gone.elapsed() < RECOVERED * 5 {
        let asked = timeout(RECOVERED, plain(daemon.plain(false)?, &Request::get("/healthz"))).await;
        healthy =
            asked.is_ok_and(|answer| answer.is_ok_and(|answer| answer.status == 200)).then(|| gone.elapsed());
    }
    let healthy = healthy.context("it does not recover")?;
    println!("/healthz answers {healthy:?} after they have gone");
    ensure!(healthy <= RECOVERED, "{healthy:?}");
    while cause(&daemon).await?.is_some() {
        ensure!(gone.elapsed() < RECOVERED * 5, "listener_paused is a cause still");
        sleep(Duration::from_millis(50)).await;
    }
    for version in VERSIONS {
        let caller = Caller::new(&daemon, version, Family::V4).await?;
        let answer = caller.send(&Request::chat("tiny", "Hello", true)).await?;
        ensure!(answer.status == 200 && answer.text().contains("[DONE]"), "{version:?}: {}", answer.text());
    }
    daemon.stop().await
}

#[tokio::test]
async fn chats_that_would_take_of_the_reserve_are_refused() -> Result<()> {
    // Over one connection, so that only their engine's take descriptors.
    const CHATS: usize = 100;
    let double = Double::start(Ollama::default()).await;
    let setup = Setup::backend("ollama", &double.url()).with_limits("header_wait = \"1s\"");
    let prefix = ["prlimit", "--nofile=100:100"].map(str::to_owned).to_vec();
    let daemon = Daemon::start(&Setup { prefix, ..setup }).await?;
    double.misbehave("tiny", Sin::HangBeforeHeaders);
    let caller = Caller::new(&daemon, Version::H3, Family::V4).await?;
    let mut streams = caller.open_many(&Request::chat("tiny", "Hello", true), CHATS).await?;
    let most = open_files(&daemon)?;
    let refused: Vec<_> = streams.extract_if(.., |stream| stream.status != 200).collect();
    println!("{CHATS} chats at 100 descriptors: {} are refused, {most} descriptors are open", refused.len());
    ensure!(!refused.is_empty() && !streams.is_empty(), "{} of {CHATS} are refused", refused.len());
    ensure!(most <= 100 - RESERVE + 6, "{most} descriptors are open");
    for stream in refused {
        let answer = stream.finish().await?;
        let overloaded = answer.json()?["error"]["code"] == "overloaded";
        ensure!(
            answer.status == 503 && overloaded && answer.header("retry-after") == Some("5"),
            "{}",
            answer.text()
        );
    }
    admin::of_role(&daemon, "user").await?;
    let sheet = Sheet::read(&unix(daemon.admin()?, &Request::get("/metrics")).await?.text())?;
    let shed = sheet.sum("ghostllm_shed_total", &[("why", "descriptors")]);
    ensure!(
        shed + streams.len() as f64 == CHATS as f64,
        "{shed} are counted, and {} were not refused",
        streams.len()
    );
    drop(streams);
    daemon.stop().await
}

/// What is taken at a chat's head and opened behind its body is not forgotten in between.
#[tokio::test]
async fn bodies_that_are_held_back_and_come_at_once_take_nothing_of_the_reserve() -> Result<()> {
    const CHATS: usize = 290;
    const FILES: usize = 400;
    let double = Double::start(Ollama::default()).await;
    let setup = Setup::backend("ollama", &double.url()).with_limits(LIMITS);
    let prefix = ["prlimit".to_owned(), format!("--nofile={FILES}:{FILES}")].to_vec();
    let daemon = Daemon::start(&Setup { prefix, ..setup }).await?;
    double.misbehave("tiny", Sin::HangBeforeHeaders);
    let (address, body) = (daemon.plain(false)?, Request::chat("tiny", "Hello", true).body);
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut held = Vec::new();
    for _ in 0..CHATS {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(&[head.as_bytes(), &body[..5]].concat()).await?;
        held.push(stream);
    }
    // They are counted meanwhile, more than once.
    sleep(Duration::from_millis(2500)).await;
    for stream in &mut held {
        // Some were refused.
        let _rest = stream.write_all(&body[5..]).await;
    }
    sleep(Duration::from_secs(1)).await;
    let most = open_files(&daemon)?;
    let asked = Instant::now();
    let status = admin::read(&daemon, "status").await?;
    admin::make(&daemon, &json!({"name": "meanwhile", "role": "user"})).await?;
    let took = asked.elapsed();
    println!(
        "{CHATS} bodies held back at {FILES} descriptors: {most} are open, an admin asks and makes a key within {took:?}"
    );
    ensure!(took <= ANSWERED, "{took:?}");
    ensure!(most > FILES / 2 && most <= FILES - RESERVE + 6, "{most} descriptors are open");
    ensure!(!causes::codes(&status).contains(&"backend_down"), "{status}");
    ensure!(!daemon.stderr().contains("does not answer"), "{}", daemon.stderr());
    drop(held);
    daemon.stop().await
}
