//! Where models come from while nothing is configured, and by which names they are asked for.

use std::fs;

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    client::{Caller, Family, Request, Version},
    daemon::{Daemon, Setup},
    double::Double,
    engine,
    ollama::{Model, Ollama},
    openai::{OpenAi, Style},
    script::Sin,
    sheet::Sheet,
};
use serde_json::{Value, json};

use crate::{FRANCE, PARIS, check_error, on_every_version};

on_every_version!(
    shows_the_demo_until_there_is_a_real_model,
    finds_an_ollama_that_comes_and_goes,
    lists_no_model_whose_backend_is_gone_for_long,
);

/// Rounds come often, so that nobody waits for one.
const OFTEN: &str = "find_interval = \"50ms\"";
const DEMO: &str = "ghostllm-demo";

/// Every id of the list, and the first one's owner.
async fn listed(caller: &Caller) -> Result<(Vec<String>, String)> {
    let answer = caller.send(&Request::get("/v1/models")).await?.json()?;
    let models = answer["data"].as_array().with_context(|| answer.to_string())?;
    let text = |model: &Value, key: &str| model[key].as_str().unwrap_or_default().to_owned();
    let ids = models.iter().map(|model| text(model, "id")).collect();
    Ok((ids, models.first().map(|model| text(model, "owned_by")).unwrap_or_default()))
}

async fn shows_the_demo_until_there_is_a_real_model(version: Version) -> Result<()> {
    let daemon = Daemon::start(&Setup::default().with_limits(OFTEN)).await?;
    let caller = Caller::new(&daemon, version, Family::V4).await?;
    let (ids, owner) = listed(&caller).await?;
    ensure!(ids == [DEMO], "{ids:?}");
    ensure!(owner.contains("toy") && owner.contains("GGUF") && owner.contains("Ollama"), "{owner}");
    let page = async || anyhow::Ok(caller.send(&Request::get("/")).await?.text());
    ensure!(page().await?.contains("Only the demo model answers"), "the page does not say so");
    let models = daemon.state("models");
    for words in ["the demo model is all there is", "start Ollama", &models.display().to_string()] {
        daemon.wait_said(words).await?;
    }
    engine::put(&models.join("Real.Q8_0.gguf"), &fs::read(engine::demo())?)?;
    daemon.wait_said("engine has now: Real.Q8_0").await?;
    daemon.wait_said("engine has no longer: ghostllm-demo").await?;
    let (ids, owner) = listed(&caller).await?;
    ensure!(ids == ["Real.Q8_0"] && !owner.contains("toy"), "{ids:?} {owner}");
    let answer = caller.send(&Request::chat("Real.Q8_0", FRANCE, false)).await?;
    ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
    ensure!(!page().await?.contains("demo model"), "the page still speaks of the demo");
    fs::remove_file(models.join("Real.Q8_0.gguf"))?;
    daemon.wait_said("engine has now: ghostllm-demo").await?;
    ensure!(listed(&caller).await?.0 == [DEMO], "the demo is back");
    daemon.stop().await
}

async fn finds_an_ollama_that_comes_and_goes(version: Version) -> Result<()> {
    let mut double = Double::start(Ollama::default()).await;
    double.refuse().await;
    let setup = Setup::default().with_environment("OLLAMA_HOST", &double.address().to_string());
    let daemon = Daemon::start(&setup.with_limits(OFTEN)).await?;
    let caller = Caller::new(&daemon, version, Family::V4).await?;
    ensure!(listed(&caller).await?.0 == [DEMO], "there is no Ollama yet");
    let seen = |sheet: &Sheet| sheet.count("ghostllm_backend_up", &[("backend", "ollama")]);
    ensure!(seen(&Sheet::of(&daemon).await?) == 0, "what was never there is no backend that is down");
    double.come_back().await;
    daemon.wait_said(&format!("ollama at {} answers; its models: tiny", double.url())).await?;
    let (ids, _) = listed(&caller).await?;
    ensure!(ids.contains(&"tiny:latest".to_owned()) && !ids.contains(&DEMO.to_owned()), "{ids:?}");
    let page = caller.send(&Request::get("/")).await?.text();
    ensure!(!page.contains("demo model"), "the page still speaks of the demo");
    let answer = caller.send(&Request::chat("tiny", FRANCE, false)).await?;
    ensure!(answer.text().contains(PARIS), "{} {}", answer.status, answer.text());
    double.refuse().await;
    // At once, and when it is known to be gone.
    for told in [false, true] {
        if told {
            daemon.wait_said("does not answer any more").await?;
        }
        for stream in [false, true] {
            let answer = caller.send(&Request::chat("tiny", FRANCE, stream)).await?;
            check_error(&answer, 503, Some("backend_unavailable"))?;
            let wait = answer.header("retry-after").and_then(|wait| wait.parse::<u32>().ok());
            ensure!(wait.is_some_and(|wait| wait > 0), "Retry-After is {:?}", answer.header("retry-after"));
        }
    }
    // One that has been there is one that is down.
    Sheet::until(&daemon, |sheet| seen(sheet) == 1).await?;
    let page = caller.send(&Request::get("/")).await?.text();
    ensure!(page.contains("Only the demo model answers"), "the page speaks of a model that cannot answer");
    // Whoever asks for the demo by name gets it still.
    ensure!(caller.send(&Request::chat(DEMO, FRANCE, false)).await?.status == 200, "the demo answers");
    daemon.stop().await
}

async fn lists_no_model_whose_backend_is_gone_for_long(version: Version) -> Result<()> {
    let mut double = Double::start(Ollama::default()).await;
    let setup = Setup::default().with_environment("OLLAMA_HOST", &double.address().to_string());
    let daemon = Daemon::start(&setup.with_limits(&format!("{OFTEN}\nmodels_kept = \"200ms\""))).await?;
    let caller = Caller::new(&daemon, version, Family::V6).await?;
    let before = listed(&caller).await?;
    ensure!(before.0.contains(&"tiny:latest".to_owned()), "{before:?}");
    double.refuse().await;
    daemon.wait_said("its models leave the list").await?;
    ensure!(listed(&caller).await?.0 == [DEMO], "the demo alone answers: {:?}", listed(&caller).await?);
    // No word that there is no such model: a program would take it for good.
    let one = Request::get("/v1/models/tiny");
    for request in [Request::chat("tiny", FRANCE, true), Request::chat("tiny", FRANCE, false), one.clone()] {
        let answer = caller.send(&request).await?;
        check_error(&answer, 503, Some("backend_unavailable"))?;
        ensure!(answer.header("retry-after").is_some(), "no Retry-After");
    }
    check_error(&caller.send(&Request::get("/v1/models/nope")).await?, 404, Some("model_not_found"))?;
    double.come_back().await;
    daemon.wait_said_times(&format!("ollama at {} answers", double.url()), 2).await?;
    ensure!(listed(&caller).await? == before, "its models are back");
    ensure!(caller.send(&one).await?.status == 200, "one of them as well");
    daemon.stop().await
}

#[tokio::test]
async fn asks_no_ollama_where_backends_are_named() -> Result<()> {
    let unasked = Double::start(Ollama::default()).await;
    let named = Double::start(OpenAi::new(Style::Vllm, "named")).await;
    let setup = Setup::backend("openai", &named.url())
        .with_environment("OLLAMA_HOST", &unasked.address().to_string())
        .with_limits(OFTEN);
    let daemon = Daemon::start(&setup).await?;
    let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
    named
        .wait("five rounds", |seen| {
            (seen.iter().filter(|seen| seen.request.path() == "/v1/models").count() >= 5).then_some(())
        })
        .await;
    ensure!(listed(&caller).await?.0 == ["named"], "{:?}", listed(&caller).await?);
    for model in ["tiny", DEMO] {
        let answer = caller.send(&Request::chat(model, FRANCE, false)).await?;
        check_error(&answer, 404, Some("model_not_found"))?;
    }
    ensure!(unasked.seen().is_empty(), "a request has reached it: {:?}", unasked.seen());
    ensure!(ghostllm_tests::process::children(daemon.id()?)?.is_empty(), "no engine is needed");
    daemon.stop().await
}

#[tokio::test]
async fn understands_names_in_the_promised_order() -> Result<()> {
    let models = ["shared:latest", "hf.co/a/b:Q4", "plain:latest"].map(|name| Model::new(name, false));
    let first = Double::start(Ollama::with(models.to_vec())).await;
    let second = Double::start(OpenAi::new(Style::Vllm, "shared:latest")).await;
    let third = Double::start(OpenAi::new(Style::Vllm, "Qwen/Qwen3")).await;
    // An exact id that looks like another backend's name and model.
    let fourth = Double::start(OpenAi::new(Style::Vllm, "first/plain:latest")).await;
    let setup = Setup::default()
        .with_backend("first", "ollama", &first.url(), "")
        .with_backend("second", "openai", &second.url(), "")
        .with_backend("third", "openai", &third.url(), "")
        .with_backend("fourth", "openai", &fourth.url(), "");
    let daemon = Daemon::start(&setup).await?;
    let caller = Caller::new(&daemon, Version::H1, Family::V4).await?;
    for (asked, double, route, model) in [
        ("Qwen/Qwen3", &third, "/v1/chat/completions", "Qwen/Qwen3"),
        ("third/Qwen/Qwen3", &third, "/v1/chat/completions", "Qwen/Qwen3"),
        ("hf.co/a/b:Q4", &first, "/api/chat", "hf.co/a/b:Q4"),
        ("first/hf.co/a/b:Q4", &first, "/api/chat", "hf.co/a/b:Q4"),
        ("plain", &first, "/api/chat", "plain:latest"),
        ("first/plain", &first, "/api/chat", "plain:latest"),
        ("first/plain:latest", &fourth, "/v1/chat/completions", "first/plain:latest"),
        ("shared:latest", &first, "/api/chat", "shared:latest"),
        ("shared", &first, "/api/chat", "shared:latest"),
        ("second/shared", &second, "/v1/chat/completions", "shared:latest"),
    ] {
        let before = double.seen_at(route).len();
        let answer = caller.send(&Request::chat(asked, FRANCE, false)).await?;
        ensure!(answer.status == 200, "{asked}: {} {}", answer.status, answer.text());
        ensure!(answer.json()?["model"] == asked, "the answer repeats the name as asked: {}", answer.text());
        let seen = double.seen_at(route);
        let sent = seen.get(before).with_context(|| format!("{asked} went elsewhere"))?.request.json();
        ensure!(sent["model"] == model, "{asked}: {sent}");
    }
    let unknown = caller.send(&Request::chat("third/shared", FRANCE, false)).await?;
    check_error(&unknown, 404, Some("model_not_found"))?;
    // A clash stays one where the first backend fails: nobody's prompt goes where it was not meant to go.
    first.misbehave("shared", Sin::FinAfter(0));
    let before = second.seen_at("/v1/chat/completions").len();
    let failed = caller.send(&Request::chat("shared", FRANCE, false)).await?;
    check_error(&failed, 502, Some("backend_error"))?;
    ensure!(second.seen_at("/v1/chat/completions").len() == before, "another backend was asked");
    ensure!(
        listed(&caller).await?.0.iter().filter(|id| *id == "shared:latest").count() == 1,
        "once in the list"
    );
    daemon.stop().await
}

#[tokio::test]
async fn finds_ollamas_models_again_and_forgets_none() -> Result<()> {
    let mut double = Double::start(Ollama::default()).await;
    let setup = Setup::default().with_environment("OLLAMA_HOST", &double.address().to_string());
    let daemon = Daemon::start(&setup.with_limits(OFTEN)).await?;
    let caller = Caller::new(&daemon, Version::H2, Family::V6).await?;
    let before = listed(&caller).await?;
    double.refuse().await;
    daemon.wait_said("does not answer any more").await?;
    ensure!(listed(&caller).await? == before, "its models stay in the list while it is away");
    double.come_back().await;
    // Ready means here: it answers again, which the same sentence tells as at the first time.
    let told = format!("ollama at {} answers", double.url());
    let again = async {
        while daemon.stderr().matches(&told).count() < 2 {
            double.wait_asked("/api/tags").await;
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(ghostllm_tests::client::PATIENCE, again).await?;
    let body = json!({"model": "tiny", "messages": [{"role": "user", "content": FRANCE}]});
    let answer = caller.send(&Request::post("/v1/chat/completions", &body)).await?;
    ensure!(answer.text().contains(PARIS), "{} {}", answer.status, answer.text());
    daemon.stop().await
}
