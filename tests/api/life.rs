//! The daemon's days: keyless routes, readiness, the first key, draining.

use std::{io::Write as _, os::unix::fs::PermissionsExt as _, time::Duration};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    admin,
    client::{Caller, End, Family, Request, VERSIONS, Version, plain, unix},
    daemon::{Daemon, Setup, Signal},
    expect::check_failed,
    process, root,
    script::Sin,
    sse::Chat,
};
use serde_json::json;

use crate::{FRANCE, PARIS, check_error, ollama, on_every_version, sinner};

on_every_version!(
    serves_the_keyless_routes,
    takes_the_first_key_once,
    drains_on_sigterm,
    ends_what_outlasts_the_grace_time_with_an_error,
    ends_what_is_open_with_an_error_at_a_second_signal,
);

async fn serves_the_keyless_routes(version: Version) -> Result<()> {
    let (_double, daemon) = ollama().await?;
    for family in [Family::V4, Family::V6] {
        let caller = Caller::keyless(&daemon, version, family).await?;
        for path in ["/healthz", "/readyz"] {
            let answer = caller.send(&Request::get(path)).await?;
            ensure!(answer.status == 200, "{path}: {} {}", answer.status, answer.text());
        }
        let pem = caller.send(&Request::get("/ca.pem")).await?;
        ensure!(pem.status == 200 && pem.text().starts_with("-----BEGIN CERTIFICATE-----"), "{}", pem.text());
        let der = caller.send(&Request::get("/ca.crt")).await?;
        // A DER certificate is a SEQUENCE with a length of two bytes.
        ensure!(der.status == 200 && der.body.starts_with(&[0x30, 0x82]), "{} {:?}", der.status, der.headers);
    }
    daemon.stop().await
}

#[tokio::test]
async fn is_not_ready_while_no_model_can_answer() -> Result<()> {
    let (mut double, daemon) = ollama().await?;
    let address = daemon.plain(true)?;
    ensure!(plain(address, &Request::get("/readyz")).await?.status == 200, "an engine with models is up");
    daemon.stop().await?;
    double.refuse().await;
    let daemon = Daemon::start(&Setup::backend("ollama", &double.url())).await?;
    let address = daemon.plain(false)?;
    let ready = plain(address, &Request::get("/readyz")).await?;
    ensure!(
        ready.status == 503 && ready.text() == "no model can answer\n",
        "{} {}",
        ready.status,
        ready.text()
    );
    ensure!(plain(address, &Request::get("/healthz")).await?.status == 200, "the edge serves all the same");
    // It may have that model: nobody has said that there is none.
    check_error(&plain(address, &Request::get("/v1/models/tiny")).await?, 503, Some("backend_unavailable"))?;
    daemon.stop().await
}

#[tokio::test]
async fn who_may_see_how_the_box_stands_is_told_which_part_is_not_ready() -> Result<()> {
    let daemon = Daemon::start(&Setup::backend("ollama", "http://127.0.0.1:1")).await?;
    let ready = Request::get("/readyz");
    let word = "no model can answer\n";
    let named = |text: &str| {
        text.starts_with(word) && text.contains("\nbackend_down: ") && text.contains("ghostctl ")
    };
    let ours = unix(daemon.admin()?, &ready).await?;
    ensure!(ours.status == 503 && named(&ours.text()), "{}", ours.text());
    for version in VERSIONS {
        let mut caller = Caller::keyless(&daemon, version, Family::V4).await?;
        for (role, knows) in [("viewer", true), ("operator", true), ("admin", true), ("user", false)] {
            let name = format!("{role}-{version:?}");
            let made = admin::make(&daemon, &json!({"name": name, "role": role})).await?;
            caller = caller.with_key(Some(&made.key));
            let told = caller.send(&ready).await?;
            ensure!(told.status == 503 && told.text().starts_with(word), "{role}: {}", told.text());
            ensure!(
                named(&told.text()) == knows && (knows || told.text() == word),
                "{role}: {}",
                told.text()
            );
        }
        // Whoever is unknown is answered all the same: most of those who ask are no people.
        for key in [None, Some("gllm_nobodys")] {
            caller = caller.with_key(key);
            let told = caller.send(&ready).await?;
            ensure!(told.status == 503 && told.text() == word, "{key:?}: {} {}", told.status, told.text());
        }
    }
    daemon.stop().await
}

#[tokio::test]
async fn finds_an_ollama_at_its_address() -> Result<()> {
    let double = ghostllm_tests::double::Double::start(ghostllm_tests::ollama::Ollama::default()).await;
    let setup = Setup::default().with_environment("OLLAMA_HOST", &double.address().to_string());
    let daemon = Daemon::start(&setup).await?;
    double.wait_asked("/api/tags").await;
    let answer = plain(daemon.plain(false)?, &Request::get("/v1/models")).await?;
    ensure!(answer.text().contains("tiny:latest"), "{} {}", answer.status, answer.text());
    daemon.stop().await
}

async fn takes_the_first_key_once(version: Version) -> Result<()> {
    let (_double, daemon) = ollama().await?;
    let file = daemon.state("first-key");
    ensure!(file.metadata()?.permissions().mode() & 0o777 == 0o600, "its mode is not 0600");
    let key = daemon.key.clone().unwrap();
    let rest = key.strip_prefix("gllm_").unwrap_or_default();
    ensure!(rest.len() == 57 && rest.bytes().all(|byte| byte.is_ascii_alphanumeric()), "the key's shape");
    ensure!(
        daemon.stderr().contains("first-key"),
        "the log does not say where it lies:\n{}",
        daemon.stderr()
    );
    ensure!(!daemon.stderr().contains(&key), "the log holds the key");
    let caller = Caller::new(&daemon, version, Family::V4).await?;
    for _ in 0..2 {
        let answer = caller.send(&Request::get("/v1/models")).await?;
        ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
        ensure!(!file.exists(), "the file is still there after the first use");
    }
    daemon.stop().await
}

#[tokio::test]
async fn shows_the_first_key_once_where_a_person_sees_it() -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let state = scratch.path().join("state");
    let script = root().join("tests/support/on-terminal.py").display().to_string();
    let setup = Setup {
        prefix: vec!["python3".to_owned(), script],
        arguments: vec!["--state-dir".to_owned(), state.display().to_string()],
        state: false,
        ..Setup::backend("ollama", "http://127.0.0.1:1")
    };
    let daemon = Daemon::start(&setup).await?;
    let said = daemon.stderr();
    let shown = said.split_whitespace().find(|word| word.starts_with("gllm_"));
    let shown = shown.with_context(|| format!("no key is shown:\n{said}"))?.to_owned();
    ensure!(!state.join("first-key").exists(), "it lies in a file as well");
    let caller = Caller::keyless(&daemon, Version::H1, Family::V4).await?.with_key(Some(&shown));
    let answer = caller.send(&Request::get("/v1/models")).await?;
    ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
    daemon.stop().await?;
    let daemon = Daemon::start(&setup).await?;
    ensure!(!daemon.stderr().contains("gllm_"), "it is shown again:\n{}", daemon.stderr());
    daemon.stop().await
}

async fn drains_on_sigterm(version: Version) -> Result<()> {
    let (double, daemon) = sinner(Sin::Gated, "", "").await?;
    double.release(2);
    let caller = Caller::new(&daemon, version, Family::V4).await?;
    let mut stream = caller.open(&Request::chat("tiny", FRANCE, true)).await?;
    let mut body = stream.until(" capital").await?;
    daemon.terminate()?;
    daemon.wait_stopping().await?;
    double.release(100);
    let rest = stream.finish().await?;
    body.extend(&rest.body);
    let chat = Chat::read(&body)?;
    ensure!(chat.done && chat.text() == PARIS, "{}", String::from_utf8_lossy(&body));
    ensure!(rest.end == End::Clean, "{:?}", rest.end);
    let ended = daemon.wait().await?;
    ensure!(ended.code == Some(0), "exit code {:?}:\n{}", ended.code, ended.stderr);
    Ok(())
}

async fn ends_what_outlasts_the_grace_time_with_an_error(version: Version) -> Result<()> {
    let (double, daemon) = sinner(Sin::StallAfter(2), "drain_grace = \"200ms\"", "").await?;
    let caller = Caller::new(&daemon, version, Family::V4).await?;
    let mut stream = caller.open(&Request::chat("tiny", FRANCE, true)).await?;
    let mut body = stream.until(" capital").await?;
    let whole = caller.clone();
    let whole = tokio::spawn(async move { whole.send(&Request::chat("tiny", FRANCE, false)).await });
    double
        .wait("two requests", |seen| {
            (seen.iter().filter(|seen| seen.request.path() == "/api/chat").count() == 2).then_some(())
        })
        .await;
    daemon.terminate()?;
    let rest = stream.finish().await?;
    body.extend(&rest.body);
    check_failed(version, &body, &rest.end, "The capital", "backend_unavailable")?;
    let whole = whole.await??;
    check_error(&whole, 503, Some("backend_unavailable"))?;
    ensure!(whole.header("retry-after").is_some(), "no Retry-After");
    let ended = daemon.wait().await?;
    ensure!(ended.code == Some(0), "exit code {:?}:\n{}", ended.code, ended.stderr);
    Ok(())
}

async fn ends_what_is_open_with_an_error_at_a_second_signal(version: Version) -> Result<()> {
    let (_double, daemon) = sinner(Sin::StallAfter(2), "drain_grace = \"1h\"", "").await?;
    let caller = Caller::new(&daemon, version, Family::V4).await?;
    let mut stream = caller.open(&Request::chat("tiny", FRANCE, true)).await?;
    let mut body = stream.until(" capital").await?;
    // timeout(1) signals its child and the child's group: that is one wish to stop.
    daemon.terminate()?;
    daemon.wait_stopping().await?;
    daemon.terminate()?;
    // What comes later than a second after the first is another.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let second = "asked a second time";
    ensure!(!daemon.stderr().contains(second), "one wish counts as two:\n{}", daemon.stderr());
    daemon.terminate()?;
    daemon.wait_said(second).await?;
    let rest = stream.finish().await?;
    body.extend(&rest.body);
    check_failed(version, &body, &rest.end, "The capital", "backend_unavailable")?;
    let ended = daemon.wait().await?;
    ensure!(ended.code == Some(0), "exit code {:?}:\n{}", ended.code, ended.stderr);
    Ok(())
}

#[tokio::test]
async fn a_signal_during_the_start_ends_it_well() -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let (key, number) = (scratch.path().join("key"), scratch.path().join("number"));
    nix::unistd::mkfifo(&key, nix::sys::stat::Mode::S_IRWXU)?;
    // It takes connections and never answers, so that the start waits for a list as well.
    let silent = std::net::TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}", silent.local_addr()?);
    let line = format!("key_file = \"{}\"", key.display());
    let told = format!("echo $$ > '{}' && exec \"$0\" \"$@\"", number.display());
    let prefix = vec!["sh".to_owned(), "-c".to_owned(), told];
    let setup = Setup { prefix, ..Setup::default() }.with_backend("vllm", "openai", &url, &line);
    let ended = tokio::spawn(async move { Daemon::fail(&setup).await });
    // Opened once the daemon reads it, in the middle of its start.
    let write = tokio::task::spawn_blocking(move || std::fs::OpenOptions::new().write(true).open(key));
    let mut write = write.await??;
    process::signal(std::fs::read_to_string(number)?.trim().parse()?, Signal::SIGTERM)?;
    write.write_all(b"secret\n")?;
    drop(write);
    let ended = ended.await??;
    ensure!(ended.code == Some(0), "exit code {:?}:\n{}", ended.code, ended.stderr);
    Ok(())
}
