//! Recordings of engines that leave calls in their text, and every way to cut one.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::several::{each_event, event};
use super::super::{ChunkDecoder, StreamRepair};
use super::*;
use crate::dialect::recorded::{OPENAI, OPENAI_WHOLE};

const RAW: &str =
    "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Paris\"}}\n</tool_call>";
const LIMIT: usize = 4096;

fn functions(names: &[&str]) -> Arc<[String]> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn calls(limit: usize) -> TextCalls {
    TextCalls::new(functions(&["get_weather", "get_time"]), "s", limit)
}

/// The chunks that a client gets of this stream, and `[DONE]` as a text.
fn given<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, calls: Option<TextCalls>) -> Vec<Value> {
    let mut repair = StreamRepair::new(1 << 20, Some("asked")).calling(calls);
    let mut out = BytesMut::new();
    pieces.into_iter().for_each(|piece| repair.feed(piece, &mut out).unwrap());
    repair.finish(&mut out).unwrap();
    assert_eq!(repair.held(), 0);
    let mut given = Vec::new();
    each_event(&out, |_, data| {
        let data = data.unwrap();
        given.push(serde_json::from_slice(data).unwrap_or_else(|_| String::from_utf8_lossy(data).into()));
    });
    given
}

fn chunk(delta: &Value, reason: Option<&str>) -> Value {
    json!({"id": "x", "model": "own", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})
}

/// A stream of these chunks.
fn stream(chunks: &[Value]) -> Vec<u8> {
    let mut out = BytesMut::new();
    chunks.iter().for_each(|chunk| event(chunk, &mut out));
    out.to_vec()
}

/// An answer whose text comes in these pieces.
fn saying(texts: &[&str]) -> Vec<u8> {
    let mut chunks = vec![chunk(&json!({"role": "assistant", "content": ""}), None)];
    chunks.extend(texts.iter().map(|text| chunk(&json!({ "content": text }), None)));
    chunks.push(chunk(&json!({}), Some("stop")));
    stream(&chunks)
}

/// Its text, its calls, its roles and its finish reasons.
fn said(chunks: &[Value]) -> (String, Vec<Value>, usize, Vec<String>) {
    let (mut text, mut calls, mut roles, mut reasons) = (String::new(), Vec::new(), 0, Vec::new());
    for choice in chunks.iter().filter_map(|chunk| chunk["choices"].as_array()).flatten() {
        text.push_str(choice["delta"]["content"].as_str().unwrap_or_default());
        calls.extend(choice["delta"]["tool_calls"].as_array().into_iter().flatten().cloned());
        roles += usize::from(choice["delta"]["role"].is_string());
        reasons.extend(choice["finish_reason"].as_str().map(str::to_owned));
    }
    (text, calls, roles, reasons)
}

fn weather(index: u32) -> Value {
    json!({"index": index, "id": format!("call_s_t{index}"), "type": "function",
        "function": {"name": "get_weather", "arguments": "{\"city\": \"Paris\"}"}})
}

#[test]
fn a_recorded_stream_with_its_call_in_its_text_gives_the_call_however_it_is_cut() {
    let recording = OPENAI.iter().find(|one| one.name == "transformers/tools.sse").unwrap();
    let whole = given([recording.bytes], Some(calls(LIMIT)));
    let expected = (String::new(), vec![weather(0)], 1, vec!["tool_calls".to_owned()]);
    assert_eq!(said(&whole), expected);
    // The role, the call, the end with its counts, and the end of the stream.
    assert_eq!(whole.len(), 4, "{whole:?}");
    assert_eq!(whole[2]["usage"]["completion_tokens"], 24);
    assert!(whole[..3].iter().all(|chunk| chunk["model"] == "asked" && chunk["id"] == whole[0]["id"]));
    for cut in (0..recording.bytes.len()).step_by(7) {
        let (left, right) = recording.bytes.split_at(cut);
        assert_eq!(given([left, right], Some(calls(LIMIT))), whole, "at {cut}");
    }
    assert_eq!(given(recording.bytes.chunks(1), Some(calls(LIMIT))), whole);
}

#[test]
fn streams_without_calls_in_their_text_pass_byte_for_byte() {
    for recording in OPENAI.iter().filter(|one| one.name != "transformers/tools.sse") {
        let pass = |calls| {
            let (mut repair, mut out) = (StreamRepair::new(1 << 20, None).calling(calls), BytesMut::new());
            repair.feed(recording.bytes, &mut out).unwrap();
            repair.finish(&mut out).unwrap();
            out
        };
        assert_eq!(pass(Some(calls(LIMIT))), pass(None), "{}", recording.name);
    }
}

#[test]
fn a_call_is_one_wherever_its_text_is_cut() {
    for cut in 0..=RAW.len() {
        let (left, right) = RAW.split_at(cut);
        for (before, behind) in [("", ""), ("Let me see. ", ""), ("A < b. ", " So.")] {
            let stream = saying(&[before, left, right, behind]);
            let (text, calls, roles, reasons) = said(&given([&*stream], Some(calls(LIMIT))));
            assert_eq!((text, calls), ([before, behind].concat(), vec![weather(0)]), "at {cut}");
            assert_eq!((roles, reasons), (1, vec!["tool_calls".to_owned()]), "at {cut}");
        }
    }
}

#[test]
fn what_proves_to_be_no_call_is_the_text_that_it_was() {
    for text in [
        "<tool_call>{\"name\": \"rm\", \"arguments\": {}}</tool_call>",
        "<tool_call> is a word",
        "<tool_call>{\"name\": \"get_weather\"",
        "a <tool",
    ] {
        for cut in 0..=text.len() {
            let (left, right) = text.split_at(cut);
            let chunks = given([&*saying(&[left, right])], Some(calls(LIMIT)));
            assert_eq!(said(&chunks), (text.to_owned(), vec![], 1, vec!["stop".to_owned()]), "at {cut}");
        }
    }
    let long = RAW.replace("Paris", &"x".repeat(LIMIT));
    let (text, calls, ..) = said(&given([&*saying(&[&long])], Some(calls(LIMIT))));
    assert_eq!((text, calls.len()), (long, 0), "no more is held back");
}

#[test]
fn text_is_not_waited_with_but_for_what_may_begin_a_call() {
    let mut repair = StreamRepair::new(1 << 20, None).calling(Some(calls(LIMIT)));
    let mut out = BytesMut::new();
    for (text, now, held) in
        [("Hi", "Hi", 0), (" <", " ", 1), ("tool_", "", 6), ("x", "<tool_x", 0), (RAW, "", 0)]
    {
        out.clear();
        repair.feed(&stream(&[chunk(&json!({ "content": text }), None)]), &mut out).unwrap();
        let mut given = Vec::new();
        each_event(&out, |_, data| given.push(serde_json::from_slice(data.unwrap()).unwrap()));
        assert_eq!((said(&given).0.as_str(), repair.held()), (now, held), "{text}");
    }
}

#[test]
fn the_engine_s_own_calls_end_the_search_and_are_numbered_on() {
    let own = |index: u32| json!({"tool_calls": [{"index": index, "id": "own", "function": {"name": "x", "arguments": "{}"}}]});
    let chunks = [
        chunk(&json!({"role": "assistant", "content": RAW}), None),
        chunk(&json!({"content": "<tool"}), None),
        chunk(&own(0), None),
        chunk(&own(1), None),
        chunk(&json!({ "content": RAW }), None),
        chunk(&json!({}), Some("tool_calls")),
    ];
    let (text, found, roles, reasons) = said(&given([&*stream(&chunks)], Some(calls(LIMIT))));
    assert_eq!((text, roles, reasons), (format!("<tool{RAW}"), 1, vec!["tool_calls".to_owned()]));
    let numbers: Vec<_> =
        found.iter().map(|call| (call["index"].as_u64().unwrap(), call["id"].as_str().unwrap())).collect();
    assert_eq!(numbers, [(0, "call_s_t0"), (1, "own"), (2, "own")]);
    // Where it says calls from the beginning, nothing is changed.
    let plain = stream(&chunks[2..]);
    assert_eq!(given([&*plain], Some(calls(LIMIT))), given([&*plain], None));
}

#[test]
fn what_else_a_chunk_holds_is_kept_and_its_role_comes_first() {
    let first = json!({"id": "x", "model": "own", "extra": 1, "usage": {"completion_tokens": 3}, "choices": [{
        "index": 0, "stop_reason": null, "logprobs": null, "finish_reason": "stop",
        "delta": {"role": "assistant", "reasoning": "Hm.", "content": format!("Now: {RAW}")},
    }]});
    let chunks = given([&*stream(&[first])], Some(calls(LIMIT)));
    assert_eq!(chunks.len(), 5, "{chunks:?}");
    let deltas: Vec<_> = chunks[..4].iter().map(|chunk| chunk["choices"][0]["delta"].clone()).collect();
    let thought = json!({"role": "assistant", "reasoning": "Hm.", "reasoning_content": "Hm."});
    let spoken = json!({"content": "Now: "});
    assert_eq!(deltas, [thought, spoken, json!({"tool_calls": [weather(0)]}), json!({})]);
    for (place, chunk) in chunks[..4].iter().enumerate() {
        let choice = &chunk["choices"][0];
        assert!(chunk["extra"] == 1 && choice.get("stop_reason").is_some() && chunk["model"] == "asked");
        assert_eq!(chunk["usage"].is_object(), place == 3, "what was counted is said once");
        assert_eq!(choice["finish_reason"].is_null(), place < 3);
    }
    // A role whose text is held back is given.
    let (_, _, roles, _) = said(&given([&*saying(&[RAW])], Some(calls(LIMIT))));
    assert_eq!(roles, 1);
    let held = stream(&[chunk(&json!({"role": "assistant", "content": "<tool"}), None)]);
    let (mut repair, mut out) =
        (StreamRepair::new(1 << 20, None).calling(Some(calls(LIMIT))), BytesMut::new());
    repair.feed(&held, &mut out).unwrap();
    assert!(
        str::from_utf8(&out).unwrap().contains(r#""delta":{"content":"","role":"assistant"}"#),
        "{out:?}"
    );
}

#[test]
fn probabilities_stay_with_the_text_and_go_with_a_call() {
    let token = |text: &str| json!({"token": text, "logprob": -0.5});
    let with = |text: &str| {
        json!({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null,
            "logprobs": {"content": [token(text)], "refusal": null}}]})
    };
    let mut chunks: Vec<_> =
        ["So", " <", "b", "<tool_call>", &RAW[11..], "!"].into_iter().map(with).collect();
    chunks.push(chunk(&json!({}), Some("stop")));
    let given = given([&*stream(&chunks)], Some(calls(LIMIT)));
    let mut tokens = Vec::new();
    for choice in given.iter().filter_map(|chunk| chunk["choices"].as_array()).flatten() {
        tokens.extend(choice["logprobs"]["content"].as_array().into_iter().flatten().cloned());
        assert!(choice["delta"].get("tool_calls").is_none() || choice["logprobs"].is_null(), "{choice}");
    }
    assert_eq!(tokens, ["So", " <", "b", "!"].map(token));
}

#[test]
fn choices_do_not_mix() {
    let of = |index: u32, text: &str| json!({"choices": [{"index": index, "delta": {"content": text}, "finish_reason": null}]});
    let (left, right) = RAW.split_at(20);
    let ends: Vec<_> =
        [0, 1].map(|index| json!({"index": index, "delta": {}, "finish_reason": "stop"})).into();
    let chunks =
        [of(0, left), of(1, "Well: "), of(1, left), of(0, right), of(1, right), json!({ "choices": ends })];
    let given = given([&*stream(&chunks)], Some(calls(LIMIT)));
    for (index, id) in [(0, "call_s_t0"), (1, "call_sx1_t0")] {
        let own: Vec<_> = given
            .iter()
            .filter_map(|chunk| chunk["choices"].as_array())
            .flatten()
            .filter(|choice| choice["index"] == index)
            .map(|choice| json!({"choices": [choice]}))
            .collect();
        let (text, calls, _, reasons) = said(&own);
        assert_eq!(text, ["", "Well: "][index]);
        assert_eq!((calls.len(), &calls[0]["id"]), (1, &json!(id)));
        assert_eq!(reasons, ["tool_calls"]);
    }
}

#[test]
fn recorded_whole_answers_give_their_calls_and_others_pass_byte_for_byte() {
    for recording in OPENAI_WHOLE {
        let answer = Bytes::from_static(recording.bytes);
        let changed = calls(LIMIT).whole(answer.clone());
        if recording.name != "transformers/whole-tools.json" {
            assert_eq!(changed, answer, "{}", recording.name);
            continue;
        }
        let (before, after): (Value, Value) =
            (serde_json::from_slice(&answer).unwrap(), serde_json::from_slice(&changed).unwrap());
        let mut call = weather(0);
        call.as_object_mut().unwrap().remove("index");
        let mut expected = before.clone();
        expected["choices"][0]["message"]["content"] = Value::Null;
        expected["choices"][0]["message"]["tool_calls"] = json!([call]);
        expected["choices"][0]["finish_reason"] = json!("tool_calls");
        assert_eq!(after, expected);
        let escaped = Bytes::from(str::from_utf8(&answer).unwrap().replace('<', "\\u003c"));
        assert_eq!(calls(LIMIT).whole(escaped), changed, "as Go writes it");
        let others = TextCalls::new(functions(&["other"]), "s", LIMIT).whole(answer.clone());
        assert_eq!(others, answer, "not offered");
    }
}

#[test]
fn a_whole_answer_keeps_its_words_and_their_probabilities() {
    let token = |text: &str| json!({"token": text, "logprob": -0.5});
    let answer = |tokens: &[&str], reason: &str| {
        let list: Vec<_> = tokens.iter().map(|text| token(text)).collect();
        let content = ["So ", RAW].concat();
        json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": content},
            "logprobs": {"content": list}, "finish_reason": reason}]})
    };
    let read = |answer: Value| -> Value {
        serde_json::from_slice(&calls(LIMIT).whole(Bytes::from(answer.to_string()))).unwrap()
    };
    let changed = read(answer(&["So ", "<tool_call>", &RAW[11..]], "length"));
    let choice = &changed["choices"][0];
    assert_eq!((&choice["message"]["content"], &choice["finish_reason"]), (&json!("So "), &json!("length")));
    assert_eq!(choice["logprobs"]["content"], json!([token("So ")]));
    let other = read(answer(&["other"], "stop"));
    assert_eq!(other["choices"][0]["logprobs"], Value::Null, "nobody knows whose they are");
    let own = json!({"choices": [{"message": {"content": RAW, "tool_calls": [{"id": "own"}]}, "finish_reason": "stop"}]});
    assert_eq!(read(own.clone()), own, "the engine tells calls itself");
}

#[test]
fn events_for_other_languages_give_the_call_as_well() {
    let recording = OPENAI.iter().find(|one| one.name == "transformers/tools.sse").unwrap();
    let read = |pieces: &mut dyn Iterator<Item = &'static [u8]>| {
        let text = ToolText::new(functions(&["get_weather"]), "s", LIMIT);
        let (mut decoder, mut out) =
            (ChunkDecoder::new("s", 1 << 20, 1 << 20).calling(Some(text)), Vec::new());
        let mut most = 0;
        for piece in pieces {
            decoder.feed(piece, &mut out).unwrap();
            most = most.max(decoder.gathered());
        }
        decoder.finish(&mut out).unwrap();
        assert!(decoder.is_done() && decoder.gathered() == 0);
        (out, most)
    };
    let (whole, _) = read(&mut std::iter::once(recording.bytes));
    let arguments = r#"{"city": "Paris"}"#.to_owned();
    let call =
        ChatEvent::ToolCall { index: 0, id: "call_s_t0".into(), name: "get_weather".into(), arguments };
    assert_eq!(whole.len(), 3);
    assert!(whole[0] == call && whole[2] == ChatEvent::Finish(FinishReason::ToolCalls), "{whole:?}");
    let (bytewise, most) = read(&mut recording.bytes.chunks(1));
    assert_eq!((bytewise, most), (whole, RAW.len() - "</tool_call>".len()));
}

proptest! {
    #[test]
    fn nothing_is_lost_however_it_is_cut(
        texts in prop::collection::vec(
            prop::sample::select(vec![
                "<tool_call>", "</tool_call>", "<tool_", "{\"name\":\"get_time\"", ",\"arguments\":{\"x\":\"", "\"}}", "}", " ", "\n", "é", "no",
            ]),
            0..12,
        ),
    ) {
        let joined = texts.concat();
        let apart = said(&given([&*saying(&texts)], Some(calls(60))));
        prop_assert_eq!(&apart, &said(&given([&*saying(&[&joined])], Some(calls(60)))));
        if apart.1.is_empty() {
            prop_assert_eq!(&apart.0, &joined);
        }
    }
}
