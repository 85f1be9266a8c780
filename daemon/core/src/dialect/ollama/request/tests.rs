//! What Ollama is sent for what a client asked.

use serde_json::{Value, json};

use super::chat_body;
use crate::config::Limits;
use crate::dialect::openai::parse_chat;
use crate::error::ApiError;

fn sent(request: &Value) -> Result<Value, ApiError> {
    let request = parse_chat(request.to_string().as_bytes(), &Limits::default())?;
    Ok(serde_json::from_slice(&chat_body(&request, "tiny:latest")?).unwrap())
}

fn with(field: &str, value: Value) -> Value {
    let mut request = json!({"model": "tiny", "messages": [{"role": "user", "content": "hi"}]});
    request[field] = value;
    request
}

fn weather() -> Value {
    json!({"type": "function", "function": {"name": "get_weather", "parameters":
        {"type": "object", "properties": {"city": {"type": "string", "description": "A city"}}, "required": ["city"]}}})
}

#[test]
fn the_least_request_sends_nothing_that_was_not_asked() {
    assert_eq!(
        sent(&with("stream", json!(false))).unwrap(),
        json!({"model": "tiny:latest", "messages": [{"role": "user", "content": "hi"}], "stream": true, "truncate": false})
    );
}

#[test]
fn options_carry_what_was_given() {
    let request = json!({
        "model": "tiny", "messages": [{"role": "user", "content": "hi"}],
        "temperature": 0, "top_p": 0.5, "top_k": 4, "min_p": 0.25, "repetition_penalty": 1.5, "seed": 7,
        "frequency_penalty": -1, "presence_penalty": 2, "max_tokens": 9, "max_completion_tokens": 5, "stop": "END",
    });
    assert_eq!(
        sent(&request).unwrap()["options"],
        json!({"temperature": 0.0, "top_p": 0.5, "top_k": 4, "min_p": 0.25, "repeat_penalty": 1.5, "seed": 7,
            "frequency_penalty": -1.0, "presence_penalty": 2.0, "num_predict": 5, "stop": ["END"]})
    );
    assert_eq!(sent(&with("max_tokens", json!(3))).unwrap()["options"], json!({"num_predict": 3}));
}

#[test]
fn the_administrators_settings_are_sent() {
    let mut request =
        parse_chat(with("stream", json!(true)).to_string().as_bytes(), &Limits::default()).unwrap();
    request.num_ctx = Some(8192);
    request.keep_alive = Some(-1);
    let body: Value = serde_json::from_slice(&chat_body(&request, "m").unwrap()).unwrap();
    assert_eq!((&body["options"], &body["keep_alive"]), (&json!({"num_ctx": 8192}), &json!(-1)));
}

#[test]
fn roles_parts_and_pictures() {
    let request = json!({"model": "m", "messages": [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [
            {"type": "text", "text": "What"}, {"type": "text", "text": "is this?"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}]},
        {"role": "assistant", "content": null, "reasoning_content": "Hm."},
    ]});
    assert_eq!(
        sent(&request).unwrap()["messages"],
        json!([
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "What\nis this?", "images": ["aGk="]},
            {"role": "assistant", "content": "", "thinking": "Hm."},
        ])
    );
}

#[test]
fn tool_results_find_their_functions_name() {
    let call = |id: &str, name: &str| json!({"id": id, "type": "function", "function": {"name": name, "arguments": "{\"a\": 1}"}});
    let request = json!({"model": "m", "messages": [
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": null, "tool_calls": [call("c1", "first"), call("c2", "second")]},
        {"role": "tool", "tool_call_id": "c2", "content": "2"},
        {"role": "tool", "tool_call_id": "c1", "content": "1"},
        {"role": "assistant", "content": "", "tool_calls": [call("c1", "third")]},
        {"role": "tool", "tool_call_id": "c1", "content": "3"},
        {"role": "tool", "tool_call_id": "c9", "content": "?"},
        {"role": "tool", "name": "named", "content": "!"},
    ]});
    let messages = &sent(&request).unwrap()["messages"];
    assert_eq!(
        messages[1]["tool_calls"][1],
        json!({"id": "c2", "function": {"index": 1, "name": "second", "arguments": {"a": 1}}})
    );
    let names: Vec<_> =
        messages.as_array().unwrap().iter().map(|message| message["tool_name"].as_str()).collect();
    assert_eq!(names, [None, None, Some("second"), Some("first"), None, Some("third"), None, Some("named")]);
    assert_eq!(messages[2]["tool_call_id"], "c2");
}

#[test]
fn arguments_that_are_no_object_are_one_with_their_text() {
    let call = json!({"id": "c", "function": {"name": "f", "arguments": "{\"city\": Paris"}});
    let request =
        json!({"model": "m", "messages": [{"role": "assistant", "content": null, "tool_calls": [call]}]});
    assert_eq!(
        sent(&request).unwrap()["messages"][0]["tool_calls"][0]["function"]["arguments"],
        json!({"arguments": "{\"city\": Paris"})
    );
}

#[test]
fn tools_go_out_as_they_came() {
    let mut request = with("tools", json!([weather()]));
    assert_eq!(sent(&request).unwrap()["tools"], json!([weather()]));
    request["tool_choice"] = json!("none");
    assert_eq!(sent(&request).unwrap()["tools"], Value::Null);
    let other = json!({"type": "function", "function": {"name": "other"}});
    request["tools"] = json!([other, weather()]);
    request["tool_choice"] = json!({"type": "function", "function": {"name": "get_weather"}});
    assert_eq!(sent(&request).unwrap()["tools"], json!([weather()]));
}

#[test]
fn a_call_is_asked_for_as_far_as_it_can_be_and_only_of_what_there_is() {
    let mut request = with("tools", json!([weather()]));
    let auto = sent(&request).unwrap();
    request["tool_choice"] = json!("required");
    assert_eq!(sent(&request).unwrap(), auto, "it has no word for it");
    request["tool_choice"] = json!({"type": "function", "function": {"name": "nobody"}});
    assert_eq!(sent(&request).unwrap_err().param(), Some("tool_choice"));
    for none in [json!([]), Value::Null] {
        (request["tools"], request["tool_choice"]) = (none, json!("required"));
        assert_eq!(sent(&request).unwrap_err().param(), Some("tool_choice"));
    }
}

#[test]
fn of_tools_that_are_allowed_no_other_is_shown() {
    let other = json!({"type": "function", "function": {"name": "other"}});
    let mut request = with("tools", json!([other, weather()]));
    for mode in [json!("auto"), json!("required"), Value::Null] {
        let allowed = json!([{"type": "function", "function": {"name": "get_weather"}}]);
        request["tool_choice"] =
            json!({"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": allowed}});
        assert_eq!(sent(&request).unwrap()["tools"], json!([weather()]));
    }
    for (allowed, param) in [
        (
            json!({"mode": "auto", "tools": [{"type": "function", "function": {"name": "nobody"}}]}),
            "tool_choice.allowed_tools.tools[0].function.name",
        ),
        (json!({"mode": "auto"}), "tool_choice.allowed_tools.tools"),
        (json!({"mode": "perhaps", "tools": []}), "tool_choice.allowed_tools.mode"),
        (
            json!({"mode": "auto", "tools": [{"type": "custom", "custom": {"name": "x"}}]}),
            "tool_choice.allowed_tools.tools[0].type",
        ),
    ] {
        request["tool_choice"] = json!({"type": "allowed_tools", "allowed_tools": allowed});
        assert_eq!(sent(&request).unwrap_err().param(), Some(param));
    }
}

#[test]
fn the_shape_of_the_answer() {
    assert_eq!(sent(&with("response_format", json!({"type": "text"}))).unwrap()["format"], Value::Null);
    assert_eq!(sent(&with("response_format", json!({"type": "json_object"}))).unwrap()["format"], "json");
    let schema = json!({"type": "object", "properties": {"b": {"type": "string"}, "a": {"const": 1}}});
    let format =
        json!({"type": "json_schema", "json_schema": {"name": "x", "strict": true, "schema": schema}});
    assert_eq!(sent(&with("response_format", format)).unwrap()["format"], schema);
}

#[test]
fn how_hard_to_think() {
    for (effort, think) in [
        ("none", json!(false)),
        ("minimal", json!("low")),
        ("low", json!("low")),
        ("medium", json!("medium")),
        ("high", json!("high")),
        ("xhigh", json!("max")),
        ("max", json!("max")),
    ] {
        assert_eq!(sent(&with("reasoning_effort", json!(effort))).unwrap()["think"], think);
        assert_eq!(sent(&with("reasoning", json!({"effort": effort}))).unwrap()["think"], think);
    }
    assert_eq!(sent(&with("think", json!(true))).unwrap()["think"], true);
    assert_eq!(sent(&with("think", json!(false))).unwrap()["think"], false);
}

#[test]
fn probabilities_of_tokens() {
    let body = sent(&with("logprobs", json!(true))).unwrap();
    assert_eq!((&body["logprobs"], &body["top_logprobs"]), (&json!(true), &Value::Null));
    let mut request = with("logprobs", json!(true));
    request["top_logprobs"] = json!(3);
    assert_eq!(sent(&request).unwrap()["top_logprobs"], 3);
}
