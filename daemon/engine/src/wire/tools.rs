//! The functions that a request offers: each is one that a template can show and a model can call.
//!
//! Knows OpenAI's tools. Knows nothing of schemas. Invariant: what passes is an object whose function has a name.

use super::messages::{function, text};
use crate::error::Failure;
use serde_json::Value;

/// Checks the list.
///
/// # Errors
/// 400 with the first field at fault.
pub(super) fn check(tools: &[Value]) -> Result<(), Failure> {
    tools.iter().enumerate().try_for_each(|(index, tool)| check_one(&format!("tools[{index}]"), tool))
}

fn check_one(at: &str, tool: &Value) -> Result<(), Failure> {
    let function = function(at, tool)?;
    let at = format!("{at}.function");
    if text(&at, "name", function)?.is_none() {
        return Err(Failure::missing(&format!("{at}.name"), "a string"));
    }
    text(&at, "description", function)?;
    match function.get("parameters") {
        None | Some(Value::Null | Value::Object(_)) => Ok(()),
        Some(_) => Err(Failure::wrong_type(&format!("{at}.parameters"), "an object: a JSON schema")),
    }
}
