//! OpenAI's Responses: a client's request, the answer's events, and the answer as a part of the next request.

use std::sync::Arc;

use bytes::BytesMut;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

use super::{LIMIT, calls, joined};
use crate::chat::{
    ChatEvent, ChatRequest, FinishReason, Message, Part, ResponseFormat, Role, Think, ToolChoice, Usage,
};
use crate::config::Limits;
use crate::dialect::arbitrary::{answer, cut, cuts, request};
use crate::dialect::responses::{Echo, ResponseStream, ResponseWhole, parse_response};
use crate::framing::sse;

/// What a client has put together of a stream's deltas.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Heard {
    items: Vec<Item>,
    /// The last event, and the response in it.
    last: String,
    response: Value,
}

#[derive(Debug, PartialEq)]
enum Item {
    Thought(String),
    Text(String, Vec<Value>),
    Call { id: String, name: String, input: String },
}

impl Heard {
    fn event(&mut self, data: &Value) {
        let kind = data["type"].as_str().unwrap();
        if kind == "response.output_item.added" {
            assert_eq!(data["output_index"], self.items.len());
            let field = |name: &str| data["item"][name].as_str().unwrap().to_owned();
            self.items.push(match data["item"]["type"].as_str().unwrap() {
                "reasoning" => Item::Thought(String::new()),
                "message" => Item::Text(String::new(), Vec::new()),
                _ => Item::Call { id: field("call_id"), name: field("name"), input: String::new() },
            });
        }
        if let Some(delta) = data["delta"].as_str() {
            assert_eq!(data["output_index"], self.items.len() - 1);
            match self.items.last_mut().unwrap() {
                Item::Thought(text) => text.push_str(delta),
                Item::Text(text, tokens) => {
                    text.push_str(delta);
                    tokens.extend(data["logprobs"].as_array().unwrap().clone());
                }
                Item::Call { input, .. } => input.push_str(delta),
            }
        }
        if let Some(response) = data.get("response") {
            (self.last, self.response) = (kind.to_owned(), response.clone());
        }
    }

    pub(super) fn text(&self) -> String {
        let text = |item: &Item| if let Item::Text(text, _) = item { text.clone() } else { String::new() };
        self.items.iter().map(text).collect()
    }

    pub(super) fn thought(&self) -> String {
        let thought = |item: &Item| if let Item::Thought(text) = item { text.clone() } else { String::new() };
        self.items.iter().map(thought).collect()
    }

    pub(super) fn calls(&self) -> Vec<(String, String, String)> {
        let call = |item: &Item| match item {
            Item::Call { id, name, input } => Some((id.clone(), name.clone(), input.clone())),
            Item::Thought(_) | Item::Text(..) => None,
        };
        self.items.iter().filter_map(call).collect()
    }
}

/// What was asked: one of the tools takes plain text.
fn echo() -> Arc<Echo> {
    let body = json!({"model": "m", "input": "hi", "tools": [{"type": "custom", "name": "patch"}]});
    Arc::new(parse_response(body.to_string().as_bytes(), &Limits::default()).unwrap().echo)
}

/// What is heard of a stream of this that arrives in these pieces.
pub(super) fn heard(events: &[ChatEvent], cuts: &[Index]) -> Heard {
    let (mut stream, mut out) = (ResponseStream::new("1", 5, echo(), LIMIT), BytesMut::new());
    for event in events {
        stream.event(event.clone(), &mut out).unwrap();
    }
    stream.finish(&mut out);
    let (mut reader, mut heard, mut sequence) = (sse::Events::new(LIMIT), Heard::default(), 0);
    for piece in cut(&out, cuts) {
        reader.push(piece);
        while let Some(event) = reader.next_event().unwrap() {
            let data: Value = serde_json::from_slice(&event.data).unwrap();
            assert_eq!(data["sequence_number"], sequence);
            sequence += 1;
            heard.event(&data);
        }
    }
    heard
}

/// The items that an answer makes: pieces of one kind that follow each other are one, and probabilities alone begin none.
fn items(events: &[ChatEvent]) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    for event in events {
        let alone = std::slice::from_ref(event);
        match (event, items.last_mut()) {
            (ChatEvent::Text { text, .. }, Some(Item::Text(before, tokens))) => {
                before.push_str(text);
                tokens.extend(joined(alone).2);
            }
            (ChatEvent::Text { text, .. }, _) if text.is_empty() => {}
            (ChatEvent::Text { text, .. }, _) => items.push(Item::Text(text.clone(), joined(alone).2)),
            (ChatEvent::Reasoning(text), Some(Item::Thought(before))) => before.push_str(text),
            (ChatEvent::Reasoning(text), _) => items.push(Item::Thought(text.clone())),
            (ChatEvent::ToolCall { id, name, arguments, .. }, _) => {
                let (id, name, input) = (id.clone(), name.clone(), arguments.clone());
                items.push(Item::Call { id, name, input });
            }
            (ChatEvent::Usage(_) | ChatEvent::Finish(_), _) => {}
        }
    }
    items
}

/// The items of a whole response.
fn output(response: &Value) -> Vec<Item> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let item = |item: &Value| match item["type"].as_str().unwrap() {
        "reasoning" => Item::Thought(text(&item["summary"][0]["text"])),
        "message" => {
            let part = &item["content"][0];
            Item::Text(text(&part["text"]), part["logprobs"].as_array().unwrap().clone())
        }
        kind => {
            let input = if kind == "function_call" { &item["arguments"] } else { &item["input"] };
            Item::Call { id: text(&item["call_id"]), name: text(&item["name"]), input: text(input) }
        }
    };
    response["output"].as_array().unwrap().iter().map(item).collect()
}

/// The last event that tells of this end, and the reason in it.
fn end(events: &[ChatEvent]) -> (&'static str, Value) {
    match events.last() {
        Some(ChatEvent::Finish(FinishReason::Length)) => ("response.incomplete", json!("max_output_tokens")),
        Some(ChatEvent::Finish(FinishReason::ContentFilter)) => {
            ("response.incomplete", json!("content_filter"))
        }
        _ => ("response.completed", Value::Null),
    }
}

fn counted(usage: &Value) -> Usage {
    let count = |value: &Value| value.as_u64().unwrap();
    Usage {
        cached_tokens: Some(count(&usage["input_tokens_details"]["cached_tokens"])),
        // What is estimated is no count.
        reasoning_tokens: Some(count(&usage["output_tokens_details"]["reasoning_tokens"]))
            .filter(|_| usage["output_tokens_details"]["estimated"].is_null()),
        estimated: usage["estimated"] == true,
        ..Usage::counted(count(&usage["input_tokens"]), count(&usage["output_tokens"]))
    }
}

/// The messages that a client's next request comes to, which repeats the answer's items.
fn next(output: &Value) -> Vec<Message> {
    let mut input = vec![json!({"role": "user", "content": "hi"})];
    input.extend(output.as_array().unwrap().clone());
    let body = json!({"model": "m", "input": input}).to_string();
    parse_response(body.as_bytes(), &Limits::default()).unwrap().chat.messages.split_off(1)
}

/// A request with nothing in it that Responses have no word for: no names of speakers, one word for standing instructions, of which
/// several are one, and one message for one turn of the assistant.
fn sayable(mut request: ChatRequest) -> ChatRequest {
    request.messages.iter_mut().for_each(|message| {
        message.name = None;
        if message.role == Role::Developer {
            message.role = Role::System;
        }
        if message.role != Role::Assistant {
            message.tool_calls.clear();
            message.reasoning = None;
        }
    });
    request
        .messages
        .dedup_by(|one, two| one.role == two.role && matches!(one.role, Role::System | Role::Assistant));
    let mut names = Vec::new();
    request.tools.retain(|tool| {
        let first = !names.contains(&tool.name);
        names.push(tool.name.clone());
        first
    });
    if let (ToolChoice::Function(name), Some(tool)) = (&mut request.tool_choice, request.tools.last()) {
        name.clone_from(&tool.name);
    }
    request
}

/// A message as the items that a client sends.
fn written(message: &Message) -> Vec<Value> {
    let kind = if message.role == Role::Assistant { "output_text" } else { "input_text" };
    let part = |part: Part<'_>| match part {
        Part::Text(text) => json!({"type": kind, "text": text.text()}),
        Part::Image(image) => {
            let url = format!("data:{};base64,{}", image.media_type, image.base64);
            json!({"type": "input_image", "image_url": url})
        }
    };
    let parts: Vec<Value> = message.parts().map(part).collect();
    let role = match message.role {
        Role::Tool => {
            return vec![
                json!({"type": "function_call_output", "call_id": message.tool_call_id, "output": parts}),
            ];
        }
        Role::System | Role::Developer => "developer",
        Role::User => "user",
        Role::Assistant => "assistant",
    };
    let mut items = Vec::new();
    if let Some(thought) = &message.reasoning {
        items.push(json!({"type": "reasoning", "summary": [{"type": "summary_text", "text": thought}]}));
    }
    items.push(json!({"type": "message", "role": role, "content": parts}));
    for call in &message.tool_calls {
        items.push(json!({"type": "function_call", "call_id": call.id, "name": call.name,
            "arguments": call.arguments.get()}));
    }
    items
}

/// The request as a client of Responses writes it; what it does not say is null.
fn body(request: &ChatRequest) -> String {
    let tool = |raw: &str| {
        let mut tool: Value = serde_json::from_str(raw).unwrap();
        tool["function"]["type"] = json!("function");
        tool["function"].clone()
    };
    let format = match &request.response_format {
        ResponseFormat::Text => json!({"type": "text"}),
        ResponseFormat::JsonObject => json!({"type": "json_object"}),
        ResponseFormat::JsonSchema(answer) => {
            let schema: Value = serde_json::from_str(answer.schema.get()).unwrap();
            json!({"type": "json_schema", "name": answer.name, "description": answer.description,
                "strict": answer.strict, "schema": schema})
        }
    };
    let effort = request.think.map(|think| match think {
        Think::Off => "none",
        think => think.effort().unwrap_or("medium"),
    });
    let mut body = json!({
        "model": request.model,
        "input": request.messages.iter().flat_map(written).collect::<Vec<_>>(),
        "tools": request.tools.iter().map(|each| tool(each.raw.get())).collect::<Vec<_>>(),
        "tool_choice": match &request.tool_choice {
            ToolChoice::Auto => json!("auto"),
            ToolChoice::None => json!("none"),
            ToolChoice::Required => json!("required"),
            ToolChoice::Function(name) => json!({"type": "function", "name": name}),
        },
        "parallel_tool_calls": request.parallel_tool_calls,
        "stop": request.stop,
        "max_output_tokens": request.max_tokens,
        "text": {"format": format},
        "reasoning": {"effort": effort},
        "include": request.logprobs.map(|_| ["message.output_text.logprobs"]),
        "top_logprobs": request.logprobs,
        "stream": request.stream,
    });
    let Value::Object(sampling) = json!(request.sampling) else { unreachable!() };
    body.as_object_mut().unwrap().extend(sampling);
    body.to_string()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Also with what an engine of OpenAI's language is not asked for: an answer in one piece, and no thought at all.
    #[test]
    fn a_request_is_read_as_it_was_written(
        request in request(), stream in any::<bool>(), unthinking in any::<bool>(),
    ) {
        let mut request = ChatRequest { stream, ..sayable(request) };
        if unthinking {
            request.think = Some(Think::Off);
        }
        let body = body(&request);
        let mut read = parse_response(body.as_bytes(), &Limits::default()).unwrap();
        // The tools are written anew, in another order of their fields.
        for tool in read.chat.tools.iter_mut().chain(&mut request.tools) {
            let value: Value = serde_json::from_str(tool.raw.get()).unwrap();
            tool.raw = crate::chat::Json::object(&value.to_string()).unwrap();
        }
        prop_assert_eq!(read.chat, request, "{}", body);
        prop_assert!(read.ignored.is_empty(), "{:?}", read.ignored);
    }

    #[test]
    fn all_of_an_answer_is_told_in_deltas_in_the_last_event_and_in_one_piece(events in answer(), cuts in cuts()) {
        let heard = heard(&events, &cuts);
        prop_assert_eq!(&heard.items, &items(&events));
        prop_assert_eq!(&output(&heard.response), &heard.items);
        let (last, reason) = end(&events);
        prop_assert_eq!((heard.last.as_str(), &heard.response["incomplete_details"]["reason"]), (last, &reason));
        let usage = events.iter().find_map(|event| if let ChatEvent::Usage(usage) = event { Some(*usage) } else { None });
        let usage = usage.unwrap_or_default();
        let thinks = events.iter().any(|event| matches!(event, ChatEvent::Reasoning(thought) if !thought.is_empty()));
        let told = Usage {
            cached_tokens: usage.cached_tokens.or(Some(0)),
            reasoning_tokens: usage.reasoning_tokens.or(Some(0).filter(|_| !thinks)),
            ..usage
        };
        prop_assert_eq!(counted(&heard.response["usage"]), told);
        let mut whole = ResponseWhole::new("1", 5, echo(), LIMIT);
        for event in &events {
            whole.event(event.clone()).unwrap();
        }
        let whole: Value = serde_json::from_slice(&whole.body().unwrap()).unwrap();
        prop_assert_eq!(&whole, &heard.response);
    }

    /// Of several thoughts each has a line.
    #[test]
    fn an_answer_loses_nothing_in_the_next_request(events in answer()) {
        let heard = heard(&events, &[]);
        let messages = next(&heard.response["output"]);
        prop_assert!(messages.iter().all(|message| message.role == Role::Assistant));
        let (text, thought, _) = joined(&events);
        prop_assert_eq!(messages.iter().map(|message| message.text.get()).collect::<String>(), text);
        let made = messages.iter().flat_map(|message| &message.tool_calls);
        let made: Vec<_> = made
            .map(|call| (call.id.clone(), call.name.clone(), call.arguments.get().to_owned()))
            .collect();
        prop_assert_eq!(made, calls(&events));
        let thoughts: String = messages.iter().filter_map(|message| message.reasoning.as_deref()).collect();
        prop_assert_eq!(thoughts.replace('\n', ""), thought.replace('\n', ""));
        let turns = |item: &&Item| matches!(item, Item::Text(..));
        prop_assert!(messages.len() <= heard.items.iter().filter(turns).count().max(1));
    }

    #[test]
    fn plain_text_for_a_tool_is_the_same_in_the_next_request(text in any::<String>(), cuts in cuts()) {
        let arguments = json!({"input": text}).to_string();
        let call = ChatEvent::ToolCall {
            index: 0, id: "call_1".to_owned(), name: "patch".to_owned(), arguments: arguments.clone(),
        };
        let heard = heard(&[call, ChatEvent::Finish(FinishReason::ToolCalls)], &cuts);
        prop_assert_eq!(&heard.items, &[Item::Call { id: "call_1".to_owned(), name: "patch".to_owned(), input: text }]);
        let messages = next(&heard.response["output"]);
        prop_assert_eq!(messages[0].tool_calls[0].arguments.get(), &arguments);
    }
}
