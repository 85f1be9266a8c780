//! What a chat is answered with, whole and in chunks. An engine that speaks OpenAI's API may add fields of its own.
#![expect(dead_code, reason = "these are read for their forms alone")]

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde_json::Value;

/// An answer in one piece.
#[derive(JsonSchema)]
#[schemars(rename = "ChatCompletion")]
pub(super) struct Completion {
    id: String,
    #[schemars(extend("const" = "chat.completion"))]
    object: String,
    /// In Unix seconds.
    created: u64,
    /// The model's name, as asked for.
    model: String,
    /// As many as were asked for.
    choices: Vec<Choice>,
    usage: Usage,
    /// What the engine says of itself, where it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    system_fingerprint: Option<String>,
    /// As the engine tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<String>,
}

/// One answer.
#[derive(JsonSchema)]
#[schemars(rename = "ChatChoice")]
struct Choice {
    /// From 0.
    index: u32,
    message: Message,
    /// null, or not there, where nobody has asked for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<Logprobs>,
    finish_reason: FinishReason,
}

/// What the model says.
#[derive(JsonSchema)]
#[schemars(rename = "ChatAnswer")]
struct Message {
    #[schemars(extend("const" = "assistant"))]
    role: String,
    /// null where it only calls functions.
    content: Option<String>,
    /// What it thought.
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<String>,
    /// The same, by its other name.
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<String>,
    /// What an engine that tells refusals apart says in place of an answer; else null, or not there, and what a model refuses is `content`.
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<String>,
    /// The functions that it wants called.
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls: Option<Vec<Call>>,
    /// Of an engine that has such.
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<Vec<Value>>,
    /// Of an engine that has such.
    #[serde(skip_serializing_if = "Option::is_none")]
    audio: Option<BTreeMap<String, Value>>,
    /// null where an engine has it: `tool_calls` is what counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    function_call: Option<CalledFunction>,
}

/// A call that the model wants.
#[derive(JsonSchema)]
#[schemars(rename = "ChatToolCall")]
struct Call {
    /// What the answer to it names.
    id: String,
    #[serde(rename = "type")]
    #[schemars(extend("const" = "function"))]
    kind: String,
    function: CalledFunction,
}

#[derive(JsonSchema)]
#[schemars(rename = "ChatCalledFunction")]
struct CalledFunction {
    name: String,
    /// A JSON object, as a string.
    arguments: String,
}

/// Why an answer ends.
#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "ChatFinishReason")]
enum FinishReason {
    /// The model has said all, or a text of `stop`.
    Stop,
    /// The tokens were used up.
    Length,
    /// The functions are to be called.
    ToolCalls,
    /// The engine's filter has cut it.
    ContentFilter,
}

/// The probabilities of the answer's tokens.
#[derive(JsonSchema)]
struct Logprobs {
    content: Option<Vec<TokenLogprob>>,
    /// Always null: no engine tells those of a refusal apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<Vec<TokenLogprob>>,
}

/// A token, and those that were likely in its place.
#[derive(JsonSchema)]
struct TokenLogprob {
    token: String,
    logprob: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<Vec<u8>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_logprobs: Option<Vec<LikelyToken>>,
}

#[derive(JsonSchema)]
struct LikelyToken {
    token: String,
    logprob: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<Vec<u8>>,
}

/// What the engine has counted, or what is estimated where it does not count.
#[derive(JsonSchema)]
#[schemars(rename = "ChatUsage")]
pub(in crate::openapi) struct Usage {
    /// Cached ones among them.
    prompt_tokens: u64,
    /// Thinking among them.
    completion_tokens: u64,
    total_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_tokens_details: Option<PromptDetails>,
    #[serde(skip_serializing_if = "Option::is_none")]
    completion_tokens_details: Option<CompletionDetails>,
    /// There and true where these are no engine's counts, or not all of them: what it has left out is estimated by the bytes of what was said.
    #[serde(skip_serializing_if = "Option::is_none")]
    estimated: Option<bool>,
}

/// Where the engine tells them.
#[derive(JsonSchema)]
#[schemars(rename = "ChatPromptTokens")]
struct PromptDetails {
    /// Those that the engine had from an earlier request.
    #[serde(skip_serializing_if = "Option::is_none")]
    cached_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_write_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audio_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text_tokens: Option<u64>,
}

/// Where the engine tells them.
#[derive(JsonSchema)]
#[schemars(rename = "ChatCompletionTokens")]
struct CompletionDetails {
    /// Those that the model has thought.
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accepted_prediction_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rejected_prediction_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audio_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text_tokens: Option<u64>,
}

/// A piece of an answer. The role comes once and first; what ends it has an empty delta; what was counted comes behind that, in
/// a chunk without choices, where it was asked for.
#[derive(JsonSchema)]
#[schemars(rename = "ChatCompletionChunk")]
pub(super) struct Chunk {
    id: String,
    #[schemars(extend("const" = "chat.completion.chunk"))]
    object: String,
    created: u64,
    model: String,
    choices: Vec<ChunkChoice>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
    /// What the engine says of itself, where it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    system_fingerprint: Option<String>,
    /// As the engine tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(rename = "ChatChunkChoice")]
struct ChunkChoice {
    index: u32,
    delta: Delta,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<Logprobs>,
    /// null, or not there, until the last piece.
    #[serde(skip_serializing_if = "Option::is_none")]
    finish_reason: Option<FinishReason>,
}

/// What is new.
#[derive(JsonSchema)]
#[schemars(rename = "ChatDelta")]
struct Delta {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls: Option<Vec<CallDelta>>,
}

/// A call, or the next piece of its arguments.
#[derive(JsonSchema)]
#[schemars(rename = "ChatToolCallDelta")]
struct CallDelta {
    /// Which call it belongs to, from 0.
    index: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    function: FunctionDelta,
}

#[derive(JsonSchema)]
#[schemars(rename = "ChatFunctionDelta")]
struct FunctionDelta {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments: Option<String>,
}
