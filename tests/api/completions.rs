//! `POST /v1/completions`: on every version, of every kind of backend, and whatever is wrong with them.
//!
//! Knows OpenAI's shapes, and what engines were recorded to say behind a text. Invariant: a client gets a text for each prompt and as
//! many as it wants, or an error that says whose doing it is.

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    admin,
    client::{Answer, Caller, End, Family, Request, Version},
    daemon::{Daemon, Setup},
    double::Double,
    engine::{self, Engine},
    ollama::{Model, Ollama},
    openai::{OpenAi, Style},
    script::Sin,
    sheet::Sheet,
    sse::Chat,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{check_error, check_error_object, ollama, on_every_version, records::record};

const PATH: &str = "/v1/completions";
const GENERATE: &str = "/api/generate";
const FREE: &str = "This program is free";
/// The first twelve tokens behind it.
const BEHIND: &str = " to the freedo General\np";

on_every_version!(
    is_whole_or_a_stream_of_the_same,
    every_prompt_of_a_list_is_answered,
    what_is_wrong_is_named,
    a_failure_behind_the_headers_is_the_last_event,
    a_completion_is_recorded_listed_and_ended,
    who_leaves_frees_the_engine,
    our_own_engine_goes_on_with_texts,
    our_own_engine_tells_the_odds_of_what_it_was_given,
    our_own_engine_names_what_is_wrong,
    who_leaves_frees_our_own_engine,
);

fn with(more: Value) -> Value {
    let mut body = json!({"model": "tiny", "prompt": FREE, "max_tokens": 12});
    if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
        body.extend(more);
    }
    body
}

fn ask(more: Value) -> Request {
    Request::post(PATH, &with(more))
}

/// An Ollama that has a model for each purpose, and a daemon before it.
async fn shelf() -> Result<(Double, Daemon)> {
    let models = ["tiny", "tiny-fill"].map(|name| Model::new(name, false));
    let double = Double::start(Ollama::with(models.into())).await;
    let daemon = Daemon::start(&Setup::default().with_backend("box", "ollama", &double.url(), "")).await?;
    Ok((double, daemon))
}

/// A whole answer that is as OpenAI has it: its choices' texts.
fn texts(answer: &Answer) -> Result<Vec<String>> {
    let text = answer.text();
    ensure!(answer.status == 200 && answer.end == End::Clean, "{} {:?} {text}", answer.status, answer.end);
    let whole = answer.json()?;
    // Of several texts llama.cpp's server tells the last one's counts alone: then none are given out.
    let uncounted = whole["usage"].is_null() && whole["timings"].is_object();
    ensure!(whole["object"] == "text_completion" && (whole["usage"].is_object() || uncounted), "{text}");
    let choices = whole["choices"].as_array().context("no choices")?;
    let text = |(place, choice): (usize, &Value)| {
        ensure!(choice["index"] == place && choice["finish_reason"].is_string(), "{choice}");
        choice["text"].as_str().map(str::to_owned).context("no text")
    };
    choices.iter().enumerate().map(text).collect()
}

/// The same of a stream, and its counts.
fn streamed(answer: &Answer, count: usize) -> Result<(Vec<String>, Value)> {
    let stream = Chat::read(&answer.body).with_context(|| answer.text())?;
    ensure!(answer.status == 200 && stream.done && answer.end == End::Clean, "{}", answer.text());
    let (mut texts, mut ends) = (vec![String::new(); count], vec![0; count]);
    for chunk in &stream.chunks {
        ensure!(chunk["object"] == "text_completion" && chunk["id"] == stream.chunks[0]["id"], "{chunk}");
        for choice in chunk["choices"].as_array().context("no choices")? {
            let index = usize::try_from(choice["index"].as_u64().context("no index")?)?;
            *texts.get_mut(index).context("a choice more")? += choice["text"].as_str().context("no text")?;
            ends[index] += usize::from(choice["finish_reason"].is_string());
        }
    }
    ensure!(ends.iter().all(|ends| *ends == 1), "{}", answer.text());
    Ok((texts, stream.usage().cloned().unwrap_or_default()))
}

async fn is_whole_or_a_stream_of_the_same(version: Version) -> Result<()> {
    for wire in ["ollama", "openai"] {
        let double = match wire {
            "ollama" => Double::start(Ollama::default()).await,
            _ => Double::start(OpenAi::new(Style::Vllm, "tiny")).await,
        };
        let daemon = Daemon::start(&Setup::default().with_backend("box", wire, &double.url(), "")).await?;
        let caller = Caller::new(&daemon, version, Family::V4).await?;
        let whole = caller.send(&ask(json!({"temperature": 0, "seed": 7, "stop": ["xyz"]}))).await?;
        ensure!(texts(&whole)? == [BEHIND], "{wire}: {}", whole.text());
        let whole = whole.json()?;
        ensure!(whole["id"].as_str().is_some_and(|id| id.starts_with("cmpl-")), "{wire}: {whole}");
        ensure!(whole["model"] == "tiny" && whole["choices"][0]["finish_reason"] == "length", "{whole}");
        let usage = json!({"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21});
        ensure!(whole["usage"] == usage, "{wire}: {whole}");
        let path = if wire == "ollama" { GENERATE } else { PATH };
        let sent = double.seen_at(path)[0].request.json();
        let expected = match wire {
            "ollama" => json!({
                "model": "tiny:latest", "prompt": FREE, "raw": true, "stream": true, "truncate": false, "think": false,
                "options": {"temperature": 0.0, "seed": 7, "num_predict": 12, "stop": ["xyz"]},
            }),
            _ => with(json!({"temperature": 0, "seed": 7, "stop": ["xyz"]})),
        };
        ensure!(sent == expected, "{wire}: {sent}");
        for include_usage in [false, true] {
            let options = json!({"stream": true, "stream_options": {"include_usage": include_usage}});
            let answer = caller.send(&ask(options)).await?;
            let kind = answer.header("content-type").unwrap_or_default();
            ensure!(kind.starts_with("text/event-stream"), "{wire}: {kind}");
            let (texts, told) = streamed(&answer, 1)?;
            ensure!(texts == [BEHIND] && told.is_object() == include_usage, "{wire}: {}", answer.text());
            ensure!(!include_usage || told == usage, "{wire}: {told}");
        }
        // OpenAI's own limit, whatever the engine's is.
        let answer = caller.send(&Request::post(PATH, &json!({"model": "tiny", "prompt": FREE}))).await?;
        ensure!(answer.json()?["usage"]["completion_tokens"] == 16, "{wire}: {}", answer.text());
        daemon.stop().await?;
    }
    Ok(())
}

async fn every_prompt_of_a_list_is_answered(version: Version) -> Result<()> {
    for style in [None, Some(Style::Vllm), Some(Style::Llama)] {
        let (wire, double) = match style {
            None => ("ollama", Double::start(Ollama::default()).await),
            Some(style) => ("openai", Double::start(OpenAi::new(style, "tiny")).await),
        };
        let daemon = Daemon::start(&Setup::default().with_backend("box", wire, &double.url(), "")).await?;
        let caller = Caller::new(&daemon, version, Family::V6).await?;
        let list = json!({"prompt": ["This program", "The licence"], "n": 2, "max_tokens": 4, "seed": 5});
        let expected = [" is free to", " is free to", "\ndered", "\ndered"];
        let answer = caller.send(&ask(list.clone())).await?;
        ensure!(texts(&answer)? == expected, "{style:?}: {}", answer.text());
        let usage = json!({"prompt_tokens": 10, "completion_tokens": 16, "total_tokens": 26});
        let whole = answer.json()?;
        // llama.cpp's server tells the counts of the last prompt alone, as recorded.
        ensure!(style == Some(Style::Llama) || whole["usage"] == usage, "{style:?}: {whole}");
        let mut list = with(list);
        (list["stream"], list["stream_options"]) = (json!(true), json!({"include_usage": true}));
        let answer = caller.send(&Request::post(PATH, &list)).await?;
        let (texts, told) = streamed(&answer, 4)?;
        ensure!(texts == expected, "{style:?}: {}", answer.text());
        ensure!(style == Some(Style::Llama) || told == usage, "{style:?}: {told}");
        let asked = double.seen_at(GENERATE);
        if style.is_none() {
            let of = |place: usize| {
                let sent = asked[place].request.json();
                (sent["prompt"].clone(), sent["options"]["seed"].clone())
            };
            let expected = [("This program", 5), ("This program", 6), ("The licence", 5), ("The licence", 6)];
            let expected = expected.map(|(prompt, seed)| (json!(prompt), json!(seed)));
            ensure!([0, 1, 2, 3].map(of) == expected && asked.len() == 8, "{asked:?}");
        } else {
            ensure!(double.seen_at(PATH).len() == 2, "asked more than once for each");
        }
        daemon.stop().await?;
    }
    Ok(())
}

async fn what_is_wrong_is_named(version: Version) -> Result<()> {
    let (double, daemon) = shelf().await?;
    let caller = Caller::new(&daemon, version, Family::V4).await?;
    let long = "hello ".repeat(6000);
    for (more, status, code, param) in [
        (json!({"prompt": null}), 400, "missing_required_parameter", "prompt"),
        (json!({"model": null}), 400, "missing_required_parameter", "model"),
        (json!({"prompt": [1, 2]}), 400, "unsupported_parameter", "prompt"),
        (json!({"prompt": [[1], [2]]}), 400, "unsupported_parameter", "prompt"),
        (json!({"prompt": ""}), 400, "invalid_value", "prompt"),
        (json!({"prompt": ["a", "b", "c", "d", "e"]}), 400, "invalid_value", "prompt"),
        (json!({"prompt": ["a", 1]}), 400, "invalid_type", "prompt[1]"),
        (json!({"prompt": long}), 400, "context_length_exceeded", "prompt"),
        (json!({"n": 5}), 400, "invalid_value", "n"),
        (json!({"best_of": 2}), 400, "unsupported_parameter", "best_of"),
        (json!({"n": 3, "best_of": 2}), 400, "invalid_value", "best_of"),
        (json!({"echo": true, "logprobs": 1}), 400, "unsupported_parameter", "echo"),
        (json!({"logprobs": 6}), 400, "invalid_value", "logprobs"),
        (json!({"max_tokens": 0}), 400, "invalid_value", "max_tokens"),
        (json!({"logit_bias": {"5": 1}}), 400, "unsupported_parameter", "logit_bias"),
        (json!({"suffix": "end"}), 400, "unsupported_parameter", "suffix"),
        (json!({"prompt_embeds": "gASV"}), 400, "unsupported_parameter", "prompt_embeds"),
        (
            json!({"response_format": {"type": "json_object"}}),
            400,
            "unsupported_parameter",
            "response_format",
        ),
        (json!({"image": "x.png"}), 400, "invalid_value", "image"),
        (json!({"model": "no-such-model"}), 404, "model_not_found", "model"),
    ] {
        for stream in [false, true] {
            let mut body = with(more.clone());
            body["stream"] = json!(stream);
            let answer = caller.send(&Request::post(PATH, &body)).await?;
            check_error(&answer, status, Some(code)).with_context(|| format!("{param} {code}"))?;
            ensure!(answer.json()?["error"]["param"] == param, "{}", answer.text());
        }
    }
    // Only two of these were worth asking for.
    ensure!(double.seen_at(GENERATE).len() == 4, "{} were asked", double.seen_at(GENERATE).len());
    daemon.stop().await
}

async fn a_failure_behind_the_headers_is_the_last_event(version: Version) -> Result<()> {
    let (double, daemon) = ollama().await?;
    let caller = Caller::new(&daemon, version, Family::V4).await?;
    for (sin, code) in [
        (Sin::ErrorAfter(2, "the model went away".into()), "backend_error"),
        (Sin::EndWithoutDone(2), "backend_error"),
        (Sin::FinAfter(2), "backend_error"),
        (Sin::ErrorAfter(2, "the input length exceeds the context length".into()), "context_length_exceeded"),
    ] {
        double.misbehave("tiny", sin.clone());
        let answer = caller.send(&ask(json!({"stream": true}))).await?;
        let stream = Chat::read(&answer.body).with_context(|| answer.text())?;
        ensure!(answer.status == 200 && !stream.done, "{sin:?}: {}", answer.text());
        ensure!(stream.chunks[0]["choices"][0]["text"] == " to", "{sin:?}: {}", answer.text());
        let error = stream.chunks.last().context("nothing came")?;
        check_error_object(&error["error"], Some(code))
            .with_context(|| format!("{sin:?}: {}", answer.text()))?;
        ensure!(code == "backend_error" || error["error"]["param"] == "prompt", "{error}");
        let whole = caller.send(&ask(json!({}))).await?;
        ensure!(whole.status != 200, "{sin:?}: {}", whole.text());
    }
    double.behave("tiny");
    ensure!(texts(&caller.send(&ask(json!({}))).await?)? == [BEHIND]);
    daemon.stop().await
}

async fn a_completion_is_recorded_listed_and_ended(version: Version) -> Result<()> {
    let (double, daemon) = ollama().await?;
    let caller = Caller::new(&daemon, version, Family::V4).await?;
    let named = |id: &str| ask(json!({})).with("x-request-id", id);
    texts(&caller.send(&named("done")).await?)?;
    let done = record(&daemon, "done").await?;
    for (name, value) in [
        ("message", json!("a completion was answered")),
        ("route", json!(PATH)),
        ("status", json!(200)),
        ("model", json!("tiny")),
        ("backend", json!("box")),
        ("ended", json!("completed")),
        ("prompt_tokens", json!(9)),
        ("completion_tokens", json!(12)),
    ] {
        ensure!(done[name] == value, "{name} is not {value} in {done:#}");
    }
    let labels = [("gen_ai_operation_name", "text_completion"), ("gen_ai_token_type", "output")];
    Sheet::until(&daemon, |sheet| {
        sheet.sum("ghostllm_requests_ended_total", &[("route", PATH), ("ended", "completed")]) == 1.0
            && sheet.sum("gen_ai_client_token_usage_sum", &labels) == 12.0
    })
    .await?;
    double.misbehave("tiny", Sin::HangBeforeHeaders);
    let hanging = named("hanging");
    let (answer, ended) = tokio::join!(caller.send(&hanging), async {
        double.wait_hanging(GENERATE).await;
        let open = admin::read(&daemon, "requests").await?;
        ensure!(open["requests"].as_array().is_some_and(|all| all.len() == 1), "{open}");
        admin::done(&daemon, "DELETE", "requests/hanging", None).await
    });
    ended?;
    check_error(&answer?, 403, Some("request_cancelled"))?;
    double.wait_left(GENERATE).await;
    daemon.stop().await
}

async fn who_leaves_frees_the_engine(version: Version) -> Result<()> {
    let (double, daemon) = ollama().await?;
    double.misbehave("tiny", Sin::HangBeforeHeaders);
    let caller = Caller::new(&daemon, version, Family::V6).await?;
    let asked = double.wait_asked(GENERATE);
    let _left = caller.leave_headless(&ask(json!({})), asked).await?;
    double.wait_left(GENERATE).await;
    daemon.stop().await
}

#[tokio::test]
async fn the_form_of_a_text_is_taken_by_every_engine() -> Result<()> {
    let text = json!({"type": "text"});
    let (ollama, vllm) =
        (Double::start(Ollama::default()).await, Double::start(OpenAi::new(Style::Vllm, "tiny")).await);
    for (setup, model) in [
        (Setup::backend("ollama", &ollama.url()), "tiny"),
        (Setup::backend("openai", &vllm.url()), "tiny"),
        // Our own engine.
        (Setup::default(), "ghostllm-demo"),
    ] {
        let daemon = Daemon::start(&setup).await?;
        let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
        let answer = caller.send(&ask(json!({"model": model, "response_format": text}))).await?;
        ensure!(texts(&answer)?.len() == 1, "{model}: {}", answer.text());
        ensure!(
            answer.header("x-ghostllm-ignored").is_none(),
            "{model}: it is kept to: {:?}",
            answer.headers
        );
        daemon.stop().await?;
    }
    ensure!(vllm.seen_at(PATH)[0].request.json()["response_format"] == text, "it is judged by its engine");
    Ok(())
}

#[tokio::test]
async fn an_ollama_gives_the_prompt_back_tells_probabilities_and_fills_in() -> Result<()> {
    let (double, daemon) = shelf().await?;
    let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
    for stream in [false, true] {
        let echo = ask(json!({"echo": true, "user": "u", "n": 2, "max_tokens": 2, "stream": stream}));
        let answer = caller.send(&echo).await?;
        ensure!(answer.header("x-ghostllm-ignored") == Some("user"), "{:?}", answer.headers);
        let said = if stream { streamed(&answer, 2)?.0 } else { texts(&answer)? };
        ensure!(said == [format!("{FREE} to the"), format!("{FREE} to the")], "{said:?}");
    }
    let answer = caller.send(&ask(json!({"logprobs": 2, "max_tokens": 3}))).await?;
    let logprobs = &answer.json()?["choices"][0]["logprobs"];
    ensure!(logprobs["tokens"] == json!([" to", " the", " f"]), "{logprobs}");
    ensure!(logprobs["text_offset"] == json!([0, 3, 7]), "{logprobs}");
    ensure!(logprobs["token_logprobs"] == json!([-0.25, -0.25, -0.25]), "{logprobs}");
    ensure!(logprobs["top_logprobs"][1] == json!({" the": -0.25, "1": -1.5}), "{logprobs}");
    let answer = caller.send(&ask(json!({"logprobs": 0, "max_tokens": 2, "stream": true}))).await?;
    let stream = Chat::read(&answer.body)?;
    let second = &stream.chunks[1]["choices"][0]["logprobs"];
    ensure!(second["text_offset"] == json!([3]) && second["top_logprobs"].is_null(), "{second}");
    let fill = ask(json!({"model": "tiny-fill", "prompt": "Echo: a ", "suffix": "b", "max_tokens": 5}));
    ensure!(texts(&caller.send(&fill).await?)? == ["a b"]);
    let sent = double.seen_at(GENERATE).last().context("nothing was sent")?.request.json();
    ensure!(sent["raw"] == false && sent["suffix"] == "b" && sent["prompt"] == "Echo: a ", "{sent}");
    daemon.stop().await
}

#[tokio::test]
async fn engines_of_openai_s_language_get_what_came() -> Result<()> {
    for style in [Style::Llama, Style::Vllm, Style::Transformers] {
        let double = Double::start(OpenAi::new(style, "tiny")).await;
        let daemon = Daemon::start(&Setup::backend("openai", &double.url())).await?;
        let caller = Caller::new(&daemon, Version::H1, Family::V4).await?;
        let fields = json!({"echo": true, "logprobs": 1, "logit_bias": {"5": 1}, "user": "u", "guided_regex": "a", "best_of": 2});
        let answer = caller.send(&ask(fields.clone())).await?;
        ensure!(texts(&answer)?[0].ends_with(BEHIND), "{style:?}: {}", answer.text());
        ensure!(answer.header("x-ghostllm-ignored").is_none(), "{:?}", answer.headers);
        let sent = double.seen_at(PATH)[0].request.json();
        ensure!(sent == with(fields), "{style:?}: {sent}");
        // llama.cpp's server tells probabilities in a chat's form.
        let logprobs = &answer.json()?["choices"][0]["logprobs"];
        let told = logprobs["tokens"].as_array().is_some_and(|tokens| tokens.len() == 12);
        ensure!(told == (style != Style::Transformers), "{style:?}: {logprobs}");
        // transformers sends no end.
        let answer = caller.send(&ask(json!({"stream": true}))).await?;
        ensure!(streamed(&answer, 1)?.0 == [BEHIND], "{style:?}: {}", answer.text());
        if style != Style::Transformers {
            let answer = caller.send(&ask(json!({"prompt": [[1, 2], [3]], "max_tokens": 2}))).await?;
            ensure!(texts(&answer)?.len() == 2, "{style:?}: {}", answer.text());
        }
        // One that gives fewer than were asked for is asked again.
        let answer = caller.send(&ask(json!({"n": 2}))).await?;
        ensure!(texts(&answer)? == [BEHIND, BEHIND], "{style:?}: {}", answer.text());
        daemon.stop().await?;
    }
    let double = Double::start(OpenAi::new(Style::Vllm, "tiny")).await;
    let daemon = Daemon::start(&Setup::backend("openai", &double.url())).await?;
    let caller = Caller::new(&daemon, Version::H1, Family::V4).await?;
    let answer = caller.send(&ask(json!({"suffix": "end"}))).await?;
    check_error(&answer, 400, None)?;
    ensure!(answer.json()?["error"]["param"] == "suffix", "{}", answer.text());
    daemon.stop().await
}

#[tokio::test]
async fn a_key_for_chats_opens_completions_of_its_own_models() -> Result<()> {
    let (_double, daemon) = ollama().await?;
    let keyless = Caller::keyless(&daemon, Version::H2, Family::V4).await?;
    for (order, refused) in [
        (json!({"name": "c", "scopes": ["chat"]}), None),
        (json!({"name": "e", "scopes": ["embeddings"]}), Some((403, "forbidden"))),
        (json!({"name": "m", "models": ["tiny"]}), None),
        (json!({"name": "n", "models": ["tiny-embed"]}), Some((404, "model_not_found"))),
    ] {
        let made = admin::make(&daemon, &order).await?;
        let answer = keyless.clone().with_key(Some(&made.key)).send(&ask(json!({}))).await?;
        match refused {
            Some((status, code)) => drop(check_error(&answer, status, Some(code))?),
            None => ensure!(answer.status == 200, "{order}: {}", answer.text()),
        }
    }
    daemon.stop().await
}

/// A question to the demo, as its template writes it, and what it says to that.
const CAPITAL: &str = "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n";
const PARIS: &str = "The capital of France is Paris.";
const COUNT: &str = "<|im_start|>user\nCount from 3 to 6.<|im_end|>\n<|im_start|>assistant\n";
const COUNTED: &str = "3, 4, 5, 6";

/// A completion by our own engine, the real one.
fn demo(more: Value) -> Value {
    let mut body =
        with(json!({"model": "ghostllm-demo", "prompt": CAPITAL, "temperature": 0, "max_tokens": 40}));
    if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
        body.extend(more);
    }
    body
}

async fn our_own_engine_goes_on_with_texts(version: Version) -> Result<()> {
    let daemon = Daemon::start(&Setup::default()).await?;
    let caller = Caller::new(&daemon, version, Family::V4).await?;
    let ask = async |more: Value| caller.send(&Request::post(PATH, &demo(more))).await;
    let whole = ask(json!({})).await?;
    ensure!(texts(&whole)? == [PARIS], "{}", whole.text());
    let whole = whole.json()?;
    ensure!(whole["model"] == "ghostllm-demo" && whole["choices"][0]["finish_reason"] == "stop", "{whole}");
    ensure!(whole["id"].as_str().is_some_and(|id| id.starts_with("cmpl-")), "{whole}");
    // As many as of a chat whose template writes the same.
    let chat = Request::chat("ghostllm-demo", "What is the capital of France?", false);
    let chat = caller.send(&chat).await?.json()?;
    ensure!(whole["usage"]["prompt_tokens"] == chat["usage"]["prompt_tokens"], "{whole} {chat}");
    for include_usage in [false, true] {
        let options = json!({"stream": true, "stream_options": {"include_usage": include_usage}});
        let answer = ask(options).await?;
        let (texts, told) = streamed(&answer, 1)?;
        ensure!(texts == [PARIS] && told.is_object() == include_usage, "{}", answer.text());
        ensure!(!include_usage || told == whole["usage"], "{told}");
    }
    let list =
        json!({"prompt": [CAPITAL, COUNT], "n": 2, "best_of": 2, "max_tokens": 40, "user": "u", "x": 1});
    let answer = ask(list.clone()).await?;
    ensure!(answer.header("x-ghostllm-ignored") == Some("user, x"), "{:?}", answer.headers);
    ensure!(texts(&answer)? == [PARIS, PARIS, COUNTED, COUNTED], "{}", answer.text());
    let counts = answer.json()?["usage"].clone();
    let prompt = whole["usage"]["prompt_tokens"].as_u64().context("no count")?;
    // Each prompt is counted once, and the second is a little longer or shorter.
    ensure!(counts["prompt_tokens"].as_u64().is_some_and(|all| all > prompt && all < 3 * prompt), "{counts}");
    let mut streams = list;
    (streams["stream"], streams["stream_options"]) = (json!(true), json!({"include_usage": true}));
    let answer = ask(streams).await?;
    let (texts, told) = streamed(&answer, 4)?;
    ensure!(texts == [PARIS, PARIS, COUNTED, COUNTED] && told == counts, "{}", answer.text());
    // OpenAI's own limit.
    let answer = ask(json!({"prompt": "Once upon a time", "max_tokens": null, "stop": null})).await?;
    ensure!(answer.json()?["usage"]["completion_tokens"] == 16, "{}", answer.text());
    daemon.stop().await
}

async fn our_own_engine_tells_the_odds_of_what_it_was_given(version: Version) -> Result<()> {
    let daemon = Daemon::start(&Setup::default()).await?;
    let caller = Caller::new(&daemon, version, Family::V6).await?;
    let ask = async |more: Value| caller.send(&Request::post(PATH, &demo(more))).await;
    let both = format!("{CAPITAL}{PARIS}");
    let fields = |stream: bool| json!({"prompt": both, "echo": true, "logprobs": 2, "max_tokens": 0, "stream": stream});
    let answer = ask(fields(false)).await?;
    ensure!(texts(&answer)? == [both.clone()], "{}", answer.text());
    let whole = answer.json()?;
    ensure!(whole["usage"]["completion_tokens"] == 0, "{whole}");
    let told = &whole["choices"][0]["logprobs"];
    let odds = told["token_logprobs"].as_array().context("no odds")?;
    ensure!(odds[0].is_null() && odds[1..].iter().all(Value::is_f64), "{told}");
    // What the model itself would say, it finds likely.
    let tokens = told["tokens"].as_array().context("no tokens")?;
    let place = tokens.iter().position(|token| token == " capital").context("no capital")?;
    ensure!(odds[place].as_f64().is_some_and(|log| log > -0.5), "{told}");
    ensure!(told["top_logprobs"][place][" capital"] == odds[place], "{told}");
    let offset = both.find(" capital").context("no capital")?;
    ensure!(told["text_offset"][place] == offset, "{told}");
    let answer = ask(fields(true)).await?;
    ensure!(streamed(&answer, 1)?.0 == [both.as_str()], "{}", answer.text());
    let stream = Chat::read(&answer.body)?;
    ensure!(stream.chunks[0]["choices"][0]["logprobs"] == *told, "{}", answer.text());
    // Token ids are read as they are: this one is the first of the template's.
    let numbers = json!({"prompt": [[1016], [1016, 1016]], "echo": true, "max_tokens": 1});
    let answer = ask(numbers).await?;
    let said = texts(&answer)?;
    ensure!(said[1].starts_with("<|im_start|><|im_start|>") && said.len() == 2, "{said:?}");
    ensure!(answer.json()?["usage"]["prompt_tokens"] == 3, "{}", answer.text());
    daemon.stop().await
}

async fn our_own_engine_names_what_is_wrong(version: Version) -> Result<()> {
    let directory = TempDir::new()?;
    let fill = directory.path().join("fill.gguf");
    std::fs::write(&fill, engine::filling())?;
    // Where there is a file, the demo is one only where it is named.
    let setup = Setup::default().with_file("fill", &fill).with_file("demo", &engine::demo());
    let daemon = Daemon::start(&setup).await?;
    let caller = Caller::new(&daemon, version, Family::V4).await?;
    let long = "one two three ".repeat(2000);
    for (more, code, param) in [
        (json!({"prompt": ""}), "invalid_value", "prompt"),
        (json!({"prompt": []}), "invalid_value", "prompt"),
        (json!({"prompt": [[1], []]}), "invalid_value", "prompt[1]"),
        (json!({"prompt": [70000]}), "invalid_value", "prompt"),
        (json!({"prompt": ["a", "b", "c", "d", "e"]}), "invalid_value", "prompt"),
        (json!({"prompt": long}), "context_length_exceeded", "prompt"),
        (json!({"prompt": vec![1; 2048]}), "context_length_exceeded", "prompt"),
        (json!({"n": 5}), "invalid_value", "n"),
        (json!({"best_of": 2}), "unsupported_parameter", "best_of"),
        (json!({"logprobs": 21}), "invalid_value", "logprobs"),
        (json!({"max_tokens": -1}), "invalid_value", "max_tokens"),
        (json!({"logit_bias": {"5": 1}}), "unsupported_parameter", "logit_bias"),
        (json!({"suffix": "end"}), "unsupported_parameter", "suffix"),
        (
            json!({"model": "fill", "suffix": "end", "echo": true, "logprobs": 1}),
            "unsupported_parameter",
            "echo",
        ),
    ] {
        for stream in [false, true] {
            let mut body = demo(more.clone());
            body["stream"] = json!(stream);
            let answer = caller.send(&Request::post(PATH, &body)).await?;
            check_error(&answer, 400, Some(code)).with_context(|| format!("{param} {code}"))?;
            ensure!(answer.json()?["error"]["param"] == param, "{}", answer.text());
        }
    }
    // Of a list, the second is not looked at before it is asked for.
    let second = json!({"prompt": [CAPITAL, long]});
    let answer = caller.send(&Request::post(PATH, &demo(second.clone()))).await?;
    check_error(&answer, 400, Some("context_length_exceeded"))?;
    let mut streams = demo(second);
    streams["stream"] = json!(true);
    let answer = caller.send(&Request::post(PATH, &streams)).await?;
    let stream = Chat::read(&answer.body)?;
    let error = stream.error().with_context(|| answer.text())?;
    check_error_object(error, Some("context_length_exceeded"))?;
    ensure!(error["param"] == "prompt" && !stream.done, "{error}");
    // What can be had of the same.
    let fields = json!({"model": "fill", "suffix": " of it", "max_tokens": 3});
    let filled = caller.send(&Request::post(PATH, &demo(fields))).await?;
    ensure!(texts(&filled)?.len() == 1, "{}", filled.text());
    daemon.stop().await
}

async fn who_leaves_frees_our_own_engine(version: Version) -> Result<()> {
    let directory = TempDir::new()?;
    let (socket, models) = (directory.path().join("engine.sock"), directory.path().join("models"));
    std::fs::create_dir(&models)?;
    std::fs::write(models.join("endless.gguf"), engine::endless())?;
    let models = models.to_str().context("a path of text")?;
    let _engine = Engine::start(&socket, &["--models", models, "--context", "50000"]).await?;
    let setup = Setup::default().with_engine(&format!("socket = \"{}\"", socket.display()));
    let daemon = Daemon::start(&setup).await?;
    let caller = Caller::new(&daemon, version, Family::V4).await?;
    let body =
        demo(json!({"model": "endless", "prompt": ["Once", "Twice"], "max_tokens": 40_000, "stream": true}));
    let mut stream = caller.open(&Request::post(PATH, &body)).await?;
    stream.until("text_completion").await?;
    let _left = stream.leave().await?;
    engine::wait_status(&socket, |status| status["running"] == 0 && status["queued"] == 0).await?;
    daemon.stop().await
}

#[tokio::test]
async fn what_the_admin_wants_of_a_model_is_told_with_completions_as_well() -> Result<()> {
    let double = Double::start(Ollama::default()).await;
    let mut setup = Setup::default().with_backend("box", "ollama", &double.url(), "");
    setup.config.push_str(
        "\n[[models]]\nname = \"gpt-3.5-turbo-instruct\"\ntarget = \"tiny\"\nmax_tokens = 3\n\
         [[models]]\nname = \"tiny\"\ncontext = 512\nkeep_alive = \"forever\"\ntemperature = 0.5\nthink = \"high\"\n",
    );
    let daemon = Daemon::start(&setup).await?;
    let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
    for (name, num_predict) in [("gpt-3.5-turbo-instruct", 3), ("tiny", 16)] {
        let answer = caller.send(&Request::post(PATH, &json!({"model": name, "prompt": FREE}))).await?;
        ensure!(answer.json()?["model"] == name, "{}", answer.text());
        let sent = double.seen_at(GENERATE).last().context("nothing was sent")?.request.json();
        ensure!(sent["options"]["num_ctx"] == 512 && sent["keep_alive"] == -1, "{name}: {sent}");
        ensure!(sent["options"]["num_predict"] == num_predict && sent["think"] == false, "{name}: {sent}");
    }
    daemon.stop().await
}
