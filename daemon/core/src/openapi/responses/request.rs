//! What a Responses request asks for, as `dialect::responses::request` reads it. `null` is as good as nothing.
#![expect(dead_code, reason = "these are read for their forms alone")]

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde_json::Value;

use crate::dialect::openai::COUNT_LIMIT;
use crate::openapi::chat::{Detail, Effort, Stop, count_from_0};

/// A conversation, and what is wanted of the next response.
#[derive(JsonSchema)]
#[schemars(rename = "ResponseRequest")]
pub(in crate::openapi) struct Request {
    /// The model's name, as `GET /v1/models` lists it.
    #[schemars(length(min = 1))]
    model: String,
    /// A text, or the items of the whole conversation.
    input: Input,
    /// What stands before the conversation.
    instructions: Option<String>,
    /// Functions, tools whose input is plain text, and namespaces of both. What only OpenAI could run is ignored beside them, and
    /// refused alone. At most 128, those in namespaces counted one by one.
    tools: Option<Vec<Tool>>,
    /// `none`, `auto`, `required`, a tool's name in an object, or `allowed_tools`.
    tool_choice: Option<Choice>,
    /// Whether more than one function may be called.
    parallel_tool_calls: Option<bool>,
    /// The most tokens of the answer.
    #[schemars(range(min = 1, max = COUNT_LIMIT))]
    max_output_tokens: Option<u32>,
    #[schemars(range(min = 0.0, max = 2.0))]
    temperature: Option<f64>,
    #[schemars(range(min = 0.0, max = 1.0))]
    top_p: Option<f64>,
    /// None of OpenAI's: only so many of the likeliest tokens; -1, as 0, is all of them.
    #[serde(default)]
    #[schemars(schema_with = "count_from_0")]
    top_k: Option<i64>,
    /// None of OpenAI's.
    #[schemars(range(min = 0.0, max = 1.0))]
    min_p: Option<f64>,
    /// None of OpenAI's.
    #[schemars(range(min = 0.0, max = 10.0))]
    repeat_penalty: Option<f64>,
    /// Another name for repeat_penalty.
    #[schemars(range(min = 0.0, max = 10.0))]
    repetition_penalty: Option<f64>,
    /// None of OpenAI's.
    #[schemars(range(min = -2.0, max = 2.0))]
    frequency_penalty: Option<f64>,
    /// None of OpenAI's.
    #[schemars(range(min = -2.0, max = 2.0))]
    presence_penalty: Option<f64>,
    /// None of OpenAI's.
    seed: Option<i64>,
    /// None of OpenAI's: where the answer ends, before this text or any of these.
    stop: Option<Stop>,
    /// How many likely tokens are told in each place, where `include` asks for the probabilities.
    #[schemars(range(max = 20))]
    top_logprobs: Option<u32>,
    /// `message.output_text.logprobs` is had; anything else is ignored.
    include: Option<Vec<String>>,
    /// The form of the answer.
    text: Option<Text>,
    /// How much a model that thinks shall think. All that it thinks is given as the summary.
    reasoning: Option<Reasoning>,
    /// Whether the answer comes as it is made.
    stream: Option<bool>,
    /// include_obfuscation is ignored: events are not padded.
    stream_options: Option<BTreeMap<String, Value>>,
    /// Ignored: it counts calls of tools that OpenAI itself would run.
    #[schemars(range(max = COUNT_LIMIT))]
    max_tool_calls: Option<u32>,
    /// Ignored: a conversation that is too long is refused, and not made shorter.
    context_management: Option<Vec<BTreeMap<String, Value>>>,
    /// Ignored: nothing runs in the background.
    background_options: Option<BTreeMap<String, Value>>,
    /// Ignored.
    image: Option<BTreeMap<String, Value>>,
    /// Ignored.
    access_programs: Option<BTreeMap<String, Value>>,
    /// What the client notes for itself: it is repeated. At most 16 entries, keys of 64 characters and values of 512.
    metadata: Option<BTreeMap<String, String>>,
    /// Ignored where it is true: no response is stored. Where it is false, none of the answer's items is kept for an
    /// `item_reference`.
    store: Option<bool>,
    /// `disabled`; `auto` is ignored: a conversation that is too long is refused, and not cut.
    truncation: Option<Truncation>,
    /// Repeated.
    prompt_cache_key: Option<String>,
    /// Ignored.
    prompt_cache_options: Option<BTreeMap<String, Value>>,
    /// Ignored.
    prompt_cache_retention: Option<String>,
    /// `flex`: the request has time. Else ignored but for `auto` and `default`.
    service_tier: Option<String>,
    /// Repeated.
    safety_identifier: Option<String>,
    /// Repeated.
    user: Option<String>,
}

#[derive(JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "ResponseInput")]
enum Input {
    Text(#[schemars(length(min = 1))] String),
    Items(#[schemars(length(min = 1))] Vec<Item>),
}

/// An item: `message`, `reasoning`, `function_call`, `custom_tool_call`, or the output of either of both; or `item_reference`, which
/// names an item of an earlier answer to the same key, as long as that is kept. A message needs no type.
#[derive(JsonSchema)]
#[schemars(rename = "ResponseInputItem")]
struct Item {
    #[serde(rename = "type")]
    kind: Option<String>,
    /// Of a message: `system`, `developer`, `user` or `assistant`.
    role: Option<String>,
    /// Of a message: a text, or parts: `input_text`, `output_text`, `refusal`, and `input_image` with a data URL.
    content: Option<Content>,
    /// Of an `item_reference`: the item that it names.
    id: Option<String>,
    /// Of a call, and of its output.
    call_id: Option<String>,
    /// Of a call: the tool.
    name: Option<String>,
    namespace: Option<String>,
    /// Of a function's call: a string that holds a JSON object, or what a model has written in its place.
    arguments: Option<Value>,
    /// Of a custom tool's call: plain text.
    input: Option<String>,
    /// Of an output: a text, or parts.
    output: Option<Content>,
    /// Of a thought: its parts.
    summary: Option<Vec<Part>>,
    /// Of a thought of OpenAI's own, which nobody here can read: it is ignored.
    encrypted_content: Option<String>,
    /// Of an item of an earlier answer.
    status: Option<String>,
}

/// A text, or parts.
#[derive(JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "ResponseInputContent")]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

/// A part of an item.
#[derive(JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[schemars(rename = "ResponseInputPart")]
enum Part {
    InputText {
        text: String,
    },
    /// What an earlier answer said.
    OutputText {
        text: String,
        /// Ignored.
        annotations: Option<Vec<Value>>,
        /// Ignored.
        logprobs: Option<Vec<Value>>,
    },
    Refusal {
        refusal: String,
    },
    /// A picture, as a data URL: nothing is fetched.
    InputImage {
        image_url: String,
        /// For servers of OpenAI's API alone.
        detail: Option<Detail>,
    },
    /// A document, for servers of OpenAI's API alone: nothing is kept here, and nothing fetched.
    InputFile {
        /// A data URL (`data:application/pdf;base64,...`), or base64.
        file_data: String,
        filename: Option<String>,
    },
    /// A sound, for the same.
    InputAudio {
        input_audio: Sound,
    },
    /// What was thought.
    SummaryText {
        text: String,
    },
}

/// A sound.
#[derive(JsonSchema)]
#[schemars(rename = "ResponseInputAudio")]
struct Sound {
    /// The bytes, in base64.
    data: String,
    /// `wav`, `mp3` and the like.
    format: Option<String>,
}

/// A function, a tool whose input is plain text, a namespace of both; or one that only OpenAI could run.
#[derive(JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "ResponseTool")]
enum Tool {
    Own(OwnTool),
    Hosted(BTreeMap<String, Value>),
}

#[derive(JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[schemars(rename = "ResponseOwnTool")]
enum OwnTool {
    /// A function that the model may have called.
    Function {
        name: String,
        /// What it does, for the model.
        description: Option<String>,
        /// A JSON schema of its arguments.
        parameters: Option<BTreeMap<String, Value>>,
        /// Whether the arguments must keep to the schema, where an engine can see to that.
        strict: Option<bool>,
    },
    /// A tool whose input is plain text.
    Custom {
        name: String,
        description: Option<String>,
        /// `text`, or a grammar, which is told to the model.
        format: Option<BTreeMap<String, Value>>,
    },
    /// Tools that have a name in common.
    Namespace { name: String, description: Option<String>, tools: Vec<BTreeMap<String, Value>> },
}

#[derive(JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "ResponseToolChoice")]
enum Choice {
    Word(ChoiceWord),
    Named(NamedTool),
}

#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "ResponseToolChoiceWord")]
enum ChoiceWord {
    None,
    Auto,
    Required,
}

#[derive(JsonSchema)]
#[schemars(rename = "ResponseNamedTool")]
struct NamedTool {
    /// `function`, `custom` or `allowed_tools`.
    #[serde(rename = "type")]
    kind: String,
    name: Option<String>,
    namespace: Option<String>,
    /// Of `allowed_tools`: `auto` or `required`.
    mode: Option<String>,
    /// Of `allowed_tools`: which.
    tools: Option<Vec<BTreeMap<String, Value>>>,
}

#[derive(JsonSchema)]
#[schemars(rename = "ResponseText")]
struct Text {
    format: Option<Format>,
    /// Ignored but for `medium`.
    verbosity: Option<Verbosity>,
}

#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Verbosity {
    Low,
    Medium,
    High,
}

#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Truncation {
    Auto,
    Disabled,
}

#[derive(JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[schemars(rename = "ResponseFormat")]
enum Format {
    Text,
    JsonObject,
    JsonSchema {
        name: Option<String>,
        schema: BTreeMap<String, Value>,
        strict: Option<bool>,
        /// Ignored but by servers of OpenAI's API: the schema's own descriptions go along.
        description: Option<String>,
    },
}

#[derive(JsonSchema)]
#[schemars(rename = "ResponseReasoning")]
struct Reasoning {
    effort: Option<Effort>,
    /// `auto`, `concise` or `detailed`: all is given.
    summary: Option<String>,
}
