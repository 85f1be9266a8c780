//! Reads tool calls out of the forms in which models write them.
//!
//! Invariant: a call has a name and arguments that are a JSON object; what has not is no call.

use serde_json::{Map, Value};
use std::collections::HashMap;

/// A call that a model made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The function's name, as the model wrote it.
    pub name: String,
    /// A JSON object, as text.
    pub arguments: String,
}

/// The functions that a request offers, by name, with the schema of their parameters.
#[derive(Debug, Clone, Default)]
pub struct Tools(HashMap<String, Value>);

impl Tools {
    /// Takes OpenAI's list of tools. What has no function with a name cannot be called, and is left out.
    #[must_use]
    pub fn of(tools: &[Value]) -> Self {
        let named = |tool: &Value| {
            let name = tool.pointer("/function/name")?.as_str()?.to_owned();
            Some((name, tool.pointer("/function/parameters").cloned().unwrap_or_default()))
        };
        Self(tools.iter().filter_map(named).collect())
    }

    /// Whether there is a function of that name.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    fn is_text(&self, function: &str, parameter: &str) -> bool {
        let schema =
            self.0.get(function).and_then(|schema| schema.get("properties")?.get(parameter)?.get("type"));
        schema.and_then(Value::as_str) == Some("string")
    }
}

/// What stands at the beginning of a text.
pub(super) enum Leading {
    /// The beginning of an object.
    Unfinished,
    /// Something else.
    No,
    /// An object, which ends at this byte.
    Object(Value, usize),
}

/// Looks for a JSON object at the beginning of `text`, after white space.
pub(super) fn leading_object(text: &str) -> Leading {
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    match stream.next() {
        Some(Ok(value @ Value::Object(_))) => Leading::Object(value, stream.byte_offset()),
        Some(Err(error)) if error.is_eof() => Leading::Unfinished,
        None => Leading::Unfinished,
        Some(_) => Leading::No,
    }
}

/// A call from `{"name": …, "arguments" | "parameters": …}`, also inside `{"function": …}`.
pub(super) fn from_value(value: &Value) -> Option<Call> {
    let inner = value.get("function").filter(|function| function.is_object()).unwrap_or(value);
    let name = inner.get("name").or_else(|| inner.get("function"))?.as_str()?.trim();
    let arguments = match inner.get("arguments").or_else(|| inner.get("parameters")) {
        None | Some(Value::Null) => Value::Object(Map::new()),
        Some(Value::String(text)) => serde_json::from_str(text).ok()?,
        Some(value) => value.clone(),
    };
    (!name.is_empty() && arguments.is_object())
        .then(|| Call { name: name.to_owned(), arguments: arguments.to_string() })
}

/// One or more objects, or a list of them, divided by white space, commas or semicolons, and nothing else.
pub(super) fn sequence(text: &str) -> Option<Vec<Call>> {
    if let Ok(Value::Array(items)) = serde_json::from_str(text.trim()) {
        return items.iter().map(from_value).collect::<Option<Vec<_>>>().filter(|calls| !calls.is_empty());
    }
    let mut calls = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let Leading::Object(value, length) = leading_object(rest) else { return None };
        calls.push(from_value(&value)?);
        rest = rest.get(length..)?.trim_start_matches(|c: char| c.is_whitespace() || c == ';' || c == ',');
    }
    Some(calls).filter(|calls| !calls.is_empty())
}

/// What stands between `<tool_call>` and its end: JSON, or Qwen Coder's `<function=…><parameter=…>`.
pub(super) fn hermes(body: &str, tools: Option<&Tools>) -> Option<Vec<Call>> {
    sequence(body).or_else(|| Some(vec![tagged(body.trim(), tools)?]))
}

fn tagged(body: &str, tools: Option<&Tools>) -> Option<Call> {
    let (name, mut rest) = body.strip_prefix("<function=")?.split_once('>')?;
    let mut arguments = Map::new();
    while let Some((_, parameter)) = rest.split_once("<parameter=") {
        let (key, value) = parameter.split_once('>')?;
        let (value, after) = value.split_once("</parameter>")?;
        let value = value.strip_prefix('\n').unwrap_or(value);
        let value = value.strip_suffix('\n').unwrap_or(value);
        let text = tools.is_some_and(|tools| tools.is_text(name, key));
        let parsed = if text { None } else { serde_json::from_str(value).ok() };
        arguments.insert(key.to_owned(), parsed.unwrap_or_else(|| Value::String(value.to_owned())));
        rest = after;
    }
    Some(Call { name: name.trim().to_owned(), arguments: Value::Object(arguments).to_string() })
}

/// What follows `[TOOL_CALLS]`: a list of objects, or (newer) `name[ARGS]{…}` once or more, each after its own mark.
pub(super) fn mistral(text: &str) -> Option<Vec<Call>> {
    if text.trim_start().starts_with('[') {
        return sequence(text);
    }
    let mut calls = Vec::new();
    for part in text.split("[TOOL_CALLS]").map(str::trim).filter(|part| !part.is_empty()) {
        let (head, arguments) = part.split_at_checked(part.find('{')?)?;
        let name = head.split("[CALL_ID]").next()?.trim_end_matches("[ARGS]").trim();
        let arguments: Value = serde_json::from_str(arguments).ok()?;
        calls.push(Call { name: name.to_owned(), arguments: arguments.to_string() });
    }
    Some(calls).filter(|calls| !calls.is_empty())
}
