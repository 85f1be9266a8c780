//! The line that `just run` prints, pasted: its ports are fixed, and free in a namespace.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{binary, client::PATIENCE, daemon::Signal, netns::Namespace, process, root};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

/// A tree that has the script alone, so that its state is no other daemon's.
fn tree() -> Result<(tempfile::TempDir, PathBuf)> {
    let tree = tempfile::tempdir()?;
    let script = tree.path().join("tests/support/run.sh");
    fs::create_dir_all(tree.path().join("tests/support"))?;
    fs::copy(root().join("tests/support/run.sh"), &script)?;
    Ok((tree, script))
}

/// Waits for the line, and pastes it.
async fn paste(network: &Namespace, running: &mut Child) -> Result<String> {
    let mut said = BufReader::new(running.stdout.take().context("its output")?).lines();
    let line = loop {
        let line = said.next_line().await?.context("it ends without a line")?;
        if line.starts_with("curl ") {
            break line;
        }
    };
    let pasted = network.run(async { Command::new("bash").args(["-c", &line]).output().await }).await?;
    let answer = String::from_utf8_lossy(&pasted.stdout).into_owned();
    ensure!(pasted.status.success(), "{line}\nends with {}: {answer}", pasted.status);
    Ok(answer)
}

#[tokio::test]
async fn the_line_of_just_run_works() -> Result<()> {
    let (network, (tree, script)) = (Namespace::new()?, tree()?);
    // The script looks for the programs in target/release.
    let program = binary("ghostllm");
    let target = program.parent().and_then(Path::parent).context("no target directory")?;
    let mut command = Command::new("bash");
    command
        .arg(&script)
        .env("CARGO_TARGET_DIR", target)
        .env("XDG_CONFIG_HOME", tree.path())
        .env("OLLAMA_HOST", "127.0.0.1:1")
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut running = network.run(async { command.spawn() }).await?;
    let id = running.id().context("it has ended already")?;
    let pasted = timeout(PATIENCE, paste(&network, &mut running)).await;
    // Whatever came of it, the daemon must not stay behind.
    process::signal(id, Signal::SIGTERM)?;
    let ended = timeout(PATIENCE, running.wait()).await.context("it does not end")??;
    let answer: serde_json::Value = serde_json::from_str(&pasted.context("no line in time")??)?;
    ensure!(answer["choices"][0]["message"]["content"].is_string(), "{answer}");
    ensure!(ended.code() == Some(0), "it ends with {ended}");
    Ok(())
}
