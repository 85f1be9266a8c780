//! The probes of `POST /v1/chat/completions`.

pub(super) mod engine;
pub(super) mod ollama;
pub(super) mod openai;

use serde_json::{Value, json};

use super::{bench::Scene, probe::Probe};
use crate::FRANCE;

/// A field of a chat with this model.
fn of(model: &str, field: &'static str, value: &Value) -> Probe {
    let base = json!({"model": model, "messages": [{"role": "user", "content": FRANCE}]});
    Probe::new("/v1/chat/completions", &base, field, value)
}

/// The fields that are refused by every kind of backend, with what asks for them.
fn refused() -> [(&'static str, Value); 6] {
    [
        ("audio", json!({"voice": "alloy", "format": "wav"})),
        ("function_call", json!("auto")),
        ("functions", json!([{"name": "f"}])),
        ("modalities", json!(["text", "audio"])),
        ("moderation", json!({"model": "omni-moderation-latest"})),
        ("web_search_options", json!({})),
    ]
}

/// Forms of an answer in the words of engines, which are refused where no server of OpenAI's API may know them.
pub(super) fn forms() -> [(&'static str, Value); 14] {
    [
        ("guided_json", json!({"type": "object"})),
        ("guided_regex", json!("[a-z]+")),
        ("guided_choice", json!(["yes", "no"])),
        ("guided_grammar", json!("root ::= \"yes\"")),
        ("structured_outputs", json!({"regex": "[a-z]+"})),
        ("grammar", json!("root ::= \"yes\"")),
        ("json_schema", json!({"type": "object"})),
        ("format", json!("json")),
        ("regex", json!("[a-z]+")),
        ("ebnf", json!("root ::= \"yes\"")),
        ("structural_tag", json!({"type": "structural_tag"})),
        ("stop_token_ids", json!([1])),
        ("bad_words", json!(["no"])),
        ("min_tokens", json!(5)),
    ]
}

/// Those that only a server of OpenAI's API may know.
fn foreign() -> [(&'static str, Value); 12] {
    [
        ("metadata", json!({"a": "b"})),
        ("prediction", json!({"type": "content", "content": "The capital"})),
        ("prompt_cache_key", json!("k")),
        ("prompt_cache_options", json!({"mode": "explicit"})),
        ("prompt_cache_retention", json!("24h")),
        ("safety_identifier", json!("s")),
        ("service_tier", json!("priority")),
        ("user", json!("somebody")),
        ("verbosity", json!("low")),
        ("num_ctx", json!(4096)),
        ("keep_alive", json!("5m")),
        ("options", json!({"num_ctx": 4096})),
    ]
}

/// Two functions.
fn tools() -> Value {
    let tool = |name: &str| {
        json!({"type": "function", "function": {"name": name, "description": "Tells it of a city.",
            "parameters": {"type": "object", "properties": {"city": {"enum": ["Oslo", "Rome"]}}, "required": ["city"],
                "additionalProperties": false}}})
    };
    json!([tool("get_weather"), tool("get_time")])
}

/// The word by which a function's calls must keep to its schema, which demands two arguments, with it and without it.
fn strict(model: &str) -> Probe {
    let tools = |strict: bool| {
        let schema = json!({"type": "object", "required": ["city", "unit"], "additionalProperties": false,
            "properties": {"city": {"type": "string", "maxLength": 12}, "unit": {"enum": ["celsius"]}}});
        let function = json!({"name": "get_weather", "description": "Get the weather for a city", "strict": strict, "parameters": schema});
        json!({"tools": [{"type": "function", "function": function}]})
    };
    let question = json!({"messages": [{"role": "user", "content": "What is the weather in Berlin?"}]});
    let probe = of(model, "tools.function.strict", &json!(true)).beside(&question).beside(&tools(false));
    Probe { sent: tools(true), ..probe }
}

fn named(function: &str) -> Value {
    json!({"type": "function", "function": {"name": function}})
}

/// A choice among this function alone, one call of which is wanted.
fn allowed(function: &str) -> Value {
    json!({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [named(function)]}})
}

/// A schema that only one answer fulfils.
fn only_yes() -> Value {
    json!({"type": "json_schema", "json_schema": {"name": "answer", "schema": {"const": "yes"}}})
}

/// The names of the functions that are called.
fn calls(scene: &Scene) -> Vec<Value> {
    let calls = scene.at("/choices/0/message/tool_calls");
    calls.as_array().into_iter().flatten().map(|call| call["function"]["name"].clone()).collect()
}
