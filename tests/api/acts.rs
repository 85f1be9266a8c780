//! Acts of admins on disks that fail or hang: none is done that cannot be written down, none holds up another, and nothing is
//! half done.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    admin,
    causes::{cause, until},
    client::{Request, open_unix},
    daemon::{Daemon, Setup},
    strace::{Injected, traceable},
};
use serde_json::{Value, json};

use crate::{check_error, ollama_with};

/// How long a test waits for what comes by itself.
const PATIENCE: Duration = Duration::from_secs(20);
/// Orders come far more often than anything is looked at.
const BETWEEN: Duration = Duration::from_millis(10);

async fn keys(daemon: &Daemon) -> Result<usize> {
    let list = admin::read(daemon, "keys").await?;
    list["keys"].as_array().map(Vec::len).context("no keys")
}

#[tokio::test]
async fn no_act_is_done_that_cannot_be_written_down_but_a_revocation() -> Result<()> {
    let (_double, daemon) = ollama_with("host_interval = \"100ms\"", "").await?;
    let made = admin::make(&daemon, &json!({"name": "laptop"})).await?;
    let (before, served) = (keys(&daemon).await?, fs::read(daemon.state("ca/server.pem"))?);
    let log = daemon.state("audit.log");
    fs::set_permissions(&log, fs::Permissions::from_mode(0o644))?;
    for (path, order) in
        [("keys", Some(json!({"name": "another"}))), ("certificates/renew", None), ("reload", None)]
    {
        let refused = admin::ask(&daemon, "POST", path, order.as_ref()).await?;
        let said = check_error(&refused, 507, Some("state_unwritable"))?;
        ensure!(said.starts_with("Nothing was done") && said.contains("df -h"), "{path}: {said}");
    }
    ensure!(keys(&daemon).await? == before && fs::read(daemon.state("ca/server.pem"))? == served);
    let status = admin::read(&daemon, "status").await?;
    cause(&status, "audit_unwritable", "warning", "no act of an admin is done")?;
    ensure!(status["condition"] == "degraded", "{status}");
    daemon.wait_status("the audit log cannot be written").await?;
    // Whose key is stolen cannot wait for a disk.
    let revoked = admin::ask(&daemon, "DELETE", &format!("keys/{}", made.id), None).await?;
    let said = check_error(&revoked, 507, Some("state_unwritable"))?;
    ensure!(said.contains("taken no more") && keys(&daemon).await? == before - 1, "{said}");
    ensure!(fs::read_to_string(&log)?.lines().count() == 1, "the log has grown");
    fs::set_permissions(&log, fs::Permissions::from_mode(0o600))?;
    daemon.wait_said("the audit log can be written again").await?;
    until(&daemon, |status| cause(status, "audit_unwritable", "warning", "").is_err()).await?;
    admin::make(&daemon, &json!({"name": "another"})).await?;
    daemon.stop().await
}

fn limits(host: &str) -> String {
    format!("host_interval = \"{host}\"\nconfig_interval = \"500ms\"")
}

/// A daemon whose disk can be made slow, and whose audit log has a line.
async fn slowed(limits: &str) -> Result<Daemon> {
    let setup = traceable(Setup::backend("ollama", "http://127.0.0.1:1").with_limits(limits));
    let daemon = Daemon::start(&setup).await?;
    admin::make(&daemon, &json!({"name": "laptop"})).await?;
    Ok(daemon)
}

#[tokio::test]
async fn a_certificate_on_a_slow_disk_is_still_going_and_holds_nothing_up() -> Result<()> {
    let daemon = slowed(&limits("1h")).await?;
    let before = fs::read(daemon.state("ca/server.pem"))?;
    let mut events = open_unix(daemon.admin()?, &Request::get(&admin::path("events"))).await?;
    events.until(": GhostLLM's events").await?;
    // A certificate is five of them.
    let slow = Injected::slow(daemon.id()?, "fsync", Duration::from_millis(2500)).await?;
    let begun = Instant::now();
    let renewed = admin::ask(&daemon, "POST", "certificates/renew", None);
    let meanwhile = async {
        let mut longest = Duration::ZERO;
        while begun.elapsed() < Duration::from_secs(4) {
            let asked = Instant::now();
            admin::done(&daemon, "POST", "config/check", None).await?;
            longest = longest.max(asked.elapsed());
            tokio::time::sleep(BETWEEN).await;
        }
        anyhow::Ok(longest)
    };
    let (renewed, longest) = tokio::join!(renewed, meanwhile);
    let (renewed, longest) = (renewed?, longest?);
    let said = check_error(&renewed, 504, Some("still_going"))?;
    ensure!(said.contains("still going") && said.contains("ghostctl cert show"), "{said}");
    println!("told after {:?}; another order waited for {longest:?} at the most", begun.elapsed());
    ensure!(longest < Duration::from_secs(3), "another order waited for {longest:?}");
    let second = admin::ask(&daemon, "POST", "certificates/renew", None).await?;
    check_error(&second, 409, Some("conflict"))?;
    let backup = admin::ask(&daemon, "GET", "backup", None).await?;
    check_error(&backup, 409, Some("conflict"))?;
    let text = tokio::time::timeout(PATIENCE, events.until("event: certificate")).await??;
    ensure!(!String::from_utf8_lossy(&text).contains("missed"));
    slow.end()?;
    ensure!(fs::read(daemon.state("ca/server.pem"))? != before, "it is not made");
    // Its own line says how it ended, and those of what came meanwhile that they were in vain.
    let acts = |log: &Value| -> Vec<String> {
        let entries = log["entries"].as_array().into_iter().flatten();
        entries.map(|entry| format!("{} {}", entry["act"], entry["result"]).replace('"', "")).collect()
    };
    let wanted = ["certificates.renew done", "certificates.renew failed", "state.backup failed"];
    loop {
        let log = admin::read(&daemon, "audit").await?;
        let noted = acts(&log);
        if wanted.iter().all(|line| noted.iter().any(|noted| noted == line)) {
            break;
        }
        ensure!(begun.elapsed() < PATIENCE * 2, "{log}");
        tokio::time::sleep(BETWEEN).await;
    }
    admin::done(&daemon, "POST", "certificates/renew", None).await?;
    daemon.stop().await
}

/// The threads of a process.
fn threads(process: u32) -> Result<usize> {
    Ok(fs::read_dir(format!("/proc/{process}/task"))?.count())
}

#[tokio::test]
async fn orders_put_off_no_look_and_a_hanging_disk_takes_up_one_thread() -> Result<()> {
    let daemon = slowed(&limits("1h")).await?;
    let process = daemon.id()?;
    let slow = Injected::slow_into(process, "fsync", Duration::from_secs(3)).await?;
    // The state's alert: the key's change cannot be written.
    let refused = admin::ask(&daemon, "POST", "keys", Some(&json!({"name": "another"}))).await?;
    check_error(&refused, 507, Some("state_unwritable"))?;
    // A changed file is found although somebody orders something all the while, and so is the host.
    let mut setup = Setup::backend("ollama", "http://127.0.0.1:1").with_limits(&limits("50ms"));
    setup.listen.push_str("names = [\"found.internal\"]\n");
    daemon.configure(&setup)?;
    let (begun, before, mut most) = (Instant::now(), threads(process)?, 0);
    loop {
        admin::done(&daemon, "POST", "config/check", None).await.with_context(|| daemon.stderr())?;
        most = most.max(threads(process)?);
        tokio::time::sleep(BETWEEN).await;
        let taken = daemon.stderr().contains("the configuration was read anew, and is in use");
        if taken && begun.elapsed() > Duration::from_secs(8) {
            break;
        }
        ensure!(begun.elapsed() < PATIENCE, "orders put the look off:\n{}", daemon.stderr());
    }
    println!("{before} threads before, {most} at the most");
    ensure!(most <= before + 6, "{before} threads before, {most} then");
    slow.end()?;
    daemon.wait_said("state can be written again").await?;
    daemon.stop().await
}

#[tokio::test]
async fn a_new_ca_that_cannot_be_written_leaves_the_old_one_whole() -> Result<()> {
    let (_double, daemon) = ollama_with("", "").await?;
    admin::make(&daemon, &json!({"name": "laptop"})).await?;
    let files = |daemon: &Daemon| {
        ["ca/authority.pem", "ca/ca.pem", "ca/server.pem"].map(|name| fs::read(daemon.state(name)).ok())
    };
    let before = (files(&daemon), admin::read(&daemon, "certificates").await?);
    // Nothing can take the place of a directory.
    let (own, aside) = (daemon.state("ca/authority.pem"), daemon.scratch().join("authority.pem"));
    fs::rename(&own, &aside)?;
    fs::create_dir(&own)?;
    let failed = admin::ask(&daemon, "POST", "certificates/authority", None).await?;
    ensure!(failed.status >= 500, "{} {}", failed.status, failed.text());
    fs::remove_dir(&own)?;
    fs::rename(&aside, &own)?;
    ensure!(files(&daemon) == before.0, "the files are others");
    ensure!(admin::read(&daemon, "certificates").await? == before.1, "another is shown");
    let made: Value = admin::done(&daemon, "POST", "certificates/authority", None).await?;
    ensure!(made["certificates"]["authority"]["sha256"] != before.1["authority"]["sha256"], "{made}");
    daemon.stop().await
}
