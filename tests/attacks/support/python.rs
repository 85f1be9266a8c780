//! Clients that say what came of their order by one line of JSON.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ghostllm_tests::python;
use serde_json::Value;
use tokio::time::timeout;

/// How long a client may take.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn run(script: &str, order: &Value) -> Result<Value> {
    // Waiting for its end closes its input.
    let ended = python::start(script, order).await?.wait_with_output();
    let output = timeout(PATIENCE, ended).await.context("the client does not end")??;
    let said = || String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "the client fails: {}", said());
    serde_json::from_slice(&output.stdout).with_context(said)
}
