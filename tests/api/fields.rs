//! What becomes of a chat request's fields: what the engine is sent, what the answer's header names, what is refused.

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    client::{Answer, Caller, Family, Request, VERSIONS, Version},
    daemon::{Daemon, Setup},
    double::Double,
    ollama::Ollama,
    openai::{OpenAi, Style},
    script::Sin,
    sse::Chat,
};
use serde_json::{Value, json};

use crate::{FRANCE, PARIS, check_error, ollama, ollama_with, on_every_version};

const CHAT: &str = "/v1/chat/completions";
const IGNORED: &str = "x-ghostllm-ignored";

on_every_version!(
    names_what_came_to_nothing,
    gives_several_answers_to_one_request,
    takes_bodies_that_come_as_zstd,
);

fn with(fields: &Value) -> Value {
    let mut body = json!({"model": "tiny", "messages": [{"role": "user", "content": FRANCE}]});
    for (name, value) in fields.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    body
}

async fn names_what_came_to_nothing(version: Version) -> Result<()> {
    let (double, daemon) = ollama().await?;
    let caller = Caller::new(&daemon, version, Family::V4).await?;
    let fields = json!({
        "user": "somebody", "metadata": {"a": "b"}, "store": true, "num_ctx": 99999, "keep_alive": -1,
        "service_tier": "priority", "cache_prompt": true, "n": 1, "a name": 1,
        "stream_options": {"include_obfuscation": true},
    });
    for stream in [false, true] {
        let mut body = with(&fields);
        body["stream"] = json!(stream);
        let answer = caller.send(&Request::post(CHAT, &body)).await?;
        ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
        let named = answer.header(IGNORED);
        let expected = "metadata, service_tier, store, stream_options.include_obfuscation, user, num_ctx, \
                        keep_alive, cache_prompt, +1";
        ensure!(named == Some(expected), "{named:?}");
        let plain = caller.send(&Request::chat("tiny", FRANCE, stream)).await?;
        ensure!(plain.header(IGNORED).is_none(), "nothing was ignored");
    }
    let seen = double.seen_at("/api/chat");
    ensure!(seen.len() == 4, "each was asked for once: {}", seen.len());
    for seen in seen {
        let sent = seen.request.json();
        let mut keys: Vec<&String> = sent.as_object().context("no object")?.keys().collect();
        keys.sort_unstable();
        ensure!(keys == ["messages", "model", "stream", "truncate"], "{sent}");
    }
    daemon.stop().await
}

#[tokio::test]
async fn names_what_came_to_nothing_inside_of_a_field() -> Result<()> {
    let (double, daemon) = ollama().await?;
    let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
    let messages = json!([
        {"role": "user", "name": "ann", "content": "Will you?"},
        {"role": "assistant", "content": null, "refusal": "I won't."},
        {"role": "user", "content": FRANCE},
    ]);
    let body =
        with(&json!({"messages": messages, "reasoning": {"exclude": true}, "stream_options": {"x": 1}}));
    let answer = caller.send(&Request::post(CHAT, &body)).await?;
    ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
    let named = answer.header(IGNORED);
    ensure!(named == Some("messages.name, reasoning.exclude, stream_options.x"), "{named:?}");
    let sent = double.seen_at("/api/chat")[0].request.json();
    ensure!(sent["messages"][1]["content"] == "I won't.", "{sent}");
    daemon.stop().await
}

#[tokio::test]
async fn names_what_nobody_reads_of_turns_and_tools() -> Result<()> {
    let (double, daemon) = ollama().await?;
    let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
    let part = json!({"type": "text", "text": FRANCE, "cache_control": {"type": "ephemeral"}});
    let tool = json!({"type": "function", "function": {"name": "f", "strict": true, "parameters": {"type": "object"}}});
    let chat = with(&json!({"messages": [{"role": "user", "bar": 1, "content": [part]}], "tools": [tool]}));
    let answer = caller.send(&Request::post(CHAT, &chat)).await?;
    ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
    let named = answer.header(IGNORED);
    ensure!(
        named == Some("tools.function.strict, messages.bar, messages.content.cache_control"),
        "{named:?}"
    );
    let item =
        json!({"role": "user", "phase": "x", "content": [{"type": "input_text", "text": FRANCE, "foo": 1}]});
    let response = json!({"model": "tiny", "input": [item], "store": false,
        "tools": [{"type": "function", "name": "f", "strict": true, "parameters": {"type": "object"}}]});
    let answer = caller.send(&Request::post("/v1/responses", &response)).await?;
    ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
    let named = answer.header(IGNORED);
    ensure!(named == Some("input.phase, input.content.foo, tools.strict"), "{named:?}");
    let wire = |seen: &ghostllm_tests::double::Seen| seen.request.json().to_string();
    ensure!(
        double.seen_at("/api/chat").iter().all(|seen| !wire(seen).contains("phase")),
        "it is on the wire"
    );
    // What a model cannot do is told of the field that wants it.
    for (field, value) in [("think", json!(true)), ("reasoning_effort", json!("low"))] {
        let refused = caller.send(&Request::post(CHAT, &with(&json!({ field: value })))).await?;
        check_error(&refused, 400, Some("unsupported_parameter"))?;
        ensure!(refused.json()?["error"]["param"] == field, "{field}: {}", refused.text());
    }
    daemon.stop().await
}

#[tokio::test]
async fn a_call_that_an_ollama_cannot_be_held_to_is_asked_for_and_not_promised() -> Result<()> {
    const UNPROMISED: &str = "x-ghostllm-unpromised";
    let (_double, daemon) = ollama().await?;
    let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
    let tools = json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]);
    let named = json!({"type": "function", "function": {"name": "f"}});
    for (choice, told) in [
        (json!("auto"), None),
        (json!("none"), None),
        (json!("required"), Some("tool_choice")),
        (named, Some("tool_choice")),
    ] {
        for stream in [false, true] {
            let body = with(&json!({"tools": tools, "tool_choice": choice, "stream": stream}));
            let answer = caller.send(&Request::post(CHAT, &body)).await?;
            ensure!(answer.status == 200, "{choice}: {} {}", answer.status, answer.text());
            ensure!(answer.header(UNPROMISED) == told, "{choice}: {:?}", answer.headers);
            ensure!(answer.header(IGNORED).is_none(), "something comes of it: {:?}", answer.headers);
        }
    }
    let without = with(&json!({"tool_choice": "required"}));
    let refused = caller.send(&Request::post(CHAT, &without)).await?;
    check_error(&refused, 400, Some("invalid_value"))?;
    daemon.stop().await
}

#[tokio::test]
async fn a_call_that_a_server_may_pass_over_is_not_promised_either() -> Result<()> {
    let double = Double::start(OpenAi::new(Style::Llama, "tiny")).await;
    let daemon = Daemon::start(&Setup::backend("openai", &double.url())).await?;
    let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
    let function = json!({"name": "f", "parameters": {"type": "object"}});
    let tools = json!([{"type": "function", "function": function}]);
    let chat = |choice: &str| with(&json!({"tools": tools, "tool_choice": choice}));
    let mut own = json!([function]);
    own[0]["type"] = json!("function");
    let response = |choice: &str| json!({"model": "tiny", "input": FRANCE, "tools": own, "tool_choice": choice, "store": false});
    for (choice, told) in [("auto", None), ("none", None), ("required", Some("tool_choice"))] {
        for (path, body) in [(CHAT, chat(choice)), ("/v1/responses", response(choice))] {
            for stream in [false, true] {
                let mut body = body.clone();
                body["stream"] = json!(stream);
                let answer = caller.send(&Request::post(path, &body)).await?;
                ensure!(answer.status == 200, "{choice}: {} {}", answer.status, answer.text());
                let header = answer.header("x-ghostllm-unpromised");
                ensure!(header == told, "{path} {choice}: {:?}", answer.headers);
            }
        }
    }
    daemon.stop().await
}

#[tokio::test]
async fn what_the_own_engine_s_model_is_not_shown_of_a_turn_is_named_and_a_refusal_is_shown() -> Result<()> {
    let daemon = Daemon::start(&Setup::default()).await?;
    let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
    let ask = async |turn: Value| {
        let turns =
            json!([{"role": "user", "content": "Hello"}, turn, {"role": "user", "content": "Go on."}]);
        let body = json!({"model": "ghostllm-demo", "messages": turns, "max_tokens": 4});
        let answer = caller.send(&Request::post(CHAT, &body)).await?;
        ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
        anyhow::Ok(answer)
    };
    let prompt = |answer: &Answer| anyhow::Ok(answer.json()?["usage"]["prompt_tokens"].as_u64().unwrap_or(0));
    let plain = ask(json!({"role": "assistant", "content": "Yes."})).await?;
    ensure!(plain.header(IGNORED).is_none(), "{:?}", plain.headers);
    let refused = ask(json!({"role": "assistant", "content": "Yes.", "refusal": "But no."})).await?;
    ensure!(refused.header(IGNORED).is_none() && prompt(&refused)? > prompt(&plain)?, "{}", refused.text());
    let said = json!({"role": "assistant", "content": "Yes.", "name": "ann", "audio": {"id": "a"}});
    let named = ask(said).await?;
    let names = named.header(IGNORED).unwrap_or_default();
    ensure!(names.split(", ").any(|name| name == "messages.audio"), "{names}");
    // The demo's template shows no names, and what it shows of thoughts is in the prompt or named.
    ensure!(names.split(", ").any(|name| name == "messages.name"), "{names}");
    ensure!(prompt(&named)? == prompt(&plain)?, "{}", named.text());
    daemon.stop().await
}

#[tokio::test]
async fn an_engine_that_is_given_all_is_given_what_it_ignores_too() -> Result<()> {
    let double = Double::start(OpenAi::new(Style::Vllm, "tiny")).await;
    let daemon = Daemon::start(&Setup::backend("openai", &double.url())).await?;
    let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
    let fields = json!({"user": "somebody", "num_ctx": 5, "guided_regex": "[a-z]", "logit_bias": {"5": 1}});
    let answer = caller.send(&Request::post(CHAT, &with(&fields))).await?;
    ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
    ensure!(answer.header(IGNORED).is_none(), "{:?}", answer.header(IGNORED));
    let sent = double.seen_at(CHAT)[0].request.json();
    ensure!(fields.as_object().into_iter().flatten().all(|(name, value)| sent[name] == *value), "{sent}");
    let answer = caller.send(&Request::post(CHAT, &with(&json!({"store": true})))).await?;
    ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
    ensure!(answer.header(IGNORED) == Some("store"), "{:?}", answer.header(IGNORED));
    ensure!(
        double.seen_at(CHAT)[1].request.json()["store"] == false,
        "an engine that could keep it is told not to"
    );
    daemon.stop().await
}

#[tokio::test]
async fn refuses_what_matters_and_cannot_be_had() -> Result<()> {
    let (double, vllm) =
        (Double::start(Ollama::default()).await, Double::start(OpenAi::new(Style::Vllm, "large")).await);
    let setup = Setup::backend("ollama", &double.url()).with_backend("vllm", "openai", &vllm.url(), "");
    let daemon = Daemon::start(&setup).await?;
    let caller = Caller::new(&daemon, Version::H1, Family::V4).await?;
    for (field, value) in [
        ("moderation", json!({"model": "omni-moderation-latest"})),
        ("audio", json!({"voice": "alloy", "format": "wav"})),
        ("modalities", json!(["text", "audio"])),
        ("web_search_options", json!({})),
        ("functions", json!([{"name": "f"}])),
        ("function_call", json!("auto")),
    ] {
        for model in ["tiny", "large"] {
            let body = with(&json!({ field: value, "model": model }));
            let answer = caller.send(&Request::post(CHAT, &body)).await?;
            check_error(&answer, 400, Some("unsupported_parameter"))
                .with_context(|| format!("{field} {model}"))?;
            ensure!(answer.json()?["error"]["param"] == field, "{}", answer.text());
        }
    }
    let bias = Request::post(CHAT, &with(&json!({"logit_bias": {"5": 1}})));
    check_error(&caller.send(&bias).await?, 400, Some("unsupported_parameter"))?;
    ensure!(double.seen_at("/api/chat").is_empty() && vllm.seen_at(CHAT).is_empty(), "an engine was asked");
    daemon.stop().await
}

/// The choices of a stream: for each its text, its roles and its finish reasons.
fn choices(answer: &Answer, count: usize) -> Result<Vec<(String, usize, Vec<String>)>> {
    let chat = Chat::read(&answer.body)?;
    ensure!(chat.done, "no [DONE]: {}", answer.text());
    let mut choices = vec![(String::new(), 0, Vec::new()); count];
    for choice in chat.chunks.iter().filter_map(|chunk| chunk["choices"].as_array()).flatten() {
        let index =
            choice["index"].as_u64().and_then(|index| usize::try_from(index).ok()).context("no index")?;
        let own = choices.get_mut(index).with_context(|| format!("a choice {index}"))?;
        own.0 += choice["delta"]["content"].as_str().unwrap_or_default();
        own.1 += usize::from(choice["delta"]["role"].is_string());
        own.2.extend(choice["finish_reason"].as_str().map(str::to_owned));
    }
    Ok(choices)
}

async fn gives_several_answers_to_one_request(version: Version) -> Result<()> {
    let (double, daemon) = ollama().await?;
    let caller = Caller::new(&daemon, version, Family::V4).await?;
    let alone = caller.send(&Request::chat("tiny", FRANCE, false)).await?.json()?["usage"].clone();
    let mut body = with(&json!({"n": 3, "seed": 7, "user": "x"}));
    let answer = caller.send(&Request::post(CHAT, &body)).await?;
    ensure!(answer.header(IGNORED) == Some("user"), "{:?}", answer.header(IGNORED));
    let whole = answer.json()?;
    for index in 0..3 {
        let choice = &whole["choices"][index];
        ensure!(choice["index"] == index && choice["message"]["content"] == PARIS, "{whole}");
        ensure!(choice["finish_reason"] == "stop", "{whole}");
    }
    let counts =
        |usage: &Value, name: &str| usage[name].as_u64().with_context(|| format!("no {name} in {usage}"));
    let check = |usage: &Value| -> Result<()> {
        let (prompt, completion) = (counts(usage, "prompt_tokens")?, counts(usage, "completion_tokens")?);
        ensure!(prompt == counts(&alone, "prompt_tokens")?, "the prompt is counted once: {usage} {alone}");
        ensure!(completion == 3 * counts(&alone, "completion_tokens")?, "{usage} {alone}");
        ensure!(counts(usage, "total_tokens")? == prompt + completion, "{usage}");
        Ok(())
    };
    check(&whole["usage"])?;
    (body["stream"], body["stream_options"]) = (json!(true), json!({"include_usage": true}));
    let answer = caller.send(&Request::post(CHAT, &body)).await?;
    ensure!(answer.header(IGNORED) == Some("user"), "{:?}", answer.header(IGNORED));
    for choice in choices(&answer, 3)? {
        ensure!(choice == (PARIS.to_owned(), 1, vec!["stop".to_owned()]), "{choice:?}: {}", answer.text());
    }
    let chat = Chat::read(&answer.body)?;
    check(chat.usage().context("no usage")?)?;
    ensure!(chat.chunks.iter().filter(|chunk| chunk["usage"].is_object()).count() == 1, "{}", answer.text());
    let id = &chat.chunks[0]["id"];
    ensure!(chat.chunks.iter().all(|chunk| chunk["id"] == *id), "ids differ: {}", answer.text());
    let seeds = double
        .seen_at("/api/chat")
        .iter()
        .map(|seen| seen.request.json()["options"]["seed"].clone())
        .collect();
    ensure!(Value::Array(seeds) == json!([null, 7, 8, 9, 7, 8, 9]), "each has a seed of its own");
    daemon.stop().await
}

#[tokio::test]
async fn so_many_answers_and_one_more_is_refused() -> Result<()> {
    let (double, daemon) = ollama_with("choices = 2", "").await?;
    let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
    let ask = async |n: u32| caller.send(&Request::post(CHAT, &with(&json!({ "n": n })))).await;
    ensure!(
        ask(2).await?.json()?["choices"].as_array().is_some_and(|choices| choices.len() == 2),
        "two are let through"
    );
    let refused = ask(3).await?;
    check_error(&refused, 400, Some("invalid_value"))?;
    ensure!(refused.json()?["error"]["param"] == "n", "{}", refused.text());
    ensure!(double.seen_at("/api/chat").len() == 2, "the engine was asked for what is refused");
    daemon.stop().await
}

#[tokio::test]
async fn an_engine_is_asked_again_only_for_answers_that_it_did_not_give() -> Result<()> {
    for (style, asked) in [(Style::Llama, 1), (Style::Vllm, 1), (Style::Transformers, 3)] {
        let double = Double::start(OpenAi::new(style, "tiny")).await;
        let daemon = Daemon::start(&Setup::backend("openai", &double.url())).await?;
        let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
        let mut body = with(&json!({"n": 3, "seed": 1}));
        let whole = caller.send(&Request::post(CHAT, &body)).await?.json()?;
        let texts: Vec<_> = whole["choices"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|choice| &choice["message"]["content"])
            .collect();
        ensure!(texts == [PARIS; 3], "{style:?}: {whole}");
        body["stream"] = json!(true);
        let answer = caller.send(&Request::post(CHAT, &body)).await?;
        for choice in choices(&answer, 3).with_context(|| format!("{style:?}: {}", answer.text()))? {
            ensure!(
                choice == (PARIS.to_owned(), 1, vec!["stop".to_owned()]),
                "{style:?}: {choice:?}: {}",
                answer.text()
            );
        }
        let seen: Vec<Value> = double.seen_at(CHAT).iter().map(|seen| seen.request.json()).collect();
        ensure!(seen.len() == 2 * asked && seen[0]["n"] == 3 && seen[0]["seed"] == 1, "{style:?}: {seen:?}");
        ensure!(asked == 1 || (seen[2]["n"] == 1 && seen[2]["seed"] == 3), "{style:?}: {seen:?}");
        daemon.stop().await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_engine_of_one_answer_is_asked_for_no_more_than_the_limit() -> Result<()> {
    let double = Double::start(OpenAi::new(Style::Transformers, "tiny")).await;
    let setup = Setup::backend("openai", &double.url()).with_limits("choices = 2");
    let daemon = Daemon::start(&setup).await?;
    let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
    let refused = caller.send(&Request::post(CHAT, &with(&json!({"n": 3})))).await?;
    check_error(&refused, 400, Some("invalid_value"))?;
    let error = &refused.json()?["error"];
    let told = error["message"].as_str().is_some_and(|message| message.contains("limits.choices"));
    ensure!(error["param"] == "n" && told, "{error}");
    ensure!(double.seen_at(CHAT).len() == 1, "it was asked again");
    daemon.stop().await
}

#[tokio::test]
async fn our_own_engine_gives_several_answers_as_well() -> Result<()> {
    let daemon = Daemon::start(&Setup::default()).await?;
    let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
    let mut body = with(&json!({
        "model": "ghostllm-demo", "n": 2, "max_tokens": 8, "temperature": 0, "think": false, "unheard_of": 1,
        "stream_options": {"include_usage": true},
    }));
    let answer = caller.send(&Request::post(CHAT, &body)).await?;
    ensure!(answer.header(IGNORED) == Some("unheard_of, think"), "{:?}", answer.header(IGNORED));
    let whole = answer.json()?;
    let texts: Vec<_> = (0..2).map(|index| whole["choices"][index]["message"]["content"].clone()).collect();
    ensure!(texts[0] == texts[1] && texts[0].as_str().is_some_and(|text| !text.is_empty()), "{whole}");
    body["stream"] = json!(true);
    let answer = caller.send(&Request::post(CHAT, &body)).await?;
    for (text, roles, ends) in choices(&answer, 2).with_context(|| answer.text())? {
        ensure!(texts[0] == *text && roles == 1 && ends.len() == 1, "{}", answer.text());
    }
    ensure!(Chat::read(&answer.body)?.usage() == Some(&whole["usage"]), "{} {whole}", answer.text());
    daemon.stop().await
}

#[tokio::test]
async fn gives_one_call_where_only_one_is_wanted() -> Result<()> {
    const CALLS: &str = "{\"model\":\"tiny\",\"message\":{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[\
        {\"function\":{\"name\":\"a\",\"arguments\":{}}},{\"function\":{\"name\":\"b\",\"arguments\":{}}}]},\"done\":false}\n";
    let (double, daemon) = ollama().await?;
    double.misbehave("tiny", Sin::LineAfter(0, CALLS));
    let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
    let names = async |parallel: bool, stream: bool| -> Result<Vec<Value>> {
        let body = with(&json!({"parallel_tool_calls": parallel, "stream": stream}));
        let answer = caller.send(&Request::post(CHAT, &body)).await?;
        ensure!(answer.header(IGNORED).is_none(), "it was kept");
        let (part, pieces) = if stream {
            ("delta", Chat::read(&answer.body)?.chunks)
        } else {
            ("message", vec![answer.json()?])
        };
        let reasons: Vec<_> =
            pieces.iter().filter_map(|piece| piece["choices"][0]["finish_reason"].as_str()).collect();
        ensure!(reasons == ["tool_calls"], "{}", answer.text());
        let calls =
            pieces.iter().filter_map(|piece| piece["choices"][0][part]["tool_calls"].as_array()).flatten();
        Ok(calls.map(|call| call["function"]["name"].clone()).collect())
    };
    for stream in [false, true] {
        ensure!(names(true, stream).await? == [json!("a"), json!("b")], "all calls");
        ensure!(names(false, stream).await? == [json!("a")], "the first call");
    }
    daemon.stop().await
}

#[tokio::test]
async fn what_ollama_drops_of_a_schema_is_said_and_others_get_it_as_it_came() -> Result<()> {
    let tools = json!([{"type": "function", "function": {"name": "f", "description": "Does it.", "parameters": {
        "type": "object", "additionalProperties": false, "properties": {
            "unit": {"const": "celsius"}, "city": {"$ref": "#/$defs/City"}},
        "$defs": {"City": {"type": "string", "pattern": "^[A-Z]"}}}}}]);
    let (double, vllm) =
        (Double::start(Ollama::default()).await, Double::start(OpenAi::new(Style::Vllm, "large")).await);
    let setup = Setup::backend("ollama", &double.url()).with_backend("vllm", "openai", &vllm.url(), "");
    let daemon = Daemon::start(&setup).await?;
    let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
    for model in ["tiny", "large"] {
        let answer =
            caller.send(&Request::post(CHAT, &with(&json!({"model": model, "tools": tools})))).await?;
        ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
    }
    let sent = double.seen_at("/api/chat")[0].request.json()["tools"][0]["function"].clone();
    ensure!(sent["description"] == "Does it. (no other properties)", "{sent}");
    let properties = &sent["parameters"]["properties"];
    ensure!(properties["unit"]["enum"] == json!(["celsius"]), "{sent}");
    ensure!(
        properties["city"]["type"] == "string" && properties["city"]["description"] == "pattern: ^[A-Z]",
        "{sent}"
    );
    ensure!(vllm.seen_at(CHAT)[0].request.json()["tools"] == tools, "it is no affair of ours");
    daemon.stop().await
}

/// A frame of raw blocks, or of runs of one letter where so many are asked for.
fn zstd(text: &[u8], runs: usize) -> Vec<u8> {
    const BLOCK: usize = 128 << 10;
    let mut packed = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 0x38];
    let mut block = |kind: usize, size: usize, last: bool, content: &[u8]| {
        let header = usize::from(last) | kind << 1 | size << 3;
        packed.extend_from_slice(&header.to_le_bytes()[..3]);
        packed.extend_from_slice(content);
    };
    (0..runs).for_each(|_| block(1, BLOCK, false, b" "));
    let mut pieces = text.chunks(BLOCK).peekable();
    while let Some(piece) = pieces.next() {
        block(0, piece.len(), pieces.peek().is_none(), piece);
    }
    packed
}

async fn takes_bodies_that_come_as_zstd(version: Version) -> Result<()> {
    let (double, daemon) = ollama_with("body = \"2MiB\"", "").await?;
    let caller = Caller::new(&daemon, version, Family::V4).await?;
    let body = with(&json!({})).to_string();
    let packed = |bytes: &[u8]| Request::post_bytes(CHAT, bytes).with("content-encoding", "zstd");
    let ask = async |bytes: Vec<u8>| caller.send(&packed(&bytes)).await;
    // Short, and so long that it is unpacked elsewhere: fifteen runs are 1.9 MiB of blanks, sixteen and a word too much.
    for runs in [0, 15] {
        let answer = ask(zstd(body.as_bytes(), runs)).await?;
        ensure!(
            answer.status == 200 && answer.text().contains(PARIS),
            "{runs}: {} {}",
            answer.status,
            answer.text()
        );
    }
    check_error(&ask(zstd(body.as_bytes(), 16)).await?, 413, None)?;
    check_error(&ask(zstd(body.as_bytes(), 100_000)).await?, 413, None)?;
    let whole = zstd(body.as_bytes(), 0);
    for broken in [whole[..whole.len() - 1].to_vec(), [&whole[..], b"{}"].concat(), body.clone().into_bytes()]
    {
        check_error(&ask(broken).await?, 400, None)?;
    }
    let two = [zstd(&body.as_bytes()[..20], 0), zstd(&body.as_bytes()[20..], 0)].concat();
    ensure!(ask(two).await?.status == 200, "two frames are one body");
    let gzip = Request::post_bytes(CHAT, &whole).with("content-encoding", "gzip");
    check_error(&caller.send(&gzip).await?, 415, None)?;
    ensure!(double.seen_at("/api/chat").len() == 3, "an engine was asked for what is refused");
    daemon.stop().await
}

#[tokio::test]
async fn a_page_may_read_what_was_ignored() -> Result<()> {
    let double = Double::start(Ollama::default()).await;
    let mut setup = Setup::backend("ollama", &double.url());
    setup.listen.push_str("origins = [\"https://app.example\"]\n");
    let daemon = Daemon::start(&setup).await?;
    for version in VERSIONS {
        let caller = Caller::new(&daemon, version, Family::V4).await?;
        let request = Request::post(CHAT, &with(&json!({"user": "x"}))).with("origin", "https://app.example");
        let answer = caller.send(&request).await?;
        let exposed = answer.header("access-control-expose-headers").unwrap_or_default();
        ensure!(
            answer.header(IGNORED) == Some("user") && exposed.contains(IGNORED),
            "{exposed} {}",
            answer.text()
        );
    }
    daemon.stop().await
}
