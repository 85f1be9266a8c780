//! What a card went through before it was slowed down, lost, or before the daemon was killed: kept on the disk, and told by `ghostllm inspect
//! --flight` with a daemon and without.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf, time::Duration};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    admin, binary,
    client::{Request, plain},
    daemon::{Daemon, Setup, Signal},
    double::Double,
    machine::Machine,
    ollama::Ollama,
    schema,
    strace::{Injected, traceable},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::{
    FRANCE,
    ctl::{Ran, ran},
    heat::{COOL, SLOWED, setup, whole},
};

const PATIENCE: Duration = Duration::from_secs(20);
/// Near where it gets slower, and not there.
const WARM: &str = "0.temperature=84\n";
const ASKED_OFTEN: &str = "every = \"100ms\"\nnear_every = \"100ms\"";

/// A machine with a card and a state that outlives its daemons.
struct Rig {
    double: Double,
    machine: Machine,
    dir: TempDir,
}

impl Rig {
    async fn new() -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("ghostllm-test-").tempdir()?;
        Ok(Self { double: Double::start(Ollama::default()).await, machine: Machine::new(COOL)?, dir })
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    fn room(&self) -> PathBuf {
        self.state().join("flight")
    }

    fn setup(&self) -> Setup {
        let arguments = vec!["--state-dir".to_owned(), self.state().display().to_string()];
        traceable(Setup { arguments, state: false, ..setup(&self.double, &self.machine, ASKED_OFTEN) })
    }

    /// A daemon that has seen its card.
    async fn daemon(&self) -> Result<Daemon> {
        let daemon = Daemon::start(&self.setup()).await?;
        until(&daemon, "cool").await?;
        Ok(daemon)
    }

    fn says(&self, lines: &str) -> Result<()> {
        self.machine.becomes(&format!("{COOL}{lines}"))
    }

    async fn inspects(&self, flight: &str, more: &[&str]) -> Result<Ran> {
        let mut command = Command::new(binary("ghostllm"));
        command.args(["inspect", flight, "--state-dir"]).arg(self.state()).args(more).env_clear();
        ran(&mut command).await
    }

    async fn flights(&self) -> Result<Value> {
        let ran = self.inspects("--flight", &["--json"]).await?;
        ensure!(ran.code == Some(0) && ran.err.is_empty(), "{ran:?}");
        let flights: Value = serde_json::from_str(&ran.out)?;
        schema::fits("Flights", &flights)?;
        Ok(flights)
    }

    /// Waits until the running record says so.
    async fn runs(&self, so: impl Fn(&Value) -> bool) -> Result<Value> {
        let begun = std::time::Instant::now();
        loop {
            let flights = self.flights().await?;
            if flights["records"][0]["running"] == true && so(&flights["records"][0]) {
                return Ok(flights);
            }
            ensure!(begun.elapsed() < PATIENCE, "{flights:#}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

async fn until(daemon: &Daemon, state: &str) -> Result<()> {
    admin::until(daemon, "gpu", PATIENCE, |gpu| gpu["cards"][0]["state"] == state).await.map(drop)
}

async fn chats(daemon: &Daemon) -> Result<()> {
    whole(&plain(daemon.plain(false)?, &Request::chat("tiny", FRANCE, true)).await?)
}

fn whats(flight: &Value) -> Vec<&str> {
    flight["events"].as_array().into_iter().flatten().filter_map(|event| event["what"].as_str()).collect()
}

#[tokio::test]
async fn heat_is_kept_and_told_with_the_seconds_before_it() -> Result<()> {
    let at = Rig::new().await?;
    let daemon = at.daemon().await?;
    let none = at.inspects("--flight", &[]).await?;
    ensure!(
        none.code == Some(0)
            && none.out.starts_with("flights    none in ")
            && none.out.contains("A daemon makes"),
        "{none:?}"
    );
    ensure!(!at.room().exists(), "a cool card has nothing written");
    tokio::time::sleep(Duration::from_millis(1500)).await;
    at.says(SLOWED)?;
    until(&daemon, "throttled_by_heat").await?;
    // At once, and while the daemon runs: the machine may be gone the next moment.
    let running = at.runs(|record| record["what"] == "near_shutdown" || record["what"] == "heat").await?;
    ensure!(running["shown"]["frames"].as_array().is_some_and(|frames| frames.len() >= 2), "{running:#}");
    daemon.stop().await?;
    let flights = at.flights().await?;
    ensure!(flights["records"].as_array().map(Vec::len) == Some(1), "{flights:#}");
    let (record, shown) = (&flights["records"][0], &flights["shown"]);
    ensure!(record["running"] == false && record["card_name"] == "NVIDIA Fake 4090", "{record:#}");
    ensure!(whats(shown) == ["heat"] && shown["machine_ran_on"].is_null(), "{shown:#}");
    ensure!(shown["card"]["gpu"] == json!({"soft": 90.0, "slowdown": 95.0, "shutdown": 110.0}), "{shown:#}");
    let frames = shown["frames"].as_array().context("no frames")?;
    let first = frames.first().context("no frame")?;
    ensure!(first["state"] == "cool" && first["celsius"] == 50.0 && first["watts"] == 140.0, "{first:#}");
    ensure!(first["offset_s"].as_f64() < Some(-1.0), "{first:#}");
    let hot = frames.iter().find(|frame| frame["state"] == "throttled_by_heat").context("no heat")?;
    ensure!(hot["to_slowdown"] == -1.0 && hot["throttles"].to_string().contains("hard_heat"), "{hot:#}");
    ensure!(
        hot["limits"].is_object() && hot["running"] == json!({"interactive": 0, "background": 0}),
        "{hot:#}"
    );
    // For its owner alone.
    let name = record["name"].as_str().context("no name")?;
    let mode = |path: PathBuf| Ok::<_, anyhow::Error>(fs::metadata(path)?.permissions().mode() & 0o777);
    ensure!(mode(at.room())? == 0o700 && mode(at.room().join(name))? == 0o600);
    let text = at.inspects(&format!("--flight={name}"), &[]).await?;
    ensure!(text.code == Some(0) && text.out.contains("its heat slowed it down"), "{text:?}");
    ensure!(text.out.contains("hard heat: its hardware has slowed it down because of its heat"), "{text:?}");
    println!("{}", text.out);
    let wrong = at.inspects("--flight=yesterday", &[]).await?;
    ensure!(wrong.code == Some(2) && wrong.err.contains(name), "{wrong:?}");
    Ok(())
}

#[tokio::test]
async fn a_lost_card_is_kept() -> Result<()> {
    let at = Rig::new().await?;
    let daemon = at.daemon().await?;
    at.says("0.lost=1\n")?;
    until(&daemon, "lost").await?;
    at.runs(|record| record["what"] == "lost").await?;
    chats(&daemon).await?;
    daemon.stop().await?;
    let flights = at.flights().await?;
    ensure!(whats(&flights["shown"]) == ["lost"], "{flights:#}");
    let last = flights["shown"]["frames"].as_array().and_then(|frames| frames.last()).context("no frame")?;
    ensure!(last["state"] == "lost" && last["celsius"].is_null() && last["watts"].is_null(), "{last:#}");
    Ok(())
}

#[tokio::test]
async fn a_daemon_that_is_killed_while_its_card_is_warm_leaves_its_last_minutes() -> Result<()> {
    let at = Rig::new().await?;
    let daemon = at.daemon().await?;
    at.says(WARM)?;
    let running = at.runs(|record| record["what"].is_null()).await?;
    ensure!(whats(&running["shown"]).is_empty(), "{running:#}");
    daemon.signal(Signal::SIGKILL)?;
    daemon.wait().await?;
    // Nobody has started anew yet.
    let text = at.inspects("--flight", &[]).await?;
    ensure!(
        text.code == Some(0) && text.out.replace("\n             ", " ").contains("; not ended: "),
        "{text:?}"
    );
    at.says("")?;
    let next = at.daemon().await?;
    next.wait_said("ended abruptly while a card was near its limit").await?;
    let flights = at.flights().await?;
    ensure!(whats(&flights["shown"]) == ["abrupt_end"], "{flights:#}");
    ensure!(flights["shown"]["machine_ran_on"] == true, "the daemon alone was killed: {flights:#}");
    ensure!(flights["records"][0]["running"] == false, "{flights:#}");
    next.stop().await?;
    // An end in order is none of these, also while the card is warm.
    at.says(WARM)?;
    let warm = Daemon::start(&at.setup()).await?;
    at.runs(|record| record["what"].is_null()).await?;
    warm.stop().await?;
    let after = at.flights().await?;
    ensure!(after["records"].as_array().map(Vec::len) == Some(1), "{after:#}");
    Ok(())
}

#[tokio::test]
async fn an_end_in_order_on_a_disk_that_fails_is_no_abrupt_end() -> Result<()> {
    let at = Rig::new().await?;
    let daemon = at.daemon().await?;
    at.says(SLOWED)?;
    until(&daemon, "throttled_by_heat").await?;
    at.runs(|record| record["what"] == "near_shutdown" || record["what"] == "heat").await?;
    let fails = Injected::into(daemon.id()?, "fsync").await?;
    daemon.signal(Signal::SIGTERM)?;
    // What it says of the rest of its state is another test's.
    daemon.wait().await?;
    fails.end()?;
    let flights = at.flights().await?;
    ensure!(flights["records"].as_array().map(Vec::len) == Some(1), "{flights:#}");
    ensure!(flights["records"][0]["running"] == false && whats(&flights["shown"]) == ["heat"], "{flights:#}");
    at.says("")?;
    at.daemon().await?.stop().await?;
    let after = at.flights().await?;
    ensure!(after["records"] == flights["records"], "{after:#}");
    Ok(())
}

#[tokio::test]
async fn a_disk_that_fails_or_hangs_costs_the_records_and_no_request() -> Result<()> {
    let at = Rig::new().await?;
    let daemon = at.daemon().await?;
    // No directory can be made there.
    fs::write(at.room(), "in its place")?;
    at.says(SLOWED)?;
    daemon.wait_said("flight_unwritable").await?;
    until(&daemon, "throttled_by_heat").await?;
    chats(&daemon).await?;
    fs::remove_file(at.room())?;
    daemon.wait_said("what the cards go through can be written again").await?;
    let said = daemon.stderr().matches("flight_unwritable").count();
    ensure!(said == 2, "once when it begins, and once when it is over: {said}\n{}", daemon.stderr());
    // A disk that does not answer: what is seen of the card goes on, and so do the chats.
    let hangs = Injected::slow(daemon.id()?, "fsync", Duration::from_secs(15)).await?;
    at.says("0.lost=1\n")?;
    until(&daemon, "lost").await?;
    let begun = std::time::Instant::now();
    for _ in 0..5 {
        chats(&daemon).await?;
    }
    ensure!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let tasks = admin::read(&daemon, "tasks").await?;
    let heat = tasks["tasks"].as_array().into_iter().flatten().find(|task| task["name"] == "heat");
    ensure!(heat.is_some_and(|heat| heat["state"] == "running" && heat["restarts"] == 0), "{tasks}");
    hangs.end()?;
    daemon.stop().await
}
