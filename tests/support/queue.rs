//! The embedded engine with one answer that does not end, behind which all others wait in its queue.
//!
//! Knows the engine's status, which tells how many wait; a question takes a millisecond or so, which counts as part of the time
//! until it is free. Refuses to know who asks. Invariant: while the first answer runs, no other is begun.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    client::{Caller, Request, Stream},
    daemon::Setup,
    engine::{self, Engine},
    expect::FRANCE,
};

/// The one model, whose answers have no end.
pub const MODEL: &str = "endless";
const PATIENCE: Duration = Duration::from_secs(20);

/// The engine. Dropping it ends its process.
#[derive(Debug)]
pub struct Queue {
    socket: PathBuf,
    _engine: Engine,
    _directory: TempDir,
}

impl Queue {
    /// Starts the engine, and gives what a daemon needs to use it.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start() -> Result<(Self, Setup)> {
        let directory = TempDir::new()?;
        let (socket, models) = (directory.path().join("engine.sock"), directory.path().join("models"));
        fs::create_dir(&models)?;
        fs::write(models.join(format!("{MODEL}.gguf")), engine::endless())?;
        let models = models.to_str().context("a path of text")?;
        let engine = Engine::start(&socket, &["--models", models, "--context", "50000"]).await?;
        let setup = Setup::default().with_engine(&format!("socket = \"{}\"", socket.display()));
        Ok((Self { socket, _engine: engine, _directory: directory }, setup))
    }

    /// Begins the answer that occupies the engine; it ends with what is returned.
    ///
    /// # Errors
    /// When it is not begun.
    pub async fn occupy(&self, caller: &Caller) -> Result<Stream> {
        let stream = caller.open(&Request::chat(MODEL, FRANCE, true)).await?;
        engine::wait_status(&self.socket, |status| status["running"] == 1).await?;
        Ok(stream)
    }

    /// Waits until so many requests wait.
    ///
    /// # Errors
    /// When they never do.
    pub async fn asked(&self, count: usize) -> Result<()> {
        engine::wait_status(&self.socket, |status| queued(status) == count).await
    }

    /// When each of so many requests was out of the queue; the one before them still runs, so none was begun.
    ///
    /// # Errors
    /// When one stays, or was begun.
    pub async fn freed(&self, count: usize) -> Result<Vec<Instant>> {
        let (begun, mut freed) = (Instant::now(), Vec::with_capacity(count));
        while freed.len() < count {
            let (code, status) = engine::ask(&self.socket, "GET", "/status", b"").await?;
            ensure!(code == 200 && status["running"] == 1, "{code} {status}");
            let gone = count.saturating_sub(queued(&status));
            freed.resize_with(gone.max(freed.len()), Instant::now);
            ensure!(begun.elapsed() < PATIENCE, "orphans: {status}, {} of {count} are out", freed.len());
        }
        Ok(freed)
    }
}

fn queued(status: &Value) -> usize {
    status["queued"].as_u64().and_then(|queued| usize::try_from(queued).ok()).unwrap_or(usize::MAX)
}
