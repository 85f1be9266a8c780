//! The events of a streamed response, in the order in which they first come.
#![expect(dead_code, reason = "these are read for their forms alone")]

use schemars::JsonSchema;
use serde_json::Value;

use super::answer::{Item, Response, Text, Thought};

/// An event; `event:` has the same word as `type`. Sequence numbers count from 0 without a gap.
#[derive(JsonSchema)]
#[serde(tag = "type")]
#[schemars(rename = "ResponseEvent")]
pub(super) enum Event {
    #[serde(rename = "response.created")]
    Created { sequence_number: u64, response: Response },
    #[serde(rename = "response.in_progress")]
    InProgress { sequence_number: u64, response: Response },
    #[serde(rename = "response.output_item.added")]
    ItemAdded { sequence_number: u64, output_index: u32, item: Item },
    #[serde(rename = "response.reasoning_summary_part.added")]
    ThoughtAdded {
        sequence_number: u64,
        item_id: String,
        output_index: u32,
        summary_index: u32,
        part: Thought,
    },
    #[serde(rename = "response.reasoning_summary_text.delta")]
    ThoughtDelta {
        sequence_number: u64,
        item_id: String,
        output_index: u32,
        summary_index: u32,
        delta: String,
    },
    #[serde(rename = "response.reasoning_summary_text.done")]
    ThoughtDone { sequence_number: u64, item_id: String, output_index: u32, summary_index: u32, text: String },
    #[serde(rename = "response.reasoning_summary_part.done")]
    ThoughtPartDone {
        sequence_number: u64,
        item_id: String,
        output_index: u32,
        summary_index: u32,
        part: Thought,
    },
    #[serde(rename = "response.content_part.added")]
    PartAdded { sequence_number: u64, item_id: String, output_index: u32, content_index: u32, part: Text },
    #[serde(rename = "response.output_text.delta")]
    TextDelta {
        sequence_number: u64,
        item_id: String,
        output_index: u32,
        content_index: u32,
        delta: String,
        logprobs: Vec<Value>,
    },
    #[serde(rename = "response.output_text.done")]
    TextDone {
        sequence_number: u64,
        item_id: String,
        output_index: u32,
        content_index: u32,
        text: String,
        logprobs: Vec<Value>,
    },
    #[serde(rename = "response.content_part.done")]
    PartDone { sequence_number: u64, item_id: String, output_index: u32, content_index: u32, part: Text },
    #[serde(rename = "response.function_call_arguments.delta")]
    ArgumentsDelta { sequence_number: u64, item_id: String, output_index: u32, delta: String },
    #[serde(rename = "response.function_call_arguments.done")]
    ArgumentsDone { sequence_number: u64, item_id: String, output_index: u32, arguments: String },
    #[serde(rename = "response.custom_tool_call_input.delta")]
    InputDelta { sequence_number: u64, item_id: String, output_index: u32, delta: String },
    #[serde(rename = "response.custom_tool_call_input.done")]
    InputDone { sequence_number: u64, item_id: String, output_index: u32, input: String },
    #[serde(rename = "response.output_item.done")]
    ItemDone { sequence_number: u64, output_index: u32, item: Item },
    #[serde(rename = "response.completed")]
    Completed { sequence_number: u64, response: Response },
    #[serde(rename = "response.incomplete")]
    Incomplete { sequence_number: u64, response: Response },
    #[serde(rename = "response.failed")]
    Failed { sequence_number: u64, response: Response },
    #[serde(rename = "error")]
    Error {
        sequence_number: u64,
        code: Option<String>,
        message: String,
        param: Option<String>,
        /// The same once more, as OpenAI sends it.
        error: Value,
    },
}
