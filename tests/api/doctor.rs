//! `ghostctl doctor` beside the real daemon: what this says of itself is named, and a bundle has none of its secrets. The faults of a
//! system are made in `daemon/ghostctl/tests/cli/doctor.rs`.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    binary,
    daemon::{Daemon, Setup},
    double::Double,
    machine::Machine,
    ollama::Ollama,
};
use serde_json::Value;
use tokio::process::Command;

use crate::{
    heat::{self, COOL, SLOWED},
    ollama,
};

const PATIENCE: Duration = Duration::from_secs(30);

async fn doctor(daemon: &Daemon, arguments: &[&str]) -> Result<std::process::Output> {
    let mut command = Command::new(binary("ghostctl"));
    command.env_clear().stdin(Stdio::null()).arg("doctor").arg("--socket").arg(daemon.admin()?);
    Ok(command.arg("--state-dir").arg(daemon.state("")).args(arguments).output().await?)
}

async fn checks(daemon: &Daemon) -> Result<Vec<Value>> {
    let report: Value = serde_json::from_slice(&doctor(daemon, &["--json"]).await?.stdout)?;
    ensure!(report["version"] == 1, "{report}");
    report["checks"].as_array().cloned().context("checks")
}

/// What is said under this name, which must say this and give a next step.
fn named(checks: &[Value], id: &str, result: &str, words: &str) -> Result<()> {
    let found = checks.iter().find(|check| {
        check["id"] == id
            && check["result"] == result
            && check["what"].as_str().is_some_and(|what| what.contains(words))
    });
    let found = found.with_context(|| format!("{id} is not named: {checks:#?}"))?;
    ensure!(found["fix"].as_str().is_some_and(|fix| !fix.is_empty()), "{found}");
    println!("{id}: {} Next: {}", found["what"], found["fix"]);
    Ok(())
}

#[tokio::test]
async fn a_daemon_that_is_well_has_nothing_to_mend() -> Result<()> {
    let (_double, daemon) = ollama().await?;
    let checks = checks(&daemon).await?;
    // What of this is the machine's own, such as its memory and its name, depends on the machine.
    for id in ["daemon", "version", "listeners", "certificate", "authority", "audit", "configuration"] {
        ensure!(checks.iter().any(|check| check["id"] == id && check["result"] == "ok"), "{id}: {checks:#?}");
    }
    for id in ["state_directory", "state_modes", "state_owner", "keys_file", "first_key", "core_dumps"] {
        ensure!(checks.iter().any(|check| check["id"] == id && check["result"] == "ok"), "{id}: {checks:#?}");
    }
    daemon.stop().await
}

#[tokio::test]
async fn what_the_daemon_knows_to_be_amiss_is_named() -> Result<()> {
    let daemon = Daemon::start(&Setup::backend("ollama", "http://127.0.0.1:1")).await?;
    let found = checks(&daemon).await?;
    named(&found, "status", "error", "no_model")?;
    named(&found, "status", "warning", "backend_down")?;
    fs::write(daemon.config(), "[limits]\nno_such_setting = 1\n")?;
    named(&checks(&daemon).await?, "configuration", "error", "no_such_setting")?;
    fs::set_permissions(daemon.state("keys.json"), fs::Permissions::from_mode(0o640))?;
    named(&checks(&daemon).await?, "state_modes", "error", "0640")?;
    // Elsewhere than on this machine, of which it would mend what it finds.
    let root = daemon.scratch().display().to_string();
    let mended = doctor(&daemon, &["--fix", "--yes", "--root", &root]).await?;
    let mode = fs::metadata(daemon.state("keys.json"))?.permissions().mode() & 0o777;
    ensure!(mode == 0o600, "{mode:o} {mended:?}");
    daemon.stop().await
}

/// Waits until that check has this result, with these words in its next step.
async fn until(daemon: &Daemon, (id, result, next): (&str, &str, &str)) -> Result<()> {
    let begun = Instant::now();
    loop {
        let found = checks(daemon).await?;
        let is_it = |check: &&Value| {
            check["id"] == id
                && check["result"] == result
                && check["fix"].as_str().is_some_and(|fix| fix.contains(next))
        };
        if let Some(check) = found.iter().find(is_it) {
            println!("{id}: {} Next: {}", check["what"], check["fix"]);
            return Ok(());
        }
        let of_it: Vec<&Value> = found.iter().filter(|check| check["id"] == id).collect();
        ensure!(begun.elapsed() < PATIENCE, "{id} is not {result} with {next:?}: {of_it:#?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Of a driver that is started with it. Codes of nvml.h: 4 no permission, 9 no driver, 18 another version, 999 unknown.
const DRIVER_FAULTS: [(&str, (&str, &str, &str)); 5] = [
    ("init=9\n", ("gpu_driver", "error", "sudo modprobe nvidia")),
    ("init=18\n", ("gpu_driver", "error", "restart the machine")),
    ("init=4\n", ("gpu_permission", "error", "ls -l /dev/nvidia*")),
    ("init=999\n", ("gpu_driver", "error", "nvidia-smi")),
    ("hang=nvmlInit_v2\n", ("gpu_driver", "error", "sudo dmesg")),
];
/// Of a card of a driver that works.
const CARD_FAULTS: [(&str, (&str, &str, &str)); 7] = [
    (SLOWED, ("gpu_heat", "warning", "fan")),
    ("0.uncorrected=2\n", ("gpu_memory", "warning", "have the card replaced")),
    ("0.remapped=1\n0.remap_failed=1\n", ("gpu_memory", "error", "ROW_REMAPPER")),
    ("0.remapped=1\n0.remap_pending=1\n", ("gpu_memory", "warning", "--gpu-reset")),
    (
        "0.generation=4\n0.generation_most=4\n0.lanes=4\n0.lanes_most=16\n",
        ("gpu_link", "warning", "into its slot"),
    ),
    ("0.xid=31\n", ("gpu_xid", "note", "update it and the driver")),
    ("0.lost=1\n", ("gpu_lost", "error", "restart the machine")),
];

#[tokio::test]
async fn each_fault_of_a_driver_is_named_with_its_mend() -> Result<()> {
    let double = Double::start(Ollama::default()).await;
    for (state, named) in DRIVER_FAULTS {
        let machine = Machine::new(&format!("{COOL}{state}"))?;
        let daemon = Daemon::start(&heat::setup(&double, &machine, "")).await?;
        until(&daemon, named).await?;
        // What hangs goes on first.
        machine.becomes(COOL)?;
        daemon.stop().await?;
    }
    Ok(())
}

#[tokio::test]
async fn each_fault_of_a_card_is_named_with_its_mend() -> Result<()> {
    let double = Double::start(Ollama::default()).await;
    let machine = Machine::new(COOL)?;
    let daemon = Daemon::start(&heat::setup(&double, &machine, "")).await?;
    for (state, named) in CARD_FAULTS {
        machine.becomes(&format!("{COOL}{state}"))?;
        until(&daemon, named).await?;
    }
    daemon.stop().await
}

#[tokio::test]
async fn an_audit_log_that_cannot_be_read_is_named() -> Result<()> {
    let (_double, daemon) = ollama().await?;
    // Root reads whatever it may not; nobody reads a directory as a file.
    let log = daemon.state("audit.log");
    if log.exists() {
        fs::remove_file(&log)?;
    }
    fs::create_dir(&log)?;
    fs::set_permissions(&log, fs::Permissions::from_mode(0o700))?;
    named(&checks(&daemon).await?, "audit", "warning", "the audit log cannot be read")?;
    fs::remove_dir(&log)?;
    let found = checks(&daemon).await?;
    ensure!(found.iter().any(|check| check["id"] == "audit" && check["result"] == "ok"), "{found:#?}");
    daemon.stop().await
}

#[tokio::test]
async fn a_bundle_has_none_of_the_daemons_secrets() -> Result<()> {
    const CANARY: &str = "canaryV5kq";
    let (_double, daemon) = ollama().await?;
    let first = fs::read_to_string(daemon.state("first-key"))?;
    let authority = fs::read_to_string(daemon.state("ca/authority.pem"))?;
    let config = fs::read_to_string(daemon.config())?;
    fs::write(daemon.config(), format!("# {CANARY}\n{config}"))?;
    let file = daemon.scratch().join("report.txt");
    doctor(&daemon, &["--bundle", file.to_str().context("a path")?]).await?;
    let text = fs::read_to_string(&file)?;
    let private = authority.lines().filter(|line| line.len() > 30);
    for secret in [CANARY, first.trim()].into_iter().chain(private) {
        ensure!(!text.contains(secret), "a secret is in the bundle: {text}");
    }
    ensure!(text.contains("=== configuration ===") && text.contains("=== audit ==="), "{text}");
    ensure!(fs::metadata(&file)?.permissions().mode() & 0o777 == 0o600);
    daemon.stop().await
}
