//! A response in one piece holds what its stream would tell.

use std::sync::Arc;

use bytes::BytesMut;
use serde_json::{Value, json};

use super::ResponseWhole;
use crate::chat::{ChatEvent, FinishReason, Usage};
use crate::config::Limits;
use crate::dialect::responses::{Echo, ResponseStream, parse_response};
use crate::error::BackendFault;

fn echo() -> Arc<Echo> {
    let body = json!({"model": "m", "input": "hi", "instructions": "Be brief.", "metadata": {"a": "b"}});
    Arc::new(parse_response(body.to_string().as_bytes(), &Limits::default()).unwrap().echo)
}

fn body(events: &[ChatEvent]) -> Result<Value, BackendFault> {
    let mut whole = ResponseWhole::new("1", 5, echo(), 1000);
    for event in events {
        whole.event(event.clone())?;
    }
    whole.body().map(|body| serde_json::from_slice(&body).unwrap())
}

#[test]
fn it_is_the_last_event_of_its_stream() {
    let call = ChatEvent::ToolCall {
        index: 0,
        id: "call_0".to_owned(),
        name: "f".to_owned(),
        arguments: "{}".to_owned(),
    };
    let text = ChatEvent::Text { text: "a".to_owned(), logprobs: Some("[{\"token\":\"a\"}]".into()) };
    let usage = ChatEvent::Usage(Usage::counted(1, 2));
    let thought = ChatEvent::Reasoning("hm".to_owned());
    for reason in [FinishReason::Stop, FinishReason::Length, FinishReason::ContentFilter] {
        let finish = ChatEvent::Finish(reason);
        let words = vec![thought.clone(), text.clone(), text.clone(), usage.clone(), finish.clone()];
        let silent = ChatEvent::Text { text: String::new(), logprobs: Some("[{\"token\":\"h\"}]".into()) };
        let thoughts =
            vec![thought.clone(), silent.clone(), thought.clone(), silent, text.clone(), finish.clone()];
        for events in [words, thoughts, vec![text.clone(), call.clone(), finish.clone()], vec![finish]] {
            let (mut stream, mut out) = (ResponseStream::new("1", 5, echo(), 1000), BytesMut::new());
            for event in &events {
                stream.event(event.clone(), &mut out).unwrap();
            }
            stream.finish(&mut out);
            let out = String::from_utf8(out.to_vec()).unwrap();
            let last: Value =
                serde_json::from_str(out.lines().rev().nth(1).unwrap().strip_prefix("data: ").unwrap())
                    .unwrap();
            assert_eq!(body(&events).unwrap(), last["response"], "{events:?}");
        }
    }
}

#[test]
fn it_has_every_field_that_typed_clients_want() {
    let body = body(&[ChatEvent::text("a"), ChatEvent::Finish(FinishReason::Stop)]).unwrap();
    let mut rest = body.clone();
    rest.as_object_mut().unwrap().remove("output");
    assert_eq!(
        rest,
        json!({
            "id": "resp_1", "object": "response", "created_at": 5, "status": "completed", "error": null,
            "incomplete_details": null, "model": "m", "usage": {"input_tokens": 0, "output_tokens": 0,
                "total_tokens": 0, "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
                "output_tokens_details": {"reasoning_tokens": 0}}, "instructions": "Be brief.",
            "max_output_tokens": null, "max_tool_calls": null, "metadata": {"a": "b"}, "parallel_tool_calls": true,
            "previous_response_id": null, "prompt_cache_key": null, "reasoning": {"effort": null, "summary": null},
            "safety_identifier": null, "service_tier": "default", "store": false, "background": false,
            "temperature": null, "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [],
            "top_logprobs": 0, "top_p": null, "truncation": "disabled", "user": null,
        })
    );
}

#[test]
fn an_answer_without_an_end_is_none_and_one_that_is_too_long_neither() {
    assert_eq!(body(&[ChatEvent::text("a")]), Err(BackendFault::EndedEarly));
    assert!(body(&[ChatEvent::text("a".repeat(1000)), ChatEvent::Finish(FinishReason::Stop)]).is_ok());
    assert_eq!(body(&[ChatEvent::text("a".repeat(1001))]), Err(BackendFault::TooLong { limit: 1000 }));
}

#[test]
fn what_was_cached_and_thought_is_told_where_it_is_known() {
    let usage = Usage { cached_tokens: Some(1), reasoning_tokens: Some(2), ..Usage::counted(3, 4) };
    let events = [ChatEvent::text("a"), ChatEvent::Usage(usage), ChatEvent::Finish(FinishReason::Stop)];
    assert_eq!(
        body(&events).unwrap()["usage"],
        json!({"input_tokens": 3, "input_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 0},
            "output_tokens": 4, "output_tokens_details": {"reasoning_tokens": 2}, "total_tokens": 7})
    );
}

#[test]
fn what_of_an_answer_was_thought_is_estimated_where_its_engine_does_not_count_it() {
    let told = |usage: Usage, thought: &str| {
        let thought = ChatEvent::Reasoning(thought.to_owned());
        let events = [
            thought,
            ChatEvent::text("said"),
            ChatEvent::Usage(usage),
            ChatEvent::Finish(FinishReason::Stop),
        ];
        let usage = body(&events).unwrap()["usage"].clone();
        (usage["output_tokens_details"].clone(), usage["estimated"].clone())
    };
    let counted = Usage::counted(3, 10);
    assert_eq!(told(counted, "a thought of 20 byt.").0, json!({"reasoning_tokens": 8, "estimated": true}));
    let zero = Usage { reasoning_tokens: Some(0), ..counted };
    assert_eq!(
        told(zero, "a thought").0,
        json!({"reasoning_tokens": 0}),
        "what an engine counts is its word"
    );
    assert_eq!(told(counted, ""), (json!({"reasoning_tokens": 0}), Value::Null), "nothing was thought");
    assert_eq!(told(Usage::estimated(8, 4), "").1, true, "nothing was counted");
}
