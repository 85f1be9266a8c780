//! The tools of a Responses request, and which of them may be called.
//!
//! Knows functions, tools whose input is plain text, and namespaces of both; and which tools OpenAI itself would run.
//! Refuses to run one. Invariant: each tool that is taken has one name of its own in the internal form, and
//! [`Names`] says what its client calls it.

use std::borrow::Cow;
use std::fmt::Write;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::chat::{Json, Tool, ToolChoice};
use crate::dialect::json::Object;
use crate::dialect::openai::fields::{self, Fields};
use crate::dialect::openai::request::TOOLS_LIMIT;
use crate::error::ApiError;

#[cfg(test)]
mod tests;

/// What a client knows a tool as, where that is more than a function of the same name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    /// The name in the internal form.
    pub(super) inner: String,
    /// The client's own.
    pub(super) name: String,
    /// The namespace that it stands in.
    pub(super) namespace: Option<String>,
    /// Its input is plain text, and not a JSON object.
    pub(super) custom: bool,
}

/// What a client calls the tools that were taken.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Names {
    /// Those that are no plain functions.
    known: Vec<Known>,
    /// Where each stands in its request, in the order of the internal form: some that were sent are not taken.
    places: Vec<String>,
}

impl Names {
    /// What a client knows this tool as; none where it is a function of this very name.
    pub(super) fn of(&self, inner: &str) -> Option<&Known> {
        self.known.iter().find(|known| known.inner == inner)
    }

    /// Where the tool of this place in the internal form stands in its request.
    pub(super) fn place(&self, inner: usize) -> Option<&str> {
        self.places.get(inner).map(String::as_str)
    }
}

/// What a request offers.
pub(super) struct Offered<'a> {
    pub(super) tools: Vec<Tool>,
    pub(super) choice: ToolChoice,
    pub(super) names: Names,
    /// The tools that were taken, as the client sent them.
    pub(super) shown: Vec<&'a RawValue>,
}

/// The one property of a tool whose input is plain text.
pub(super) const INPUT: &str = "input";

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    description: Option<Cow<'a, str>>,
    #[serde(borrow)]
    parameters: Option<&'a RawValue>,
    strict: Option<bool>,
    defer_loading: Option<bool>,
    #[serde(borrow)]
    format: Option<&'a RawValue>,
    #[serde(borrow)]
    tools: Option<Vec<&'a RawValue>>,
}

#[derive(Clone, Copy, Serialize)]
struct Function<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
}

#[derive(Serialize)]
struct Outer<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    function: Function<'a>,
}

/// Reads `tools` and `tool_choice`.
///
/// What OpenAI itself would run (`web_search` and its like) cannot be had here. An agent offers it beside its own
/// functions to whoever may have it, as Codex does by default, and goes on without; whoever offers nothing else wants
/// just that, and is refused.
pub(super) fn offered<'a>(fields: &Fields<'a>, ignored: &mut Vec<String>) -> Result<Offered<'a>, ApiError> {
    let raws: Vec<&'a RawValue> = fields.read_as("tools", "a list of tools")?.unwrap_or_default();
    if raws.len() > TOOLS_LIMIT {
        return Err(too_many("tools"));
    }
    let mut taken = Taken::default();
    let mut hosted: Vec<String> = Vec::new();
    for (place, raw) in raws.iter().enumerate() {
        let param = format!("tools[{place}]");
        if let Some(kind) = taken.tool(&param, raw, ignored)? {
            hosted.push(format!("{param}:{kind}"));
        }
    }
    if taken.tools.is_empty()
        && let Some((param, _)) = hosted.first().and_then(|first| first.split_once(':'))
    {
        return Err(hosted_alone(&format!("{param}.type")));
    }
    ignored.append(&mut hosted);
    let choice = taken.choice(fields)?;
    if taken.tools.is_empty() && choice == ToolChoice::Required {
        return Err(ApiError::invalid_value(
            "tool_choice",
            "none or auto where there are no tools to be called",
        ));
    }
    let (tools, places) = taken.tools.into_iter().unzip();
    Ok(Offered { tools, choice, names: Names { known: taken.names, places }, shown: taken.shown })
}

fn too_many(param: &str) -> ApiError {
    ApiError::invalid_value(
        param,
        &format!("a list of at most {TOOLS_LIMIT}, those in namespaces counted one by one"),
    )
}

fn hosted_alone(param: &str) -> ApiError {
    ApiError::unsupported(param, "Tools are functions of the client's own: nothing here runs any other.")
}

/// The name of a tool in a namespace, as the model sees it.
pub(super) fn inner_name(namespace: Option<&str>, name: &str) -> String {
    match namespace.filter(|namespace| !namespace.is_empty()) {
        None => name.to_owned(),
        Some(namespace) if namespace.ends_with("__") => format!("{namespace}{name}"),
        Some(namespace) => format!("{namespace}__{name}"),
    }
}

#[derive(Default)]
struct Taken<'a> {
    /// Each with its place in the request.
    tools: Vec<(Tool, String)>,
    names: Vec<Known>,
    shown: Vec<&'a RawValue>,
}

impl<'a> Taken<'a> {
    /// Takes a tool; the kind of one that only OpenAI could run.
    fn tool(
        &mut self,
        param: &str,
        raw: &'a RawValue,
        ignored: &mut Vec<String>,
    ) -> Result<Option<String>, ApiError> {
        let wire = read(param, raw)?;
        let kind = wire.kind.as_deref().unwrap_or("function");
        match kind {
            "namespace" => self.namespace(param, &wire, ignored)?,
            "function" | "custom" => self.own(param, &wire, None, ignored)?,
            "web_search" | "image_generation" | "tool_search" => return Ok(Some(kind.to_owned())),
            _ if kind.starts_with("web_search_") => return Ok(Some(kind.to_owned())),
            _ => return Err(hosted_alone(&format!("{param}.type"))),
        }
        self.shown.push(raw);
        Ok(None)
    }

    fn namespace(&mut self, param: &str, wire: &Wire<'_>, ignored: &mut Vec<String>) -> Result<(), ApiError> {
        let name = wire.name.as_deref().ok_or_else(|| ApiError::missing(format!("{param}.name")))?;
        if wire.description.as_ref().is_some_and(|text| !text.is_empty()) {
            // Each function has its own, and no template a place for this one.
            ignored.push(format!("{param}.description"));
        }
        for (nr, raw) in wire.tools.iter().flatten().enumerate() {
            let param = format!("{param}.tools[{nr}]");
            let wire = read(&param, raw)?;
            if !matches!(wire.kind.as_deref(), None | Some("function" | "custom")) {
                return Err(hosted_alone(&format!("{param}.type")));
            }
            self.own(&param, &wire, Some(name), ignored)?;
        }
        Ok(())
    }

    /// Takes a tool that its client runs.
    fn own(
        &mut self,
        param: &str,
        wire: &Wire<'_>,
        namespace: Option<&str>,
        ignored: &mut Vec<String>,
    ) -> Result<(), ApiError> {
        let name = wire.name.as_deref().filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| ApiError::missing(format!("{param}.name")))?;
        let inner = inner_name(namespace, name);
        // Before they are compared with each other.
        if self.tools.len() == TOOLS_LIMIT {
            return Err(too_many("tools"));
        }
        if self.tools.iter().any(|(tool, _)| tool.name == inner) {
            return Err(ApiError::invalid_value(
                format!("{param}.name"),
                "another name than any other tool's",
            ));
        }
        if wire.defer_loading == Some(true) {
            // The model is shown it at once.
            ignored.push(format!("{param}.defer_loading"));
        }
        let custom = wire.kind.as_deref() == Some("custom");
        let raw =
            if custom { custom_tool(param, &inner, wire, ignored)? } else { function(param, &inner, wire)? };
        if custom || namespace.is_some() {
            let (inner, namespace) = (inner.clone(), namespace.map(str::to_owned));
            self.names.push(Known { inner, name: name.to_owned(), namespace, custom });
        }
        self.tools.push((Tool { name: inner, raw }, param.to_owned()));
        Ok(())
    }

    fn choice(&mut self, fields: &Fields<'_>) -> Result<ToolChoice, ApiError> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Choice<'a> {
            #[serde(borrow)]
            Word(Cow<'a, str>),
            Object(#[serde(borrow)] Object<Named<'a>>),
        }
        let expected = "none, auto, required, {\"type\": \"function\", \"name\": ...} or \
                        {\"type\": \"allowed_tools\", \"mode\": ..., \"tools\": [...]}";
        let word = |word: &str| match word {
            "none" => Ok(ToolChoice::None),
            "auto" => Ok(ToolChoice::Auto),
            "required" => Ok(ToolChoice::Required),
            _ => Err(ApiError::invalid_value("tool_choice", expected)),
        };
        match fields.read_as::<Choice<'_>>("tool_choice", expected)? {
            None => Ok(ToolChoice::Auto),
            Some(Choice::Word(text)) => word(&text),
            Some(Choice::Object(Object(named))) if named.kind == "allowed_tools" => {
                self.allow("tool_choice.tools", &named.tools.unwrap_or_default())?;
                word(named.mode.as_deref().unwrap_or("auto"))
            }
            Some(Choice::Object(Object(named))) => {
                self.named("tool_choice", &named).map(ToolChoice::Function)
            }
        }
    }

    /// Leaves these tools alone of all.
    fn allow(&mut self, param: &str, allowed: &[Object<Named<'_>>]) -> Result<(), ApiError> {
        if allowed.len() > TOOLS_LIMIT {
            return Err(too_many(param));
        }
        let mut names = Vec::with_capacity(allowed.len());
        for (nr, Object(named)) in allowed.iter().enumerate() {
            names.push(self.named(&format!("{param}[{nr}]"), named)?);
        }
        self.tools.retain(|(tool, _)| names.contains(&tool.name));
        Ok(())
    }

    /// The tool that a choice names.
    fn named(&self, param: &str, named: &Named<'_>) -> Result<String, ApiError> {
        if !matches!(named.kind.as_ref(), "function" | "custom") {
            return Err(hosted_alone(&format!("{param}.type")));
        }
        let name = named.name.as_deref().ok_or_else(|| ApiError::missing(format!("{param}.name")))?;
        let inner = inner_name(named.namespace.as_deref(), name);
        let known = self.tools.iter().any(|(tool, _)| tool.name == inner);
        known
            .then_some(inner)
            .ok_or_else(|| ApiError::invalid_value(format!("{param}.name"), "the name of one of the tools"))
    }
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    namespace: Option<Cow<'a, str>>,
    #[serde(borrow)]
    mode: Option<Cow<'a, str>>,
    #[serde(borrow)]
    tools: Option<Vec<Object<Named<'a>>>>,
}

fn read<'a>(param: &str, raw: &'a RawValue) -> Result<Wire<'a>, ApiError> {
    let expected = "{\"type\": \"function\", \"name\": ..., \"parameters\": {...}}";
    fields::object(param, raw.get(), expected)
}

/// A function in the form of OpenAI's chat, in which the internal form keeps it.
fn function(param: &str, inner: &str, wire: &Wire<'_>) -> Result<Json, ApiError> {
    let parameters = wire.parameters.filter(|raw| raw.get() != "null");
    if parameters.is_some_and(|raw| !raw.get().starts_with('{')) {
        return Err(ApiError::invalid_type(
            format!("{param}.parameters"),
            "a JSON schema, which is an object",
        ));
    }
    let description = wire.description.as_deref();
    written(Function { name: inner, description, parameters, strict: wire.strict })
}

/// A tool whose input is plain text, as a function with one text. What the text must look like is told to the model, and
/// nothing holds it to that.
fn custom_tool(
    param: &str,
    inner: &str,
    wire: &Wire<'_>,
    ignored: &mut Vec<String>,
) -> Result<Json, ApiError> {
    #[derive(Deserialize)]
    struct Format<'a> {
        #[serde(rename = "type", borrow)]
        kind: Cow<'a, str>,
        #[serde(borrow)]
        syntax: Option<Cow<'a, str>>,
        #[serde(borrow)]
        definition: Option<Cow<'a, str>>,
    }
    const PARAMETERS: &str = "{\"type\":\"object\",\"properties\":{\"input\":{\"type\":\"string\",\
        \"description\":\"The tool's whole input, as plain text\"}},\"required\":[\"input\"],\
        \"additionalProperties\":false}";
    let mut description = wire.description.as_deref().unwrap_or_default().to_owned();
    if let Some(raw) = wire.format.filter(|raw| raw.get() != "null") {
        let place = format!("{param}.format");
        let Object(format): Object<Format<'_>> = serde_json::from_str(raw.get())
            .map_err(|_| ApiError::invalid_type(place.as_str(), "{\"type\": \"text\"} or a grammar"))?;
        match (format.kind.as_ref(), format.definition) {
            ("text", _) => {}
            ("grammar", Some(definition)) => {
                let syntax = format.syntax.unwrap_or(Cow::Borrowed("lark"));
                // Writing into a string does not fail.
                let _ = write!(description, "\n\nThe input must follow this {syntax} grammar:\n{definition}");
                ignored.push(place);
            }
            (_, _) => return Err(ApiError::invalid_value(place, "{\"type\": \"text\"} or a grammar")),
        }
    }
    let parameters = serde_json::from_str(PARAMETERS).ok();
    let description = (!description.is_empty()).then_some(description.as_str());
    written(Function { name: inner, description, parameters, strict: None })
}

fn written(function: Function<'_>) -> Result<Json, ApiError> {
    // What was just written is an object.
    Json::written(&Outer { kind: "function", function }).ok_or_else(ApiError::internal)
}
