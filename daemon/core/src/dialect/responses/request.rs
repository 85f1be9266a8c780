//! A Responses request, from the client's bytes to the internal form.
//!
//! Knows every field that is honoured, and what the others would have done. Refuses to know which engine will answer.
//! Invariant: what comes out satisfies [`crate::chat`], every refusal names its field, and every field that changes
//! nothing is named.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::echo::{self, Echo};
use super::input::Earlier;
use super::reasoning::Reasoning;
use super::{input, rows, tools};
use crate::chat::{AnswerSchema, ChatRequest, Json, ResponseFormat};
use crate::config::Limits;
use crate::dialect::json::Object;
use crate::dialect::openai::fields::{Fields, MEMBERS};
use crate::dialect::openai::table::{Asks, is_flex, is_nothing};
use crate::dialect::openai::{media, request};
use crate::dialect::unread::{self, Unread};
use crate::error::ApiError;

#[cfg(test)]
mod tests;

/// What was read from a request.
#[derive(Debug, Clone, PartialEq)]
pub struct ResponseRequest {
    /// The conversation and what is wanted of it.
    pub chat: ChatRequest,
    /// What the response repeats of its request, and the names of the tools as the client knows them.
    pub echo: Echo,
    /// The fields that were understood, or are unknown, and change nothing; some as the client has spelled them.
    pub ignored: Vec<String>,
    /// Those that a server of OpenAI's API is given, and that change nothing anywhere else.
    pub unheeded: Vec<&'static str>,
    /// Whether it has time: its `service_tier` is "flex".
    pub has_time: bool,
    /// Whether the items of its answer may be kept until a later request names them: its `store` is not false.
    pub may_keep: bool,
    /// Bytes of the items of earlier answers that it has named, and that were looked up.
    pub recalled: usize,
    /// Where its first sound or file stands, as errors name it: servers of OpenAI's API alone take them.
    pub attached: Option<String>,
}

/// Reads a request for a response, where nothing is kept of earlier ones.
///
/// # Errors
/// As [`parse_recalling`].
pub fn parse_response(body: &[u8], limits: &Limits) -> Result<ResponseRequest, ApiError> {
    parse_recalling(body, limits, &|_| None)
}

/// Reads a request for a response; `earlier` looks up the items that it names only.
///
/// # Errors
/// 400 with the position where the body is not JSON, and with the field where one is missing, doubled, of the wrong type,
/// out of range, or asks for what is not kept or offered here; 413 where it is too long with the items that it names.
pub fn parse_recalling(
    body: &[u8],
    limits: &Limits,
    earlier: Earlier<'_>,
) -> Result<ResponseRequest, ApiError> {
    let fields = Fields::read(body, limits.request_fields)?;
    refuse_unkept(&fields)?;
    refuse_media(&fields)?;
    let mut ignored: Vec<String> =
        fields.names().filter(|name| !rows::knows(name)).map(str::to_owned).collect();
    let offered = tools::offered(&fields, &mut ignored)?;
    let reasoning = Reasoning::read(&fields)?;
    let think = reasoning.think(&mut ignored)?;
    let most = limits.body.as_usize().saturating_sub(body.len());
    let conversation = input::conversation(&fields, &input::Reading { limits, earlier, most }, &mut ignored)?;
    let chat = ChatRequest {
        model: request::model(&fields, limits)?,
        messages: conversation.messages,
        tools: offered.tools,
        tool_choice: offered.choice,
        parallel_tool_calls: fields.read_as("parallel_tool_calls", "true or false")?,
        sampling: request::sampling(&fields)?,
        stop: request::stop(&fields, limits.stop_texts)?,
        max_tokens: fields.integer("max_output_tokens", 1, request::COUNT_LIMIT)?,
        response_format: format(&fields, &mut ignored)?,
        think,
        logprobs: logprobs(&fields, &mut ignored)?,
        stream: request::stream(&fields)?,
        include_usage: true,
        num_ctx: None,
        keep_alive: None,
    };
    let may_keep = note_unkept(&fields, &mut ignored)?;
    note_others(&fields, &mut ignored)?;
    note_obfuscation(&fields, &mut ignored)?;
    note_unread(&fields, conversation.unread, &offered.shown, &mut ignored);
    ignored.extend(reasoning.unread());
    note_insides(&fields, &mut ignored);
    let echo = echo::of(&fields, &chat, (&reasoning, &offered.shown), offered.names)?;
    let has_time = fields.get("service_tier").is_some_and(is_flex);
    let unheeded = unheeded(&chat);
    let (recalled, attached) = (conversation.recalled, conversation.attached);
    Ok(ResponseRequest { chat, echo, ignored, unheeded, has_time, may_keep, recalled, attached })
}

/// Refuses what would be ignored although the client counts on it.
fn refuse_unkept(fields: &Fields<'_>) -> Result<(), ApiError> {
    for (row, why) in rows::ROWS.iter().filter_map(|row| Some((row, rows::refusal(row)?))) {
        let asked = match row.asks {
            Asks::UnlessFalse => fields.read_as::<bool>(row.name, "true or false")? == Some(true),
            Asks::UnlessEmpty => fields.get(row.name).is_some_and(|raw| !is_empty(raw)),
            Asks::UnlessNothing => fields.get(row.name).is_some_and(|raw| !is_nothing(raw)),
            // One answer is what a response has.
            Asks::ByReader => fields.get(row.name).is_some_and(|raw| raw.get() != "1"),
            Asks::Always | Asks::UnlessFlex | Asks::BesidesText | Asks::UnlessText => {
                fields.get(row.name).is_some()
            }
        };
        if asked {
            return Err(ApiError::unsupported(row.name, why));
        }
    }
    Ok(())
}

/// Refuses media beside the input: no engine is given what stands there.
fn refuse_media(fields: &Fields<'_>) -> Result<(), ApiError> {
    let beside = |(name, raw): &(&str, &RawValue)| {
        !rows::knows(name) && media::is_named_so(name) && media::carries(raw.get())
    };
    match fields.present().find(beside) {
        Some((name, _)) => Err(ApiError::unsupported(name, NO_MEDIA)),
        None => Ok(()),
    }
}

const NO_MEDIA: &str =
    "Pictures, sounds and files are parts of a content in input: input_image, input_audio and input_file.";

fn is_empty(object: &RawValue) -> bool {
    serde_json::from_str::<Map<String, Value>>(object.get()).is_ok_and(|object| object.is_empty())
}

/// Names what is asked for and not done, although the answer is sound without it. Gives whether the answer's items may be kept.
fn note_unkept(fields: &Fields<'_>, ignored: &mut Vec<String>) -> Result<bool, ApiError> {
    let store = fields.read_as::<bool>("store", "true or false")?;
    if store == Some(true) {
        ignored.push("store".to_owned());
    }
    let tier = fields.read_as::<String>("service_tier", "a string")?;
    if tier.is_some_and(|tier| !matches!(tier.as_str(), "auto" | "default" | "flex")) {
        ignored.push("service_tier".to_owned());
    }
    match fields.read_as::<String>("truncation", "auto or disabled")?.as_deref() {
        None | Some("disabled") => {}
        // A conversation that is too long is refused, and not cut.
        Some("auto") => ignored.push("truncation".to_owned()),
        Some(_) => return Err(ApiError::invalid_value("truncation", "auto or disabled")),
    }
    Ok(store != Some(false))
}

/// Names what is for OpenAI's own tools, caches and accounts, if it is well-formed.
fn note_others(fields: &Fields<'_>, ignored: &mut Vec<String>) -> Result<(), ApiError> {
    let objects = ["access_programs", "background_options", "image", "prompt_cache_options"];
    for name in objects {
        if fields.read_as::<Object<IgnoredAny>>(name, "an object")?.is_some() {
            ignored.push(name.to_owned());
        }
    }
    let calls = fields.integer("max_tool_calls", 0, request::COUNT_LIMIT)?.map(|_| "max_tool_calls");
    let retention = fields.read_as::<String>("prompt_cache_retention", "a string")?;
    let context = fields.read_as::<Vec<Object<IgnoredAny>>>("context_management", "a list of objects")?;
    let retention = retention.map(|_| "prompt_cache_retention");
    let context = context.map(|_| "context_management");
    ignored.extend([calls, retention, context].into_iter().flatten().map(str::to_owned));
    Ok(())
}

/// Events are padded against whoever reads their lengths on the wire; here they are not.
fn note_obfuscation(fields: &Fields<'_>, ignored: &mut Vec<String>) -> Result<(), ApiError> {
    #[derive(Deserialize)]
    struct Options {
        include_obfuscation: Option<bool>,
    }
    let expected = "an object such as {\"include_obfuscation\": false}";
    let options = fields.read_as::<Object<Options>>("stream_options", expected)?;
    if options.is_some_and(|Object(options)| options.include_obfuscation == Some(true)) {
        ignored.push("stream_options.include_obfuscation".to_owned());
    }
    Ok(())
}

/// Names what items, tools and their choice have beside what is read of them.
fn note_unread(fields: &Fields<'_>, mut unread: Unread, tools: &[&RawValue], ignored: &mut Vec<String>) {
    for tool in tools {
        unread.look(tool.get(), &unread::RESPONSE_TOOL);
    }
    if let Some(choice) = fields.get("tool_choice") {
        unread.look(choice.get(), &unread::RESPONSE_CHOICE);
    }
    ignored.extend(unread.found().map(|(path, name)| format!("{path}.{name}")));
}

/// The members of a request's objects that are read, some of which are named by whoever reads them.
const INSIDES: [(&str, &[&str]); 2] = [
    ("text", &["format", "verbosity"]),
    // The counts are told in any case.
    ("stream_options", &["include_obfuscation", "include_usage"]),
];

/// Names what else stands inside of objects that are read: of it nothing comes.
fn note_insides(fields: &Fields<'_>, ignored: &mut Vec<String>) {
    for (outer, read) in INSIDES {
        let others = fields.members(outer, MEMBERS).filter(|(member, _)| !read.contains(&member.as_ref()));
        ignored.extend(others.map(|(member, _)| format!("{outer}.{member}")));
    }
    let format = fields.members("text", MEMBERS).find(|(member, _)| member == "format");
    let Some((_, format)) = format else { return };
    let read = ["type", "name", "description", "strict", "schema"];
    let members: BTreeMap<Cow<'_, str>, Option<IgnoredAny>> =
        serde_json::from_str(format.get()).unwrap_or_default();
    let there = members.iter().filter(|(_, value)| value.is_some()).map(|(member, _)| member);
    let others = there.filter(|member| !read.contains(&member.as_ref())).take(MEMBERS);
    ignored.extend(others.map(|member| format!("text.format.{member}")));
}

fn format(fields: &Fields<'_>, ignored: &mut Vec<String>) -> Result<ResponseFormat, ApiError> {
    #[derive(Deserialize)]
    struct Text<'a> {
        #[serde(borrow)]
        format: Option<Object<Format<'a>>>,
        verbosity: Option<String>,
    }
    #[derive(Deserialize)]
    struct Format<'a> {
        #[serde(rename = "type")]
        kind: String,
        name: Option<String>,
        description: Option<String>,
        strict: Option<bool>,
        #[serde(borrow)]
        schema: Option<&'a RawValue>,
    }
    let expected = "an object such as {\"format\": {\"type\": \"text\"}}";
    let Some(Object(text)) = fields.read_as::<Object<Text<'_>>>("text", expected)? else {
        return Ok(ResponseFormat::Text);
    };
    match text.verbosity.as_deref() {
        // Medium is what a model does by itself.
        None | Some("medium") => {}
        Some("low" | "high") => ignored.push("text.verbosity".to_owned()),
        Some(_) => return Err(ApiError::invalid_value("text.verbosity", "low, medium or high")),
    }
    let Some(Object(format)) = text.format else { return Ok(ResponseFormat::Text) };
    match format.kind.as_str() {
        "text" => Ok(ResponseFormat::Text),
        "json_object" => Ok(ResponseFormat::JsonObject),
        "json_schema" => {
            let schema = format.schema.ok_or_else(|| ApiError::missing("text.format.schema"))?;
            let schema = Json::object_of(schema)
                .ok_or_else(|| ApiError::invalid_type("text.format.schema", "an object"))?;
            let Format { name, description, strict, .. } = format;
            Ok(ResponseFormat::JsonSchema(AnswerSchema { name, description, strict, schema }))
        }
        _ => Err(ApiError::invalid_value("text.format.type", "text, json_object or json_schema")),
    }
}

/// What has a place in OpenAI's API alone: what stands beside a schema, whose own descriptions go along to every engine, and how closely a
/// picture shall be looked at.
fn unheeded(chat: &ChatRequest) -> Vec<&'static str> {
    let described = match &chat.response_format {
        ResponseFormat::JsonSchema(AnswerSchema { description: Some(description), .. }) => {
            !description.is_empty()
        }
        _ => false,
    };
    let detailed = chat.messages.iter().flat_map(|turn| &turn.images).any(|image| image.detail.is_some());
    let said = [(described, "text.format.description"), (detailed, "input.content.detail")];
    said.into_iter().filter(|(there, _)| *there).map(|(_, name)| name).collect()
}

/// What `include` names the probabilities of tokens by, and the header of what came to nothing this very wish.
const INCLUDED_ODDS: &str = "message.output_text.logprobs";
pub(in crate::dialect) const ODDS: &str = "include:message.output_text.logprobs";

/// The probabilities are given where `include` asks for them.
fn logprobs(fields: &Fields<'_>, ignored: &mut Vec<String>) -> Result<Option<u8>, ApiError> {
    let include: Vec<String> = fields.read_as("include", "a list of strings")?.unwrap_or_default();
    let wanted = include.iter().any(|name| name == INCLUDED_ODDS);
    let others = include.iter().filter(|name| *name != INCLUDED_ODDS);
    ignored.extend(others.map(|name| format!("include:{name}")));
    let top = fields.integer("top_logprobs", 0, 20)?;
    if !wanted && top.is_some_and(|top| top > 0) {
        ignored.push("top_logprobs".to_owned());
    }
    Ok(wanted.then(|| top.and_then(|top| u8::try_from(top).ok()).unwrap_or(0)))
}
