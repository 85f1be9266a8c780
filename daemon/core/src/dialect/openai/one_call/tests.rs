//! What is left of several calls.

use serde_json::{Value, json};

use super::*;
use crate::dialect::recorded;

fn passed(chunks: &[Value]) -> Vec<Value> {
    let (mut events, mut out) = (BytesMut::new(), BytesMut::new());
    chunks.iter().for_each(|chunk| event(chunk, &mut events));
    pass(&events, &mut out);
    let mut left = Vec::new();
    each_event(&out, |_, data| left.push(serde_json::from_slice(data.unwrap()).unwrap()));
    left
}

fn chunk(delta: &Value, reason: Option<&str>) -> Value {
    json!({"id": "x", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})
}

#[test]
fn the_first_call_of_a_stream_is_left_with_all_its_pieces() {
    let call = |index: u32, text: &str| json!({"index": index, "function": {"arguments": text}});
    let calls = |list: &[Value]| chunk(&json!({ "tool_calls": list }), None);
    let end = chunk(&json!({}), Some("tool_calls"));
    let left = passed(&[
        chunk(&json!({"role": "assistant", "content": null}), None),
        calls(&[call(0, "{"), call(1, "{")]),
        calls(&[call(1, "}")]),
        calls(&[call(0, "}")]),
        chunk(&json!({"tool_calls": [call(2, "{}")]}), Some("tool_calls")),
        end.clone(),
    ]);
    let expected = [
        chunk(&json!({"role": "assistant", "content": null}), None),
        calls(&[call(0, "{")]),
        calls(&[call(0, "}")]),
        chunk(&json!({}), Some("tool_calls")),
        end,
    ];
    assert_eq!(left, expected);
}

#[test]
fn a_word_beside_a_second_call_stays() {
    let left = passed(&[chunk(&json!({"content": "And", "tool_calls": [{"index": 1}]}), None)]);
    assert_eq!(left, [chunk(&json!({"content": "And"}), None)]);
}

#[test]
fn the_first_call_of_each_choice_is_left_of_a_whole_answer() {
    let call = |name: &str| json!({"function": {"name": name}});
    let choice = |calls: &[Value]| json!({"message": {"content": null, "tool_calls": calls}, "finish_reason": "tool_calls"});
    let answer = json!({"choices": [choice(&[call("a"), call("b")]), choice(&[call("c")])], "more": 1});
    let left: Value = serde_json::from_slice(&whole(Bytes::from(answer.to_string()))).unwrap();
    assert_eq!(left, json!({"choices": [choice(&[call("a")]), choice(&[call("c")])], "more": 1}));
}

#[test]
fn recordings_with_one_call_are_passed_byte_for_byte() {
    for recording in recorded::OPENAI {
        let mut out = BytesMut::new();
        pass(recording.bytes, &mut out);
        assert_eq!(out, recording.bytes, "{}", recording.name);
    }
    assert!(recorded::OPENAI.iter().any(|recording| may_call(recording.bytes)), "none has a call");
    for answer in ["{}", "no JSON with tool_calls", r#"{"choices":[{"message":{"tool_calls":[{}]}}]}"#] {
        assert_eq!(whole(Bytes::from(answer)), answer);
    }
}
