//! The configuration changes while the daemon serves: what is taken, what waits for a restart, what is refused and how.

mod parts;
mod steady;

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    certificate::Pair,
    client::{Caller, End, Family, Request, VERSIONS, Version, plain},
    daemon::{Daemon, Setup},
    double::Double,
    ollama::Ollama,
    openai::{OpenAi, Style},
    script::Sin,
    sse::Chat,
};

use crate::{FRANCE, PARIS, check_error, ollama, on_every_version};

on_every_version!(open_streams_go_on_while_their_backend_is_taken_away);

/// A daemon with an Ollama, whose files are looked at often.
async fn watched() -> Result<(Double, Daemon, Setup)> {
    let double = Double::start(Ollama::default()).await;
    let setup = Setup::backend("ollama", &double.url()).with_limits("config_interval = \"50ms\"");
    Ok((double, Daemon::start(&setup).await?, setup))
}

async fn answers(daemon: &Daemon, model: &str) -> Result<u16> {
    Ok(plain(daemon.plain(true)?, &Request::chat(model, FRANCE, false)).await?.status)
}

async fn open_streams_go_on_while_their_backend_is_taken_away(version: Version) -> Result<()> {
    let (double, daemon) = ollama().await?;
    let other = Double::start(OpenAi::new(Style::Llama, "other")).await;
    double.misbehave("tiny", Sin::Gated);
    double.release(2);
    let caller = Caller::new(&daemon, version, Family::V4).await?;
    let mut stream = caller.open(&Request::chat("tiny", FRANCE, true)).await?;
    let mut body = stream.until(" capital").await?;
    let before = double.seen_at("/api/chat").len();
    // Made anew by another limit, it is still the same backend.
    let same = Setup::default().with_backend("box", "ollama", &double.url(), "");
    daemon.reconfigure(&same.with_limits("backend_line = \"2MiB\"")).await?;
    daemon.reconfigure(&Setup::backend("openai", &other.url())).await?;
    daemon.wait_said("was taken away, and ends the requests that it has begun").await?;
    check_error(&caller.send(&Request::chat("tiny", FRANCE, false)).await?, 404, Some("model_not_found"))?;
    ensure!(
        caller.send(&Request::chat("other", FRANCE, false)).await?.status == 200,
        "the new one is not used"
    );
    ensure!(double.seen_at("/api/chat").len() == before, "the old one was asked again");
    let last = "which was taken away, has ended";
    ensure!(!daemon.stderr().contains(last), "its request has not ended:\n{}", daemon.stderr());
    double.release(100);
    let rest = stream.finish().await?;
    body.extend(&rest.body);
    let chat = Chat::read(&body)?;
    ensure!(chat.done && chat.text() == PARIS, "{}", String::from_utf8_lossy(&body));
    ensure!(rest.end == End::Clean, "{:?}", rest.end);
    daemon.wait_said(last).await?;
    daemon.stop().await
}

#[tokio::test]
async fn a_changed_file_is_taken_without_being_asked() -> Result<()> {
    let (_double, daemon, setup) = watched().await?;
    let other = Double::start(OpenAi::new(Style::Vllm, "other")).await;
    ensure!(answers(&daemon, "other").await? == 404, "it is there before");
    // Written in place, as an editor may.
    let more = setup.clone().with_backend("vllm", "openai", &other.url(), "");
    fs::write(daemon.config(), format!("[listen]\n{}\n{}", more.listen, more.config))?;
    daemon.wait_reloaded().await?;
    ensure!(answers(&daemon, "other").await? == 200 && answers(&daemon, "tiny").await? == 200, "not taken");
    // Replaced whole, as a tool may.
    daemon.configure(&setup)?;
    daemon.wait_reloaded().await?;
    ensure!(answers(&daemon, "other").await? == 404 && answers(&daemon, "tiny").await? == 200, "not taken");
    daemon.stop().await
}

#[tokio::test]
async fn a_bad_file_changes_nothing_and_is_told_until_it_is_mended() -> Result<()> {
    let (_double, daemon, setup) = watched().await?;
    daemon.configure(&setup.clone().with_limits("straems = 5\nbody = \"x\""))?;
    let status = daemon.wait_reloaded().await?;
    let text = fs::read_to_string(daemon.config())?;
    let line = text.lines().position(|line| line.starts_with("straems")).context("the line")? + 1;
    let place = format!("{}:{line}:1: unknown key \"straems\"", daemon.config().display());
    ensure!(
        status.contains("the changed configuration is not in use") && status.contains(&place),
        "{status}"
    );
    ensure!(status.contains("and another fault: `ghostllm config check "), "{status}");
    daemon.wait_said("the changed configuration is not in use, the one before it stays").await?;
    ensure!(daemon.stderr().contains(&place.replace('"', "\\\"")), "{}", daemon.stderr());
    ensure!(answers(&daemon, "tiny").await? == 200, "it serves no longer");
    // It stands there while other things change, and is not told at every look.
    ensure!(daemon.reload().await?.contains(&place), "not told any more");
    daemon.wait_said_times("is not in use", 2).await?;
    daemon.configure(&setup)?;
    let status = daemon.wait_reloaded().await?;
    ensure!(!status.contains("not in use"), "{status}");
    daemon.wait_said("the configuration is sound again").await?;
    ensure!(daemon.stderr().matches("is not in use").count() == 2, "{}", daemon.stderr());
    daemon.stop().await
}

#[tokio::test]
async fn what_it_names_must_be_usable_too() -> Result<()> {
    let (double, daemon, setup) = watched().await?;
    let scratch = daemon.scratch().to_owned();
    let one = Pair::make(&scratch, "one", "localhost")?;
    let other = Pair::make(&scratch, "other", "localhost")?;
    let wide = scratch.join("wide");
    fs::write(&wide, fs::read(&one.key)?)?;
    fs::set_permissions(&wide, fs::Permissions::from_mode(0o644))?;
    let certified = |key: &Path| {
        let pair = Pair { key: key.to_owned(), ..one.clone() };
        Setup { listen: format!("{}{}", setup.listen, pair.lines()), ..setup.clone() }
    };
    let keyed = |line: &str| Setup::default().with_backend("new", "openai", &double.url(), line);
    for (bad, words) in [
        (
            keyed("key_file = \"/nowhere/key\""),
            "ghostllm.toml:10:12: the backend \"new\": cannot read the key in /nowhere/key",
        ),
        (keyed("key_file = \"a-credential\""), "LoadCredential=NAME:"),
        (certified(&other.key), "does not fit the certificate"),
        (certified(&wide), "chmod 600"),
        (certified(Path::new("/nowhere/key.pem")), "/nowhere/key.pem"),
    ] {
        let status = daemon.reconfigure(&bad).await?;
        ensure!(status.contains("not in use") && status.contains(words), "{words}: {status}");
        ensure!(answers(&daemon, "tiny").await? == 200, "{words}: it was taken in part");
        ensure!(
            Caller::keyless(&daemon, Version::H2, Family::V6)
                .await?
                .send(&Request::get("/healthz"))
                .await?
                .status
                == 200,
            "{words}"
        );
    }
    let status = daemon.reconfigure(&setup).await?;
    ensure!(!status.contains("not in use"), "{status}");
    daemon.stop().await
}

#[tokio::test]
async fn what_needs_a_restart_is_named_and_stays() -> Result<()> {
    let (_double, daemon, setup) = watched().await?;
    let changed = Setup {
        listen: "tls = \"[::]:1\"\nplain = [\"127.0.0.1:0\"]\nhttp3 = false\nnames = [\"box.internal\"]\n"
            .into(),
        config: format!("[log]\nformat = \"json\"\n{}", setup.config),
        ..setup.clone()
    };
    let status = daemon.reconfigure(&changed).await?;
    let named = "listen.tls, listen.plain, listen.http3, log.format";
    ensure!(status.contains(&format!("a restart is needed for {named}")), "{status}");
    daemon.wait_said("stay as they were until a restart").await?;
    for version in VERSIONS {
        let caller = Caller::new(&daemon, version, Family::V6).await?;
        let request = Request::get("/v1/models").authority("box.internal");
        let answer = caller.send(&request).await?;
        ensure!(answer.status == 200, "{version:?}: what needs none was not taken: {}", answer.text());
    }
    let status = daemon.reconfigure(&setup).await?;
    ensure!(!status.contains("a restart is needed"), "{status}");
    daemon.stop().await
}

#[tokio::test]
async fn what_is_no_file_any_more_is_not_waited_for() -> Result<()> {
    let (_double, daemon, setup) = watched().await?;
    fs::remove_file(daemon.config())?;
    nix::unistd::mkfifo(&daemon.config(), nix::sys::stat::Mode::S_IRWXU)?;
    let status = daemon.reload().await?;
    ensure!(status.contains("it is no file"), "{status}");
    ensure!(answers(&daemon, "tiny").await? == 200, "it waits for the pipe");
    fs::remove_file(daemon.config())?;
    ensure!(daemon.reload().await?.contains("No such file"), "a file that is gone is not told");
    ensure!(!daemon.reconfigure(&setup).await?.contains("not in use"), "it is not taken");
    daemon.stop().await
}

#[tokio::test]
async fn a_file_that_is_emptied_opens_nothing_unasked() -> Result<()> {
    let (_double, daemon, setup) = watched().await?;
    let closed = Setup { listen: format!("{}plain_auth = \"key\"\n", setup.listen), ..setup.clone() };
    daemon.configure(&closed)?;
    daemon.wait_reloaded().await?;
    let status = || async {
        Ok::<_, anyhow::Error>(plain(daemon.plain(true)?, &Request::get("/v1/models")).await?.status)
    };
    ensure!(status().await? == 401, "no key is asked for");
    fs::write(daemon.config(), "")?;
    let told = daemon.wait_reloaded().await?;
    ensure!(told.contains("is empty, renamed or gone") && status().await? == 401, "{told}");
    // Whoever means it says so.
    ensure!(
        !daemon.reload().await?.contains("not in use") && status().await? == 200,
        "SIGHUP changes nothing"
    );
    daemon.stop().await
}

#[tokio::test]
async fn a_certificate_that_comes_late_is_taken_when_it_is_there() -> Result<()> {
    let (_double, daemon, setup) = watched().await?;
    let place = |ending: &str| daemon.scratch().join(format!("late.{ending}"));
    let pair = Pair { certificate: place("pem"), key: place("key") };
    let certified = Setup { listen: format!("{}{}", setup.listen, pair.lines()), ..setup };
    daemon.configure(&certified)?;
    let status = daemon.wait_reloaded().await?;
    // The place of listen.certificate: behind [listen], tls and plain.
    let line = format!("{}:4:", daemon.config().display());
    ensure!(status.contains(&line) && status.contains("late.pem"), "{status}");
    Pair::make(daemon.scratch(), "late", "localhost")?;
    let mut status = daemon.wait_reloaded().await?;
    while status.contains("not in use") {
        // OpenSSL writes one file after the other.
        status = daemon.wait_reloaded().await?;
    }
    ensure!(
        !status.contains("not in the certificate"),
        "what the box's own certificate lacks is still told: {status}"
    );
    daemon.stop().await
}

#[tokio::test]
async fn a_signal_before_it_can_be_taken_is_kept() -> Result<()> {
    let double = Double::start(Ollama::default()).await;
    // Both the mask and a signal that waits outlast execve(2): it has come before the daemon's first step.
    let early = "import os, signal, sys\nsignal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})\n\
                 os.kill(os.getpid(), signal.SIGHUP)\nos.execvp(sys.argv[1], sys.argv[1:])";
    let prefix = ["python3", "-c", early].map(str::to_owned).to_vec();
    let daemon = Daemon::start(&Setup { prefix, ..Setup::backend("ollama", &double.url()) }).await?;
    daemon.wait_said("the configuration was read anew").await?;
    ensure!(answers(&daemon, "tiny").await? == 200, "it does not serve");
    daemon.stop().await
}

#[tokio::test]
async fn a_key_that_cannot_be_read_to_its_end_holds_up_neither_requests_nor_the_end() -> Result<()> {
    let (double, daemon, setup) = watched().await?;
    let key = daemon.scratch().join("key");
    nix::unistd::mkfifo(&key, nix::sys::stat::Mode::S_IRWXU)?;
    let line = format!("key_file = \"{}\"", key.display());
    let status = daemon.reconfigure(&setup.with_backend("new", "openai", &double.url(), &line)).await?;
    ensure!(status.contains("could not be read within 10 s"), "{status}");
    ensure!(answers(&daemon, "tiny").await? == 200, "it waits for the pipe");
    daemon.stop().await
}

#[tokio::test]
async fn a_stop_is_heard_while_a_new_backend_is_waited_for() -> Result<()> {
    let (_double, daemon, setup) = watched().await?;
    // It takes connections and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}", silent.local_addr()?);
    daemon
        .configure(&setup.with_limits("first_lists = \"1h\"").with_backend("silent", "openai", &url, ""))?;
    let (mut first, _) = tokio::task::spawn_blocking(move || silent.accept()).await??;
    std::io::Read::read_exact(&mut first, &mut [0; 4])?;
    daemon.stop().await
}
