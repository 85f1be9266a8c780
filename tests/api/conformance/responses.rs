//! The probes of `POST /v1/responses`, which is translated for every kind of backend.

pub(super) mod engine;

use serde_json::{Value, json};

use super::{bench::Scene, chat::forms, probe::Probe};
use crate::FRANCE;

/// A field of a request with this model.
fn of(model: &str, field: &'static str, value: &Value) -> Probe {
    Probe::new("/v1/responses", &json!({"model": model, "input": FRANCE}), field, value)
}

/// What is refused or ignored by every kind of backend, with what asks for it.
fn dead() -> [(&'static str, Value); 29] {
    [
        ("background", json!(true)),
        ("previous_response_id", json!("resp_1")),
        ("conversation", json!("conv_1")),
        ("prompt", json!({"id": "pmpt_1"})),
        ("moderation", json!({"model": "omni-moderation-latest"})),
        ("store", json!(true)),
        ("truncation", json!("auto")),
        ("service_tier", json!("priority")),
        ("text.verbosity", json!("low")),
        ("reasoning.context", json!("all_turns")),
        ("reasoning.mode", json!("pro")),
        ("stream_options.include_obfuscation", json!(true)),
        ("context_management", json!([{"type": "compaction", "compact_threshold": 1000}])),
        ("background_options", json!({"completion_window": "2h"})),
        ("max_tool_calls", json!(2)),
        ("image", json!({"context_compression": "disabled"})),
        ("access_programs", json!({"cyber": "standard"})),
        ("prompt_cache_options", json!({"ttl": "30m"})),
        ("prompt_cache_retention", json!("24h")),
        ("messages", json!([{"role": "user", "content": "Hello"}])),
        ("max_tokens", json!(3)),
        ("max_completion_tokens", json!(3)),
        ("response_format", json!({"type": "json_object"})),
        ("reasoning_effort", json!("low")),
        ("functions", json!([{"name": "get_weather", "parameters": schema()}])),
        ("function_call", json!("auto")),
        ("logprobs", json!(true)),
        ("logit_bias", json!({"5": 1})),
        ("n", json!(2)),
    ]
}

/// What the response repeats.
fn repeated(model: &'static str) -> impl Iterator<Item = Probe> {
    let fields = [
        ("metadata", json!({"a": "b"}), "/metadata"),
        ("prompt_cache_key", json!("k"), "/prompt_cache_key"),
        ("safety_identifier", json!("s"), "/safety_identifier"),
        ("user", json!("somebody"), "/user"),
    ];
    let probe = move |(field, value, at): (&'static str, Value, &'static str)| {
        of(model, field, &value).emulated(move |scene| scene.at(at) == value)
    };
    fields.into_iter().map(probe)
}

/// The numbers, each with its place in an Ollama's request, and in a chat.
fn numbers() -> [(&'static str, Value, &'static str, &'static str); 11] {
    [
        ("max_output_tokens", json!(3), "/options/num_predict", "/max_tokens"),
        ("temperature", json!(0.5), "/options/temperature", "/temperature"),
        ("top_p", json!(0.25), "/options/top_p", "/top_p"),
        ("top_k", json!(5), "/options/top_k", "/top_k"),
        ("min_p", json!(0.125), "/options/min_p", "/min_p"),
        ("repeat_penalty", json!(1.25), "/options/repeat_penalty", "/repeat_penalty"),
        ("repetition_penalty", json!(1.25), "/options/repeat_penalty", "/repetition_penalty"),
        ("frequency_penalty", json!(0.5), "/options/frequency_penalty", "/frequency_penalty"),
        ("presence_penalty", json!(0.75), "/options/presence_penalty", "/presence_penalty"),
        ("seed", json!(7), "/options/seed", "/seed"),
        ("stop", json!([" of", "x"]), "/options/stop", "/stop"),
    ]
}

/// Two functions.
fn tools() -> Value {
    let tool = |name: &str| {
        json!({"type": "function", "name": name, "description": "Tells it of a city.",
            "parameters": {"type": "object", "properties": {"city": {"enum": ["Oslo", "Rome"]}}, "required": ["city"],
                "additionalProperties": false}})
    };
    json!([tool("get_weather"), tool("get_time")])
}

fn named(function: &str) -> Value {
    json!({"type": "function", "name": function})
}

fn schema() -> Value {
    json!({"type": "object", "properties": {"city": {"type": "string"}}})
}

fn format(schema: &Value) -> Value {
    json!({"format": {"type": "json_schema", "name": "answer", "schema": schema}})
}

const LOGPROBS: &str = "message.output_text.logprobs";

/// The names of the functions that are called.
fn calls(scene: &Scene) -> Vec<Value> {
    let items = scene.at("/output");
    let calls = items.as_array().into_iter().flatten().filter(|item| item["type"] == "function_call");
    calls.map(|item| item["name"].clone()).collect()
}

/// The names of the functions that the backend is told of.
fn offered(scene: &Scene) -> Vec<&Value> {
    let tools = scene.wire.iter().filter_map(|body| body["tools"].as_array()).flatten();
    tools.map(|tool| &tool["function"]["name"]).collect()
}

/// The fields whose effect is seen on the wire of a double, by the double's places.
fn on_wire(model: &'static str, system: Value, [format_at, top]: [&'static str; 2]) -> [Probe; 6] {
    let list = json!([{"role": "user", "content": [{"type": "input_text", "text": "Hello"}]}]);
    let include = json!({"include": [LOGPROBS]});
    [
        of(model, "input", &list).on_wire("/messages/0/content", json!("Hello")),
        of(model, "instructions", &json!("Be brief.")).on_wire("/messages/0", system),
        of(model, "include", &json!([LOGPROBS])).on_wire("/logprobs", json!(true)),
        of(model, "top_logprobs", &json!(3)).beside(&include).on_wire(top, json!(3)),
        of(model, "text", &format(&schema())).on_wire(format_at, schema()),
        of(model, "tools", &tools()).works(|scene| offered(scene) == ["get_weather", "get_time"]),
    ]
}

/// One call where the backend makes two.
fn one_call(model: &'static str) -> Probe {
    of(model, "parallel_tool_calls", &json!(false)).beside(&json!({ "tools": tools() })).emulated_against(
        |with, without| calls(with) == ["get_weather"] && calls(without) == ["get_weather", "get_time"],
    )
}

pub(super) fn ollama() -> Vec<Probe> {
    let dead = dead().into_iter().chain(forms()).map(|(field, value)| of("tiny", field, &value));
    let numbers = numbers().map(|(field, value, at, _)| of("tiny", field, &value).on_wire(at, value));
    let offering = json!({ "tools": tools() });
    let others = [
        of("tiny", "model", &json!("tiny-think")).on_wire("/model", json!("tiny-think:latest")),
        of("tiny-think", "reasoning", &json!({"effort": "low"})).on_wire("/think", json!("low")),
        of("tiny", "stream", &json!(true)).works(Scene::is_stream),
        of("tiny", "tool_choice", &named("get_time"))
            .beside(&offering)
            .emulated(|scene| offered(scene) == ["get_time"]),
        of("tiny", "tool_choice", &json!("required")).beside(&offering).emulated_against(|with, without| {
            let told = with.header("x-ghostllm-unpromised") == Some("tool_choice");
            told && without.header("x-ghostllm-unpromised").is_none() && with.wire == without.wire
        }),
        of("tiny", "tool_choice", &json!("none"))
            .beside(&offering)
            .emulated(|scene| offered(scene).is_empty()),
        one_call("pair"),
    ];
    let system = json!({"role": "system", "content": "Be brief."});
    let wire = on_wire("tiny", system, ["/format", "/top_logprobs"]);
    let all = dead.chain(numbers).chain(others);
    all.chain(wire).chain(repeated("tiny")).collect()
}

pub(super) fn openai() -> Vec<Probe> {
    let dead = dead().into_iter().chain(forms()).map(|(field, value)| of("large", field, &value));
    let numbers = numbers().map(|(field, value, _, at)| of("large", field, &value).on_wire(at, value));
    let choice = json!({"type": "function", "function": {"name": "get_time"}});
    let others = [
        of("large", "model", &json!("other-large")).works(|scene| {
            scene.at("/model") == "other-large" && scene.wire.iter().all(|body| body["model"] == "large")
        }),
        of("large", "reasoning", &json!({"effort": "low"})).on_wire("/reasoning_effort", json!("low")),
        of("large", "stream", &json!(true)).works(Scene::is_stream),
        of("large", "tool_choice", &named("get_time")).beside(&json!({ "tools": tools() })).passed(
            move |scene| {
                let told = scene.header("x-ghostllm-unpromised") == Some("tool_choice");
                told && scene.wire.len() == 1 && scene.wire.iter().all(|body| body["tool_choice"] == choice)
            },
        ),
        one_call("duo"),
    ];
    let system = json!({"role": "system", "content": "Be brief."});
    let wire = on_wire("large", system, ["/response_format/json_schema/schema", "/top_logprobs"]);
    let all = dead.chain(numbers).chain(others);
    all.chain(wire).chain(repeated("large")).collect()
}
