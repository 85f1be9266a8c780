//! A chat request, from the internal form to the body of `POST /api/chat`.
//!
//! Knows the native fields. Refuses to know the client's dialect. Invariants: `stream` is always explicit, since
//! Ollama's default is the opposite of OpenAI's; options are sent only when the client gave them, since one that
//! is sent overrides the model's own; nothing is cut from the conversation in silence.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Serialize;

use super::tools;
use crate::chat::{
    Arguments, ChatRequest, MediumKind, Message, ResponseFormat, Role, Sampling, Think, Tool, ToolCall,
    ToolChoice,
};
use crate::dialect::json::{self, Members};
use crate::error::ApiError;

#[cfg(test)]
mod tests;

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
    let mut media = request.messages.iter().flat_map(|message| &message.images);
    if media.any(|medium| medium.kind != MediumKind::Picture) {
        return Err(ApiError::unsupported("messages", "This engine takes texts and pictures."));
    }
    let tools = chosen_tools(request)?;
    let about = request.weight();
    let mut out = Vec::with_capacity(512 + about + about / 8);
    let mut body = Members::open(&mut out);
    body.text("model", model);
    body.list("messages", request.messages.iter().enumerate(), |out, (place, message)| {
        write_message(out, request.messages.get(..place).unwrap_or_default(), message);
    });
    body.value("stream", &true);
    // Over-long conversations are refused rather than shortened from the front.
    body.value("truncate", &false);
    if !tools.is_empty() {
        body.list("tools", tools, |out, tool| out.extend_from_slice(&tool));
    }
    match &request.response_format {
        ResponseFormat::Text => {}
        ResponseFormat::JsonObject => body.text("format", "json"),
        ResponseFormat::JsonSchema(answer) => body.value("format", &answer.schema),
    }
    body.value_if("think", request.think.map(effort));
    body.value_if("logprobs", request.logprobs.map(|_| true));
    body.value_if("top_logprobs", request.logprobs.filter(|&top| top > 0));
    body.value_if("keep_alive", request.keep_alive);
    let options = Options {
        sampling: &request.sampling,
        stop: &request.stop,
        num_predict: request.max_tokens,
        num_ctx: request.num_ctx,
    };
    body.value_if("options", (!options.is_empty()).then_some(options));
    body.close();
    Ok(out.into())
}

/// The tools that the choice leaves, each as JSON.
fn chosen_tools(request: &ChatRequest) -> Result<Vec<Cow<'_, [u8]>>, ApiError> {
    let all = request.tools.iter().enumerate();
    match &request.tool_choice {
        ToolChoice::None => Ok(Vec::new()),
        ToolChoice::Required if request.tools.is_empty() => {
            Err(ApiError::invalid_value("tool_choice", "none or auto where there are no tools to be called"))
        }
        // It cannot be made to call one: whoever answers says that there is no promise.
        ToolChoice::Auto | ToolChoice::Required => all.map(|(place, tool)| wire_tool(place, tool)).collect(),
        ToolChoice::Function(name) => match all.into_iter().find(|(_, tool)| tool.name == *name) {
            Some((place, tool)) => Ok(vec![wire_tool(place, tool)?]),
            None => Err(ApiError::invalid_value("tool_choice", "the name of one of the tools")),
        },
    }
}

fn wire_tool(place: usize, tool: &Tool) -> Result<Cow<'_, [u8]>, ApiError> {
    let written = tools::translated(place, tool)?;
    Ok(written.map_or(Cow::Borrowed(tool.raw.get().as_bytes()), Cow::Owned))
}

fn effort(think: Think) -> Effort {
    match think {
        Think::Off => Effort::Switch(false),
        Think::On => Effort::Switch(true),
        Think::Minimal | Think::Low => Effort::Level("low"),
        Think::Medium => Effort::Level("medium"),
        Think::High => Effort::Level("high"),
        Think::XHigh | Think::Max | Think::Most => Effort::Level("max"),
    }
}

/// Writes a message behind those before it.
fn write_message(out: &mut Vec<u8>, before: &[Message], message: &Message) {
    let mut fields = Members::open(out);
    let role = match message.role {
        // No template of Ollama's knows the word developer.
        Role::System | Role::Developer => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    };
    fields.text("role", role);
    fields.spelled("content", message.text.quoted());
    fields.text_if("thinking", message.reasoning.as_deref());
    if !message.images.is_empty() {
        fields.list("images", &message.images, |out, image| json::quote(out, &image.base64));
    }
    if !message.tool_calls.is_empty() {
        fields.list("tool_calls", message.tool_calls.iter().enumerate(), write_call);
    }
    if message.role == Role::Tool {
        fields.text_if("tool_name", tool_name(before, message));
    }
    fields.text_if("tool_call_id", message.tool_call_id.as_deref());
    fields.close();
}

fn write_call(out: &mut Vec<u8>, (index, call): (usize, &ToolCall)) {
    let mut fields = Members::open(out);
    fields.text_if("id", Some(call.id.as_str()).filter(|id| !id.is_empty()));
    fields.written("function", |out| {
        let mut function = Members::open(out);
        function.value("index", &index);
        function.text("name", &call.name);
        function.written("arguments", |out| write_arguments(out, &call.arguments));
        function.close();
    });
    fields.close();
}

/// Ollama takes an object alone. Its model is shown what it has written where that is none, so that it may see what is wrong with it.
fn write_arguments(out: &mut Vec<u8>, arguments: &Arguments) {
    match arguments {
        Arguments::Object(object) => json::append(out, object),
        Arguments::Text(text) => {
            let mut object = Members::open(out);
            object.text("arguments", text);
            object.close();
        }
    }
}

/// The function whose result a message holds: templates want its name, OpenAI's clients send the call's id. The
/// nearest call of that id counts, since engines repeat ids from turn to turn.
fn tool_name<'a>(before: &'a [Message], message: &'a Message) -> Option<&'a str> {
    let id = message.tool_call_id.as_deref();
    let mut calls = before.iter().rev().flat_map(|earlier| earlier.tool_calls.iter().rev());
    let called = id.and_then(|id| calls.find(|call| call.id == id)).map(|call| call.name.as_str());
    called.or(message.name.as_deref())
}
