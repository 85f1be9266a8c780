//! nginx and haproxy as processes: started with a configuration, waited for until they take a connection, ended by SIGTERM.
//!
//! Knows their command lines. Refuses to know what they are configured for. Invariant: each lives in the foreground, so that
//! it ends with whoever started it.

use std::{
    fmt,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use tokio::process::{Child, Command};

use crate::{daemon::Signal, process::signal};

/// How long one may take to listen.
const PATIENCE: Duration = Duration::from_secs(10);

/// Which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// Its configuration must say `daemon off;`.
    Nginx,
    /// Its workers are threads.
    Haproxy,
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
        })
    }
}

/// One that runs. Its workers end with it only if it is asked to end, which dropping it does.
#[derive(Debug)]
pub struct Proxy {
    child: Child,
    /// From the start of its process until it took a connection.
    pub ready: Duration,
}

impl Proxy {
    /// Starts it with this configuration in that directory, and waits until `listens` holds.
    ///
    /// # Errors
    /// When it is not installed, ends at once, or does not listen in time.
    pub async fn start(
        program: Program,
        directory: &Path,
        configuration: &str,
        listens: impl AsyncFn() -> bool,
    ) -> Result<Self> {
        let file = directory.join(format!("{program}.conf"));
        std::fs::write(&file, configuration)?;
        let mut command = Command::new(program.to_string());
        match program {
            Program::Nginx => command.arg("-p").arg(directory).args(["-e", "stderr", "-c"]).arg(&file),
            Program::Haproxy => command.arg("-db").arg("-f").arg(&file),
        };
        let begun = Instant::now();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("{program} does not start: `just setup` installs it"))?;
        while !listens().await {
            if let Some(status) = child.try_wait()? {
                bail!("{program} has ended before it listened: {status}");
            }
            if begun.elapsed() > PATIENCE {
                bail!("{program} does not listen");
            }
            tokio::task::yield_now().await;
        }
        Ok(Self { child, ready: begun.elapsed() })
    }

    /// Its process.
    ///
    /// # Errors
    /// When it has ended.
    pub fn id(&self) -> Result<u32> {
        self.child.id().context("it has ended")
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(id) = self.child.id() {
            let _gone_already = signal(id, Signal::SIGTERM);
        }
    }
}
