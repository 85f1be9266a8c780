//! Keys for some models: what they open, and that they tell nothing of the others.

use anyhow::{Result, ensure};
use ghostllm_tests::{
    admin,
    client::{Answer, Caller, Family, Request, Version},
    daemon::{Daemon, Setup},
    double::Double,
    ollama::Ollama,
    openai::{OpenAi, Style},
};
use serde_json::{Value, json};

use crate::{FRANCE, check_error, on_every_version};

/// The backend `box`, an Ollama; and `other`, whose one model calls itself as if it were the first one's.
async fn two(more: impl FnOnce(Setup) -> Setup) -> Result<(Double, Double, Daemon)> {
    let first = Double::start(Ollama::default()).await;
    let second = Double::start(OpenAi::new(Style::Vllm, "box/secret")).await;
    let setup = Setup::default().with_backend("box", "ollama", &first.url(), "");
    let daemon = Daemon::start(&more(setup.with_backend("other", "openai", &second.url(), ""))).await?;
    Ok((first, second, daemon))
}

async fn caller(daemon: &Daemon, version: Version, patterns: Value) -> Result<Caller> {
    let made = admin::make(daemon, &json!({"name": patterns.to_string(), "models": patterns})).await?;
    Ok(Caller::keyless(daemon, version, Family::V4).await?.with_key(Some(&made.key)))
}

async fn listed(caller: &Caller) -> Result<Vec<String>> {
    let list = caller.send(&Request::get("/v1/models")).await?.json()?;
    let ids = list["data"].as_array().into_iter().flatten().filter_map(|model| model["id"].as_str());
    Ok(ids.map(str::to_owned).collect())
}

/// What is answered where this model is asked for by each route that takes a name.
async fn asked(caller: &Caller, model: &str) -> Result<[Answer; 3]> {
    Ok([
        caller.send(&Request::get(&format!("/v1/models/{model}"))).await?,
        caller.send(&Request::chat(model, FRANCE, false)).await?,
        caller.send(&Request::chat(model, FRANCE, true)).await?,
    ])
}

on_every_version!(
    a_backend_s_name_in_a_pattern_stands_for_that_backend_alone,
    what_is_not_allowed_is_told_as_what_does_not_exist
);

async fn a_backend_s_name_in_a_pattern_stands_for_that_backend_alone(version: Version) -> Result<()> {
    let (_first, second, daemon) = two(|setup| setup).await?;
    for patterns in [json!(["box/*"]), json!(["box/secret"]), json!(["*/*"])] {
        let mine = caller(&daemon, version, patterns.clone()).await?;
        let list = listed(&mine).await?;
        ensure!(!list.iter().any(|id| id == "box/secret"), "{patterns}: {list:?}");
        ensure!(list.iter().any(|id| id == "tiny:latest") == (patterns != json!(["box/secret"])), "{list:?}");
        for model in ["box/secret", "other/box/secret"] {
            for answer in asked(&mine, model).await? {
                check_error(&answer, 404, Some("model_not_found"))?;
            }
        }
    }
    ensure!(second.seen_at("/v1/chat/completions").is_empty(), "the engine was asked");
    let box_s = caller(&daemon, version, json!(["box/tiny"])).await?;
    ensure!(listed(&box_s).await? == ["tiny:latest"]);
    for pattern in ["other/box/*", "*"] {
        let theirs = caller(&daemon, version, json!([pattern])).await?;
        ensure!(listed(&theirs).await?.iter().any(|id| id == "box/secret"), "{pattern}");
        for model in ["box/secret", "other/box/secret"] {
            for answer in asked(&theirs, model).await? {
                ensure!(answer.status == 200, "{pattern} {model}: {}", answer.text());
            }
        }
    }
    daemon.stop().await
}

/// All of an answer but the name that was asked for and the request's own ids.
fn shape(answer: &Answer, name: &str) -> (u16, Vec<(String, String)>, String) {
    let headers = answer
        .headers
        .iter()
        .filter(|(name, _)| !["traceparent", "x-request-id", "date"].contains(&name.as_str()));
    (answer.status, headers.cloned().collect(), answer.text().replace(name, "NAME"))
}

async fn what_is_not_allowed_is_told_as_what_does_not_exist(version: Version) -> Result<()> {
    // Also where a backend has never said what it has, for which reason whoever may use all is told to wait.
    let silent = |setup: Setup| setup.with_backend("silent", "openai", "http://127.0.0.1:1", "");
    for silent in [None, Some(silent)] {
        let doubtful = silent.is_some();
        let (_first, _second, daemon) =
            two(|setup| silent.map_or(setup.clone(), |silent| silent(setup))).await?;
        let mine = caller(&daemon, version, json!(["tiny"])).await?;
        ensure!(listed(&mine).await? == ["tiny:latest"]);
        // Each beside a name of the same length that nobody has.
        for (theirs, nobody_s) in [
            ("tiny-think", "tiny-thinx"),
            ("tiny-think:latest", "tiny-thinx:latest"),
            ("box/tiny-think", "box/tiny-thinx"),
            ("box/secret", "box/secrex"),
            ("other/box/secret", "other/box/secrex"),
            ("other/box/secret", "othex/box/secret"),
            ("silent/any", "silenx/any"),
        ] {
            let (there, missing) = (asked(&mine, theirs).await?, asked(&mine, nobody_s).await?);
            for (there, missing) in there.iter().zip(&missing) {
                check_error(there, 404, Some("model_not_found"))?;
                let (there, missing) = (shape(there, theirs), shape(missing, nobody_s));
                ensure!(there == missing, "{theirs}: {there:?}\n{nobody_s}: {missing:?}");
            }
        }
        let all = caller(&daemon, version, json!([])).await?;
        for answer in asked(&all, "nobody").await? {
            let (status, code) =
                if doubtful { (503, "backend_unavailable") } else { (404, "model_not_found") };
            check_error(&answer, status, Some(code))?;
        }
        daemon.stop().await?;
    }
    Ok(())
}
