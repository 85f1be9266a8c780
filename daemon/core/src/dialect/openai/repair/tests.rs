//! Recorded streams pass unharmed however they are split, and every bad end is seen.

use bytes::{Bytes, BytesMut};
use serde_json::Value;

use super::{StreamRepair, check_whole};
use crate::chat::Usage;
use crate::dialect::openai::parse_models;
use crate::dialect::recorded::{MODELS, OPENAI, OPENAI_BROKEN, OPENAI_WHOLE};
use crate::error::{ApiError, BackendFault, Code};

mod counts;

const LINE_LIMIT: usize = 1024 * 1024;

type Outcome = (String, Result<(), BackendFault>, Option<Usage>);

fn repair<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, model: Option<&str>) -> Outcome {
    let mut repair = StreamRepair::new(LINE_LIMIT, model);
    let mut out = BytesMut::new();
    let mut result = Ok(());
    for piece in pieces {
        result = repair.feed(piece, &mut out);
        if result.is_err() {
            break;
        }
    }
    let result = result.and_then(|()| repair.finish(&mut out));
    (String::from_utf8(out.to_vec()).unwrap(), result, repair.usage())
}

#[test]
fn every_recording_split_at_every_byte_gives_the_same_bytes() {
    for recording in OPENAI.iter().chain(OPENAI_BROKEN) {
        let whole = repair([recording.bytes], Some("asked"));
        for cut in 0..=recording.bytes.len() {
            let (left, right) = recording.bytes.split_at(cut);
            assert_eq!(repair([left, right], Some("asked")), whole, "{} at {cut}", recording.name);
        }
        assert_eq!(repair(recording.bytes.chunks(1), Some("asked")), whole, "{}", recording.name);
    }
}

#[test]
fn good_recordings_pass_as_they_came_with_one_done() {
    for recording in OPENAI {
        let (out, result, _) = repair([recording.bytes], None);
        assert_eq!(result, Ok(()), "{}", recording.name);
        let sent = std::str::from_utf8(recording.bytes).unwrap();
        let expected =
            if sent.contains("[DONE]") { sent.to_owned() } else { format!("{sent}data: [DONE]\n\n") };
        assert_eq!(out, expected, "{}", recording.name);
    }
}

#[test]
fn broken_recordings_end_in_a_fault_and_without_done() {
    for recording in OPENAI_BROKEN {
        let (out, result, _) = repair([recording.bytes], None);
        assert_eq!(result, Err(BackendFault::EndedEarly), "{}", recording.name);
        assert!(!out.contains("[DONE]") && out.contains("data: {"), "{}", recording.name);
    }
}

#[test]
fn every_cut_before_the_finish_reason_is_a_fault() {
    for recording in OPENAI {
        let text = std::str::from_utf8(recording.bytes).unwrap();
        let finish = [
            "\"finish_reason\":\"stop\"",
            "\"finish_reason\":\"length\"",
            "\"finish_reason\":\"tool_calls\"",
        ];
        let place = finish.iter().filter_map(|word| text.find(word)).min().unwrap();
        for cut in 0..place {
            let (_, result, _) = repair([&recording.bytes[..cut]], None);
            assert_eq!(result, Err(BackendFault::EndedEarly), "{} at {cut}", recording.name);
        }
    }
}

#[test]
fn the_models_name_is_the_one_that_was_asked_for() {
    let (out, _, usage) = repair([OPENAI[1].bytes], Some("engine/\"tiny\""));
    let chunks: Vec<Value> = out
        .split("\n\n")
        .filter_map(|event| serde_json::from_str(event.strip_prefix("data: ")?).ok())
        .collect();
    assert!(chunks.len() > 10 && chunks.iter().all(|chunk| chunk["model"] == "engine/\"tiny\""));
    let counted = Usage { cached_tokens: Some(15), ..Usage::counted(16, 11) };
    assert_eq!(usage, Some(counted));
}

#[test]
fn what_is_wrong_in_a_stream_is_a_fault() {
    let start =
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":null}]}\n\n";
    let cases: [(&[u8], &str); 9] = [
        (b"data: {\"error\":{\"code\":500,\"message\":\"out of memory\"}}\n\n", "line"),
        (b"event: error\ndata: {\"message\":\"x\"}\n\n", "line"),
        (b"data: nonsense\n\n", "garbage"),
        (b"data: \xff\xfe\n\n", "garbage"),
        (b"data: {\"choices\":[{\"delta\":{\"content\":\"\xff\"}}]}\n\n", "garbage"),
        (b"data: []\n\n", "garbage"),
        (b"data: {\"choices\":[{\"index\":128}]}\n\n", "garbage"),
        (b"data: [DONE]\n\n", "early"),
        (b"", "early"),
    ];
    for (bytes, wanted) in cases {
        let (out, result, _) = repair([start.as_bytes(), bytes], None);
        assert_eq!(out, start);
        let matches = match &result {
            Err(BackendFault::ErrorLine { .. }) => wanted == "line",
            Err(BackendFault::Garbage { .. }) => wanted == "garbage",
            Err(BackendFault::EndedEarly) => wanted == "early",
            _ => false,
        };
        assert!(matches, "{bytes:?} gave {result:?}");
    }
}

#[test]
fn the_limit_of_a_line_passes_and_one_more_fails() {
    let line = |length: usize| {
        let head = "data: {\"choices\":[{\"delta\":{\"content\":\"";
        let tail = "\"},\"finish_reason\":\"stop\"}]}";
        format!("{head}{}{tail}\n\n", "x".repeat(length - head.len() - tail.len()))
    };
    assert_eq!(repair([line(LINE_LIMIT).as_bytes()], None).1, Ok(()));
    let fault = repair([line(LINE_LIMIT + 1).as_bytes()], None).1;
    assert_eq!(fault, Err(BackendFault::TooLong { limit: LINE_LIMIT }));
}

#[test]
fn every_choice_needs_its_own_finish_reason() {
    let chunk = |index: u32, reason: &str| {
        format!("data: {{\"choices\":[{{\"index\":{index},\"delta\":{{}},\"finish_reason\":{reason}}}]}}\n\n")
    };
    let begun = format!("{}{}{}", chunk(0, "null"), chunk(127, "null"), chunk(0, "\"stop\""));
    assert_eq!(repair([begun.as_bytes()], None).1, Err(BackendFault::EndedEarly));
    let ended = format!("{begun}{}", chunk(127, "\"length\""));
    assert_eq!(repair([ended.as_bytes()], None).1, Ok(()));
    // Where the body breaks off, one that was asked for may not have begun.
    for (wanted, broke) in [(1, Ok(())), (2, Ok(())), (3, Err(BackendFault::NoMemory))] {
        let mut repair = StreamRepair::new(LINE_LIMIT, None).wanting(wanted);
        let mut out = BytesMut::new();
        repair.feed(ended.as_bytes(), &mut out).unwrap();
        assert_eq!(repair.broke(BackendFault::NoMemory, &mut out), broke, "{wanted}");
    }
}

#[test]
fn done_is_sent_once_and_nothing_follows_it() {
    let good = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    let text = format!("{good}data: [DONE]\n\ndata: [DONE]\n\ndata: rubbish\n\n");
    let (out, result, _) = repair([text.as_bytes(), b"more"], None);
    assert_eq!((out, result), (format!("{good}data: [DONE]\n\n"), Ok(())));
    let (out, result, _) = repair([good.as_bytes(), b"data: [DONE]"], None);
    assert_eq!((out, result), (format!("{good}data: [DONE]\n\n"), Ok(())));
}

#[test]
fn comments_are_dropped_and_inner_line_ends_are_flattened() {
    let text =
        ": ping\n\ndata: {\"choices\":\ndata: [{\"finish_reason\":\"stop\"}],\r\ndata: \"model\":\"m\"}\n\n";
    let (out, result, _) = repair([text.as_bytes()], Some("new"));
    assert_eq!(result, Ok(()));
    assert_eq!(
        out,
        "data: {\"choices\": [{\"finish_reason\":\"stop\"}], \"model\":\"new\"}\n\ndata: [DONE]\n\n"
    );
}

#[test]
fn recorded_whole_answers_pass() {
    for recording in OPENAI_WHOLE {
        let body = Bytes::from_static(recording.bytes);
        let checked = check_whole(&body, None).unwrap();
        assert_eq!(checked.body, body, "{}", recording.name);
        assert!(checked.usage.is_some_and(|usage| usage.completion_tokens > 0), "{}", recording.name);
        let renamed: Value = serde_json::from_slice(&check_whole(&body, Some("new")).unwrap().body).unwrap();
        let mut expected: Value = serde_json::from_slice(&body).unwrap();
        expected["model"] = "new".into();
        assert_eq!(renamed, expected);
    }
}

#[test]
fn whole_answers_that_are_none() {
    let check = |body: &'static str| check_whole(&Bytes::from_static(body.as_bytes()), None);
    assert!(matches!(check("<html>"), Err(BackendFault::Garbage { .. })));
    assert!(matches!(check("[]"), Err(BackendFault::Garbage { .. })));
    assert!(matches!(check("{}"), Err(BackendFault::Garbage { .. })));
    assert!(matches!(check(r#"{"choices":[]}"#), Err(BackendFault::Garbage { .. })));
    assert_eq!(check(r#"{"choices":[{"message":{}}]}"#), Err(BackendFault::EndedEarly));
    let fault = check(r#"{"error":{"message":"maximum context length is 5","code":400}}"#).unwrap_err();
    assert_eq!(ApiError::from(fault).code(), Code::ContextLengthExceeded);
}

#[test]
fn recorded_lists_of_models() {
    for recording in MODELS {
        let models = parse_models(recording.bytes, "engine").unwrap();
        assert_eq!((models.len(), models[0].id.as_str(), models[0].owned_by.as_str()), (1, "tiny", "engine"));
        assert!(models[0].created > 1_790_000_000);
    }
    assert!(parse_models(b"Internal Server Error", "engine").is_err());
    assert!(parse_models(br#"{"data":null}"#, "engine").unwrap().is_empty());
}

#[test]
fn a_list_is_no_object_however_its_elements_fit() {
    let chunk = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    for list in ["[null,\"m\",[[0,\"stop\"]],null]", "{\"choices\":[[0,\"stop\"]]}"] {
        let (out, result, _) =
            repair([chunk.as_bytes(), format!("data: {list}\n\n").as_bytes()], Some("new"));
        assert!(matches!(result, Err(BackendFault::Garbage { .. })), "{list}");
        assert_eq!(out, chunk);
        let whole = check_whole(&Bytes::from(list), Some("new"));
        assert!(matches!(whole, Err(BackendFault::Garbage { .. })), "{list}");
    }
    assert!(parse_models(br#"[[{"id":"m"}]]"#, "engine").is_err());
}

/// An engine that cuts its text between the halves of a pair, as JavaScript's would.
const HALVES: &str = concat!(
    r#"data: {"choices":[{"index":0,"delta":{"content":"a\ud83d"},"logprobs":{"content":[{"token":"\ud83d"}]}}]}"#,
    "\n\n",
    r#"data: {"model":"m","choices":[{"index":0,"delta":{"content":"\ude00 \ud83d\ude00 \\ud800"}}]}"#,
    "\n\n",
    r#"data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
    "\n\ndata: [DONE]\n\n",
);

#[test]
fn half_a_character_is_replaced_and_the_rest_passes_as_it_came() {
    for model in [None, Some("m")] {
        let (out, result, _) = repair([HALVES.as_bytes()], model);
        assert_eq!(result, Ok(()));
        let mended = HALVES.replace(r"a\ud83d", r"a\ufffd").replace(r#""\ud83d""#, r#""\ufffd""#);
        assert_eq!(out, mended.replace(r"\ude00 \ud83d", r"\ufffd \ud83d"));
    }
    let whole = |text: &str| {
        let body = format!(
            r#"{{"model":"m","choices":[{{"message":{{"content":"{text}"}},"finish_reason":"stop"}}]}}"#
        );
        (Bytes::from(body.clone()), body)
    };
    for model in [None, Some("m")] {
        let (sent, _) = whole(r"\udfff\ud83d\ude00");
        assert_eq!(check_whole(&sent, model).unwrap().body, whole(r"\ufffd\ud83d\ude00").1);
    }
    let error = Bytes::from_static(br#"{"error":{"message":"no \ud800","code":"context_length_exceeded"}}"#);
    let fault = check_whole(&error, None).unwrap_err();
    assert_eq!(ApiError::from(fault).code(), Code::ContextLengthExceeded, "an error is read all the same");
}

#[test]
fn counts_that_come_with_each_choice_add_up_and_the_first_that_is_not_finished_speaks() {
    let chunk = |index: u32, reason: &str, completion: u32| {
        format!(
            "data: {{\"choices\":[{{\"index\":{index},\"delta\":{{}},\"finish_reason\":{reason}}}],\"usage\":{{\"prompt_tokens\":5,\"completion_tokens\":{completion}}}}}\n\n"
        )
    };
    let mut repair = StreamRepair::new(LINE_LIMIT, None).wanting(2);
    let mut seen = Vec::new();
    for text in [
        chunk(0, "null", 1),
        chunk(0, "\"stop\"", 3),
        chunk(1, "\"stop\"", 4),
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":8}}\n\n".to_owned(),
    ] {
        repair.feed(text.as_bytes(), &mut BytesMut::new()).unwrap();
        seen.push((repair.speaking(), repair.usage().unwrap().completion_tokens));
    }
    assert_eq!(seen, [(Some(0), 1), (Some(1), 3), (None, 7), (None, 8)]);
    assert_eq!(repair.usage().unwrap().prompt_tokens, 5);
}
