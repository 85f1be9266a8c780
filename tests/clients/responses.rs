//! OpenAI's own libraries and the Responses API: whole, streamed, parsed, with a call of a function, and failing.

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    client::{Caller, Family, Version},
    daemon::{Daemon, Setup},
    double::Double,
    expect::{FRANCE, PARIS},
    ollama::{Model, Ollama},
    openai::{OpenAi, Style},
    script::Sin,
};
use serde::Deserialize;
use serde_json::json;

use crate::order;

/// One line of a library's script.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Step {
    client: String,
    step: String,
    text: String,
    usage: Option<u64>,
    events: Vec<String>,
    call: String,
    error: Option<String>,
    code: Option<String>,
    param: Option<String>,
}

async fn check(script: &str, wire: &str) -> Result<()> {
    let double = match wire {
        "ollama" => Double::start(Ollama::with(vec![Model::new("tiny", false)])).await,
        _ => Double::start(OpenAi::new(Style::Llama, "tiny")).await,
    };
    let failing = Double::start(Ollama::with(vec![Model::new("failing", false)])).await;
    failing.misbehave("failing", Sin::FinAfter(2));
    let setup = Setup::default().with_backend("box", wire, &double.url(), "");
    let daemon = Daemon::start(&setup.with_backend("other", "ollama", &failing.url(), "")).await?;
    let caller = Caller::new(&daemon, Version::H1, Family::V4).await?;
    let ca = tempfile::NamedTempFile::new()?;
    std::fs::write(ca.path(), caller.ca())?;
    let order = json!({
        "prompt": FRANCE, "model": "tiny", "failing": "failing", "ca": ca.path(),
        "base_url": format!("https://localhost:{}/v1", daemon.tls), "key": daemon.key.clone().context("no key")?,
    });
    let steps: Vec<Step> = order::run(script, &order).await?;
    judge(&steps).with_context(|| format!("{steps:?}"))?;
    println!("{}, before {wire}: all steps", steps[0].client);
    daemon.stop().await
}

fn judge(steps: &[Step]) -> Result<()> {
    let step =
        |name: &str| steps.iter().find(|step| step.step == name).with_context(|| format!("no step {name}"));
    for name in ["whole", "stream"] {
        let step = step(name)?;
        ensure!(step.text == PARIS && step.usage.is_some_and(|usage| usage > 16), "{name}: {step:?}");
    }
    let events = &step("stream")?.events;
    ensure!(events.first().is_some_and(|first| first == "response.created"), "{events:?}");
    ensure!(events.last().is_some_and(|last| last == "response.completed"), "{events:?}");
    let tools = step("tools")?;
    ensure!(tools.call == "get_weather {\"city\":\"Paris\"}" && !tools.text.is_empty(), "{tools:?}");
    let failing = step("failing")?;
    ensure!(failing.text == "The capital" && failing.error.as_deref() == Some("APIError"), "{failing:?}");
    ensure!(failing.code.as_deref() == Some("backend_error"), "{failing:?}");
    let refused = step("refused")?;
    ensure!(refused.error.as_deref() == Some("BadRequestError"), "{refused:?}");
    ensure!(refused.param.as_deref() == Some("previous_response_id"), "{refused:?}");
    Ok(())
}

#[tokio::test]
async fn openai_python_before_ollama() -> Result<()> {
    check("responses_openai.py", "ollama").await
}

#[tokio::test]
async fn openai_python_before_openai() -> Result<()> {
    check("responses_openai.py", "openai").await
}

#[tokio::test]
async fn openai_node_before_ollama() -> Result<()> {
    check("responses_openai.mjs", "ollama").await
}

#[tokio::test]
async fn openai_node_before_openai() -> Result<()> {
    check("responses_openai.mjs", "openai").await
}
