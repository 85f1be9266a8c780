//! The adapter for Ollama's native wire: what it sends, what it makes of what comes back.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    client::{Caller, Family, Request, Version},
    recording,
    script::Sin,
    sse::Chat,
};
use serde_json::{Value, json};

use crate::{FRANCE, PARIS, ollama, passthrough::check_call, sinner};

#[tokio::test]
async fn translates_fields_to_the_native_wire() -> Result<()> {
    let (double, daemon) = ollama().await?;
    let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
    let body = json!({
        "model": "tiny", "stream": true, "temperature": 0.5, "top_p": 0.25, "seed": 7, "stop": ["5"], "max_tokens": 20,
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Be kind."}]},
            {"role": "user", "content": "Count from 1 to 9"},
        ],
    });
    let answer = caller.send(&Request::post("/v1/chat/completions", &body)).await?;
    ensure!(Chat::read(&answer.body)?.text() == "1, 2, 3, 4, ", "{} {}", answer.status, answer.text());
    let seen = double.seen_at("/api/chat");
    let sent = seen[0].request.json();
    let options = &sent["options"];
    ensure!(options["temperature"] == 0.5 && options["top_p"] == 0.25 && options["seed"] == 7, "{sent}");
    ensure!(options["stop"] == json!(["5"]) && options["num_predict"] == 20, "{sent}");
    ensure!(sent["messages"][0] == json!({"role": "system", "content": "Be brief.\nBe kind."}), "{sent}");
    ensure!(sent["messages"][1]["content"] == "Count from 1 to 9", "{sent}");
    daemon.stop().await
}

#[tokio::test]
async fn says_why_an_answer_was_cut() -> Result<()> {
    let (_double, daemon) = ollama().await?;
    let caller = Caller::new(&daemon, Version::H1, Family::V4).await?;
    for key in ["max_tokens", "max_completion_tokens"] {
        let messages = json!([{"role": "user", "content": "Tell me a long story."}]);
        let mut body = json!({"model": "tiny", "messages": messages});
        body[key] = json!(6);
        let answer = caller.send(&Request::post("/v1/chat/completions", &body)).await?.json()?;
        ensure!(answer["choices"][0]["finish_reason"] == "length", "{key}: {answer}");
        ensure!(
            answer["choices"][0]["message"]["content"] == "There was a small storm in",
            "{key}: {answer}"
        );
        ensure!(answer["usage"]["completion_tokens"] == 6, "{key}: {answer}");
    }
    daemon.stop().await
}

fn weather() -> Value {
    json!([{"type": "function", "function": {"name": "get_weather", "description": "Get the current weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}])
}

#[tokio::test]
async fn carries_tools_both_ways() -> Result<()> {
    let (double, daemon) = ollama().await?;
    let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
    let tools = weather();
    let question = json!({"role": "user", "content": "What is the weather in Paris?"});
    for stream in [false, true] {
        let body = json!({"model": "tiny", "stream": stream, "messages": [question], "tools": tools});
        let answer = caller.send(&Request::post("/v1/chat/completions", &body)).await?;
        check_call(&answer.body, stream).with_context(|| answer.text())?;
    }
    let call = json!({"id": "call_1", "type": "function",
        "function": {"name": "get_weather", "arguments": "{\"city\":\"Paris\"}"}});
    let body = json!({"model": "tiny", "tools": tools, "messages": [
        question,
        {"role": "assistant", "content": null, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "sunny, 21 degrees"},
    ]});
    let answer = caller.send(&Request::post("/v1/chat/completions", &body)).await?.json()?;
    ensure!(
        answer["choices"][0]["message"]["content"] == "The weather in Berlin is sunny, 21 degrees.",
        "{answer}"
    );
    let seen = double.seen_at("/api/chat");
    let sent = seen.last().context("nothing was sent")?.request.json();
    let arguments = &sent["messages"][1]["tool_calls"][0]["function"]["arguments"];
    ensure!(*arguments == json!({"city": "Paris"}), "arguments must be an object: {sent}");
    // Ollama knows a result by its function's name alone.
    ensure!(sent["messages"][2]["tool_name"] == "get_weather", "{sent}");
    daemon.stop().await
}

#[tokio::test]
async fn calls_have_a_place_and_an_id_of_their_own() -> Result<()> {
    let (_double, daemon) = ollama().await?;
    let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
    let tools = weather();
    let mut ids = BTreeSet::new();
    for turn in 0..4 {
        let stream = turn % 2 == 0;
        let body = json!({"model": "tiny", "stream": stream, "tools": tools,
            "messages": [{"role": "user", "content": "What is the weather in Paris?"}]});
        let answer = caller.send(&Request::post("/v1/chat/completions", &body)).await?;
        let call = if stream {
            let chat = Chat::read(&answer.body)?;
            let deltas: Vec<_> = chat.chunks.iter().map(|chunk| &chunk["choices"][0]["delta"]).collect();
            ensure!(
                deltas.iter().filter(|delta| delta["role"].is_string()).count() == 1,
                "{}",
                answer.text()
            );
            ensure!(deltas[0]["role"] == "assistant", "the role comes first: {}", answer.text());
            let mut calls = deltas.iter().filter_map(|delta| delta["tool_calls"].as_array()).flatten();
            let call = calls.next().with_context(|| answer.text())?.clone();
            ensure!(call["index"] == 0 && calls.next().is_none(), "{}", answer.text());
            call
        } else {
            answer.json()?["choices"][0]["message"]["tool_calls"][0].clone()
        };
        ensure!(call["type"] == "function" && call["function"]["arguments"].is_string(), "{call}");
        let id = call["id"].as_str().context("no id")?;
        ensure!(id.starts_with("call_") && ids.insert(id.to_owned()), "{id} is there twice: {ids:?}");
    }
    daemon.stop().await
}

#[tokio::test]
async fn thoughts_have_the_names_that_clients_look_for() -> Result<()> {
    let (_double, daemon) = ollama().await?;
    let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
    let whole = caller.send(&Request::chat("tiny-think", FRANCE, false)).await?;
    let message = whole.json()?["choices"][0]["message"].clone();
    let thought = message["reasoning"].as_str().with_context(|| whole.text())?.to_owned();
    ensure!(!thought.is_empty() && message["reasoning_content"] == thought.as_str(), "{message}");
    let answer = caller.send(&Request::chat("tiny-think", FRANCE, true)).await?;
    let chat = Chat::read(&answer.body)?;
    for name in ["reasoning", "reasoning_content"] {
        let pieces = chat.chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"][name].as_str());
        ensure!(pieces.collect::<String>() == thought, "{name}: {}", answer.text());
    }
    ensure!(message["content"] == chat.text(), "{message} {}", answer.text());
    daemon.stop().await
}

#[tokio::test]
async fn keeps_text_as_it_is() -> Result<()> {
    let (_double, daemon) = ollama().await?;
    let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
    let text = "<b>naïve & \"quoted\" \\ 😀\u{2028}</b>\n\ttab";
    for stream in [false, true] {
        let answer = caller.send(&Request::chat("tiny", &format!("Echo: {text}"), stream)).await?;
        let said = if stream {
            Chat::read(&answer.body)?.text()
        } else {
            answer.json()?["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned()
        };
        ensure!(said == text, "{said:?}");
    }
    daemon.stop().await
}

#[tokio::test]
async fn repeats_once_on_a_connection_that_had_gone() -> Result<()> {
    let (double, daemon) = sinner(Sin::CloseOnReuse, "", "").await?;
    let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
    for _ in 0..2 {
        let answer = caller.send(&Request::chat("tiny", FRANCE, false)).await?;
        ensure!(answer.status == 200 && answer.text().contains(PARIS), "{} {}", answer.status, answer.text());
    }
    let asked = double.seen_at("/api/chat").len();
    ensure!(asked >= 3, "no connection was kept alive: {asked} requests arrived");
    daemon.stop().await
}

#[tokio::test]
async fn reports_a_recorded_death_of_the_runner() -> Result<()> {
    let recorded = recording::load("ollama", "fault-runner-killed");
    let (_double, daemon) = sinner(Sin::Replay(recorded.response), "", "").await?;
    let caller = Caller::new(&daemon, Version::H1, Family::V4).await?;
    let answer = caller.send(&Request::chat("tiny", FRANCE, true)).await?;
    let chat = Chat::read(&answer.body)?;
    let error = chat.error().with_context(|| answer.text())?;
    ensure!(error["code"] == "backend_error" && !chat.done, "{}", answer.text());
    daemon.stop().await
}
