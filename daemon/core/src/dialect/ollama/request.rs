//! A chat request, from the internal form to the body of `POST /api/chat`.
//!
//! Knows the native fields. Refuses to know the client's dialect. Invariants: `stream` is always explicit, since
//! Ollama's default is the opposite of OpenAI's; options are sent only when the client gave them, since one that
//! is sent overrides the model's own; nothing is cut from the conversation in silence.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use super::tools;
use crate::chat::{
    ChatRequest, Json, Message, ResponseFormat, Role, Sampling, Think, Tool, ToolCall, ToolChoice,
};
use crate::dialect::json;
use crate::error::{ApiError, Code};

#[cfg(test)]
mod tests;

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    messages: Vec<WireMessage<'a>>,
    stream: bool,
    /// Over-long conversations are refused rather than shortened from the front.
    truncate: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<WireTool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<Format<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    think: Option<Effort>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_logprobs: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_alive: Option<i64>,
    #[serde(skip_serializing_if = "Options::is_empty")]
    options: Options<'a>,
}

#[derive(Serialize)]
struct WireMessage<'a> {
    role: &'static str,
    content: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    images: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<WireCall<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_name: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<&'a str>,
}

#[derive(Serialize)]
struct WireCall<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    id: &'a str,
    function: WireFunction<'a>,
}

#[derive(Serialize)]
struct WireFunction<'a> {
    index: usize,
    name: &'a str,
    arguments: &'a Json,
}

#[derive(Serialize)]
#[serde(untagged)]
enum WireTool<'a> {
    AsItCame(&'a Json),
    Written(Box<RawValue>),
}

#[derive(Serialize)]
#[serde(untagged)]
enum Format<'a> {
    Word(&'static str),
    Schema(&'a Json),
}

#[derive(Serialize)]
#[serde(untagged)]
enum Effort {
    Switch(bool),
    Level(&'static str),
}

/// Ollama's names for the sampling fields are the internal form's own; three more stand beside them.
pub(super) struct Options<'a> {
    pub(super) sampling: &'a Sampling,
    pub(super) stop: &'a [String],
    pub(super) num_predict: Option<u32>,
    pub(super) num_ctx: Option<u32>,
}

impl Options<'_> {
    fn is_empty(&self) -> bool {
        *self.sampling == Sampling::default()
            && self.stop.is_empty()
            && self.num_predict.is_none()
            && self.num_ctx.is_none()
    }
}

impl Serialize for Options<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let Sampling {
            temperature,
            top_p,
            top_k,
            min_p,
            repeat_penalty,
            frequency_penalty,
            presence_penalty,
            seed,
        } = self.sampling;
        let reals = [
            ("temperature", temperature),
            ("top_p", top_p),
            ("min_p", min_p),
            ("repeat_penalty", repeat_penalty),
            ("frequency_penalty", frequency_penalty),
            ("presence_penalty", presence_penalty),
        ];
        let counts = [("top_k", top_k), ("num_predict", &self.num_predict), ("num_ctx", &self.num_ctx)];
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in reals {
            if let Some(value) = value {
                map.serialize_entry(name, value)?;
            }
        }
        if let Some(seed) = seed {
            map.serialize_entry("seed", seed)?;
        }
        for (name, value) in counts {
            if let Some(value) = value {
                map.serialize_entry(name, value)?;
            }
        }
        if !self.stop.is_empty() {
            map.serialize_entry("stop", self.stop)?;
        }
        map.end()
    }
}

/// The body for a request to this model, as Ollama spells its name. It always asks for a stream: a whole answer is
/// gathered from it, so that silence and failures are seen while it is made.
///
/// # Errors
/// 400 where the request wants what Ollama cannot do.
pub fn chat_body(request: &ChatRequest, model: &str) -> Result<Bytes, ApiError> {
    let body = Body {
        model,
        messages: messages(&request.messages),
        stream: true,
        truncate: false,
        tools: chosen_tools(request)?,
        format: match &request.response_format {
            ResponseFormat::Text => None,
            ResponseFormat::JsonObject => Some(Format::Word("json")),
            ResponseFormat::JsonSchema(schema) => Some(Format::Schema(schema)),
        },
        think: request.think.map(effort),
        logprobs: request.logprobs.map(|_| true),
        top_logprobs: request.logprobs.filter(|&top| top > 0),
        keep_alive: request.keep_alive,
        options: Options {
            sampling: &request.sampling,
            stop: &request.stop,
            num_predict: request.max_tokens,
            num_ctx: request.num_ctx,
        },
    };
    let size: usize = request.messages.iter().map(|message| message.text.len() + 64).sum();
    Ok(json::body(&body, 256 + size + size / 8))
}

/// The tools that the choice leaves.
fn chosen_tools(request: &ChatRequest) -> Result<Vec<WireTool<'_>>, ApiError> {
    let all = request.tools.iter().enumerate();
    match &request.tool_choice {
        ToolChoice::Auto => all.map(|(place, tool)| wire_tool(place, tool)).collect(),
        ToolChoice::None => Ok(Vec::new()),
        ToolChoice::Required => {
            let message = "The engine of this model cannot be made to call a tool: tool_choice can be auto, none \
                           or one function's name.";
            Err(ApiError::new(Code::UnsupportedParameter, message).with_param("tool_choice"))
        }
        ToolChoice::Function(name) => match all.into_iter().find(|(_, tool)| tool.name == *name) {
            Some((place, tool)) => Ok(vec![wire_tool(place, tool)?]),
            None => Err(ApiError::invalid_value("tool_choice", "the name of one of the tools")),
        },
    }
}

fn wire_tool(place: usize, tool: &Tool) -> Result<WireTool<'_>, ApiError> {
    let written = tools::translated(place, tool)?;
    Ok(written.map_or(WireTool::AsItCame(&tool.raw), WireTool::Written))
}

fn effort(think: Think) -> Effort {
    match think {
        Think::Off => Effort::Switch(false),
        Think::On => Effort::Switch(true),
        Think::Low => Effort::Level("low"),
        Think::Medium => Effort::Level("medium"),
        Think::High => Effort::Level("high"),
        Think::Max => Effort::Level("max"),
    }
}

fn messages(messages: &[Message]) -> Vec<WireMessage<'_>> {
    let wire = |(place, message)| wire_message(messages.get(..place).unwrap_or_default(), message);
    messages.iter().enumerate().map(wire).collect()
}

fn wire_message<'a>(before: &'a [Message], message: &'a Message) -> WireMessage<'a> {
    WireMessage {
        role: match message.role {
            // No template of Ollama's knows the word developer.
            Role::System | Role::Developer => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
            Role::Tool => "tool",
        },
        content: &message.text,
        thinking: message.reasoning.as_deref(),
        images: message.images.iter().map(|image| image.base64.as_str()).collect(),
        tool_calls: message.tool_calls.iter().enumerate().map(wire_call).collect(),
        tool_name: if message.role == Role::Tool { tool_name(before, message) } else { None },
        tool_call_id: message.tool_call_id.as_deref(),
    }
}

fn wire_call((index, call): (usize, &ToolCall)) -> WireCall<'_> {
    WireCall { id: &call.id, function: WireFunction { index, name: &call.name, arguments: &call.arguments } }
}

/// The function whose result a message holds: templates want its name, OpenAI's clients send the call's id. The
/// nearest call of that id counts, since engines repeat ids from turn to turn.
fn tool_name<'a>(before: &'a [Message], message: &'a Message) -> Option<Cow<'a, str>> {
    let id = message.tool_call_id.as_deref();
    let mut calls = before.iter().rev().flat_map(|earlier| earlier.tool_calls.iter().rev());
    let called = id.and_then(|id| calls.find(|call| call.id == id)).map(|call| call.name.as_str());
    called.or(message.name.as_deref()).map(Cow::Borrowed)
}
