//! Chromium as a process: Debian's, without a window, with a profile of its own.

use std::{process::Stdio, time::Duration};

use anyhow::{Context, Result};
use ghostllm_tests::{
    daemon::Signal,
    process::{children, signal, wait_gone},
};
use nix::unistd::Uid;
use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    time::timeout,
};

use super::site::EVIL;

/// How long it may take to end.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Chromium {
    child: Child,
    // Dropped behind its processes, since they write to it.
    _profile: TempDir,
}

impl Chromium {
    /// Opens this page.
    pub(crate) fn start(url: &str) -> Result<Self> {
        let profile = tempfile::Builder::new().prefix("ghostllm-test-").tempdir()?;
        let mut command = Command::new("chromium");
        if Uid::effective().is_root() {
            // Its sandbox does not take root; the pages are ours.
            command.arg("--no-sandbox");
        }
        let child = command
            .args(["--headless", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage"])
            // It asks nobody but these pages' servers.
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            // A page goes on at its pace when another window stands before it.
            .args(["--disable-background-timer-throttling", "--disable-renderer-backgrounding"])
            // The attacker's name leads here, and the reader trusts the box's CA and lets pages open windows.
            .arg(format!("--host-resolver-rules=MAP {EVIL} 127.0.0.1"))
            .args(["--ignore-certificate-errors", "--disable-popup-blocking"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(url)
            .envs(["HOME", "TMPDIR"].map(|name| (name, profile.path())))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("chromium does not start: `just setup` installs it")?;
        Ok(Self { child, _profile: profile })
    }

    /// Ends it and every process of its own.
    pub(crate) async fn end(mut self) -> Result<()> {
        let id = self.child.id().context("chromium has ended")?;
        let family = descendants(id)?;
        signal(id, Signal::SIGTERM)?;
        timeout(PATIENCE, self.child.wait()).await.context("chromium does not end")??;
        for id in family {
            // One that has not noticed the end of the first.
            let _gone_already = signal(id, Signal::SIGKILL);
            wait_gone(id).await?;
        }
        Ok(())
    }

    /// Which one it is.
    pub(crate) async fn version() -> Result<String> {
        let said = Command::new("chromium").arg("--version").stdin(Stdio::null()).output().await?;
        let said = String::from_utf8(said.stdout)?;
        // Debian's says what it was built on as well.
        Ok(said.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        let family = self.child.id().map(descendants);
        for id in family.into_iter().flatten().flatten() {
            let _gone_already = signal(id, Signal::SIGKILL);
        }
    }
}

/// Its children, and theirs.
fn descendants(id: u32) -> Result<Vec<u32>> {
    let mut all = children(id)?;
    for child in all.clone() {
        all.extend(descendants(child)?);
    }
    Ok(all)
}
