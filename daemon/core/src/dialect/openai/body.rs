//! A chat request, from the internal form to the body of `POST /v1/chat/completions`.
//!
//! Knows OpenAI's fields and the few of its engines beside them. Refuses to know the client's dialect. Invariants: what
//! the client left to the model is not sent, since a number that is sent overrides the model's own; a stream is asked for, with its
//! count of tokens where the engine takes that, whatever the client wants, so that silence and failures are seen while the answer is
//! made; [`super::parse_chat`] reads the same request out of it, but for thinking that is only on or off, which no client may say so,
//! an administrator's `max`, media that are no pictures, a name for a schema that had none, and what is said of tools where none are shown.

use bytes::Bytes;
use serde::Serialize;

use crate::chat::{
    AnswerSchema, ChatRequest, Image, Json, MediumKind, Message, Part, ResponseFormat, Role, Think, ToolCall,
    ToolChoice,
};
use crate::dialect::json::{self, Members};

#[cfg(test)]
mod tests;

/// All but the model and the conversation.
#[derive(Serialize)]
struct Rest<'a> {
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<&'a Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Choice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parallel_tool_calls: Option<bool>,
    #[serde(flatten)]
    sampling: &'a crate::chat::Sampling,
    /// vLLM's word for `repeat_penalty`, which is llama.cpp's.
    #[serde(skip_serializing_if = "Option::is_none")]
    repetition_penalty: Option<f64>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop: &'a [String],
    /// The older word, which every engine knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<Format<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_effort: Option<&'static str>,
    /// OpenAI's field has no "on", and templates that can be told not to think go by this alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    chat_template_kwargs: Option<TemplateArguments>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_logprobs: Option<u8>,
}

#[derive(Serialize)]
struct TemplateArguments {
    enable_thinking: bool,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Choice<'a> {
    Word(&'static str),
    Named {
        #[serde(rename = "type")]
        kind: &'static str,
        function: Named<'a>,
    },
}

#[derive(Serialize)]
struct Named<'a> {
    name: &'a str,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Format<'a> {
    JsonObject,
    JsonSchema { json_schema: Schema<'a> },
}

#[derive(Serialize)]
struct Schema<'a> {
    /// vLLM wants one.
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
    schema: &'a Json,
}

impl<'a> From<&'a AnswerSchema> for Schema<'a> {
    fn from(answer: &'a AnswerSchema) -> Self {
        Self {
            name: answer.name.as_deref().unwrap_or("answer"),
            description: answer.description.as_deref(),
            strict: answer.strict,
            schema: &answer.schema,
        }
    }
}

/// The body for a request to this model, as the engine spells its name. It always asks for a stream, with
/// `counts` for one that ends with the count of tokens, which some engines refuse. What is for Ollama alone (`num_ctx`, `keep_alive`) has no place in it.
#[must_use]
pub fn chat_body(request: &ChatRequest, model: &str, counts: bool) -> Bytes {
    // Some engines show a template the tools all the same, and what the model then writes comes out as text.
    let offered = request.tool_choice != ToolChoice::None && !request.tools.is_empty();
    let rest = Rest {
        stream: true,
        stream_options: counts.then_some(StreamOptions { include_usage: true }),
        tools: request.tools.iter().filter(|_| offered).map(|tool| &tool.raw).collect(),
        // Without tools, some refuse what is said of them.
        tool_choice: choice(&request.tool_choice).filter(|_| offered),
        parallel_tool_calls: request.parallel_tool_calls.filter(|_| offered),
        sampling: &request.sampling,
        repetition_penalty: request.sampling.repeat_penalty,
        stop: &request.stop,
        max_tokens: request.max_tokens,
        response_format: match &request.response_format {
            ResponseFormat::Text => None,
            ResponseFormat::JsonObject => Some(Format::JsonObject),
            ResponseFormat::JsonSchema(answer) => Some(Format::JsonSchema { json_schema: answer.into() }),
        },
        reasoning_effort: request.think.and_then(Think::effort),
        chat_template_kwargs: request.think.and_then(template_arguments),
        logprobs: request.logprobs.map(|_| true),
        top_logprobs: request.logprobs,
    };
    let about = request.weight();
    let mut out = Vec::with_capacity(512 + about + about / 8);
    let mut body = Members::open(&mut out);
    body.text("model", model);
    body.list("messages", &request.messages, write_message);
    body.of(&rest);
    body.close();
    out.into()
}

fn write_message(out: &mut Vec<u8>, message: &Message) {
    let mut fields = Members::open(out);
    let role = match message.role {
        Role::System => "system",
        Role::Developer => "developer",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    };
    fields.text("role", role);
    fields.written("content", |out| write_content(out, message));
    fields.text_if("name", message.name.as_deref());
    // vLLM reads the one name, llama.cpp's server the other.
    fields.text_if("reasoning", message.reasoning.as_deref());
    fields.text_if("reasoning_content", message.reasoning.as_deref());
    if !message.tool_calls.is_empty() {
        fields.list("tool_calls", &message.tool_calls, write_call);
    }
    fields.text_if("tool_call_id", message.tool_call_id.as_deref());
    fields.close();
}

/// Text stays a string, which templates want; null stands for an assistant that only calls.
fn write_content(out: &mut Vec<u8>, message: &Message) {
    if !message.images.is_empty() {
        json::list(out, message.parts(), write_part);
    } else if message.text.is_empty() && !message.tool_calls.is_empty() {
        out.extend_from_slice(b"null");
    } else {
        message.text.quoted().write(out);
    }
}

fn write_part(out: &mut Vec<u8>, part: Part<'_>) {
    let mut fields = Members::open(out);
    match part {
        Part::Text(text) => {
            fields.text("type", "text");
            fields.spelled("text", text);
        }
        Part::Image(image) => write_medium(&mut fields, image),
    }
    fields.close();
}

/// A medium by the type that chats have for it, which is the name of the member that holds it as well.
fn write_medium(fields: &mut Members<'_>, Image { kind, media_type, base64, detail, .. }: &Image) {
    let name = match kind {
        MediumKind::Picture => "image_url",
        MediumKind::Sound(_) => "input_audio",
        MediumKind::File(_) => "file",
    };
    fields.text("type", name);
    fields.written(name, |out| {
        let mut medium = Members::open(out);
        match kind {
            MediumKind::Picture => {
                medium.text("url", &format!("data:{media_type};base64,{base64}"));
                medium.text_if("detail", detail.as_deref());
            }
            MediumKind::Sound(format) => {
                medium.text("data", base64);
                medium.text_if("format", format.as_deref());
            }
            MediumKind::File(name) => {
                medium.text_if("filename", name.as_deref());
                medium.text("file_data", base64);
            }
        }
        medium.close();
    });
}

fn write_call(out: &mut Vec<u8>, call: &ToolCall) {
    let mut fields = Members::open(out);
    fields.text("id", &call.id);
    fields.text("type", "function");
    fields.written("function", |out| {
        let mut function = Members::open(out);
        function.text("name", &call.name);
        // A string, also where it holds no JSON: whoever judges it sees what its model has written.
        function.text("arguments", call.arguments.get());
        function.close();
    });
    fields.close();
}

fn choice(choice: &ToolChoice) -> Option<Choice<'_>> {
    match choice {
        ToolChoice::Auto => None,
        ToolChoice::None => Some(Choice::Word("none")),
        ToolChoice::Required => Some(Choice::Word("required")),
        ToolChoice::Function(name) => Some(Choice::Named { kind: "function", function: Named { name } }),
    }
}

/// For whoever thinks or not, and no harder.
fn template_arguments(think: Think) -> Option<TemplateArguments> {
    matches!(think, Think::On | Think::Off)
        .then_some(TemplateArguments { enable_thinking: think == Think::On })
}
