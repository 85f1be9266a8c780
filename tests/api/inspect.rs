//! `ghostllm inspect`: what there is, beside a daemon and without one, for people and for programs, and nothing of it changed.

use std::{
    fs,
    net::{Ipv6Addr, TcpListener, UdpSocket},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    binary,
    daemon::{Daemon, Setup},
    double::Double,
    machine::{CARD, Machine},
    ollama::Ollama,
    openai::{OpenAi, Style},
    schema,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::ctl::{Ran, ran};

/// A home that is empty, on a machine with one card.
struct Home {
    dir: TempDir,
    machine: Machine,
}

impl Home {
    fn new() -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("ghostllm-test-").tempdir()?;
        Ok(Self { dir, machine: Machine::new(CARD)? })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary("ghostllm"));
        command.arg("inspect").args(arguments).env_clear().env("HOME", self.dir.path());
        let (name, value) = self.machine.variable();
        // Nothing listens on port 1.
        command.env(name, value).env("OLLAMA_HOST", "127.0.0.1:1").stdin(Stdio::null());
        command
    }

    async fn inspects(&self, arguments: &[&str]) -> Result<Ran> {
        ran(&mut self.command(arguments)).await
    }

    async fn json(&self, arguments: &[&str]) -> Result<Value> {
        let ran = self.inspects(&[arguments, &["--json"]].concat()).await?;
        ensure!(ran.code == Some(0) && ran.err.is_empty(), "{ran:?}");
        fits(&ran.out)
    }
}

/// One line of the form that is given out with the API.
fn fits(out: &str) -> Result<Value> {
    ensure!(out.matches('\n').count() == 1 && !out.trim_end().chars().any(char::is_control), "{out:?}");
    let value: Value = serde_json::from_str(out)?;
    schema::fits("Inspected", &value)?;
    ensure!(value["version"] == 1, "{value}");
    Ok(value)
}

/// What fits on a screen: no line is wider than 80 columns but for a single long word, and nothing is obeyed.
fn screen(out: &str) -> Result<()> {
    for line in out.lines() {
        ensure!(line.chars().count() <= 80 || line.trim().split(' ').count() <= 2, "{line:?}");
        ensure!(!line.chars().any(char::is_control), "{line:?}");
    }
    for label in ["daemon ", "host ", "gpus ", "engines ", "models ", "listeners ", "limits ", "config "] {
        ensure!(out.lines().filter(|line| line.starts_with(label)).count() == 1, "{label} in {out}");
    }
    Ok(())
}

fn named<'a>(list: &'a Value, field: &str, name: &str) -> Result<&'a Value> {
    let found = list.as_array().context("no list")?.iter().find(|one| one[field] == name);
    found.with_context(|| format!("no {name}: {list:#}"))
}

#[tokio::test]
async fn without_a_daemon_it_looks_by_itself_and_changes_nothing() -> Result<()> {
    let home = Home::new()?;
    let taken = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0))?;
    let at = format!("[::]:{}", taken.local_addr()?.port());
    let state = home.dir.path().join("state");
    let shown = state.display().to_string();
    let plain = "listen.plain=127.0.0.1:0";
    let arguments = ["--state-dir", &shown, "--set", &format!("listen.tls={at}"), "--set", plain];
    let begun = Instant::now();
    let seen = home.json(&arguments).await?;
    println!("without a daemon it took {:?}", begun.elapsed());
    ensure!(seen["daemon"]["status"].is_null() && seen["daemon"]["socket"].is_null(), "{seen:#}");
    let why = seen["daemon"]["fault"].as_str().context("no fault")?;
    ensure!(why == format!("there is no admin's socket at {shown}/admin.sock"), "{why}");
    let host = &seen["host"];
    ensure!(host["processors"].as_u64() >= Some(1) && host["memory"].as_u64() > Some(1 << 20), "{host:#}");
    ensure!(host["addresses"].to_string().contains("127.0.0.1") && host["kernel"].is_string(), "{host:#}");
    let card = &seen["gpus"]["cards"][0];
    ensure!(card["name"] == "NVIDIA Fake 4090" && card["free"] == 1 << 30, "{card}");
    ensure!(card["below_slowdown"] == 10 && seen["gpus"]["missing"].is_null(), "{card}");
    let ollama = named(&seen["engines"], "name", "ollama")?;
    ensure!(ollama["answers"] == false && ollama["at"] == "http://127.0.0.1:1", "{ollama}");
    ensure!(ollama["configured"] == false && ollama["fault"].is_string(), "{ollama}");
    let engine = named(&seen["engines"], "name", "engine")?;
    ensure!(engine["fault"].is_null() && engine["models"] == 0, "{engine}");
    let listeners = &seen["listeners"];
    let tls = named(listeners, "kind", "tls")?;
    let own = format!("process {}", std::process::id());
    ensure!(tls["state"] == "taken" && tls["why"].as_str().is_some_and(|why| why.starts_with(&own)), "{tls}");
    ensure!(named(listeners, "kind", "quic")?["state"] == "free", "{listeners}");
    ensure!(named(listeners, "kind", "plain")?["state"] == "free", "{listeners}");
    ensure!(named(listeners, "kind", "admin")?["state"] == "free", "{listeners}");
    ensure!(seen["limits"]["connections"] == 4096 && seen["limits"]["open_files"].is_u64(), "{seen:#}");
    ensure!(seen["limits"]["watchdog"].is_null() && seen["models"] == json!([]), "{seen:#}");
    let text = home.inspects(&arguments).await?;
    ensure!(text.code == Some(0) && text.out.starts_with("daemon     none answers: there is no"), "{text:?}");
    screen(&text.out)?;
    ensure!(!state.exists() && fs::read_dir(home.dir.path())?.next().is_none(), "something was made");
    let datagrams = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, taken.local_addr()?.port()))?;
    let quic = named(&home.json(&arguments).await?["listeners"], "kind", "quic")?.clone();
    ensure!(quic["state"] == "taken", "{quic}");
    drop(datagrams);
    Ok(())
}

#[tokio::test]
async fn what_answers_is_named_with_its_version_and_its_models() -> Result<()> {
    let home = Home::new()?;
    let (ollama, openai) =
        (Double::start(Ollama::default()).await, Double::start(OpenAi::new(Style::Vllm, "real")).await);
    let key = home.dir.path().join("key");
    fs::write(&key, "a-key-that-nobody-is-shown")?;
    let file = home.dir.path().join("config.toml");
    let backend = |name: &str, kind: &str, url: &str| {
        format!("[[backends]]\nname = \"{name}\"\nkind = \"{kind}\"\nurl = \"{url}\"\n")
    };
    let text = [
        backend("box", "ollama", &ollama.url()),
        backend("vllm", "openai", &openai.url()) + &format!("key_file = \"{}\"\n", key.display()),
        "[[backends]]\nname = \"file\"\nkind = \"gguf\"\npath = \"/nowhere/\\u001b[2J.gguf\"\n".to_owned(),
    ];
    fs::write(&file, text.concat())?;
    let state = home.dir.path().join("state").display().to_string();
    let arguments = ["--config", &file.display().to_string(), "--state-dir", &state];
    let seen = home.json(&arguments).await?;
    let engines = &seen["engines"];
    let found = named(engines, "name", "box")?;
    ensure!(found["answers"] == true && found["version"] == "0.33.0-rc2" && found["models"] == 3, "{found}");
    ensure!(named(engines, "name", "vllm")?["answers"] == true, "{engines:#}");
    let broken = named(engines, "name", "file")?;
    ensure!(
        broken["answers"].is_null()
            && broken["fault"].as_str().is_some_and(|why| why.contains("cannot be read"))
    );
    ensure!(named(&seen["models"], "id", "tiny:latest")?["backend"] == "box", "{seen:#}");
    ensure!(seen["configuration"]["files"][0] == file.display().to_string(), "{seen:#}");
    let asked = openai.seen();
    ensure!(
        !asked.is_empty() && asked.iter().all(|one| one.request.header("authorization").is_none()),
        "a key was shown"
    );
    let text = home.inspects(&arguments).await?;
    screen(&text.out)?;
    ensure!(text.out.contains("box (ollama) at") && text.out.contains("\\u{1b}[2J"), "{}", text.out);
    println!("{}", text.out);
    Ok(())
}

#[tokio::test]
async fn an_engine_and_a_driver_that_hang_are_waited_for_a_while_and_all_at_once() -> Result<()> {
    let home = Home::new()?;
    home.machine.becomes(&format!("{CARD}wait_ms=20000\n"))?;
    let silent = TcpListener::bind("127.0.0.1:0")?;
    let host = silent.local_addr()?.to_string();
    let state = home.dir.path().join("state").display().to_string();
    let mut command = home.command(&["--json", "--state-dir", &state]);
    let begun = Instant::now();
    let ran = ran(command.env("OLLAMA_HOST", &host)).await?;
    let took = begun.elapsed();
    println!("with two that hang it took {took:?}");
    ensure!(took > Duration::from_millis(4900) && took < Duration::from_secs(9), "it took {took:?}");
    let seen = fits(&ran.out)?;
    let ollama = named(&seen["engines"], "name", "ollama")?;
    ensure!(
        ollama["answers"] == false && ollama["fault"].as_str().is_some_and(|why| why.contains("silent")),
        "{ollama}"
    );
    let why = seen["gpus"]["missing"].as_str().context("no reason")?;
    ensure!(why.contains("has not answered within 5s"), "{why}");
    Ok(())
}

/// The state directory of a daemon.
fn state(daemon: &Daemon) -> Result<String> {
    Ok(daemon.admin()?.parent().context("no directory")?.display().to_string())
}

#[tokio::test]
async fn a_daemon_answers_for_itself() -> Result<()> {
    let (home, double) = (Home::new()?, Double::start(Ollama::default()).await);
    let setup = Setup::default().with_backend("box", "ollama", &double.url(), "");
    let daemon =
        Daemon::start(&setup.with_limits("drain_grace = \"7s\"\nconnections = 77\nmemory_shed = 70")).await?;
    let state = state(&daemon)?;
    let seen = home.json(&["--state-dir", &state]).await?;
    let status = &seen["daemon"]["status"];
    ensure!(status["pid"] == daemon.id()? && seen["daemon"]["fault"].is_null(), "{seen:#}");
    ensure!(seen["daemon"]["socket"] == daemon.admin()?.display().to_string(), "{seen:#}");
    // Its configuration, which this command was not told of.
    ensure!(seen["limits"]["drain_grace_ms"] == 7000 && seen["limits"]["connections"] == 77, "{seen:#}");
    ensure!(seen["limits"]["memory_shed"] == 70 && seen["limits"]["memory_drop"] == 95, "{seen:#}");
    ensure!(seen["limits"]["watchdog"] == false, "{seen:#}");
    ensure!(seen["configuration"]["files"] == json!([daemon.config().display().to_string()]), "{seen:#}");
    let found = named(&seen["engines"], "name", "box")?;
    ensure!(
        found["answers"] == true && found["version"] == "0.33.0-rc2" && found["configured"] == true,
        "{found}"
    );
    ensure!(named(&seen["models"], "id", "tiny:latest")?["backend"] == "box", "{seen:#}");
    let tls = named(&seen["listeners"], "kind", "tls")?;
    ensure!(tls["state"] == "serves" && tls["address"] == format!("[::]:{}", daemon.tls), "{tls}");
    let text = home.inspects(&["--state-dir", &state]).await?;
    screen(&text.out)?;
    let first = format!(", process {}, since", daemon.id()?);
    ensure!(text.code == Some(0) && text.out.replace("\n             ", " ").contains(&first), "{text:?}");
    println!("{}", text.out);
    // By the variable that ghostctl goes by as well.
    let mut command = home.command(&["--json"]);
    let ran = ran(command.env("GHOSTLLM_SOCKET", daemon.admin()?)).await?;
    ensure!(fits(&ran.out)?["daemon"]["status"]["pid"] == daemon.id()?, "{ran:?}");
    daemon.stop().await
}

#[tokio::test]
async fn a_daemon_that_may_not_be_asked_is_told_of_plainly() -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: another user asks, which only root can have done");
        return Ok(());
    }
    let home = Home::new()?;
    let daemon = Daemon::start(&Setup::backend("ollama", "http://127.0.0.1:1")).await?;
    // The checkout may lie where that user may not look.
    let program = home.dir.path().join("ghostllm");
    fs::copy(binary("ghostllm"), &program)?;
    fs::set_permissions(home.dir.path(), fs::Permissions::from_mode(0o755))?;
    let mut command = Command::new(&program);
    command.args(["inspect", "--json", "--state-dir", &state(&daemon)?]).env_clear().env("HOME", "/nowhere");
    let ran = ran(command.env("OLLAMA_HOST", "127.0.0.1:1").uid(65534).gid(65534)).await?;
    let seen = fits(&ran.out)?;
    let fault = seen["daemon"]["fault"].as_str().with_context(|| seen.to_string())?;
    ensure!(fault.contains("Permission denied") && fault.contains("group ghostllm-admin"), "{fault}");
    ensure!(ran.code == Some(0) && seen["host"]["kernel"].is_string(), "{ran:?}");
    daemon.stop().await
}

#[tokio::test]
async fn a_configuration_with_faults_is_told_after_all_the_rest() -> Result<()> {
    let home = Home::new()?;
    let state = home.dir.path().join("state").display().to_string();
    for (arguments, code, fault) in [
        (&["--set", "listen.tls=x"][..], 2, "--set listen.tls: "),
        (&["--config", "/nowhere.toml"], 2, "/nowhere.toml"),
    ] {
        let all = [arguments, &["--state-dir", &state]].concat();
        let ran = home.inspects(&all).await?;
        ensure!(ran.code == Some(code) && ran.err.contains(fault), "{ran:?}");
        screen(&ran.out)?;
        let words = ran.out.split_whitespace().collect::<Vec<_>>().join(" ");
        ensure!(words.contains(&format!("fault: {}", fault.trim())) || words.contains(fault), "{}", ran.out);
        let ran = home.inspects(&[&all[..], &["--json"]].concat()).await?;
        let faults = fits(&ran.out)?["configuration"]["faults"].to_string();
        ensure!(ran.code == Some(code) && faults.contains(fault), "{ran:?}");
    }
    ensure!(home.inspects(&["--nonsense"]).await?.code == Some(2));
    ensure!(!Path::new(&state).exists(), "something was made");
    Ok(())
}
