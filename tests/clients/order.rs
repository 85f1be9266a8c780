//! A client's script: one order in, one line of JSON out for each thing that it has to tell.
//!
//! Knows processes and where `just setup` has put Python and Node. Refuses to know what is ordered. Invariant: a script
//! that fails is a failed test that shows what it wrote to its standard error.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::root;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    process::Command,
    time::timeout,
};

/// How long a client may take for all that it was ordered: less than the 60 seconds after which a test is ended.
const PATIENCE: Duration = Duration::from_secs(50);

/// Runs a script of `tests/clients` (`.py` by Python, `.mjs` by Node) and reads its lines.
///
/// # Errors
/// When its interpreter is not installed, or it does not end with success in time, or says what is no such line.
pub(crate) async fn run<T: DeserializeOwned>(script: &str, order: &Value) -> Result<Vec<T>> {
    let mut command = command(script)?;
    if let Some(ca) = order["ca"].as_str() {
        trust(&mut command, Path::new(ca));
    }
    let (stdout, stderr) = output(command, &format!("{order}\n")).await?;
    ensure!(stderr.trim().is_empty(), "{script} wrote:\n{stderr}");
    stdout.lines().map(|line| read(script, line)).collect()
}

/// Runs a script that is given one order after another, and reads its lines by order. It says `done` at the end of each; after a step
/// of the name `waits`, it waits for a line, which it gets once `seen` is through with that order.
///
/// # Errors
/// As [`run`], and when `seen` fails.
pub(crate) async fn talk<T: DeserializeOwned>(
    script: &str,
    mut command: Command,
    orders: &[Value],
    waits: &str,
    seen: impl AsyncFn(usize) -> Result<()>,
) -> Result<Vec<Vec<T>>> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn()?;
    let mut stdin = child.stdin.take().context("standard input")?;
    let mut stderr = child.stderr.take().context("standard error")?;
    let mut lines = BufReader::new(child.stdout.take().context("standard output")?).lines();
    let mut complaint = String::new();
    let told = async {
        let mut said = Vec::new();
        for (number, order) in orders.iter().enumerate() {
            stdin.write_all(format!("{order}\n").as_bytes()).await?;
            let mut steps = Vec::new();
            loop {
                let line = lines.next_line().await?.context("it ended before it was done")?;
                let name = read::<Value>(script, &line)?["step"].take();
                if name == "done" {
                    break;
                }
                steps.push(read(script, &line)?);
                if name == waits {
                    seen(number).await.with_context(|| format!("after {line}"))?;
                    stdin.write_all(b"\n").await?;
                }
            }
            said.push(steps);
        }
        drop(stdin);
        anyhow::Ok(said)
    };
    let both = async { tokio::join!(told, stderr.read_to_string(&mut complaint)) };
    let (told, _) = timeout(PATIENCE, both).await.with_context(|| format!("{script} does not end"))?;
    ensure!(complaint.trim().is_empty(), "{script} wrote:\n{complaint}");
    let said = told?;
    let status = child.wait().await?;
    ensure!(status.success(), "{script} ended with {status}");
    Ok(said)
}

/// A script by its interpreter.
///
/// # Errors
/// When its interpreter is not installed.
pub(crate) fn command(script: &str) -> Result<Command> {
    let interpreter = root().join(if script.ends_with(".py") { ".tools/venv/bin/python" } else { NODE });
    ensure!(interpreter.exists(), "{} is missing: run `just setup`", interpreter.display());
    let mut command = Command::new(interpreter);
    command.arg(root().join("tests/clients").join(script));
    Ok(command)
}

/// Has the program trust this CA: where it names none itself, these are the ways to give it one, to Node and to Python.
pub(crate) fn trust(command: &mut Command, ca: &Path) {
    command.env("NODE_EXTRA_CA_CERTS", ca).env("SSL_CERT_FILE", ca);
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
