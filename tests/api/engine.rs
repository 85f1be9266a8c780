//! The engine's life beside the daemon's: whose it is, how it dies and hangs, and what clients hear of that.

use std::{
    fs,
    os::unix::net::UnixListener,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    admin, binary,
    client::{Answer, Caller, End, Family, Request, Version, plain},
    daemon::{Daemon, Setup},
    engine::{self, Engine},
    process,
    sse::Chat,
};
use nix::sys::signal::Signal;
use serde_json::json;
use tempfile::TempDir;
use tokio::{io::unix::AsyncFd, time::timeout};

use crate::{FRANCE, check_error, check_error_object, on_every_version};

on_every_version!(
    tells_a_client_that_the_engine_was_killed,
    tells_a_client_that_the_engine_hangs,
    frees_the_engine_of_a_prompt_whose_client_left,
);

/// Rounds come often, so that nobody waits for one.
const OFTEN: &str = "find_interval = \"50ms\"";
/// A killed engine is back within this: a second of waiting, its start, and ample time for a loaded machine.
const SECONDS: Duration = Duration::from_secs(10);

/// A daemon with an engine of its own that has the endless model.
async fn endless(limits: &str, engine: &str) -> Result<Daemon> {
    let daemon = Daemon::start(&Setup::default().with_limits(limits).with_engine(engine)).await?;
    engine::put(&daemon.state("models/endless.gguf"), &engine::endless())?;
    daemon.wait_said("engine has now: endless").await?;
    Ok(daemon)
}

/// Asks the demo again and again until it answers, and says how long that took. Each question is a round trip.
async fn back(caller: &Caller) -> Result<Duration> {
    let begun = Instant::now();
    let answered = async {
        loop {
            let answer = caller.send(&Request::chat("ghostllm-demo", FRANCE, false)).await?;
            if answer.status == 200 {
                return anyhow::Ok(());
            }
            ensure!(matches!(answer.status, 502..=504), "{} {}", answer.status, answer.text());
        }
    };
    timeout(SECONDS, answered).await.context("the engine is not back in time")??;
    Ok(begun.elapsed())
}

/// Checks a stream that had begun well and then failed with this code.
fn check_cut(version: Version, begun: Vec<u8>, rest: &Answer, code: &str) -> Result<()> {
    let body = [begun, rest.body.clone()].concat();
    let text = String::from_utf8_lossy(&body);
    let chat = Chat::read(&body)?;
    ensure!(!chat.text().is_empty() && !chat.done && chat.finishes().is_empty(), "{text}");
    check_error_object(chat.error().with_context(|| format!("no error event: {text}"))?, Some(code))?;
    match version {
        Version::H1 => ensure!(rest.end == End::Clean, "HTTP/1.1 must end the body cleanly: {:?}", rest.end),
        Version::H2 | Version::H3 => {
            ensure!(matches!(rest.end, End::Broken(_)), "a reset must follow: {:?}", rest.end);
        }
    }
    Ok(())
}

async fn tells_a_client_that_the_engine_was_killed(version: Version) -> Result<()> {
    let daemon = endless(OFTEN, "").await?;
    let caller = Caller::new(&daemon, version, Family::V4).await?;
    let first = daemon.engine()?;
    let mut stream = caller.open(&Request::chat("endless", FRANCE, true)).await?;
    let begun = stream.until("The").await?;
    process::signal(first, Signal::SIGKILL)?;
    check_cut(version, begun, &stream.finish().await?, "backend_error")?;
    let back = back(&caller).await?;
    println!("{version:?}: a killed engine answers again after {back:?}");
    ensure!(daemon.engine()? != first && process::is_gone(first), "it is another process");
    daemon.wait_said("it ended by itself (signal: 9").await?;
    daemon.stop().await
}

async fn tells_a_client_that_the_engine_hangs(version: Version) -> Result<()> {
    let limits = format!("{OFTEN}\nbackend_first_byte = \"300ms\"\nbackend_idle = \"300ms\"");
    // By default the watch is more patient than these clients are.
    let daemon = endless(&limits, "stop_wait = \"50ms\"").await?;
    let caller = Caller::new(&daemon, version, Family::V4).await?;
    let first = daemon.engine()?;
    let mut stream = caller.open(&Request::chat("endless", FRANCE, true)).await?;
    let begun = stream.until("The").await?;
    process::signal(first, Signal::SIGSTOP)?;
    check_cut(version, begun, &stream.finish().await?, "backend_timeout")?;
    for stream in [false, true] {
        let answer = caller.send(&Request::chat("endless", FRANCE, stream)).await?;
        check_error(&answer, 504, Some("backend_timeout"))?;
    }
    ensure!(daemon.engine()? == first, "it was not started anew yet");
    // It hears no SIGTERM either, and the daemon ends in good order all the same.
    daemon.stop().await?;
    ensure!(process::is_gone(first), "it outlives the daemon");
    Ok(())
}

#[tokio::test]
async fn starts_an_engine_that_hangs_anew() -> Result<()> {
    let daemon = endless(OFTEN, "check_interval = \"50ms\"\ncheck_wait = \"500ms\"").await?;
    let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
    let first = daemon.engine()?;
    let mut stream = caller.open(&Request::chat("endless", FRANCE, true)).await?;
    let begun = stream.until("The").await?;
    process::signal(first, Signal::SIGSTOP)?;
    // The backend's own times are minutes: it is the watch that ends this.
    check_cut(Version::H2, begun, &stream.finish().await?, "backend_error")?;
    daemon.wait_said("it hung: 2 times in a row no answer within 500ms; it was killed").await?;
    let back = back(&caller).await?;
    println!("a hung engine answers again {back:?} after it was killed");
    ensure!(daemon.engine()? != first && process::is_gone(first), "it is another process");
    daemon.stop().await
}

async fn frees_the_engine_of_a_prompt_whose_client_left(version: Version) -> Result<()> {
    let directory = TempDir::new()?;
    let (socket, models) = (directory.path().join("engine.sock"), directory.path().join("models"));
    fs::create_dir(&models)?;
    fs::write(models.join("endless.gguf"), engine::endless())?;
    let models = models.to_str().context("a path of text")?;
    let _engine = Engine::start(&socket, &["--models", models, "--context", "50000"]).await?;
    let setup = Setup::default().with_engine(&format!("socket = \"{}\"", socket.display()));
    let daemon = Daemon::start(&setup).await?;
    let caller = Caller::new(&daemon, version, Family::V4).await?;
    let busy = |status: &serde_json::Value| status["running"] == 1;
    let free = |status: &serde_json::Value| status["running"] == 0 && status["queued"] == 0;
    let ask = |words: usize| {
        let messages = json!([{"role": "user", "content": "one two three ".repeat(words)}]);
        let body = json!({"model": "endless", "stream": true, "max_tokens": 1, "messages": messages,
            "stream_options": {"include_usage": true}});
        Request::post("/v1/chat/completions", &body)
    };
    // The model is in memory before anything is measured.
    ensure!(caller.send(&ask(1)).await?.status == 200, "a short prompt is answered");
    let request = ask(1500);
    let asked = async { engine::wait_status(&socket, busy).await.map_or((), drop) };
    let _left = caller.leave_headless(&request, asked).await?;
    let left = Instant::now();
    engine::wait_status(&socket, free).await?;
    let freed = left.elapsed();
    let begun = Instant::now();
    let answer = caller.send(&request).await?;
    let whole = begun.elapsed();
    ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
    let chat = Chat::read(&answer.body)?;
    let tokens = chat.usage().context("usage")?["prompt_tokens"].clone();
    println!("{version:?}: free {freed:?} after its client had left; all {tokens} tokens take {whole:?}");
    // One of its fifty batches, with room for a loaded machine.
    ensure!(freed < whole / 8, "freed after {freed:?}, where the whole prompt takes {whole:?}");
    daemon.stop().await
}

#[tokio::test]
async fn uses_the_engine_of_somebody_else_and_starts_none() -> Result<()> {
    let directory = TempDir::new()?;
    let socket = directory.path().join("engine.sock");
    let setup = Setup::default().with_engine(&format!("socket = \"{}\"", socket.display()));
    let daemon = Daemon::start(&setup.with_limits(OFTEN)).await?;
    let ready = async || plain(daemon.plain(false)?, &Request::get("/readyz")).await;
    let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
    ensure!(ready().await?.status == 503, "nothing can answer yet");
    daemon.wait_said(&format!("no engine at {}", socket.display())).await?;
    let answer = caller.send(&Request::chat("ghostllm-demo", FRANCE, false)).await?;
    check_error(&answer, 503, Some("backend_unavailable"))?;
    for turn in ["the first", "the second"] {
        let engine = Engine::start(&socket, &[]).await?;
        back(&caller).await.with_context(|| format!("{turn} engine"))?;
        daemon.wait_said("answers; its models: ghostllm-demo").await?;
        // A chat may be the first that finds it, and a look the second.
        let begun = Instant::now();
        while ready().await?.status != 200 {
            ensure!(begun.elapsed() < SECONDS, "{turn} engine can answer");
        }
        let children = process::children(daemon.id()?)?;
        let arguments: Vec<_> = children.iter().map(|child| process::arguments(*child)).collect();
        ensure!(arguments.is_empty(), "it has started {arguments:?}");
        // Killed, so that its socket stays and nobody answers on it.
        engine.kill().await?;
        let answer = caller.send(&Request::chat("ghostllm-demo", FRANCE, true)).await?;
        check_error(&answer, 503, Some("backend_unavailable"))?;
    }
    daemon.stop().await
}

#[tokio::test]
async fn wakes_an_engine_that_waits_behind_its_socket() -> Result<()> {
    let directory = TempDir::new()?;
    let socket = directory.path().join("engine.sock");
    // As a socket unit: it listens before there is an engine, and starts one at the first connection.
    let listener = UnixListener::bind(&socket)?;
    let setup = Setup::default().with_engine(&format!("socket = \"{}\"", socket.display()));
    let unit = async {
        #[expect(
            deprecated,
            reason = "the listener is owned by what watches it, so that no descriptor is mistaken"
        )]
        let knock = AsyncFd::new(listener.try_clone()?)?;
        drop(knock.readable().await?);
        Engine::activated(listener.try_clone()?).await
    };
    let (daemon, engine) = tokio::try_join!(Daemon::start(&setup), unit)?;
    let ready = plain(daemon.plain(false)?, &Request::get("/readyz")).await?;
    ensure!(ready.status == 200, "{}:\n{}", ready.text(), daemon.stderr());
    let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
    ensure!(caller.send(&Request::chat("ghostllm-demo", FRANCE, false)).await?.status == 200, "it answers");
    ensure!(process::children(daemon.id()?)?.is_empty(), "it has started an engine beside");
    engine.kill().await?;
    // The socket still listens: the next request waits for the next engine instead of failing.
    let request = Request::chat("ghostllm-demo", FRANCE, false);
    let (answer, _engine) =
        tokio::try_join!(caller.send(&request), Engine::activated(listener.try_clone()?))?;
    ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
    daemon.stop().await
}

#[tokio::test]
async fn leaves_no_engine_behind() -> Result<()> {
    for kill in [false, true] {
        let daemon = endless(OFTEN, "").await?;
        let caller = Caller::new(&daemon, Version::H1, Family::V4).await?;
        let (id, engine) = (daemon.id()?, daemon.engine()?);
        let socket = daemon.state("run/engine.sock");
        let mut stream = caller.open(&Request::chat("endless", FRANCE, true)).await?;
        stream.until("The").await?;
        if kill {
            process::signal(id, Signal::SIGKILL)?;
            ensure!(daemon.wait().await?.code.is_none(), "it was killed");
            process::wait_gone(engine).await?;
        } else {
            let _left = stream.leave().await?;
            daemon.stop().await?;
            // Not a moment later: the daemon waits for it.
            ensure!(process::is_gone(engine), "the engine {engine} outlives the daemon");
            ensure!(!socket.exists(), "it ends as it was told to, and so takes its socket away");
        }
    }
    Ok(())
}

#[tokio::test]
async fn says_why_there_is_no_engine_and_serves_the_rest() -> Result<()> {
    let absent = PathBuf::from("/nowhere/ghostllm-engine");
    let setup = Setup::default().with_engine(&format!("binary = \"{}\"", absent.display()));
    let daemon = Daemon::start(&setup.with_file("file", &engine::demo())).await?;
    daemon.wait_said("/nowhere/ghostllm-engine: No such file").await?;
    let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
    let answer = caller.send(&Request::chat("file/ghostllm-demo", FRANCE, false)).await?;
    check_error(&answer, 503, Some("backend_unavailable"))?;
    ensure!(caller.send(&Request::get("/healthz")).await?.status == 200, "the edge serves all the same");
    daemon.stop().await
}

#[tokio::test]
async fn a_box_without_any_engine_is_told_what_to_install() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let program = folder.path().join("ghostllm");
    fs::copy(binary("ghostllm"), &program)?;
    let daemon = Daemon::start(&Setup { program: Some(program), ..Setup::default() }).await?;
    let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
    let answer = caller.send(&Request::chat("ghostllm-demo", FRANCE, false)).await?;
    check_error(&answer, 503, Some("backend_unavailable"))?;
    ensure!(answer.text().contains("apt install ./ghostllm-engine_*.deb"), "{}", answer.text());
    let status = admin::read(&daemon, "status").await?;
    let next = &status["causes"][0]["next"];
    ensure!(status["causes"][0]["code"] == "no_model", "{status}");
    ensure!(
        next.as_str().is_some_and(|next| next.contains("apt install ./ghostllm-engine_*.deb")),
        "{status}"
    );
    daemon.stop().await
}
