//! A chat request, from the internal form to the body of `POST /v1/chat/completions`.
//!
//! Knows OpenAI's fields and the few of its engines beside them. Refuses to know the client's dialect. Invariants: what
//! the client left to the model is not sent, since a number that is sent overrides the model's own; a stream is asked for, with its
//! count of tokens where the engine takes that, whatever the client wants, so that silence and failures are seen while the answer is
//! made; [`super::parse_chat`] reads the same request out of it, but for thinking that is only on or off, which no client may say so,
//! thinking beyond `high`, and what is said of tools where none are shown.

use bytes::Bytes;
use serde::Serialize;

use crate::chat::{ChatRequest, Image, Json, Message, ResponseFormat, Role, Think, ToolCall, ToolChoice};
use crate::dialect::json;

#[cfg(test)]
mod tests;

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    messages: Vec<WireMessage<'a>>,
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
struct WireMessage<'a> {
    role: &'static str,
    content: Option<Content<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    // vLLM reads the one name, llama.cpp's server the other.
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<WireCall<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Text(&'a str),
    Parts(Vec<Part<'a>>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Part<'a> {
    Text { text: &'a str },
    ImageUrl { image_url: Url },
}

#[derive(Serialize)]
struct Url {
    url: String,
}

#[derive(Serialize)]
struct WireCall<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    function: WireFunction<'a>,
}

#[derive(Serialize)]
struct WireFunction<'a> {
    name: &'a str,
    /// A JSON object, as a string.
    arguments: &'a str,
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
    /// vLLM wants one; what it says reaches no model.
    name: &'static str,
    schema: &'a Json,
}

/// The body for a request to this model, as the engine spells its name. It always asks for a stream, with
/// `counts` for one that ends with the count of tokens, which some engines refuse. What is for Ollama alone (`num_ctx`, `keep_alive`) has no place in it.
#[must_use]
pub fn chat_body(request: &ChatRequest, model: &str, counts: bool) -> Bytes {
    // Some engines show a template the tools all the same, and what the model then writes comes out as text.
    let offered = request.tool_choice != ToolChoice::None && !request.tools.is_empty();
    let body = Body {
        model,
        messages: request.messages.iter().map(message).collect(),
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
            ResponseFormat::JsonSchema(schema) => {
                Some(Format::JsonSchema { json_schema: Schema { name: "answer", schema } })
            }
        },
        reasoning_effort: request.think.and_then(effort),
        chat_template_kwargs: request.think.and_then(template_arguments),
        logprobs: request.logprobs.map(|_| true),
        top_logprobs: request.logprobs,
    };
    json::body(&body, 512 + request.weight() + request.weight() / 8)
}

fn message(message: &Message) -> WireMessage<'_> {
    WireMessage {
        role: match message.role {
            Role::System => "system",
            Role::Developer => "developer",
            Role::User => "user",
            Role::Assistant => "assistant",
            Role::Tool => "tool",
        },
        content: content(message),
        name: message.name.as_deref(),
        reasoning: message.reasoning.as_deref(),
        reasoning_content: message.reasoning.as_deref(),
        tool_calls: message.tool_calls.iter().map(call).collect(),
        tool_call_id: message.tool_call_id.as_deref(),
    }
}

/// Text stays a string, which templates want; null stands for an assistant that only calls.
fn content(message: &Message) -> Option<Content<'_>> {
    if message.images.is_empty() {
        let silent = message.text.is_empty() && !message.tool_calls.is_empty();
        return (!silent).then_some(Content::Text(&message.text));
    }
    let text = (!message.text.is_empty()).then_some(Part::Text { text: &message.text });
    Some(Content::Parts(text.into_iter().chain(message.images.iter().map(picture)).collect()))
}

fn picture(image: &Image) -> Part<'_> {
    Part::ImageUrl { image_url: Url { url: format!("data:{};base64,{}", image.media_type, image.base64) } }
}

fn call(call: &ToolCall) -> WireCall<'_> {
    let function = WireFunction { name: &call.name, arguments: call.arguments.get() };
    WireCall { id: &call.id, kind: "function", function }
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

/// The words that all engines know: `none` is not one of them, nor is what is beyond `high`.
fn effort(think: Think) -> Option<&'static str> {
    match think {
        Think::Off | Think::On => None,
        Think::Low => Some("low"),
        Think::Medium => Some("medium"),
        Think::High | Think::Max => Some("high"),
    }
}
