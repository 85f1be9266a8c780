//! The daemon on network stacks of every kind, each in a network namespace that its test makes.
//!
//! Knows namespaces, cables and users, and so needs root; `tests/support/namespaces.sh` leaves this program out, by name,
//! where there is none. Refuses to know the daemon's code. Invariant: nothing of the machine's own network is touched.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test crate: a panic is a failed test")]

mod absent;
mod admin;
mod changes;
mod clocks;
mod coming;
mod doctor;
mod exposure;
mod guesses;
mod host;
mod journal;
mod pasted;
mod restore;
mod room;
mod sources;
mod streams;
mod system;
mod users;
mod vanishing;

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    client::{Caller, Request, VERSIONS},
    daemon::{Daemon, Setup},
    netns::Namespace,
};

/// A daemon that looks for no model and starts no engine.
pub(crate) fn bare() -> Setup {
    Setup::backend("ollama", "http://127.0.0.1:1")
}

/// GETs /healthz from that place, on every HTTP version.
pub(crate) async fn check_served(from: &Namespace, daemon: &Daemon, at: &str) -> Result<()> {
    let address = address(at);
    for version in VERSIONS {
        let asked =
            from.run(async { Caller::at(daemon, version, address)?.send(&Request::get("/healthz")).await });
        let answer =
            asked.await.with_context(|| format!("at {at}; the daemon wrote:\n{}", daemon.stderr()))?;
        ensure!(answer.status == 200, "{version:?} at {at}: {} {}", answer.status, answer.text());
    }
    Ok(())
}

/// An address whose port the daemon tells.
pub(crate) fn address(text: &str) -> SocketAddr {
    let bracketed = if text.contains(':') { format!("[{text}]:0") } else { format!("{text}:0") };
    bracketed.parse().unwrap()
}
