//! The answer in one piece.

use serde_json::{Value, json};

use super::ChatWhole;
use crate::chat::{ChatEvent, FinishReason, Usage};
use crate::error::BackendFault;

const USAGE: ChatEvent = ChatEvent::Usage(Usage::counted(2, 3));
const STOP: ChatEvent = ChatEvent::Finish(FinishReason::Stop);

fn gathered(events: Vec<ChatEvent>) -> Value {
    let mut whole = ChatWhole::new("chatcmpl-1", 5, "m", 1000);
    for event in events {
        whole.event(event).unwrap();
    }
    serde_json::from_slice(&whole.body().unwrap()).unwrap()
}

#[test]
fn a_plain_answer() {
    assert_eq!(
        gathered(vec![ChatEvent::text("He"), ChatEvent::text("y"), USAGE, STOP]),
        json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 5, "model": "m",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hey", "refusal": null},
                "logprobs": null, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}})
    );
}

#[test]
fn calls_reasoning_and_probabilities() {
    let call = ChatEvent::ToolCall { index: 0, id: "c".into(), name: "f".into(), arguments: "{}".into() };
    let answer =
        gathered(vec![ChatEvent::Reasoning("h".into()), ChatEvent::Reasoning("m".into()), call, USAGE, STOP]);
    assert_eq!(
        answer["choices"][0]["message"],
        json!({"role": "assistant", "content": null, "refusal": null, "reasoning": "hm", "reasoning_content": "hm",
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]})
    );
    assert_eq!(answer["choices"][0]["finish_reason"], "tool_calls");
    let piece = |token: &str| ChatEvent::Text {
        text: token.into(),
        logprobs: Some(format!("[{{\"token\":\"{token}\"}}]").into()),
    };
    let answer = gathered(vec![
        piece("a"),
        ChatEvent::Text { text: "x".into(), logprobs: Some("[]".into()) },
        piece("b"),
        STOP,
    ]);
    let told = json!({"content": [{"token": "a"}, {"token": "b"}], "refusal": null});
    assert_eq!(answer["choices"][0]["logprobs"], told);
}

#[test]
fn an_answer_without_an_end_is_none() {
    let mut whole = ChatWhole::new("i", 5, "m", 10);
    whole.event(ChatEvent::text("a")).unwrap();
    assert_eq!(whole.body(), Err(BackendFault::EndedEarly));
}

#[test]
fn the_limit_passes_and_one_more_fails() {
    let mut whole = ChatWhole::new("i", 5, "m", 10);
    whole.event(ChatEvent::text("12345")).unwrap();
    whole.event(ChatEvent::Reasoning("12345".into())).unwrap();
    assert_eq!(whole.event(ChatEvent::text("1")), Err(BackendFault::TooLong { limit: 10 }));
}
