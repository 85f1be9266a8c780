//! `ghostctl` and the daemon, both real. What each command says of any answer stands in `daemon/ghostctl/tests`.

use std::{
    fs,
    path::Path,
    process::{Output, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    binary,
    canary::no_key,
    client::{Answer, Caller, Family, Request, Version, unix},
    daemon::{Daemon, Setup, Signal},
    process,
    script::Sin,
};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};

use crate::{FRANCE, ollama, sinner};

/// What the program came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

fn command(daemon: &Daemon, arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(binary("ghostctl"));
    command.env_clear().stdin(Stdio::null()).arg("--socket").arg(daemon.admin()?).args(arguments);
    Ok(command)
}

pub(crate) async fn ran(command: &mut Command) -> Result<Ran> {
    let Output { status, stdout, stderr } = command.output().await?;
    let ran = Ran { code: status.code(), out: String::from_utf8(stdout)?, err: String::from_utf8(stderr)? };
    no_key("what ghostctl said", &ran.err)?;
    Ok(ran)
}

pub(crate) async fn ctl(daemon: &Daemon, arguments: &[&str]) -> Result<Ran> {
    ran(&mut command(daemon, arguments)?).await
}

/// A run that ends well; its answer for programs.
async fn json(daemon: &Daemon, arguments: &[&str]) -> Result<Value> {
    let ran = ctl(daemon, &[arguments, &["--json"]].concat()).await?;
    ensure!(ran.code == Some(0) && ran.err.is_empty(), "{arguments:?}: {ran:?}");
    let value: Value = serde_json::from_str(&ran.out)?;
    ensure!(value["version"] == 1, "{arguments:?}: {value}");
    Ok(value)
}

async fn models(daemon: &Daemon, key: &str) -> Result<Answer> {
    let caller = Caller::new(daemon, Version::H2, Family::V4).await?;
    caller.with_key(Some(key)).send(&Request::get("/v1/models")).await
}

#[tokio::test]
async fn every_read_is_answered_for_people_and_for_programs() -> Result<()> {
    let (_double, daemon) = ollama().await?;
    for arguments in [
        &["status"][..],
        &["keys", "ls"],
        &["models", "ls"],
        &["models", "ps"],
        &["backends", "ls"],
        &["backends", "test"],
        &["requests", "ls"],
        &["tasks"],
        &["usage"],
        &["cert", "show"],
        &["cert", "fingerprint"],
        &["config", "show"],
        &["config", "check"],
        &["audit"],
        &["version"],
    ] {
        let ran = ctl(&daemon, arguments).await?;
        // A box of a test has causes of its own: names that its certificate lacks.
        let well = ran.code == Some(0) || (arguments == ["status"] && ran.code == Some(1));
        ensure!(well && !ran.out.contains('\u{1b}'), "{arguments:?}: {ran:?}");
        // A configuration can be read back, and a fingerprint is one word: those two are no tables.
        let table = !matches!(arguments, ["config", "show"] | ["cert", "fingerprint"]);
        ensure!(
            !table || ran.out.lines().all(|line| line.chars().count() <= 80),
            "{arguments:?}: {}",
            ran.out
        );
        if arguments != ["status"] {
            json(&daemon, arguments).await?;
        }
    }
    daemon.stop().await
}

#[tokio::test]
async fn a_status_is_there_at_once() -> Result<()> {
    let (_double, daemon) = ollama().await?;
    let mut took = Vec::new();
    for _ in 0..21 {
        let begun = Instant::now();
        let ran = ctl(&daemon, &["status"]).await?;
        took.push(begun.elapsed());
        ensure!(matches!(ran.code, Some(0 | 1)), "{ran:?}");
    }
    took.sort_unstable();
    println!(
        "ghostctl status: {:?} at the median of 21 runs, {:?} at the most (50 ms are promised)",
        took[10], took[20]
    );
    // A machine that has much else to do needs longer; ten times as long is no machine's fault.
    ensure!(took[10] < Duration::from_millis(500), "{:?}", took[10]);
    daemon.stop().await
}

#[tokio::test]
async fn a_key_is_made_used_rotated_and_revoked() -> Result<()> {
    let (_double, daemon) = ollama().await?;
    let made = json(&daemon, &["keys", "create", "lap top", "--scope", "models", "--expires", "30d"]).await?;
    let (id, key) = (made["id"].as_str().context("id")?, made["key"].as_str().context("key")?);
    ensure!(models(&daemon, key).await?.status == 200);
    let list = ctl(&daemon, &["keys", "ls"]).await?;
    ensure!(
        list.out.contains(id) && list.out.contains("in 30 days") && !list.out.contains(key),
        "{}",
        list.out
    );

    let rotated = ctl(&daemon, &["keys", "rotate", id, "--overlap", "1h"]).await?;
    let next = rotated.out.lines().last().context("a key")?;
    ensure!(models(&daemon, next).await?.status == 200 && models(&daemon, key).await?.status == 200);
    for (key, id) in [(key, id), (next, &next[5..13])] {
        let revoked = ctl(&daemon, &["keys", "revoke", id, "--yes"]).await?;
        ensure!(revoked.code == Some(0), "{revoked:?}");
        ensure!(models(&daemon, key).await?.status == 401);
        let again = ctl(&daemon, &["keys", "revoke", id, "--yes"]).await?;
        ensure!(again.code == Some(5) && again.err.contains("ghostctl keys ls"), "{again:?}");
    }
    let audit = ctl(&daemon, &["audit"]).await?.out;
    for words in ["keys.create", "keys.rotate", "keys.revoke", "done", "failed", "socket"] {
        ensure!(audit.contains(words), "{words}: {audit}");
    }
    ensure!(!daemon.stderr().contains(key) && !audit.contains(key) && !audit.contains(next));
    daemon.stop().await
}

#[tokio::test]
async fn the_first_key_is_shown_once() -> Result<()> {
    let (_double, daemon) = ollama().await?;
    let first = ctl(&daemon, &["keys", "first"]).await?;
    ensure!(first.code == Some(0) && Some(first.out.trim()) == daemon.key.as_deref(), "{first:?}");
    ensure!(!daemon.state("first-key").exists());
    let again = ctl(&daemon, &["keys", "first"]).await?;
    ensure!(again.code == Some(5) && again.err.contains("ghostctl keys create"), "{again:?}");
    daemon.stop().await
}

#[tokio::test]
async fn a_request_is_listed_and_ended_by_the_beginning_of_its_id() -> Result<()> {
    let (double, daemon) = sinner(Sin::StallAfter(2), "", "").await?;
    let caller = Caller::new(&daemon, Version::H1, Family::V4).await?;
    let mut stream = caller.open(&Request::chat("tiny", FRANCE, true)).await?;
    stream.until(" capital").await?;
    let list = json(&daemon, &["requests", "ls"]).await?;
    let id = list["requests"][0]["id"].as_str().context("a request")?.to_owned();
    ensure!(stream.header("x-request-id") == Some(id.as_str()), "{list}");
    let busy = ctl(&daemon, &["models", "ps"]).await?;
    ensure!(busy.out.contains("tiny"), "{busy:?}");
    let ended = ctl(&daemon, &["requests", "cancel", &id[..6], "--yes"]).await?;
    ensure!(ended.code == Some(0), "{ended:?}");
    let rest = stream.finish().await?.text();
    ensure!(rest.contains("request_cancelled"), "{rest}");
    double.wait_left("/api/chat").await;
    let again = ctl(&daemon, &["requests", "cancel", &id, "--yes"]).await?;
    ensure!(again.code == Some(5), "{again:?}");
    daemon.stop().await
}

#[tokio::test]
async fn the_ca_is_what_clients_fetch_and_a_new_one_is_another() -> Result<()> {
    let (_double, daemon) = ollama().await?;
    let fetched = unix(daemon.admin()?, &Request::get("/ca.pem")).await?.text();
    ensure!(ctl(&daemon, &["cert", "export"]).await?.out == fetched);
    let before = ctl(&daemon, &["cert", "fingerprint"]).await?.out;
    ensure!(ctl(&daemon, &["cert", "renew"]).await?.code == Some(0));
    ensure!(ctl(&daemon, &["cert", "fingerprint"]).await?.out == before);
    ensure!(ctl(&daemon, &["cert", "renew", "--new-ca", "--yes"]).await?.code == Some(0));
    ensure!(ctl(&daemon, &["cert", "fingerprint"]).await?.out != before);
    daemon.stop().await
}

/// In a mount namespace of its own, where the system's lists of certificates are empty, of this mode, and thrown away at the end.
async fn trusting(daemon: &Daemon, mode: &str, user: &str, then: &str) -> Result<Ran> {
    let place = "/usr/local/share/ca-certificates";
    let line = format!(
        "mount -t tmpfs -o mode={mode} none {place} && mount -t tmpfs none /etc/ssl/certs && {user} {} --socket {} cert trust && {then}",
        binary("ghostctl").display(),
        daemon.admin()?.display()
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &line]);
    ran(&mut command).await
}

#[tokio::test]
async fn this_system_trusts_the_box_when_it_is_told_to() -> Result<()> {
    let (_double, daemon) = ollama().await?;
    let verify = format!(
        "openssl s_client -connect 127.0.0.1:{} -servername localhost -verify_return_error -CApath /etc/ssl/certs </dev/null 2>&1",
        daemon.tls
    );
    let trusted = trusting(&daemon, "0755", "", &verify).await?;
    ensure!(trusted.code == Some(0) && trusted.out.contains("Verify return code: 0 (ok)"), "{trusted:?}");
    for words in ["wrote /usr/local/share/ca-certificates/ghostllm-ca.crt", "ran ", "update-ca-certificates"]
    {
        ensure!(trusted.out.contains(words), "{words}: {}", trusted.out);
    }
    ensure!(
        !Path::new("/usr/local/share/ca-certificates/ghostllm-ca.crt").exists(),
        "the test has touched the machine"
    );
    // Who may open the socket and not write there: root without the right to write anywhere.
    let denied = trusting(&daemon, "0555", "setpriv --bounding-set=-dac_override", "true").await?;
    ensure!(denied.code == Some(4) && denied.out.is_empty(), "{denied:?}");
    let sudo = format!("sudo ghostctl --socket '{}' cert trust", daemon.admin()?.display());
    ensure!(denied.err.contains(&sudo) && denied.err.contains("nothing was changed"), "{denied:?}");
    daemon.stop().await
}

#[tokio::test]
async fn a_reload_waits_and_a_bad_file_fails_it_with_its_place() -> Result<()> {
    let (_double, daemon) = ollama().await?;
    let path = daemon.config();
    let good = fs::read_to_string(&path)?;
    fs::write(&path, format!("[limits]\ndrain_grace = \"7s\"\n{}", good.replace("[limits]\n", "")))?;
    let taken = json(&daemon, &["reload"]).await?;
    ensure!(taken["taken"] == true && taken["changed"].to_string().contains("limits.drain_grace"), "{taken}");
    fs::write(&path, format!("{good}\n[limits_]\n"))?;
    for arguments in [&["reload"][..], &["config", "check"]] {
        let failed = ctl(&daemon, arguments).await?;
        ensure!(failed.code == Some(1) && failed.out.is_empty(), "{failed:?}");
        ensure!(failed.err.contains("limits_") && failed.err.contains("ghostllm.toml"), "{failed:?}");
    }
    let shown = ctl(&daemon, &["config", "show"]).await?;
    ensure!(shown.out.contains("drain_grace = \"7s\"") && shown.err.contains("not in use"), "{shown:?}");
    daemon.stop().await
}

#[tokio::test]
async fn a_backend_that_is_down_is_named_with_what_to_do() -> Result<()> {
    let daemon = Daemon::start(&Setup::backend("ollama", "http://127.0.0.1:1")).await?;
    let status = ctl(&daemon, &["status"]).await?;
    ensure!(status.code == Some(1) && status.out.starts_with("no model: "), "{status:?}");
    ensure!(status.out.contains("ghostctl backends test ollama"), "{status:?}");
    ensure!(ctl(&daemon, &["backends", "test", "ollama"]).await?.code == Some(1));
    ensure!(ctl(&daemon, &["backends", "test", "olama"]).await?.code == Some(5));
    daemon.stop().await
}

#[tokio::test]
async fn events_are_followed_and_a_daemon_that_ends_ends_the_status() -> Result<()> {
    let (_double, daemon) = ollama().await?;
    let mut child = command(&daemon, &["events"])?.stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
    let mut lines = BufReader::new(child.stdout.take().context("its output")?).lines();
    // What happens before it listens is not told to it, so that things happen until it has told one.
    let line = loop {
        ensure!(ctl(&daemon, &["keys", "create", "heard"]).await?.code == Some(0));
        let told = tokio::time::timeout(Duration::from_millis(500), lines.next_line()).await;
        if let Ok(line) = told {
            break line?.context("it has ended")?;
        }
    };
    ensure!(line.contains("  key ") && line.contains("name=heard"), "{line}");
    process::signal(child.id().context("it has ended")?, Signal::SIGINT)?;
    ensure!(child.wait().await?.code() == Some(130));
    let mut status = command(&daemon, &["status"])?;
    daemon.stop().await?;
    let gone = ran(&mut status).await?;
    ensure!(gone.code == Some(3) && gone.err.contains("ghostllm serve"), "{gone:?}");
    Ok(())
}
