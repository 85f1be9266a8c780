//! Every part that goes by the configuration goes by a new one.

use std::fs;

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    certificate::Pair,
    client::{Caller, End, Family, Request, VERSIONS, Version, plain},
    daemon::{Daemon, Setup},
    double::Double,
    engine,
    kept::{self, Dialer, Place},
    openai::{OpenAi, Style},
    sse::Chat,
};

use super::answers;
use crate::{FRANCE, check_error, ollama, on_every_version};

on_every_version!(limits_of_requests_hold_at_once, limits_of_connections_hold_for_those_that_begin);

/// Makes connections to that daemon that are kept.
pub(super) fn dialer(daemon: &Daemon, version: Version) -> Result<Dialer> {
    let (version, port) = match version {
        Version::H1 => (kept::Version::H1, daemon.tls),
        Version::H2 => (kept::Version::H2, daemon.tls),
        Version::H3 => (kept::Version::H3, daemon.quic.context("HTTP/3")?),
    };
    let address = (std::net::Ipv6Addr::LOCALHOST, port).into();
    Dialer::new(&Place { version, address, ca: daemon.state("ca/ca.pem"), key: daemon.key.clone() })
}

async fn limits_of_requests_hold_at_once(version: Version) -> Result<()> {
    let (double, daemon) = ollama().await?;
    let caller = Caller::new(&daemon, version, Family::V4).await?;
    let setup = Setup::backend("ollama", &double.url());
    let request = Request::chat("tiny", &"a".repeat(2000), false);
    ensure!(caller.send(&request).await?.status == 200, "before");
    daemon.reconfigure(&setup.clone().with_limits("body = \"1KiB\"")).await?;
    check_error(&caller.send(&request).await?, 413, None)?;
    daemon.reconfigure(&setup).await?;
    ensure!(caller.send(&request).await?.status == 200, "afterwards");
    daemon.stop().await
}

async fn limits_of_connections_hold_for_those_that_begin(version: Version) -> Result<()> {
    let (double, daemon) = ollama().await?;
    let dialer = dialer(&daemon, version)?;
    let before = dialer.dial().await?;
    let body = Request::chat("tiny", FRANCE, false).body.into();
    let many = || {
        let mut request = dialer.request(&body)?;
        for _ in 0..20 {
            request.headers_mut().append("x-more", http::HeaderValue::from_static("1"));
        }
        anyhow::Ok(request)
    };
    before.ask(many()?).await?.finish().await?;
    let setup = Setup::backend("ollama", &double.url());
    daemon.reconfigure(&setup.clone().with_limits("header_count = 10")).await?;
    before.ask(many()?).await.context("a connection that was open")?.finish().await?;
    let refused = dialer.dial().await?.ask(many()?).await;
    ensure!(refused.as_ref().is_err_and(|error| format!("{error:#}").contains("431")), "a new connection");
    daemon.reconfigure(&setup).await?;
    dialer.dial().await?.ask(many()?).await?.finish().await?;
    daemon.stop().await
}

#[tokio::test]
async fn names_origins_and_keys_are_asked_for_at_once() -> Result<()> {
    let (double, daemon) = ollama().await?;
    let address = daemon.plain(true)?;
    let named = Request::get("/v1/models").authority("box.internal");
    let page = Request::get("/v1/models").with("origin", "https://app.example.org");
    ensure!(
        plain(address, &named).await?.status == 421 && plain(address, &page).await?.status == 403,
        "before"
    );
    let setup = Setup::backend("ollama", &double.url());
    let lines = "names = [\"box.internal\"]\norigins = [\"https://app.example.org\"]\n";
    daemon.reconfigure(&Setup { listen: format!("{}{lines}", setup.listen), ..setup.clone() }).await?;
    ensure!(
        plain(address, &named).await?.status == 200 && plain(address, &page).await?.status == 200,
        "taken"
    );
    let text = plain(address, &Request::get("/")).await?.text();
    ensure!(text.contains("https://box.internal:"), "the page has not the new name");
    daemon.wait_said("the box's names or addresses have changed").await?;
    for version in VERSIONS {
        let caller = Caller::new(&daemon, version, Family::V6).await?.expecting("box.internal");
        ensure!(
            caller.send(&Request::get("/v1/models")).await?.status == 200,
            "{version:?}: the certificate"
        );
    }
    let key = "plain_auth = \"key\"\n";
    daemon.reconfigure(&Setup { listen: format!("{}{key}", setup.listen), ..setup.clone() }).await?;
    ensure!(plain(address, &Request::get("/v1/models")).await?.status == 401, "no key is asked for");
    ensure!(plain(address, &named).await?.status == 421, "the name is still answered");
    daemon.reconfigure(&setup).await?;
    ensure!(plain(address, &Request::get("/v1/models")).await?.status == 200, "a key is asked for");
    daemon.stop().await
}

#[tokio::test]
async fn an_owner_s_certificate_takes_the_place_of_the_box_s_and_gives_it_back() -> Result<()> {
    let (double, daemon) = ollama().await?;
    let setup = Setup::backend("ollama", &double.url());
    let pair = Pair::make(daemon.scratch(), "owner", "localhost")?;
    let certified = Setup { listen: format!("{}{}", setup.listen, pair.lines()), ..setup.clone() };
    let mut open = Vec::new();
    for version in VERSIONS {
        let dialer = dialer(&daemon, version)?;
        open.push((dialer.dial().await?, dialer));
    }
    let body = Request::chat("tiny", FRANCE, false).body.into();
    for (shown, now, pem) in [(false, &setup, 200), (true, &certified, 404), (false, &setup, 200)] {
        daemon.reconfigure(now).await?;
        let caller = Caller::at(&daemon, Version::H2, ([127, 0, 0, 1], 0).into())?;
        // The box's own CA has not signed the owner's.
        ensure!(caller.send(&Request::get("/healthz")).await.is_err() == shown, "{shown}: another is shown");
        let theirs = caller.trusting(&fs::read(&pair.certificate)?);
        ensure!(theirs.dial().await.is_ok() == shown, "{shown}: the owner's");
        let answer = plain(daemon.plain(true)?, &Request::get("/ca.pem")).await?;
        ensure!(answer.status == pem, "{shown}: /ca.pem is {}", answer.status);
        for (sender, dialer) in &open {
            sender.ask(dialer.request(&body)?).await.context("an open connection")?.finish().await?;
        }
    }
    daemon.stop().await
}

#[tokio::test]
async fn a_backend_s_key_is_read_anew_when_its_file_changes() -> Result<()> {
    let double = Double::start(OpenAi::new(Style::Vllm, "tiny")).await;
    let scratch = tempfile::tempdir()?;
    let key = scratch.path().join("key");
    fs::write(&key, "first")?;
    let line = format!("key_file = \"{}\"", key.display());
    let setup = Setup::default().with_backend("vllm", "openai", &double.url(), &line);
    let daemon = Daemon::start(&setup.with_limits("config_interval = \"50ms\"")).await?;
    ensure!(answers(&daemon, "tiny").await? == 200, "before");
    fs::write(&key, "second")?;
    daemon.wait_reloaded().await?;
    ensure!(answers(&daemon, "tiny").await? == 200, "afterwards");
    let keys = double.seen_at("/v1/chat/completions");
    let keys: Vec<_> = keys.iter().map(|seen| seen.request.header("authorization")).collect();
    ensure!(keys == [Some("Bearer first"), Some("Bearer second")], "{keys:?}");
    ensure!(!daemon.stderr().contains("second"), "the log holds the key");
    daemon.stop().await
}

#[tokio::test]
async fn a_backend_that_stays_keeps_its_connections() -> Result<()> {
    let (double, daemon) = ollama().await?;
    ensure!(answers(&daemon, "tiny").await? == 200, "before");
    let setup = Setup::default().with_backend("box", "ollama", &double.url(), "");
    let other = Double::start(OpenAi::new(Style::Llama, "other")).await;
    daemon.reconfigure(&setup.with_backend("other", "openai", &other.url(), "")).await?;
    ensure!(answers(&daemon, "tiny").await? == 200 && answers(&daemon, "other").await? == 200, "afterwards");
    let chats: Vec<_> = double.seen_at("/api/chat").iter().map(|seen| seen.connection).collect();
    ensure!(matches!(chats.as_slice(), [one, other] if one == other), "connections {chats:?}");
    ensure!(!daemon.stderr().contains("asked no more"), "it was told of a change:\n{}", daemon.stderr());
    daemon.stop().await
}

#[tokio::test]
async fn the_first_file_starts_the_engine_and_the_last_backend_turns_finding_on() -> Result<()> {
    let (double, daemon) = ollama().await?;
    ensure!(daemon.engine().is_err(), "an engine runs for nothing");
    let path = daemon.scratch().join("Named.gguf");
    fs::copy(engine::demo(), &path)?;
    let setup = Setup::backend("ollama", &double.url()).with_file("file", &path);
    // Nothing is started for what is refused.
    let line = "key_file = \"/nowhere/key\"";
    let bad = setup.clone().with_backend("bad", "openai", "http://127.0.0.1:1", line);
    ensure!(daemon.reconfigure(&bad).await?.contains("not in use") && daemon.engine().is_err(), "an engine");
    // It goes by the settings that came with it.
    let lines = "[engine]\ncontext = 64\n";
    let setup = setup.with_limits("first_lists = \"10s\"");
    let status = daemon.reconfigure(&Setup { config: format!("{lines}{}", setup.config), ..setup }).await?;
    ensure!(!status.contains("a restart is needed"), "{status}");
    let arguments = fs::read_to_string(format!("/proc/{}/cmdline", daemon.engine()?))?;
    ensure!(arguments.contains("--context\x0064\0"), "{arguments:?}");
    let answer = plain(daemon.plain(true)?, &Request::chat("Named", FRANCE, true)).await?;
    ensure!(answer.status == 200 && answer.end == End::Clean, "{} {}", answer.status, answer.text());
    ensure!(Chat::read(&answer.body)?.done, "{}", answer.text());
    let engine = daemon.engine()?;
    // Nothing is named any more: our engine's own models are found.
    let status = daemon.reconfigure(&Setup::default()).await?;
    ensure!(status.contains("a restart is needed for engine.context"), "{status}");
    ensure!(answers(&daemon, "ghostllm-demo").await? == 200, "the demo is not found");
    ensure!(daemon.engine()? == engine, "another engine was started");
    daemon.stop().await
}

#[tokio::test]
async fn the_log_says_more_and_less_at_once() -> Result<()> {
    let (double, daemon) = ollama().await?;
    let setup = Setup::backend("ollama", &double.url());
    // Told at `debug`, since it is asked every few seconds.
    let record = "\"route\":\"/healthz\"";
    let healthz = async || plain(daemon.plain(true)?, &Request::get("/healthz")).await;
    healthz().await?;
    ensure!(answers(&daemon, "tiny").await? == 200, "before");
    daemon.wait_said("a chat was answered").await?;
    ensure!(!daemon.stderr().contains(record), "before");
    daemon
        .reconfigure(&Setup {
            config: format!("[log]\nlevel = \"debug\"\n{}", setup.config),
            ..setup.clone()
        })
        .await?;
    ensure!(answers(&daemon, "tiny").await? == 200, "debug");
    healthz().await?;
    daemon.wait_said(record).await?;
    daemon
        .reconfigure(&Setup { config: format!("[log]\nlevel = \"error\"\n{}", setup.config), ..setup })
        .await?;
    let said = daemon.stderr().len();
    ensure!(answers(&daemon, "tiny").await? == 200, "error");
    let bad = Setup { config: "nonsense".into(), ..Setup::default() };
    daemon.reconfigure(&bad).await?;
    daemon.wait_said("is not in use").await?;
    let more = daemon.stderr().get(said..).unwrap_or_default().to_owned();
    ensure!(!more.contains("\"INFO\"") && !more.contains("\"WARN\""), "{more}");
    daemon.stop().await
}
