//! A coding agent that people run on their own machines, headless: it writes a file and reads it again, each time by a call of a tool.
//!
//! Knows pi's command line and its `models.json`. Refuses to know how it talks. Invariant: what is judged is the file that it has
//! written, and that what it has read came to the engine.

use std::{fs, process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{openai::Style, root};
use serde_json::{Value, json};
use tokio::{process::Command, time::timeout};

use super::{
    legs::{Leg, Stage},
    outside::Outside,
};
use crate::order;

/// The doubles' model calls the tool whose name it is told, with the last word for every text: the path and the content.
const TASKS: [&str; 2] = ["Please write Grace", "Please read Grace"];
const PATIENCE: Duration = Duration::from_secs(50);

async fn check(leg: Leg, api: &str) -> Result<()> {
    let stage = Stage::start(leg).await?;
    let outside = Outside::start().await?;
    let (home, work) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let models = json!({"providers": {"box": {
        "baseUrl": stage.order["base_url"], "api": api, "apiKey": "$BOX_KEY", "models": [{"id": "tiny"}],
    }}});
    fs::write(home.path().join("models.json"), models.to_string())?;
    let node = root().join(".tools/node");
    let program = node.join("node_modules/@earendil-works/pi-coding-agent/dist/bundle/cli.js");
    ensure!(program.exists(), "{} is missing: run `just setup`", program.display());
    let mut command = Command::new(node.join("bin/node"));
    outside.bar(&mut command, home.path());
    let ca = home.path().join("ca.pem");
    fs::write(&ca, &stage.ca)?;
    order::trust(&mut command, &ca);
    command
        .arg(program)
        .args([
            "--provider",
            "box",
            "--model",
            "tiny",
            "--tools",
            "read,write",
            "--no-session",
            "--offline",
            "--print",
        ])
        .args(TASKS)
        .current_dir(work.path())
        .env("PI_CODING_AGENT_DIR", home.path())
        .env("PI_TELEMETRY", "0")
        .env("PI_SKIP_VERSION_CHECK", "1")
        .env("BOX_KEY", stage.order["key"].as_str().context("no key")?)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = timeout(PATIENCE, command.output()).await.context("it does not end")??;
    let said = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && !said.trim().is_empty(), "{} {said}\n{complaint}", output.status);
    outside.check()?;
    let written =
        fs::read_to_string(work.path().join("Grace")).with_context(|| format!("{said}\n{complaint}"))?;
    ensure!(written == "Grace", "it wrote {written:?}");
    came_back(&stage)?;
    println!("pi, {api}, before {leg:?}: wrote and read a file");
    stage.daemon.stop().await
}

/// Each tool's result came to the engine: the last of them is the file's text.
fn came_back(stage: &Stage) -> Result<()> {
    let seen = stage.double.as_ref().context("no double")?.seen_at(stage.leg.wire().1);
    let results: Vec<Value> = seen
        .iter()
        .filter_map(|seen| seen.request.json()["messages"].as_array()?.last().cloned())
        .filter(|message| message["role"] == "tool")
        .collect();
    let [wrote, read] = &results[..] else { anyhow::bail!("{results:#?}") };
    ensure!(
        wrote["content"].to_string().contains("Grace") && read["content"].to_string().contains("Grace"),
        "{results:#?}"
    );
    Ok(())
}

#[tokio::test]
async fn pi_by_chat_before_ollama() -> Result<()> {
    check(Leg::Ollama, "openai-completions").await
}

#[tokio::test]
async fn pi_by_responses_before_ollama() -> Result<()> {
    check(Leg::Ollama, "openai-responses").await
}

#[tokio::test]
async fn pi_by_chat_before_llama() -> Result<()> {
    check(Leg::OpenAi(Style::Llama), "openai-completions").await
}

#[tokio::test]
async fn pi_by_responses_before_vllm() -> Result<()> {
    check(Leg::OpenAi(Style::Vllm), "openai-responses").await
}
