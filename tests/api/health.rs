//! The admin's own checks, `[[health]]`, at `/readyz/NAME`: each kind at its threshold and just below it, who is told why, and what
//! a reload makes of them.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    admin, causes,
    client::{Caller, Family, Request, VERSIONS, plain, unix},
    daemon::{Daemon, Setup},
    double::Double,
    machine::{CARD, Machine},
    ollama::Ollama,
    sheet::Sheet,
};
use nix::sys::statvfs::statvfs;

use crate::check_error;

/// Often enough for a test.
const QUICK: &str = "health_interval = \"50ms\"\nfind_interval = \"50ms\"";
const PATIENCE: Duration = Duration::from_secs(20);

/// One more check, with these lines.
fn with(mut setup: Setup, name: &str, lines: &str) -> Setup {
    setup.config.push_str(&format!("\n[[health]]\nname = \"{name}\"\n{lines}\n"));
    setup
}

/// What whoever may know is told of it.
async fn told(daemon: &Daemon, name: &str) -> Result<(u16, String)> {
    let answer = unix(daemon.admin()?, &Request::get(&format!("/readyz/{name}"))).await?;
    Ok((answer.status, answer.text()))
}

/// Waits until a check passes, or fails, in these words.
async fn until(daemon: &Daemon, name: &str, passes: bool, words: &str) -> Result<String> {
    let begun = Instant::now();
    let (status, word) = if passes { (200, "it passes\n") } else { (503, "it fails\n") };
    loop {
        let (now, text) = told(daemon, name).await?;
        if now == status && text.starts_with(word) && text.contains(words) {
            ensure!(text.lines().count() == 2, "{name}: {text}");
            return Ok(text);
        }
        ensure!(begun.elapsed() < PATIENCE, "{name}: {now} {text}\n{}", daemon.stderr());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_backend_and_its_models_pass_while_it_answers() -> Result<()> {
    let mut double = Double::start(Ollama::default()).await;
    let setup = Setup::default().with_backend("box", "ollama", &double.url(), "").with_limits(QUICK);
    let setup = with(setup, "up", "backend = \"box\"");
    let setup = with(setup, "tiny", "model = \"tiny\"");
    let setup = with(setup, "box-tiny", "model = \"box/tiny:latest\"");
    let daemon = Daemon::start(&with(setup, "nobody", "model = \"nobody\"")).await?;
    until(&daemon, "up", true, "the backend box at http://127.0.0.1:").await?;
    for name in ["tiny", "box-tiny"] {
        until(&daemon, name, true, "has the model tiny:latest").await?;
    }
    let missing = until(&daemon, "nobody", false, "no backend has the model nobody").await?;
    ensure!(missing.contains("ghostctl models ls"), "{missing}");
    // What the admin wants to be told of is no part of what the program can do.
    let ready = unix(daemon.admin()?, &Request::get("/readyz")).await?;
    ensure!(ready.status == 200 && ready.text().contains("\nhealth_check: the health check nobody"));
    let status = admin::read(&daemon, "status").await?;
    causes::cause(&status, "health_check", "warning", "no backend has the model nobody")?;
    ensure!(status["condition"] == "degraded", "{status}");
    let is = |sheet: &Sheet, name: &str, value: f64| {
        sheet.count("ghostllm_health_check", &[("name", name)]) == 1
            && sheet.sum("ghostllm_health_check", &[("name", name)]) == value
    };
    Sheet::until(&daemon, |sheet| is(sheet, "up", 1.0) && is(sheet, "nobody", 0.0)).await?;
    double.refuse().await;
    let away = until(&daemon, "up", false, "does not answer").await?;
    ensure!(away.contains("ghostctl backends test box"), "{away}");
    until(&daemon, "tiny", false, "the backend box at").await?;
    Sheet::until(&daemon, |sheet| is(sheet, "up", 0.0)).await?;
    daemon.wait_said("the health check up fails: the backend box").await?;
    double.come_back().await;
    until(&daemon, "up", true, "answers").await?;
    until(&daemon, "tiny", true, "answers").await?;
    daemon.wait_said("the health check up passes again").await?;
    daemon.stop().await
}

/// A small disk in the daemon's own mount namespace, as this process sees it.
struct Disk(PathBuf);

impl Disk {
    fn of(daemon: &Daemon, directory: &Path) -> Result<Self> {
        let seen = format!("/proc/{}/root{}", daemon.id()?, directory.display());
        Ok(Self(PathBuf::from(seen)))
    }

    /// Fills it until so many bytes are free, as the kernel counts them.
    fn leaves(&self, free: u64) -> Result<()> {
        let path = self.0.join("filler");
        let mut file = File::options().append(true).create(true).open(&path)?;
        let now = self.free()?;
        let less = now.checked_sub(free).context("it is fuller than that")?;
        file.write_all(&vec![1; usize::try_from(less)?])?;
        ensure!(self.free()? == free, "{} of {free} are free", self.free()?);
        Ok(())
    }

    fn free(&self) -> Result<u64> {
        let facts = statvfs(&self.0)?;
        Ok(facts.blocks_available() * facts.fragment_size())
    }
}

/// What a disk gives at a time.
const PAGE: u64 = 4096;

#[tokio::test]
async fn a_disk_passes_with_what_is_wanted_and_not_with_a_page_less() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let at = directory.path().display().to_string();
    let mount = "mount -t tmpfs -o size=1m none \"$0\" && exec \"$@\"";
    let mut setup = Setup::default().with_limits(QUICK);
    setup.prefix = ["unshare", "--mount", "sh", "-euc", mount, &at].map(str::to_owned).to_vec();
    let setup = with(setup, "share", &format!("disk = \"{at}\"\nfree = \"25%\""));
    let setup = with(setup, "size", &format!("disk = \"{at}\"\nfree = \"64KiB\""));
    let daemon = Daemon::start(&with(setup, "gone", "disk = \"/nowhere\"\nfree = 1")).await?;
    let disk = Disk::of(&daemon, directory.path())?;
    disk.leaves(256 << 10)?;
    until(&daemon, "share", true, "256.0 KiB of 1.0 MiB are free on the disk of").await?;
    disk.leaves((256 << 10) - PAGE)?;
    let short = until(&daemon, "share", false, "252.0 KiB of 1.0 MiB are free").await?;
    ensure!(short.contains("less than 25%, which are 256.0 KiB: make room there"), "{short}");
    until(&daemon, "size", true, "and 64KiB are wanted").await?;
    disk.leaves(64 << 10)?;
    until(&daemon, "size", true, "64.0 KiB of 1.0 MiB are free").await?;
    disk.leaves((64 << 10) - PAGE)?;
    until(&daemon, "size", false, "60.0 KiB of 1.0 MiB are free").await?;
    fs::remove_file(disk.0.join("filler"))?;
    until(&daemon, "size", true, "1.0 MiB of 1.0 MiB are free").await?;
    until(&daemon, "share", true, "1.0 MiB of 1.0 MiB are free").await?;
    until(&daemon, "gone", false, "the disk of /nowhere cannot be looked at: No such file or directory")
        .await?;
    daemon.stop().await
}

/// The cards that the kernel of this machine tells of, and none of the machine that the test runs on.
fn kernel(setup: &mut Setup, machine: &Machine) {
    setup.config.push_str(&format!("\n[gpu]\nsysfs_root = \"{}\"\n", machine.sysfs().display()));
}

#[tokio::test]
async fn cards_pass_with_their_margin_and_not_with_a_byte_or_a_degree_less() -> Result<()> {
    let machine = Machine::new(CARD)?;
    let (name, value) = machine.variable();
    let mut setup = Setup::default().with_limits(QUICK).with_environment(&name, &value);
    kernel(&mut setup, &machine);
    let setup = with(setup, "memory", "gpu = \"0\"\nfree = \"1GiB\"");
    let setup = with(setup, "cool", "gpu = \"all\"\nbelow_slowdown = 10");
    let daemon = Daemon::start(&with(setup, "second", "gpu = \"1\"\nfree = \"1%\"")).await?;
    until(&daemon, "memory", true, "1.0 GiB of 24.0 GiB are free on graphics card 0 (NVIDIA Fake 4090)")
        .await?;
    until(&daemon, "cool", true, "is 10 °C below its slowdown").await?;
    until(&daemon, "second", false, "there is no graphics card 1").await?;
    machine.becomes(&format!("{CARD}0.free=1073741823\n0.temperature=80\n"))?;
    until(&daemon, "memory", false, "1023.9 MiB of 24.0 GiB are free").await?;
    let warm =
        until(&daemon, "cool", false, "is 9 °C below its slowdown, and 10 °C below are wanted").await?;
    ensure!(warm.contains("nvidia-smi -q -d TEMPERATURE"), "{warm}");
    machine.becomes(&format!("{CARD}0.lost=1\n"))?;
    until(&daemon, "cool", false, "it has fallen off the bus").await?;
    machine.becomes("init=9\n")?;
    until(&daemon, "memory", false, "sudo modprobe nvidia").await?;
    machine.becomes(CARD)?;
    until(&daemon, "memory", true, "are free").await?;
    daemon.stop().await
}

#[tokio::test]
async fn a_processor_and_a_card_of_another_maker_have_checks_as_well() -> Result<()> {
    let machine = Machine::new("count=0\n")?;
    machine.warms(50_000)?;
    let (name, value) = machine.variable();
    let mut setup = Setup::default().with_limits(QUICK).with_environment(&name, &value);
    kernel(&mut setup, &machine);
    let setup = with(setup, "processor", "gpu = \"processor\"\nbelow_slowdown = 35");
    let setup = with(setup, "first", "gpu = 0\nbelow_slowdown = 10");
    let setup = with(setup, "all", "gpu = \"all\"\nbelow_slowdown = 10");
    let daemon = Daemon::start(&with(setup, "memory", "gpu = \"0000:03:00.0\"\nfree = \"23GiB\"")).await?;
    until(&daemon, "processor", true, "the processor (cpu-thermal) is 35 °C below its slowdown").await?;
    until(&daemon, "first", true, "35 °C below its slowdown").await?;
    until(&daemon, "all", false, "gpu = \"processor\" in the check").await?;
    machine.warms(51_000)?;
    until(&daemon, "processor", false, "is 34 °C below its slowdown, and 35 °C below are wanted").await?;
    machine.gets_radeon()?;
    let radeon = "graphics card 0 (amdgpu 1002:744c)";
    until(&daemon, "first", true, &format!("{radeon} is 10 °C below its slowdown")).await?;
    until(&daemon, "all", true, radeon).await?;
    until(&daemon, "memory", true, &format!("23.0 GiB of 24.0 GiB are free on {radeon}")).await?;
    until(&daemon, "processor", false, "where there is no graphics card").await?;
    machine.tells("devices/0/hwmon/hwmon3/temp2_input", "101000\n")?;
    until(&daemon, "all", false, "is 9 °C below its slowdown").await?;
    // NVIDIA's driver fails: how many cards are before this one is not known, and its name is still its own.
    machine.becomes("init=9\n")?;
    until(&daemon, "first", false, "sudo modprobe nvidia").await?;
    until(&daemon, "memory", true, radeon).await?;
    daemon.stop().await
}

#[tokio::test]
async fn a_card_of_intel_s_has_its_margin_and_tells_not_how_much_is_free() -> Result<()> {
    let machine = Machine::new("count=0\n")?;
    machine.gets_arc()?;
    let (name, value) = machine.variable();
    let mut setup = Setup::default().with_limits(QUICK).with_environment(&name, &value);
    kernel(&mut setup, &machine);
    let setup = with(setup, "cool", "gpu = \"0000:04:00.0\"\nbelow_slowdown = 10");
    let setup = with(setup, "all", "gpu = \"all\"\nbelow_slowdown = 5");
    let daemon = Daemon::start(&with(setup, "memory", "gpu = 0\nfree = \"1GiB\"")).await?;
    let arc = "graphics card 0 (xe 8086:56a0)";
    until(&daemon, "cool", true, &format!("{arc} is 10 °C below its slowdown")).await?;
    until(&daemon, "all", true, arc).await?;
    let untold = until(&daemon, "memory", false, "does not tell how much is free").await?;
    ensure!(untold.contains(arc) && untold.contains("another threshold"), "{untold}");
    machine.tells("devices/1/hwmon/hwmon6/temp2_input", "91000\n")?;
    until(&daemon, "cool", false, "is 9 °C below its slowdown, and 10 °C below are wanted").await?;
    until(&daemon, "all", true, "is 9 °C below its slowdown").await?;
    machine.tells("devices/1/hwmon/hwmon6/temp2_input", "101000\n")?;
    until(&daemon, "all", false, &format!("{arc} is 1 °C above its slowdown")).await?;
    daemon.stop().await
}

#[tokio::test]
async fn a_driver_that_hangs_fails_its_check_and_holds_nobody_up() -> Result<()> {
    let machine = Machine::new(&format!("{CARD}wait_ms=3000\n"))?;
    let (name, value) = machine.variable();
    let limits = format!("{QUICK}\nhealth_wait = \"200ms\"");
    let setup = Setup::backend("ollama", "http://127.0.0.1:1").with_limits(&limits);
    let setup = with(setup.with_environment(&name, &value), "memory", "gpu = \"all\"\nfree = \"1GiB\"");
    let daemon = Daemon::start(&with(setup, "down", "backend = \"ollama\"")).await?;
    let begun = Instant::now();
    until(&daemon, "memory", false, "there was no answer within 200ms").await?;
    until(&daemon, "down", false, "does not answer").await?;
    let within = begun.elapsed();
    ensure!(within < Duration::from_millis(2500), "they took {within:?}");
    let begun = Instant::now();
    for _ in 0..20 {
        ensure!(told(&daemon, "memory").await?.0 == 503);
    }
    ensure!(begun.elapsed() < Duration::from_secs(1), "20 answers took {:?}", begun.elapsed());
    // Once it answers, it is believed, although it answers late.
    until(&daemon, "memory", true, "1.0 GiB of 24.0 GiB").await?;
    daemon.stop().await
}

/// One check that passes, and one that does not.
fn two() -> Setup {
    let setup = Setup::backend("ollama", "http://127.0.0.1:1").with_limits(QUICK);
    with(with(setup, "good", "disk = \"/\"\nfree = 1"), "bad", "disk = \"/nowhere\"\nfree = 1")
}

#[tokio::test]
async fn only_who_may_see_how_the_box_stands_is_told_why_and_which_there_are() -> Result<()> {
    let daemon = Daemon::start(&two()).await?;
    until(&daemon, "good", true, "are free on the disk of /").await?;
    until(&daemon, "bad", false, "/nowhere").await?;
    let get = |name: &str| Request::get(&format!("/readyz/{name}"));
    let unknown = unix(daemon.admin()?, &get("other")).await?;
    let said = check_error(&unknown, 404, Some("not_found"))?;
    ensure!(said.contains("Those that there are: good, bad."), "{said}");
    // A program on this box is no admin.
    for (name, status, text) in
        [("good", 200, "it passes\n"), ("bad", 503, "it fails\n"), ("other", 503, "it fails\n")]
    {
        let answer = plain(daemon.plain(false)?, &get(name)).await?;
        ensure!(
            answer.status == status && answer.text() == text,
            "{name}: {} {}",
            answer.status,
            answer.text()
        );
    }
    for version in VERSIONS {
        let mut caller = Caller::keyless(&daemon, version, Family::V4).await?;
        let stranger = caller.send(&get("other")).await?;
        let failing = caller.send(&get("bad")).await?;
        ensure!(
            (stranger.status, &stranger.body) == (failing.status, &failing.body),
            "they can be told apart"
        );
        ensure!(failing.status == 503 && failing.text() == "it fails\n", "{}", failing.text());
        for (role, knows) in [("viewer", true), ("operator", true), ("admin", true), ("user", false)] {
            let order = serde_json::json!({"name": format!("{role}-{version:?}"), "role": role});
            caller = caller.with_key(Some(&admin::make(&daemon, &order).await?.key));
            let answer = caller.send(&get("bad")).await?;
            ensure!(answer.status == 503, "{role}: {}", answer.status);
            ensure!(answer.text().contains("/nowhere") == knows, "{role}: {}", answer.text());
            let status = caller.send(&get("other")).await?.status;
            ensure!(status == if knows { 404 } else { 503 }, "{role}: {status}");
        }
    }
    let wrong = plain(daemon.plain(false)?, &get("good").method("DELETE")).await?;
    check_error(&wrong, 405, Some("method_not_allowed"))?;
    daemon.stop().await
}

#[tokio::test]
async fn a_reload_changes_them_and_one_with_a_fault_does_not() -> Result<()> {
    let daemon = Daemon::start(&two()).await?;
    until(&daemon, "bad", false, "/nowhere").await?;
    let base = Setup::backend("ollama", "http://127.0.0.1:1").with_limits(QUICK);
    let mended = with(base.clone(), "bad", "disk = \"/\"\nfree = 1");
    daemon.reconfigure(&with(mended, "new", "model = \"nobody\"")).await?;
    until(&daemon, "bad", true, "are free on the disk of /").await?;
    until(&daemon, "new", false, "nobody").await?;
    ensure!(told(&daemon, "good").await?.0 == 404, "it is gone");
    let sheet = Sheet::of(&daemon).await?;
    ensure!(sheet.count("ghostllm_health_check", &[("name", "good")]) == 0, "{}", sheet.text);
    daemon.configure(&with(base, "bad", "backend = \"nobody\""))?;
    let refused = admin::ask(&daemon, "POST", "reload", None).await?;
    let said = check_error(&refused, 409, Some("conflict"))?;
    ensure!(
        said.contains("there is no backend \"nobody\"") && said.contains("the backends are ollama"),
        "{said}"
    );
    ensure!(told(&daemon, "bad").await?.0 == 200, "it is as it was");
    daemon.stop().await
}

#[tokio::test]
async fn without_any_check_there_is_none_and_nothing_is_amiss() -> Result<()> {
    let daemon = Daemon::start(&Setup::backend("ollama", "http://127.0.0.1:1")).await?;
    let answer = unix(daemon.admin()?, &Request::get("/readyz/any")).await?;
    let said = check_error(&answer, 404, Some("not_found"))?;
    ensure!(said.contains("The configuration has no [[health]]"), "{said}");
    let status = admin::read(&daemon, "status").await?;
    ensure!(causes::cause(&status, "health_check", "warning", "").is_err(), "{status}");
    daemon.stop().await
}
