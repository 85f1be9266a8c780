//! `POST /v1/responses`, before engines of either language: its events, its whole answers, its failures and its end.

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    admin,
    client::{Answer, Caller, End, Family, Request, Version},
    daemon::{Daemon, Setup},
    double::Double,
    ollama::{Model, Ollama},
    openai::{OpenAi, Style},
    response::Response,
    script::Sin,
};
use serde_json::{Value, json};

use crate::{FRANCE, PARIS, check_error, on_every_version};

/// The engine behind the daemon, and the path at which it is asked.
pub(crate) const WIRES: [(&str, &str); 2] = [("ollama", "/api/chat"), ("openai", "/v1/chat/completions")];

/// An engine of this language, its model `tiny` sinning, and a daemon before it.
pub(crate) async fn engine(wire: &str, sin: Option<Sin>, limits: &str) -> Result<(Double, Daemon)> {
    let double = match wire {
        "ollama" => {
            Double::start(Ollama::with(vec![Model::new("tiny", false), Model::new("think", true)])).await
        }
        _ => Double::start(OpenAi::new(Style::Vllm, "tiny")).await,
    };
    let setup = Setup::default().with_backend("box", wire, &double.url(), "").with_limits(limits);
    let daemon = Daemon::start(&setup).await?;
    if let Some(sin) = sin {
        double.misbehave("tiny", sin);
    }
    Ok((double, daemon))
}

pub(crate) fn ask(more: Value) -> Request {
    let mut body = json!({"model": "tiny", "input": FRANCE});
    if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
        body.extend(more);
    }
    Request::post("/v1/responses", &body)
}

pub(crate) fn weather() -> Value {
    json!([{"type": "function", "name": "get_weather", "description": "Get the current weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}])
}

on_every_version!(
    is_whole_or_a_stream_of_the_same,
    leaving_frees_the_engine,
    a_failure_behind_the_headers_is_the_last_event,
    a_silent_engine_is_waited_for,
    whoever_ends_it_is_named,
);

async fn is_whole_or_a_stream_of_the_same(version: Version) -> Result<()> {
    for (wire, path) in WIRES {
        let (double, daemon) = engine(wire, None, "").await?;
        let caller = Caller::new(&daemon, version, Family::V4).await?;
        let whole = caller.send(&ask(json!({"instructions": "Be brief.", "temperature": 0}))).await?;
        ensure!(whole.status == 200 && whole.end == End::Clean, "{wire}: {} {}", whole.status, whole.text());
        let mut whole = whole.json()?;
        ensure!(whole["output"][0]["content"][0]["text"] == PARIS, "{wire}: {whole}");
        ensure!(whole["status"] == "completed" && whole["store"] == false, "{wire}: {whole}");
        let used = &whole["usage"];
        ensure!(
            used["output_tokens"].as_u64() > Some(5) && used["input_tokens"].as_u64() > Some(5),
            "{wire}: {whole}"
        );
        let answer =
            caller.send(&ask(json!({"instructions": "Be brief.", "temperature": 0, "stream": true}))).await?;
        let kind = answer.header("content-type").unwrap_or_default();
        ensure!(
            kind.starts_with("text/event-stream") && answer.end == End::Clean,
            "{wire}: {kind} {:?}",
            answer.end
        );
        let stream = Response::read(&answer.body).with_context(|| answer.text())?;
        ensure!(stream.text() == PARIS, "{wire}: {}", answer.text());
        let mut last = stream.last("response.completed")?.clone();
        // Each has an id and a time of its own.
        for name in ["id", "created_at", "output"] {
            whole[name] = Value::Null;
            last[name] = Value::Null;
        }
        ensure!(whole == last, "{wire}: {whole}\n{last}");
        let sent = double.seen_at(path)[0].request.json();
        let roles: Vec<&Value> =
            sent["messages"].as_array().into_iter().flatten().map(|one| &one["role"]).collect();
        ensure!(roles == ["system", "user"], "{wire}: {sent}");
        daemon.stop().await.with_context(|| wire.to_owned())?;
    }
    Ok(())
}

async fn leaving_frees_the_engine(version: Version) -> Result<()> {
    for (wire, path) in WIRES {
        let (double, daemon) = engine(wire, Some(Sin::StallAfter(3)), "").await?;
        let caller = Caller::new(&daemon, version, Family::V4).await?;
        let mut stream = caller.open(&ask(json!({"stream": true}))).await?;
        stream.until(" capital").await?;
        let _left = stream.leave().await?;
        double.wait_left(path).await;
        daemon.stop().await?;
    }
    Ok(())
}

async fn a_failure_behind_the_headers_is_the_last_event(version: Version) -> Result<()> {
    for (wire, _) in WIRES {
        for sin in
            [Sin::FinAfter(4), Sin::EndWithoutDone(4), Sin::ErrorAfter(4, "the boom of an engine".into())]
        {
            let (_double, daemon) = engine(wire, Some(sin.clone()), "").await?;
            let caller = Caller::new(&daemon, version, Family::V4).await?;
            let answer = caller.send(&ask(json!({"stream": true}))).await?;
            check_failed(version, &answer).with_context(|| format!("{wire} {sin:?}: {}", answer.text()))?;
            // In one piece it still has a status.
            check_error(&caller.send(&ask(json!({}))).await?, 502, Some("backend_error"))?;
            daemon.stop().await?;
        }
    }
    Ok(())
}

fn check_failed(version: Version, answer: &Answer) -> Result<()> {
    ensure!(answer.status == 200, "{}", answer.status);
    let stream = Response::read(&answer.body)?;
    ensure!(PARIS.starts_with(&stream.text()) && !stream.text().is_empty(), "it said {}", stream.text());
    let [.., failed, error] = &stream.events[..] else { anyhow::bail!("too few events") };
    let response = &failed["response"];
    ensure!(failed["type"] == "response.failed" && response["status"] == "failed", "{failed}");
    ensure!(response["error"]["code"] == "server_error", "{failed}");
    ensure!(response["output"][0]["content"][0]["text"] == stream.text().as_str(), "{failed}");
    ensure!(error["type"] == "error" && error["error"]["code"] == "backend_error", "{error}");
    match version {
        Version::H1 => ensure!(answer.end == End::Clean, "{:?}", answer.end),
        Version::H2 | Version::H3 => ensure!(matches!(answer.end, End::Broken(_)), "{:?}", answer.end),
    }
    Ok(())
}

async fn a_silent_engine_is_waited_for(version: Version) -> Result<()> {
    for style in ["comment", "empty-delta"] {
        let limits = format!(
            "header_wait = \"50ms\"\nsse_keep_alive = \"20ms\"\nkeep_alive_style = \"{style}\"\nbackend_first_byte = \"1s\""
        );
        let (_double, daemon) = engine("ollama", Some(Sin::HangBeforeHeaders), &limits).await?;
        let caller = Caller::new(&daemon, version, Family::V4).await?;
        let answer = caller.send(&ask(json!({"stream": true}))).await?;
        let stream = Response::read(&answer.body).with_context(|| answer.text())?;
        ensure!(stream.comments > 3, "{style}: {} comments", stream.comments);
        // Its client has heard nothing yet: the response begins, and fails.
        let kinds = ["response.created", "response.in_progress", "response.failed", "error"];
        ensure!(stream.kinds() == kinds, "{style}: {}", answer.text());
        ensure!(stream.events[3]["code"] == "backend_timeout", "{style}: {}", answer.text());
        daemon.stop().await?;
    }
    Ok(())
}

async fn whoever_ends_it_is_named(version: Version) -> Result<()> {
    let (_double, daemon) = engine("openai", Some(Sin::StallAfter(3)), "").await?;
    let caller = Caller::new(&daemon, version, Family::V4).await?;
    let mut stream = caller.open(&ask(json!({"stream": true})).with("x-request-id", "mine")).await?;
    let mut body = stream.until(" capital").await?;
    let listed = admin::done(&daemon, "GET", "requests", None).await?;
    ensure!(listed.to_string().contains("tiny"), "{listed}");
    admin::done(&daemon, "DELETE", "requests/mine", None).await?;
    body.extend(stream.finish().await?.body);
    let stream = Response::read(&body)?;
    let [.., failed, error] = &stream.events[..] else { anyhow::bail!("too few events") };
    ensure!(failed["response"]["error"]["code"] == "invalid_prompt", "{failed}");
    ensure!(error["error"]["code"] == "request_cancelled", "{error}");
    daemon.stop().await
}

#[tokio::test]
async fn calls_of_functions_go_both_ways() -> Result<()> {
    for (wire, path) in WIRES {
        let (double, daemon) = engine(wire, None, "").await?;
        let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
        let question = json!({"role": "user", "content": [{"type": "input_text", "text": "What is the weather in Paris?"}]});
        let first = ask(json!({"input": [question], "tools": weather(), "stream": true, "store": false}));
        let answer = caller.send(&first).await?;
        let stream = Response::read(&answer.body).with_context(|| answer.text())?;
        let call = stream.last("response.completed")?["output"][0].clone();
        ensure!(call["type"] == "function_call" && call["name"] == "get_weather", "{wire}: {call}");
        let arguments: Value = serde_json::from_str(call["arguments"].as_str().unwrap_or_default())?;
        ensure!(arguments == json!({"city": "Paris"}), "{wire}: {call}");
        let output = json!({"type": "function_call_output", "call_id": call["call_id"], "output": "18 degrees, sunny"});
        let second = ask(json!({"input": [question, call, output], "tools": weather()}));
        let answer = caller.send(&second).await?.json()?;
        ensure!(
            answer["status"] == "completed" && answer["output"][0]["type"] == "message",
            "{wire}: {answer}"
        );
        let seen = double.seen_at(path);
        let sent = seen.last().context("nothing was asked")?.request.json();
        let turns = sent["messages"].as_array().context("no messages")?;
        let roles: Vec<&str> = turns.iter().filter_map(|turn| turn["role"].as_str()).collect();
        ensure!(roles == ["user", "assistant", "tool"], "{wire}: {sent}");
        let arguments = &turns[1]["tool_calls"][0]["function"]["arguments"];
        // An object to the one, a string to the other.
        ensure!(arguments.is_object() == (wire == "ollama"), "{wire}: {sent}");
        daemon.stop().await?;
    }
    Ok(())
}

/// A call as small models make it: its arguments are no JSON.
const BROKEN_CALL: &str = "{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"tiny\",\
    \"choices\":[{\"index\":0,\"finish_reason\":\"tool_calls\",\"delta\":{\"role\":\"assistant\",\"tool_calls\":[\
    {\"index\":0,\"id\":\"1\",\"type\":\"function\",\"function\":{\"name\":\"get_weather\",\
    \"arguments\":\"{\\\"city\\\": Paris\"}}]}}]}";
const BROKEN: &str = "{\"city\": Paris";

#[tokio::test]
async fn a_call_whose_arguments_are_no_json_is_its_client_s_to_judge() -> Result<()> {
    let (_double, daemon) = engine("openai", Some(Sin::LineAfter(0, BROKEN_CALL)), "").await?;
    let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
    let whole = caller.send(&ask(json!({"tools": weather()}))).await?.json()?;
    let answer = caller.send(&ask(json!({"tools": weather(), "stream": true}))).await?;
    let stream = Response::read(&answer.body).with_context(|| answer.text())?;
    for response in [&whole, stream.last("response.completed")?] {
        let items = response["output"].as_array().context("no output")?;
        let call = items.iter().find(|item| item["type"] == "function_call").context("no call")?;
        ensure!(call["arguments"] == BROKEN && call["call_id"] == "1", "{response}");
    }
    daemon.stop().await
}

#[tokio::test]
async fn such_a_call_comes_back_with_what_was_said_to_it() -> Result<()> {
    for (wire, path) in WIRES {
        let (double, daemon) = engine(wire, None, "").await?;
        let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
        let input = json!([
            {"role": "user", "content": FRANCE},
            {"type": "function_call", "call_id": "1", "name": "get_weather", "arguments": BROKEN},
            {"type": "function_call_output", "call_id": "1", "output": "failed to parse function arguments"},
        ]);
        let answer = caller.send(&ask(json!({"input": input, "tools": weather()}))).await?;
        ensure!(answer.status == 200, "{wire}: {} {}", answer.status, answer.text());
        let sent = double.seen_at(path).last().context("nothing was asked")?.request.json();
        let told = &sent["messages"][1]["tool_calls"][0]["function"]["arguments"];
        let expected = if wire == "ollama" { json!({"arguments": BROKEN}) } else { json!(BROKEN) };
        ensure!(*told == expected, "{wire}: {sent}");
        daemon.stop().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_call_in_an_engine_s_text_is_one_here_as_well() -> Result<()> {
    let double = Double::start(OpenAi::new(Style::Transformers, "tiny")).await;
    let daemon = Daemon::start(&Setup::backend("openai", &double.url())).await?;
    let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
    let question = "What is the weather in Paris?";
    let wanted = |more: Value| {
        let mut body = json!({"input": question, "tools": weather()});
        if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
            body.extend(more);
        }
        ask(body)
    };
    let whole = caller.send(&wanted(json!({}))).await?.json()?;
    let answer = caller.send(&wanted(json!({"stream": true}))).await?;
    let stream = Response::read(&answer.body).with_context(|| answer.text())?;
    ensure!(stream.text().is_empty(), "{}", answer.text());
    for response in [&whole, stream.last("response.completed")?] {
        let output = response["output"].as_array().context("no output")?;
        ensure!(output.len() == 1 && output[0]["type"] == "function_call", "{response}");
        ensure!(output[0]["name"] == "get_weather", "{response}");
        let arguments: Value = serde_json::from_str(output[0]["arguments"].as_str().unwrap_or_default())?;
        ensure!(arguments == json!({"city": "Paris"}), "{response}");
        ensure!(output[0]["call_id"].as_str().is_some_and(|id| id.starts_with("call_")), "{response}");
        ensure!(response["usage"]["output_tokens"] == 24, "{response}");
    }
    // Where none may be called, such an engine is not told of any.
    let text = caller.send(&wanted(json!({"tool_choice": "none"}))).await?.json()?;
    ensure!(text["output"][0]["type"] == "message", "{text}");
    let sent = double.seen_at("/v1/chat/completions").last().context("it was not asked")?.request.json();
    ensure!(sent["tools"].is_null() && sent["tool_choice"].is_null(), "{sent}");
    daemon.stop().await
}

#[tokio::test]
async fn a_limit_and_thoughts_are_told() -> Result<()> {
    let (_double, daemon) = engine("ollama", None, "").await?;
    let caller = Caller::new(&daemon, Version::H1, Family::V4).await?;
    let answer = caller
        .send(&ask(json!({"input": "Tell me a long story.", "max_output_tokens": 6, "stream": true})))
        .await?;
    let stream = Response::read(&answer.body)?;
    let last = stream.last("response.incomplete")?;
    ensure!(last["incomplete_details"]["reason"] == "max_output_tokens", "{last}");
    let answer =
        caller.send(&ask(json!({"model": "think", "stream": true, "reasoning": {"effort": "low"}}))).await?;
    let stream = Response::read(&answer.body).with_context(|| answer.text())?;
    let output = &stream.last("response.completed")?["output"];
    ensure!(output[0]["type"] == "reasoning" && output[1]["type"] == "message", "{output}");
    ensure!(output[0]["summary"][0]["text"].as_str().is_some_and(|text| !text.is_empty()), "{output}");
    daemon.stop().await
}

#[tokio::test]
async fn what_cannot_be_is_refused_before_anything_is_sent() -> Result<()> {
    let (double, daemon) = engine("ollama", None, "").await?;
    let caller = Caller::new(&daemon, Version::H1, Family::V4).await?;
    for (more, param) in [
        (json!({"previous_response_id": "resp_1"}), "previous_response_id"),
        (json!({"background": true}), "background"),
        (json!({"tools": [{"type": "web_search"}]}), "tools[0].type"),
        (json!({"input": [{"type": "item_reference", "id": "msg_1"}]}), "input[0]"),
        (json!({"max_tokens": 5}), "max_tokens"),
        (json!({"n": 2}), "n"),
        (
            json!({"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "file_1"}]}]}),
            "input[0].content[0].file_id",
        ),
        (json!({"temperature": 9}), "temperature"),
    ] {
        let answer = caller.send(&ask(more)).await?;
        check_error(&answer, 400, None)?;
        ensure!(answer.json()?["error"]["param"] == param, "{param}: {}", answer.text());
    }
    check_error(&caller.send(&ask(json!({"model": "no-such"}))).await?, 404, Some("model_not_found"))?;
    check_error(&caller.send(&Request::get("/v1/responses")).await?, 405, Some("method_not_allowed"))?;
    for (path, said) in [
        ("/v1/responses/resp_1", "No response is kept"),
        ("/v1/responses/resp_1/input_items", "No response is kept"),
        ("/v1/files", "POST /v1/embeddings"),
    ] {
        let answer = caller.send(&Request::get(path)).await?;
        check_error(&answer, 404, Some("unknown_url"))?;
        ensure!(answer.text().contains(said), "{path}: {}", answer.text());
    }
    let keyless = caller.clone().with_key(None);
    check_error(&keyless.send(&ask(json!({}))).await?, 401, Some("invalid_api_key"))?;
    ensure!(double.seen_at("/api/chat").is_empty(), "an engine was asked");
    daemon.stop().await
}

#[tokio::test]
async fn what_changes_nothing_is_named_in_the_head() -> Result<()> {
    let (_double, daemon) = engine("openai", None, "").await?;
    let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
    for stream in [false, true] {
        let more = json!({"stream": stream, "store": true, "client_metadata": {}, "include": ["reasoning.encrypted_content"]});
        let answer = caller.send(&ask(more)).await?;
        let named = answer.header("x-ghostllm-ignored").unwrap_or_default();
        ensure!(
            named == "client_metadata, include:reasoning.encrypted_content, store",
            "{named}: {}",
            answer.text()
        );
        let plain = caller.send(&ask(json!({"stream": stream, "store": false}))).await?;
        ensure!(plain.header("x-ghostllm-ignored").is_none(), "{:?}", plain.headers);
    }
    daemon.stop().await
}

#[tokio::test]
async fn a_model_s_defaults_are_those_of_its_responses_as_well() -> Result<()> {
    for (wire, path) in WIRES {
        let double = match wire {
            "ollama" => Double::start(Ollama::with(vec![Model::new("tiny", true)])).await,
            _ => Double::start(OpenAi::new(Style::Vllm, "tiny")).await,
        };
        let mut setup = Setup::default().with_backend("box", wire, &double.url(), "");
        setup.config.push_str(
            "\n[[models]]\nname = \"gpt\"\ntarget = \"tiny\"\ntemperature = 0.25\nmax_tokens = 40\nthink = \"high\"\n",
        );
        let daemon = Daemon::start(&setup).await?;
        let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
        let more = json!({"model": "gpt", "max_output_tokens": 30, "reasoning": {"effort": "none"}});
        let answer = caller.send(&ask(more)).await?;
        ensure!(answer.status == 200 && answer.json()?["model"] == "gpt", "{wire}: {}", answer.text());
        let seen = double.seen_at(path);
        let sent = seen.last().context("nothing was asked")?.request.json();
        // What its client says wins, and is said once.
        let (drawn, most, off) = match wire {
            "ollama" => {
                (&sent["options"]["temperature"], &sent["options"]["num_predict"], sent["think"] == false)
            }
            _ => (
                &sent["temperature"],
                &sent["max_tokens"],
                sent["chat_template_kwargs"] == json!({"enable_thinking": false})
                    && sent.get("reasoning_effort").is_none(),
            ),
        };
        ensure!(*drawn == 0.25 && *most == 30 && off, "{wire}: {sent}");
        daemon.stop().await?;
    }
    Ok(())
}
