//! What engines count: of chats, responses and embeddings, on every wire.

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    admin,
    client::{Caller, Family, Request, Version},
    daemon::{Daemon, Setup},
    double::Double,
    ollama::Ollama,
    openai::{OpenAi, Style},
    response::Response,
    sse::Chat,
};
use serde_json::{Value, json};

use super::{check, told};
use crate::{FRANCE, check_error, records::record};

/// The engines' wires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire {
    Ollama,
    OpenAi(Style),
}

const WIRES: [Wire; 4] =
    [Wire::Ollama, Wire::OpenAi(Style::Llama), Wire::OpenAi(Style::Vllm), Wire::OpenAi(Style::Transformers)];

impl Wire {
    pub(super) async fn double(self) -> Double {
        match self {
            Self::Ollama => Double::start(Ollama::default()).await,
            Self::OpenAi(style) => Double::start(OpenAi::new(style, "tiny")).await,
        }
    }

    pub(super) fn setup(self, double: &Double) -> Setup {
        Setup::backend(if self == Self::Ollama { "ollama" } else { "openai" }, &double.url())
    }

    pub(super) fn path(self) -> &'static str {
        if self == Self::Ollama { "/api/chat" } else { "/v1/chat/completions" }
    }

    /// So many pieces of the engine's stream that hold this many tokens: OpenAI's first piece holds only the role.
    pub(super) fn pieces(self, tokens: usize) -> usize {
        if self == Self::Ollama { tokens } else { tokens + 1 }
    }
}

#[tokio::test]
async fn every_answer_is_counted_by_its_engines_own_counts() -> Result<()> {
    for wire in WIRES {
        counted(wire).await.with_context(|| format!("{wire:?}"))?;
    }
    Ok(())
}

async fn counted(wire: Wire) -> Result<()> {
    let double = wire.double().await;
    let daemon = Daemon::start(&wire.setup(&double)).await?;
    let made = admin::make(&daemon, &json!({"name": "laptop"})).await?;
    let caller = Caller::keyless(&daemon, Version::H2, Family::V4).await?.with_key(Some(&made.key));
    let whole = caller.send(&Request::chat("tiny", FRANCE, false)).await?.json()?;
    let count = |name: &str| whole["usage"][name].as_u64().with_context(|| format!("no {name}: {whole}"));
    let (prompt, completion) = (count("prompt_tokens")?, count("completion_tokens")?);

    let answer = caller.send(&Request::chat("tiny", FRANCE, true)).await?;
    let unasked = Chat::read(&answer.body)?;
    ensure!(
        unasked.done && unasked.chunks.iter().all(|chunk| chunk["choices"] != json!([])),
        "{}",
        answer.text()
    );
    // By itself, one of these engines tells its counts with its last words.
    ensure!(unasked.usage().is_none() || wire == Wire::OpenAi(Style::Transformers), "{}", answer.text());
    let mut body =
        json!({"model": "tiny", "stream": true, "messages": [{"role": "user", "content": FRANCE}]});
    body["stream_options"] = json!({"include_usage": true});
    let asked = Chat::read(&caller.send(&Request::post("/v1/chat/completions", &body)).await?.body)?;
    ensure!(asked.usage().context("usage")?["prompt_tokens"] == prompt, "{:?}", asked.usage());
    let timed = unasked.chunks.iter().filter(|chunk| chunk["timings"].is_object()).count();
    ensure!(
        timed == usize::from(wire == Wire::OpenAi(Style::Llama)),
        "what comes with counts is lost: {}",
        answer.text()
    );
    if wire != Wire::Ollama {
        for seen in double.seen_at(wire.path()) {
            let sent = seen.request.json();
            ensure!((sent["stream_options"]["include_usage"] == true) == (sent["stream"] == true), "{sent}");
        }
    }
    let (whole, stream) = (response(&caller, false).await?, response(&caller, true).await?);
    ensure!(whole == (prompt, completion) && stream == whole, "{whole:?} {stream:?} {prompt} {completion}");
    // What is no model has used nothing.
    check_error(&caller.send(&Request::chat("nobody's", FRANCE, true)).await?, 404, Some("model_not_found"))?;

    let report = told(&daemon, "", 5).await?;
    let expected = json!({"requests": 5, "prompt_tokens": 5 * prompt, "completion_tokens": 5 * completion});
    check(&report["total"], &expected)?;
    let rows = report["rows"].as_array().context("rows")?;
    ensure!(rows.len() == 1, "{report:#}");
    let row = &rows[0];
    let model = if wire == Wire::Ollama { "tiny:latest" } else { "tiny" };
    ensure!(row["key"] == made.id && row["caller"] == "laptop" && row["model"] == model, "{row}");
    ensure!(row["counts"] == report["total"] && row["day"] == report["to"], "{report:#}");
    daemon.stop().await
}

#[tokio::test]
async fn a_stream_has_no_word_of_counts_that_its_client_has_not_asked_for() -> Result<()> {
    let ollama = Double::start(Ollama::default()).await;
    let late = Double::start(OpenAi::counting_late(Style::Vllm, "tiny")).await;
    for (setup, model) in [
        (Setup::backend("ollama", &ollama.url()), "tiny"),
        (Setup::backend("openai", &late.url()), "tiny"),
        // Our own engine.
        (Setup::default(), "ghostllm-demo"),
    ] {
        let daemon = Daemon::start(&setup).await?;
        let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
        let chat = json!({"messages": [{"role": "user", "content": FRANCE}]});
        for (path, base) in
            [("/v1/chat/completions", chat), ("/v1/completions", json!({"prompt": "This program is free"}))]
        {
            let chunks = async |n: u64, options: Value| {
                let mut body = base.clone();
                (body["model"], body["stream"], body["n"]) = (json!(model), json!(true), json!(n));
                (body["max_tokens"], body["stream_options"]) = (json!(12), options);
                let answer = caller.send(&Request::post(path, &body)).await?;
                ensure!(answer.status == 200, "{model} {path}: {}", answer.text());
                let stream = Chat::read(&answer.body)?;
                ensure!(stream.done && stream.chunks.len() > 2, "{model} {path}: {}", answer.text());
                Ok(stream.chunks)
            };
            for options in [Value::Null, json!({"include_usage": false})] {
                for n in [1, 2] {
                    let chunks = chunks(n, options.clone()).await?;
                    let bare = chunks.iter().all(|chunk| chunk.get("usage").is_none());
                    ensure!(bare, "{model} {path} {n} {options}: {chunks:?}");
                    let say = chunks.iter().all(|chunk| chunk["choices"] != json!([]));
                    ensure!(say, "{model} {path} {n} {options}: {chunks:?}");
                }
            }
            // To whoever asks OpenAI says null with each chunk, until the last has the counts and nothing else.
            let chunks = chunks(1, json!({"include_usage": true})).await?;
            let (last, others) = chunks.split_last().context("no chunk")?;
            let nulls = others.iter().all(|chunk| chunk.get("usage") == Some(&Value::Null));
            ensure!(nulls, "{model} {path}: {chunks:?}");
            ensure!(last["choices"] == json!([]) && last["usage"].is_object(), "{model} {path}: {last}");
        }
        daemon.stop().await?;
    }
    Ok(())
}

/// What a response says that it has used.
async fn response(caller: &Caller, stream: bool) -> Result<(u64, u64)> {
    let body = json!({"model": "tiny", "input": FRANCE, "stream": stream});
    let answer = caller.send(&Request::post("/v1/responses", &body)).await?;
    let whole = if stream {
        Response::read(&answer.body)?.last("response.completed")?.clone()
    } else {
        answer.json()?
    };
    let count = |name: &str| whole["usage"][name].as_u64().with_context(|| format!("no {name}: {whole}"));
    Ok((count("input_tokens")?, count("output_tokens")?))
}

#[tokio::test]
async fn what_an_engine_had_from_before_and_what_was_thought_is_told_where_it_says_so() -> Result<()> {
    let double = Double::start(OpenAi::detailed(Style::Vllm, "tiny")).await;
    let daemon = Daemon::start(&Setup::backend("openai", &double.url())).await?;
    let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
    let chat = Request::chat("tiny", FRANCE, true).with("x-request-id", "detailed");
    caller.send(&chat).await?;
    let body = json!({"model": "tiny", "input": FRANCE});
    let whole = caller.send(&Request::post("/v1/responses", &body)).await?.json()?;
    let used = &whole["usage"];
    let prompt = used["input_tokens"].as_u64().with_context(|| whole.to_string())?;
    ensure!(used["input_tokens_details"]["cached_tokens"] == prompt - 1, "{used}");
    ensure!(used["output_tokens_details"]["reasoning_tokens"] == 3, "{used}");
    let completion = used["output_tokens"].as_u64().context("no count")?;
    let expected = json!({
        "requests": 2, "prompt_tokens": 2 * prompt, "completion_tokens": 2 * completion,
        "cached_tokens": 2 * (prompt - 1), "reasoning_tokens": 6,
    });
    check(&told(&daemon, "", 2).await?["total"], &expected)?;
    let record = record(&daemon, "detailed").await?;
    ensure!(record["cached_tokens"] == prompt - 1 && record["reasoning_tokens"] == 3, "{record}");
    ensure!(record.get("estimated").is_none(), "{record}");
    daemon.stop().await
}

#[tokio::test]
async fn embeddings_count_their_prompts() -> Result<()> {
    for (kind, double, model) in [
        ("ollama", Double::start(Ollama::default()).await, "tiny-embed"),
        ("openai", Double::start(OpenAi::embedding(Style::Vllm, "embed")).await, "embed"),
    ] {
        let daemon = Daemon::start(&Setup::backend(kind, &double.url())).await?;
        let caller = Caller::new(&daemon, Version::H1, Family::V4).await?;
        let body = json!({"model": model, "input": ["hello", "world"]});
        let answer = caller.send(&Request::post("/v1/embeddings", &body)).await?;
        ensure!(answer.status == 200, "{kind}: {}", answer.text());
        let prompt = answer.json()?["usage"]["prompt_tokens"].as_u64().context("no count")?;
        let report = told(&daemon, &format!("?model={model}"), 1).await?;
        check(&report["total"], &json!({"requests": 1, "prompt_tokens": prompt}))?;
        ensure!(prompt > 0, "{report:#}");
        daemon.stop().await.with_context(|| kind.to_owned())?;
    }
    Ok(())
}

#[tokio::test]
async fn all_of_several_answers_count_and_their_prompt_once() -> Result<()> {
    // Both give one at a time.
    for wire in [Wire::Ollama, Wire::OpenAi(Style::Transformers)] {
        let double = wire.double().await;
        let daemon = Daemon::start(&wire.setup(&double)).await?;
        let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
        let alone = caller.send(&Request::chat("tiny", FRANCE, false)).await?.json()?["usage"].clone();
        let count = |name: &str| alone[name].as_u64().with_context(|| format!("no {name}: {alone}"));
        let (prompt, completion) = (count("prompt_tokens")?, count("completion_tokens")?);
        for stream in [false, true] {
            let body = json!({"model": "tiny", "n": 3, "stream": stream, "messages": [{"role": "user", "content": FRANCE}]});
            let answer = caller.send(&Request::post("/v1/chat/completions", &body)).await?;
            ensure!(answer.status == 200, "{wire:?}: {}", answer.text());
        }
        let expected =
            json!({"requests": 3, "prompt_tokens": 3 * prompt, "completion_tokens": 7 * completion});
        check(&told(&daemon, "", 3).await?["total"], &expected).with_context(|| format!("{wire:?}"))?;
        daemon.stop().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_model_is_counted_by_its_own_name_whatever_it_was_asked_for_by() -> Result<()> {
    let double = Double::start(Ollama::default()).await;
    let mut setup = Setup::backend("ollama", &double.url());
    setup.config.push_str("\n[[models]]\nname = \"gpt-4o-mini\"\ntarget = \"tiny\"\n");
    let daemon = Daemon::start(&setup).await?;
    let caller = Caller::new(&daemon, Version::H1, Family::V4).await?;
    for name in ["gpt-4o-mini", "tiny"] {
        let answer = caller.send(&Request::chat(name, FRANCE, false)).await?.json()?;
        ensure!(answer["model"] == name, "{answer}");
    }
    let report = told(&daemon, "", 2).await?;
    let models: Vec<&Value> =
        report["rows"].as_array().into_iter().flatten().map(|row| &row["model"]).collect();
    ensure!(models == ["tiny:latest"], "{report:#}");
    told(&daemon, "?model=gpt-4o-mini", 2).await?;
    daemon.stop().await
}

#[tokio::test]
async fn completions_are_counted_as_chats_are_and_each_prompt_once() -> Result<()> {
    for wire in WIRES {
        completed(wire).await.with_context(|| format!("{wire:?}"))?;
    }
    Ok(())
}

async fn completed(wire: Wire) -> Result<()> {
    let double = wire.double().await;
    let daemon = Daemon::start(&wire.setup(&double)).await?;
    let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
    let ask = async |prompt: Value, max_tokens: u64, n: u64, stream: bool| {
        let body =
            json!({"model": "tiny", "prompt": prompt, "max_tokens": max_tokens, "n": n, "stream": stream});
        let answer = caller.send(&Request::post("/v1/completions", &body)).await?;
        ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
        // These two tell their counts by themselves; of several answers' the first would be taken for all of them.
        let shows = n == 1 && matches!(wire, Wire::OpenAi(Style::Llama | Style::Transformers));
        ensure!(!stream || answer.text().contains("\"usage\":{") == shows, "{}", answer.text());
        Ok(())
    };
    for stream in [false, true] {
        ask(json!("This program is free"), 12, 1, stream).await?;
    }
    let expected = json!({"requests": 2, "prompt_tokens": 18, "completion_tokens": 24});
    check(&told(&daemon, "", 2).await?["total"], &expected)?;
    // That one takes no lists.
    if wire == Wire::OpenAi(Style::Transformers) {
        return daemon.stop().await;
    }
    let list = json!(["This program", "The licence"]);
    ask(list.clone(), 4, 2, true).await?;
    let expected = json!({"requests": 3, "prompt_tokens": 28, "completion_tokens": 40});
    check(&told(&daemon, "", 3).await?["total"], &expected)?;
    ask(list, 4, 2, false).await?;
    // In one piece, llama.cpp's server tells the counts of one of its answers alone.
    let expected = if wire == Wire::OpenAi(Style::Llama) {
        json!({"requests": 4, "prompt_tokens": 34, "completion_tokens": 49, "estimated_requests": 1, "estimated_tokens": 15})
    } else {
        json!({"requests": 4, "prompt_tokens": 38, "completion_tokens": 56})
    };
    check(&told(&daemon, "", 4).await?["total"], &expected)?;
    daemon.stop().await
}
