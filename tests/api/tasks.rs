//! Background tasks: each is shown with what its end means; a critical one that panics ends the program, which says so, a restartable one
//! comes back; and a request that panics is that request's failure, and no other's.
//!
//! They are made to panic by the daemon's test hook, a build with the feature `freeze`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    admin, binary, causes,
    client::{Caller, Family, Request, VERSIONS, Version},
    daemon::{Daemon, Setup},
    double::Double,
    expect::{check_failed, check_whole},
    ollama::Ollama,
    response::Response,
    script::Sin,
    sheet::Sheet,
};
use http_body_util::{BodyExt, Full};
use hyper::{body::Bytes, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use memchr::memmem;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{FRANCE, check_error, on_every_version, records::record};

on_every_version!(
    a_request_that_panics_is_that_request_s_500,
    a_stream_that_panics_fails_and_all_others_go_on,
    a_stream_that_panics_behind_its_last_event_is_whole
);

/// Names the file with the name of what hangs or panics.
const VARIABLE: &str = "FREEZE_GHOSTLLM";
/// What the hook panics with, which is a panic's words and must be told nowhere.
const WORDS: &str = "a test wants it";
/// The program ends within this once a critical task has: a second for open requests, two for their last words, and two for HTTP/3's.
const END: Duration = Duration::from_secs(10);
/// How long anything else may take.
const PATIENCE: Duration = Duration::from_secs(20);
const CAUSE: &str = "it panicked, and the log has the place";

/// Where the daemon is told what is to panic.
struct Hook(TempDir);

impl Hook {
    fn new() -> Result<Self> {
        let program = fs::read(binary("ghostllm"))?;
        ensure!(
            memmem::find(&program, VARIABLE.as_bytes()).is_some(),
            "the daemon is built without its test hook: cargo build --release --workspace --bins --features ghostctl/journal,ghostllm/freeze"
        );
        Ok(Self(tempfile::tempdir()?))
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("freeze")
    }

    fn on(&self, setup: Setup) -> Setup {
        setup.with_environment(VARIABLE, &self.file().display().to_string())
    }

    fn panics(&self, name: &str) -> Result<()> {
        Ok(fs::write(self.file(), format!("panic:{name}"))?)
    }

    fn over(&self) -> Result<()> {
        Ok(fs::remove_file(self.file())?)
    }
}

/// A daemon with two threads that its service manager would watch; not one that it would be killed by.
fn watched(hook: &Hook, setup: Setup) -> Setup {
    hook.on(setup).with_limits("threads = 2").with_environment("WATCHDOG_USEC", "60000000")
}

async fn tasks(daemon: &Daemon) -> Result<Vec<Value>> {
    let list = admin::read(daemon, "tasks").await?;
    ensure!(list["version"] == 1, "{list}");
    list["tasks"].as_array().cloned().context("no tasks")
}

async fn panics(daemon: &Daemon) -> Result<u64> {
    admin::read(daemon, "tasks").await?["request_panics"].as_u64().context("no count")
}

fn names(tasks: &[Value], policy: &str) -> Vec<String> {
    let named = tasks.iter().filter(|task| task["policy"] == policy);
    named.filter_map(|task| task["name"].as_str().map(str::to_owned)).collect()
}

/// Waits until that task is so.
async fn until(daemon: &Daemon, name: &str, so: impl Fn(&Value) -> bool) -> Result<Value> {
    let begun = Instant::now();
    loop {
        let all = tasks(daemon).await?;
        let task = all.into_iter().find(|task| task["name"] == name).context("no such task")?;
        if so(&task) {
            return Ok(task);
        }
        ensure!(begun.elapsed() < PATIENCE, "{task}\n{}", daemon.stderr());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn every_task_stands_in_one_list_with_what_its_end_means() -> Result<()> {
    let hook = Hook::new()?;
    let daemon = Daemon::start(&watched(&hook, Setup::default())).await?;
    let (critical, restartable) = ("critical", "restartable");
    let mut expected: BTreeMap<String, &str> = BTreeMap::new();
    for name in ["thread 0", "thread 1", "admin", "main", "watchdog"] {
        expected.insert(name.to_owned(), critical);
    }
    expected.insert(format!("tls [::]:{}", daemon.tls), critical);
    for address in &daemon.plain {
        expected.insert(format!("plain {address}"), critical);
    }
    expected.insert(format!("quic [::]:{}", daemon.quic.context("no HTTP/3")?), restartable);
    for name in ["log", "engine", "backends", "keys", "usage", "alerts", "health", "heat", "news", "room"] {
        expected.insert(name.to_owned(), restartable);
    }
    let all = tasks(&daemon).await?;
    let seen: BTreeMap<String, &str> = all
        .iter()
        .filter_map(|task| Some((task["name"].as_str()?.to_owned(), task["policy"].as_str()?)))
        .collect();
    ensure!(seen == expected && all.len() == expected.len(), "{all:#?}");
    for task in &all {
        let well = task["state"] == "running" && task["restarts"] == 0 && task["last_error"].is_null();
        ensure!(well, "{task}");
    }
    ensure!(panics(&daemon).await? == 0);
    daemon.stop().await
}

#[tokio::test]
async fn each_critical_task_that_panics_ends_the_program_which_names_it() -> Result<()> {
    let hook = Hook::new()?;
    let setup = watched(&hook, Setup::backend("ollama", "http://127.0.0.1:1"));
    let mut done = BTreeSet::new();
    // The ports are others each time.
    let kind = |name: &str| name.rsplit_once(':').map_or(name, |(kind, _port)| kind).to_owned();
    loop {
        let daemon = Daemon::start(&setup).await?;
        let critical = names(&tasks(&daemon).await?, "critical");
        let Some(name) = critical.iter().find(|name| !done.contains(&kind(name))).cloned() else {
            ensure!(done.len() == 8 && done.contains("main") && done.contains("watchdog"), "{done:?}");
            return daemon.stop().await;
        };
        let begun = Instant::now();
        hook.panics(&name)?;
        let ended = daemon.wait().await?;
        let took = begun.elapsed();
        hook.over()?;
        let said = &ended.stderr;
        ensure!(ended.code == Some(1) && took < END, "{name}: {:?} after {took:?}\n{said}", ended.status);
        let last = said.lines().last().unwrap_or_default();
        let told =
            format!("ghostllm: the task {name} ended, without which the program cannot go on: {CAUSE}");
        ensure!(last == told, "{name}: {said}");
        let record =
            |line: &&str| line.contains(&format!("\"task\":\"{name}\"")) && line.contains("\"ERROR\"");
        ensure!(said.lines().filter(record).count() == 1, "{name}: {said}");
        ensure!(said.contains("panicked at ") && !said.contains(WORDS), "{name}: {said}");
        println!("{name} panics: the program ends with 1 after {took:?}");
        done.insert(kind(&name));
    }
}

#[tokio::test]
async fn open_streams_are_told_when_a_critical_task_has_ended() -> Result<()> {
    let (hook, double) = (Hook::new()?, Double::start(Ollama::default()).await);
    let daemon = Daemon::start(&watched(&hook, Setup::backend("ollama", &double.url()))).await?;
    double.misbehave("tiny", Sin::StallAfter(2));
    let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
    let mut stream = caller.open(&Request::chat("tiny", FRANCE, true)).await?;
    let mut body = stream.until(" capital").await?;
    hook.panics(&format!("tls [::]:{}", daemon.tls))?;
    let rest = stream.finish().await?;
    body.extend(rest.body);
    check_failed(Version::H2, &body, &rest.end, "The capital", "backend_unavailable")?;
    ensure!(daemon.wait().await?.code == Some(1));
    Ok(())
}

#[tokio::test]
async fn a_critical_task_that_panics_while_the_program_ends_is_told_as_well() -> Result<()> {
    let (hook, double) = (Hook::new()?, Double::start(Ollama::default()).await);
    let daemon = Daemon::start(&watched(&hook, Setup::backend("ollama", &double.url()))).await?;
    double.misbehave("tiny", Sin::StallAfter(2));
    // So many that both threads have some: those of one hold the program's end up until the other's is told.
    let mut streams = Vec::new();
    for _ in 0..4 {
        let caller = Caller::new(&daemon, Version::H1, Family::V4).await?;
        let mut stream = caller.open(&Request::chat("tiny", FRANCE, true)).await?;
        stream.until(" capital").await?;
        streams.push(stream);
    }
    daemon.terminate()?;
    daemon.wait_said("stopping: no new requests").await?;
    hook.panics("thread 1")?;
    daemon.wait_said("a critical task ended").await?;
    drop(streams);
    let ended = daemon.wait().await?;
    let said = &ended.stderr;
    ensure!(ended.code == Some(1), "{:?}\n{said}", ended.status);
    let told = format!("ghostllm: the task thread 1 ended, without which the program cannot go on: {CAUSE}");
    ensure!(said.lines().last() == Some(told.as_str()), "{said}");
    let record = |line: &&str| line.contains("\"task\":\"thread 1\"") && line.contains("\"ERROR\"");
    ensure!(said.lines().filter(record).count() == 1, "{said}");
    Ok(())
}

#[tokio::test]
async fn each_restartable_task_that_panics_rests_and_comes_back() -> Result<()> {
    let hook = Hook::new()?;
    let daemon = Daemon::start(&watched(&hook, Setup::default())).await?;
    let restartable = names(&tasks(&daemon).await?, "restartable");
    ensure!(restartable.len() == 11, "{restartable:?}");
    let caller = Caller::new(&daemon, Version::H1, Family::V6).await?;
    for name in &restartable {
        let begun = Instant::now();
        hook.panics(name)?;
        // What wakes the thread that writes the log.
        let _record = caller.send(&Request::get("/v1/models")).await?;
        let task = until(&daemon, name, |task| task["state"] == "waiting").await?;
        ensure!(task["last_error"] == CAUSE, "{task}");
        let status = admin::read(&daemon, "status").await?;
        if name != "engine" && task["restarts"] == 0 {
            causes::cause(&status, "task_rests", "warning", name)?;
        }
        let kind = [("task", name.split(' ').next().context("a kind")?)];
        Sheet::until(&daemon, |sheet| sheet.sum("ghostllm_tasks_failing", &kind) == 1.0).await?;
        hook.over()?;
        Sheet::until(&daemon, |sheet| {
            sheet.sum("ghostllm_tasks_running", &kind) == 1.0
                && sheet.sum("ghostllm_task_restarts_total", &kind) >= 1.0
        })
        .await?;
        let task = until(&daemon, name, |task| task["state"] == "running").await?;
        ensure!(task["restarts"].as_u64() >= Some(1) && task["last_error"] == CAUSE, "{task}");
        println!("{name} panics: it goes on after {:?}", begun.elapsed());
    }
    causes::until(&daemon, |status| causes::cause(status, "task_rests", "warning", "").is_err()).await?;
    // The log writes again, and says what it has lost.
    daemon.wait_said("records of the log were lost").await?;
    let demo = Request::chat("ghostllm-demo", FRANCE, false);
    for version in VERSIONS {
        let caller = Caller::new(&daemon, version, Family::V4).await?;
        let begun = Instant::now();
        while caller.send(&demo).await?.status != 200 {
            ensure!(begun.elapsed() < PATIENCE, "{version:?}: {}", daemon.stderr());
        }
    }
    ensure!(panics(&daemon).await? == 0, "no request has panicked");
    daemon.terminate()?;
    let ended = daemon.wait().await?;
    ensure!(ended.code == Some(0) && !ended.stderr.contains(WORDS), "{}", ended.stderr);
    Ok(())
}

#[tokio::test]
async fn a_task_that_hangs_is_shown_as_such_until_it_goes_on() -> Result<()> {
    let hook = Hook::new()?;
    let setup = hook.on(Setup::backend("ollama", "http://127.0.0.1:1"));
    // Half of it may pass without a sign of life. Nobody kills it here.
    let daemon = Daemon::start(&setup.with_environment("WATCHDOG_USEC", "4000000")).await?;
    let name = format!("plain {}", daemon.plain(false)?);
    fs::write(hook.file(), &name)?;
    let task = until(&daemon, &name, |task| task["state"] == "hanging").await?;
    ensure!(task["restarts"] == 0 && task["last_error"].is_null(), "{task}");
    causes::cause(&admin::read(&daemon, "status").await?, "hangs", "error", &name)?;
    hook.over()?;
    until(&daemon, &name, |task| task["state"] == "running").await?;
    daemon.wait_said("everything goes on again").await?;
    daemon.stop().await
}

#[tokio::test]
async fn http3_s_connections_outlive_a_panic_of_their_listener() -> Result<()> {
    let (hook, double) = (Hook::new()?, Double::start(Ollama::default()).await);
    let daemon = Daemon::start(&watched(&hook, Setup::backend("ollama", &double.url()))).await?;
    double.misbehave("tiny", Sin::Gated);
    // So that it begins.
    double.release(2);
    let caller = Caller::new(&daemon, Version::H3, Family::V4).await?;
    let request = Request::chat("tiny", FRANCE, true);
    let stream = caller.open(&request).await?;
    let name = format!("quic [::]:{}", daemon.tls);
    hook.panics(&name)?;
    until(&daemon, &name, |task| task["state"] == "waiting").await?;
    hook.over()?;
    double.release(100);
    check_whole(&stream.finish().await?, true)?;
    until(&daemon, &name, |task| task["state"] == "running").await?;
    double.release(100);
    check_whole(&caller.send(&request).await?, true)?;
    daemon.terminate()?;
    let ended = daemon.wait().await?;
    ensure!(ended.code == Some(0), "{}", ended.stderr);
    Ok(())
}

async fn a_request_that_panics_is_that_request_s_500(version: Version) -> Result<()> {
    let (hook, double) = (Hook::new()?, Double::start(Ollama::default()).await);
    let daemon = Daemon::start(&watched(&hook, Setup::backend("ollama", &double.url()))).await?;
    double.misbehave("tiny", Sin::Slow(Duration::from_millis(30)));
    let caller = Caller::new(&daemon, version, Family::V6).await?;
    let other = caller.open(&Request::chat("tiny", FRANCE, true)).await?;
    hook.panics("request victim")?;
    for (nth, stream) in [(1, true), (2, false)] {
        let victim = Request::chat("tiny", FRANCE, stream).with("x-request-id", "victim");
        check_error(&caller.send(&victim).await?, 500, Some("internal_error"))?;
        ensure!(panics(&daemon).await? == nth);
        check_whole(&caller.send(&Request::chat("tiny", FRANCE, stream)).await?, stream)?;
    }
    check_whole(&other.finish().await?, true)?;
    Sheet::until(&daemon, |sheet| sheet.sum("ghostllm_request_panics_total", &[]) == 2.0).await?;
    daemon.terminate()?;
    let ended = daemon.wait().await?;
    let said = &ended.stderr;
    ensure!(ended.code == Some(0) && !said.contains(WORDS), "{said}");
    ensure!(said.contains("panicked at ") && said.contains("its handling has panicked"), "{said}");
    Ok(())
}

async fn a_stream_that_panics_fails_and_all_others_go_on(version: Version) -> Result<()> {
    let (hook, double) = (Hook::new()?, Double::start(Ollama::default()).await);
    let daemon = Daemon::start(&watched(&hook, Setup::backend("ollama", &double.url()))).await?;
    double.misbehave("tiny", Sin::Slow(Duration::from_millis(100)));
    let caller = Caller::new(&daemon, version, Family::V6).await?;
    let request = Request::chat("tiny", FRANCE, true);
    let other = caller.open(&request).await?;
    let mut victim = caller.open(&request.clone().with("x-request-id", "victim")).await?;
    let mut body = victim.until("The").await?;
    hook.panics("stream victim")?;
    let rest = victim.finish().await?;
    body.extend(rest.body);
    check_failed(version, &body, &rest.end, "The", "internal_error")?;
    check_whole(&other.finish().await?, true)?;
    hook.over()?;
    ensure!(panics(&daemon).await? == 1);
    let found = record(&daemon, "victim").await?;
    let expected = json!({"ended": "failed", "status": 200, "code": "internal_error", "cause": "its handling has panicked"});
    for (field, value) in expected.as_object().context("fields")? {
        ensure!(found[field] == *value, "{field}: {found:#}");
    }
    // It has let the engine go, and is open no more.
    double.wait_left("/api/chat").await;
    ensure!(admin::read(&daemon, "requests").await?["requests"] == json!([]));
    daemon.terminate()?;
    let ended = daemon.wait().await?;
    ensure!(ended.code == Some(0) && !ended.stderr.contains(WORDS), "{}", ended.stderr);
    Ok(())
}

#[tokio::test]
async fn the_events_of_a_response_that_panics_go_on_in_their_numbers() -> Result<()> {
    let (hook, double) = (Hook::new()?, Double::start(Ollama::default()).await);
    let daemon = Daemon::start(&watched(&hook, Setup::backend("ollama", &double.url()))).await?;
    double.misbehave("tiny", Sin::Slow(Duration::from_millis(100)));
    let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
    let asked = json!({"model": "tiny", "input": FRANCE, "stream": true});
    let mut victim =
        caller.open(&Request::post("/v1/responses", &asked).with("x-request-id", "victim")).await?;
    let mut body = victim.until("output_text.delta").await?;
    hook.panics("stream victim")?;
    body.extend(victim.finish().await?.body);
    // The reader wants every number, once and in its order.
    let read = Response::read(&body)?;
    let kinds = read.kinds();
    ensure!(kinds.ends_with(&["response.failed", "error"]), "{kinds:?}");
    ensure!(kinds.iter().filter(|kind| **kind == "response.created").count() == 1, "{kinds:?}");
    ensure!(panics(&daemon).await? == 1);
    hook.over()?;
    daemon.terminate()?;
    ensure!(daemon.wait().await?.code == Some(0));
    Ok(())
}

/// Where the engine's own end is waited for, its client has all, and nothing may come behind it.
async fn a_stream_that_panics_behind_its_last_event_is_whole(version: Version) -> Result<()> {
    let (hook, double) = (Hook::new()?, Double::start(Ollama::default()).await);
    let daemon = Daemon::start(&watched(&hook, Setup::backend("ollama", &double.url()))).await?;
    let caller = Caller::new(&daemon, version, Family::V6).await?;
    hook.panics("over victim")?;
    let victim = Request::chat("tiny", FRANCE, true).with("x-request-id", "victim");
    check_whole(&caller.send(&victim).await?, true)?;
    ensure!(panics(&daemon).await? == 1, "it has not panicked, which shows nothing");
    hook.over()?;
    let found = record(&daemon, "victim").await?;
    ensure!(found["ended"] == "completed" && found["status"] == 200, "{found:#}");
    ensure!(admin::read(&daemon, "requests").await?["requests"] == json!([]));
    daemon.terminate()?;
    let ended = daemon.wait().await?;
    ensure!(ended.code == Some(0) && !ended.stderr.contains(WORDS), "{}", ended.stderr);
    Ok(())
}

/// Of two streams on one connection one panics; the other, and the connection, live on.
#[tokio::test]
async fn the_connection_of_a_stream_that_panics_lives_on() -> Result<()> {
    let (hook, double) = (Hook::new()?, Double::start(Ollama::default()).await);
    let daemon = Daemon::start(&watched(&hook, Setup::backend("ollama", &double.url()))).await?;
    double.misbehave("tiny", Sin::Slow(Duration::from_millis(100)));
    let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
    let wire = TokioIo::new(caller.dial().await?.wire);
    let (mut send, connection) = http2::handshake(TokioExecutor::new(), wire).await?;
    let connection = tokio::spawn(connection);
    let key = daemon.key.clone().context("no key")?;
    let mut ask = async |id: &str| {
        let Request { authority, path, body, .. } = Request::chat("tiny", FRANCE, true);
        let request = hyper::Request::post(format!("https://{authority}{path}"))
            .header("authorization", format!("Bearer {key}"))
            .header("content-type", "application/json")
            .header("x-request-id", id)
            .body(Full::new(Bytes::from(body)))?;
        anyhow::Ok(send.send_request(request).await?.into_body())
    };
    let (mut other, mut victim) = (ask("other").await?, ask("victim").await?);
    let _first = victim.frame().await.context("no frame")??;
    hook.panics("stream victim")?;
    let broken = loop {
        match victim.frame().await {
            Some(Ok(_)) => {}
            Some(Err(error)) => break error,
            None => anyhow::bail!("it looks complete"),
        }
    };
    ensure!(broken.to_string().contains("stream") || !broken.is_closed(), "{broken:?}");
    let mut rest = Vec::new();
    while let Some(frame) = other.frame().await {
        rest.extend(frame?.into_data().unwrap_or_default());
    }
    ensure!(String::from_utf8_lossy(&rest).ends_with("data: [DONE]\n\n"), "the other is not whole");
    let again = ask("again").await?.collect().await?.to_bytes();
    ensure!(again.ends_with(b"data: [DONE]\n\n"), "{again:?}");
    ensure!(!connection.is_finished() && panics(&daemon).await? == 1);
    daemon.terminate()?;
    ensure!(daemon.wait().await?.code == Some(0));
    Ok(())
}
