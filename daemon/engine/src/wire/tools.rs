//! The functions that a request offers: each is one that a template can show and a model can call.
//!
//! Knows OpenAI's tools. Knows nothing of schemas. Invariant: what passes is an object whose function has a name.

use super::messages::{function, text};
use crate::error::Failure;
use serde_json::Value;

/// Whether calls of this tool must keep to its schema.
pub(super) fn is_strict(tool: &Value) -> bool {
    tool.pointer("/function/strict") == Some(&Value::Bool(true))
}

/// Checks the list.
///
/// # Errors
/// 400 with the first field at fault.
pub(super) fn check(tools: &[Value]) -> Result<(), Failure> {
    tools.iter().enumerate().try_for_each(|(index, tool)| check_one(&format!("tools[{index}]"), tool))
}

/// Types of tools that people do send, and that are named in the refusal.
const OTHER_TOOLS: [&str; 5] =
    ["custom", "web_search", "web_search_preview", "file_search", "code_interpreter"];

fn check_one(at: &str, tool: &Value) -> Result<(), Failure> {
    if let Some(other) = tool.as_object().map(|tool| text(at, "type", tool)).transpose()?.flatten()
        && other != "function"
    {
        let known = OTHER_TOOLS.contains(&other).then(|| format!(" of the type {other}"));
        let kind = known.unwrap_or_else(|| " of another type".to_owned());
        let at = format!("{at}.type");
        let message = format!("{at} must be 'function': this engine takes no tool{kind}");
        return Err(Failure::unsupported(&at, message));
    }
    let function = function(at, tool)?;
    let at = format!("{at}.function");
    if text(&at, "name", function)?.is_none() {
        return Err(Failure::missing(&format!("{at}.name"), "a string"));
    }
    text(&at, "description", function)?;
    if !matches!(function.get("strict"), None | Some(Value::Null | Value::Bool(_))) {
        return Err(Failure::wrong_type(&format!("{at}.strict"), "true or false"));
    }
    match function.get("parameters") {
        None | Some(Value::Null | Value::Object(_)) => Ok(()),
        Some(_) => Err(Failure::wrong_type(&format!("{at}.parameters"), "an object: a JSON schema")),
    }
}
