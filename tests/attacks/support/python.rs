//! Clients of `tests/clients` that are told what to do by one line of JSON, and say what came of it by another.

use std::{process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::root;
use serde_json::Value;
use tokio::{io::AsyncWriteExt, process::Command, time::timeout};

/// How long a client may take.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn run(script: &str, order: &Value) -> Result<Value> {
    let python = root().join(".tools/venv/bin/python");
    ensure!(python.exists(), "{} is missing: run `just setup`", python.display());
    let mut child = Command::new(python)
        .arg(root().join("tests/clients").join(script))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut stdin = child.stdin.take().context("standard input")?;
    stdin.write_all(format!("{order}\n").as_bytes()).await?;
    drop(stdin);
    let output = timeout(PATIENCE, child.wait_with_output()).await.context("the client does not end")??;
    let said = || String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "the client fails: {}", said());
    serde_json::from_slice(&output.stdout).with_context(said)
}
