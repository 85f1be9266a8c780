//! `ghostctl doctor` where the state's disk fails and where the admin's socket refuses: faults that only root makes.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::{Command, Output},
};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    binary,
    daemon::{Daemon, Setup},
};
use serde_json::Value;

use crate::bare;

/// A user that the socket does not let in.
const STRANGER: &str = "65534";

/// What is said under this name.
fn check(ran: &Output, id: &str) -> Result<Value> {
    let report: Value = serde_json::from_slice(&ran.stdout).with_context(|| format!("{ran:?}"))?;
    let checks = report["checks"].as_array().context("checks")?;
    let found =
        checks.iter().find(|check| check["id"] == id).with_context(|| format!("no {id}: {report:#}"))?;
    Ok(found.clone())
}

#[test]
fn a_disk_that_is_full_or_cannot_be_written_is_named() -> Result<()> {
    let state = tempfile::tempdir()?;
    // Mounted, and filled or closed, in a mount namespace of the doctor's own.
    for (options, made, result, words, next) in [
        ("size=1g", "true", "ok", "room", ""),
        ("size=100m", "true", "warning", "has room for", "df -h"),
        ("size=4m", "head -c 4m /dev/zero > \"$1/full\" || true", "error", "has room for 0 KiB", "df -h"),
        ("size=1g", "mount -o remount,ro \"$1\"", "error", "cannot be written", "remount,rw"),
    ] {
        let line = format!(
            "mount -t tmpfs -o mode=700,{options} none \"$1\" && {made} && exec \"$0\" doctor --json --state-dir \"$1\" --socket /nowhere"
        );
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", &line]);
        let ran = command.arg(binary("ghostctl")).arg(state.path()).output()?;
        let found = check(&ran, "state_disk")?;
        ensure!(found["result"] == result, "{options} {made}: {found:#}");
        ensure!(found["what"].as_str().is_some_and(|what| what.contains(words)), "{found:#}");
        ensure!(found["fix"].as_str().unwrap_or_default().contains(next), "{found:#}");
    }
    Ok(())
}

#[tokio::test]
async fn a_socket_that_refuses_is_told_from_a_daemon_that_does_not_run() -> Result<()> {
    let room = tempfile::tempdir()?;
    fs::set_permissions(room.path(), fs::Permissions::from_mode(0o755))?;
    let program = room.path().join("ghostctl");
    fs::copy(binary("ghostctl"), &program)?;
    // Where everybody may look, so that the file's own mode refuses.
    let socket = room.path().join("admin.sock");
    let listen = format!("{}admin = \"{}\"\n", bare().listen, socket.display());
    let daemon = Daemon::start(&Setup { listen, ..bare() }).await?;
    let asked = |user: &str| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", user, "--regid", user, "--clear-groups"]).arg(&program);
        command.args(["doctor", "--json", "--socket"]).arg(&socket).current_dir("/").env_clear().output()
    };
    let refused = check(&asked(STRANGER)?, "daemon")?;
    ensure!(refused["result"] == "error", "{refused:#}");
    ensure!(refused["what"].as_str().is_some_and(|what| what.contains("admin.sock")), "{refused:#}");
    let fix = refused["fix"].as_str().context("a next step")?;
    ensure!(fix.contains("sudo") && !fix.contains("serve"), "{fix}");
    ensure!(check(&asked("0")?, "daemon")?["result"] == "ok");
    daemon.stop().await
}
