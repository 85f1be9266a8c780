//! What programs do every day, each by the library that people use for it, before every kind of engine: a chat whole and in pieces,
//! a call of a function with its result in a second turn, JSON by a schema, embeddings, a text that is gone on with, each kind of
//! error, and leaving.
//!
//! Knows what such a program sees. Refuses to know the wire, but for what an engine was sent. Invariants: nothing is asked of a
//! library but what its manual tells, and where it can hold answers against its own types, it does; no library finds a way to
//! anybody but the box.
//!
//! The order is one line of JSON: `base_url`, `key`, `model`, `prompt` and `limit` (of tokens); `question`, `choice` and `result` of
//! the tool `get_weather`; `fact`, to be told by a schema; `embedding` (a model) and `texts`; `failing` (a model whose stream fails, or
//! null); `text`, to be gone on with; `hanging` (a model) and `story`, to be left after two pieces. A script says `{"client": ...}` and
//! then its steps, for each of its ways; after `left` it waits for a line, and at the end it says `done` and waits for the next order:
//! to import such a library takes seconds.
//!
//! Each client takes each step of [`STEPS`] by each of its ways before each engine ([`HERE`] and llama.cpp's real server), but for
//! what stands in [`HOLES`], and for these:
//!
//! | step | engine | instead |
//! |---|---|---|
//! | `embeddings` | transformers, llama.cpp's real server | neither makes any with the model that it has: 400, which is looked at |
//! | `failing` | llama.cpp's real server, our own | they do not fail when told; what follows is looked at in `tests/faults` |
//! | `tools` | llama.cpp's real server, our own | so small a model calls by force alone, which `llm` cannot ask for |
//!
//! The coding agent is run before each engine, by both of its ways, to see that it works (`everyday/agent.rs`): it knows no embeddings
//! and no schemas, and how it fails and leaves is its SDKs' affair, which are OpenAI's.

mod agent;
mod legs;
mod outside;
mod silence;

use std::io::Write as _;

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{expect::PARIS, openai::Style};
use legs::{Leg, PICTURE, STORY, Stage};
use outside::Outside;
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::order;

/// What the doubles' model makes of the tool's result.
const WEATHER: &str = "The weather in Berlin is sunny, 21 degrees.";
/// What the doubles' model begins to say to [`STORY`].
const BEGUN: &str = "There was a";

/// One line of a script.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Step {
    client: String,
    step: String,
    text: String,
    usage: Option<u64>,
    finish: Option<String>,
    calls: Vec<String>,
    value: Value,
    vectors: Vec<Vec<f64>>,
    /// The types of a stream's events, where the library shows them.
    events: Vec<String>,
    /// The library cannot ask that there be a call.
    unforced: bool,
    error: Option<String>,
    status: Option<u16>,
    code: Option<String>,
    param: Option<String>,
    message: String,
}

/// What each client does.
const STEPS: [&str; 10] =
    ["chat", "stream", "tools", "schema", "embeddings", "unknown", "wrong", "refused", "failing", "left"];

/// What a client cannot: its name or a part of it, the step, and why.
const HOLES: [(&str, &str, &str); 2] = [
    ("llm ", "refused", "its options are a list of its own, and of what is refused none is among them"),
    (
        "@ai-sdk/openai, chat",
        "refused",
        "its options are a list of its own, and of what is refused none is among them",
    ),
];

/// How a response ends that did not fail; the second where a real model has used up its tokens.
const ENDS: [&str; 2] = ["response.completed", "response.incomplete"];

/// Before the doubles, and the engine that is built here.
const HERE: [Leg; 5] = [
    Leg::Ollama,
    Leg::OpenAi(Style::Llama),
    Leg::OpenAi(Style::Vllm),
    Leg::OpenAi(Style::Transformers),
    Leg::Embedded,
];

/// Has the script go by these ways before each of these engines.
async fn check(script: &str, names: &[&str], legs: &[Leg]) -> Result<()> {
    let mut stages = Vec::new();
    let mut authorities = NamedTempFile::new()?;
    for leg in legs {
        let stage = Stage::start(*leg).await.with_context(|| format!("{leg:?}"))?;
        authorities.write_all(&stage.ca)?;
        stages.push(stage);
    }
    let outside = Outside::start().await?;
    let home = tempfile::tempdir()?;
    let mut command = order::command(script)?;
    outside.bar(&mut command, home.path());
    order::trust(&mut command, authorities.path());
    let orders: Vec<Value> = stages.iter().map(|stage| stage.order.clone()).collect();
    let left = async |number: usize| stages[number].wait_left().await;
    let said: Vec<Vec<Step>> = order::talk(script, command, &orders, "left", left).await?;
    outside.check()?;
    for (stage, steps) in stages.iter().zip(&said) {
        let leg = stage.leg;
        let ways: Vec<&[Step]> = steps.chunk_by(|_, next| next.client.is_empty()).collect();
        let went: Vec<&str> = ways.iter().map(|way| &*way[0].client).collect();
        let by_these = went.iter().zip(names).all(|(client, name)| client.contains(name));
        ensure!(by_these && went.len() == names.len(), "before {leg:?} it went by {went:?}, not {names:?}");
        for way in &ways {
            judge(way, leg).with_context(|| format!("before {leg:?}: {way:#?}"))?;
            println!("{}, before {leg:?}: all steps", way[0].client);
        }
        if ways.iter().any(|way| takes_turns(way)) {
            sent_the_first_answer(stage).with_context(|| format!("before {leg:?}"))?;
        }
        sent_the_schema(stage, ways.len()).with_context(|| format!("before {leg:?}"))?;
        let pictures = steps.iter().filter(|step| step.step == "picture").count();
        sent_the_picture(stage, pictures).with_context(|| format!("before {leg:?}"))?;
    }
    for stage in stages {
        stage.daemon.stop().await?;
    }
    Ok(())
}

fn judge(steps: &[Step], leg: Leg) -> Result<()> {
    ensure!(!steps[0].client.is_empty(), "it does not say who it is");
    takes_each_step(steps, leg)?;
    for name in ["chat", "stream"] {
        for step in some(steps, name)? {
            judge_chat(step, leg).with_context(|| name.to_owned())?;
            judge_events(steps, step)?;
        }
    }
    if takes_turns(steps) {
        for step in some(steps, "turn")? {
            judge_turn(step, leg).context("turn")?;
        }
    }
    for step in some(steps, "tools")? {
        judge_tools(step, leg).context("tools")?;
    }
    for step in some(steps, "schema")? {
        judge_schema(step, leg).context("schema")?;
    }
    for step in some(steps, "embeddings")? {
        judge_embeddings(step, leg).context("embeddings")?;
    }
    judge_completions(steps, leg)?;
    judge_pictures(steps, leg).context("picture")?;
    judge_errors(steps)?;
    if leg.is_double() {
        for step in some(steps, "failing")? {
            let begun = !step.text.is_empty() && PARIS.starts_with(&step.text);
            ensure!(begun && step.error.is_some() && step.message.len() > 10, "failing: {step:?}");
            ensure!(step.code.as_deref().is_none_or(|code| code == "backend_error"), "failing: {step:?}");
        }
    }
    for step in some(steps, "left")? {
        ensure!(step.error.is_none() && !step.text.is_empty(), "left: {step:?}");
        ensure!(!leg.is_double() || BEGUN.starts_with(&step.text), "left {STORY:?}: {step:?}");
    }
    Ok(())
}

/// No step is left out that is not named as a hole, and none is named that is taken.
fn takes_each_step(steps: &[Step], leg: Leg) -> Result<()> {
    let client = &steps[0].client;
    for name in STEPS {
        let hole = HOLES.iter().find(|(part, step, _)| *step == name && client.contains(part));
        let cannot = hole.is_some() || (name == "failing" && !leg.is_double());
        let taken = steps.iter().any(|step| step.step == name);
        ensure!(taken != cannot, "{client}, {name}: taken {taken}, though {hole:?}");
    }
    Ok(())
}

/// The steps of that name, of which there is one at least.
fn some<'a>(steps: &'a [Step], name: &str) -> Result<Vec<&'a Step>> {
    let found: Vec<&Step> = steps.iter().filter(|step| step.step == name).collect();
    ensure!(!found.is_empty(), "no step {name}");
    Ok(found)
}

fn judge_chat(step: &Step, leg: Leg) -> Result<()> {
    ensure!(step.error.is_none() && step.usage.is_some_and(|usage| usage > 16), "{step:?}");
    match leg.says() {
        Some(says) => ensure!(step.text == says && step.finish.as_deref() == Some("stop"), "{step:?}"),
        None => ensure!(!step.text.trim().is_empty() && step.finish.is_some(), "{step:?}"),
    }
    Ok(())
}

/// OpenAI's own libraries show the events of Responses: all of them, from the first to the last.
fn judge_events(steps: &[Step], step: &Step) -> Result<()> {
    let client = &steps[0].client;
    if step.step == "stream" && client.starts_with("openai-") && client.contains(", responses") {
        let [first, .., last] = &step.events[..] else { anyhow::bail!("{step:?}") };
        ensure!(first == "response.created" && ENDS.contains(&&**last), "{step:?}");
    }
    Ok(())
}

/// What a real model says when it is asked the same again is its own affair.
fn judge_turn(step: &Step, leg: Leg) -> Result<()> {
    if leg.is_double() {
        return judge_chat(step, leg);
    }
    ensure!(step.error.is_none() && !step.text.trim().is_empty(), "{step:?}");
    Ok(())
}

/// Whether the client goes on in a second turn whose first answer it only names.
fn takes_turns(steps: &[Step]) -> bool {
    steps[0].client.ends_with("@ai-sdk/openai, responses")
}

/// That the first answer came to the engine with the second turn, without which a double says the same.
fn sent_the_first_answer(stage: &Stage) -> Result<()> {
    let Some(double) = &stage.double else { return Ok(()) };
    let bodies = double.seen_at(stage.leg.wire().1).into_iter().map(|seen| seen.request.json());
    let turns = |body: Value| {
        let turns = body["messages"].as_array().into_iter().flatten();
        turns.map(|turn| (turn["role"].clone(), turn["content"].clone())).collect::<Vec<_>>()
    };
    let prompt = &stage.order["prompt"];
    let says = stage.leg.says().context("a double says always the same")?;
    let turn = |role: &str, said: &Value| (Value::from(role), said.clone());
    let wanted = [turn("user", prompt), turn("assistant", &says.into()), turn("user", prompt)];
    ensure!(bodies.map(turns).any(|turns| turns == wanted), "no request had the first answer");
    Ok(())
}

fn judge_tools(step: &Step, leg: Leg) -> Result<()> {
    ensure!(step.error.is_none() && !step.text.trim().is_empty(), "{step:?}");
    match leg {
        // Of itself so small a model calls nothing for sure.
        Leg::LlamaServer | Leg::Embedded if step.unforced => {}
        Leg::LlamaServer | Leg::Embedded => {
            let cities = ["Berlin", "Oslo"].map(|city| format!("get_weather {{\"city\":\"{city}\"}}"));
            ensure!(step.calls.len() == 1 && cities.contains(&step.calls[0]), "{step:?}");
        }
        Leg::Ollama | Leg::OpenAi(_) => {
            ensure!(step.calls == ["get_weather {\"city\":\"Berlin\"}"] && step.text == WEATHER, "{step:?}");
            ensure!(step.finish.as_deref() == Some("stop"), "{step:?}");
        }
    }
    Ok(())
}

fn judge_schema(step: &Step, leg: Leg) -> Result<()> {
    ensure!(step.error.is_none(), "{step:?}");
    let capital = &step.value["capital"];
    ensure!(step.value["large"].is_boolean() && (capital == "Paris" || capital == "Oslo"), "{step:?}");
    ensure!(!leg.is_double() || step.value == json!({"capital": "Paris", "large": true}), "{step:?}");
    Ok(())
}

/// That the schema came to the engine, without which a double says the same.
fn sent_the_schema(stage: &Stage, ways: usize) -> Result<()> {
    let Some(double) = &stage.double else { return Ok(()) };
    let bodies = double.seen_at(stage.leg.wire().1).into_iter().map(|seen| seen.request.json());
    let properties = |body: Value| match stage.leg {
        Leg::Ollama => body["format"]["properties"]["capital"].is_object(),
        _ => body["response_format"]["json_schema"]["schema"]["properties"]["capital"].is_object(),
    };
    let sent = bodies.filter(|body| properties(body.clone())).count();
    ensure!(sent >= ways, "{sent} requests had the schema");
    Ok(())
}

/// Of the clients, one sends a picture by each of its ways. Our own engine reads none, and of a model without eyes an Ollama says so.
fn judge_pictures(steps: &[Step], leg: Leg) -> Result<()> {
    let asked: Vec<&Step> = steps.iter().filter(|step| step.step == "picture").collect();
    ensure!(!asked.is_empty() || !steps[0].client.starts_with("openai-python"), "no step picture");
    for step in asked {
        match leg {
            Leg::OpenAi(_) => ensure!(step.error.is_none() && !step.text.is_empty(), "{step:?}"),
            Leg::Embedded => ensure!(step.code.as_deref() == Some("unsupported_parameter"), "{step:?}"),
            Leg::Ollama => ensure!(step.status == Some(400), "{step:?}"),
            Leg::LlamaServer => ensure!(step.error.is_some(), "{step:?}"),
        }
    }
    Ok(())
}

/// That each picture came to the engine, in its own place for it, and how closely to look where there is a word for that.
fn sent_the_picture(stage: &Stage, pictures: usize) -> Result<()> {
    let Some(double) = &stage.double else { return Ok(()) };
    let base64 = PICTURE.split_once(',').map(|(_, base64)| base64).context("a data URL")?;
    let bodies = double.seen_at(stage.leg.wire().1).into_iter().map(|seen| seen.request.json());
    let has = |body: &Value| match stage.leg {
        Leg::Ollama => body["messages"][0]["images"] == json!([base64]),
        _ => body["messages"][0]["content"][1]["image_url"] == json!({"url": PICTURE, "detail": "high"}),
    };
    let sent = bodies.filter(has).count();
    ensure!(sent == pictures, "{sent} of {pictures} requests had the picture");
    Ok(())
}

fn judge_embeddings(step: &Step, leg: Leg) -> Result<()> {
    if matches!(leg, Leg::OpenAi(Style::Transformers) | Leg::LlamaServer) {
        // None of these makes any, and the client is told whose doing that is.
        ensure!(step.status == Some(400) && step.vectors.is_empty(), "{step:?}");
        ensure!(step.message.contains("makes no embeddings"), "{step:?}");
        return Ok(());
    }
    ensure!(step.error.is_none(), "{step:?}");
    let [hello, world] = &step.vectors[..] else { anyhow::bail!("{step:?}") };
    if leg == Leg::Ollama {
        ensure!(hello.len() == 128 && (hello[0] + 0.043_540_757).abs() < 1e-7 && hello != world, "{step:?}");
    } else if leg == Leg::Embedded {
        let length = |vector: &[f64]| vector.iter().map(|number| number * number).sum::<f64>();
        ensure!(hello.len() > 1 && hello.len() == world.len() && hello != world, "{step:?}");
        ensure!([hello, world].iter().all(|vector| (length(vector) - 1.0).abs() < 1e-3), "{step:?}");
    } else {
        ensure!(hello == &[5.5, 0.5] && world == &[5.5, 1.5], "{step:?}");
    }
    Ok(())
}

/// Of the clients, one has OpenAI's older completions as well.
fn judge_completions(steps: &[Step], leg: Leg) -> Result<()> {
    let asked: Vec<&Step> = steps.iter().filter(|step| step.step == "completion").collect();
    ensure!(!asked.is_empty() || !has_completions(&steps[0].client), "no step completion");
    for step in asked {
        ensure!(step.error.is_none() && !step.text.is_empty() && step.finish.is_some(), "{step:?}");
        let streamed =
            step.value["streamed"] == step.text.as_str() && step.value["usage"] == json!(step.usage);
        ensure!(streamed && step.usage.is_some_and(|usage| usage > 8), "{step:?}");
        // Not each of the others tells them, nor in the same form.
        let told = !matches!(leg, Leg::Embedded | Leg::Ollama) || step.value["tokens"] == step.text.as_str();
        ensure!(told, "{step:?}");
    }
    Ok(())
}

fn has_completions(client: &str) -> bool {
    client.starts_with("openai-python") && client.contains(", chat")
}

fn judge_errors(steps: &[Step]) -> Result<()> {
    for (name, status, code) in [("unknown", 404, "model_not_found"), ("wrong", 401, "invalid_api_key")] {
        for step in some(steps, name)? {
            ensure!(step.error.is_some() && step.status == Some(status), "{name}: {step:?}");
            ensure!(step.code.as_deref().is_none_or(|told| told == code), "{name}: {step:?}");
        }
    }
    let unknown = some(steps, "unknown")?;
    ensure!(unknown.iter().all(|step| step.message.contains("no-such-model")), "{unknown:?}");
    steps.iter().filter(|step| step.step == "refused").try_for_each(refused)
}

/// That it is refused by the name that its client gave it.
fn refused(step: &Step) -> Result<()> {
    ensure!(step.error.is_some() && step.status == Some(400), "{step:?}");
    ensure!(step.code.as_deref().is_none_or(|told| told == "unsupported_parameter"), "{step:?}");
    let names = ["previous_response_id", "web_search_options"];
    let named = |text: &str| names.iter().any(|name| text.contains(name));
    ensure!(named(&step.message) && step.param.as_deref().is_none_or(named), "{step:?}");
    Ok(())
}

/// The tests of each client, which has the ways of these names.
macro_rules! before_each {
    ($($client:ident $script:literal [$($way:literal),+]),+ $(,)?) => {
        $(mod $client {
            const WAYS: &[&str] = &[$($way),+];

            #[tokio::test]
            async fn before_each_engine() -> anyhow::Result<()> {
                super::check($script, WAYS, &super::HERE).await
            }

            #[tokio::test]
            #[ignore = "needs llama.cpp's server from a moving distribution: LLAMA_SERVER_URL"]
            async fn before_llama_server() -> anyhow::Result<()> {
                super::check($script, WAYS, &[super::Leg::LlamaServer]).await
            }
        })+
    };
}

before_each!(
    ai_sdk "everyday_ai_sdk.mjs" ["@ai-sdk/openai, chat", "@ai-sdk/openai, responses", "@ai-sdk/openai-compatible"],
    langchain "everyday_langchain.py" [", chat", ", responses"],
    litellm "everyday_litellm.py" [", chat", ", responses"],
    llm "everyday_llm.py" [", chat", ", responses"],
    openai_node "everyday_openai.mjs" [", chat", ", responses"],
    openai_python "everyday_openai.py" [", chat", ", responses"],
);
