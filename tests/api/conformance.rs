//! The conformance page against what is observed: each field of a request is sent through a daemon, and what becomes of it is seen on the
//! backend's wire or in the answer.
//!
//! Knows the page (`packaging/docs/conformance.md`), and for each field a probe. Refuses to know the daemon's tables. Invariant: a word of
//! the page is the one that was observed; a field without a probe fails, and so does a probe without a field.

mod bench;
mod chat;
mod completions;
mod embeddings;
mod page;
mod probe;
mod responses;

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use bench::{Bench, Scene};
use page::Row;
use probe::{Look, Probe};

use crate::FRANCE;

/// A column of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Ollama,
    OpenAi,
    Engine,
}

/// The rows of one endpoint against the probes of one column, all that differ at once.
async fn check(bench: &Bench, column: Column, rows: &[Row], probes: &[Probe]) -> Result<()> {
    let fields: BTreeSet<&str> = rows.iter().map(|row| row.field.as_str()).collect();
    let probed: BTreeSet<&str> = probes.iter().map(|probe| probe.field).collect();
    let unprobed: Vec<_> = fields.difference(&probed).collect();
    ensure!(unprobed.is_empty(), "{column:?}: the page has fields that no probe sends: {unprobed:?}");
    let strange: Vec<_> = probed.difference(&fields).collect();
    ensure!(strange.is_empty(), "{column:?}: probes send fields that the page has not: {strange:?}");
    let mut wrong = Vec::new();
    for probe in probes {
        let row = rows.iter().find(|row| row.field == probe.field).context("a row")?;
        let (word, sent) = (row.word(column), &probe.sent);
        match observe(bench, column, probe).await {
            Ok(observed) if observed == word => {}
            Ok(observed) => {
                wrong.push(format!("{}: the page says {word}, observed is {observed} ({sent})", row.field));
            }
            Err(error) => wrong.push(format!("{}: the page says {word}, but {error:#} ({sent})", row.field)),
        }
    }
    ensure!(wrong.is_empty(), "{column:?}: {} of {}:\n{}", wrong.len(), probes.len(), wrong.join("\n"));
    Ok(())
}

/// What becomes of the field, in the page's word: the request is sent without it and with it.
async fn observe(bench: &Bench, column: Column, probe: &Probe) -> Result<&'static str> {
    let without = bench.scene(probe, false).await.context("without it")?;
    ensure!(without.status() == 200, "without it the status is {}: {}", without.status(), without.body());
    ensure!(!without.ignored(probe.field), "the header names it where it was not sent");
    let with = bench.scene(probe, true).await.context("with it")?;
    if refused(&with, probe.field) {
        ensure!(with.wire.is_empty(), "it is refused, but the backend was asked: {:?}", with.wire);
        return Ok("refused");
    }
    ensure!(with.status() == 200, "the status is {}: {}", with.status(), with.body());
    if with.ignored(probe.field) {
        came_to_nothing(column, probe, &with, &without)?;
        return Ok("ignored");
    }
    match &probe.look {
        Look::Nowhere => bail!("nothing was observed: {} {:?}", with.body(), with.wire),
        Look::Works(seen) | Look::Passed(seen) | Look::Emulated(seen) if !seen(&with, &without) => {
            bail!("its effect is not seen: {} {:?}; without it: {}", with.body(), with.wire, without.body())
        }
        Look::Emulated(_) => Ok("emulated"),
        Look::Passed(_) => Ok("passed"),
        Look::Works(_) => Ok("works"),
    }
}

fn refused(scene: &Scene, field: &str) -> bool {
    let error = &scene.json()["error"];
    scene.status() == 400 && error["code"] == "unsupported_parameter" && error["param"] == field
}

/// What the header names must not have come to anything.
fn came_to_nothing(column: Column, probe: &Probe, with: &Scene, without: &Scene) -> Result<()> {
    let same = ["/data", "/output/0/content/0/text"].iter().all(|at| with.at(at) == without.at(at));
    ensure!(
        same && with.text() == without.text(),
        "the answer is another one: {}; without it: {}",
        with.body(),
        without.body()
    );
    match column {
        Column::Ollama => {
            let read = |scene: &Scene| scene.wire.iter().map(read_by_ollama).collect::<Vec<_>>();
            ensure!(read(with) == read(without), "it is on the wire: {:?}", with.wire);
        }
        Column::OpenAi => {
            let pointer = format!("/{}", probe.field.replace('.', "/"));
            let value = |body: &Value| body.pointer(&pointer).cloned();
            let sent = value(&probe.sent);
            ensure!(with.wire.iter().all(|body| value(body) != sent), "it is on the wire: {:?}", with.wire);
        }
        Column::Engine => {}
    }
    Ok(())
}

/// A request as an Ollama reads it, whose form of a tool's function has no place for this word (`ToolFunction` in its `api/types.go`).
fn read_by_ollama(body: &Value) -> Value {
    let mut body = body.clone();
    for tool in body["tools"].as_array_mut().into_iter().flatten() {
        if let Some(function) = tool["function"].as_object_mut() {
            function.remove("strict");
        }
    }
    body
}

/// One endpoint at one kind of backend.
async fn observed(endpoint: &str, column: Column, probes: Vec<Probe>) -> Result<()> {
    let bench = Bench::start().await?;
    check(&bench, column, &page::rows(endpoint)?, &probes).await.with_context(|| endpoint.to_owned())?;
    bench.stop().await
}

const CHAT: &str = "POST /v1/chat/completions";
const COMPLETIONS: &str = "POST /v1/completions";
const EMBEDDINGS: &str = "POST /v1/embeddings";
const RESPONSES: &str = "POST /v1/responses";

#[tokio::test]
async fn a_chat_s_fields_at_an_ollama() -> Result<()> {
    observed(CHAT, Column::Ollama, chat::ollama::probes()).await
}

#[tokio::test]
async fn a_chat_s_fields_at_a_server_of_openai_s_api() -> Result<()> {
    observed(CHAT, Column::OpenAi, chat::openai::probes()).await
}

#[tokio::test]
async fn a_chat_s_fields_at_our_own_engine() -> Result<()> {
    observed(CHAT, Column::Engine, chat::engine::probes()).await
}

#[tokio::test]
async fn a_completion_s_fields_at_an_ollama() -> Result<()> {
    observed(COMPLETIONS, Column::Ollama, completions::ollama()).await
}

#[tokio::test]
async fn a_completion_s_fields_at_a_server_of_openai_s_api() -> Result<()> {
    observed(COMPLETIONS, Column::OpenAi, completions::openai()).await
}

#[tokio::test]
async fn a_completion_s_fields_at_our_own_engine() -> Result<()> {
    observed(COMPLETIONS, Column::Engine, completions::engine()).await
}

#[tokio::test]
async fn the_fields_of_embeddings_at_an_ollama() -> Result<()> {
    observed(EMBEDDINGS, Column::Ollama, embeddings::ollama()).await
}

#[tokio::test]
async fn the_fields_of_embeddings_at_a_server_of_openai_s_api() -> Result<()> {
    observed(EMBEDDINGS, Column::OpenAi, embeddings::openai()).await
}

#[tokio::test]
async fn the_fields_of_embeddings_at_our_own_engine() -> Result<()> {
    observed(EMBEDDINGS, Column::Engine, embeddings::engine()).await
}

#[tokio::test]
async fn a_response_s_fields_at_an_ollama() -> Result<()> {
    observed(RESPONSES, Column::Ollama, responses::ollama()).await
}

#[tokio::test]
async fn a_response_s_fields_at_a_server_of_openai_s_api() -> Result<()> {
    observed(RESPONSES, Column::OpenAi, responses::openai()).await
}

#[tokio::test]
async fn a_response_s_fields_at_our_own_engine() -> Result<()> {
    observed(RESPONSES, Column::Engine, responses::engine::probes()).await
}

/// Its row says that it works where the template has a word for it, which is seen of such a model.
#[tokio::test]
async fn an_effort_that_a_model_s_template_has_no_word_for_is_named() -> Result<()> {
    let bench = Bench::start().await?;
    let chat = json!({"messages": [{"role": "user", "content": FRANCE}], "max_tokens": 4});
    let response = json!({"input": FRANCE, "max_output_tokens": 4});
    for (path, base, field, inside) in [
        ("/v1/chat/completions", chat.clone(), "reasoning_effort", "reasoning_effort"),
        ("/v1/chat/completions", chat.clone(), "think", "think"),
        ("/v1/chat/completions", chat, "reasoning", "reasoning.effort"),
        ("/v1/responses", response, "reasoning", "reasoning.effort"),
    ] {
        for (model, effort, named) in [
            ("ghostllm-demo", "high", true),
            ("ghostllm-demo", "none", true),
            ("other-demo", "low", true),
            ("effort", "high", false),
            // Its template has a word for how hard, and none for whether at all.
            ("effort", "none", true),
        ] {
            let value = if field == inside { json!(effort) } else { json!({ "effort": effort }) };
            let probe = Probe::new(path, &base, field, &value).beside(&json!({ "model": model }));
            let scene = bench.scene(&probe, true).await?;
            ensure!(scene.status() == 200, "{model} {value}: {}", scene.body());
            ensure!(scene.ignored(inside) == named, "{path} {model} {value}: {:?}", scene.answers[0].headers);
            ensure!(!bench.scene(&probe, false).await?.ignored(inside), "{path} {model}: it was not sent");
        }
    }
    bench.stop().await
}

/// Of a chat the row says it; Responses has no row for what stands inside of its tools.
#[tokio::test]
async fn a_response_s_strict_functions_are_named_where_no_engine_has_a_word_for_that() -> Result<()> {
    let bench = Bench::start().await?;
    for (model, strict, named) in
        [("tiny", true, true), ("tiny", false, false), ("large", true, false), ("ghostllm-demo", true, false)]
    {
        let parameters = json!({"type": "object", "properties": {}, "additionalProperties": false});
        let tool =
            json!({"type": "function", "name": "get_time", "strict": strict, "parameters": parameters});
        let base = json!({"model": model, "input": "Hello", "max_output_tokens": 16});
        let probe = Probe::new("/v1/responses", &base, "tools", &json!([tool]));
        let scene = bench.scene(&probe, true).await?;
        ensure!(scene.status() == 200, "{model} {strict}: {}", scene.body());
        ensure!(scene.ignored("tools.strict") == named, "{model} {strict}: {:?}", scene.answers[0].headers);
    }
    bench.stop().await
}

/// The page's tables are those of these tests: an endpoint more on it is one that nobody observes.
#[test]
fn every_endpoint_of_the_page_is_observed() -> Result<()> {
    let endpoints = page::endpoints()?;
    ensure!(endpoints == [CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES], "{endpoints:?}");
    Ok(())
}
