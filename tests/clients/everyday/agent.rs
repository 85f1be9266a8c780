//! A coding agent that people run on their own machines, headless: it writes a file and reads it again, each time by a call of a tool.
//! Before our own engine, whose model is too small to be relied on for that, it answers a question.
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

/// Its ways to a server that speaks OpenAI's language.
const WAYS: [&str; 2] = ["openai-completions", "openai-responses"];
/// The doubles' model calls the tool whose name it is told, with the last word for every text: the path and the content.
const TASKS: [&str; 2] = ["Please write Grace", "Please read Grace"];
/// What the agent says of itself and of its tools fills our own demo's context of 2,048 tokens, and is more than it understands.
const BRIEF: [&str; 3] = ["--no-tools", "--system-prompt", "You are a helpful assistant."];
const PATIENCE: Duration = Duration::from_secs(50);

/// Has it do its work by each of its ways, one after the other.
async fn check(leg: Leg) -> Result<()> {
    let stage = Stage::start(leg).await?;
    for api in WAYS {
        let tasks = if leg.is_double() { &TASKS[..] } else { &[] };
        works(&stage, api, tasks).await.with_context(|| format!("{api}, before {leg:?}"))?;
        println!("pi, {api}, before {leg:?}: {} tasks", tasks.len().max(1));
    }
    if leg.is_double() {
        came_back(&stage)?;
    }
    stage.daemon.stop().await
}

/// These tasks, or where there are none, the question that every engine is asked.
async fn works(stage: &Stage, api: &str, tasks: &[&str]) -> Result<()> {
    let outside = Outside::start().await?;
    let (home, work) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let name = stage.order["model"].as_str().context("no model")?;
    let models = json!({"providers": {"box": {
        "baseUrl": stage.order["base_url"], "api": api, "apiKey": "$BOX_KEY", "models": [{"id": name}],
    }}});
    fs::write(home.path().join("models.json"), models.to_string())?;
    let mut command = agent(stage, &outside, home.path())?;
    command.args(["--provider", "box", "--model", name]).current_dir(work.path());
    match tasks {
        [] => command.args(BRIEF).arg(stage.order["prompt"].as_str().context("no prompt")?),
        tasks => command.args(["--tools", "read,write"]).args(tasks),
    };
    let output = timeout(PATIENCE, command.output()).await.context("it does not end")??;
    let said = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && !said.trim().is_empty(), "{} {said}\n{complaint}", output.status);
    outside.check()?;
    if !tasks.is_empty() {
        let written =
            fs::read_to_string(work.path().join("Grace")).with_context(|| format!("{said}\n{complaint}"))?;
        ensure!(written == "Grace", "it wrote {written:?}");
    }
    Ok(())
}

/// The agent, headless, in a home of its own.
fn agent(stage: &Stage, outside: &Outside, home: &std::path::Path) -> Result<Command> {
    let node = root().join(".tools/node");
    let program = node.join("node_modules/@earendil-works/pi-coding-agent/dist/bundle/cli.js");
    ensure!(program.exists(), "{} is missing: run `just setup`", program.display());
    let mut command = Command::new(node.join("bin/node"));
    outside.bar(&mut command, home);
    let ca = home.join("ca.pem");
    fs::write(&ca, &stage.ca)?;
    order::trust(&mut command, &ca);
    command
        .arg(program)
        .args(["--no-session", "--offline", "--print"])
        .env("PI_CODING_AGENT_DIR", home)
        .env("PI_TELEMETRY", "0")
        .env("PI_SKIP_VERSION_CHECK", "1")
        .env("BOX_KEY", stage.order["key"].as_str().context("no key")?)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    Ok(command)
}

/// Each tool's result came to the engine, by each way: the last of them is the file's text.
fn came_back(stage: &Stage) -> Result<()> {
    let seen = stage.double.as_ref().context("no double")?.seen_at(stage.leg.wire().1);
    let results: Vec<Value> = seen
        .iter()
        .filter_map(|seen| seen.request.json()["messages"].as_array()?.last().cloned())
        .filter(|message| message["role"] == "tool")
        .collect();
    let told = results.iter().all(|result| result["content"].to_string().contains("Grace"));
    ensure!(results.len() == WAYS.len() * TASKS.len() && told, "{results:#?}");
    Ok(())
}

#[tokio::test]
async fn pi_before_ollama() -> Result<()> {
    check(Leg::Ollama).await
}

#[tokio::test]
async fn pi_before_llama() -> Result<()> {
    check(Leg::OpenAi(Style::Llama)).await
}

#[tokio::test]
async fn pi_before_vllm() -> Result<()> {
    check(Leg::OpenAi(Style::Vllm)).await
}

#[tokio::test]
async fn pi_before_transformers() -> Result<()> {
    check(Leg::OpenAi(Style::Transformers)).await
}

#[tokio::test]
async fn pi_before_our_own_engine() -> Result<()> {
    check(Leg::Embedded).await
}

#[tokio::test]
#[ignore = "needs llama.cpp's server from a moving distribution: LLAMA_SERVER_URL"]
async fn pi_before_llama_server() -> Result<()> {
    check(Leg::LlamaServer).await
}
