//! The conformance page against what is observed: each field of a request is sent through a daemon, and what becomes of it is seen on the
//! backend's wire or in the answer.
//!
//! Knows the page (`packaging/docs/conformance.md`), and for each field a probe. Refuses to know the daemon's tables. Invariant: a word of
//! the page is the one that was observed; a field without a probe fails, and so does a probe without a field.

mod bench;
mod chat;
mod page;
mod probe;

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use bench::{Bench, Scene};
use page::Row;
use probe::{Look, Probe};

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
                wrong.push(format!("{}: the page says {word}, observed is {observed} ({sent})", row.field))
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
        Look::Works(seen) | Look::Emulated(seen) if !seen(&with, &without) => {
            bail!("its effect is not seen: {} {:?}; without it: {}", with.body(), with.wire, without.body())
        }
        Look::Emulated(_) => Ok("emulated"),
        Look::Works(_) if column == Column::OpenAi => Ok("passed"),
        Look::Works(_) => Ok("works"),
    }
}

fn refused(scene: &Scene, field: &str) -> bool {
    let error = &scene.json()["error"];
    scene.status() == 400 && error["code"] == "unsupported_parameter" && error["param"] == field
}

/// What the header names must not have come to anything.
fn came_to_nothing(column: Column, probe: &Probe, with: &Scene, without: &Scene) -> Result<()> {
    ensure!(with.text() == without.text(), "the answer is another one: {} {}", with.text(), without.text());
    match column {
        Column::Ollama => ensure!(with.wire == without.wire, "it is on the wire: {:?}", with.wire),
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

#[tokio::test]
async fn a_chat_s_fields_are_at_an_ollama_what_the_page_says() -> Result<()> {
    let bench = Bench::start().await?;
    check(&bench, Column::Ollama, &page::rows("POST /v1/chat/completions")?, &chat::ollama::probes()).await?;
    bench.stop().await
}

#[tokio::test]
async fn a_chat_s_fields_are_at_a_server_of_openai_s_api_what_the_page_says() -> Result<()> {
    let bench = Bench::start().await?;
    check(&bench, Column::OpenAi, &page::rows("POST /v1/chat/completions")?, &chat::openai::probes()).await?;
    bench.stop().await
}

#[tokio::test]
async fn a_chat_s_fields_are_at_our_own_engine_what_the_page_says() -> Result<()> {
    let bench = Bench::start().await?;
    check(&bench, Column::Engine, &page::rows("POST /v1/chat/completions")?, &chat::engine::probes()).await?;
    bench.stop().await
}

/// The page's tables are those of these tests: an endpoint more on it is one that nobody observes.
#[test]
fn every_endpoint_of_the_page_is_observed() -> Result<()> {
    ensure!(page::endpoints()? == ["POST /v1/chat/completions"], "{:?}", page::endpoints()?);
    Ok(())
}
