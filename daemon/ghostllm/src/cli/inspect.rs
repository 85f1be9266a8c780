//! `ghostllm inspect`: what there is on this box, at one glance.
//!
//! Knows the arguments, and what a daemon would be started with. Refuses to look by itself. Invariant: whatever is wrong with the
//! configuration, the rest is shown.

use std::{
    env,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use ghostllm_core::{config::Loaded, text};
use serde::Serialize;
use tokio::runtime::Builder;

use super::{
    Failure, print,
    sources::{self, Settings},
};
use crate::{
    exit,
    inspect::{self, Wanted},
    store::{StateDir, settings::Kept},
};

/// What hangs is not waited for.
const LAST_LOOKS: Duration = Duration::ZERO;

#[derive(Debug, Args)]
pub(super) struct Inspect {
    /// In one line, for programs: the form Inspected (with --flight: Flights) of packaging/docs/admin-api.schema.json
    #[arg(long)]
    json: bool,
    /// The configuration, as `ghostllm serve` takes it; --flight needs none, and looks at none
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The state directory of the daemon; its admin socket is asked, and no other
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// What the flight recorder has kept of the minutes before a card was lost, slowed down or near its end, or before an abrupt end: all
    /// records, and the minutes of this one, or of the newest. No daemon is needed
    #[arg(long, value_name = "NAME", num_args = 0..=1, require_equals = true)]
    flight: Option<Option<String>>,
    #[command(flatten)]
    settings: Settings,
}

/// Shows it. What is wrong with the configuration is the failure, after all that.
pub(super) fn run(arguments: &Inspect) -> Result<(), Failure> {
    if let Some(name) = &arguments.flight {
        return print(&flights(arguments, name.as_deref())?);
    }
    let state = StateDir::choose(arguments.state_dir.as_deref(), |name| env::var_os(name)).ok();
    let (files, read) = loaded(arguments, state.as_deref());
    let (config, failure) = match read {
        Ok(loaded) => (Ok(Box::new(loaded.config)), None),
        Err(failure) => (Err(faults(&failure)), Some(failure)),
    };
    let files = files.iter().map(|path| path.display().to_string()).collect();
    let wanted = Wanted { config, files, state, named: arguments.state_dir.is_some() };
    let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| Failure {
        code: exit::INTERNAL,
        message: format!("no runtime can be started: {error}"),
    })?;
    let seen = runtime.block_on(inspect::inspected(wanted));
    runtime.shutdown_timeout(LAST_LOOKS);
    print(&if arguments.json { line(&seen)? } else { inspect::drawn(&seen) })?;
    failure.map_or(Ok(()), Err)
}

/// What the flight recorder has kept.
fn flights(arguments: &Inspect, name: Option<&str>) -> Result<String, Failure> {
    let state = StateDir::choose(arguments.state_dir.as_deref(), |name| env::var_os(name));
    let found = inspect::flights(state, arguments.state_dir.is_some(), name);
    let found = found.map_err(|error| Failure { code: error.exit_code(), message: error.to_string() })?;
    if arguments.json { line(&found) } else { Ok(inspect::flights_drawn(&found)) }
}

/// For programs.
fn line(found: &impl Serialize) -> Result<String, Failure> {
    let json = serde_json::to_string(found).map_err(|error| Failure {
        code: exit::INTERNAL,
        message: format!("what was found cannot be written: {error}"),
    })?;
    Ok(text::one_line(&json) + "\n")
}

/// What a daemon would be started with, and the files of that.
fn loaded(arguments: &Inspect, state: Option<&Path>) -> (Vec<PathBuf>, Result<Loaded, Failure>) {
    let files = match sources::files(arguments.config.as_deref()) {
        Ok(files) => files,
        Err(failure) => return (Vec::new(), Err(failure)),
    };
    // Another user's state is not for whoever looks.
    let kept = state.and_then(|state| Kept::glance(state).ok()).unwrap_or_default();
    let read = sources::read(&files, &arguments.settings, &kept);
    (files, read)
}

/// The lines that name a place, or all of them.
fn faults(failure: &Failure) -> Vec<String> {
    let listed = failure.message.lines().filter_map(|line| line.strip_prefix("  "));
    let listed: Vec<String> = listed.map(str::to_owned).collect();
    if listed.is_empty() { failure.message.lines().map(str::to_owned).collect() } else { listed }
}
