//! Models by the names that the admin gives: what the backend is sent, what is listed, who may, and what a reload changes.

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    admin,
    causes::{cause, codes, until},
    client::{Caller, Family, Request, Version, plain},
    daemon::{Daemon, Setup},
    double::Double,
    ollama::Ollama,
    openai::{OpenAi, Style},
    script::Sin,
    sheet::Sheet,
    sse::Chat,
};
use serde_json::{Value, json};

use crate::{FRANCE, PARIS, check_error, on_every_version, records::record};

on_every_version!(
    a_program_that_asks_for_gpt_gets_the_box_s_model,
    lists_what_is_known_of_each_model,
    a_key_may_use_a_name_by_either_name
);

/// Another name for `tiny`, and what is wanted of that model by whatever name.
const NAMES: &str = "\n[[models]]\nname = \"gpt-4o-mini\"\ntarget = \"tiny\"\ntemperature = 0.25\nmax_tokens = 50\nthink = false\n\
                     [[models]]\nname = \"tiny\"\ncontext = 1024\nkeep_alive = \"forever\"\ntop_k = 7\ntemperature = 1.5\n";

fn named(setup: Setup, names: &str) -> Setup {
    let mut setup = setup;
    setup.config.push_str(names);
    setup
}

async fn boxed(names: &str) -> Result<(Double, Daemon)> {
    let double = Double::start(Ollama::default()).await;
    let setup = Setup::default().with_backend("box", "ollama", &double.url(), "");
    let daemon = Daemon::start(&named(setup, names)).await?;
    Ok((double, daemon))
}

/// What the double was sent last on this route.
fn sent(double: &Double, route: &str) -> Result<Value> {
    Ok(double.seen_at(route).last().context("it was not asked")?.request.json())
}

fn asking(model: &str, stream: bool, more: &Value) -> Request {
    let mut body =
        json!({"model": model, "stream": stream, "messages": [{"role": "user", "content": FRANCE}]});
    for (name, value) in more.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    Request::post("/v1/chat/completions", &body)
}

async fn a_program_that_asks_for_gpt_gets_the_box_s_model(version: Version) -> Result<()> {
    let (double, daemon) = boxed(NAMES).await?;
    let caller = Caller::new(&daemon, version, Family::V4).await?;
    for stream in [false, true] {
        let answer = caller.send(&asking("gpt-4o-mini", stream, &json!({}))).await?;
        ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
        let (name, text) = if stream {
            let chat = Chat::read(&answer.body)?;
            (chat.chunks[0]["model"].clone(), chat.text())
        } else {
            let json = answer.json()?;
            let text = json["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned();
            (json["model"].clone(), text)
        };
        ensure!(name == "gpt-4o-mini" && text == PARIS, "{name} {text}");
        let body = sent(&double, "/api/chat")?;
        let options = json!({"temperature": 0.25, "top_k": 7, "num_predict": 50, "num_ctx": 1024});
        ensure!(body["model"] == "tiny:latest" && body["options"] == options, "{body}");
        ensure!(body["think"] == false && body["keep_alive"] == -1, "{body}");
    }
    // What the client says stays, but for what would have the model loaded anew.
    let own = json!({"temperature": 0, "max_completion_tokens": 20, "num_ctx": 99, "keep_alive": 0});
    caller.send(&asking("gpt-4o-mini", false, &own)).await?;
    let options = json!({"temperature": 0.0, "top_k": 7, "num_predict": 20, "num_ctx": 1024});
    let body = sent(&double, "/api/chat")?;
    ensure!(body["options"] == options && body["keep_alive"] == -1, "{body}");
    for name in ["tiny", "tiny:latest", "box/tiny"] {
        caller.send(&asking(name, false, &json!({}))).await?;
        let body = sent(&double, "/api/chat")?;
        let options = json!({"temperature": 1.5, "top_k": 7, "num_ctx": 1024});
        ensure!(body["options"] == options && body["keep_alive"] == -1, "{name}: {body}");
        ensure!(body.get("think").is_none(), "{name}: {body}");
    }
    // Of another model nothing is said: its Modelfile's word counts.
    caller.send(&asking("tiny-think", false, &json!({}))).await?;
    let body = sent(&double, "/api/chat")?;
    ensure!(body.get("options").is_none() && body.get("keep_alive").is_none(), "{body}");
    daemon.stop().await
}

#[tokio::test]
async fn a_body_that_is_passed_on_gets_what_its_client_does_not_say() -> Result<()> {
    let names = "\n[[models]]\nname = \"gpt\"\ntarget = \"tiny\"\ntemperature = 0.25\nrepeat_penalty = 1.1\nseed = 7\nthink = \"off\"\n\
                 context = 512\nkeep_alive = \"5m\"\nmax_tokens = 50\n";
    for style in [Style::Llama, Style::Vllm] {
        let double = Double::start(OpenAi::new(style, "tiny")).await;
        let daemon = Daemon::start(&named(Setup::backend("openai", &double.url()), names)).await?;
        let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
        let more = json!({"guided_regex": "[a-z]+", "temperature": 1, "seed": null});
        for stream in [false, true] {
            let answer = caller.send(&asking("gpt", stream, &more)).await?;
            ensure!(answer.status == 200, "{style:?}: {} {}", answer.status, answer.text());
            let mut expected = json!({
                "model": "tiny", "stream": stream, "messages": [{"role": "user", "content": FRANCE}],
                "guided_regex": "[a-z]+", "temperature": 1, "seed": 7, "max_tokens": 50, "repeat_penalty": 1.1,
                "repetition_penalty": 1.1, "chat_template_kwargs": {"enable_thinking": false},
            });
            if stream {
                expected["stream_options"] = json!({"include_usage": true});
            }
            let body = sent(&double, "/v1/chat/completions")?;
            ensure!(body == expected, "{style:?}: {body}");
        }
        caller.send(&asking("tiny", false, &json!({}))).await?;
        let body = sent(&double, "/v1/chat/completions")?;
        ensure!(body.as_object().is_some_and(|body| body.len() == 3), "{style:?}: {body}");
        // What the admin may send, a client still may not.
        let kwargs = json!({"chat_template_kwargs": {"enable_thinking": true}});
        check_error(&caller.send(&asking("gpt", false, &kwargs)).await?, 400, Some("unsupported_parameter"))?;
        daemon.stop().await?;
    }
    Ok(())
}

async fn lists_what_is_known_of_each_model(version: Version) -> Result<()> {
    let ollama = Double::start(Ollama::default()).await;
    let (llama, vllm) = (OpenAi::new(Style::Llama, "llama"), OpenAi::new(Style::Vllm, "vllm"));
    let (llama, vllm) = (Double::start(llama).await, Double::start(vllm).await);
    let plain = Double::start(OpenAi::new(Style::Transformers, "plain")).await;
    let setup = Setup::default()
        .with_backend("box", "ollama", &ollama.url(), "")
        .with_backend("llama", "openai", &llama.url(), "")
        .with_backend("vllm", "openai", &vllm.url(), "")
        .with_backend("plain", "openai", &plain.url(), "");
    let more = "[[models]]\nname = \"tiny-embed\"\nhidden = true\n[[models]]\nname = \"none\"\ntarget = \"nobody\"\n\
                [[models]]\nname = \"vllm\"\ncontext = 9\n";
    let daemon = Daemon::start(&named(setup, &(NAMES.to_owned() + more))).await?;
    let caller = Caller::new(&daemon, version, Family::V4).await?;
    let list = caller.send(&Request::get("/v1/models")).await?.json()?;
    let mut found = list["data"].as_array().context("no list")?.clone();
    for model in &mut found {
        ensure!(model["object"] == "model" && model["created"].is_u64(), "{model}");
        let model = model.as_object_mut().context("a model")?;
        model.remove("created");
        model.remove("object");
    }
    let ollama_s = |id: &str, context: u64| json!({"id": id, "owned_by": "box", "backend_kind": "ollama", "capabilities": ["completion"], "context_length": context});
    let mut gpt = ollama_s("gpt-4o-mini", 1024);
    gpt["alias_of"] = json!("tiny:latest");
    let expected = [
        ollama_s("tiny-think:latest", 2048),
        ollama_s("tiny:latest", 1024),
        json!({"id": "llama", "owned_by": "llama", "backend_kind": "openai", "context_length": 2048}),
        json!({"id": "vllm", "owned_by": "vllm", "backend_kind": "openai", "context_length": 2048}),
        json!({"id": "plain", "owned_by": "plain", "backend_kind": "openai"}),
        gpt.clone(),
    ];
    ensure!(found == expected, "{found:#?}");
    let one = caller.send(&Request::get("/v1/models/gpt-4o-mini")).await?.json()?;
    ensure!(one["alias_of"] == "tiny:latest" && one["id"] == "gpt-4o-mini", "{one}");
    ensure!(one["context_length"] == 1024 && one["capabilities"] == json!(["completion"]), "{one}");
    // What is left out of the list is answered.
    let hidden = caller.send(&Request::get("/v1/models/tiny-embed")).await?;
    ensure!(hidden.status == 200, "{}", hidden.text());
    ensure!(caller.send(&Request::chat("tiny-embed", FRANCE, false)).await?.status == 200);
    check_error(&caller.send(&Request::get("/v1/models/none")).await?, 404, Some("model_not_found"))?;
    let admins = admin::read(&daemon, "models").await?;
    let of =
        |id: &str| admins["models"].as_array().into_iter().flatten().find(|model| model["id"] == id).cloned();
    ensure!(of("gpt-4o-mini").is_some_and(|model| model["target"] == "tiny:latest"), "{admins}");
    ensure!(of("tiny-embed:latest").is_some_and(|model| model["hidden"] == true), "{admins}");
    ensure!(admin::read(&daemon, "status").await?["models"] == 6);
    daemon.stop().await
}

async fn a_key_may_use_a_name_by_either_name(version: Version) -> Result<()> {
    let names = "\n[[models]]\nname = \"gpt-4o-mini\"\ntarget = \"tiny\"\n[[models]]\nname = \"box/gpt\"\ntarget = \"tiny\"\n\
                 [[models]]\nname = \"gpt-none\"\ntarget = \"nobody\"\n";
    let (_double, daemon) = boxed(names).await?;
    let caller = async |patterns: Value| {
        let made = admin::make(&daemon, &json!({"name": patterns.to_string(), "models": patterns})).await?;
        let caller = Caller::keyless(&daemon, version, Family::V4).await?;
        anyhow::Ok(caller.with_key(Some(&made.key)))
    };
    let status = async |caller: &Caller, model: &str| {
        anyhow::Ok(caller.send(&Request::chat(model, FRANCE, false)).await?.status)
    };
    let listed = async |caller: &Caller| {
        let list = caller.send(&Request::get("/v1/models")).await?.json()?;
        anyhow::Ok(list["data"].as_array().cloned().unwrap_or_default())
    };
    // By the name: no other name of the model, and not what it stands for.
    let by_name = caller(json!(["gpt-*"])).await?;
    ensure!(status(&by_name, "gpt-4o-mini").await? == 200);
    for other in ["tiny", "tiny:latest", "box/tiny", "box/gpt", "tiny-think"] {
        ensure!(status(&by_name, other).await? == 404, "{other}");
    }
    let list = listed(&by_name).await?;
    ensure!(
        list.len() == 1 && list[0]["id"] == "gpt-4o-mini" && list[0].get("alias_of").is_none(),
        "{list:?}"
    );
    // Nor does it learn that from an engine's words, in which the model is called by its name.
    for (path, body) in [
        (
            "/v1/chat/completions",
            json!({"reasoning_effort": "high", "messages": [{"role": "user", "content": FRANCE}]}),
        ),
        ("/v1/embeddings", json!({"input": "a"})),
    ] {
        let mut body = body;
        body["model"] = json!("gpt-4o-mini");
        let refused = by_name.send(&Request::post(path, &body)).await?;
        let said = refused.text();
        ensure!(
            refused.status == 400 && said.contains("gpt-4o-mini") && !said.contains("tiny"),
            "{path}: {said}"
        );
    }
    // What it stands for is told to whoever may use all.
    let refused = by_name.send(&Request::chat("gpt-none", FRANCE, false)).await?;
    check_error(&refused, 404, Some("model_not_found"))?;
    ensure!(!refused.text().contains("nobody"), "{}", refused.text());
    // By the model: every name of it.
    let by_model = caller(json!(["tiny"])).await?;
    for name in ["gpt-4o-mini", "box/gpt", "tiny", "box/tiny"] {
        ensure!(status(&by_model, name).await? == 200, "{name}");
    }
    ensure!(listed(&by_model).await?.len() == 3, "{:?}", listed(&by_model).await?);
    // What is called as if it were a backend's is allowed by no pattern for that backend but through its model.
    for (pattern, gpt) in [("box/gpt", 404), ("box/*", 200), ("*", 200), ("*/*", 200)] {
        ensure!(status(&caller(json!([pattern])).await?, "box/gpt").await? == gpt, "{pattern}");
    }
    daemon.stop().await
}

#[tokio::test]
async fn a_reload_changes_names_and_defaults_at_once() -> Result<()> {
    let (double, daemon) = boxed(NAMES).await?;
    let caller = Caller::new(&daemon, Version::H1, Family::V4).await?;
    let setup = Setup::default().with_backend("box", "ollama", &double.url(), "");
    let names = "\n[[models]]\nname = \"gpt-4o-mini\"\ntarget = \"tiny-think\"\ntemperature = 2\n\
                 [[models]]\nname = \"tiny\"\ntarget = \"tiny-think\"\n[[models]]\nname = \"lost\"\ntarget = \"nobody\"\n";
    daemon.reconfigure(&named(setup.clone(), names)).await?;
    ensure!(caller.send(&asking("gpt-4o-mini", false, &json!({}))).await?.status == 200);
    let body = sent(&double, "/api/chat")?;
    ensure!(body["model"] == "tiny-think:latest" && body["options"] == json!({"temperature": 2.0}), "{body}");
    // Odd names are told: in the log, in the status, to whoever asks.
    daemon.wait_said("the name lost stands for the model nobody, which no backend has").await?;
    daemon.wait_said("the name tiny stands for the model tiny-think and hides tiny:latest").await?;
    let status = admin::read(&daemon, "status").await?;
    cause(&status, "alias_of_nothing", "note", "the name lost stands for the model nobody")?;
    cause(&status, "alias_hides", "note", "hides tiny:latest, which the backend box has")?;
    ensure!(status["condition"] == "ready", "{status}");
    for stream in [false, true] {
        let answer = caller.send(&asking("lost", stream, &json!({}))).await?;
        check_error(&answer, 404, Some("model_not_found"))?;
        ensure!(answer.text().contains("'lost'") && answer.text().contains("'nobody'"), "{}", answer.text());
    }
    daemon.reconfigure(&setup).await?;
    check_error(
        &caller.send(&asking("gpt-4o-mini", false, &json!({}))).await?,
        404,
        Some("model_not_found"),
    )?;
    until(&daemon, |status| !codes(status).iter().any(|code| code.starts_with("alias"))).await?;
    // A chain changes nothing that is in use.
    let chain = "\n[[models]]\nname = \"a\"\ntarget = \"b\"\n[[models]]\nname = \"b\"\ntarget = \"tiny\"\n";
    let told = daemon.reconfigure(&named(setup, chain)).await?;
    ensure!(told.contains("is itself another name"), "{told}");
    ensure!(caller.send(&asking("b", false, &json!({}))).await?.status == 404);
    daemon.stop().await
}

#[tokio::test]
async fn a_model_that_a_backend_gets_is_listed_and_answers_without_a_restart() -> Result<()> {
    let engine = Double::start(OpenAi::new(Style::Llama, "first")).await;
    let setup = Setup::backend("openai", &engine.url()).with_limits("find_interval = \"50ms\"");
    let names = "\n[[models]]\nname = \"gpt\"\ntarget = \"second\"\n";
    let daemon = Daemon::start(&named(setup, names)).await?;
    let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
    check_error(&caller.send(&Request::chat("gpt", FRANCE, false)).await?, 404, Some("model_not_found"))?;
    let list = "{\"data\":[{\"id\":\"first\"},{\"id\":\"second\",\"meta\":{\"n_ctx\":64}}]}";
    engine.misbehave("/v1/models", Sin::Status("200 OK", list.to_owned()));
    daemon.wait_said("openai has now: second").await?;
    let listed = caller.send(&Request::get("/v1/models")).await?.json()?;
    let ids: Vec<_> =
        listed["data"].as_array().into_iter().flatten().map(|model| model["id"].clone()).collect();
    ensure!(ids == ["first", "second", "gpt"] && listed["data"][2]["context_length"] == 64, "{listed}");
    for model in ["second", "gpt"] {
        let answer = caller.send(&Request::chat(model, FRANCE, false)).await?;
        ensure!(
            answer.status == 200 && sent(&engine, "/v1/chat/completions")?["model"] == "second",
            "{}",
            answer.text()
        );
    }
    daemon.stop().await
}

#[tokio::test]
async fn a_record_has_both_names_and_the_metrics_the_model_s() -> Result<()> {
    let (_double, daemon) = boxed(NAMES).await?;
    let address = daemon.plain(true)?;
    let ask = async |model: &str, id: &str| {
        plain(address, &Request::chat(model, FRANCE, false).with("x-request-id", id)).await?;
        record(&daemon, id).await
    };
    let gpt = ask("gpt-4o-mini", "gpt").await?;
    ensure!(gpt["model"] == "gpt-4o-mini" && gpt["alias_of"] == "tiny:latest", "{gpt:#}");
    let own = ask("tiny", "own").await?;
    ensure!(own["model"] == "tiny" && own.get("alias_of").is_none(), "{own:#}");
    let sheet = Sheet::until(&daemon, |sheet| sheet.text.contains("tiny:latest")).await?;
    ensure!(!sheet.text.contains("gpt-4o-mini"), "{}", sheet.text);
    daemon.stop().await
}
