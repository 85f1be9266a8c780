//! A child process, from its start to its end.
//!
//! Knows three races and closes them. The parent-death signal that the engine asks for comes when the *thread* ends
//! that started it, so each child has a thread that stays until it is gone; a runtime's threads come and go. A process
//! id may be another's once the child is reaped, so signals are sent and the child is reaped under one lock. And a
//! signal from the terminal reaches a whole process group, so the child has its own, lest Ctrl-C cuts answers off.
//! Invariant: with the last [`Child`], the process and all that it started are killed.

use std::{
    io::{self, BufRead, BufReader, Read},
    os::unix::process::CommandExt,
    panic::{AssertUnwindSafe, catch_unwind},
    process::{ChildStderr, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use nix::{
    errno::Errno,
    sys::{
        signal::{Signal, kill, killpg},
        wait::{Id, WaitPidFlag, waitid},
    },
    unistd::Pid,
};
use tokio::sync::{oneshot, watch};

/// Longer lines of its log are cut into pieces.
const LINE_BYTES: u64 = 8 << 10;

/// A running child; its standard input is a pipe that stays open as long as it lives.
pub(super) struct Child {
    pub(super) id: u32,
    shared: Arc<Shared>,
    end: watch::Receiver<Option<ExitStatus>>,
}

struct Shared {
    group: Pid,
    /// Empty once it is reaped.
    process: Mutex<Option<std::process::Child>>,
}

impl Child {
    /// Starts it in a process group of its own; its standard error goes to our log.
    ///
    /// # Errors
    /// If the program cannot be started.
    pub(super) async fn start(mut command: Command) -> io::Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
        // It has words of its own for a service manager, and ours listens to the daemon alone.
        command.env_remove("NOTIFY_SOCKET").env_remove("WATCHDOG_USEC");
        let (tell, told) = oneshot::channel();
        thread::Builder::new().name("engine".into()).spawn(move || keep(command, tell))?;
        told.await.unwrap_or_else(|_| Err(io::Error::other("the thread that starts it has failed")))
    }

    /// Waits until it is gone; its status where that is known. May be asked again.
    pub(super) async fn ended(&mut self) -> Option<ExitStatus> {
        // The thread is gone without a word only if it panicked; then there is nothing to wait for.
        self.end.wait_for(Option::is_some).await.ok().and_then(|status| *status)
    }

    /// Asks it to end.
    pub(super) fn terminate(&self) {
        self.shared.while_it_is(|shared| kill(shared.group, Signal::SIGTERM));
    }

    /// Ends it and all that it started.
    pub(super) fn kill(&self) {
        self.shared.while_it_is(|shared| killpg(shared.group, Signal::SIGKILL));
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Shared {
    /// Acts on the process unless it is reaped.
    fn while_it_is(&self, act: impl FnOnce(&Self) -> nix::Result<()>) {
        let process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        if process.is_some()
            && let Err(error) = act(self)
        {
            tracing::warn!("the engine cannot be sent a signal: {error}");
        }
    }
}

/// The life of the thread: starts the child, tells, waits until it is gone.
fn keep(mut command: Command, tell: oneshot::Sender<io::Result<Child>>) {
    let started = command.spawn().and_then(|mut process| {
        let log = process.stderr.take();
        let id = process.id();
        let group = Pid::from_raw(i32::try_from(id).map_err(io::Error::other)?);
        if let Some(log) = log {
            thread::Builder::new().name("engine-log".into()).spawn(move || repeated(log))?;
        }
        Ok((id, Arc::new(Shared { group, process: Mutex::new(Some(process)) })))
    });
    let (id, shared) = match started {
        Ok(started) => started,
        Err(error) => {
            let _nobody_waits = tell.send(Err(error));
            return;
        }
    };
    let (ended, end) = watch::channel(None);
    // If nobody waits any more, the child is dropped here, and so killed.
    drop(tell.send(Ok(Child { id, shared: Arc::clone(&shared), end })));
    // It is left unreaped at first, so that its id stays its own until the lock is held.
    while waitid(Id::Pid(shared.group), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) == Err(Errno::EINTR) {}
    // What it started (it tries files in a child of its own) goes with it.
    shared.while_it_is(|shared| killpg(shared.group, Signal::SIGKILL));
    let process = shared.process.lock().unwrap_or_else(PoisonError::into_inner).take();
    ended.send_replace(process.and_then(|mut process| process.wait().ok()));
}

/// Puts the child's log into ours until its last holder has gone. A panic costs a line: were the pipe closed, the engine would end by its
/// next one.
fn repeated(log: ChildStderr) {
    let mut log = BufReader::new(log);
    while catch_unwind(AssertUnwindSafe(|| repeat(&mut log))).is_err() {}
}

fn repeat(log: &mut impl BufRead) {
    let mut line = Vec::new();
    while matches!(log.by_ref().take(LINE_BYTES).read_until(b'\n', &mut line), Ok(1..)) {
        say(String::from_utf8_lossy(&line).trim_end());
        line.clear();
    }
}

/// A line of the engine at the level that it bears; what bears none (ggml before it aborts) is a warning.
fn say(line: &str) {
    match level(line) {
        Some(("ERROR", text)) => tracing::error!(target: "engine", "{text}"),
        Some(("WARN", text)) => tracing::warn!(target: "engine", "{text}"),
        Some(("INFO", text)) => tracing::info!(target: "engine", "{text}"),
        Some((_, text)) => tracing::debug!(target: "engine", "{text}"),
        None if line.is_empty() => {}
        None => tracing::warn!(target: "engine", "{line}"),
    }
}

/// The level and the text of a line of the form `time level text`.
fn level(line: &str) -> Option<(&str, &str)> {
    let (time, rest) = line.split_once(' ')?;
    let (level, text) = rest.trim_start().split_once(' ')?;
    let known = ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"].contains(&level);
    (known && time.ends_with('Z')).then_some((level, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_bear_their_level() {
        let line = "2026-11-24T09:08:00.123456Z  INFO ghostllm_engine: serving models=1";
        assert_eq!(level(line), Some(("INFO", "ghostllm_engine: serving models=1")));
        for line in ["", "ggml.c:12: GGML_ASSERT(x) failed", "a INFO b", "2026Z  INFORMED x"] {
            assert_eq!(level(line), None);
        }
    }

    #[tokio::test]
    async fn an_end_is_told_as_often_as_asked() {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "exit 7"]);
        let mut child = Child::start(command).await.unwrap();
        assert_eq!(child.ended().await.unwrap().code(), Some(7));
        assert_eq!(child.ended().await.unwrap().code(), Some(7));
        // The id may be another's by now: nothing is sent.
        child.kill();
        child.terminate();
    }

    #[tokio::test]
    async fn what_cannot_be_started_is_an_error() {
        assert!(Child::start(Command::new("/nowhere/engine")).await.is_err());
    }

    #[tokio::test]
    async fn it_and_its_own_children_go_with_the_value() {
        let directory = tempfile::tempdir().unwrap();
        let lock = directory.path().join("fifo");
        nix::unistd::mkfifo(&lock, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let mut command = Command::new("/bin/sh");
        // Both shells hold the pipe's writing end; its reader sees the end when the last of them is gone.
        command.arg("-c").arg("exec >\"$0\"; (read forever <&3) 3<&0 & echo up; read forever").arg(&lock);
        let child = Child::start(command).await.unwrap();
        let mut reader = BufReader::new(std::fs::File::open(&lock).unwrap());
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        assert_eq!(line, "up\n");
        let mut seen = child.end.clone();
        drop(child);
        seen.wait_for(Option::is_some).await.unwrap();
        assert_eq!(reader.read_line(&mut line).unwrap(), 0);
    }
}
