//! Processes of this machine, as `/proc` shows them: whose children they are, and whether they are gone.
//!
//! Knows process ids and signals. Refuses to know what the programs do. Invariant: a zombie counts as gone, since
//! whoever should reap it may itself be dead.

use std::{fs, time::Duration};

use anyhow::{Context, Result};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::time::timeout;

/// How long a process may take to go.
const PATIENCE: Duration = Duration::from_secs(20);

/// The state and the parent of a process; none where there is no such process.
fn look(id: u32) -> Option<(char, u32)> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name stands in brackets and may hold anything, brackets included.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

/// The living processes whose parent is `id`.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn children(id: u32) -> Result<Vec<u32>> {
    let processes = fs::read_dir("/proc").context("/proc cannot be read")?;
    let ids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    Ok(ids.filter(|child| look(*child).is_some_and(|(state, parent)| parent == id && state != 'Z')).collect())
}

/// The arguments of a process, the program first.
#[must_use]
pub fn arguments(id: u32) -> Vec<String> {
    let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&line).split('\0').map(str::to_owned).collect()
}

/// Its resident memory in bytes: the second figure of statm, which anybody may read.
///
/// # Errors
/// When the process has gone.
pub fn resident(id: u32) -> Result<u64> {
    let pages = fs::read_to_string(format!("/proc/{id}/statm"))?;
    let pages: u64 = pages.split(' ').nth(1).context("statm")?.parse()?;
    // Pages of 4 KiB, on every machine that this is built for.
    Ok(pages * 4096)
}

/// Sends a signal.
///
/// # Errors
/// When the process has gone.
pub fn signal(id: u32, signal: Signal) -> Result<()> {
    kill(Pid::from_raw(id.try_into()?), signal).with_context(|| format!("{signal} to the process {id}"))
}

/// Whether a process is gone, or dead and not yet reaped.
#[must_use]
pub fn is_gone(id: u32) -> bool {
    look(id).is_none_or(|(state, _)| state == 'Z')
}

/// Waits until a process is gone. The kernel tells only its parent, so that it is looked at again and again.
///
/// # Errors
/// When it is still there after the patience of this harness.
pub async fn wait_gone(id: u32) -> Result<()> {
    let gone = async {
        while !is_gone(id) {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, gone)
        .await
        .with_context(|| format!("the process {id} does not go: {:?}", arguments(id)))
}
