//! Clients of `tests/clients` in Python, which are told what to do by one line of JSON.
//!
//! Knows where `just setup` has put Python. Refuses to know what is ordered and what is said. Invariant: a client that cannot
//! start is a failure with the command that installs it, never a test passed over in silence.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::{
    io::AsyncWriteExt,
    process::{Child, Command},
};

use crate::{binary, root};

/// Where those are that begin at once; unset where nobody has started them, and then each client is a Python of its own.
pub const FORKS: &str = "FORKS_GHOSTLLM";

/// Starts a client and gives it its order. Its input stays open for more, and it ends with what is returned.
///
/// # Errors
/// When it is not installed, or takes no order.
pub async fn start(script: &str, order: &Value) -> Result<Child> {
    let python = root().join(".tools/venv/bin/python");
    ensure!(python.exists(), "{} is missing: run `just setup`", python.display());
    let python = if std::env::var_os(FORKS).is_some() { binary("python-client") } else { python };
    let mut child = Command::new(python)
        .arg(root().join("tests/clients").join(script))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let stdin = child.stdin.as_mut().context("standard input")?;
    stdin.write_all(format!("{order}\n").as_bytes()).await?;
    stdin.flush().await?;
    Ok(child)
}
