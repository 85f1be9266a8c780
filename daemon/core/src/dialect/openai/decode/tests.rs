//! Recorded streams give the same events however they are split, and every bad end is seen.

use super::ChunkDecoder;
use crate::chat::{ChatEvent, FinishReason, Usage};
use crate::dialect::recorded::{OPENAI, OPENAI_BROKEN};
use crate::error::{ApiError, BackendFault, Code};

const LIMIT: usize = 1024 * 1024;

type Outcome = (Vec<ChatEvent>, Result<(), BackendFault>);

fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let mut decoder = ChunkDecoder::new("seed", LIMIT, LIMIT);
    let mut events = Vec::new();
    let mut result = Ok(());
    for piece in pieces {
        result = decoder.feed(piece, &mut events);
        if result.is_err() {
            break;
        }
    }
    let result = result.and_then(|()| decoder.finish(&mut events));
    (events, result)
}

fn stream(chunks: &[&str]) -> Outcome {
    read([chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect::<String>().as_bytes()])
}

fn text(events: &[ChatEvent]) -> String {
    let text = |event: &ChatEvent| match event {
        ChatEvent::Text { text, .. } => Some(text.clone()),
        _ => None,
    };
    events.iter().filter_map(text).collect()
}

#[test]
fn every_recording_split_at_every_byte_gives_the_same_events() {
    for recording in OPENAI.iter().chain(OPENAI_BROKEN) {
        let whole = read([recording.bytes]);
        for cut in 0..=recording.bytes.len() {
            let (left, right) = recording.bytes.split_at(cut);
            assert_eq!(read([left, right]), whole, "{} at {cut}", recording.name);
        }
        assert_eq!(read(recording.bytes.chunks(1)), whole, "{}", recording.name);
    }
}

#[test]
fn good_recordings_end_with_their_finish_reason_and_broken_ones_with_a_fault() {
    for recording in OPENAI {
        let (events, result) = read([recording.bytes]);
        assert_eq!(result, Ok(()), "{}", recording.name);
        assert!(matches!(events.last(), Some(ChatEvent::Finish(_))), "{}", recording.name);
        let usages = events.iter().filter(|event| matches!(event, ChatEvent::Usage(_))).count();
        let counted = recording.bytes.windows(16).any(|window| window == b"\"prompt_tokens\":");
        assert_eq!(usages, usize::from(counted), "{}", recording.name);
    }
    for recording in OPENAI_BROKEN {
        let (events, result) = read([recording.bytes]);
        assert_eq!(result, Err(BackendFault::EndedEarly), "{}", recording.name);
        assert!(!text(&events).is_empty(), "{}", recording.name);
    }
}

#[test]
fn what_the_recorded_engines_said() {
    let said = |name: &str| {
        let recording = OPENAI.iter().find(|recording| recording.name == name).unwrap();
        read([recording.bytes]).0
    };
    for engine in ["llama-server", "vllm", "transformers"] {
        let events = said(&format!("{engine}/usage.sse"));
        assert_eq!(text(&events), "The capital of France is Paris.", "{engine}");
        // One of them says what it had of the prompt.
        let cached_tokens = (engine == "llama-server").then_some(15);
        let usage = Usage { cached_tokens, ..Usage::counted(16, 11) };
        let end = [ChatEvent::Usage(usage), ChatEvent::Finish(FinishReason::Stop)];
        assert!(events.ends_with(&end), "{engine}: {events:?}");
        let length = said(&format!("{engine}/length.sse"));
        assert_eq!(length.last(), Some(&ChatEvent::Finish(FinishReason::Length)), "{engine}");
        let logprobs = said(&format!("{engine}/logprobs.sse"));
        let lists = |event: &&ChatEvent| matches!(event, ChatEvent::Text { logprobs: Some(_), .. });
        assert_eq!(logprobs.iter().filter(lists).count() > 5, engine != "transformers", "{engine}");
    }
    for engine in ["llama-server", "vllm", "ollama-v1"] {
        let events = said(&format!("{engine}/tools.sse"));
        let calls: Vec<_> =
            events.iter().filter(|event| matches!(event, ChatEvent::ToolCall { .. })).collect();
        let [ChatEvent::ToolCall { index: 0, id, name, arguments }] = calls[..] else {
            panic!("{engine}: {events:?}")
        };
        assert!(!id.is_empty() && name == "get_weather", "{engine}");
        let arguments: serde_json::Value = serde_json::from_str(arguments).unwrap();
        assert_eq!(arguments, serde_json::json!({"city": "Paris"}), "{engine}");
        assert_eq!(events.last(), Some(&ChatEvent::Finish(FinishReason::ToolCalls)), "{engine}");
    }
}

fn calls(chunks: &[&str]) -> Vec<(u32, String, String, String)> {
    let (events, result) = stream(chunks);
    result.unwrap();
    let call = |event| match event {
        ChatEvent::ToolCall { index, id, name, arguments } => Some((index, id, name, arguments)),
        _ => None,
    };
    events.into_iter().filter_map(call).collect()
}

#[test]
fn pieces_of_several_calls_are_told_apart_by_number_or_by_id() {
    let call = |index: u32, id: &str, name: &str, arguments: &str| {
        (index, id.to_owned(), name.to_owned(), arguments.to_owned())
    };
    let end = r#"{"choices":[{"delta":{},"finish_reason":"tool_calls"}]}"#;
    let interleaved = [
        r#"{"choices":[{"delta":{"tool_calls":[{"index":3,"id":"a","function":{"name":"f","arguments":"{\"x\""}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":5,"id":"b","function":{"name":"g"}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":3,"id":"a","function":{"name":"f","arguments":":1}"}}]}}]}"#,
        end,
    ];
    assert_eq!(calls(&interleaved), [call(0, "a", "f", r#"{"x":1}"#), call(1, "b", "g", "{}")]);
    let all_zero = [
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"b","function":{"name":"f","arguments":"{"}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"}"}}]}}]}"#,
        end,
    ];
    assert_eq!(calls(&all_zero), [call(0, "a", "f", "{}"), call(1, "b", "f", "{}")]);
    let no_ids = all_zero.map(|chunk| chunk.replace(r#""id":"a","#, "").replace(r#""id":"b","#, ""));
    let no_ids = calls(&no_ids.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(no_ids, [call(0, "call_seed_0", "f", "{}"), call(1, "call_seed_1", "f", "{}")]);
    let an_id_for_each_piece = [
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":""}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"b","function":{"name":"f","arguments":"{\"x\":"}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":"1}"}}]}}]}"#,
        end,
    ];
    assert_eq!(calls(&an_id_for_each_piece), [call(0, "a", "f", r#"{"x":1}"#)]);
    let behind_the_finish = [
        r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]}}]}"#,
    ];
    assert_eq!(calls(&behind_the_finish), [call(0, "a", "f", "{}")]);
    assert_eq!(stream(&behind_the_finish).0.last(), Some(&ChatEvent::Finish(FinishReason::ToolCalls)));
    let nameless =
        [r#"{"choices":[{"delta":{"tool_calls":[{"function":{"name":"f"}}]},"finish_reason":"stop"}]}"#];
    assert_eq!(calls(&nameless), [call(0, "call_seed_0", "f", "{}")]);
}

#[test]
fn a_call_that_the_limit_has_cut_off_is_none_and_a_broken_one_is_its_client_s_to_judge() {
    let piece =
        r#"{"choices":[{"delta":{"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{\"x\""}}]}}]}"#;
    let length = r#"{"choices":[{"delta":{},"finish_reason":"length"}]}"#;
    let (events, result) = stream(&[piece, length]);
    assert_eq!((events, result), (vec![ChatEvent::Finish(FinishReason::Length)], Ok(())));
    let stop = r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#;
    let broken = |arguments: &str| vec![(0, "a".to_owned(), "f".to_owned(), arguments.to_owned())];
    assert_eq!(calls(&[piece, stop]), broken(r#"{"x""#));
    let more = r#"{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":": Paris} "}}]}}]}"#;
    assert_eq!(calls(&[piece, more, stop]), broken(r#"{"x": Paris} "#), "every piece, as it came");
    assert_eq!(stream(&[piece, stop]).0.last(), Some(&ChatEvent::Finish(FinishReason::ToolCalls)));
    let nameless = piece.replace(r#""name":"f","#, "");
    let (_, result) = stream(&[&nameless, stop]);
    assert!(matches!(result, Err(BackendFault::Garbage { .. })), "{result:?}");
}

#[test]
fn calls_that_never_end_are_bounded() {
    let piece = r#"data: {"choices":[{"delta":{"tool_calls":[{"id":"a","function":{"name":"f","arguments":"xxxxxxxxxx"}}]}}]}"#;
    let mut decoder = ChunkDecoder::new("seed", LIMIT, 1000);
    let fed = (0..1000).try_for_each(|_| decoder.feed(format!("{piece}\n\n").as_bytes(), &mut Vec::new()));
    assert_eq!(fed, Err(BackendFault::TooLong { limit: 1000 }));
}

#[test]
fn thoughts_come_once_where_an_engine_has_two_names_for_them() {
    let chunk = r#"{"choices":[{"delta":{"content":"","reasoning":"hm","reasoning_content":"hm"},"finish_reason":"stop"}]}"#;
    let (events, _) = stream(&[chunk]);
    assert_eq!(events, [ChatEvent::Reasoning("hm".to_owned()), ChatEvent::Finish(FinishReason::Stop)]);
}

#[test]
fn an_error_in_a_stream_is_the_engine_s_own() {
    let text = r#"{"choices":[{"delta":{"content":"a"}}]}"#;
    for error in [
        r#"{"error":{"message":"boom","type":"server_error","code":503}}"#,
        r#"{"choices":[{"delta":{},"finish_reason":"error"}]}"#,
    ] {
        let (events, result) = stream(&[text, error]);
        assert_eq!(events, [ChatEvent::text("a")], "{error}");
        assert!(matches!(result, Err(BackendFault::ErrorLine { .. })), "{error}");
    }
    let named = format!("data: {text}\n\nevent: error\ndata: {{\"message\":\"boom\"}}\n\n");
    let (_, result) = read([named.as_bytes()]);
    assert_eq!(ApiError::from(result.unwrap_err()).code(), Code::BackendError);
}

#[test]
fn what_is_no_answer_is_a_fault() {
    for (chunks, early) in [
        (&["[DONE]"][..], true),
        (&[r#"{"choices":[{"delta":{"content":"a"}}]}"#, "[DONE]"][..], true),
        (&[r#"{"choices":[{"delta":{},"finish_reason":"abort"}]}"#, "[DONE]"][..], true),
        (&["{}"][..], true),
        (&["nonsense"][..], false),
        (&[r#"{"choices":[{"index":1,"delta":{"content":"a"}}]}"#][..], false),
        (&[r#"{"choices":[{"delta":{"content":7}}]}"#][..], false),
    ] {
        let (_, result) = stream(chunks);
        let as_said = match result {
            Err(BackendFault::EndedEarly) => early,
            Err(BackendFault::Garbage { .. }) => !early,
            _ => false,
        };
        assert!(as_said, "{chunks:?}: {result:?}");
    }
}

#[test]
fn nothing_behind_the_end_counts() {
    let (events, result) =
        stream(&[r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#, "[DONE]", "{\"error\":1}"]);
    assert_eq!((events, result), (vec![ChatEvent::Finish(FinishReason::Stop)], Ok(())));
}
