//! The probes of `POST /v1/embeddings`.

use serde_json::{Value, json};

use super::{bench::Scene, probe::Probe};

/// A field of a request for the vector of one text.
fn of(model: &str, field: &'static str, value: &Value) -> Probe {
    Probe::new("/v1/embeddings", &json!({"model": model, "input": "hello"}), field, value)
}

/// What is refused by every kind of backend.
fn refused() -> [(&'static str, Value); 2] {
    [("messages", json!([{"role": "user", "content": "hello"}])), ("modality", json!("text"))]
}

fn is_base64(scene: &Scene) -> bool {
    scene.at("/data/0/embedding").is_string()
}

pub(super) fn ollama() -> Vec<Probe> {
    let tiny = |field, value| of("tiny-embed", field, &value);
    let two = json!(["hello", "world"]);
    let others = [
        tiny("model", json!("small-embed")).on_wire("/model", json!("small-embed:latest")),
        tiny("input", two.clone()).on_wire("/input", two),
        tiny("encoding_format", json!("base64")).emulated_against(|with, without| {
            is_base64(with) && !is_base64(without) && with.wire == without.wire
        }),
        tiny("dimensions", json!(16)).on_wire("/dimensions", json!(16)),
        tiny("user", json!("somebody")),
    ];
    refused().map(|(field, value)| tiny(field, value)).into_iter().chain(others).collect()
}

pub(super) fn openai() -> Vec<Probe> {
    let vectors = |field, value| of("vectors", field, &value);
    let others = [
        vectors("model", json!("other-vectors")).passed(|scene| {
            scene.at("/model") == "other-vectors" && scene.wire.iter().all(|body| body["model"] == "vectors")
        }),
        vectors("input", json!(["hello", "world"])).unchanged(),
        vectors("encoding_format", json!("base64")).unchanged(),
        // The double's are of this length.
        vectors("dimensions", json!(2)).unchanged(),
        vectors("user", json!("somebody")).unchanged(),
    ];
    refused().map(|(field, value)| vectors(field, value)).into_iter().chain(others).collect()
}

pub(super) fn engine() -> Vec<Probe> {
    let mean = |field, value| of("mean", field, &value);
    let others = [
        mean("model", json!("other-mean")).works(|scene| scene.at("/model") == "other-mean"),
        mean("input", json!(["hello", "world"])).works(|scene| scene.count("/data") == 2),
        mean("encoding_format", json!("base64")).works(is_base64),
        mean("dimensions", json!(16)),
        mean("user", json!("somebody")),
    ];
    refused().map(|(field, value)| mean(field, value)).into_iter().chain(others).collect()
}
