//! A chat's fields at an Ollama: by its own words on the wire, or by what the daemon does.

use serde_json::{Value, json};

use super::super::{bench::Scene, probe::Probe};
use super::{allowed, calls, foreign, forms, named, of, refused, strict, tools};

fn tiny(field: &'static str, value: &Value) -> Probe {
    of("tiny", field, value)
}

/// A field that is a word of Ollama's at this place.
fn word(field: &'static str, value: &Value, pointer: &'static str) -> Probe {
    tiny(field, value).on_wire(pointer, value.clone())
}

fn thinking(field: &'static str, value: &Value, think: Value) -> Probe {
    tiny(field, value).beside(&json!({"model": "tiny-think"})).on_wire("/think", think)
}

/// The names of the functions that Ollama is told of.
fn offered(scene: &Scene) -> Vec<&Value> {
    let tools = scene.wire.iter().filter_map(|body| body["tools"].as_array()).flatten();
    tools.map(|tool| &tool["function"]["name"]).collect()
}

pub(in super::super) fn probes() -> Vec<Probe> {
    let dead =
        refused().into_iter().chain(foreign()).chain(forms()).map(|(field, value)| tiny(field, &value));
    dead.chain(requests()).chain(numbers()).chain(answers()).chain(functions()).collect()
}

fn requests() -> [Probe; 11] {
    let system = json!([{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Hello"}]);
    let first = json!({"role": "system", "content": "Be brief."});
    [
        tiny("model", &json!("tiny-think")).on_wire("/model", json!("tiny-think:latest")),
        tiny("messages", &system).on_wire("/messages/0", first),
        thinking("reasoning_effort", &json!("low"), json!("low")),
        thinking("think", &json!(true), json!(true)),
        thinking("reasoning", &json!({"effort": "high"}), json!("high")),
        tiny("logit_bias", &json!({"5": 1})),
        tiny("store", &json!(true)),
        tiny("stream", &json!(true)).works(Scene::is_stream),
        tiny("stream_options", &json!({"include_usage": true}))
            .beside(&json!({"stream": true}))
            .works(Scene::has_usage),
        tiny("stream_options.include_obfuscation", &json!(true)).beside(&json!({"stream": true})),
        word("stop", &json!([" of", "x"]), "/options/stop"),
    ]
}

fn numbers() -> [Probe; 11] {
    [
        word("frequency_penalty", &json!(0.5), "/options/frequency_penalty"),
        word("presence_penalty", &json!(0.75), "/options/presence_penalty"),
        word("repeat_penalty", &json!(1.25), "/options/repeat_penalty"),
        word("repetition_penalty", &json!(1.25), "/options/repeat_penalty"),
        word("max_completion_tokens", &json!(3), "/options/num_predict"),
        word("max_tokens", &json!(3), "/options/num_predict"),
        word("seed", &json!(7), "/options/seed"),
        word("temperature", &json!(0.5), "/options/temperature"),
        word("top_p", &json!(0.25), "/options/top_p"),
        word("top_k", &json!(5), "/options/top_k"),
        word("min_p", &json!(0.125), "/options/min_p"),
    ]
}

fn answers() -> [Probe; 4] {
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    let format = json!({"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}});
    [
        word("logprobs", &json!(true), "/logprobs"),
        word("top_logprobs", &json!(3), "/top_logprobs").beside(&json!({"logprobs": true})),
        tiny("response_format", &format).on_wire("/format", schema),
        // One request for each answer, of which none says how many there are.
        tiny("n", &json!(3)).emulated(|scene| {
            let untold = scene.wire.iter().all(|body| body.get("n").is_none());
            scene.count("/choices") == 3 && scene.wire.len() == 3 && untold
        }),
    ]
}

fn functions() -> [Probe; 7] {
    let offering = json!({ "tools": tools() });
    [
        strict("tiny"),
        tiny("tools", &tools()).works(|scene| offered(scene) == ["get_weather", "get_time"]),
        tiny("tool_choice", &named("get_time"))
            .beside(&offering)
            .emulated(|scene| offered(scene) == ["get_time"]),
        tiny("tool_choice", &json!("required")).beside(&offering).emulated_against(|with, without| {
            let told = with.header("x-ghostllm-unpromised") == Some("tool_choice");
            told && without.header("x-ghostllm-unpromised").is_none() && with.wire == without.wire
        }),
        tiny("tool_choice", &allowed("get_time"))
            .beside(&offering)
            .emulated(|scene| offered(scene) == ["get_time"]),
        tiny("tool_choice", &json!("none")).beside(&offering).emulated(|scene| offered(scene).is_empty()),
        tiny("parallel_tool_calls", &json!(false)).beside(&json!({"model": "pair"})).emulated_against(
            |with, without| {
                let untold = with.wire == without.wire;
                calls(with) == ["get_weather"] && calls(without) == ["get_weather", "get_time"] && untold
            },
        ),
    ]
}
