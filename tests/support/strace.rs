//! Calls of a running process that fail, by strace.
//!
//! Knows strace's command line. Refuses to know what the process does about it. Invariant: the calls fail from the moment in
//! which this is there until it is ended, and are as they were then.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use crate::{
    daemon::{Setup, Signal},
    process,
};

/// The daemon as [`Injected::into`] can have it, which whoever is not root may not trace otherwise: it is not dumpable. Whoever
/// makes a user namespace has every capability over it (user_namespaces(7)), so that a daemon in one of ours is ours to trace.
#[must_use]
pub fn traceable(mut setup: Setup) -> Setup {
    if !nix::unistd::geteuid().is_root() {
        let namespace = ["unshare", "--user", "--map-current-user"].map(str::to_owned);
        setup.prefix.splice(0..0, namespace);
    }
    setup
}

/// strace at a process that runs.
#[derive(Debug)]
pub struct Injected(Child);

impl Injected {
    /// From now on this call of the process, which was started `traceable`, fails with EIO.
    ///
    /// # Errors
    /// When strace is not there, or may not trace the process.
    pub async fn into(process: u32, call: &str) -> Result<Self> {
        Self::with(process, call, "error=EIO").await
    }

    /// From now on it takes so long.
    ///
    /// # Errors
    /// As above.
    pub async fn slow(process: u32, call: &str, time: Duration) -> Result<Self> {
        Self::with(process, call, &format!("delay_enter={}", time.as_micros())).await
    }

    /// From now on it takes so long, and fails.
    ///
    /// # Errors
    /// As above.
    pub async fn slow_into(process: u32, call: &str, time: Duration) -> Result<Self> {
        Self::with(process, call, &format!("error=EIO:delay_enter={}", time.as_micros())).await
    }

    async fn with(process: u32, call: &str, how: &str) -> Result<Self> {
        let (trace, inject) = (format!("trace={call}"), format!("inject={call}:{how}"));
        let mut child = Command::new("strace")
            .args(["-f", "-e", &trace, "-e", &inject, "-p", &process.to_string()])
            .stderr(Stdio::piped())
            .spawn()
            .context("strace is missing: run `just setup`")?;
        let mut said = BufReader::new(child.stderr.take().context("its output")?);
        let told = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            said.read_line(&mut line).map(|_| (line, said))
        });
        let (line, mut said) = told.await??;
        ensure!(
            line.contains("attached"),
            "strace may not trace that process (is it root's to do, or is its daemon `traceable`?): {line}"
        );
        // It must not wait for a reader.
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        Ok(Self(child))
    }

    /// Takes it away again.
    ///
    /// # Errors
    /// When strace has ended already.
    pub fn end(mut self) -> Result<()> {
        process::signal(self.0.id(), Signal::SIGINT)?;
        self.0.wait()?;
        Ok(())
    }
}
