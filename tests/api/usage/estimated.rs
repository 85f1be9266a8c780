//! What is estimated, since an engine has not counted it or not yet, and says so.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    client::{Caller, Family, Request, Version},
    daemon::{Daemon, Setup},
    double::Double,
    openai::{OpenAi, Style},
    response::Response,
    script::Sin,
    sse::Chat,
};
use serde_json::json;

use super::{check, counted::Wire, told};
use crate::{FRANCE, PARIS};

#[tokio::test]
async fn what_was_left_or_has_failed_is_estimated_and_says_so() -> Result<()> {
    for wire in [Wire::Ollama, Wire::OpenAi(Style::Llama)] {
        estimated(wire).await.with_context(|| format!("{wire:?}"))?;
    }
    Ok(())
}

async fn estimated(wire: Wire) -> Result<()> {
    let double = wire.double().await;
    let daemon = Daemon::start(&wire.setup(&double)).await?;
    let caller = Caller::new(&daemon, Version::H1, Family::V4).await?;
    // A quarter of the bytes of what was said.
    let prompt = (FRANCE.len() as u64).div_ceil(4);
    double.misbehave("tiny", Sin::StallAfter(wire.pieces(2)));
    let mut stream = caller.open(&Request::chat("tiny", FRANCE, true)).await?;
    stream.until(" capital").await?;
    let _left = stream.leave().await?;
    let once = json!({
        "requests": 1, "cancelled": 1, "prompt_tokens": prompt, "completion_tokens": 2, "estimated_requests": 1,
        "estimated_tokens": prompt + 2,
    });
    check(&told(&daemon, "", 1).await?["total"], &once)?;

    double.misbehave("tiny", Sin::FinAfter(wire.pieces(3)));
    let broken = caller.send(&Request::chat("tiny", FRANCE, true)).await?;
    ensure!(Chat::read(&broken.body)?.error().is_some(), "{}", broken.text());
    let twice = json!({
        "requests": 2, "cancelled": 1, "failed": 1, "prompt_tokens": 2 * prompt, "completion_tokens": 5,
        "estimated_requests": 2, "estimated_tokens": 2 * prompt + 5,
    });
    check(&told(&daemon, "", 2).await?["total"], &twice)?;

    // Of a stream nothing is known before its first word, and that is told as well.
    double.misbehave("tiny", Sin::HangBeforeHeaders);
    leave_headless(&caller, &double, wire, true).await?;
    let mut thrice = twice.clone();
    (thrice["requests"], thrice["cancelled"], thrice["uncounted"]) = (json!(3), json!(2), json!(1));
    check(&told(&daemon, "", 3).await?["total"], &thrice)?;

    // Whoever waits for a whole answer has had his prompt read, as far as anybody can tell.
    leave_headless(&caller, &double, wire, false).await?;
    let mut four = thrice.clone();
    (four["requests"], four["cancelled"], four["estimated_requests"]) = (json!(4), json!(3), json!(3));
    (four["prompt_tokens"], four["estimated_tokens"]) = (json!(3 * prompt), json!(3 * prompt + 5));
    check(&told(&daemon, "", 4).await?["total"], &four)?;

    // The records say the same, and the metrics have the engines' own counts alone.
    let said = async {
        // Records are held for a moment.
        while daemon.stderr().matches("\"estimated\":true").count() < 3 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), said).await.context("three records say so")?;
    daemon.stop().await
}

/// Asks for what does not come, and leaves once the engine was asked.
async fn leave_headless(caller: &Caller, double: &Double, wire: Wire, stream: bool) -> Result<()> {
    let request = Request::chat("tiny", FRANCE, stream);
    let before = double.seen_at(wire.path()).len();
    let asked = async {
        let more = |seen: &[ghostllm_tests::double::Seen]| {
            (seen.iter().filter(|seen| seen.request.path() == wire.path()).count() > before).then_some(())
        };
        double.wait("one more chat", more).await;
    };
    let _left = caller.leave_headless(&request, asked).await?;
    Ok(())
}

#[tokio::test]
async fn a_whole_answer_that_is_left_counts_what_its_engine_had_said() -> Result<()> {
    let double = Wire::Ollama.double().await;
    let daemon = Daemon::start(&Wire::Ollama.setup(&double)).await?;
    let prompt = (FRANCE.len() as u64).div_ceil(4);
    double.misbehave("tiny", Sin::StallAfter(Wire::Ollama.pieces(2)));
    let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
    let said = async {
        let at_work = |seen: &[ghostllm_tests::double::Seen]| {
            seen.iter().any(|seen| seen.request.path() == Wire::Ollama.path()).then_some(())
        };
        double.wait("a chat", at_work).await;
        // Its first words are on their way.
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    let _left = caller.leave_headless(&Request::chat("tiny", FRANCE, false), said).await?;
    let expected = json!({
        "requests": 1, "cancelled": 1, "prompt_tokens": prompt, "completion_tokens": 2, "estimated_requests": 1,
        "estimated_tokens": prompt + 2,
    });
    check(&told(&daemon, "", 1).await?["total"], &expected)?;
    daemon.stop().await
}

#[tokio::test]
async fn an_engine_that_refuses_to_be_asked_is_asked_without_and_estimated() -> Result<()> {
    let double = Double::start(OpenAi::uncounted(Style::Vllm, "tiny")).await;
    let daemon = Daemon::start(&Setup::backend("openai", &double.url())).await?;
    let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
    for _ in 0..2 {
        let answer = caller.send(&Request::chat("tiny", FRANCE, true)).await?;
        let chat = Chat::read(&answer.body)?;
        ensure!(answer.status == 200 && chat.text() == PARIS && chat.done, "{}", answer.text());
    }
    for stream in [false, true] {
        let body = json!({"model": "tiny", "input": FRANCE, "stream": stream});
        let answer = caller.send(&Request::post("/v1/responses", &body)).await?;
        ensure!(answer.status == 200, "{}", answer.text());
        if stream {
            ensure!(Response::read(&answer.body)?.text() == PARIS, "{}", answer.text());
        }
    }
    let asked: Vec<bool> = double
        .seen_at("/v1/chat/completions")
        .iter()
        .map(|seen| seen.request.json().get("stream_options").is_some())
        .collect();
    ensure!(asked == [true, false, false, false, false], "it was asked so: {asked:?}");
    let report = told(&daemon, "", 4).await?;
    let total = &report["total"];
    ensure!(total["estimated_requests"] == 4 && total["uncounted"] == 0, "{report:#}");
    let tokens = |name: &str| total[name].as_u64().unwrap_or_default();
    ensure!(tokens("prompt_tokens") > 0 && tokens("completion_tokens") > 4, "{report:#}");
    ensure!(
        tokens("estimated_tokens") == tokens("prompt_tokens") + tokens("completion_tokens"),
        "{report:#}"
    );
    let said = daemon.stderr();
    ensure!(said.matches("refuses to be asked for the counts").count() == 1, "{said}");
    // Whoever asks for them is told by the engine.
    let mut body =
        json!({"model": "tiny", "stream": true, "messages": [{"role": "user", "content": FRANCE}]});
    body["stream_options"] = json!({"include_usage": true});
    let refused = caller.send(&Request::post("/v1/chat/completions", &body)).await?;
    ensure!(refused.status == 400, "{} {}", refused.status, refused.text());
    daemon.stop().await
}

#[tokio::test]
async fn a_completion_is_estimated_where_its_engine_refuses_to_be_asked() -> Result<()> {
    let double = Double::start(OpenAi::uncounted(Style::Vllm, "tiny")).await;
    let daemon = Daemon::start(&Setup::backend("openai", &double.url())).await?;
    let caller = Caller::new(&daemon, Version::H1, Family::V6).await?;
    let body = json!({"model": "tiny", "prompt": "This program is free", "max_tokens": 12, "stream": true});
    let answer = caller.send(&Request::post("/v1/completions", &body)).await?;
    ensure!(answer.status == 200 && answer.text().contains("[DONE]"), "{} {}", answer.status, answer.text());
    let asked: Vec<bool> = double
        .seen_at("/v1/completions")
        .iter()
        .map(|seen| seen.request.json().get("stream_options").is_some())
        .collect();
    ensure!(asked == [true, false], "it was asked so: {asked:?}");
    let expected = json!({
        "requests": 1, "prompt_tokens": 5, "completion_tokens": 12, "estimated_requests": 1, "estimated_tokens": 17,
    });
    check(&told(&daemon, "", 1).await?["total"], &expected)?;
    daemon.stop().await
}
