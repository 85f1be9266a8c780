//! The daemon from outside: every HTTP version, both address families, real sockets, clients that are not our code.
//!
//! Knows the command line, the configuration's names and the wire. Refuses to know the daemon's code. Invariant: each
//! test has its own daemon and its own doubles, and ends by stopping the daemon with SIGTERM and seeing it exit with 0.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test crate: a panic is a failed test")]
#![expect(clippy::print_stdout, reason = "figures are printed beside the tests that they belong to")]

mod access;
mod acts;
mod adapter;
mod admin;
mod admin_socket;
mod alerts;
mod aliases;
mod backup;
mod bench;
mod cancel;
mod causes;
mod clients;
mod completions;
mod config;
mod config_named;
mod conformance;
mod ctl;
mod doctor;
mod documents;
mod dumps;
mod embeddings;
mod engine;
mod errors;
mod fields;
mod files;
mod finding;
mod flight;
mod forms;
mod guard;
mod guides;
mod handed;
mod health;
mod heat;
mod inspect;
mod keys;
mod keys_guess;
mod keys_models;
mod keys_time;
mod life;
mod limits;
mod log;
mod matrix;
mod media;
mod metrics;
mod models;
mod odds;
mod orders;
mod page;
mod passthrough;
mod quic_restart;
mod readme;
mod recall;
mod records;
mod reload;
mod responses;
mod secrets;
mod settings;
mod start;
mod tasks;
mod unsafety;
mod usage;

use anyhow::Result;
use ghostllm_tests::{
    daemon::{Daemon, Setup},
    double::Double,
    ollama::Ollama,
    script::Sin,
};
pub(crate) use ghostllm_tests::{
    expect::{FRANCE, PARIS, check_error, check_error_object},
    on_every_version,
};

/// An Ollama double and a daemon before it.
pub(crate) async fn ollama() -> Result<(Double, Daemon)> {
    ollama_with("", "").await
}

/// The same, with lines of `[limits]` and of the backend's table.
pub(crate) async fn ollama_with(limits: &str, backend: &str) -> Result<(Double, Daemon)> {
    let double = Double::start(Ollama::default()).await;
    let setup = Setup::default().with_backend("box", "ollama", &double.url(), backend).with_limits(limits);
    let daemon = Daemon::start(&setup).await?;
    Ok((double, daemon))
}

/// The same, with the model `tiny` sinning.
pub(crate) async fn sinner(sin: Sin, limits: &str, backend: &str) -> Result<(Double, Daemon)> {
    let (double, daemon) = ollama_with(limits, backend).await?;
    double.misbehave("tiny", sin);
    Ok((double, daemon))
}
