//! `POST /api/generate`: checks in the real server's order, then one object, or one line for each token.
//!
//! Knows the endpoint's keys, their order, and the error texts, as recorded and by Ollama's source. Refuses to know what the model says
//! ([`super::mind`]). Invariant: the lines of a stream and the object of a whole answer carry the same text and counts.

use serde_json::Value;
use time::OffsetDateTime;

use super::{Shelf, chat::kind_of, error, go, json, mind, odds};
use crate::{
    script::{Body, Reply},
    wire::Incoming,
};

/// Tokens that fit.
const LONGEST: usize = 2046;

/// Answers one request.
pub(super) fn generate(request: &Incoming, shelf: &mut Shelf) -> Reply {
    let body = match parse(&request.body) {
        Ok(body) => body,
        Err(text) => return error("400 Bad Request", &text),
    };
    let name = body["model"].as_str().unwrap_or_default();
    let Some(model) = shelf.find(name) else {
        return error("404 Not Found", &format!("model '{name}' not found"));
    };
    let (thinks, inserts, full) = (model.thinks, model.inserts, model.name.clone());
    let set = |field: &str| body[field].as_str().is_some_and(|text| !text.is_empty());
    if body["top_logprobs"].as_i64().is_some_and(|count| !(0..=20).contains(&count)) {
        return error("400 Bad Request", "top_logprobs must be between 0 and 20");
    }
    let raw = body["raw"] == true;
    if raw && (set("template") || set("system")) {
        return error("400 Bad Request", "raw mode does not support template, system, or context");
    }
    if !matches!(body["think"], Value::Null | Value::Bool(false)) && !thinks {
        return error("400 Bad Request", &format!("\"{name}\" does not support thinking"));
    }
    if set("suffix") && !inserts {
        let full = format!("registry.invalid.x/library/{full}");
        return error("400 Bad Request", &format!("{full} does not support insert"));
    }
    let mut reply = if set("prompt") {
        shelf.load(name);
        speak(name, &body, raw)
    } else {
        load(name, &body, shelf)
    };
    reply.generated = true;
    reply
}

/// The body, or the text of Go's error.
fn parse(body: &[u8]) -> Result<Value, String> {
    if body.is_empty() {
        return Err("missing request body".into());
    }
    let body: Value = serde_json::from_slice(body).map_err(|_cause| "unexpected EOF".to_owned())?;
    for field in ["model", "prompt", "suffix"] {
        if !matches!(body[field], Value::Null | Value::String(_)) {
            return Err(format!(
                "json: cannot unmarshal {} into Go struct field GenerateRequest.{field} of type string",
                kind_of(&body[field])
            ));
        }
    }
    Ok(body)
}

/// No prompt: the model is loaded, or with `keep_alive` zero unloaded.
fn load(name: &str, body: &Value, shelf: &mut Shelf) -> Reply {
    let unload = body["keep_alive"].as_f64() == Some(0.0) || body["keep_alive"] == "0";
    if unload {
        shelf.unload(name);
    } else {
        shelf.load(name);
    }
    let reason = if unload { "unload" } else { "load" };
    json("200 OK", &object(name, "", &format!("\"done\":true,\"done_reason\":\"{reason}\"")))
}

fn speak(name: &str, body: &Value, raw: bool) -> Reply {
    let mut ask = mind::Ask::from_generate(body);
    if let Some(suffix) = body["suffix"].as_str() {
        // Its template has put both together.
        ask.prompt += suffix;
    }
    let thought = mind::think(&ask);
    if thought.prompt_count > LONGEST && body["truncate"] == false {
        return error("400 Bad Request", "the input length exceeds the context length");
    }
    // The tokens' ids, which a raw prompt's answer has not.
    let context = if raw { String::new() } else { format!(",\"context\":{}", context(&ask.prompt)) };
    let end = format!(
        "\"done\":true,\"done_reason\":\"{}\"{context},\"total_duration\":5820195,\"load_duration\":818071,\
         \"prompt_eval_count\":{},\"prompt_eval_duration\":1227000,\"eval_count\":{},\"eval_duration\":1781000",
        thought.reason, thought.prompt_count, thought.eval_count
    );
    let told = |token: &String| odds::of(token, body["top_logprobs"].as_u64().unwrap_or(0));
    let wanted = body["logprobs"] == true;
    if body["stream"] == Value::Bool(false) {
        let all = if wanted {
            odds::list(&thought.content.iter().map(told).collect::<Vec<_>>())
        } else {
            String::new()
        };
        return json("200 OK", &object(name, &thought.content.concat(), &format!("{end}{all}")));
    }
    let line = |token: &String| {
        let own = if wanted { odds::list(&[told(token)]) } else { String::new() };
        object(name, token, &format!("\"done\":false{own}"))
    };
    let mut lines: Vec<String> = thought.content.iter().map(line).collect();
    lines.push(object(name, "", &end));
    let mut reply = super::text("200 OK", "application/x-ndjson", "");
    reply.body = Body::Stream(lines.into_iter().map(|line| format!("{line}\n").into_bytes()).collect());
    reply
}

/// The recorded ids of the recorded prompts and their answers, else some.
fn context(prompt: &str) -> &'static str {
    match prompt {
        "What is the capital of France?" => {
            "[1016,290,198,479,337,271,485,388,1009,850,30,1017,198,1016,306,198,339,485,388,1009,850,337,733,279,683,13]"
        }
        "Tell me a long story." => {
            "[1016,290,198,786,482,257,969,621,13,1017,198,1016,306,198,974,386,257,564,634,368]"
        }
        _ => "[1016,290,198]",
    }
}

/// One answer object; `rest` is what follows its text.
fn object(model: &str, response: &str, rest: &str) -> String {
    let created = go::rfc3339(OffsetDateTime::now_utc());
    let (model, response) = (go::quote(model), go::quote(response));
    format!("{{\"model\":{model},\"created_at\":\"{created}\",\"response\":{response},{rest}}}")
}
