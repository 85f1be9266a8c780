//! Accepting streams, whatever carries them.
//!
//! Knows that an accept may fail, and the drain. Refuses to know who has connected. Invariant: a failed accept never ends the
//! listener.

use std::{
    future::poll_fn,
    io,
    task::{Context, Poll},
    time::Duration,
};

use nix::errno::Errno;
use tokio::time::{Instant, sleep};

use crate::{
    drain::Watch,
    ended::{self, Ended},
    freeze,
    pulse::Beat,
    workers::spawn,
};

/// How long a listener rests after a failed accept: out of descriptors, the next try would fail as well. No peer is
/// limited by it, and so it is no setting.
const REST: Duration = Duration::from_millis(50);

/// So long without a failed accept ends a row of them; twenty rests.
const WELL: Duration = Duration::from_secs(1);

/// A listener that accepts connections until it is drained.
#[derive(Debug)]
pub struct Accepting {
    name: String,
    ended: Ended,
}

impl Accepting {
    /// Gives `admit` whatever `accept` does. Must be called within a tokio runtime.
    pub(crate) fn start<T: Send + 'static>(
        name: String,
        drain: Watch,
        beat: Beat,
        accept: impl Fn(&mut Context<'_>) -> Poll<io::Result<T>> + Send + Sync + 'static,
        admit: impl Fn(T) + Send + Sync + 'static,
    ) -> Self {
        let work = freeze::task(&name, run(drain, beat, accept, admit));
        Self { name, ended: ended::of(spawn(work)) }
    }

    /// Its kind and address.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Completes when it has stopped accepting.
    pub fn ended(&self) -> Ended {
        self.ended.clone()
    }
}

async fn run<T>(
    mut drain: Watch,
    mut beat: Beat,
    accept: impl Fn(&mut Context<'_>) -> Poll<io::Result<T>>,
    admit: impl Fn(T),
) {
    let mut failed: Option<Instant> = None;
    loop {
        let accepted = tokio::select! {
            accepted = poll_fn(&accept) => accepted,
            () = beat.due() => continue,
            () = drain.begun() => return,
        };
        match accepted {
            Ok(accepted) => {
                if failed.is_some_and(|last| last.elapsed() >= WELL) {
                    tracing::info!("connections are accepted again");
                    failed = None;
                }
                admit(accepted);
            }
            Err(error) if is_the_peers(&error) => {}
            Err(error) => {
                // Said once: at every try it would be twenty lines a second, whether or not one succeeds now and then.
                if failed.replace(Instant::now()).is_none() {
                    tracing::warn!(
                        %error,
                        "a connection could not be accepted; it is tried again every {} ms until one is. {}",
                        REST.as_millis(),
                        next_step(&error)
                    );
                }
                sleep(REST).await;
            }
        }
    }
}

/// What a person can do about a failed accept.
fn next_step(error: &io::Error) -> &'static str {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EMFILE) => {
            "This process is out of open files: give it more (LimitNOFILE= in its unit, ulimit -n in its shell), or set \
             limits.connections lower"
        }
        Some(Errno::ENFILE) => {
            "The system is out of open files: end what holds them, or raise fs.file-max with sysctl"
        }
        _ => "The system says why",
    }
}

/// The connection was gone before it was accepted, which says nothing of the listener (accept(2)).
fn is_the_peers(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}

#[cfg(test)]
mod tests {
    use super::{Errno, io, next_step};

    #[test]
    fn a_failed_accept_says_whose_files_are_open() {
        let step = |errno: Errno| next_step(&io::Error::from_raw_os_error(errno as i32));
        assert!(step(Errno::EMFILE).contains("LimitNOFILE="));
        assert!(step(Errno::ENFILE).contains("fs.file-max"));
        assert!(!step(Errno::ENOMEM).contains("open files"));
    }
}
