//! A chat's `tool_choice`: which of its tools may be called, and whether one must be.
//!
//! Knows OpenAI's forms of it. Refuses to know whether an engine can be made to call a tool. Invariant: of tools that are allowed by name
//! no other is left.

use std::borrow::Cow;
use std::collections::HashSet;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{fields::Fields, request::TOOLS_LIMIT};
use crate::chat::{Tool, ToolChoice};
use crate::dialect::json::{self, Elements, Object, Quoted};
use crate::error::ApiError;

const FIELD: &str = "tool_choice";
const EXPECTED: &str = "none, auto, required, {\"type\": \"function\", \"function\": {\"name\": ...}} or {\"type\": \"allowed_tools\", \
                        \"allowed_tools\": {\"mode\": ..., \"tools\": [...]}}";

/// The choice, of one of its forms.
enum Choice<'a> {
    Word(Cow<'a, str>),
    Allowed(Allowed<'a>),
    Named(Function<'a>),
}

/// One that is an object: what is there twice is so told from what is of no known form.
#[derive(Deserialize)]
struct Chosen<'a> {
    #[serde(rename = "type")]
    _kind: Option<IgnoredAny>,
    #[serde(borrow)]
    allowed_tools: Option<Object<Allowed<'a>>>,
    #[serde(borrow)]
    function: Option<Object<Function<'a>>>,
}

impl<'a> Choice<'a> {
    fn read(fields: &Fields<'a>) -> Result<Option<Self>, ApiError> {
        let Some(raw) = fields.get(FIELD) else { return Ok(None) };
        if let Some(word) = Quoted::of(raw.get()) {
            return Ok(Some(Self::Word(word.text())));
        }
        match fields.read_as::<Object<Chosen<'_>>>(FIELD, EXPECTED)? {
            None => Ok(None),
            Some(Object(Chosen { allowed_tools: Some(Object(allowed)), .. })) => {
                Ok(Some(Self::Allowed(allowed)))
            }
            Some(Object(Chosen { function: Some(Object(function)), .. })) => Ok(Some(Self::Named(function))),
            Some(_) => Err(ApiError::invalid_type(FIELD, EXPECTED)),
        }
    }
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
struct Function<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
}

/// Reads it, and leaves of these tools those that are allowed.
///
/// # Errors
/// 400: it is of no form that is known, or allows a tool that there is not.
pub(super) fn choose(fields: &Fields<'_>, tools: &mut Vec<Tool>) -> Result<ToolChoice, ApiError> {
    match Choice::read(fields)? {
        None => Ok(ToolChoice::Auto),
        Some(Choice::Word(word)) if word == "none" => Ok(ToolChoice::None),
        Some(Choice::Word(word)) => mode(FIELD, &word, EXPECTED),
        Some(Choice::Named(function)) => Ok(ToolChoice::Function(function.name.into_owned())),
        Some(Choice::Allowed(allowed)) => {
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

/// What a choice comes to, as far as it is of a known form.
#[derive(Default)]
pub(super) struct Outcome {
    /// Whether it wants a tool called in any case.
    pub(super) forces_call: bool,
    /// Bytes of the tools that it leaves out, which an Ollama is not shown.
    pub(super) unchosen_bytes: u64,
}

/// Looks at it once, and at the tools where it names some of them.
pub(super) fn look<'a>(fields: &Fields<'a>) -> Outcome {
    let (forces_call, chosen) = match Choice::read(fields).ok().flatten() {
        None => return Outcome::default(),
        Some(Choice::Word(word)) => (word == "required", None),
        Some(Choice::Named(function)) => (true, Some(HashSet::from([function.name]))),
        Some(Choice::Allowed(Allowed { mode, tools })) => {
            let names = |tools: Vec<Object<One<'a>>>| {
                tools.into_iter().filter_map(|Object(one)| Some(one.function?.0.name)).collect()
            };
            let chosen = tools.map(names);
            (mode.as_deref() == Some("required"), chosen)
        }
    };
    Outcome { forces_call, unchosen_bytes: chosen.map_or(0, |chosen| bytes_besides(fields, &chosen)) }
}

/// Bytes of all tools but those of these names.
fn bytes_besides(fields: &Fields<'_>, chosen: &HashSet<Cow<'_, str>>) -> u64 {
    let Some(mut tools) = fields.get("tools").and_then(Elements::of) else { return 0 };
    let mut bytes = 0;
    while tools.more() {
        let tool = tools.element();
        let function = json::object::<One<'_>>(tool).ok().and_then(|one| one.function);
        let is_chosen = function.is_some_and(|Object(function)| chosen.contains(&function.name));
        bytes += if is_chosen { 0 } else { tool.len() as u64 };
    }
    bytes
}
