//! The conversation of a chat request.
//!
//! Knows OpenAI's roles and content parts. Refuses to know the request around them, and to fetch anything:
//! pictures come as data URLs. Invariant: one message in gives one message out.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::fields::{self, Element, Fields};
use super::media::{self, Allowance};
use crate::chat::{Arguments, Image, Message, Role, Text, ToolCall};
use crate::config::Limits;
use crate::dialect::json::{self, Elements, Entries, Object, Quoted};
use crate::error::ApiError;

#[derive(Deserialize, Default)]
struct Wire<'a> {
    #[serde(borrow)]
    role: Option<Cow<'a, str>>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    name: Option<String>,
    tool_call_id: Option<String>,
    #[serde(borrow)]
    tool_calls: Option<Vec<Object<WireCall<'a>>>>,
    #[serde(borrow)]
    function_call: Option<&'a RawValue>,
    #[serde(borrow)]
    refusal: Option<Quoted<'a>>,
    reasoning: Option<String>,
    reasoning_content: Option<String>,
    /// Where Ollama's own chats have a turn's pictures.
    #[serde(borrow)]
    images: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct WireCall<'a> {
    id: Option<String>,
    #[serde(borrow)]
    function: Option<Object<WireFunction<'a>>>,
}

#[derive(Deserialize)]
struct WireFunction<'a> {
    name: String,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    text: Option<Quoted<'a>>,
    #[serde(borrow)]
    refusal: Option<Quoted<'a>>,
    #[serde(borrow)]
    image_url: Option<&'a RawValue>,
}

/// Reads `messages`.
pub(super) fn messages(fields: &Fields<'_>, limits: &Limits) -> Result<Vec<Message>, ApiError> {
    let raw = fields.get("messages").ok_or_else(|| ApiError::missing("messages"))?;
    let list = Elements::of(raw);
    let mut list = list.ok_or_else(|| ApiError::invalid_type("messages", "a list of messages"))?;
    let (mut messages, mut allowance) = (Vec::new(), Allowance::new(limits));
    while list.more() {
        let at = Element("messages", messages.len());
        let plain = list.texts(["role", "content"], |[role, text]| Some((role, Text::from(text?))));
        let (wire, text) = match plain {
            Some((role, text)) => (Wire { role: role.map(Quoted::text), ..Wire::default() }, Some(text)),
            None => (fields::element(at, list.element(), "a message")?, None),
        };
        let read = message(at, wire, limits, &mut allowance)?;
        messages.push(Message { text: text.unwrap_or(read.text), ..read });
    }
    if messages.is_empty() {
        return Err(ApiError::invalid_value("messages", "a list of at least one message"));
    }
    Ok(messages)
}

fn message(
    at: Element,
    wire: Wire<'_>,
    limits: &Limits,
    allowance: &mut Allowance<'_>,
) -> Result<Message, ApiError> {
    let role = role(at, wire.role.as_deref())?;
    if wire.function_call.is_some() {
        return Err(ApiError::unsupported(format!("{at}.function_call"), "Send the call in tool_calls."));
    }
    let (mut text, mut images) = content(at, wire.content, allowance)?;
    if let Some(refusal) = wire.refusal.filter(|_| role == Role::Assistant) {
        // As a part of its content would be, in whose place OpenAI's answers have it.
        if !text.is_empty() {
            text.push_line_end();
        }
        text.push(refusal);
    }
    if let Some(raw) = wire.images {
        let place = text.spelled_len();
        let more = media::pictures(&format!("{at}.images"), raw, allowance)?;
        images.extend(more.into_iter().map(|image| Image { place, ..image }));
    }
    let calls = wire.tool_calls.unwrap_or_default();
    let tool_calls = calls
        .iter()
        .enumerate()
        .map(|(nr, Object(call))| tool_call(at, nr, call, limits))
        .collect::<Result<_, _>>()?;
    if role == Role::Tool && wire.tool_call_id.is_none() && wire.name.is_none() {
        return Err(ApiError::missing(format!("{at}.tool_call_id")));
    }
    Ok(Message {
        role,
        text,
        images,
        tool_calls,
        tool_call_id: wire.tool_call_id,
        name: wire.name,
        reasoning: wire.reasoning_content.or(wire.reasoning).filter(|text| !text.is_empty()),
    })
}

fn role(at: Element, role: Option<&str>) -> Result<Role, ApiError> {
    match role {
        None => Err(ApiError::missing(format!("{at}.role"))),
        Some("system") => Ok(Role::System),
        Some("developer") => Ok(Role::Developer),
        Some("user") => Ok(Role::User),
        Some("assistant") => Ok(Role::Assistant),
        Some("tool") => Ok(Role::Tool),
        Some(_) => {
            Err(ApiError::invalid_value(format!("{at}.role"), "system, developer, user, assistant or tool"))
        }
    }
}

/// Text and pictures. Null and absent mean no text, which assistants with tool calls send.
fn content(
    at: Element,
    raw: Option<&RawValue>,
    allowance: &mut Allowance<'_>,
) -> Result<(Text, Vec<Image>), ApiError> {
    let (mut text, mut images) = (Text::default(), Vec::new());
    let Some(raw) = raw else { return Ok((text, images)) };
    let wrong = || ApiError::invalid_type(format!("{at}.content"), "a string or a list of content parts");
    if let Some(whole) = Quoted::of(raw.get()) {
        return Ok((whole.into(), images));
    }
    let mut parts = Elements::of(raw).ok_or_else(wrong)?;
    let (mut texts, mut nr) = (0, 0);
    while parts.more() {
        let at = format!("{at}.content[{nr}]");
        let json = parts.element();
        let part: Part<'_> = fields::object(&at, json, fields::PART)?;
        nr += 1;
        let piece = match part.kind.as_ref() {
            "text" | "input_text" | "output_text" => alone(&at, json, part.text, NO_MEDIUM)?,
            "refusal" => alone(&at, json, part.refusal, NO_MEDIUM)?,
            "image_url" => {
                no_medium_but(&at, json, "image_url", ONE_PICTURE)?;
                images.push(Image {
                    place: text.spelled_len(),
                    ..media::image(&at, part.image_url, allowance)?
                });
                continue;
            }
            _ => return Err(ApiError::unsupported(format!("{at}.type"), "Content is text or image_url.")),
        };
        let piece = piece.ok_or_else(|| ApiError::missing(format!("{at}.text")))?;
        if texts > 0 {
            text.push_line_end();
        }
        text.push(piece);
        texts += 1;
    }
    Ok((text, images))
}

const NO_MEDIUM: &str = "A part that is text holds no picture, sound, video or file: send a picture in a part of the type image_url.";
const ONE_PICTURE: &str =
    "A part of the type image_url holds one picture, in image_url: send each in a part of its own.";

/// The words of a part that is text, which holds no medium; `why` says where one goes.
pub(in crate::dialect) fn alone<'a>(
    at: &str,
    json: &str,
    words: Option<Quoted<'a>>,
    why: &str,
) -> Result<Option<Quoted<'a>>, ApiError> {
    no_medium_but(at, json, "", why).map(|()| words)
}

/// Refuses a medium by a member that is not the part's own: it would be seen by nobody, and the answer be another one than was asked for.
pub(in crate::dialect) fn no_medium_but(at: &str, json: &str, own: &str, why: &str) -> Result<(), ApiError> {
    let is_lost = |name: &str, value: &str| name != own && media::is_named_so(name) && media::carries(value);
    let lost = Entries::of(json).find(|(name, value)| is_lost(&name.text(), value));
    lost.map_or(Ok(()), |(name, _)| Err(ApiError::unsupported(format!("{at}.{}", name.text()), why)))
}

fn tool_call(at: Element, nr: usize, call: &WireCall<'_>, limits: &Limits) -> Result<ToolCall, ApiError> {
    let at = format!("{at}.tool_calls[{nr}]");
    let Object(function) =
        call.function.as_ref().ok_or_else(|| ApiError::missing(format!("{at}.function")))?;
    Ok(ToolCall {
        id: call.id.clone().unwrap_or_default(),
        name: function.name.clone(),
        arguments: arguments(&format!("{at}.function.arguments"), function.arguments, limits.json_depth)?,
    })
}

/// The arguments: a string that holds a JSON object, or what a model has written in its place. Clients that send the object itself, or
/// nothing for a function without arguments, are understood too. `param` names the field.
pub(in crate::dialect) fn arguments(
    param: &str,
    raw: Option<&RawValue>,
    depth: usize,
) -> Result<Arguments, ApiError> {
    let raw = raw.map_or("{}", RawValue::get);
    let string = Quoted::of(raw);
    let text = string.map_or(Cow::Borrowed(raw), Quoted::text);
    // Inside a string they have passed the limit of the body's depth. What is no JSON is held to it too: the parser of an engine's
    // template would go as deep before it finds that.
    let of_another_type = string.is_none() && !raw.starts_with('{');
    if of_another_type || json::is_deeper(text.as_bytes(), depth) {
        let expected = format!("a string that holds a JSON object, nested at most {depth} levels deep");
        return Err(ApiError::invalid_value(param, &expected));
    }
    Ok(Arguments::of(&text))
}
