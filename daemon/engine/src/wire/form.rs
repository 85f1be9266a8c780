//! What an answer is held to: `response_format`, a `tool_choice` that forces a call, and functions whose calls must keep to their schema.
//!
//! Knows OpenAI's forms of them. Knows nothing of grammars. Invariant: what passes has schemas that can be kept, as far as
//! their words tell; what is not understood is refused, and never passed over.

use super::Body;
use super::fields::get;
use super::messages::text;
use super::tools::is_strict;
use crate::error::Failure;
use crate::limits::Limits;
use crate::schema;
use serde_json::{Map, Value, json};

/// The kinds of `response_format` that people do send, and that are named in the refusal.
const OTHER_FORMATS: [&str; 5] = ["grammar", "regex", "structural_tag", "python", "choice"];

/// A schema, and the field of the request that it came in.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    /// The field.
    pub at: String,
    /// What the JSON must be.
    pub schema: Value,
}

/// What an answer is held to: one of these.
#[derive(Debug, Clone, PartialEq)]
pub struct Form {
    /// The content, if there may be any.
    pub content: Content,
    /// The functions that may be called, by name, and what their arguments must be.
    pub calls: Vec<(String, Held)>,
}

/// What an answer says beside its calls.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// Nothing: it is a call in any case.
    None,
    /// JSON of this schema, in the place of a call.
    Held(Held),
    /// Whatever the model says, up to where a call begins.
    Free,
}

impl Form {
    /// Whether the answer is a call in any case, and nothing but one.
    #[must_use]
    pub fn is_call(&self) -> bool {
        self.content == Content::None
    }
}

/// What `tool_choice` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Choice {
    /// The model calls or answers as it likes.
    Free,
    /// Nothing is called.
    Never,
    /// Some function is called.
    Any,
    /// This one is.
    Named(String),
    /// Of all that are offered these alone, as the model likes.
    Among(Vec<String>),
    /// Some function of these is.
    AnyOf(Vec<String>),
}

impl Choice {
    /// Reads `tool_choice`.
    ///
    /// # Errors
    /// 400: it is none of OpenAI's forms, or one that this engine does not know.
    pub(super) fn read(body: &Body<'_>) -> Result<Self, Failure> {
        let wanted = "\"auto\", \"none\", \"required\" or an object of the type \"function\", which names one, or \"allowed_tools\", \
                      which names those that may be called";
        match get("tool_choice", body.tool_choice, wanted)? {
            None | Some(Value::Null) => Ok(Self::Free),
            Some(Value::String(choice)) => match choice.as_str() {
                "auto" => Ok(Self::Free),
                "none" => Ok(Self::Never),
                "required" => Ok(Self::Any),
                _ => Err(Failure::wrong_value("tool_choice", wanted)),
            },
            Some(Value::Object(choice)) => Self::of(&choice),
            Some(_) => Err(Failure::wrong_type("tool_choice", wanted)),
        }
    }

    fn of(choice: &Map<String, Value>) -> Result<Self, Failure> {
        match text("tool_choice", "type", choice)? {
            Some("function") => Self::named(choice),
            Some("allowed_tools") => Self::allowed(choice),
            _ => {
                let message = "This engine forces functions only: tool_choice as an object must have the type 'function' or \
                               'allowed_tools'";
                Err(Failure::unsupported("tool_choice", message))
            }
        }
    }

    fn allowed(choice: &Map<String, Value>) -> Result<Self, Failure> {
        let at = "tool_choice.allowed_tools";
        let Some(Value::Object(allowed)) = choice.get("allowed_tools") else {
            return Err(Failure::missing(at, "an object with a mode and tools"));
        };
        let Some(Value::Array(tools)) = allowed.get("tools") else {
            return Err(Failure::missing(&format!("{at}.tools"), "a list of functions"));
        };
        let name = |(index, tool): (usize, &Value)| {
            let missing = || Failure::missing(&format!("{at}.tools[{index}].function.name"), "a string");
            name_of(tool).map(str::to_owned).ok_or_else(missing)
        };
        let names = tools.iter().enumerate().map(name).collect::<Result<_, _>>()?;
        match text(at, "mode", allowed)? {
            None | Some("auto") => Ok(Self::Among(names)),
            Some("required") => Ok(Self::AnyOf(names)),
            Some(_) => Err(Failure::wrong_value(&format!("{at}.mode"), "\"auto\" or \"required\"")),
        }
    }

    /// Leaves of what is offered what the model is shown.
    ///
    /// # Errors
    /// 400: it names a function that is not offered.
    pub(super) fn narrow(&self, tools: &mut Vec<Value>) -> Result<(), Failure> {
        if let Self::Among(names) | Self::AnyOf(names) = self
            && !names.iter().all(|name| tools.iter().any(|tool| name_of(tool) == Some(name)))
        {
            let message = "tool_choice allows a function that is not among tools; offer it, or leave it out";
            return Err(Failure::invalid("tool_choice.allowed_tools.tools", message));
        }
        // One that is forced is chosen among all, as the model knows them.
        if !matches!(self, Self::Named(_)) {
            tools.retain(|tool| self.allows(tool));
        }
        Ok(())
    }

    /// Whether this one may be called.
    fn allows(&self, tool: &Value) -> bool {
        match self {
            Self::Free | Self::Any => true,
            Self::Never => false,
            Self::Named(wanted) => name_of(tool) == Some(wanted),
            Self::Among(names) | Self::AnyOf(names) => names.iter().any(|name| name_of(tool) == Some(name)),
        }
    }

    fn named(choice: &Map<String, Value>) -> Result<Self, Failure> {
        let name = choice.get("function").and_then(|function| function.get("name")).and_then(Value::as_str);
        let name = name.ok_or_else(|| Failure::missing("tool_choice.function.name", "a string"))?;
        Ok(Self::Named(name.to_owned()))
    }
}

/// What the answer is held to; `None` for nothing. `tools` are all that are offered.
///
/// # Errors
/// 400 with the field at fault.
pub(super) fn read(
    body: &Body<'_>,
    choice: &Choice,
    tools: &[Value],
    limits: &Limits,
) -> Result<Option<Form>, Failure> {
    let content = response_format(body, limits)?;
    let allowed = tools.iter().enumerate().filter(|(_, tool)| choice.allows(tool));
    if matches!(choice, Choice::Free | Choice::Never | Choice::Among(_)) {
        // A call may come in place of the content, but not within it.
        return beside(content, &allowed.collect::<Vec<_>>(), limits);
    }
    let forced: Vec<(usize, &Value)> = allowed.collect();
    if forced.is_empty() {
        let message =
            "tool_choice forces a call of a function that is not among tools; offer it, or send \"auto\"";
        return Err(Failure::invalid("tool_choice", message));
    }
    let calls = forced.into_iter().map(|(index, tool)| arguments(index, tool, limits));
    Ok(Some(Form { content: Content::None, calls: calls.collect::<Result<_, _>>()? }))
}

/// The content's form where functions may be called instead: a call may come in its place, but not within it. Where it may be anything,
/// only the calls are held, and only where some function is strict. The arguments of one that is not are an object, of what the model
/// likes.
fn beside(
    content: Option<Held>,
    tools: &[(usize, &Value)],
    limits: &Limits,
) -> Result<Option<Form>, Failure> {
    let content = match content {
        Some(held) => Content::Held(held),
        None if tools.iter().any(|(_, tool)| is_strict(tool)) => Content::Free,
        None => return Ok(None),
    };
    let any = || Held { at: "tools".into(), schema: json!({"type": "object"}) };
    let callable = |(index, tool): &(usize, &Value)| {
        let name = name_of(tool)?;
        Some(if is_strict(tool) { arguments(*index, tool, limits) } else { Ok((name.to_owned(), any())) })
    };
    let calls = tools.iter().filter_map(callable);
    Ok(Some(Form { content, calls: calls.collect::<Result<_, _>>()? }))
}

fn name_of(tool: &Value) -> Option<&str> {
    tool.pointer("/function/name").and_then(Value::as_str)
}

/// A function whose call must keep to its schema: its name, and what its arguments must be.
fn arguments(index: usize, tool: &Value, limits: &Limits) -> Result<(String, Held), Failure> {
    let at = format!("tools[{index}].function.parameters");
    let parameters = tool.pointer("/function/parameters").and_then(Value::as_object);
    let fields = schema::of_object(parameters);
    if fields.get("type").and_then(Value::as_str) != Some("object") {
        return Err(Failure::wrong_value(&format!("{at}.type"), "'object' where a call is forced or strict"));
    }
    let held = Held { schema: Value::Object(fields), at };
    if held.schema.to_string().len() > limits.schema_bytes {
        return Err(schema::too_large(&held.at));
    }
    schema::check(&held.at, &held.schema, limits)?;
    Ok((name_of(tool).unwrap_or_default().to_owned(), held))
}

fn response_format(body: &Body<'_>, limits: &Limits) -> Result<Option<Held>, Failure> {
    let at = "response_format";
    let Some(raw) = body.response_format else { return Ok(None) };
    let wanted = "an object with the type 'text', 'json_object' or 'json_schema'";
    let format: Map<String, Value> = get(at, Some(raw), wanted)?.unwrap_or_default();
    let schema = match text(at, "type", &format)? {
        Some("text") => return Ok(None),
        // llama.cpp's server takes a schema here as well.
        Some("json_object") => match format.get("schema") {
            None | Some(Value::Null) => json!({"type": "object"}),
            Some(schema) => schema.clone(),
        },
        Some("json_schema") => named_schema(&format)?,
        None => {
            return Err(Failure::missing("response_format.type", "'text', 'json_object' or 'json_schema'"));
        }
        Some(other) => {
            let known = OTHER_FORMATS.contains(&other).then(|| format!("the type '{other}'"));
            let kind = known.unwrap_or_else(|| "another type".to_owned());
            let message = format!(
                "This engine cannot hold an answer to a format of {kind}; response_format must be {wanted}"
            );
            return Err(Failure::unsupported(at, message));
        }
    };
    if raw.get().len() > limits.schema_bytes {
        return Err(schema::too_large(at));
    }
    schema::check(at, &schema, limits)?;
    Ok(Some(Held { at: at.to_owned(), schema }))
}

fn named_schema(format: &Map<String, Value>) -> Result<Value, Failure> {
    let wanted = "an object with a name and a schema";
    match format.get("json_schema") {
        None | Some(Value::Null) => Err(Failure::missing("response_format.json_schema", wanted)),
        Some(Value::Object(named)) => match named.get("schema") {
            Some(schema @ (Value::Object(_) | Value::Bool(_))) => Ok(schema.clone()),
            None | Some(Value::Null) => {
                Err(Failure::missing("response_format.json_schema.schema", "an object: a JSON schema"))
            }
            Some(_) => {
                Err(Failure::wrong_type("response_format.json_schema.schema", "an object: a JSON schema"))
            }
        },
        Some(_) => Err(Failure::wrong_type("response_format.json_schema", wanted)),
    }
}

#[cfg(test)]
mod tests {
    use crate::error::Failure;
    use crate::limits::Limits;
    use crate::weight::Allowance;
    use crate::wire::Chat;
    use crate::wire::form::{Content, Form, Held};
    use serde_json::{Value, json};

    fn read(more: &Value) -> Result<Option<Form>, Failure> {
        let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let allowance = Allowance::new(2048, Some(13));
        let limits = Limits { schema_bytes: 200, ..Limits::default() };
        Chat::read(&serde_json::to_vec(&body).unwrap(), &allowance, &limits).map(|chat| chat.form)
    }

    fn held(form: &Form) -> &Held {
        let Content::Held(held) = &form.content else { panic!("{form:?}") };
        held
    }

    fn tools() -> Value {
        json!([{"type": "function", "function": {"name": "add", "parameters": {"properties": {"a": {"type": "integer"}}}}},
            {"type": "function", "function": {"name": "ping"}}])
    }

    fn format(schema: &Value) -> Value {
        json!({"type": "json_schema", "json_schema": {"name": "x", "strict": true, "schema": schema}})
    }

    #[test]
    fn formats_and_forced_calls_are_read() {
        assert_eq!(read(&json!({})).unwrap(), None);
        assert_eq!(read(&json!({"response_format": {"type": "text"}, "tools": tools()})).unwrap(), None);
        let form = read(&json!({"response_format": {"type": "json_object"}})).unwrap().unwrap();
        assert_eq!((&held(&form).schema, form.calls.len()), (&json!({"type": "object"}), 0));
        let form = read(&json!({"response_format": format(&json!({"type": "array"})), "tools": tools()}));
        let form = form.unwrap().unwrap();
        assert_eq!((&held(&form).schema, form.calls.len()), (&json!({"type": "array"}), 2));
        let form = read(&json!({"tools": tools(), "tool_choice": "required"})).unwrap().unwrap();
        assert!(form.is_call());
        let calls: Vec<(&str, &Value)> =
            form.calls.iter().map(|(name, held)| (name.as_str(), &held.schema)).collect();
        let add = json!({"properties": {"a": {"type": "integer"}}, "type": "object"});
        assert_eq!(calls, [("add", &add), ("ping", &json!({"type": "object"}))]);
        let named = json!({"type": "function", "function": {"name": "ping"}});
        let form = read(&json!({"tools": tools(), "tool_choice": named})).unwrap().unwrap();
        assert_eq!((form.calls.len(), form.calls[0].1.at.as_str()), (1, "tools[1].function.parameters"));
        let allowed =
            json!({"mode": "required", "tools": [{"type": "function", "function": {"name": "ping"}}]});
        let choice = json!({"type": "allowed_tools", "allowed_tools": allowed});
        let form = read(&json!({"tools": tools(), "tool_choice": choice})).unwrap().unwrap();
        let called: Vec<_> =
            form.calls.iter().map(|(name, held)| (name.as_str(), held.at.as_str())).collect();
        assert_eq!(called, [("ping", "tools[1].function.parameters")]);
    }

    #[test]
    fn a_strict_function_is_held_to_its_schema_wherever_it_may_be_called() {
        let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}});
        let strict = |strict: Value| {
            let function = json!({"name": "f", "strict": strict, "parameters": schema});
            json!([{"type": "function", "function": function}, {"type": "function", "function": {"name": "g"}}])
        };
        for no in [json!(false), Value::Null] {
            assert_eq!(read(&json!({ "tools": strict(no) })).unwrap(), None);
        }
        let tools = strict(json!(true));
        assert_eq!(read(&json!({"tools": tools, "tool_choice": "none"})).unwrap(), None);
        let free = read(&json!({ "tools": tools })).unwrap().unwrap();
        assert_eq!((&free.content, free.is_call()), (&Content::Free, false));
        let beside =
            read(&json!({"tools": tools, "response_format": {"type": "json_object"}})).unwrap().unwrap();
        assert_eq!(held(&beside).at, "response_format");
        for form in [free, beside] {
            let calls: Vec<(&str, &str, &Value)> =
                form.calls.iter().map(|(name, held)| (&**name, &*held.at, &held.schema)).collect();
            let any = json!({"type": "object"});
            assert_eq!(calls, [("f", "tools[0].function.parameters", &schema), ("g", "tools", &any)]);
        }
        let wrong = read(&json!({ "tools": strict(json!("yes")) })).unwrap_err();
        assert_eq!(wrong.param.as_deref(), Some("tools[0].function.strict"));
    }

    #[test]
    fn a_format_of_another_type_is_told_in_a_whole_sentence() {
        let said = |kind: &str| read(&json!({"response_format": {"type": kind}})).unwrap_err().message;
        assert!(
            said("xml").contains("to a format of another type; response_format must be"),
            "{}",
            said("xml")
        );
        assert!(
            said("regex").contains("to a format of the type 'regex'; response_format"),
            "{}",
            said("regex")
        );
    }

    #[test]
    fn what_cannot_be_kept_is_refused_with_its_field() {
        let parameters = |schema: &Value| json!([{"function": {"name": "f", "parameters": schema}}]);
        let other = json!({"type": "function", "function": {"name": "other"}});
        let allowed = |mode: &str, name: &str| {
            let tools = json!([{"type": "function", "function": {"name": name}}]);
            json!({"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}})
        };
        for (more, param) in [
            (json!({"response_format": {}}), "response_format.type"),
            (json!({"response_format": {"type": "grammar"}}), "response_format"),
            (json!({"response_format": {"type": "json_schema"}}), "response_format.json_schema"),
            (
                json!({"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}}),
                "response_format.json_schema.schema",
            ),
            (json!({"response_format": format(&json!([]))}), "response_format.json_schema.schema"),
            (json!({"response_format": format(&json!({"not": {}}))}), "response_format"),
            (json!({"response_format": format(&json!({"title": "x".repeat(200)}))}), "response_format"),
            (json!({"tool_choice": "required"}), "tool_choice"),
            (json!({"tools": tools(), "tool_choice": "any"}), "tool_choice"),
            (json!({"tools": tools(), "tool_choice": other}), "tool_choice"),
            (json!({"tools": tools(), "tool_choice": {"type": "custom"}}), "tool_choice"),
            (
                json!({"tools": tools(), "tool_choice": {"type": "allowed_tools"}}),
                "tool_choice.allowed_tools",
            ),
            (
                json!({"tools": tools(), "tool_choice": allowed("auto", "other")}),
                "tool_choice.allowed_tools.tools",
            ),
            (
                json!({"tools": tools(), "tool_choice": allowed("any", "ping")}),
                "tool_choice.allowed_tools.mode",
            ),
            (json!({"tools": tools(), "tool_choice": {"type": "function"}}), "tool_choice.function.name"),
            (
                json!({"tools": parameters(&json!({"type": "array"})), "tool_choice": "required"}),
                "tools[0].function.parameters.type",
            ),
            (
                json!({"tools": parameters(&json!({"not": {}})), "tool_choice": "required"}),
                "tools[0].function.parameters",
            ),
            (
                json!({"tools": [{"function": {"name": "f", "strict": true, "parameters": {"type": "object", "not": {}}}}]}),
                "tools[0].function.parameters",
            ),
        ] {
            let failure = read(&more).unwrap_err();
            assert_eq!((failure.status.as_u16(), failure.param.as_deref()), (400, Some(param)), "{failure}");
        }
        // Whatever is wrong with a choice, all of its forms are named.
        for choice in [json!("any"), json!(3), json!({"type": "custom"})] {
            let failure = read(&json!({"tools": tools(), "tool_choice": choice})).unwrap_err();
            let named = ["function", "allowed_tools"].iter().all(|form| failure.message.contains(form));
            assert!(named, "{choice}: {failure}");
        }
        // Where no call is forced, a function's schema is the model's to read, as far as it likes.
        read(&json!({"tools": parameters(&json!({"type": "object", "not": {}}))})).unwrap();
    }
}
