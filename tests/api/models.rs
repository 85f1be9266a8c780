//! The list of models, and one of them, on every version.

use anyhow::{Result, ensure};
use ghostllm_tests::{
    client::{Caller, Family, Request, Version},
    daemon::{Daemon, Setup},
    double::Double,
    ollama::{Model, Ollama},
};

use serde_json::json;

use crate::{check_error, ollama, on_every_version};

on_every_version!(lists_the_models, gives_one_model, gives_one_whose_name_has_a_percent_sign);

async fn lists_the_models(version: Version) -> Result<()> {
    let (_double, daemon) = ollama().await?;
    let caller = Caller::new(&daemon, version, Family::V4).await?;
    let answer = caller.send(&Request::get("/v1/models")).await?;
    let json = answer.json()?;
    ensure!(answer.status == 200 && json["object"] == "list", "{} {json}", answer.status);
    let models = json["data"].as_array().unwrap();
    for name in ["tiny:latest", "tiny-think:latest", "tiny-embed:latest"] {
        let model = models.iter().find(|model| model["id"] == name);
        ensure!(
            model.is_some_and(|model| model["object"] == "model" && model["created"].is_u64()),
            "{name}: {json}"
        );
    }
    daemon.stop().await
}

async fn gives_one_model(version: Version) -> Result<()> {
    let (_double, daemon) = ollama().await?;
    let caller = Caller::new(&daemon, version, Family::V6).await?;
    for path in
        ["/v1/models/tiny:latest", "/v1/models/tiny%3Alatest", "/v1/models/tiny", "/v1/models/box/tiny"]
    {
        let answer = caller.send(&Request::get(path)).await?;
        ensure!(
            answer.status == 200 && answer.json()?["object"] == "model",
            "{path}: {} {}",
            answer.status,
            answer.text()
        );
    }
    check_error(&caller.send(&Request::get("/v1/models/nope")).await?, 404, Some("model_not_found"))?;
    daemon.stop().await
}

async fn gives_one_whose_name_has_a_percent_sign(version: Version) -> Result<()> {
    let names = ["100%", "a%2Fb", "a/50%25"].map(|name| Model::new(name, false));
    let double = Double::start(Ollama::with(names.to_vec())).await;
    let daemon = Daemon::start(&Setup::backend("ollama", &double.url())).await?;
    let caller = Caller::new(&daemon, version, Family::V4).await?;
    for (path, id) in [
        ("100%25", "100%"),
        ("100%25%3Alatest", "100%:latest"),
        ("a%252Fb", "a%2Fb"),
        ("a%2F50%2525", "a/50%25"),
        ("a/50%2525", "a/50%25"),
    ] {
        let answer = caller.send(&Request::get(&format!("/v1/models/{path}"))).await?;
        ensure!(
            answer.status == 200 && answer.json()?["id"] == id,
            "{path}: {} {}",
            answer.status,
            answer.text()
        );
        let chat = caller.send(&Request::chat(id, "Hello", false)).await?;
        ensure!(chat.status == 200, "{id}: {} {}", chat.status, chat.text());
    }
    // Undone once: this one is called a/b, and there is none.
    check_error(&caller.send(&Request::get("/v1/models/a%2Fb")).await?, 404, Some("model_not_found"))?;
    let elsewhere = caller.send(&Request::get("/v1/100%25")).await?;
    ensure!(elsewhere.status == 400, "{} {}", elsewhere.status, elsewhere.text());
    daemon.stop().await
}

/// Ollama's own `/v1` says null there, which typed clients take for no list.
#[tokio::test]
async fn a_box_without_a_model_has_a_list_with_nothing_in_it() -> Result<()> {
    let double = Double::start(Ollama::with(Vec::new())).await;
    let daemon = Daemon::start(&Setup::backend("ollama", &double.url())).await?;
    let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
    let list = caller.send(&Request::get("/v1/models")).await?;
    ensure!(list.status == 200, "{} {}", list.status, list.text());
    ensure!(list.json()? == json!({"object": "list", "data": []}), "{}", list.text());
    daemon.stop().await
}
