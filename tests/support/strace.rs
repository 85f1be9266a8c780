//! Calls of a running process that fail, by strace.
//!
//! Knows strace's command line. Refuses to know what the process does about it. Invariant: the calls fail from the moment in
//! which this is there until it is ended, and are as they were then.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, ensure};

use crate::{daemon::Signal, process};

/// strace at a process that runs.
#[derive(Debug)]
pub struct Injected(Child);

impl Injected {
    /// From now on this call of the process fails with EIO.
    ///
    /// # Errors
    /// When strace is not there, or may not trace the process.
    pub async fn into(process: u32, call: &str) -> Result<Self> {
        let (trace, inject) = (format!("trace={call}"), format!("inject={call}:error=EIO"));
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
            "strace may not trace that process (kernel.yama.ptrace_scope?): {line}"
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
