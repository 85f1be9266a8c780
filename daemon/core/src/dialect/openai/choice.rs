//! A chat's `tool_choice`: which of its tools may be called, and whether one must be.
//!
//! Knows OpenAI's forms of it. Refuses to know whether an engine can be made to call a tool. Invariant: of tools that are allowed by name
//! no other is left.

use std::borrow::Cow;

use serde::Deserialize;

use super::{fields::Fields, request::TOOLS_LIMIT};
use crate::chat::{Tool, ToolChoice};
use crate::dialect::json::Object;
use crate::error::ApiError;

const EXPECTED: &str = "none, auto, required, {\"type\": \"function\", \"function\": {\"name\": ...}} or {\"type\": \"allowed_tools\", \
                        \"allowed_tools\": {\"mode\": ..., \"tools\": [...]}}";

#[derive(Deserialize)]
#[serde(untagged)]
enum Choice<'a> {
    #[serde(borrow)]
    Word(Cow<'a, str>),
    #[serde(borrow)]
    Allowed(Object<Allowing<'a>>),
    #[serde(borrow)]
    Named(Object<Named<'a>>),
}

#[derive(Deserialize)]
struct Allowing<'a> {
    #[serde(borrow)]
    allowed_tools: Object<Allowed<'a>>,
}

#[derive(Deserialize)]
struct Allowed<'a> {
    #[serde(borrow)]
    mode: Option<Cow<'a, str>>,
    #[serde(borrow)]
    tools: Option<Vec<Object<One<'a>>>>,
}

/// One of those that are allowed, of a kind that is judged by its name.
#[derive(Deserialize)]
struct One<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    function: Option<Object<Function<'a>>>,
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    function: Object<Function<'a>>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
}

/// Reads it, and leaves of these tools those that are allowed.
///
/// # Errors
/// 400: it is of no form that is known, or allows a tool that there is not.
pub(super) fn choose(fields: &Fields<'_>, tools: &mut Vec<Tool>) -> Result<ToolChoice, ApiError> {
    match fields.read_as::<Choice<'_>>("tool_choice", EXPECTED)? {
        None => Ok(ToolChoice::Auto),
        Some(Choice::Word(word)) if word == "none" => Ok(ToolChoice::None),
        Some(Choice::Word(word)) => mode("tool_choice", &word, EXPECTED),
        Some(Choice::Named(Object(Named { function: Object(function) }))) => {
            Ok(ToolChoice::Function(function.name.into_owned()))
        }
        Some(Choice::Allowed(Object(Allowing { allowed_tools: Object(allowed) }))) => {
            allow(tools, allowed.tools)?;
            let named = allowed.mode.as_deref().unwrap_or("auto");
            mode("tool_choice.allowed_tools.mode", named, "auto or required")
        }
    }
}

fn mode(param: &str, word: &str, expected: &str) -> Result<ToolChoice, ApiError> {
    match word {
        "auto" => Ok(ToolChoice::Auto),
        "required" => Ok(ToolChoice::Required),
        _ => Err(ApiError::invalid_value(param, expected)),
    }
}

fn allow(tools: &mut Vec<Tool>, allowed: Option<Vec<Object<One<'_>>>>) -> Result<(), ApiError> {
    const LIST: &str = "tool_choice.allowed_tools.tools";
    let allowed = allowed.ok_or_else(|| ApiError::missing(LIST))?;
    if allowed.len() > TOOLS_LIMIT {
        return Err(ApiError::invalid_value(LIST, &format!("a list of at most {TOOLS_LIMIT}")));
    }
    let mut names = Vec::with_capacity(allowed.len());
    for (place, Object(one)) in allowed.into_iter().enumerate() {
        let at = format!("{LIST}[{place}]");
        if one.kind.as_deref().is_some_and(|kind| kind != "function") {
            return Err(ApiError::unsupported(format!("{at}.type"), "Only tools of the type function are."));
        }
        let name = one.function.map(|Object(function)| function.name);
        let known = name.filter(|name| tools.iter().any(|tool| tool.name == **name));
        let missing =
            || ApiError::invalid_value(format!("{at}.function.name"), "the name of one of the tools");
        names.push(known.ok_or_else(missing)?);
    }
    tools.retain(|tool| names.iter().any(|name| **name == tool.name));
    Ok(())
}

/// Whether it wants a tool called in any case, as far as it is of a known form.
pub(super) fn forces(fields: &Fields<'_>) -> bool {
    match fields.read_as::<Choice<'_>>("tool_choice", EXPECTED).ok().flatten() {
        None => false,
        Some(Choice::Word(word)) => word == "required",
        Some(Choice::Named(_)) => true,
        Some(Choice::Allowed(Object(Allowing { allowed_tools: Object(allowed) }))) => {
            allowed.mode.as_deref() == Some("required")
        }
    }
}
