//! One life of an engine of ours, from its start to its end; the supervisor starts the next.
//!
//! Knows when it counts as hung. Invariant: when a life has returned, its process is gone.

use std::{
    io::ErrorKind,
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    sync::Arc,
};

use anyhow::Context;
use tokio::{net::UnixStream, sync::watch, time};

use super::{ASK_AGAIN, Pace, child::Child, health, place::Place};

/// One missed answer may be a machine that was asleep; two in a row are a hang.
const MISSES: u32 = 2;

/// What there is of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Process {
    None,
    /// There may be one at any moment.
    Starting,
    /// It has not answered yet.
    Started(u32),
    /// It has answered since it was started.
    Serving(u32),
}

/// What each life needs.
pub(super) struct Life {
    pub(super) binary: PathBuf,
    /// Beside those that each engine of ours is given.
    pub(super) arguments: Vec<String>,
    pub(super) place: Arc<Place>,
    pub(super) models: PathBuf,
    pub(super) pace: Pace,
    pub(super) ending: watch::Receiver<bool>,
    pub(super) process: watch::Sender<Process>,
}

/// Says that there is no process, however the life ended.
struct Mark<'a>(&'a watch::Sender<Process>);

impl Drop for Mark<'_> {
    fn drop(&mut self) {
        self.0.send_replace(Process::None);
    }
}

impl Life {
    /// Starts the engine and stays until it is gone. Returns well only if it was told to end.
    ///
    /// # Errors
    /// If it cannot be started, ended by itself, or hung and was killed.
    pub(super) async fn live(&self) -> anyhow::Result<()> {
        let mark = Mark(&self.process);
        self.process.send_replace(Process::Starting);
        // Whoever tells us to end waits until there is no process: looked at after that was said, nothing is missed.
        if *self.ending.borrow() {
            return Ok(());
        }
        clear(&self.place.socket).await;
        let started = Child::start(self.command()).await;
        let mut child = started.with_context(|| format!("{} cannot be started", self.binary.display()))?;
        let id = child.id;
        self.process.send_replace(Process::Started(id));
        let mut ending = self.ending.clone();
        let watched = tokio::select! {
            status = child.ended() => Err(anyhow::anyhow!("it ended by itself ({})", words(status))),
            hang = self.hang(id) => {
                child.kill();
                child.ended().await;
                Err(hang)
            }
            () = told(&mut ending) => {
                child.terminate();
                if time::timeout(self.pace.end, child.ended()).await.is_err() {
                    child.kill();
                    child.ended().await;
                }
                Ok(())
            }
        };
        // In this order: a process is there as long as it is said to be.
        drop(child);
        drop(mark);
        watched
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.binary);
        command.arg("--socket").arg(&self.place.socket).arg("--models").arg(&self.models);
        command.arg("--die-with-parent").args(&self.arguments);
        // The daemon's environment may hold secrets, and settings that were not meant for llama.cpp.
        command.env_clear();
        let kept = ["PATH", "HOME"].map(|name| (name, std::env::var_os(name)));
        command.envs(kept.into_iter().filter_map(|(name, value)| Some((name, value?))));
        // Else ggml starts a debugger before it aborts.
        command.env("GGML_NO_BACKTRACE", "1");
        command
    }

    /// Returns when the engine, which is the process `id`, hangs, with what is to be said.
    async fn hang(&self, id: u32) -> anyhow::Error {
        let Pace { start, every, answer, .. } = self.pace;
        let socket = &self.place.socket;
        let first = async {
            while !matches!(time::timeout(answer, health::ask(socket)).await, Ok(Ok(()))) {
                time::sleep(ASK_AGAIN).await;
            }
        };
        if time::timeout(start, first).await.is_err() {
            return anyhow::anyhow!("it did not answer within {start:?} of its start, and was killed");
        }
        self.process.send_replace(Process::Serving(id));
        let mut missed = 0;
        while missed < MISSES {
            time::sleep(every).await;
            let answered = matches!(time::timeout(answer, health::ask(socket)).await, Ok(Ok(())));
            missed = if answered { 0 } else { missed + 1 };
        }
        anyhow::anyhow!("it hung: {MISSES} times in a row no answer within {answer:?}; it was killed")
    }
}

/// Returns when the engine is to end, or when nobody is left who could say so.
async fn told(ending: &mut watch::Receiver<bool>) {
    let _told = ending.wait_for(|ending| *ending).await.map(drop);
}

fn words(status: Option<ExitStatus>) -> String {
    status.map_or_else(|| "its status is unknown".to_owned(), |status| status.to_string())
}

/// Removes a socket that a dead engine left. One that still answers is left alone: the engine then says that it is
/// taken. What cannot be removed is also for the engine to say.
async fn clear(socket: &Path) {
    let there = std::fs::symlink_metadata(socket);
    let dead = there.is_ok_and(|there| there.file_type().is_socket())
        && UnixStream::connect(socket).await.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused);
    if dead {
        let _for_the_engine_to_say = std::fs::remove_file(socket);
    }
}
