//! Recorded answers give the same events however they are split, and broken ones give faults.

use super::ChatDecoder;
use crate::chat::{ChatEvent, FinishReason, Usage};
use crate::dialect::recorded::{OLLAMA, OLLAMA_BROKEN};
use crate::error::{ApiError, BackendFault};

const LINE_LIMIT: usize = 1024 * 1024;

fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<ChatEvent>, Result<(), BackendFault>) {
    let mut decoder = ChatDecoder::new("seed", LINE_LIMIT);
    let mut events = Vec::new();
    for piece in pieces {
        if let Err(fault) = decoder.feed(piece, &mut events) {
            return (events, Err(fault));
        }
    }
    let end = decoder.finish(&mut events);
    (events, end)
}

fn recorded(name: &str) -> Vec<ChatEvent> {
    let recording = OLLAMA.iter().find(|recording| recording.name == name).unwrap();
    let (events, end) = decode([recording.bytes]);
    end.unwrap();
    events
}

fn text(events: &[ChatEvent]) -> String {
    events
        .iter()
        .filter_map(|event| match event {
            ChatEvent::Text { text, .. } => Some(text.as_str()),
            _ => None,
        })
        .collect()
}

#[test]
fn every_recording_split_at_every_byte_gives_the_same_events() {
    for recording in OLLAMA.iter().chain(OLLAMA_BROKEN) {
        let whole = decode([recording.bytes]);
        for cut in 0..=recording.bytes.len() {
            let (left, right) = recording.bytes.split_at(cut);
            assert_eq!(decode([left, right]), whole, "{} at {cut}", recording.name);
        }
        assert_eq!(decode(recording.bytes.chunks(1)), whole, "{}", recording.name);
    }
}

#[test]
fn every_good_recording_ends_with_usage_and_finish() {
    for recording in OLLAMA {
        let (events, end) = decode([recording.bytes]);
        assert_eq!(end, Ok(()), "{}", recording.name);
        let ends = matches!(events.as_slice(), [.., ChatEvent::Usage(_), ChatEvent::Finish(_)]);
        assert!(ends, "{}: {events:?}", recording.name);
    }
}

#[test]
fn every_cut_of_a_recording_is_a_fault() {
    for recording in OLLAMA {
        for cut in 0..recording.bytes.trim_ascii_end().len() {
            let (events, end) = decode([&recording.bytes[..cut]]);
            assert_eq!(end, Err(BackendFault::EndedEarly), "{} at {cut}", recording.name);
            assert!(!events.iter().any(|event| matches!(event, ChatEvent::Finish(_))));
        }
    }
}

#[test]
fn the_plain_stream() {
    let events = recorded("ollama/chat.ndjson");
    assert_eq!(text(&events), "The capital of France is Paris.");
    let usage = Usage::counted(16, 11);
    assert!(events.ends_with(&[ChatEvent::Usage(usage), ChatEvent::Finish(FinishReason::Stop)]));
    assert_eq!(recorded("ollama/chat-length.ndjson").last(), Some(&ChatEvent::Finish(FinishReason::Length)));
}

#[test]
fn tool_calls_in_the_done_line() {
    let call = ChatEvent::ToolCall {
        index: 0,
        id: "call_seed_0".to_owned(),
        name: "get_weather".to_owned(),
        arguments: r#"{"city":"Paris"}"#.to_owned(),
    };
    for name in ["ollama/chat-tools.ndjson", "ollama/whole-chat-tools.json"] {
        let events = recorded(name);
        assert_eq!(events.first(), Some(&call));
        assert_eq!(events.last(), Some(&ChatEvent::Finish(FinishReason::ToolCalls)));
    }
}

#[test]
fn several_calls_are_counted_across_lines() {
    let call = |name: &str| {
        format!(
            r#"{{"message":{{"tool_calls":[{{"function":{{"index":0,"name":"{name}","arguments":null}}}}]}}}}"#
        )
    };
    let lines = format!("{}\n{}\n{}", call("a"), call("b"), r#"{"done":true,"done_reason":"stop"}"#);
    let (events, end) = decode([lines.as_bytes()]);
    assert_eq!(end, Ok(()));
    let ids: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            ChatEvent::ToolCall { index, id, arguments, .. } => {
                Some((*index, id.as_str(), arguments.as_str()))
            }
            _ => None,
        })
        .collect();
    assert_eq!(ids, [(0, "call_seed_0", "{}"), (1, "call_seed_1", "{}")]);
}

#[test]
fn thinking_comes_before_the_text() {
    for name in ["ollama/chat-thinking.ndjson", "ollama/whole-thinking.json"] {
        let events = recorded(name);
        let thought: String = events
            .iter()
            .filter_map(|event| match event {
                ChatEvent::Reasoning(text) => Some(text.as_str()),
                _ => None,
            })
            .collect();
        assert_eq!(thought, "The user asks: What is the capital of France?\nI will answer.\n");
        assert_eq!(text(&events), "The capital of France is Paris.");
        assert!(matches!(events[0], ChatEvent::Reasoning(_)));
    }
}

#[test]
fn probabilities_stay_with_their_text() {
    let events = recorded("ollama/chat-logprobs.ndjson");
    let ChatEvent::Text { text, logprobs: Some(list) } = &events[0] else { panic!("{:?}", events[0]) };
    assert_eq!(text, "The");
    let list: serde_json::Value = serde_json::from_str(list).unwrap();
    assert_eq!(list[0]["top_logprobs"].as_array().unwrap().len(), 2);
}

#[test]
fn a_killed_runner_is_an_error_line() {
    let (events, end) = decode([OLLAMA_BROKEN[1].bytes]);
    assert!(text(&events).ends_with(" There"));
    let error = ApiError::from(end.unwrap_err());
    assert_eq!(error.code().text(), Some("backend_error"));
    assert_eq!(error.message(), "an error was encountered while running the model: unexpected EOF");
}

#[test]
fn garbage_of_many_kinds_is_a_fault() {
    let long = format!("{{\"message\":\"{}\"}}\n", "x".repeat(LINE_LIMIT));
    for (bytes, wanted) in [
        (b"<html>busy</html>\n".as_slice(), "garbage"),
        (b"<html>", "garbage"),
        (b"\xff\xfe\n", "garbage"),
        (b"{\"message\":{\"content\":\"\xff\"},\"done\":false}\n", "garbage"),
        (b"[]\n", "garbage"),
        (b"{}\n", "garbage"),
        (b"{\"message\":5,\"done\":false}\n", "garbage"),
        (
            b"{\"message\":{\"tool_calls\":[{\"function\":{\"name\":\"a\",\"arguments\":\"x\"}}]}}\n",
            "garbage",
        ),
        (b"{\"message\":{\"content\":\"a\"},\"done\":true,\"done_reason\":\"\"}\n", "early"),
        (b"{\"message\":{\"content\":\"a\"},\"done\":true}\n", "early"),
        (b"", "early"),
        (b"\n\n", "early"),
        (long.as_bytes(), "long"),
    ] {
        let (_, end) = decode([bytes]);
        let matches = match end {
            Err(BackendFault::Garbage { .. }) => wanted == "garbage",
            Err(BackendFault::EndedEarly) => wanted == "early",
            Err(BackendFault::TooLong { limit }) => wanted == "long" && limit == LINE_LIMIT,
            _ => false,
        };
        assert!(matches, "{:?} gave {end:?}", bytes.get(..60.min(bytes.len())));
    }
}

#[test]
fn what_follows_the_done_line_means_nothing() {
    let mut decoder = ChatDecoder::new("s", LINE_LIMIT);
    let mut events = Vec::new();
    decoder.feed(b"{\"done\":true,\"done_reason\":\"stop\"}\nrubbish\n", &mut events).unwrap();
    decoder.feed(b"\xff", &mut events).unwrap();
    decoder.finish(&mut events).unwrap();
    assert!(decoder.is_done());
    assert_eq!(events.len(), 2);
}

#[test]
fn a_list_is_no_object_however_its_elements_fit() {
    for line in [
        "[null,{\"content\":\"a\"},null,null,0,0,null]",
        "{\"message\":[\"a\",null,null]}",
        "{\"message\":{\"tool_calls\":[[{\"name\":\"f\"}]]}}",
        "{\"message\":{\"tool_calls\":[{\"function\":[\"f\",null]}]}}",
    ] {
        let (events, end) = decode([line.as_bytes(), b"\n"]);
        assert!(events.is_empty() && matches!(end, Err(BackendFault::Garbage { .. })), "{line}: {end:?}");
    }
}

#[test]
fn half_a_character_is_replaced_wherever_it_stands() {
    let line = concat!(
        r#"{"message":{"content":"a\ud83d","thinking":"\ude00 \ud83d\ude00","tool_calls":[{"function":{"name":"\udfff","#,
        r#""arguments":{"x":"\ud800"}}}]},"logprobs":[{"token":"\ud83d","logprob":-1}],"done":true,"done_reason":"stop"}"#,
    );
    let (events, end) = decode([line.as_bytes()]);
    end.unwrap();
    let logprobs =
        Some("[{\"token\":\"\u{fffd}\",\"logprob\":-1,\"bytes\":[239,191,189],\"top_logprobs\":[]}]".into());
    let call = ChatEvent::ToolCall {
        index: 0,
        id: "call_seed_0".into(),
        name: "\u{fffd}".into(),
        arguments: r#"{"x":"\ufffd"}"#.into(),
    };
    assert_eq!(
        events[..3],
        [
            ChatEvent::Reasoning("\u{fffd} \u{1f600}".into()),
            ChatEvent::Text { text: "a\u{fffd}".into(), logprobs },
            call
        ]
    );
}
