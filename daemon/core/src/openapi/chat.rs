//! Chats.
//!
//! Knows the forms of what is asked and answered. Refuses to know what becomes of a field at an engine, which the table of
//! fields says. Invariant: a field has a form here or is refused by that table everywhere.

mod answer;
mod request;

use serde_json::{Value, json};

use super::fields;
use super::operation::{Answer, BODY, Body, Operation, Tag};
use super::schemas::Schemas;
use crate::dialect::openai::table::ROWS;
use answer::{Chunk, Completion};

pub(super) use answer::Usage;
pub(super) use request::{Detail, Effort, Request, Stop, StreamOptions, count_from_0};

const ABOUT: &str = "What becomes of each field depends on the model's backend; `x-ghostllm-backends` says it beside the field: \
    `works` by a word of the engine's own, `passed` to the engine as it came, `emulated` by the daemon, `ignored` and named in the \
    answer's field x-ghostllm-ignored, or `refused` with 400.";

/// As it looks on the wire.
const STREAM: &str = "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1764374400,\"model\":\"qwen3:8b\",\
    \"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"Paris\"},\"finish_reason\":null}]}\n\n\
    data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1764374400,\"model\":\"qwen3:8b\",\
    \"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

/// What every answer of a model's says of its stream.
pub(super) const STREAMED: &str = "Where `stream` is true: server-sent events. What fails before the first of them is an answer of \
    its own status; what fails behind it is the last event, which holds an error. A stream without its last event is not complete. \
    Comments (lines that begin with a colon) keep a silent one alive.";

pub(super) fn operation(schemas: &mut Schemas) -> Operation {
    let form = fields::completed::<Request>("ChatCompletionRequest", ROWS, schemas);
    let whole = Answer::json::<Completion>(
        format!(
            "The answer. {STREAMED} Each is a line `data:` with a chunk; the last one is `data: [DONE]`."
        ),
        schemas,
    );
    let chunk = schemas.given::<Chunk>();
    Operation::new("createChatCompletion", Tag::Chat, "Have a model answer a chat", ABOUT)
        .takes(Body { form, required: true, about: BODY, examples: examples() })
        .gives(whole.or("text/event-stream", chunk, Some(STREAM)))
}

fn examples() -> Vec<(&'static str, Value)> {
    let messages = json!([{"role": "user", "content": "What is the capital of France?"}]);
    let tool = json!({"type": "function", "function": {
        "name": "weather",
        "description": "The weather in a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }});
    vec![
        ("answer", json!({"model": "qwen3:8b", "messages": messages})),
        (
            "stream",
            json!({
                "model": "qwen3:8b", "messages": messages, "stream": true, "stream_options": {"include_usage": true},
            }),
        ),
        ("tools", json!({"model": "qwen3:8b", "messages": messages, "tools": [tool]})),
        (
            "with a form",
            json!({
                "model": "qwen3:8b", "messages": messages, "response_format": {"type": "json_object"},
            }),
        ),
    ]
}
