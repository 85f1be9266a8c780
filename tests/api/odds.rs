//! The probabilities of tokens, asked of an Ollama that is too old to tell them.

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    client::{Answer, Caller, Family, Request, Version},
    daemon::{Daemon, Setup},
    double::Double,
    ollama::Ollama,
};
use serde_json::{Value, json};

use crate::{FRANCE, check_error};

const IGNORED: &str = "x-ghostllm-ignored";

/// A request in each language that asks for them, where it is sent, where its engine is asked, the field that a refusal names, and how
/// the header names what came to nothing.
fn wishes() -> [(&'static str, Value, &'static str, &'static str, &'static str); 4] {
    let chat = json!([{"role": "user", "content": FRANCE}]);
    let include = json!(["message.output_text.logprobs"]);
    [
        (
            "/v1/chat/completions",
            json!({"messages": chat, "logprobs": true}),
            "/api/chat",
            "logprobs",
            "logprobs",
        ),
        (
            "/v1/chat/completions",
            json!({"messages": chat, "logprobs": true, "top_logprobs": 2, "user": "u"}),
            "/api/chat",
            "logprobs",
            "user, logprobs, top_logprobs",
        ),
        (
            "/v1/completions",
            json!({"prompt": "This program is free", "logprobs": 2}),
            "/api/generate",
            "logprobs",
            "logprobs",
        ),
        (
            "/v1/responses",
            json!({"input": FRANCE, "include": include, "top_logprobs": 2}),
            "/api/chat",
            "include",
            "include:message.output_text.logprobs, top_logprobs",
        ),
    ]
}

async fn asked(caller: &Caller, path: &str, wish: &Value, stream: bool) -> Result<Answer> {
    let mut body = wish.clone();
    (body["model"], body["stream"]) = (json!("tiny"), json!(stream));
    caller.send(&Request::post(path, &body)).await
}

async fn behind(ollama: Ollama) -> Result<(Double, Daemon, Caller)> {
    let double = Double::start(ollama).await;
    let daemon = Daemon::start(&Setup::backend("ollama", &double.url())).await?;
    let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
    Ok((double, daemon, caller))
}

#[tokio::test]
async fn one_that_says_that_it_is_too_old_is_not_asked() -> Result<()> {
    let (double, daemon, caller) = behind(Ollama::default().before_odds(Some("0.12.10"))).await?;
    for (path, wish, route, field, _) in wishes() {
        for stream in [false, true] {
            let answer = asked(&caller, path, &wish, stream).await?;
            check_error(&answer, 400, Some("unsupported_parameter")).with_context(|| wish.to_string())?;
            let error = answer.json()?["error"].clone();
            let said = error["message"].as_str().unwrap_or_default();
            ensure!(error["param"] == field && said.contains("Ollama 0.12.10,"), "{error}");
        }
        ensure!(double.seen_at(route).is_empty(), "the engine was asked for {wish}");
    }
    let plain = caller.send(&Request::chat("tiny", FRANCE, false)).await?;
    ensure!(plain.status == 200 && plain.header(IGNORED).is_none(), "{}", plain.text());
    let versions = double.seen_at("/api/version").len();
    ensure!(versions == 1, "its version is asked once in a while, and not {versions} times");
    daemon.stop().await
}

#[tokio::test]
async fn one_that_says_no_version_is_known_by_its_answer() -> Result<()> {
    let (_double, daemon, caller) = behind(Ollama::default().before_odds(None)).await?;
    for (path, wish, _, _, named) in wishes() {
        for stream in [false, true] {
            let answer = asked(&caller, path, &wish, stream).await?;
            ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
            let header = answer.header(IGNORED);
            ensure!(header == Some(named), "{wish} {stream}: {header:?}");
        }
    }
    daemon.stop().await
}

#[tokio::test]
async fn one_that_tells_them_is_named_for_nothing() -> Result<()> {
    let (double, daemon, caller) = behind(Ollama::default()).await?;
    for (path, wish, route, _, named) in wishes() {
        for stream in [false, true] {
            let answer = asked(&caller, path, &wish, stream).await?;
            ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
            let header = answer.header(IGNORED);
            ensure!(
                header == Some("user").filter(|_| named.starts_with("user")),
                "{wish} {stream}: {header:?}"
            );
            ensure!(answer.text().contains("\"bytes\":") || path == "/v1/completions", "{}", answer.text());
        }
        let sent = double.seen_at(route).last().context("nothing was asked")?.request.json();
        ensure!(sent["logprobs"] == true, "{sent}");
    }
    daemon.stop().await
}
