//! Faulty requests: each is told its field and what is wanted, and none of its words come back.
//!
//! What the engine answers is logged by whoever asked, and a prompt has no place in a log.

use crate::support::{Engine, Reply, add_pooled};
use serde_json::{Value, json};

const SECRET: &str = "MY-SECRET-PROMPT";

fn refused(reply: &Reply, what: &str) -> Value {
    assert_eq!(reply.status, 400, "{what}: {}", reply.body);
    assert!(!reply.body.contains("SECRET"), "{what}: {}", reply.body);
    let error = reply.json()["error"].clone();
    assert_eq!(error["type"], "invalid_request_error", "{what}: {error}");
    assert!(error["code"].is_string(), "{what}: {error}");
    for word in ["serde", "untagged", "variant", "f32", "i64", "usize", "struct", "expected a sequence"] {
        assert!(!reply.body.contains(word), "{what} speaks of {word}: {}", reply.body);
    }
    error
}

/// Asks with each of these fields, and compares the field that the answer names.
fn each_is_told(cases: &[(&str, Value, &str)]) {
    let engine = Engine::start(&[]);
    for (field, value, param) in cases {
        let what = format!("{field} {value}");
        let mut more = json!({});
        more[*field] = value.clone();
        let error = refused(&engine.chat("hi", &more), &what);
        assert_eq!(error["param"], *param, "{what}: {error}");
        // The sentence names the field itself, or one above it.
        assert!(error["message"].as_str().unwrap().contains(field), "{what}: {error}");
    }
}

#[test]
fn a_wrong_type_is_told_by_field_in_words_and_without_the_value() {
    let (text, object, list) = (json!(SECRET), json!({SECRET: SECRET}), json!([SECRET]));
    each_is_told(&[
        ("model", list.clone(), "model"),
        ("stop", object.clone(), "stop"),
        ("stop", json!([[SECRET]]), "stop"),
        ("stream", text.clone(), "stream"),
        ("stream_options", text.clone(), "stream_options"),
        ("stream_options", json!({"include_usage": SECRET}), "stream_options.include_usage"),
        ("max_tokens", text.clone(), "max_tokens"),
        ("max_completion_tokens", text.clone(), "max_completion_tokens"),
        ("temperature", text.clone(), "temperature"),
        ("top_p", text.clone(), "top_p"),
        ("top_k", text.clone(), "top_k"),
        ("min_p", text.clone(), "min_p"),
        ("seed", text.clone(), "seed"),
        ("frequency_penalty", text.clone(), "frequency_penalty"),
        ("presence_penalty", text.clone(), "presence_penalty"),
        ("repetition_penalty", text.clone(), "repetition_penalty"),
        ("repeat_penalty", text.clone(), "repeat_penalty"),
        ("n", text.clone(), "n"),
        ("logprobs", text.clone(), "logprobs"),
        ("logit_bias", text.clone(), "logit_bias"),
        ("logit_bias", object.clone(), "logit_bias"),
        ("response_format", text.clone(), "response_format"),
        ("response_format", json!({"type": [SECRET]}), "response_format.type"),
        ("response_format", json!({"type": SECRET}), "response_format"),
        ("reasoning_effort", list.clone(), "reasoning_effort"),
        ("chat_template_kwargs", text.clone(), "chat_template_kwargs"),
    ]);
}

#[test]
fn a_wrong_type_inside_of_messages_and_tools_is_told_with_its_place() {
    let (text, object, list) = (json!(SECRET), json!({SECRET: SECRET}), json!([SECRET]));
    let message = |field: &str, value: &Value| {
        let mut message = json!({"role": "user", "content": "hi"});
        message[field] = value.clone();
        json!([message])
    };
    let function =
        |field: &str, value: &Value| json!([{"type": "function", "function": {"name": "f", field: value}}]);
    let call =
        |value: Value| json!([{"role": "user", "content": "hi"}, {"role": "assistant", "tool_calls": value}]);
    each_is_told(&[
        ("messages", text.clone(), "messages"),
        ("messages", object.clone(), "messages"),
        ("messages", list.clone(), "messages[0]"),
        ("messages", json!([{"content": SECRET}]), "messages[0].role"),
        ("messages", message("role", &list), "messages[0].role"),
        ("messages", message("role", &text), "messages[0].role"),
        ("messages", message("content", &object), "messages[0].content"),
        ("messages", message("content", &list), "messages[0].content[0]"),
        ("messages", message("content", &json!([{"type": SECRET}])), "messages[0].content[0].type"),
        (
            "messages",
            message("content", &json!([{"type": "text", "text": [SECRET]}])),
            "messages[0].content[0].text",
        ),
        ("messages", message("name", &list), "messages[0].name"),
        ("messages", message("tool_call_id", &object), "messages[0].tool_call_id"),
        ("messages", message("reasoning_content", &list), "messages[0].reasoning_content"),
        ("messages", call(text.clone()), "messages[1].tool_calls"),
        ("messages", call(list.clone()), "messages[1].tool_calls[0]"),
        ("messages", call(json!([{"function": SECRET}])), "messages[1].tool_calls[0].function"),
        (
            "messages",
            call(json!([{"function": {"name": [SECRET]}}])),
            "messages[1].tool_calls[0].function.name",
        ),
        (
            "messages",
            call(json!([{"function": {"name": "f", "arguments": [SECRET]}}])),
            "messages[1].tool_calls[0].function.arguments",
        ),
        ("tools", text.clone(), "tools"),
        ("tools", list.clone(), "tools[0]"),
        ("tools", json!([{"type": "function", "function": SECRET}]), "tools[0].function"),
        ("tools", json!([{"type": "function", "function": {"name": [SECRET]}}]), "tools[0].function.name"),
        ("tools", function("description", &list), "tools[0].function.description"),
        ("tools", function("parameters", &text), "tools[0].function.parameters"),
        ("tool_choice", text.clone(), "tool_choice"),
        ("tool_choice", object.clone(), "tool_choice"),
    ]);
}

#[test]
fn older_forms_of_calls_are_refused_with_what_took_their_place() {
    let engine = Engine::start(&[]);
    let call = json!({"name": "f", "arguments": "{}"});
    for (message, param, instead) in [
        (json!({"role": "function", "name": "f", "content": SECRET}), "messages[1].role", "tool_call_id"),
        (
            json!({"role": "assistant", "content": null, "function_call": call}),
            "messages[1].function_call",
            "tool_calls",
        ),
    ] {
        let messages = json!([{"role": "user", "content": "hi"}, message]);
        let error = refused(&engine.chat("", &json!({ "messages": messages })), param);
        assert_eq!(error["param"], param);
        let words = error["message"].as_str().unwrap();
        assert!(words.contains(param) && words.contains(instead), "{words}");
    }
    let messages = json!([{"role": "assistant", "content": "hi", "function_call": null}, {"role": "user", "content": "hi"}]);
    assert_eq!(engine.chat("", &json!({ "messages": messages })).status, 200);
}

#[test]
fn an_effort_is_one_of_those_that_there_are() {
    let engine = Engine::start(&[]);
    let ask = |effort: &str| engine.chat("hi", &json!({"reasoning_effort": effort, "max_tokens": 1}));
    for effort in ["none", "minimal", "low", "medium", "high", "xhigh", "max"] {
        assert_eq!(ask(effort).status, 200, "{effort}");
    }
    for effort in ["ultra", "High", "", SECRET] {
        let error = refused(&ask(effort), effort);
        assert_eq!((&error["code"], &error["param"]), (&json!("invalid_value"), &json!("reasoning_effort")));
        assert!(error["message"].as_str().unwrap().contains("medium"), "{error}");
    }
}

/// Whoever asks cannot start the engine, and whoever can may have the daemon do it.
#[test]
fn what_is_too_long_is_told_with_what_helps_and_who_can_do_it() {
    let engine = Engine::start(&["--context", "256"]);
    add_pooled(&engine, "mean", 1);
    for words in [400, 400_000] {
        let error = refused(&engine.chat(&"word ".repeat(words), &json!({})), "a long text");
        let message = error["message"].as_str().unwrap();
        let own = message.find("shorten it");
        let setting = message.find("engine.context");
        assert!(own.is_some() && own < setting && message.contains("--context"), "{message}");
    }
    let body = json!({"model": "mean", "input": "word ".repeat(400)});
    let error = refused(&engine.post("/v1/embeddings", &body.to_string()), "a long text to embed");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("shorten it") && message.contains("split it"), "{message}");
    // The daemon has no setting for it.
    assert!(!message.contains("--"), "{message}");
}

#[test]
fn a_body_that_is_no_request_is_told_so_without_its_words() {
    let engine = Engine::start(&[]);
    for (body, code, param) in [
        ("\"MY-SECRET-PROMPT\"", "invalid_type", Value::Null),
        ("[\"MY-SECRET-PROMPT\"]", "invalid_type", Value::Null),
        ("", "invalid_json", Value::Null),
        ("MY-SECRET-PROMPT", "invalid_json", Value::Null),
        ("{\"messages\": \"MY-SECRET-PROMPT", "invalid_json", Value::Null),
        ("{\"MY-SECRET-PROMPT\" oops}", "invalid_json", Value::Null),
        ("{\"model\": \"m\", \"model\": \"MY-SECRET-PROMPT\"}", "invalid_json", Value::Null),
        ("{}", "missing_required_parameter", json!("model")),
        ("{\"model\": null}", "missing_required_parameter", json!("model")),
        ("{\"model\": \"ghostllm-demo\"}", "missing_required_parameter", json!("messages")),
        ("{\"model\": \"ghostllm-demo\", \"messages\": []}", "invalid_value", json!("messages")),
        (
            "{\"model\": \"ghostllm-demo\", \"messages\": [\"\\ud800SECRET\"]}",
            "invalid_value",
            json!("messages"),
        ),
    ] {
        let error = refused(&engine.post("/v1/chat/completions", body), body);
        assert_eq!((&error["code"], &error["param"]), (&json!(code), &param), "{body}: {error}");
    }
    let deep = format!("[{}1{}]", "[".repeat(200), "]".repeat(200));
    let error = refused(&engine.chat("hi", &json!({"messages": 0})), "a number");
    assert_eq!(error["message"], "The field 'messages' must be a list of messages.");
    let deep = format!("{{\"model\": \"ghostllm-demo\", \"messages\": {deep}}}");
    assert_eq!(refused(&engine.post("/v1/chat/completions", &deep), "deep")["param"], "messages");
}

#[test]
fn a_load_request_is_judged_in_the_same_words() {
    let engine = Engine::start(&[]);
    for (body, param) in [
        ("{\"path\": [\"MY-SECRET-PROMPT\"]}", json!("path")),
        ("{\"path\": \"/x\", \"preload\": \"MY-SECRET-PROMPT\"}", json!("preload")),
        ("{}", json!("path")),
        ("\"MY-SECRET-PROMPT\"", Value::Null),
    ] {
        assert_eq!(refused(&engine.post("/load", body), body)["param"], param);
    }
}
