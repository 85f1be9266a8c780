//! The libraries that people write their programs with: base URL, key and CA are all that changes.
//!
//! Knows what such a program sees of each answer and each error. Refuses to know the wire. Invariant: nothing is asked of
//! the library that its manual does not tell.

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    client::{Caller, Family, Version},
    daemon::{Daemon, Setup},
    double::Double,
    ollama::{Model, Ollama},
    script::Sin,
};
use serde::Deserialize;
use serde_json::json;

use crate::order;

const PROMPT: &str = "What is the capital of France?";
const PARIS: &str = "The capital of France is Paris.";

/// How many failing streams each library reads.
const RUNS: usize = 25;

/// One line of a library's script.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Step {
    client: String,
    step: String,
    models: Vec<String>,
    text: String,
    usage: Option<u64>,
    vectors: Vec<Vec<f64>>,
    error: Option<String>,
    message: String,
    code: Option<String>,
}

/// Over TLS, with a key and the box's CA, or over the plain port, with whatever the library insists on for a key.
async fn check(script: &str, tls: bool) -> Result<()> {
    let models = ["tiny", "failing", "tiny-embed"].map(|name| Model::new(name, false));
    let double = Double::start(Ollama::with(models.into())).await;
    double.misbehave("failing", Sin::FinAfter(2));
    let daemon = Daemon::start(&Setup::backend("ollama", &double.url())).await?;
    let caller = Caller::new(&daemon, Version::H1, Family::V4).await?;
    let ca = tempfile::NamedTempFile::new()?;
    std::fs::write(ca.path(), caller.ca())?;
    let mut order = json!({"prompt": PROMPT, "model": "tiny", "failing": "failing", "embedding": "tiny-embed", "runs": RUNS});
    if tls {
        order["base_url"] = format!("https://localhost:{}/v1", daemon.tls).into();
        order["key"] = daemon.key.clone().context("no key")?.into();
        order["ca"] = json!(ca.path());
    } else {
        order["base_url"] = format!("http://{}/v1", daemon.plain(false)?).into();
        order["key"] = "unused".into();
    }
    let steps: Vec<Step> = order::run(script, &order).await?;
    let port = if tls { "TLS" } else { "plain" };
    let read = judge(&steps, tls).with_context(|| format!("{steps:?}"))?;
    println!("{}, {port}: {read} of {RUNS} read their error event", steps[0].client);
    daemon.stop().await
}

fn judge(steps: &[Step], tls: bool) -> Result<usize> {
    let step =
        |name: &str| steps.iter().find(|step| step.step == name).with_context(|| format!("no step {name}"));
    let models = ["tiny:latest", "failing:latest", "tiny-embed:latest"];
    ensure!(step("models")?.models == models, "the models' list");
    for name in ["whole", "stream"] {
        let step = step(name)?;
        ensure!(step.text == PARIS && step.error.is_none(), "{name}: {step:?}");
        ensure!(step.usage.is_some_and(|usage| usage > 16), "{name}: {step:?}");
    }
    let unknown = step("unknown")?;
    ensure!(
        unknown.error.as_deref() == Some("NotFoundError") && unknown.message.contains("no-such-model"),
        "unknown"
    );
    ensure!(unknown.code.as_deref() == Some("model_not_found"), "unknown");
    let wrong = step("wrong")?;
    // The open port takes any key for none.
    let (error, code) =
        if tls { (Some("AuthenticationError"), Some("invalid_api_key")) } else { (None, None) };
    ensure!(wrong.error.as_deref() == error && wrong.code.as_deref() == code, "wrong key");
    judge_vectors(&steps_of(steps, "embeddings"))?;
    let failing = || steps.iter().filter(|step| step.step == "failing");
    ensure!(failing().count() == RUNS, "{} failing streams were told", failing().count());
    let read =
        failing().filter(|step| step.text == "The capital" && step.error.as_deref() == Some("APIError"));
    let read =
        read.filter(|step| step.message.len() > 10 && step.code.as_deref() == Some("backend_error")).count();
    ensure!(read == RUNS, "{read} of {RUNS} read their error event");
    Ok(read)
}

fn steps_of<'a>(steps: &'a [Step], name: &str) -> Vec<&'a Step> {
    steps.iter().filter(|step| step.step == name).collect()
}

/// By default, as numbers and cut to 16: the recorded beginnings of "hello" and "world"; then what Ollama takes none of, and a model
/// that makes none.
fn judge_vectors(steps: &[&Step]) -> Result<()> {
    let [default, float, short, tokens, chat] = steps else { anyhow::bail!("{} steps", steps.len()) };
    // The default of both is base64, whose numbers have 32 bits.
    for step in [default, float] {
        let [hello, world] = &step.vectors[..] else { anyhow::bail!("{step:?}") };
        ensure!(hello.len() == 128 && world.len() == 128 && step.usage == Some(6), "{step:?}");
        ensure!((hello[0] + 0.043_540_757).abs() < 1e-7 && hello != world, "{step:?}");
    }
    let near = |one: &f64, other: &f64| (one - other).abs() < 1e-7;
    ensure!(default.vectors[0].iter().zip(&float.vectors[0]).all(|(one, other)| near(one, other)));
    ensure!(short.vectors[0].len() == 16 && near(&short.vectors[0][0], &-0.138_707_12), "{short:?}");
    for (step, code) in [(tokens, "unsupported_parameter"), (chat, "invalid_value")] {
        ensure!(
            step.error.as_deref() == Some("BadRequestError") && step.code.as_deref() == Some(code),
            "{step:?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn openai_python_over_tls() -> Result<()> {
    check("library_openai.py", true).await
}

#[tokio::test]
async fn openai_python_on_the_plain_port() -> Result<()> {
    check("library_openai.py", false).await
}

#[tokio::test]
async fn openai_node_over_tls() -> Result<()> {
    check("library_openai.mjs", true).await
}

#[tokio::test]
async fn openai_node_on_the_plain_port() -> Result<()> {
    check("library_openai.mjs", false).await
}
