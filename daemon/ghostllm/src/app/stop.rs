//! The signals that ask the program to end.
//!
//! Knows them, and when two of them are one. Refuses to know what ends. Invariant: none of them ends the process by itself.

use std::time::Duration;

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::Instant,
};

/// Two within this are one that was told twice: timeout(1) signals its child and then the child's group.
const SAME: Duration = Duration::from_secs(1);

/// SIGTERM and SIGINT.
pub(super) struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    /// Takes the signals from now on; one that comes before anybody asks is kept.
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Completes when the program is asked to end.
    pub(super) async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Completes when it is asked once more, after it has just been asked.
    pub(super) async fn asked_again(&mut self) {
        let told = Instant::now();
        loop {
            self.asked().await;
            if told.elapsed() >= SAME {
                return;
            }
            tracing::debug!("a second signal so soon is taken for the first one, told twice");
        }
    }
}
