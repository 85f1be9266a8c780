//! What a chat asks for.
//!
//! Each field's type and range are those of its reader, `dialect::openai::request`; a test sends the ends of each range. `null` is
//! as good as nothing.
#![expect(dead_code, reason = "these are read for their forms alone")]

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;

use crate::chat::EFFORTS;
use crate::dialect::openai::{CHOICES_LIMIT, COUNT_LIMIT, TOOLS_LIMIT};

/// A chat, and what is wanted of its answer.
#[derive(JsonSchema)]
#[schemars(rename = "ChatCompletionRequest")]
pub(in crate::openapi) struct Request {
    /// The model's name, as `GET /v1/models` lists it.
    #[schemars(length(min = 1))]
    model: String,
    /// The conversation.
    #[schemars(length(min = 1))]
    messages: Vec<Message>,
    /// How much less likely a token is for each time that it was said before.
    #[schemars(range(min = -2.0, max = 2.0))]
    frequency_penalty: Option<f64>,
    /// How much more or less likely single tokens are, by their ids.
    logit_bias: Option<BTreeMap<String, f64>>,
    /// Whether the answer has its tokens' probabilities.
    logprobs: Option<bool>,
    /// The most tokens of the answer; -1, where an engine is given it, is no limit.
    #[serde(default)]
    #[schemars(schema_with = "count")]
    max_completion_tokens: Option<i64>,
    /// An older name for max_completion_tokens.
    #[serde(default)]
    #[schemars(schema_with = "count")]
    max_tokens: Option<i64>,
    /// What the client notes for itself.
    metadata: Option<BTreeMap<String, String>>,
    /// How many answers are wanted.
    #[schemars(range(min = 1, max = CHOICES_LIMIT))]
    n: Option<u32>,
    /// Whether an answer may hold more than one call of a function; true where it is left out.
    parallel_tool_calls: Option<bool>,
    /// What much of the answer will be.
    prediction: Option<BTreeMap<String, Value>>,
    /// How much less likely a token is that was said before.
    #[schemars(range(min = -2.0, max = 2.0))]
    presence_penalty: Option<f64>,
    prompt_cache_key: Option<String>,
    prompt_cache_options: Option<BTreeMap<String, Value>>,
    prompt_cache_retention: Option<String>,
    /// How much a model that thinks shall think.
    reasoning_effort: Option<Effort>,
    /// What form the answer shall have.
    response_format: Option<Format>,
    safety_identifier: Option<String>,
    /// The same seed and the same request give the same answer, as far as the engine keeps to it.
    seed: Option<i64>,
    /// `flex`: the request has time.
    service_tier: Option<String>,
    /// Whether the answer is kept, to be asked for later.
    store: Option<bool>,
    /// Where the answer ends: before this text, or any of these; none of them is empty.
    stop: Option<Stop>,
    /// Whether the answer comes as it is made.
    stream: Option<bool>,
    /// What a stream has beside its answer.
    stream_options: Option<StreamOptions>,
    /// How bold the choice of tokens is.
    #[schemars(range(min = 0.0, max = 2.0))]
    temperature: Option<f64>,
    /// Whether functions are called, and which.
    tool_choice: Option<ToolChoice>,
    /// The functions that the model may have called.
    #[schemars(length(max = TOOLS_LIMIT))]
    tools: Option<Vec<Tool>>,
    /// How many likely tokens are told in each place; with logprobs alone.
    #[schemars(range(max = 20))]
    top_logprobs: Option<u32>,
    /// Only the likeliest tokens that together have this probability.
    #[schemars(range(min = 0.0, max = 1.0))]
    top_p: Option<f64>,
    user: Option<String>,
    verbosity: Option<String>,
    /// Only so many of the likeliest tokens; -1, as 0, is all of them.
    #[serde(default)]
    #[schemars(schema_with = "count_from_0")]
    top_k: Option<i64>,
    /// Only tokens at least so likely, beside the likeliest.
    #[schemars(range(min = 0.0, max = 1.0))]
    min_p: Option<f64>,
    /// How much less likely is what was said before; 1 is no less.
    #[schemars(range(min = 0.0, max = 10.0))]
    repeat_penalty: Option<f64>,
    /// Another name for repeat_penalty.
    #[schemars(range(min = 0.0, max = 10.0))]
    repetition_penalty: Option<f64>,
    /// Whether a model that thinks shall think, or how much.
    think: Option<Think>,
    /// The same, as OpenRouter's clients say it.
    reasoning: Option<Reasoning>,
    num_ctx: Option<u32>,
    /// A time such as `10m`, or seconds.
    keep_alive: Option<Value>,
    options: Option<BTreeMap<String, Value>>,
    /// Forms of the answer, in the words of engines that are given them.
    guided_json: Option<Value>,
    guided_regex: Option<String>,
    guided_choice: Option<Vec<String>>,
    guided_grammar: Option<String>,
    structured_outputs: Option<BTreeMap<String, Value>>,
    grammar: Option<String>,
    json_schema: Option<BTreeMap<String, Value>>,
    format: Option<Value>,
    regex: Option<String>,
    ebnf: Option<String>,
    structural_tag: Option<Value>,
    /// Where the answer ends or may not, in such words.
    stop_token_ids: Option<Vec<u32>>,
    bad_words: Option<Vec<String>>,
    min_tokens: Option<u32>,
}

pub(in crate::openapi) fn count(_: &mut SchemaGenerator) -> Schema {
    whole(1)
}

pub(in crate::openapi) fn count_from_0(_: &mut SchemaGenerator) -> Schema {
    whole(0)
}

/// A whole number from `least` on, -1 or null.
fn whole(least: u32) -> Schema {
    json_schema!({"anyOf": [
        {"type": "integer", "minimum": least, "maximum": COUNT_LIMIT},
        {"const": -1},
        {"type": "null"},
    ]})
}

/// How much a model that thinks shall think: one of the efforts that there are.
pub(in crate::openapi) struct Effort;

impl JsonSchema for Effort {
    fn schema_name() -> Cow<'static, str> {
        "Effort".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names = EFFORTS.map(|(name, _)| name);
        json_schema!({"description": "How much a model that thinks shall think.", "enum": names, "type": "string"})
    }
}

/// true, false or an effort.
#[derive(JsonSchema)]
#[serde(untagged)]
enum Think {
    Whether(bool),
    Effort(Effort),
}

#[derive(JsonSchema)]
struct Reasoning {
    effort: Option<Effort>,
}

#[derive(JsonSchema)]
pub(in crate::openapi) struct StreamOptions {
    /// Whether the last chunk before `[DONE]` has what was counted.
    include_usage: Option<bool>,
    /// Whether events are padded against whoever reads their lengths.
    include_obfuscation: Option<bool>,
}

/// One text, or several: at most limits.stop_texts (32).
#[derive(JsonSchema)]
#[serde(untagged)]
pub(in crate::openapi) enum Stop {
    One(#[schemars(length(min = 1))] String),
    Many(Vec<String>),
}

/// A message.
#[derive(JsonSchema)]
#[schemars(rename = "ChatMessage")]
struct Message {
    role: Role,
    /// A text, or parts; nothing for an assistant that only calls functions.
    content: Option<Content>,
    /// Of a tool's answer: the function, where there is no tool_call_id. Else who speaks, which only an engine that speaks OpenAI's API is
    /// told.
    name: Option<String>,
    /// Of a tool's answer: the call that it answers.
    tool_call_id: Option<String>,
    /// Of an assistant: what it has called.
    tool_calls: Option<Vec<SentCall>>,
    /// Of an assistant: what it has thought.
    reasoning: Option<String>,
    /// Another name for reasoning, which wins.
    reasoning_content: Option<String>,
    /// Of an assistant: what it said in place of an answer.
    refusal: Option<String>,
    /// Of an assistant: what it said aloud, which only an engine that speaks OpenAI's API is told.
    audio: Option<BTreeMap<String, Value>>,
}

/// Who says it.
#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "ChatRole")]
enum Role {
    System,
    Developer,
    User,
    Assistant,
    Tool,
}

#[derive(JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "ChatContent")]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

/// A part of a message. An engine that speaks OpenAI's API may take more kinds.
#[derive(JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[schemars(rename = "ChatContentPart")]
enum Part {
    Text { text: String },
    InputText { text: String },
    OutputText { text: String },
    Refusal { refusal: String },
    ImageUrl { image_url: ImageUrl },
}

/// A picture, as a data URL: nothing is fetched. At most limits.media_parts (16) in a request, limits.media_bytes (20 MiB) together.
#[derive(JsonSchema)]
#[serde(untagged)]
enum ImageUrl {
    Url(String),
    Object {
        url: String,
        /// How closely it is looked at, where an engine that speaks OpenAI's API cares.
        detail: Option<Detail>,
    },
}

#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "ImageDetail")]
pub(in crate::openapi) enum Detail {
    Auto,
    Low,
    High,
    Original,
}

/// A call of an earlier answer.
#[derive(JsonSchema)]
#[schemars(rename = "ChatSentToolCall")]
struct SentCall {
    id: Option<String>,
    #[serde(rename = "type")]
    kind: Option<Kind>,
    function: SentFunction,
}

/// There is no other kind.
#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "ChatToolKind")]
enum Kind {
    Function,
}

#[derive(JsonSchema)]
#[schemars(rename = "ChatSentFunction")]
struct SentFunction {
    name: String,
    /// A string that holds a JSON object, or what a model has written in its place; or the object itself.
    arguments: Option<Arguments>,
}

#[derive(JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "ChatSentArguments")]
enum Arguments {
    Text(String),
    Object(BTreeMap<String, Value>),
}

/// A function that the model may have called.
#[derive(JsonSchema)]
#[schemars(rename = "ChatTool")]
struct Tool {
    #[serde(rename = "type")]
    #[schemars(extend("const" = "function"))]
    kind: String,
    function: Function,
}

#[derive(JsonSchema)]
#[schemars(rename = "ChatFunction")]
struct Function {
    #[schemars(length(min = 1))]
    name: String,
    /// What it does, for the model.
    description: Option<String>,
    /// A JSON schema of its arguments.
    parameters: Option<BTreeMap<String, Value>>,
    /// Whether the arguments must keep to the schema, where an engine can see to that.
    strict: Option<bool>,
}

#[derive(JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "ChatToolChoice")]
enum ToolChoice {
    Word(ChoiceWord),
    Function(Named),
    Allowed(Allowing),
}

/// Of the tools these alone.
#[derive(JsonSchema)]
#[schemars(rename = "ChatAllowedTools")]
struct Allowing {
    allowed_tools: Allowed,
}

#[derive(JsonSchema)]
#[schemars(rename = "ChatAllowedToolsList")]
struct Allowed {
    mode: Option<AllowedMode>,
    tools: Vec<Named>,
}

#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "ChatAllowedToolsMode")]
enum AllowedMode {
    Auto,
    Required,
}

#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "ChatToolChoiceWord")]
enum ChoiceWord {
    None,
    Auto,
    Required,
}

#[derive(JsonSchema)]
#[schemars(rename = "ChatNamedTool")]
struct Named {
    #[serde(rename = "type")]
    kind: Option<Kind>,
    function: NamedFunction,
}

#[derive(JsonSchema)]
#[schemars(rename = "ChatNamedFunction")]
struct NamedFunction {
    name: String,
}

/// What form the answer shall have.
#[derive(JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[schemars(rename = "ChatResponseFormat")]
enum Format {
    /// Any text.
    Text,
    /// A JSON object.
    JsonObject,
    /// JSON of this schema.
    JsonSchema { json_schema: FormatSchema },
}

#[derive(JsonSchema)]
#[schemars(rename = "ChatFormatSchema")]
struct FormatSchema {
    /// One is made up for an engine that wants one.
    name: Option<String>,
    /// What the answer is, for the model of an engine that speaks OpenAI's API; the schema's own descriptions go to each.
    description: Option<String>,
    schema: BTreeMap<String, Value>,
    strict: Option<bool>,
}
