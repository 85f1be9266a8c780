//! `POST /api/chat`: checks in the real server's order, then one object, or one line for each token.
//!
//! Knows the endpoint's keys, their order, and the error texts. Refuses to know what the model says ([`super::mind`]).
//! Invariant: the lines of a stream and the object of a whole answer carry the same text and counts.

use serde_json::Value;
use time::OffsetDateTime;

use super::{Shelf, error, go, json, mind, odds};
use crate::{
    script::{Body, Reply},
    wire::Incoming,
};

/// What the real server says of an image to a model without eyes (065).
const NO_EYES: &str = "{\"error\":{\"code\":500,\"message\":\"image input is not supported - hint: if this is unexpected, \
    you may need to provide the mmproj\",\"type\":\"server_error\"}}";

/// Answers one chat request.
pub(super) fn chat(request: &Incoming, shelf: &mut Shelf) -> Reply {
    let body = match parse(&request.body) {
        Ok(body) => body,
        Err(text) => return error("400 Bad Request", &text),
    };
    let name = body["model"].as_str().unwrap_or_default();
    if body["top_logprobs"].as_i64().is_some_and(|count| !(0..=20).contains(&count)) {
        return error("400 Bad Request", "top_logprobs must be between 0 and 20");
    }
    if name.is_empty() {
        return error("400 Bad Request", "model is required");
    }
    let Some(model) = shelf.find(name) else {
        return error("404 Not Found", &format!("model '{name}' not found"));
    };
    let thinks = model.thinks;
    let wants = !matches!(body["think"], Value::Null | Value::Bool(false));
    if wants && !thinks {
        return error("400 Bad Request", &format!("\"{name}\" does not support thinking"));
    }
    let messages = body["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut reply = if messages.is_empty() {
        load(name, &body, shelf)
    } else if messages
        .iter()
        .any(|message| message["images"].as_array().is_some_and(|images| !images.is_empty()))
    {
        error("500 Internal Server Error", NO_EYES)
    } else {
        shelf.load(name);
        speak(name, &body, thinks && body["think"] != Value::Bool(false))
    };
    reply.generated = true;
    reply
}

/// The body, or the text of Go's error.
fn parse(body: &[u8]) -> Result<Value, String> {
    if body.is_empty() {
        return Err("missing request body".into());
    }
    let body: Value = serde_json::from_slice(body).map_err(|cause| {
        if cause.is_eof() {
            "unexpected EOF".to_owned()
        } else {
            "invalid character in JSON input".to_owned()
        }
    })?;
    let wrong = |value: &str, field: &str, kind: &str| {
        Err(format!("json: cannot unmarshal {value} into Go struct field ChatRequest.{field} of type {kind}"))
    };
    if !matches!(body["messages"], Value::Null | Value::Array(_)) {
        return wrong(kind_of(&body["messages"]), "messages", "[]api.Message");
    }
    if !matches!(body["model"], Value::Null | Value::String(_)) {
        return wrong(kind_of(&body["model"]), "model", "string");
    }
    match &body["think"] {
        Value::String(think) if !["high", "medium", "low", "max"].contains(&think.as_str()) => Err(format!(
            "invalid think value: \"{think}\" (must be \"high\", \"medium\", \"low\", \"max\", true, or false)"
        )),
        _ => Ok(body),
    }
}

pub(super) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// No messages: the model is loaded, or with `keep_alive` zero unloaded.
fn load(name: &str, body: &Value, shelf: &mut Shelf) -> Reply {
    let unload = body["keep_alive"].as_f64() == Some(0.0) || body["keep_alive"] == "0";
    if unload {
        shelf.unload(name);
    } else {
        shelf.load(name);
    }
    let reason = if unload { "unload" } else { "load" };
    json("200 OK", &object(name, &message("", "", None), Some(&format!(",\"done_reason\":\"{reason}\""))))
}

fn speak(name: &str, body: &Value, thinking: bool) -> Reply {
    let thought = mind::think(&mind::Ask::from_ollama(body, thinking));
    let end = format!(
        ",\"done_reason\":\"{}\",\"total_duration\":5820195,\"load_duration\":818071,\"prompt_eval_count\":{},\
         \"prompt_eval_duration\":1227000,\"eval_count\":{},\"eval_duration\":1781000",
        thought.reason, thought.prompt_count, thought.eval_count
    );
    let call = thought.call.as_ref().map(call);
    // Those of all that was said, thoughts among them, behind everything else (059).
    let odds = |tokens: &[&String]| {
        let told = |token: &&String| odds::of(token, body["top_logprobs"].as_u64().unwrap_or(0));
        let wanted = body["logprobs"] == true && !tokens.is_empty();
        if wanted { odds::list(&tokens.iter().map(told).collect::<Vec<_>>()) } else { String::new() }
    };
    if body["stream"] == Value::Bool(false) {
        let (content, thinking) = (thought.content.concat(), thought.thinking.concat());
        let end = end + &odds(&thought.thinking.iter().chain(&thought.content).collect::<Vec<_>>());
        return json("200 OK", &object(name, &message(&content, &thinking, call.as_deref()), Some(&end)));
    }
    let line = |content: &str, thinking: &str, token: &String| {
        with_odds(&object(name, &message(content, thinking, None), None), &odds(&[token]))
    };
    let mut lines: Vec<String> = thought.thinking.iter().map(|token| line("", token, token)).collect();
    lines.extend(thought.content.iter().map(|token| line(token, "", token)));
    lines.push(object(name, &message("", "", call.as_deref()), Some(&end)));
    let mut reply = super::text("200 OK", "application/x-ndjson", "");
    reply.body = Body::Stream(lines.into_iter().map(|line| format!("{line}\n").into_bytes()).collect());
    reply
}

fn with_odds(object: &str, odds: &str) -> String {
    format!("{}{odds}}}", object.strip_suffix('}').unwrap())
}

fn message(content: &str, thinking: &str, call: Option<&str>) -> String {
    let mut out = format!("{{\"role\":\"assistant\",\"content\":{}", go::quote(content));
    if !thinking.is_empty() {
        out += &format!(",\"thinking\":{}", go::quote(thinking));
    }
    if let Some(call) = call {
        out += &format!(",\"tool_calls\":[{call}]");
    }
    out + "}"
}

fn call(call: &mind::Call) -> String {
    let arguments = serde_json::to_string(&call.arguments).unwrap();
    format!(
        "{{\"id\":\"{}\",\"function\":{{\"index\":0,\"name\":{},\"arguments\":{arguments}}}}}",
        call.id,
        go::quote(&call.name)
    )
}

/// One answer object; `end` is what the last one carries.
fn object(model: &str, message: &str, end: Option<&str>) -> String {
    let created = go::rfc3339(OffsetDateTime::now_utc());
    let done = end.is_some();
    let end = end.unwrap_or_default();
    format!(
        "{{\"model\":{},\"created_at\":\"{created}\",\"message\":{message},\"done\":{done}{end}}}",
        go::quote(model)
    )
}
