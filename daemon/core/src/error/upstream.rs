//! What an engine's own error means to the client.
//!
//! Knows the error bodies of Ollama, llama.cpp's server, vLLM and transformers, as recorded. Refuses to know how
//! they arrived. Invariant: no address, path, pointer or traceback of an engine passes through; such a text is
//! replaced by one of ours.

use serde_json::Value;

use super::{ApiError, Code, RETRY_AFTER_BUSY, RETRY_AFTER_DOWN};
use crate::dialect::json;
use crate::dialect::openai::table::ROWS;
use crate::dialect::openai::{COMPLETION_ROWS, EMBEDDING_ROWS};

/// How deep an error may lie inside errors that are JSON texts inside errors. Ollama nests two.
const DEPTH: usize = 4;

/// The longest text of an engine that is passed on, in bytes; the recorded ones are under 400.
const MESSAGE_LIMIT: usize = 600;

/// What was found in an engine's error body.
#[derive(Default)]
struct Found {
    message: String,
    kind: String,
    code: String,
    param: Option<String>,
    /// The status that it would have, where its code is a number.
    status: Option<u16>,
}

/// Turns an engine's error answer, of this HTTP status, into ours.
#[must_use]
pub fn classify(status: u16, body: &str) -> ApiError {
    judge(status, read(body))
}

/// The same of an error inside an answer whose status said that all was well. llama.cpp's server, vLLM and SGLang say in it what the
/// status would have been, as for a stream that finds the queue full; 500 is meant where nothing is said.
#[must_use]
pub fn classify_within(body: &str) -> ApiError {
    let found = read(body);
    judge(found.status.unwrap_or(500), found)
}

fn judge(status: u16, found: Found) -> ApiError {
    if overflows(&found) {
        return ApiError::context_length_exceeded(shown(
            &found,
            "The conversation does not fit into the model's context. Shorten it, or ask for fewer tokens.",
        ));
    }
    if lacks_model(status, &found) {
        let text = shown(&found, "It did not say more.");
        return ApiError::new(Code::ModelNotFound, format!("The engine does not have this model: {text}"))
            .with_param("model");
    }
    if let Some(error) = lacks_ability(&found) {
        return error;
    }
    if lacks_images(&found) {
        return ApiError::invalid_value("messages", "text only: this model cannot take images");
    }
    // llama.cpp's server says 500 of it.
    if found.message.contains("audio input is not supported") {
        return ApiError::invalid_value("messages", "text only: this model cannot take sound");
    }
    // The same, of what a client gave back of an earlier answer.
    if found.message.starts_with("Failed to parse tool call arguments as JSON") {
        return ApiError::invalid_value("messages", "tool calls whose arguments are JSON");
    }
    match status {
        400 | 409 | 422 | 501 => {
            let text = shown(&found, "The engine behind this model refused the request.");
            let error = ApiError::new(named(&found.code), text);
            let told = || named_field(&found.message).map(str::to_owned);
            match found.param.or_else(told).filter(|param| harmless(param)) {
                Some(param) => error.with_param(param),
                None => error,
            }
        }
        300..=399 => ApiError::backend_error(
            "The engine behind this model sends its callers elsewhere, where GhostLLM does not follow. The administrator \
             can name the right url in the backend's section of the configuration.",
        ),
        401 | 403 => ApiError::backend_error(
            "The engine behind this model refuses GhostLLM's own key or address. The administrator can set it \
             with key_file in the backend's section of the configuration.",
        ),
        408 | 499 | 504 => ApiError::backend_timeout("The engine behind this model gave up waiting."),
        413 => ApiError::new(Code::PayloadTooLarge, "The request is larger than the model's engine takes."),
        429 => ApiError::rate_limited(
            "The engine behind this model is busy. Try again shortly.",
            RETRY_AFTER_BUSY,
        ),
        503 if busy(&found) => ApiError::queue_full(RETRY_AFTER_BUSY),
        503 => ApiError::backend_unavailable(
            shown(&found, "The engine behind this model is not ready."),
            RETRY_AFTER_DOWN,
        ),
        _ => ApiError::backend_error(shown(&found, "The engine behind this model failed.")),
    }
}

/// The code of a refused request: an engine that says in OpenAI's words what is wrong is taken at its word.
fn named(code: &str) -> Code {
    let known = [Code::MissingParameter, Code::InvalidType, Code::InvalidValue, Code::UnsupportedParameter];
    known.into_iter().find(|known| known.text() == Some(code)).unwrap_or(Code::InvalidRequest)
}

fn overflows(found: &Found) -> bool {
    const TEXTS: [&str; 6] = [
        "exceeds the available context size",
        "maximum context length",
        "exceeds the context length",
        "exceeds context length",
        "exceed the context window",
        // llama.cpp's server of an input for embeddings, which it takes in one piece; its status is 500.
        "is too large to process",
    ];
    found.kind == "exceed_context_size_error"
        || found.code == "context_length_exceeded"
        || TEXTS.iter().any(|text| found.message.contains(text))
}

fn lacks_model(status: u16, found: &Found) -> bool {
    let text = &found.message;
    let named = text.starts_with("model ") || text.starts_with("The model ");
    let absent = text.contains("not found") || text.contains("does not exist");
    // transformers says 400: "Server is pinned to 'a'; requested 'b'."
    (status == 404 && (named && absent || found.code == "model_not_found"))
        || (status == 400 && text.starts_with("Server is pinned to"))
}

/// Ollama's words for what a model cannot do, as recorded and by its `server/routes.go`, with the field that asks for it and the
/// capability that is wanting.
fn lacks_ability(found: &Found) -> Option<ApiError> {
    const ABILITIES: [(&str, &str, &str); 3] = [
        ("does not support thinking", "reasoning_effort", "thinking"),
        ("does not support tools", "tools", "tools"),
        ("does not support chat", "model", "completion"),
    ];
    let (_, param, capability) = ABILITIES.iter().find(|(words, ..)| found.message.ends_with(words))?;
    let text = shown(found, "This model cannot do that");
    let without = if *param == "model" { "Ask" } else { "Leave that out, or ask" };
    let message = format!(
        "{text}. {without} a model with the capability {capability}; GET /v1/models lists what each can do."
    );
    Some(ApiError::new(Code::UnsupportedParameter, message).with_param(*param))
}

fn lacks_images(found: &Found) -> bool {
    found.message.contains("image input is not supported")
        || found.message.contains("is not a multimodal model")
}

/// Ollama is "busy" with "pending requests", SGLang's "request queue is full", and what serves by contract is "overloaded".
fn busy(found: &Found) -> bool {
    const WORDS: [&str; 5] = ["busy", "pending requests", "queue", "overload", "at capacity"];
    let told = [&found.message, &found.kind, &found.code].map(|text| text.to_ascii_lowercase());
    WORDS.iter().any(|word| told.iter().any(|text| text.contains(word)))
}

fn shown(found: &Found, otherwise: &str) -> String {
    if harmless(&found.message) { found.message.clone() } else { otherwise.to_owned() }
}

fn read(body: &str) -> Found {
    let mut found = Found::default();
    let mut text = body.trim().to_owned();
    for _ in 0..DEPTH {
        let Ok(value) = serde_json::from_slice::<Value>(&json::paired(text.as_bytes())) else { break };
        let Some(inner) = unwrap(&value, &mut found) else { break };
        text = inner;
    }
    found.message = text;
    found
}

/// Takes one layer off: the text inside, which may be JSON again.
fn unwrap(value: &Value, found: &mut Found) -> Option<String> {
    let holder = value.get("error").unwrap_or(value);
    if let Some(text) = holder.as_str() {
        return Some(text.to_owned());
    }
    if let Some(kind) = holder.get("type").and_then(Value::as_str) {
        kind.clone_into(&mut found.kind);
    }
    if let Some(code) = holder.get("code").and_then(Value::as_str) {
        code.clone_into(&mut found.code);
    }
    // SGLang's stands beside the error.
    let numbers = [holder, value].map(|object| object.get("code").and_then(Value::as_u64));
    let status = numbers.into_iter().flatten().find_map(|number| u16::try_from(number).ok());
    found.status = found.status.or(status.filter(|status| (400..600).contains(status)));
    if let Some(param) = holder.get("param").and_then(Value::as_str) {
        // vLLM says `body.temperature`, where OpenAI says `temperature`.
        found.param = spelled(param.strip_prefix("body.").unwrap_or(param).split('.'));
    }
    match holder.get("message").or_else(|| holder.get("detail"))? {
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => detail(items.first()?, found),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

/// FastAPI's validation error: `{"loc":["body","temperature"],"msg":"..."}`.
fn detail(item: &Value, found: &mut Found) -> Option<String> {
    let message = item.get("msg")?.as_str()?.to_owned();
    let place = item.get("loc").and_then(Value::as_array).into_iter().flatten().skip(1);
    let place: Vec<String> =
        place.map(|part| part.as_str().map_or_else(|| part.to_string(), str::to_owned)).collect();
    found.param = spelled(place.iter().map(String::as_str));
    Some(message)
}

/// A place in a request as its client spells it (`messages[0].content`). Where a field may have several forms, pydantic names the one that it
/// has tried among the steps: a class (`ChatCompletionUserMessageParam`), or a type (`list[str]`, `int`).
fn spelled<'a>(steps: impl Iterator<Item = &'a str>) -> Option<String> {
    const TYPES: [&str; 7] = ["str", "int", "float", "bool", "list", "dict", "none"];
    let mut place = String::new();
    for step in steps {
        if !step.is_empty() && step.bytes().all(|byte| byte.is_ascii_digit()) {
            if place.is_empty() {
                // The place of a mistake in the JSON.
                return None;
            }
            place.push_str(&format!("[{step}]"));
            continue;
        }
        // Our own engine writes a list's place behind the name, as clients do.
        let (name, numbers) = step.split_at(step.find('[').unwrap_or(step.len()));
        if is_field(name) && !TYPES.contains(&name) && are_numbers(numbers) {
            place.push_str(if place.is_empty() { "" } else { "." });
            place.push_str(step);
        }
    }
    (!place.is_empty()).then_some(place)
}

/// Whether it is nothing, or places in lists: `[0][12]`.
fn are_numbers(places: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    places.is_empty()
        || places
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .is_some_and(|inner| inner.split("][").all(is_number))
}

/// Whether OpenAI's API has names of this form.
fn is_field(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    name.bytes().next().is_some_and(|first| first.is_ascii_lowercase()) && name.bytes().all(fits)
}

/// The field that an engine tells in its words alone, as recorded.
fn named_field(text: &str) -> Option<&str> {
    let quoted_behind = |start: &str| text.strip_prefix(start)?.split_once('\'').map(|(name, _)| name);
    // llama.cpp's server twice, and transformers.
    let quoted = quoted_behind("Field '")
        .or_else(|| text.strip_prefix('\'')?.strip_suffix("' is required"))
        .or_else(|| quoted_behind("Unexpected fields in the request: {'"));
    if let Some(name) = quoted {
        return Some(name).filter(|name| is_field(name));
    }
    // vLLM and Ollama; whatever else must be something is no field.
    let (name, _) = text.split_once(" must be ")?;
    let known = [ROWS, COMPLETION_ROWS, EMBEDDING_ROWS];
    known.iter().any(|rows| rows.iter().any(|row| row.name == name)).then_some(name)
}

/// Whether a text of an engine has words, and may be read by a stranger.
fn harmless(text: &str) -> bool {
    const TELLTALES: [&str; 11] = [
        "Traceback",
        "File \"",
        "goroutine",
        "://",
        "localhost",
        "unix:",
        ":\\",
        ".py",
        ".cpp",
        ".go:",
        "stack trace",
    ];
    text.contains(char::is_alphabetic)
        && text.len() <= MESSAGE_LIMIT
        && !text.contains(|c: char| c.is_control() && c != '\n')
        && !TELLTALES.iter().any(|telltale| text.contains(telltale))
        && !has_pointer(text)
        && !has_path(text)
        && !has_address(text)
}

/// `0x` and eight or more hexadecimal digits.
fn has_pointer(text: &str) -> bool {
    text.split("0x").skip(1).any(|rest| rest.chars().take_while(char::is_ascii_hexdigit).count() >= 8)
}

/// A path from the root: a slash that begins a word, and a letter behind it. Model names hold slashes inside.
fn has_path(text: &str) -> bool {
    let mut before = ' ';
    let mut chars = text.chars().peekable();
    while let Some(here) = chars.next() {
        let begins = !before.is_alphanumeric() && !matches!(before, '/' | '-' | '_' | '.');
        if here == '/' && begins && chars.peek().is_some_and(|next| next.is_alphanumeric()) {
            return true;
        }
        before = here;
    }
    false
}

/// An IPv4 address anywhere, or an IPv6 address in brackets.
fn has_address(text: &str) -> bool {
    let bracketed = text
        .split('[')
        .skip(1)
        .any(|rest| rest.split(']').next().is_some_and(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok()));
    bracketed
        || text
            .split(|c: char| !c.is_ascii_digit() && c != '.')
            .any(|word| word.trim_matches('.').parse::<std::net::Ipv4Addr>().is_ok())
}
