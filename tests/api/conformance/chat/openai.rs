//! A chat's fields at a server that speaks OpenAI's API: as they came, or what the daemon does with them.

use serde_json::{Value, json};

use super::super::{bench::Scene, probe::Probe};
use super::{calls, foreign, forms, named, of, only_yes, refused, strict, tools};

fn large(field: &'static str, value: &Value) -> Probe {
    of("large", field, value)
}

pub(in super::super) fn probes() -> Vec<Probe> {
    let refused = refused().into_iter().map(|(field, value)| large(field, &value));
    let passed = foreign()
        .into_iter()
        .chain(forms())
        .chain(known())
        .map(|(field, value)| large(field, &value).unchanged());
    refused.chain(passed).chain(others()).collect()
}

/// What goes there as it came, sent alone.
fn known() -> [(&'static str, Value); 19] {
    [
        (
            "messages",
            json!([{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Hello"}]),
        ),
        ("frequency_penalty", json!(0.5)),
        ("presence_penalty", json!(0.75)),
        ("repeat_penalty", json!(1.25)),
        ("repetition_penalty", json!(1.25)),
        ("logit_bias", json!({"5": 1})),
        ("logprobs", json!(true)),
        ("max_completion_tokens", json!(3)),
        ("max_tokens", json!(3)),
        ("reasoning_effort", json!("low")),
        ("think", json!(true)),
        ("reasoning", json!({"effort": "high"})),
        ("response_format", only_yes()),
        ("seed", json!(7)),
        ("stop", json!([" of", "x"])),
        ("temperature", json!(0.5)),
        ("top_p", json!(0.25)),
        ("top_k", json!(5)),
        ("min_p", json!(0.125)),
    ]
}

fn others() -> Vec<Probe> {
    let streamed = json!({"stream": true});
    vec![
        // It has its own name on the wire, and the one that was asked for in the answer.
        large("model", &json!("other-large")).passed(|scene| {
            scene.at("/model") == "other-large" && scene.wire.iter().all(|body| body["model"] == "large")
        }),
        large("n", &json!(3))
            .beside(&json!({"model": "small"}))
            .emulated(|scene| scene.count("/choices") == 3 && scene.wire.len() == 3),
        large("parallel_tool_calls", &json!(false)).beside(&json!({"model": "couple"})).emulated_against(
            |with, without| calls(with) == ["get_weather"] && calls(without) == ["get_weather", "get_time"],
        ),
        large("store", &json!(true)),
        large("stream", &json!(true)).unchanged(),
        large("stream", &json!(true)).passed(Scene::is_stream),
        // The daemon asks for the counts of any stream, and gives them to whoever wants them.
        large("stream_options", &json!({"include_usage": true})).beside(&streamed).passed(Scene::has_usage),
        large("stream_options.include_obfuscation", &json!(true)).beside(&streamed).unchanged(),
        strict("large").passed(|scene| {
            scene.wire.iter().all(|body| body["tools"][0]["function"]["strict"] == true)
                && scene.wire.len() == 1
        }),
        large("tools", &tools()).unchanged(),
        large("tool_choice", &named("get_time")).beside(&json!({ "tools": tools() })).unchanged(),
        large("tool_choice", &named("get_time"))
            .beside(&json!({ "tools": tools() }))
            .passed(|scene| scene.header("x-ghostllm-unpromised") == Some("tool_choice")),
        large("top_logprobs", &json!(3)).beside(&json!({"logprobs": true})).unchanged(),
    ]
}
