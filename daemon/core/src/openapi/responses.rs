//! OpenAI's Responses.

mod answer;
mod events;
mod request;

use serde_json::json;

use super::chat::STREAMED;
use super::fields;
use super::operation::{Answer, BODY, Body, Operation, Tag};
use super::schemas::Schemas;
use crate::dialect::responses::ROWS;
use answer::Response;
use events::Event;

pub(super) use request::Request;

const ABOUT: &str = "No responses are kept between requests: each holds its whole conversation, and what would need another is \
    refused by its field. Items of earlier answers may be named for a while (`item_reference`) instead of being sent again. A field \
    that is none of these changes nothing, and is named in the answer's field x-ghostllm-ignored.";

const STREAM: &str = "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":4,\
    \"item_id\":\"msg_1_0\",\"output_index\":0,\"content_index\":0,\"delta\":\"Paris\",\"logprobs\":[]}\n\n";

pub(super) fn operation(schemas: &mut Schemas) -> Operation {
    let whole = Answer::json::<Response>(
        format!(
            "The answer. {STREAMED} It ends with one of `response.completed`, `response.incomplete` and `response.failed`, the \
             last with an event `error` behind it."
        ),
        schemas,
    );
    let event = schemas.given::<Event>();
    let tool = json!({"type": "function", "name": "weather", "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"],
    }});
    Operation::new("createResponse", Tag::Responses, "Have a model respond", ABOUT)
        .takes(Body {
            form: fields::completed::<Request>("ResponseRequest", ROWS, schemas),
            required: true,
            about: BODY,
            examples: vec![
                ("text", json!({"model": "qwen3:8b", "input": "What is the capital of France?"})),
                ("tools", json!({"model": "qwen3:8b", "input": "Is it raining in Paris?", "tools": [tool]})),
            ],
        })
        .gives(whole.or("text/event-stream", event, Some(STREAM)))
}
