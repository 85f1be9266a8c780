//! The probes of `POST /v1/completions`.

use serde_json::{Value, json};

use super::{
    bench::Scene,
    probe::{Look, Probe},
};

const PROMPT: &str = "This program is free";

/// A field of a completion with this model.
fn of(model: &str, field: &'static str, value: &Value) -> Probe {
    let base = json!({"model": model, "prompt": PROMPT, "max_tokens": 12});
    Probe::new("/v1/completions", &base, field, value)
}

/// Those that only a server of OpenAI's API may know.
fn foreign() -> [(&'static str, Value); 4] {
    [
        ("user", json!("somebody")),
        ("num_ctx", json!(4096)),
        ("keep_alive", json!("5m")),
        ("options", json!({"num_ctx": 4096})),
    ]
}

/// Those that Ollama has a word for, at this place of its requests; they go to any other server as they came.
fn words() -> [(&'static str, Value, &'static str); 11] {
    [
        ("frequency_penalty", json!(0.5), "/options/frequency_penalty"),
        ("presence_penalty", json!(0.75), "/options/presence_penalty"),
        ("repeat_penalty", json!(1.25), "/options/repeat_penalty"),
        ("repetition_penalty", json!(1.25), "/options/repeat_penalty"),
        ("logprobs", json!(2), "/top_logprobs"),
        ("max_tokens", json!(3), "/options/num_predict"),
        ("seed", json!(7), "/options/seed"),
        ("temperature", json!(0.5), "/options/temperature"),
        ("top_p", json!(0.25), "/options/top_p"),
        ("top_k", json!(5), "/options/top_k"),
        ("min_p", json!(0.125), "/options/min_p"),
    ]
}

fn echoes(scene: &Scene) -> bool {
    scene.text().starts_with(PROMPT)
}

pub(super) fn ollama() -> Vec<Probe> {
    let tiny = |field, value| of("tiny", field, &value);
    let dead = foreign().map(|(field, value)| tiny(field, value));
    let words = words().map(|(field, value, pointer)| tiny(field, value.clone()).on_wire(pointer, value));
    let prompts = json!([PROMPT, "This program", "The licence"]);
    let streamed = json!({"stream": true});
    let others = [
        tiny("model", json!("tiny-think")).on_wire("/model", json!("tiny-think:latest")),
        tiny("prompt", prompts.clone()).emulated(move |scene| {
            let sent: Vec<&Value> = scene.wire.iter().map(|body| &body["prompt"]).collect();
            scene.count("/choices") == 3 && json!(sent) == prompts
        }),
        tiny("best_of", json!(2)),
        tiny("echo", json!(true)).emulated(echoes),
        tiny("logit_bias", json!({"5": 1})),
        tiny("n", json!(3)).emulated(|scene| scene.count("/choices") == 3 && scene.wire.len() == 3),
        tiny("stop", json!([" of", "x"])).on_wire("/options/stop", json!([" of", "x"])),
        tiny("stream", json!(true)).works(Scene::is_stream),
        tiny("stream_options", json!({"include_usage": true})).beside(&streamed).works(Scene::has_usage),
        tiny("stream_options.include_obfuscation", json!(true)).beside(&streamed),
        tiny("suffix", json!(" software."))
            .beside(&json!({"model": "tiny-fill"}))
            .on_wire("/suffix", json!(" software.")),
    ];
    dead.into_iter().chain(words).chain(others).collect()
}

pub(super) fn openai() -> Vec<Probe> {
    let large = |field, value| of("large", field, &value);
    let words = words().map(|(field, value, _)| (field, value));
    let passed = foreign().into_iter().chain(words).map(|(field, value)| large(field, value).unchanged());
    let streamed = json!({"stream": true});
    let small = json!({"model": "small"});
    let others = [
        large("model", json!("other-large")).passed(|scene| {
            scene.at("/model") == "other-large" && scene.wire.iter().all(|body| body["model"] == "large")
        }),
        large("prompt", json!(["This program", "The licence"])).unchanged(),
        large("best_of", json!(2)).unchanged(),
        large("echo", json!(true)).unchanged(),
        large("logit_bias", json!({"5": 1})).unchanged(),
        large("n", json!(3))
            .beside(&small)
            .emulated(|scene| scene.count("/choices") == 3 && scene.wire.len() == 3),
        large("stop", json!([" of", "x"])).unchanged(),
        large("stream", json!(true)).unchanged(),
        // The daemon asks for the counts of any stream, and gives them to whoever wants them.
        large("stream_options", json!({"include_usage": true})).beside(&streamed).passed(Scene::has_usage),
        large("stream_options.include_obfuscation", json!(true)).beside(&streamed).unchanged(),
        large("suffix", json!(" software.")).beside(&small).unchanged(),
    ];
    passed.chain(others).collect()
}

/// There is no such endpoint there, whatever is sent to it.
pub(super) fn engine() -> Vec<Probe> {
    let there = |probe: Probe| {
        let sent = if probe.field == "model" { json!({"model": "other-demo"}) } else { probe.sent.clone() };
        Probe { sent, look: Look::Nowhere, ..probe.beside(&json!({"model": "ghostllm-demo"})) }
    };
    openai().into_iter().map(there).collect()
}
