//! A chat request, from the client's bytes to the internal form.
//!
//! Knows every field that is translated, its type and its range; what becomes of the others stands in [`super::table`]. Refuses to
//! know which engine will answer, but that it is one that requests are translated for. Invariant: what comes out satisfies
//! [`crate::chat`], and every refusal names its field.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::choice;
use super::fields::{self, Element, Fields};
use super::message;
use super::table::{Behind, Wanted};
use super::thinking::Thinking;
use crate::chat::{AnswerSchema, ChatRequest, EFFORTS, Json, ResponseFormat, Sampling, Think, Tool};
use crate::config::Limits;
use crate::dialect::json::{Object, Quoted};
use crate::error::ApiError;

#[cfg(test)]
mod tests;

/// OpenAI's own limit of tools, by its API reference ("a max of 128 functions are supported"): a promise to clients, not a
/// guard of ours, and so no setting.
pub(crate) const TOOLS_LIMIT: usize = 128;
/// OpenAI's own limit of choices, by its API description (`n`, from 1 to 128); no setting either.
pub(crate) const CHOICES_LIMIT: u32 = 128;
/// The most tokens or candidates that any engine counts: they use signed 32-bit integers.
pub(crate) const COUNT_LIMIT: u32 = i32::MAX as u32;

/// OpenAI's own range, by its API description.
pub(super) const SEED: &str = "a whole number of 64 bits";

/// Reads a chat request.
///
/// # Errors
/// 400 with the position where the body is not JSON, and with the field where one is missing, doubled, of the
/// wrong type, out of range or refused.
pub fn parse_chat(body: &[u8], limits: &Limits) -> Result<ChatRequest, ApiError> {
    let fields = Fields::read(body, limits.request_fields)?;
    Wanted::of(&fields).check(Behind::Ollama)?;
    choices(&fields)?;
    one_call(&fields)?;
    stores(&fields)?;
    let mut tools = tools(&fields)?;
    Ok(ChatRequest {
        model: model(&fields, limits)?,
        messages: message::messages(&fields, limits)?,
        tool_choice: choice::choose(&fields, &mut tools)?,
        tools,
        parallel_tool_calls: fields.read_as("parallel_tool_calls", "true or false")?,
        sampling: sampling(&fields)?,
        stop: stop(&fields, limits.stop_texts)?,
        max_tokens: max_tokens(&fields)?,
        response_format: response_format(&fields)?,
        think: Thinking::of(&fields).wanted()?.map(|(think, _)| think),
        logprobs: logprobs(&fields)?,
        stream: stream(&fields)?,
        include_usage: include_usage(&fields)?,
        num_ctx: None,
        keep_alive: None,
    })
}

/// How many answers are wanted. Whoever asks an engine asks it for one at a time, or by [`super::passthrough`].
pub(super) fn choices(fields: &Fields<'_>) -> Result<u32, ApiError> {
    Ok(fields.integer("n", 1, CHOICES_LIMIT)?.unwrap_or(1))
}

/// Whether the answer may hold more than one call of a function.
pub(super) fn one_call(fields: &Fields<'_>) -> Result<bool, ApiError> {
    Ok(fields.read_as("parallel_tool_calls", "true or false")? == Some(false))
}

/// Whether the answer is to be kept; it never is.
pub(super) fn stores(fields: &Fields<'_>) -> Result<bool, ApiError> {
    Ok(fields.read_as("store", "true or false")? == Some(true))
}

/// The model's name, as asked for.
pub(in crate::dialect) fn model(fields: &Fields<'_>, limits: &Limits) -> Result<String, ApiError> {
    let name: String = fields.read_as("model", "a string")?.ok_or_else(|| ApiError::missing("model"))?;
    let most = limits.model_name.as_usize();
    if name.is_empty() || name.len() > most || name.contains(|c: char| c.is_control()) {
        let expected = format!("a name of 1 to {most} bytes without control characters");
        return Err(ApiError::invalid_value("model", &expected));
    }
    Ok(name)
}

pub(in crate::dialect) fn stream(fields: &Fields<'_>) -> Result<bool, ApiError> {
    Ok(fields.read_as("stream", "true or false")?.unwrap_or(false))
}

pub(super) fn include_usage(fields: &Fields<'_>) -> Result<bool, ApiError> {
    #[derive(Deserialize)]
    struct Options {
        include_usage: Option<bool>,
    }
    let options: Option<Object<Options>> =
        fields.read_as("stream_options", "an object such as {\"include_usage\": true}")?;
    Ok(options.and_then(|Object(options)| options.include_usage).unwrap_or(false))
}

pub(in crate::dialect) fn sampling(fields: &Fields<'_>) -> Result<Sampling, ApiError> {
    let repeat = fields.number("repeat_penalty", 0.0, 10.0)?;
    Ok(Sampling {
        temperature: fields.number("temperature", 0.0, 2.0)?,
        top_p: fields.number("top_p", 0.0, 1.0)?,
        top_k: top_k(fields)?,
        min_p: fields.number("min_p", 0.0, 1.0)?,
        repeat_penalty: repeat.or(fields.number("repetition_penalty", 0.0, 10.0)?),
        frequency_penalty: fields.number("frequency_penalty", -2.0, 2.0)?,
        presence_penalty: fields.number("presence_penalty", -2.0, 2.0)?,
        seed: fields.read_as("seed", SEED)?,
    })
}

/// Of how many tokens one is chosen: 0 for any, for which vLLM has -1 and Ollama and our own engine 0.
fn top_k(fields: &Fields<'_>) -> Result<Option<u32>, ApiError> {
    match fields.get("top_k") {
        Some(any) if any.get() == "-1" => Ok(Some(0)),
        _ => fields.integer("top_k", 0, COUNT_LIMIT),
    }
}

pub(in crate::dialect) fn stop(fields: &Fields<'_>, most: usize) -> Result<Vec<String>, ApiError> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Stop {
        One(String),
        Many(Vec<String>),
    }
    let stops = match fields.read_as::<Stop>("stop", "a string or a list of strings")? {
        None => return Ok(Vec::new()),
        Some(Stop::One(text)) => vec![text],
        Some(Stop::Many(texts)) => texts,
    };
    if stops.len() > most || stops.iter().any(String::is_empty) {
        return Err(ApiError::invalid_value("stop", &format!("at most {most} texts, none of them empty")));
    }
    Ok(stops)
}

fn max_tokens(fields: &Fields<'_>) -> Result<Option<u32>, ApiError> {
    let older = fields.integer("max_tokens", 1, COUNT_LIMIT)?;
    Ok(fields.integer("max_completion_tokens", 1, COUNT_LIMIT)?.or(older))
}

fn logprobs(fields: &Fields<'_>) -> Result<Option<u8>, ApiError> {
    let wanted: bool = fields.read_as("logprobs", "true or false")?.unwrap_or(false);
    let top = fields.integer("top_logprobs", 0, 20)?;
    if top.is_some_and(|top| top > 0) && !wanted {
        return Err(ApiError::invalid_value("top_logprobs", "sent together with logprobs: true"));
    }
    Ok(wanted.then(|| top.and_then(|top| u8::try_from(top).ok()).unwrap_or(0)))
}

fn response_format(fields: &Fields<'_>) -> Result<ResponseFormat, ApiError> {
    #[derive(Deserialize)]
    struct Format<'a> {
        #[serde(rename = "type")]
        kind: String,
        #[serde(borrow)]
        json_schema: Option<Object<Wrapper<'a>>>,
        #[serde(borrow)]
        schema: Option<&'a RawValue>,
    }
    #[derive(Deserialize)]
    struct Wrapper<'a> {
        name: Option<String>,
        description: Option<String>,
        strict: Option<bool>,
        #[serde(borrow)]
        schema: Option<&'a RawValue>,
    }
    let format: Option<Object<Format<'_>>> = fields.read_as("response_format", "an object with a type")?;
    let Some(Object(format)) = format else { return Ok(ResponseFormat::Text) };
    match format.kind.as_str() {
        "text" => Ok(ResponseFormat::Text),
        // As llama.cpp's server has it: any object, or one of this schema.
        "json_object" => match format.schema {
            None => Ok(ResponseFormat::JsonObject),
            Some(schema) => {
                let wrong = || ApiError::invalid_type("response_format.schema", "an object");
                let schema = Json::object_of(schema).ok_or_else(wrong)?;
                Ok(ResponseFormat::JsonSchema(AnswerSchema {
                    name: None,
                    description: None,
                    strict: None,
                    schema,
                }))
            }
        },
        "json_schema" => {
            let place = "response_format.json_schema.schema";
            let Object(wrapper) = format.json_schema.ok_or_else(|| ApiError::missing(place))?;
            let schema = wrapper.schema.ok_or_else(|| ApiError::missing(place))?;
            let schema = Json::object_of(schema).ok_or_else(|| ApiError::invalid_type(place, "an object"))?;
            let Wrapper { name, description, strict, .. } = wrapper;
            Ok(ResponseFormat::JsonSchema(AnswerSchema { name, description, strict, schema }))
        }
        _ => Err(ApiError::invalid_value("response_format.type", "text, json_object or json_schema")),
    }
}

/// The effort that a value names; `expected` completes "must be ...".
pub(in crate::dialect) fn effort_of(param: &str, value: &str, expected: &str) -> Result<Think, ApiError> {
    let effort = Quoted::of(value).ok_or_else(|| ApiError::invalid_type(param, expected))?;
    let unknown = || {
        let [others @ .., last] = EFFORTS.map(|(name, _)| name);
        let switch = if param == "think" { "true, false, " } else { "" };
        ApiError::invalid_value(param, &format!("{switch}{} or {last}", others.join(", ")))
    };
    Think::named(&effort.text()).ok_or_else(unknown)
}

fn tools(fields: &Fields<'_>) -> Result<Vec<Tool>, ApiError> {
    let raws: Vec<&RawValue> = fields.read_as("tools", "a list of tools")?.unwrap_or_default();
    if raws.len() > TOOLS_LIMIT {
        return Err(ApiError::invalid_value("tools", &format!("a list of at most {TOOLS_LIMIT}")));
    }
    raws.iter().enumerate().map(|(place, raw)| tool(place, raw)).collect()
}

fn tool(place: usize, raw: &RawValue) -> Result<Tool, ApiError> {
    #[derive(Deserialize)]
    struct Outer<'a> {
        #[serde(rename = "type", borrow)]
        kind: Option<Cow<'a, str>>,
        function: Option<Object<Function>>,
    }
    #[derive(Deserialize)]
    struct Function {
        name: String,
    }
    let param = Element("tools", place);
    let expected = "{\"type\": \"function\", \"function\": {\"name\": ...}}";
    let wrong = || ApiError::invalid_type(param.to_string(), expected);
    let outer: Outer<'_> = fields::object(param, raw.get(), expected)?;
    if outer.kind.as_deref().is_some_and(|kind| kind != "function") {
        return Err(ApiError::unsupported(format!("{param}.type"), "Only tools of the type function are."));
    }
    let name = outer.function.map(|Object(function)| function.name).filter(|name| !name.is_empty());
    match (name, Json::object_of(raw)) {
        (Some(name), Some(raw)) => Ok(Tool { name, raw }),
        (_, _) => Err(wrong()),
    }
}
