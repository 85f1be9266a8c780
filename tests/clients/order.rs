//! A client's script: one order in, one line of JSON out for each thing that it has to tell.
//!
//! Knows processes and where `just setup` has put Python and Node. Refuses to know what is ordered. Invariant: a script
//! that fails is a failed test that shows what it wrote to its standard error.

use std::{path::PathBuf, process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::root;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::{io::AsyncWriteExt, process::Command, time::timeout};

/// How long a client may take for all that it was ordered: less than the 60 seconds after which a test is ended.
const PATIENCE: Duration = Duration::from_secs(50);

/// Runs a script of `tests/clients` (`.py` by Python, `.mjs` by Node) and reads its lines.
///
/// # Errors
/// When its interpreter is not installed, or it does not end with success in time, or says what is no such line.
pub(crate) async fn run<T: DeserializeOwned>(script: &str, order: &Value) -> Result<Vec<T>> {
    let interpreter = root().join(if script.ends_with(".py") { ".tools/venv/bin/python" } else { NODE });
    ensure!(interpreter.exists(), "{} is missing: run `just setup`", interpreter.display());
    let mut command = Command::new(interpreter);
    command.arg(root().join("tests/clients").join(script));
    // Where a program names no CA itself, these are the ways to give it one, to Node and to Python.
    if let Some(ca) = order["ca"].as_str() {
        command.env("NODE_EXTRA_CA_CERTS", ca).env("SSL_CERT_FILE", ca);
    }
    let (stdout, stderr) = output(command, &format!("{order}\n")).await?;
    ensure!(stderr.trim().is_empty(), "{script} wrote:\n{stderr}");
    stdout.lines().map(|line| read(script, line)).collect()
}

/// Node as the requirements of `tests/clients` pin it.
const NODE: &str = ".tools/node/bin/node";

fn read<T: DeserializeOwned>(script: &str, line: &str) -> Result<T> {
    serde_json::from_str(line).with_context(|| format!("{script} said {line:?}"))
}

/// Runs a program with this input and gives back its standard output and error, whatever its exit code says.
///
/// # Errors
/// When it does not start, or does not end in time.
pub(crate) async fn output(mut command: Command, input: &str) -> Result<(String, String)> {
    let name = PathBuf::from(command.as_std().get_program());
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("{} does not start: run `just setup`", name.display()))?;
    let mut stdin = child.stdin.take().context("standard input")?;
    stdin.write_all(input.as_bytes()).await?;
    drop(stdin);
    let output = timeout(PATIENCE, child.wait_with_output())
        .await
        .with_context(|| format!("{} does not end", name.display()))??;
    Ok((String::from_utf8(output.stdout)?, String::from_utf8_lossy(&output.stderr).into_owned()))
}
