//! The description of the API, judged by others' code: the document by OpenAPI's own validator, and the daemon's answers by the
//! forms that the document promises.
//!
//! Knows which form each answer has. Refuses to know what stands in a form. Invariant: the answers come from the real daemon.

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    client::{Caller, Family, Request, Version, unix},
    daemon::{Daemon, Setup},
    double::Double,
    ollama::{Model, Ollama},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::order;

const PROMPT: &str = "What is the capital of France?";

/// What the validator has to tell.
#[derive(Debug, Deserialize)]
struct Verdict {
    client: String,
    faults: Vec<String>,
    judges: bool,
    operations: usize,
    examples: usize,
}

/// The admin API's answers that need nothing said.
const ADMIN: [(&str, &str); 10] = [
    ("status", "Status"),
    ("listeners", "ListenerList"),
    ("certificates", "Certificates"),
    ("backends", "BackendList"),
    ("models", "ModelList"),
    ("requests", "RequestList"),
    ("tasks", "TaskList"),
    ("config", "ConfigShown"),
    ("keys", "KeyList"),
    ("routes", "RouteList"),
];

/// The objects of a stream.
fn events(text: &str) -> Result<Vec<Value>> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
    lines.map(|data| serde_json::from_str(data).with_context(|| data.to_owned())).collect()
}

/// What the API answers, each with its form.
async fn answers(caller: &Caller) -> Result<Vec<Value>> {
    let messages = json!([{"role": "user", "content": PROMPT}]);
    let chat = |more: Value| {
        let mut body = json!({"model": "tiny", "messages": messages});
        body.as_object_mut()
            .into_iter()
            .for_each(|body| body.extend(more.as_object().cloned().unwrap_or_default()));
        Request::post("/v1/chat/completions", &body)
    };
    let respond =
        |stream| Request::post("/v1/responses", &json!({"model": "tiny", "input": PROMPT, "stream": stream}));
    let embed = json!({"model": "tiny-embed", "input": ["a", "b"]});
    let mut values = Vec::new();
    for (form, status, request) in [
        ("Models", 200, Request::get("/v1/models")),
        ("Model", 200, Request::get("/v1/models/tiny")),
        ("ChatCompletion", 200, chat(json!({}))),
        ("Embeddings", 200, Request::post("/v1/embeddings", &embed)),
        ("Response", 200, respond(false)),
        ("Error", 400, chat(json!({"temperature": "hot"}))),
        ("Error", 404, Request::get("/v1/models/nope")),
        ("Error", 405, Request::get("/v1/responses")),
    ] {
        let answer = caller.send(&request).await?;
        ensure!(answer.status == status, "{form}: {} {}", answer.status, answer.text());
        values.push(json!({"form": form, "value": answer.json()?}));
    }
    let usage = json!({"stream": true, "stream_options": {"include_usage": true}});
    for (form, least, request) in
        [("ChatCompletionChunk", 4, chat(usage)), ("ResponseEvent", 8, respond(true))]
    {
        let answer = caller.send(&request).await?;
        let events = events(&answer.text())?;
        ensure!(answer.status == 200 && events.len() >= least, "{form}: {} {}", answer.status, answer.text());
        values.extend(events.into_iter().map(|value| json!({"form": form, "value": value})));
    }
    Ok(values)
}

#[tokio::test]
async fn the_document_is_valid_and_the_daemon_answers_in_its_forms() -> Result<()> {
    let models = ["tiny", "tiny-embed"].map(|name| Model::new(name, false));
    let double = Double::start(Ollama::with(models.into())).await;
    let daemon = Daemon::start(&Setup::backend("ollama", &double.url())).await?;
    let caller = Caller::new(&daemon, Version::H1, Family::V4).await?;
    let document = caller.send(&Request::get("/openapi.json")).await?.json()?;
    let mut values = answers(&caller).await?;
    for (path, form) in ADMIN {
        let answer = unix(daemon.admin()?, &Request::get(&format!("/admin/api/v1/{path}"))).await?;
        ensure!(answer.status == 200, "{path}: {} {}", answer.status, answer.text());
        values.push(json!({"form": form, "value": answer.json()?}));
    }
    let verdicts: Vec<Verdict> =
        order::run("openapi.py", &json!({"document": document, "values": values})).await?;
    let verdict = verdicts.first().context("it says nothing")?;
    ensure!(verdict.faults.is_empty(), "{:#?}", verdict.faults);
    ensure!(verdict.judges && verdict.operations > 30 && verdict.examples >= 5, "{verdict:?}");
    println!("{}: {} operations, {} answers", verdict.client, verdict.operations, values.len());
    daemon.stop().await
}
