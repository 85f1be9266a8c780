//! Embeddings: on every version, of every kind of backend, and whatever is wrong with them.
//!
//! Knows OpenAI's shapes, and the recorded vectors of Ollama. Invariant: a client gets a vector for each of its inputs, or an error
//! that says whose doing it is.

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    admin,
    client::{Answer, Caller, End, Family, Request, Version},
    daemon::{Daemon, Setup},
    double::Double,
    ollama::Ollama,
    openai::{OpenAi, Style},
    script::Sin,
    sheet::Sheet,
};
use serde_json::{Value, json};

use crate::{FRANCE, check_error, ollama, ollama_with, on_every_version, records::record};

on_every_version!(
    an_ollama_s_vectors_in_both_forms,
    what_is_wrong_is_named,
    engines_of_openai_s_language_get_what_came,
    what_an_engine_does_wrong_is_its_fault,
    a_request_is_recorded_listed_and_ended,
    who_leaves_frees_the_engine,
);

const PATH: &str = "/v1/embeddings";
const EMBED: &str = "/api/embed";

fn request(body: &Value) -> Request {
    Request::post(PATH, body)
}

/// A base64 text as numbers of 32 bits, the lowest byte first.
fn decoded(text: &str) -> Vec<f32> {
    let value = |letter: u8| match letter {
        b'A'..=b'Z' => u32::from(letter - b'A'),
        b'a'..=b'z' => u32::from(letter - b'a') + 26,
        b'0'..=b'9' => u32::from(letter - b'0') + 52,
        b'+' => 62,
        _ => 63,
    };
    let mut bytes = Vec::new();
    for quad in text.trim_end_matches('=').as_bytes().chunks(4) {
        let bits = quad.iter().fold(0, |bits, letter| bits << 6 | value(*letter)) << (6 * (4 - quad.len()));
        bytes.extend_from_slice(&bits.to_be_bytes()[1..quad.len()]);
    }
    bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect()
}

/// The vectors of an answer that is as OpenAI has it, with its model and its count of tokens.
fn check(answer: &Answer, model: &str, tokens: u64) -> Result<Vec<Vec<f32>>> {
    let text = answer.text();
    ensure!(answer.status == 200 && answer.end == End::Clean, "{} {:?} {text}", answer.status, answer.end);
    let kind = answer.header("content-type").unwrap_or_default();
    ensure!(kind.starts_with("application/json"), "content-type {kind}");
    let json = answer.json()?;
    ensure!(json["object"] == "list" && json["model"] == model, "{text}");
    ensure!(json["usage"]["prompt_tokens"] == tokens && json["usage"]["total_tokens"] == tokens, "{text}");
    let items = json["data"].as_array().context("no data")?;
    let vector = |(place, item): (usize, &Value)| {
        ensure!(item["object"] == "embedding" && item["index"] == place, "{item}");
        match &item["embedding"] {
            Value::String(text) => Ok(decoded(text)),
            list => Ok(serde_json::from_value(list.clone())?),
        }
    };
    items.iter().enumerate().map(vector).collect()
}

async fn an_ollama_s_vectors_in_both_forms(version: Version) -> Result<()> {
    let (double, daemon) = ollama().await?;
    let caller = Caller::new(&daemon, version, Family::V4).await?;
    let input = json!(["hello", "world"]);
    let floats = caller.send(&request(&json!({"model": "tiny-embed", "input": input}))).await?;
    let floats = check(&floats, "tiny-embed", 6)?;
    ensure!(floats.len() == 2 && floats.iter().all(|vector| vector.len() == 128), "{floats:?}");
    ensure!(floats[0][0] == -0.043_540_757 && floats[0] != floats[1], "{floats:?}");
    let body = json!({"model": "tiny-embed", "input": input, "encoding_format": "base64", "user": "u"});
    let answer = caller.send(&request(&body)).await?;
    ensure!(answer.json()?["data"][0]["embedding"].is_string(), "{}", answer.text());
    ensure!(answer.header("x-ghostllm-ignored") == Some("user"), "{:?}", answer.headers);
    ensure!(check(&answer, "tiny-embed", 6)? == floats);
    // A name in full, and the recorded vector of 16 numbers.
    let body = json!({"model": "box/tiny-embed:latest", "input": "hello", "dimensions": 16});
    let answer = caller.send(&request(&body)).await?;
    ensure!(answer.header("x-ghostllm-ignored").is_none(), "{:?}", answer.headers);
    let short = check(&answer, "box/tiny-embed:latest", 2)?;
    ensure!(short[0].len() == 16 && short[0][0] == -0.138_707_12, "{short:?}");
    let sent = double.seen_at(EMBED).last().context("nothing was sent")?.request.json();
    let expected =
        json!({"model": "tiny-embed:latest", "input": ["hello"], "truncate": false, "dimensions": 16});
    ensure!(sent == expected, "{sent}");
    daemon.stop().await
}

async fn what_is_wrong_is_named(version: Version) -> Result<()> {
    let (double, daemon) = ollama().await?;
    let caller = Caller::new(&daemon, version, Family::V4).await?;
    let long = "hello ".repeat(6000);
    for (body, status, code, param) in [
        (json!({"model": "tiny-embed"}), 400, "missing_required_parameter", "input"),
        (json!({"input": "a"}), 400, "missing_required_parameter", "model"),
        (json!({"model": "tiny-embed", "input": ""}), 400, "invalid_value", "input"),
        (json!({"model": "tiny-embed", "input": []}), 400, "invalid_value", "input"),
        (json!({"model": "tiny-embed", "input": vec!["a"; 2049]}), 400, "invalid_value", "input"),
        (json!({"model": "tiny-embed", "input": ["a", 1]}), 400, "invalid_type", "input[1]"),
        (json!({"model": "tiny-embed", "input": [1, 2]}), 400, "unsupported_parameter", "input"),
        (
            json!({"model": "tiny-embed", "input": "a", "encoding_format": "hex"}),
            400,
            "invalid_value",
            "encoding_format",
        ),
        (json!({"model": "tiny-embed", "input": "a", "dimensions": 0}), 400, "invalid_value", "dimensions"),
        (json!({"model": "tiny-embed", "input": "a", "dimensions": 129}), 400, "invalid_value", "dimensions"),
        (
            json!({"model": "tiny-embed", "input": "a", "truncate": true}),
            400,
            "unsupported_parameter",
            "truncate",
        ),
        (
            json!({"model": "tiny-embed", "input": "a", "api_base": "http://x"}),
            400,
            "unsupported_parameter",
            "api_base",
        ),
        (
            json!({"model": "tiny-embed", "input": "a", "Messages": [{"role": "user", "content": "a"}]}),
            400,
            "unsupported_parameter",
            "Messages",
        ),
        (json!({"model": "tiny-embed", "input": ["a", long]}), 400, "context_length_exceeded", "input"),
        (json!({"model": "tiny", "input": "a"}), 400, "invalid_value", "model"),
        (json!({"model": "no-such-model", "input": "a"}), 404, "model_not_found", "model"),
    ] {
        let answer = caller.send(&request(&body)).await?;
        check_error(&answer, status, Some(code)).with_context(|| format!("{param} {code}"))?;
        ensure!(answer.json()?["error"]["param"] == param, "{}", answer.text());
    }
    // Only three of these were worth asking for.
    ensure!(double.seen_at(EMBED).len() == 3, "{} were asked", double.seen_at(EMBED).len());
    // The most that is taken.
    let most = json!({"model": "tiny-embed", "input": vec!["a"; 2048], "encoding_format": "base64"});
    ensure!(check(&caller.send(&request(&most)).await?, "tiny-embed", 4096)?.len() == 2048);
    daemon.stop().await
}

async fn engines_of_openai_s_language_get_what_came(version: Version) -> Result<()> {
    for style in [Style::Llama, Style::Vllm] {
        let double = Double::start(OpenAi::embedding(style, "tiny-embed")).await;
        let daemon =
            Daemon::start(&Setup::default().with_backend("box", "openai", &double.url(), "")).await?;
        let caller = Caller::new(&daemon, version, Family::V6).await?;
        for (input, tokens, vectors) in [
            (json!("ab"), 2, vec![vec![2.5, 0.5]]),
            (json!(["ab", "c"]), 3, vec![vec![2.5, 0.5], vec![1.5, 1.5]]),
            (json!([7, 8, 9]), 3, vec![vec![3.5, 0.5]]),
            (json!([[7], [8, 9]]), 3, vec![vec![1.5, 0.5], vec![2.5, 1.5]]),
        ] {
            for form in ["float", "base64"] {
                let body = json!({"model": "box/tiny-embed", "input": input, "encoding_format": form, "truncate_prompt_tokens": 5});
                let answer = caller.send(&request(&body)).await?;
                ensure!(check(&answer, "box/tiny-embed", tokens)? == vectors, "{style:?}: {}", answer.text());
                let sent = double.seen_at(PATH).last().context("nothing was sent")?.request.json();
                let mut expected = body.clone();
                expected["model"] = "tiny-embed".into();
                ensure!(sent == expected, "{style:?}: {sent}");
            }
        }
        // Its vectors have two numbers, whatever is asked for.
        let body = json!({"model": "tiny-embed", "input": "a", "dimensions": 1});
        check_error(&caller.send(&request(&body)).await?, 400, Some("unsupported_parameter"))?;
        daemon.stop().await?;
    }
    for style in [Style::Llama, Style::Vllm, Style::Transformers] {
        let double = Double::start(OpenAi::new(style, "tiny")).await;
        let daemon = Daemon::start(&Setup::backend("openai", &double.url())).await?;
        let caller = Caller::new(&daemon, version, Family::V4).await?;
        let answer = caller.send(&request(&json!({"model": "tiny", "input": "a"}))).await?;
        let text = check_error(&answer, 400, Some("invalid_value"))?;
        ensure!(text.contains("makes no embeddings"), "{style:?}: {text}");
        daemon.stop().await?;
    }
    Ok(())
}

async fn what_an_engine_does_wrong_is_its_fault(version: Version) -> Result<()> {
    let (double, daemon) = ollama().await?;
    let caller = Caller::new(&daemon, version, Family::V4).await?;
    let body = json!({"model": "tiny-embed", "input": ["hello", "world"]});
    let whole = |body: &str| Sin::Status("200 OK", body.to_owned());
    for (sin, status, code) in [
        (whole(r#"{"model":"tiny-embed","embeddings":[]}"#), 502, "backend_error"),
        (whole(r#"{"embeddings":[[1,2]]}"#), 502, "backend_error"),
        (whole(r#"{"embeddings":[[1,2],[1]]}"#), 502, "backend_error"),
        (whole(r#"{"embeddings":[[1,null],[1,2]]}"#), 502, "backend_error"),
        (whole(r#"{"embeddings":[[1,2],[1,2"#), 502, "backend_error"),
        (whole("<html>"), 502, "backend_error"),
        (Sin::FinAfter(1), 502, "backend_error"),
        (Sin::FinBeforeHeaders, 502, "backend_error"),
        (Sin::Garbage, 502, "backend_error"),
        (
            Sin::Status(
                "503 Service Unavailable",
                r#"{"error":"server busy, please try again.  maximum pending requests exceeded"}"#.to_owned(),
            ),
            503,
            "queue_full",
        ),
        (Sin::Status("500 Internal Server Error", "{}".to_owned()), 502, "backend_error"),
    ] {
        double.misbehave("tiny-embed", sin.clone());
        let answer = caller.send(&request(&body)).await?;
        check_error(&answer, status, Some(code)).with_context(|| format!("{sin:?}"))?;
    }
    double.behave("tiny-embed");
    check(&caller.send(&request(&body)).await?, "tiny-embed", 6)?;
    daemon.stop().await
}

async fn a_request_is_recorded_listed_and_ended(version: Version) -> Result<()> {
    let (double, daemon) = ollama().await?;
    let caller = Caller::new(&daemon, version, Family::V4).await?;
    let body = json!({"model": "tiny-embed", "input": "hello"});
    let named = |id: &str| request(&body).with("x-request-id", id);
    check(&caller.send(&named("done")).await?, "tiny-embed", 2)?;
    let done = record(&daemon, "done").await?;
    for (name, value) in [
        ("message", json!("a request for embeddings was answered")),
        ("route", json!(PATH)),
        ("status", json!(200)),
        ("model", json!("tiny-embed")),
        ("backend", json!("box")),
        ("ended", json!("completed")),
        ("prompt_tokens", json!(2)),
    ] {
        ensure!(done[name] == value, "{name} is not {value} in {done:#}");
    }
    ensure!(done.get("completion_tokens").is_none() && done["queue_ms"].is_u64(), "{done:#}");
    let labels = [
        ("gen_ai_operation_name", "embeddings"),
        ("gen_ai_request_model", "tiny-embed:latest"),
        ("gen_ai_token_type", "input"),
    ];
    Sheet::until(&daemon, |sheet| {
        sheet.sum("ghostllm_requests_ended_total", &[("route", PATH), ("ended", "completed")]) == 1.0
            && sheet.sum("gen_ai_client_token_usage_sum", &labels) == 2.0
    })
    .await?;
    double.misbehave("tiny-embed", Sin::HangBeforeHeaders);
    let hanging = named("hanging");
    let (answer, ended) = tokio::join!(caller.send(&hanging), async {
        double.wait_hanging(EMBED).await;
        let open = admin::read(&daemon, "requests").await?;
        let listed =
            open["requests"].as_array().is_some_and(|all| all.len() == 1 && all[0]["model"] == "tiny-embed");
        ensure!(listed, "{open}");
        admin::done(&daemon, "DELETE", "requests/hanging", None).await
    });
    ended?;
    check_error(&answer?, 403, Some("request_cancelled"))?;
    double.wait_left(EMBED).await;
    let ended = record(&daemon, "hanging").await?;
    ensure!(ended["ended"] == "cancelled" && ended["by"] == "admin", "{ended:#}");
    daemon.stop().await
}

async fn who_leaves_frees_the_engine(version: Version) -> Result<()> {
    let (double, daemon) = ollama().await?;
    double.misbehave("tiny-embed", Sin::HangBeforeHeaders);
    let caller = Caller::new(&daemon, version, Family::V6).await?;
    let asked = double.wait_asked(EMBED);
    let request = request(&json!({"model": "tiny-embed", "input": "hello"}));
    let _left = caller.leave_headless(&request, asked).await?;
    double.wait_left(EMBED).await;
    daemon.stop().await
}

#[tokio::test]
async fn a_key_opens_embeddings_or_chats_or_its_own_models() -> Result<()> {
    let (_double, daemon) = ollama().await?;
    let keyless = Caller::keyless(&daemon, Version::H2, Family::V4).await?;
    let body = json!({"model": "tiny-embed", "input": "hello"});
    for (order, embeds, chats) in [
        (json!({"name": "e", "scopes": ["embeddings"]}), None, Some((403, "forbidden"))),
        (json!({"name": "c", "scopes": ["chat"]}), Some((403, "forbidden")), None),
        (json!({"name": "m", "models": ["tiny"]}), Some((404, "model_not_found")), None),
        (json!({"name": "n", "models": ["tiny-embed"]}), None, Some((404, "model_not_found"))),
    ] {
        let made = admin::make(&daemon, &order).await?;
        let caller = keyless.clone().with_key(Some(&made.key));
        for (request, refused) in [(request(&body), embeds), (Request::chat("tiny", FRANCE, false), chats)] {
            let answer = caller.send(&request).await?;
            match refused {
                Some((status, code)) => drop(check_error(&answer, status, Some(code))?),
                None => ensure!(answer.status == 200, "{order}: {}", answer.text()),
            }
        }
    }
    daemon.stop().await
}

#[tokio::test]
async fn a_model_of_the_embedded_engine_that_talks_makes_none() -> Result<()> {
    let daemon = Daemon::start(&Setup::default()).await?;
    let caller = Caller::new(&daemon, Version::H1, Family::V4).await?;
    let answer = caller.send(&request(&json!({"model": "ghostllm-demo", "input": "hello"}))).await?;
    let text = check_error(&answer, 400, Some("invalid_value"))?;
    ensure!(text.contains("'ghostllm-demo' makes no embeddings"), "{text}");
    daemon.stop().await
}

#[tokio::test]
async fn a_model_s_context_and_time_are_told_with_embeddings_as_well() -> Result<()> {
    let double = Double::start(Ollama::default()).await;
    let mut setup = Setup::default().with_backend("box", "ollama", &double.url(), "");
    setup.config.push_str(
        "\n[[models]]\nname = \"embed\"\ntarget = \"tiny-embed\"\n\
         [[models]]\nname = \"tiny-embed\"\ncontext = 512\nkeep_alive = \"forever\"\ntemperature = 0.5\n",
    );
    let daemon = Daemon::start(&setup).await?;
    let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
    for name in ["embed", "tiny-embed"] {
        check(&caller.send(&request(&json!({"model": name, "input": "hello"}))).await?, name, 2)?;
        let sent = double.seen_at(EMBED).last().context("nothing was sent")?.request.json();
        let expected = json!({
            "model": "tiny-embed:latest", "input": ["hello"], "truncate": false, "keep_alive": -1,
            "options": {"num_ctx": 512},
        });
        ensure!(sent == expected, "{name}: {sent}");
    }
    daemon.stop().await
}

#[tokio::test]
async fn more_vectors_than_an_answer_may_have_are_the_request_s_error() -> Result<()> {
    let (_double, daemon) = ollama_with("backend_answer = \"1KiB\"", "").await?;
    let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
    let answer = caller.send(&request(&json!({"model": "tiny-embed", "input": ["hello", "world"]}))).await?;
    let said = check_error(&answer, 400, Some("invalid_value"))?;
    ensure!(said.contains("1.0 KiB") && said.contains("fewer inputs"), "{said}");
    ensure!(!daemon.stderr().contains("backend_error"), "{}", daemon.stderr());
    daemon.stop().await
}
