//! What is amiss with certificates, sockets and backends is among the causes, in the service manager's line, and told as it happens.

use std::{fs, io::Write as _, os::unix::net::UnixStream, time::Instant};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    admin,
    causes::{cause, until},
    certificate::Pair,
    client::{Caller, Family, Request, Version, open_unix},
    daemon::{Daemon, Setup},
    double::Double,
    ollama::Ollama,
};

use crate::{FRANCE, ollama, ollama_with};

#[tokio::test]
async fn a_certificate_s_complaint_is_a_cause_until_it_is_mended_and_its_change_an_event() -> Result<()> {
    let place = tempfile::tempdir()?;
    let pair = Pair::make(place.path(), "own", "box.example.org")?;
    let other = Pair::make(place.path(), "other", "box.example.org")?;
    let mut setup = Setup::backend("ollama", "http://127.0.0.1:1").with_limits("host_interval = \"50ms\"");
    setup.listen.push_str(&pair.lines());
    let daemon = Daemon::start(&setup).await?;
    let mut events = open_unix(daemon.admin()?, &Request::get(&admin::path("events"))).await?;
    events.until(": GhostLLM's events").await?;
    fs::write(&pair.certificate, "no certificate")?;
    daemon.wait_status("the changed certificate is not taken").await?;
    let status = admin::read(&daemon, "status").await?;
    cause(&status, "certificate", "warning", "the changed certificate is not taken")?;
    fs::copy(&other.key, &pair.key)?;
    fs::copy(&other.certificate, &pair.certificate)?;
    until(&daemon, |status| cause(status, "certificate", "warning", "").is_err()).await?;
    let text = String::from_utf8(events.until("event: certificate").await?)?;
    let text = text + &String::from_utf8(events.until("\n\n").await?)?;
    ensure!(text.contains("\"expires\":\"20") && text.contains("\"what\":\"replaced\""), "{text}");
    daemon.stop().await
}

#[tokio::test]
async fn an_engine_that_ends_at_once_is_a_cause() -> Result<()> {
    let daemon = Daemon::start(&Setup::default().with_engine("binary = \"/bin/false\"")).await?;
    until(&daemon, |status| cause(status, "engine_down", "warning", "embedded engine").is_ok()).await?;
    daemon.wait_status("; the embedded engine does not answer").await?;
    daemon.stop().await
}

#[tokio::test]
async fn a_certificate_that_ends_soon_is_a_cause_with_its_day() -> Result<()> {
    let place = tempfile::tempdir()?;
    let pair = Pair::make_for(place.path(), "own", "box.example.org", 7)?;
    let mut setup = Setup::backend("ollama", "http://127.0.0.1:1");
    setup.listen.push_str(&pair.lines());
    let daemon = Daemon::start(&setup).await?;
    daemon.wait_status("own.pem ends on 2").await?;
    cause(&admin::read(&daemon, "status").await?, "certificate", "warning", "ends on 2")?;
    daemon.stop().await
}

#[tokio::test]
async fn an_admin_s_socket_that_cannot_be_had_is_listed_with_its_cause() -> Result<()> {
    let place = tempfile::tempdir()?;
    let (path, state) = (place.path().join("file"), place.path().join("state"));
    let mut setup = Setup::backend("ollama", "http://127.0.0.1:1");
    setup.state = false;
    setup.arguments = vec!["--state-dir".to_owned(), state.display().to_string()];
    setup.listen.push_str(&format!("admin = \"{}\"\n", path.display()));
    let daemon = Daemon::start(&setup).await?;
    let key = admin::of_role(&daemon, "admin").await?.key;
    daemon.stop().await?;
    fs::write(&path, "precious")?;
    let daemon = Daemon::start(&setup).await?;
    daemon.secret(&key);
    let caller = Caller::keyless(&daemon, Version::H2, Family::V4).await?.with_key(Some(&key));
    let status = caller.send(&Request::get(&admin::path("status"))).await?.json()?;
    let listeners = status["listeners"].as_array().context("no listeners")?;
    let admin = listeners.iter().find(|listener| listener["kind"] == "admin").context("it is not listed")?;
    ensure!(admin["serves"] == false && admin["address"] == path.display().to_string(), "{admin}");
    cause(&status, "listener_missing", "warning", "is no socket")?;
    daemon.stop().await
}

#[tokio::test]
async fn a_backend_that_a_reload_adds_or_removes_is_told() -> Result<()> {
    let (double, daemon) = ollama().await?;
    let other = Double::start(Ollama::default()).await;
    let mut events = open_unix(daemon.admin()?, &Request::get(&admin::path("events"))).await?;
    events.until(": GhostLLM's events").await?;
    let setup = Setup::default().with_backend("box", "ollama", &double.url(), "");
    daemon.configure(&setup.clone().with_backend("spare", "ollama", &other.url(), ""))?;
    admin::done(&daemon, "POST", "reload", None).await?;
    let told = async |events: &mut ghostllm_tests::client::Stream, what: &str| {
        let text = String::from_utf8(events.until(&format!("\"what\":\"{what}\"")).await?)?;
        ensure!(text.contains("event: backend") && text.contains("\"name\":\"spare\""), "{text}");
        anyhow::Ok(())
    };
    told(&mut events, "added").await?;
    daemon.configure(&setup.clone().with_backend("spare", "ollama", &double.url(), ""))?;
    admin::done(&daemon, "POST", "reload", None).await?;
    told(&mut events, "changed").await?;
    daemon.configure(&setup)?;
    admin::done(&daemon, "POST", "reload", None).await?;
    told(&mut events, "removed").await?;
    daemon.stop().await
}

#[tokio::test]
async fn a_reader_of_events_that_takes_nothing_holds_no_stop_up() -> Result<()> {
    let (_double, daemon) = ollama_with("drain_grace = \"1h\"", "").await?;
    let mut silent = UnixStream::connect(daemon.admin()?)?;
    silent.write_all(b"GET /admin/api/v1/events HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
    // More than the socket takes, which it is not told before.
    let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
    for _ in 0..800 {
        caller.send(&Request::chat("tiny", FRANCE, false)).await?;
    }
    let begun = Instant::now();
    daemon.stop().await?;
    println!("stopped after {:?}", begun.elapsed());
    drop(silent);
    Ok(())
}

#[tokio::test]
async fn ghostctl_names_its_own_commands_where_the_api_names_routes() -> Result<()> {
    let (_double, daemon) = ollama().await?;
    for (arguments, command) in [
        (&["keys", "revoke", "aaaaaaaa", "--yes"][..], "ghostctl keys ls"),
        (&["backends", "test", "nobody"], "ghostctl backends ls"),
        (&["requests", "cancel", "00000000000000000000000000000000", "--yes"], "ghostctl requests ls"),
    ] {
        let ran = crate::ctl::ctl(&daemon, arguments).await?;
        ensure!(ran.code == Some(5), "{ran:?}");
        ensure!(ran.err.contains(command) && !ran.err.contains("GET /"), "{ran:?}");
    }
    // The API's own words are the routes', also for whoever reads them as JSON.
    let answer = admin::ask(&daemon, "DELETE", "keys/aaaaaaaa", None).await?;
    ensure!(answer.text().contains("GET /admin/api/v1/keys"), "{}", answer.text());
    daemon.stop().await
}
