//! The watchdog: whatever must go on is frozen in turn, and systemd starts the daemon anew each time.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use ghostllm_tests::{
    binary,
    nspawn::{Container, UNIT},
};
use memchr::memmem;

use crate::{VERSIONS, check_serves};

/// Names the file with the name of what hangs, in a build with the feature `freeze`.
const VARIABLE: &str = "FREEZE_GHOSTLLM";
const FILE: &str = "/run/freeze";
/// So short that each is seen to be killed, and so long that nothing is without having hung.
const LIMIT: Duration = Duration::from_secs(5);

/// Everything critical, as the daemon names it. The loop has four times as long as the others.
const CRITICAL: [&str; 8] = [
    "tls [::]:11443",
    "quic [::]:11443",
    "plain 127.0.0.1:11430",
    "plain [::1]:11430",
    "admin",
    "watchdog",
    "thread 0",
    "main",
];

async fn watched() -> Result<Container> {
    let container = Container::boot().await?;
    // Gone before the next start, which must not hang as well.
    let lines = format!(
        "[Service]\nWatchdogSec={}s\nRestartSec=10ms\nEnvironment={VARIABLE}={FILE}\nExecStartPre=-+/bin/rm -f {FILE}\n",
        LIMIT.as_secs()
    );
    container.drop_in(UNIT, &lines).await?;
    container.systemctl("start ghostllm").await?;
    Ok(container)
}

#[tokio::test]
async fn each_critical_task_that_hangs_has_the_daemon_started_anew() -> Result<()> {
    let program = fs::read(binary("ghostllm"))?;
    ensure!(
        memmem::find(&program, VARIABLE.as_bytes()).is_some(),
        "the daemon is built without its test hook: cargo build --release --workspace --bins --features ghostctl/journal,ghostllm/freeze"
    );
    let container = watched().await?;
    // Nothing hangs, and nothing is started anew.
    tokio::time::sleep(LIMIT * 2).await;
    ensure!(container.property("NRestarts").await? == "0", "{}", container.journal().await?);
    let mut names: Vec<_> = CRITICAL.iter().map(ToString::to_string).collect();
    if std::thread::available_parallelism()?.get() > 1 {
        names.push("thread 1".to_owned());
    }
    for (nth, name) in names.iter().enumerate() {
        let begun = Instant::now();
        container.write(FILE, name)?;
        container.until("NRestarts", |restarts| restarts.parse() == Ok(nth + 1)).await?;
        println!("{name} hangs: started anew after {:?}", begun.elapsed());
        container.until("ActiveState", |state| state == "active").await?;
        ensure!(
            container.property("NRestarts").await? == (nth + 1).to_string(),
            "{name}: {}",
            container.journal().await?
        );
    }
    let journal = container.journal().await?;
    ensure!(journal.matches("Watchdog timeout").count() == names.len(), "{journal}");
    for name in names.iter().filter(|name| !["watchdog", "thread 0"].contains(&name.as_str())) {
        ensure!(journal.contains(&format!("no sign of life of {name}")), "{name} is not named:\n{journal}");
    }
    check_serves(&container, &VERSIONS).await?;
    container.end().await
}
