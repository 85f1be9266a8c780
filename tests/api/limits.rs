//! Limits of the daemon's own life, reached by settings: each lets through what keeps to it, and ends what does not.
//!
//! What a time is seen by is the order of events. Where nothing may happen, a while is waited: a slow machine sees the same.

use std::{fs, os::unix::fs::PermissionsExt, time::Duration};

use anyhow::{Result, bail, ensure};
use ghostllm_tests::{
    client::{Caller, Family, Request, Version, plain},
    daemon::{Daemon, Setup},
    double::Double,
    engine,
    ollama::Ollama,
    process,
    script::Sin,
};
use nix::sys::signal::Signal;
use serde_json::json;
use tokio::net::TcpStream;

use crate::{FRANCE, check_error};

/// Long enough to see that nothing happens.
const WHILE: Duration = Duration::from_millis(400);

#[tokio::test]
async fn the_start_waits_for_the_first_lists_and_no_longer() -> Result<()> {
    let double = Double::start(Ollama::default()).await;
    double.misbehave("/api/tags", Sin::Gated);
    let setup = |limits: &str| Setup::backend("ollama", &double.url()).with_limits(limits);
    // Within its time: ready means that the list is there.
    let patient = setup("first_lists = \"1h\"\nbackend_list = \"1h\"");
    let mut starting = std::pin::pin!(Daemon::start(&patient));
    tokio::select! {
        _ = &mut starting => bail!("it is ready before the list has come"),
        () = async {
            double.wait_asked("/api/tags").await;
            tokio::time::sleep(WHILE).await;
        } => double.behave("/api/tags"),
    }
    double.release(1000);
    let daemon = starting.await?;
    ensure!(plain(daemon.plain(false)?, &Request::get("/readyz")).await?.status == 200, "the list has come");
    daemon.stop().await?;
    // Beyond it: ready all the same, while the list is still awaited.
    double.misbehave("/api/tags", Sin::HangBeforeHeaders);
    let daemon = Daemon::start(&setup("first_lists = \"50ms\"\nbackend_list = \"1h\"")).await?;
    ensure!(plain(daemon.plain(false)?, &Request::get("/readyz")).await?.status == 503, "no list has come");
    daemon.stop().await
}

#[tokio::test]
async fn the_certificates_files_are_looked_at_as_often_as_set() -> Result<()> {
    let donor = Daemon::start(&Setup::default()).await?;
    // Certificate and key in one file.
    let pair = donor.scratch().join("pair.pem");
    fs::copy(donor.state("ca/server.pem"), &pair)?;
    let given = format!("certificate = \"{0}\"\nkey = \"{0}\"\n", pair.display());
    let start = async |interval: &str| {
        let mut setup = Setup::default().with_limits(&format!("host_interval = \"{interval}\""));
        setup.listen.push_str(&given);
        Daemon::start(&setup).await
    };
    let (often, seldom) = (start("50ms").await?, start("1h").await?);
    let refused = "the changed certificate is not taken";
    for turn in 1..=2 {
        fs::write(&pair, "no certificate any more")?;
        often.wait_said_times(refused, turn).await?;
        fs::copy(donor.state("ca/server.pem"), &pair)?;
        // It was loaded at the start as well.
        often.wait_said_times("is loaded: for", turn + 1).await?;
    }
    // Its first look, at the start, may have met the first change.
    ensure!(seldom.stderr().matches(refused).count() <= 1, "it looks too often:\n{}", seldom.stderr());
    often.stop().await?;
    seldom.stop().await?;
    donor.stop().await
}

#[tokio::test]
async fn so_many_handshakes_wait_and_one_more_is_closed() -> Result<()> {
    let daemon = Daemon::start(&Setup::default().with_limits("handshakes = 2\nhandshake = \"1h\"")).await?;
    let caller = Caller::keyless(&daemon, Version::H1, Family::V4).await?;
    let served =
        async || caller.send(&Request::get("/healthz")).await.is_ok_and(|answer| answer.status == 200);
    let silent = async || TcpStream::connect(("127.0.0.1", daemon.tls)).await;
    let first = silent().await?;
    ensure!(served().await, "one waits, and there is a place");
    // Who comes behind a silent one may be counted before it and have the last place: then another is needed.
    let mut more = Vec::new();
    loop {
        more.push(silent().await?);
        if !served().await {
            break;
        }
        ensure!(more.len() < 100, "two wait, and there is a place still");
    }
    drop(more);
    let mut tries = 0;
    while !served().await {
        tries += 1;
        ensure!(tries < 100, "one waits again, and there is no place");
    }
    drop(first);
    daemon.stop().await
}

#[tokio::test]
async fn an_engine_that_does_not_answer_in_time_is_started_anew() -> Result<()> {
    let directory = tempfile::TempDir::new()?;
    let program = directory.path().join("engine");
    fs::write(&program, "#!/bin/sh\nread forever\n")?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700))?;
    let engine = |wait: &str| format!("binary = \"{}\"\nstart_wait = \"{wait}\"", program.display());
    let setup = |wait: &str| Setup::default().with_limits("first_lists = \"0s\"").with_engine(&engine(wait));
    let patient = Daemon::start(&setup("1h")).await?;
    // Readiness waits for no engine here.
    let started = async {
        loop {
            if let Ok(engine) = patient.engine() {
                return engine;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    let first = tokio::time::timeout(ghostllm_tests::client::PATIENCE, started).await?;
    let hasty = Daemon::start(&setup("200ms")).await?;
    let words = "it did not answer within 200ms of its start, and was killed";
    hasty.wait_said(words).await?;
    ensure!(patient.engine()? == first, "its time is not over");
    hasty.stop().await?;
    patient.stop().await
}

#[tokio::test]
async fn an_engine_is_asked_as_often_as_set_and_a_hang_is_two_misses() -> Result<()> {
    let setup = |engine: &str| Setup::default().with_engine(engine);
    let often = "check_interval = \"50ms\"\ncheck_wait = \"100ms\"";
    let watched = Daemon::start(&setup(often)).await?;
    let seldom = Daemon::start(&setup("check_interval = \"1h\"\ncheck_wait = \"100ms\"")).await?;
    let patient = Daemon::start(&setup("check_interval = \"50ms\"\ncheck_wait = \"1h\"")).await?;
    let stopped = [seldom.engine()?, patient.engine()?];
    for engine in stopped.into_iter().chain([watched.engine()?]) {
        process::signal(engine, Signal::SIGSTOP)?;
    }
    watched.wait_said("it hung: 2 times in a row no answer within 100ms; it was killed").await?;
    ensure!([seldom.engine()?, patient.engine()?] == stopped, "their time is not over");
    for engine in stopped {
        process::signal(engine, Signal::SIGCONT)?;
    }
    for daemon in [watched, seldom, patient] {
        daemon.stop().await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_engine_has_its_time_to_end_and_is_killed_then() -> Result<()> {
    for (wait, killed) in [("20s", false), ("50ms", true)] {
        let daemon = Daemon::start(&Setup::default().with_engine(&format!("stop_wait = \"{wait}\""))).await?;
        let (engine, socket) = (daemon.engine()?, daemon.state("run/engine.sock"));
        if killed {
            process::signal(engine, Signal::SIGSTOP)?;
        }
        daemon.terminate()?;
        process::wait_gone(engine).await?;
        // One that ends by itself takes its socket along; a killed one cannot.
        ensure!(socket.exists() == killed, "stop_wait {wait}");
        daemon.wait().await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_engine_keeps_to_what_the_configuration_names() -> Result<()> {
    let lines = "threads = 1\ncontext = 300\nqueue = 1\nbatch = 8\nlongest_body = 100000\nstop_texts = 1\n\
                 files = 1\ntrial_wait = \"20s\"\ntemplate_work = 100000";
    let setup = Setup::default().with_limits("find_interval = \"50ms\"").with_engine(lines);
    let daemon = Daemon::start(&setup).await?;
    let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
    let ask = async |text: &str, stop: &[&str]| {
        let messages = json!([{"role": "user", "content": text}]);
        let body = json!({"model": "ghostllm-demo", "temperature": 0, "stop": stop, "messages": messages});
        caller.send(&Request::post("/v1/chat/completions", &body)).await
    };
    ensure!(ask(FRANCE, &["x"]).await?.status == 200, "it answers");
    ensure!(ask(FRANCE, &["x", "y"]).await?.status == 400, "one stop text");
    check_error(&ask(&"one two ".repeat(400), &[]).await?, 400, Some("context_length_exceeded"))?;
    ensure!(ask(&"x".repeat(100_000), &[]).await?.status == 413, "a body of 100,000 bytes");
    for name in ["models/a.gguf", "models/b.gguf"] {
        engine::put(&daemon.state(name), &fs::read(engine::demo())?)?;
    }
    daemon.wait_said("engine has now: ").await?;
    let listed = caller.send(&Request::get("/v1/models")).await?.json()?;
    ensure!(listed["data"].as_array().is_some_and(|models| models.len() == 1), "{listed}");
    daemon.stop().await
}
