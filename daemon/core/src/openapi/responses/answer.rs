//! What a Responses request is answered with.
#![expect(dead_code, reason = "these are read for their forms alone")]

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde_json::Value;

/// A response: what the model thought, said and wants called, and what is repeated of the request.
#[derive(JsonSchema)]
pub(super) struct Response {
    id: String,
    #[schemars(extend("const" = "response"))]
    object: String,
    /// In Unix seconds.
    created_at: u64,
    status: Status,
    /// Why it failed.
    error: Option<Failure>,
    incomplete_details: Option<Details>,
    /// The model's name, as asked for.
    model: String,
    output: Vec<Item>,
    /// null while it is not known.
    usage: Option<Usage>,
    instructions: Option<String>,
    max_output_tokens: Option<u32>,
    max_tool_calls: Option<u32>,
    metadata: BTreeMap<String, String>,
    parallel_tool_calls: bool,
    previous_response_id: Option<String>,
    prompt_cache_key: Option<String>,
    reasoning: BTreeMap<String, Value>,
    safety_identifier: Option<String>,
    service_tier: String,
    /// false: nothing is stored.
    store: bool,
    background: bool,
    temperature: Option<f64>,
    text: BTreeMap<String, Value>,
    tool_choice: Value,
    tools: Vec<BTreeMap<String, Value>>,
    top_logprobs: u32,
    top_p: Option<f64>,
    truncation: String,
    user: Option<String>,
}

#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "ResponseStatus")]
pub(super) enum Status {
    InProgress,
    Completed,
    Incomplete,
    Failed,
}

#[derive(JsonSchema)]
#[schemars(rename = "ResponseFailure")]
struct Failure {
    code: String,
    message: String,
}

#[derive(JsonSchema)]
#[schemars(rename = "ResponseIncomplete")]
struct Details {
    /// `max_output_tokens` or `content_filter`.
    reason: String,
}

/// What the model thought, said, or wants called.
#[derive(JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[schemars(rename = "ResponseItem")]
pub(super) enum Item {
    /// All that it thought, in the place where clients look for a summary.
    Reasoning { id: String, summary: Vec<Thought> },
    /// What it said.
    Message { id: String, role: String, status: Status, content: Vec<Text> },
    /// A function to be called; its arguments are a JSON object, as a string.
    FunctionCall {
        id: String,
        call_id: String,
        name: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        namespace: Option<String>,
        arguments: String,
        status: Status,
    },
    /// A tool to be called whose input is plain text.
    CustomToolCall {
        id: String,
        call_id: String,
        name: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        namespace: Option<String>,
        input: String,
        status: Status,
    },
}

/// What was thought.
#[derive(JsonSchema)]
#[schemars(rename = "ResponseThought")]
pub(super) struct Thought {
    #[serde(rename = "type")]
    #[schemars(extend("const" = "summary_text"))]
    kind: String,
    text: String,
}

/// What was said.
#[derive(JsonSchema)]
#[schemars(rename = "ResponseOutputText")]
pub(super) struct Text {
    #[serde(rename = "type")]
    #[schemars(extend("const" = "output_text"))]
    kind: String,
    text: String,
    annotations: Vec<Value>,
    logprobs: Vec<Value>,
}

/// What the engine has counted; of what is cached 0 where it does not tell it.
#[derive(JsonSchema)]
#[schemars(rename = "ResponseUsage")]
struct Usage {
    input_tokens: u64,
    input_tokens_details: InputDetails,
    output_tokens: u64,
    output_tokens_details: OutputDetails,
    total_tokens: u64,
    /// There and true where these are no engine's counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    estimated: Option<bool>,
}

/// What is known of the input's tokens.
#[derive(JsonSchema)]
#[schemars(rename = "ResponseInputTokens")]
struct InputDetails {
    /// Those that the engine had from an earlier request.
    cached_tokens: u64,
    /// No engine here tells it.
    cache_write_tokens: u64,
}

/// What is known of the output's tokens.
#[derive(JsonSchema)]
#[schemars(rename = "ResponseOutputTokens")]
struct OutputDetails {
    /// Those that the model has thought.
    reasoning_tokens: u64,
    /// There and true where the engine does not count them: then they are the thought's share of the answer by its bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    estimated: Option<bool>,
}
