//! Memory that runs short, in files of the test's own that look like the daemon's control group: what is refused from which percentage
//! on, what is closed, and that it is over at once.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    admin, causes,
    cgroup::{MODEL, Model},
    client::{Answer, Caller, Family, Request, VERSIONS, Version, open_unix, plain, unix},
    daemon::{Daemon, Setup},
    double::Double,
    ollama::Ollama,
    script::Sin,
    sheet::Sheet,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

/// It is looked at ten times a second; the rest is a busy machine's.
const SEEN: Duration = Duration::from_secs(3);
const USED: &str = "ghostllm_memory_used_bytes";
const RESTING: &str = "ghostllm_backend_connections_resting";
const CHAT: &str = "What is the capital of France?";

/// A daemon with an engine that is in the model's group.
async fn place(model: &Model, limits: &str) -> Result<(Daemon, Double)> {
    let double = Double::start(Ollama::default()).await;
    let setup = Setup::backend("ollama", &double.url()).with_limits(limits);
    let daemon = Daemon::start(&Setup { prefix: model.prefix(), ..setup }).await?;
    Ok((daemon, double))
}

/// Waits until this cause is there, in these words, or is not there any more.
async fn until(daemon: &Daemon, code: &str, words: Option<&str>) -> Result<()> {
    let begun = Instant::now();
    loop {
        let now = causes::now(daemon, code).await?;
        let is_so = match (&now, words) {
            (Some(now), Some(words)) => now["what"].as_str().is_some_and(|what| what.contains(words)),
            (now, None) => now.is_none(),
            (None, Some(_)) => false,
        };
        if is_so {
            return Ok(());
        }
        ensure!(begun.elapsed() < SEEN, "{code} is {now:?}, wanted {words:?}\n{}", daemon.stderr());
        sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until the daemon has seen that so many percent are used.
async fn uses(daemon: &Daemon, percent: u64) -> Result<()> {
    let (begun, due) = (Instant::now(), (MODEL / 100 * percent) as f64);
    loop {
        let used =
            Sheet::read(&unix(daemon.admin()?, &Request::get("/metrics")).await?.text())?.sum(USED, &[]);
        if used == due {
            return Ok(());
        }
        ensure!(begun.elapsed() < SEEN, "{used} bytes are used, wanted {due}\n{}", daemon.stderr());
        sleep(Duration::from_millis(20)).await;
    }
}

async fn chat(daemon: &Daemon, version: Version) -> Result<Answer> {
    let caller = Caller::new(daemon, version, Family::V4).await?;
    caller.send(&Request::chat("tiny", CHAT, true)).await
}

fn check_refused(answer: &Answer) -> Result<()> {
    let body = answer.json()?;
    ensure!(
        answer.status == 503
            && answer.header("retry-after") == Some("5")
            && body["error"]["code"] == "overloaded",
        "{} {:?} {body}",
        answer.status,
        answer.header("retry-after")
    );
    ensure!(body["error"]["message"].as_str().is_some_and(|text| text.contains("short of memory")), "{body}");
    Ok(())
}

async fn shed(daemon: &Daemon) -> Result<f64> {
    Ok(Sheet::of(daemon).await?.sum("ghostllm_shed_total", &[("why", "memory")]))
}

#[tokio::test]
async fn at_80_percent_new_chats_are_refused_on_every_version_and_those_that_go_on_do() -> Result<()> {
    let model = Model::new()?;
    let (daemon, double) = place(&model, "").await?;
    for version in VERSIONS {
        ensure!(chat(&daemon, version).await?.status == 200, "{version:?}");
    }
    // One that has begun, and waits for its engine.
    double.misbehave("tiny", Sin::Gated);
    let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
    double.release(1);
    let mut stream = caller.open(&Request::chat("tiny", CHAT, true)).await?;
    ensure!(stream.status == 200, "{}", stream.status);
    stream.until("data: ").await?;
    model.uses(79)?;
    sleep(Duration::from_millis(500)).await;
    ensure!(causes::now(&daemon, "memory_short").await?.is_none(), "at 79 %");
    model.uses(80)?;
    until(&daemon, "memory_short", Some("(80 %): new chats are refused")).await?;
    daemon.wait_status("memory is short").await?;
    for version in VERSIONS {
        check_refused(&chat(&daemon, version).await?)?;
        let caller = Caller::new(&daemon, version, Family::V4).await?;
        for path in ["/healthz", "/readyz", "/v1/models"] {
            let answer = caller.send(&Request::get(path)).await?;
            ensure!(answer.status == 200, "{version:?} {path}: {}", answer.status);
        }
    }
    ensure!(shed(&daemon).await? == VERSIONS.len() as f64, "{}", shed(&daemon).await?);
    ensure!(causes::now(&daemon, "listener_paused").await?.is_none(), "connections are accepted");
    double.behave("tiny");
    double.release(100);
    let whole = stream.finish().await?;
    ensure!(whole.text().contains("[DONE]"), "{}", whole.text());
    // It is over some points below.
    model.uses(76)?;
    sleep(Duration::from_millis(500)).await;
    check_refused(&chat(&daemon, Version::H1).await?)?;
    model.uses(70)?;
    until(&daemon, "memory_short", None).await?;
    for version in VERSIONS {
        ensure!(chat(&daemon, version).await?.status == 200, "{version:?}");
    }
    daemon.stop().await
}

/// A connection of HTTP/1.1 that was answered and asks for nothing.
async fn idle(daemon: &Daemon) -> Result<TcpStream> {
    let mut idle = TcpStream::connect(daemon.plain(false)?).await?;
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await?;
    let mut said = [0; 4096];
    ensure!(idle.read(&mut said).await? > 0, "no answer");
    Ok(idle)
}

/// How many connections of streams are open, over HTTP/1.1, 2 and 3.
async fn speaking(daemon: &Daemon) -> Result<f64> {
    let text = unix(daemon.admin()?, &Request::get("/metrics")).await?.text();
    let open = text.lines().filter_map(|line| line.strip_prefix("ghostllm_connections{"));
    let open = open.filter(|line| !line.contains("listener=\"admin\""));
    let counts = open.map(|line| anyhow::Ok(line.rsplit_once(' ').context("no value")?.1.parse::<f64>()?));
    counts.sum::<Result<f64>>()
}

#[tokio::test]
async fn at_95_percent_idle_connections_go_and_none_comes_but_the_admin_s() -> Result<()> {
    let model = Model::new()?;
    let (daemon, double) = place(&model, "backend_keep_alive = \"1h\"").await?;
    ensure!(chat(&daemon, Version::H1).await?.status == 200);
    let at_rest = Sheet::read(&unix(daemon.admin()?, &Request::get("/metrics")).await?.text())?;
    ensure!(at_rest.sum(RESTING, &[]) >= 1.0, "{}", at_rest.text);
    let mut idle_one = idle(&daemon).await?;
    let mut kept = Vec::new();
    for version in [Version::H2, Version::H3] {
        let caller = Caller::new(&daemon, version, Family::V4).await?;
        kept.push(caller.open(&Request::get("/healthz")).await?.leave().await?);
    }
    // One that goes on.
    double.misbehave("tiny", Sin::Gated);
    let caller = Caller::new(&daemon, Version::H1, Family::V4).await?;
    double.release(1);
    let mut stream = caller.open(&Request::chat("tiny", CHAT, true)).await?;
    stream.until("data: ").await?;
    let mut events = open_unix(daemon.admin()?, &Request::get(&admin::path("events"))).await?;
    events.until(": GhostLLM's events").await?;
    // One that has sent half a head, and no more, for a second.
    let mut half = TcpStream::connect(daemon.plain(false)?).await?;
    half.write_all(b"GET /healthz HTTP/1.1\r\nhost:").await?;
    sleep(Duration::from_secs(1)).await;
    model.uses(95)?;
    until(&daemon, "memory_short", Some("connections wait or are closed")).await?;
    until(&daemon, "listener_paused", Some("for want of memory")).await?;
    for (what, one) in [("the idle one", &mut idle_one), ("half a head", &mut half)] {
        let mut nothing = [0; 16];
        let ended = timeout(SEEN, one.read(&mut nothing)).await.with_context(|| format!("{what} stays"))?;
        ensure!(ended.unwrap_or_default() == 0, "{what}: {nothing:?}");
    }
    // Of the others the one with the stream is left; HTTP/3's says goodbye first.
    let begun = Instant::now();
    while speaking(&daemon).await? > 1.0 {
        ensure!(begun.elapsed() < SEEN * 2, "{} connections are open", speaking(&daemon).await?);
        sleep(Duration::from_millis(50)).await;
    }
    let now = Sheet::read(&unix(daemon.admin()?, &Request::get("/metrics")).await?.text())?;
    ensure!(now.count(RESTING, &[]) == 1 && now.sum(RESTING, &[]) == 0.0, "{}", now.text);
    // Who comes now waits, and is served when there is room.
    let waiting = tokio::spawn(async move { caller.send(&Request::get("/healthz")).await });
    sleep(Duration::from_millis(500)).await;
    ensure!(!waiting.is_finished(), "a connection was accepted");
    model.uses(50)?;
    ensure!(timeout(SEEN, waiting).await.context("it waits still")???.status == 200);
    until(&daemon, "listener_paused", None).await?;
    double.behave("tiny");
    double.release(100);
    ensure!(stream.finish().await?.text().contains("[DONE]"), "the stream was cut");
    drop((kept, events));
    daemon.stop().await
}

#[tokio::test]
async fn memory_that_another_program_has_filled_closes_no_connection() -> Result<()> {
    let model = Model::new()?;
    model.sockets(0)?;
    let (daemon, _double) = place(&model, "").await?;
    let mut idle_one = idle(&daemon).await?;
    model.uses(85)?;
    until(&daemon, "memory_short", Some("(85 %): others have filled it, and chats go on")).await?;
    for version in VERSIONS {
        ensure!(chat(&daemon, version).await?.status == 200, "{version:?}");
    }
    model.uses(97)?;
    until(&daemon, "memory_short", Some("(97 %): new chats are refused (this program")).await?;
    sleep(Duration::from_millis(1500)).await;
    ensure!(causes::now(&daemon, "listener_paused").await?.is_none(), "connections wait");
    for version in VERSIONS {
        check_refused(&chat(&daemon, version).await?)?;
    }
    idle_one.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await?;
    let count = timeout(SEEN, idle_one.read(&mut [0; 4096])).await.context("no answer")??;
    ensure!(count > 0, "the idle one was closed");
    // With a tenth of the limit, its connections are some of what has filled it.
    model.sockets(MODEL / 10)?;
    until(&daemon, "listener_paused", Some("for want of memory")).await?;
    daemon.stop().await
}

#[tokio::test]
async fn what_is_promised_to_chats_whose_engine_is_silent_is_nobody_else_s_until_they_leave() -> Result<()> {
    let model = Model::new()?;
    let (daemon, double) = place(&model, "header_wait = \"500ms\"").await?;
    // There are ten million bytes until 80 %, which is never reached. What chats found before these were seen counts as theirs.
    model.uses(79)?;
    uses(&daemon, 79).await?;
    double.misbehave("tiny", Sin::HangBeforeHeaders);
    let caller = Caller::new(&daemon, Version::H3, Family::V4).await?;
    let mut held = Vec::new();
    // Each wave finds what the one before was charged and does not hold; what it is promised is less each time.
    for _ in 0..5 {
        let came = caller.open_many(&Request::chat("tiny", CHAT, true), 20).await?;
        held.extend(came.into_iter().filter(|stream| stream.status == 200));
        sleep(Duration::from_millis(300)).await;
    }
    ensure!((30..=45).contains(&held.len()), "{} were let in", held.len());
    until(&daemon, "memory_short", Some("the chats that are open may take the rest")).await?;
    for version in VERSIONS {
        check_refused(&chat(&daemon, version).await?)?;
    }
    drop(held);
    until(&daemon, "memory_short", None).await?;
    double.behave("tiny");
    ensure!(chat(&daemon, Version::H1).await?.status == 200);
    daemon.stop().await
}

#[tokio::test]
async fn a_controller_that_is_turned_off_and_on_again_is_found_anew() -> Result<()> {
    let model = Model::new()?;
    let (daemon, _double) = place(&model, "").await?;
    model.turn_off()?;
    until(&daemon, "memory_unknown", Some("memory.max has")).await?;
    model.turn_on()?;
    until(&daemon, "memory_unknown", None).await?;
    model.uses(80)?;
    until(&daemon, "memory_short", Some("(80 %): new chats are refused")).await?;
    daemon.stop().await
}

#[tokio::test]
async fn a_body_that_comes_while_memory_runs_short_is_read_no_further() -> Result<()> {
    let model = Model::new()?;
    let (daemon, _double) = place(&model, "").await?;
    let text = "x".repeat(100_000);
    for (length, piece) in [
        ("transfer-encoding: chunked", format!("{:x}\r\n{text}\r\n", text.len())),
        ("content-length: 8000000", text.clone()),
    ] {
        model.uses(10)?;
        until(&daemon, "memory_short", None).await?;
        let before = shed(&daemon).await?;
        let mut asking = TcpStream::connect(daemon.plain(false)?).await?;
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{length}\r\n\r\n"
        );
        asking.write_all(head.as_bytes()).await?;
        asking.write_all(piece.as_bytes()).await?;
        let mut said = vec![0; 4096];
        let early = timeout(Duration::from_millis(500), asking.read(&mut said)).await;
        ensure!(early.is_err(), "{length}: answered while there was room: {early:?}");
        // It was let in, and what its length was charged is forgotten; what comes now has no room.
        model.uses(80)?;
        until(&daemon, "memory_short", Some("new chats are refused")).await?;
        asking.write_all(piece.as_bytes()).await?;
        let count = timeout(SEEN, asking.read(&mut said)).await.context("it is read on")??;
        let said = String::from_utf8_lossy(&said[..count]).into_owned();
        ensure!(
            said.starts_with("HTTP/1.1 503 ") && said.to_lowercase().contains("retry-after: 5"),
            "{said}"
        );
        // The metrics are shown as they were made up to a second ago.
        sleep(Duration::from_secs(1)).await;
        let counted = shed(&daemon).await? - before;
        ensure!(counted == 1.0, "{length}: counted {counted} times");
    }
    daemon.stop().await
}

#[tokio::test]
async fn the_percentages_are_settings_and_a_body_that_has_no_room_is_not_read() -> Result<()> {
    let model = Model::new()?;
    let (daemon, _double) = place(&model, "memory_shed = 50\nmemory_drop = 60").await?;
    model.uses(49)?;
    sleep(Duration::from_millis(300)).await;
    ensure!(chat(&daemon, Version::H1).await?.status == 200);
    // There are ten million bytes, and a body of eight takes twice as much.
    let mut asking = TcpStream::connect(daemon.plain(false)?).await?;
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
                content-length: 8000000\r\nexpect: 100-continue\r\n\r\n";
    asking.write_all(head.as_bytes()).await?;
    let mut said = vec![0; 4096];
    let count = timeout(SEEN, asking.read(&mut said)).await.context("no answer")??;
    let said = String::from_utf8_lossy(&said[..count]).into_owned();
    ensure!(said.starts_with("HTTP/1.1 503 ") && said.to_lowercase().contains("retry-after: 5"), "{said}");
    model.uses(55)?;
    until(&daemon, "memory_short", Some("(55 %): new chats are refused")).await?;
    model.uses(60)?;
    until(&daemon, "listener_paused", Some("for want of memory")).await?;
    daemon.stop().await
}

#[tokio::test]
async fn without_a_limit_nothing_is_refused_and_nothing_said() -> Result<()> {
    let double = Double::start(Ollama::default()).await;
    let daemon = Daemon::start(&Setup::backend("ollama", &double.url())).await?;
    for version in VERSIONS {
        ensure!(chat(&daemon, version).await?.status == 200, "{version:?}");
    }
    for code in ["memory_short", "memory_unknown", "listener_paused"] {
        ensure!(causes::now(&daemon, code).await?.is_none(), "{code}");
    }
    let text = plain(daemon.plain(false)?, &Request::get("/metrics")).await?.text();
    ensure!(!text.lines().any(|line| line.starts_with("ghostllm_memory_limit_bytes ")), "{text}");
    daemon.stop().await
}
