//! Engines that speak OpenAI's wire already: each in its own manner in, one manner out.

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    client::{Caller, End, Family, Request, Version},
    daemon::{Daemon, Setup},
    double::Double,
    openai::{OpenAi, Style},
    script::Sin,
    sse::Chat,
};
use serde_json::{Value, json};

use crate::{FRANCE, PARIS, check_error, check_error_object};

const STYLES: [Style; 3] = [Style::Llama, Style::Vllm, Style::Transformers];

async fn engine(style: Style) -> Result<(Double, Daemon, Caller)> {
    let double = Double::start(OpenAi::new(style, "tiny")).await;
    let daemon = Daemon::start(&Setup::backend("openai", &double.url())).await?;
    let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
    Ok((double, daemon, caller))
}

#[tokio::test]
async fn gives_one_shape_for_every_engine() -> Result<()> {
    for style in STYLES {
        let (_double, daemon, caller) = engine(style).await?;
        let whole = caller.send(&Request::chat("tiny", FRANCE, false)).await?;
        let json = whole.json()?;
        ensure!(
            whole.status == 200 && json["choices"][0]["message"]["content"] == PARIS,
            "{style:?}: {json}"
        );
        let answer = caller.send(&Request::chat("tiny", FRANCE, true)).await?;
        let chat = Chat::read(&answer.body)?;
        let text = answer.text();
        ensure!(answer.status == 200 && chat.text() == PARIS && chat.done, "{style:?}: {text}");
        ensure!(chat.chunks[0]["choices"][0]["delta"]["role"] == "assistant", "{style:?}: {text}");
        ensure!(chat.finishes() == ["stop"] && answer.end == End::Clean, "{style:?}: {text}");
        daemon.stop().await.with_context(|| format!("{style:?}"))?;
    }
    Ok(())
}

#[tokio::test]
async fn takes_an_address_with_the_v1_that_clients_want_and_without() -> Result<()> {
    for end in ["", "/", "/v1", "/v1/"] {
        let double = Double::start(OpenAi::new(Style::Vllm, "tiny")).await;
        let url = format!("{}{end}", double.url().trim_end_matches('/'));
        let daemon = Daemon::start(&Setup::backend("openai", &url)).await?;
        let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
        let answer = caller.send(&Request::chat("tiny", FRANCE, false)).await?;
        ensure!(answer.status == 200, "{url}: {} {}", answer.status, answer.text());
        daemon.stop().await.with_context(|| url.clone())?;
    }
    Ok(())
}

#[tokio::test]
async fn keeps_fields_that_it_does_not_know() -> Result<()> {
    let (double, daemon, caller) = engine(Style::Vllm).await?;
    let body = json!({
        "model": "tiny", "messages": [{"role": "user", "content": FRANCE}], "guided_regex": "[a-z]+", "top_k": 3,
    });
    let answer = caller.send(&Request::post("/v1/chat/completions", &body)).await?;
    ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
    let seen = double.seen_at("/v1/chat/completions");
    let seen = &seen[0].request;
    ensure!(seen.json()["guided_regex"] == "[a-z]+" && seen.json()["top_k"] == 3, "{}", seen.dump());
    ensure!(seen.header("authorization").is_none(), "our key reached the engine:\n{}", seen.dump());
    daemon.stop().await
}

#[tokio::test]
async fn gives_tool_calls_however_the_engine_does() -> Result<()> {
    for style in STYLES {
        let (_double, daemon, caller) = engine(style).await?;
        for stream in [false, true] {
            let answer = caller.send(&weather(&json!({ "stream": stream }))).await?;
            check_call(&answer.body, stream)
                .with_context(|| format!("{style:?} {stream}: {}", answer.text()))?;
        }
        daemon.stop().await?;
    }
    Ok(())
}

/// Asks for a call.
fn weather(more: &Value) -> Request {
    let mut body = json!({
        "model": "tiny",
        "messages": [{"role": "user", "content": "What is the weather in Paris?"}],
        "tools": [{"type": "function", "function": {"name": "get_weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}],
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    Request::post("/v1/chat/completions", &body)
}

const RAW: &str =
    "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Paris\"}}\n</tool_call>";

#[tokio::test]
async fn a_call_in_a_text_is_a_call_with_an_id_of_its_own_and_the_answer_s_counts() -> Result<()> {
    let (_double, daemon, caller) = engine(Style::Transformers).await?;
    let whole = caller.send(&weather(&json!({}))).await?.json()?;
    let (choice, used) = (&whole["choices"][0], &whole["usage"]);
    ensure!(choice["message"]["content"].is_null() && choice["message"]["role"] == "assistant", "{whole}");
    ensure!(used["completion_tokens"] == 24 && whole["model"] == "tiny", "{whole}");
    let answer =
        caller.send(&weather(&json!({"stream": true, "stream_options": {"include_usage": true}}))).await?;
    let (chat, text) = (Chat::read(&answer.body)?, answer.text());
    ensure!(chat.done && chat.text().is_empty() && chat.finishes() == ["tool_calls"], "{text}");
    let deltas: Vec<&Value> = chat.chunks.iter().map(|chunk| &chunk["choices"][0]["delta"]).collect();
    ensure!(deltas.iter().filter(|delta| delta["role"].is_string()).count() == 1, "{text}");
    let calls: Vec<&Value> =
        deltas.iter().filter_map(|delta| delta["tool_calls"].as_array()).flatten().collect();
    ensure!(calls.len() == 1 && calls[0]["index"] == 0 && calls[0]["type"] == "function", "{text}");
    let used: Vec<&Value> =
        chat.chunks.iter().map(|chunk| &chunk["usage"]).filter(|used| used.is_object()).collect();
    ensure!(used.len() == 1 && used[0]["completion_tokens"] == 24, "{text}");
    let ids = [&choice["message"]["tool_calls"][0]["id"], &calls[0]["id"]];
    ensure!(ids.iter().all(|id| id.as_str().is_some_and(|id| id.starts_with("call_"))), "{ids:?}");
    ensure!(ids[0] != ids[1], "{ids:?}");
    daemon.stop().await
}

#[tokio::test]
async fn what_nobody_may_call_stays_the_text_that_it_is() -> Result<()> {
    let other =
        json!([{"type": "function", "function": {"name": "get_time", "parameters": {"type": "object"}}}]);
    for style in STYLES {
        let (_double, daemon, caller) = engine(style).await?;
        let echoed = json!([{"role": "user", "content": format!("Echo: {RAW}")}]);
        // Not offered, and another's.
        for more in [json!({"messages": echoed, "tools": null}), json!({"messages": echoed, "tools": other})]
        {
            for stream in [false, true] {
                let mut more = more.clone();
                more["stream"] = json!(stream);
                let answer = caller.send(&weather(&more)).await?;
                let (text, reason) = if stream {
                    let chat = Chat::read(&answer.body)?;
                    ensure!(chat.done, "{}", answer.text());
                    (chat.text(), chat.finishes().concat())
                } else {
                    let choice = &answer.json()?["choices"][0];
                    let text = choice["message"]["content"].as_str().unwrap_or_default();
                    (text.to_owned(), choice["finish_reason"].as_str().unwrap_or_default().to_owned())
                };
                ensure!(text == RAW && reason == "stop", "{style:?} {more}: {}", answer.text());
            }
        }
        daemon.stop().await.with_context(|| format!("{style:?}"))?;
    }
    Ok(())
}

#[tokio::test]
async fn tools_that_nobody_may_call_are_not_shown() -> Result<()> {
    for style in STYLES {
        let (double, daemon, caller) = engine(style).await?;
        for (choice, shown) in [("auto", true), ("none", false)] {
            let answer = caller.send(&weather(&json!({"tool_choice": choice, "stream": false}))).await?;
            ensure!(
                answer.status == 200 && !answer.text().contains("<tool_call>"),
                "{style:?}: {}",
                answer.text()
            );
            let asked =
                double.seen_at("/v1/chat/completions").pop().context("it was not asked")?.request.json();
            ensure!(
                asked["tools"].is_array() == shown && asked["tool_choice"] == choice,
                "{style:?}: {asked:#}"
            );
        }
        daemon.stop().await.with_context(|| format!("{style:?}"))?;
    }
    Ok(())
}

#[tokio::test]
async fn an_engine_that_answers_to_any_name_is_asked_for_its_own_models_alone() -> Result<()> {
    let (double, daemon, caller) = engine(Style::Llama).await?;
    for stream in [false, true] {
        let answer = caller.send(&Request::chat("another", FRANCE, stream)).await?;
        check_error(&answer, 404, Some("model_not_found"))?;
    }
    ensure!(double.seen_at("/v1/chat/completions").is_empty(), "it was asked");
    daemon.stop().await
}

/// The call of `get_weather` for Paris, out of a whole answer or a stream of pieces.
pub(crate) fn check_call(body: &[u8], stream: bool) -> Result<()> {
    let (mut name, mut arguments, mut reason) = (String::new(), String::new(), String::new());
    let pieces = if stream {
        let chat = Chat::read(body)?;
        ensure!(chat.done, "no [DONE]");
        chat.chunks
    } else {
        vec![serde_json::from_slice(body)?]
    };
    for piece in pieces {
        let choice = &piece["choices"][0];
        let call = &choice[if stream { "delta" } else { "message" }]["tool_calls"][0]["function"];
        name += call["name"].as_str().unwrap_or_default();
        arguments += call["arguments"].as_str().unwrap_or_default();
        reason += choice["finish_reason"].as_str().unwrap_or_default();
    }
    let arguments: serde_json::Value = serde_json::from_str(&arguments).context(arguments)?;
    ensure!(name == "get_weather" && arguments == json!({"city": "Paris"}), "{name} {arguments}");
    ensure!(reason == "tool_calls", "finish_reason {reason}");
    Ok(())
}

#[tokio::test]
async fn turns_an_engines_failures_into_ours() -> Result<()> {
    let (double, daemon, caller) = engine(Style::Vllm).await?;
    let text = "{\"error\":{\"message\":\"the boom of an engine\",\"type\":\"InternalServerError\",\"param\":null,\"code\":500}}";
    double.misbehave("tiny", Sin::Status("500 Internal Server Error", text.into()));
    check_error(&caller.send(&Request::chat("tiny", FRANCE, false)).await?, 502, Some("backend_error"))?;
    // Seven events: the role, six tokens; then the engine dies without a finish reason.
    for sin in [Sin::FinAfter(7), Sin::EndWithoutDone(7)] {
        double.misbehave("tiny", sin.clone());
        let answer = caller.send(&Request::chat("tiny", FRANCE, true)).await?;
        let chat = Chat::read(&answer.body)?;
        let error = chat.error().with_context(|| format!("{sin:?}: no error event: {}", answer.text()))?;
        check_error_object(error, Some("backend_error"))?;
        ensure!(!chat.done && PARIS.starts_with(&chat.text()), "{sin:?}: {}", answer.text());
        ensure!(matches!(answer.end, End::Broken(_)), "{sin:?}: {:?}", answer.end);
    }
    daemon.stop().await
}
