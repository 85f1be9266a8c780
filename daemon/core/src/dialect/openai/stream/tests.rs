//! The chunks in the order and shape that strict clients want.

use bytes::BytesMut;
use serde_json::{Value, json};

use super::ChatStream;
use crate::chat::{ChatEvent, FinishReason, Usage};

fn written(include_usage: bool, events: &[ChatEvent]) -> (Vec<Value>, bool) {
    let mut stream = ChatStream::new("chatcmpl-1", 1_700_000_000, "a \"model\"", include_usage);
    let mut out = BytesMut::new();
    for event in events {
        stream.event(event, &mut out);
    }
    stream.finish(&mut out);
    read(&out)
}

fn read(out: &[u8]) -> (Vec<Value>, bool) {
    let text = std::str::from_utf8(out).unwrap();
    let mut chunks: Vec<&str> = text.split("\n\n").collect();
    assert_eq!(chunks.pop(), Some(""));
    let done = chunks.last() == Some(&"data: [DONE]");
    if done {
        chunks.pop();
    }
    (
        chunks
            .iter()
            .map(|chunk| serde_json::from_str(chunk.strip_prefix("data: ").unwrap()).unwrap())
            .collect(),
        done,
    )
}

fn deltas(chunks: &[Value]) -> Vec<Value> {
    chunks.iter().map(|chunk| chunk["choices"][0]["delta"].clone()).collect()
}

const USAGE: ChatEvent = ChatEvent::Usage(Usage::counted(16, 11));
const STOP: ChatEvent = ChatEvent::Finish(FinishReason::Stop);

#[test]
fn a_plain_answer_to_the_byte() {
    let mut stream = ChatStream::new("id", 5, "m", false);
    let mut out = BytesMut::new();
    for event in [ChatEvent::text("He\"y\n"), ChatEvent::text("!"), USAGE, STOP] {
        stream.event(&event, &mut out);
    }
    stream.finish(&mut out);
    let head = r#"data: {"id":"id","object":"chat.completion.chunk","created":5,"model":"m","choices":[{"index":0,"delta":"#;
    let expected = format!(
        "{head}{}\n\n{head}{}\n\n{head}{}\n\ndata: [DONE]\n\n",
        r#"{"role":"assistant","content":"He\"y\n"},"finish_reason":null}]}"#,
        r#"{"content":"!"},"finish_reason":null}]}"#,
        r#"{},"finish_reason":"stop"}]}"#,
    );
    assert_eq!(out, expected);
}

#[test]
fn usage_comes_last_and_without_choices_when_asked() {
    let (chunks, done) = written(true, &[ChatEvent::text("a"), USAGE, STOP]);
    assert!(done);
    assert_eq!(chunks.len(), 3);
    assert!(chunks[..2].iter().all(|chunk| chunk["usage"].is_null() && chunk.get("usage").is_some()));
    assert_eq!(chunks[2]["choices"], json!([]));
    assert_eq!(chunks[2]["usage"], json!({"prompt_tokens": 16, "completion_tokens": 11, "total_tokens": 27}));
    let (chunks, _) = written(false, &[ChatEvent::text("a"), USAGE, STOP]);
    assert!(chunks.iter().all(|chunk| chunk.get("usage").is_none()));
}

#[test]
fn every_chunk_has_the_same_id_time_and_model() {
    let (chunks, _) = written(true, &[ChatEvent::Reasoning("r".into()), ChatEvent::text("a"), USAGE, STOP]);
    for chunk in chunks {
        assert_eq!(chunk["id"], "chatcmpl-1");
        assert_eq!(chunk["created"], 1_700_000_000);
        assert_eq!(chunk["model"], "a \"model\"");
        assert_eq!(chunk["object"], "chat.completion.chunk");
    }
}

#[test]
fn calls_carry_their_own_index_and_change_the_finish_reason() {
    let call = |index: u32| ChatEvent::ToolCall {
        index,
        id: format!("call_{index}"),
        name: "f".to_owned(),
        arguments: "{\"a\":1}".to_owned(),
    };
    let (chunks, done) = written(false, &[call(0), call(1), USAGE, STOP]);
    assert!(done);
    let tool = |index: u32| {
        json!([{"index": index, "id": format!("call_{index}"), "type": "function",
            "function": {"name": "f", "arguments": "{\"a\":1}"}}])
    };
    assert_eq!(
        deltas(&chunks),
        [json!({"role": "assistant", "tool_calls": tool(0)}), json!({"tool_calls": tool(1)}), json!({})]
    );
    assert_eq!(chunks[2]["choices"][0]["finish_reason"], "tool_calls");
}

#[test]
fn a_limit_stays_a_limit() {
    let (chunks, _) = written(false, &[ChatEvent::text("a"), ChatEvent::Finish(FinishReason::Length)]);
    assert_eq!(chunks[1]["choices"][0]["finish_reason"], "length");
}

#[test]
fn reasoning_has_both_names() {
    let (chunks, _) = written(false, &[ChatEvent::Reasoning("hm".into()), ChatEvent::text("a"), STOP]);
    assert_eq!(
        deltas(&chunks),
        [
            json!({"role": "assistant", "reasoning": "hm", "reasoning_content": "hm"}),
            json!({"content": "a"}),
            json!({})
        ]
    );
}

#[test]
fn probabilities_are_wrapped() {
    let event = ChatEvent::Text { text: "a".into(), logprobs: Some(r#"[{"token":"a"}]"#.into()) };
    let (chunks, _) = written(false, &[event, STOP]);
    assert_eq!(chunks[0]["choices"][0]["logprobs"], json!({"content": [{"token": "a"}], "refusal": null}));
}

#[test]
fn an_empty_answer_still_has_a_role() {
    let (chunks, done) = written(false, &[USAGE, STOP]);
    assert!(done);
    assert_eq!(deltas(&chunks), [json!({"role": "assistant", "content": ""}), json!({})]);
}

#[test]
fn keep_alives_never_repeat_the_role_nor_follow_the_end() {
    let mut stream = ChatStream::new("id", 5, "m", false);
    let mut out = BytesMut::new();
    stream.keep_alive(&mut out);
    stream.keep_alive(&mut out);
    stream.event(&ChatEvent::text("a"), &mut out);
    stream.event(&STOP, &mut out);
    stream.keep_alive(&mut out);
    stream.event(&STOP, &mut out);
    let (chunks, done) = read(&out);
    assert!(!done);
    assert_eq!(
        deltas(&chunks),
        [
            json!({"role": "assistant", "content": ""}),
            json!({"content": ""}),
            json!({"content": "a"}),
            json!({})
        ]
    );
}

#[test]
fn no_done_without_a_finish_reason() {
    let (chunks, done) = written(true, &[ChatEvent::text("a"), USAGE]);
    assert_eq!((chunks.len(), done), (1, false));
}

#[test]
fn line_ends_between_the_tokens_of_probabilities_do_not_end_the_event() {
    let logprobs = Some("[\r{\"token\":\"a\\n\",\n\r\n\"logprob\":-1}]".into());
    let (chunks, _) = written(false, &[ChatEvent::Text { text: "a".to_owned(), logprobs: logprobs.clone() }]);
    assert_eq!(chunks[0]["choices"][0]["logprobs"]["content"], json!([{"token": "a\n", "logprob": -1}]));
    let mut out = BytesMut::new();
    ChatStream::new("id", 5, "m", false).event(&ChatEvent::Text { text: String::new(), logprobs }, &mut out);
    assert!(!out.contains(&b'\r'));
}
