//! What is made of an engine's counts, and what its client sees of them.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::{TextCalls, check_whole, check_whole_completion, refuses_counts};
use super::*;

fn hiding<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let mut repair = StreamRepair::new(LINE_LIMIT, Some("asked")).hiding_usage();
    let mut out = BytesMut::new();
    let result = pieces.into_iter().try_for_each(|piece| repair.feed(piece, &mut out));
    let result = result.and_then(|()| repair.finish(&mut out));
    (String::from_utf8(out.to_vec()).unwrap(), result, repair.usage())
}

fn events(chunks: &[&str]) -> String {
    chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect()
}

const SAYS: &str = r#"{"choices":[{"index":0,"delta":{"content":"Hi"}}]}"#;
const ENDS: &str = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;

#[test]
fn counts_that_were_not_asked_for_are_read_and_not_shown() {
    let counts = r#"{"choices":[],"usage":{"prompt_tokens":16,"completion_tokens":11,"prompt_tokens_details":{"cached_tokens":15},"completion_tokens_details":{"reasoning_tokens":3}}}"#;
    let stream = events(&[SAYS, ENDS, counts, "[DONE]"]);
    let usage = Usage { cached_tokens: Some(15), reasoning_tokens: Some(3), ..Usage::counted(16, 11) };
    let expected = (events(&[SAYS, ENDS, "[DONE]"]), Ok(()), Some(usage));
    for cut in 0..=stream.len() {
        let (left, right) = stream.as_bytes().split_at(cut);
        assert_eq!(hiding([left, right]), expected, "{cut}");
    }
    // Whoever has asked sees them as they came.
    assert_eq!(repair([stream.as_bytes()], None), (stream.clone(), Ok(()), Some(usage)));
}

#[test]
fn recordings_with_counts_lose_these_alone() {
    for recording in OPENAI {
        let (shown, result, usage) = hiding([recording.bytes]);
        assert_eq!(result, Ok(()), "{}", recording.name);
        let (whole, _, told) = repair([recording.bytes], Some("asked"));
        assert_eq!(usage, told, "{}", recording.name);
        assert!(!shown.contains("\"choices\":[],"), "{}", recording.name);
        assert!(!shown.contains("\"usage\":null"), "{}", recording.name);
        let chunks = |text: &str| text.matches("data: {").count();
        let counts = whole.matches("\"choices\":[],").count();
        assert_eq!(chunks(&shown) + counts, chunks(&whole), "{}", recording.name);
        let times = |text: &str| text.matches("\"timings\":{").count();
        assert_eq!(times(&shown), times(&whole), "{}", recording.name);
    }
}

#[test]
fn zeros_are_no_count_and_are_not_shown_to_whoever_has_not_asked() {
    let zeros = r#"{"choices":[{"index":0,"delta":{"content":"Hi"}}],"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0},"model":"m"}"#;
    let (out, result, usage) = hiding([events(&[zeros, ENDS, "[DONE]"]).as_bytes()]);
    assert_eq!((result, usage), (Ok(()), None));
    let first: Value =
        serde_json::from_str(out.lines().next().unwrap().trim_start_matches("data: ")).unwrap();
    assert!(first.get("usage").is_none() && first["model"] == "asked", "{first}");
    let (out, _, usage) = repair([events(&[zeros, ENDS, "[DONE]"]).as_bytes()], None);
    assert!(out.contains("\"total_tokens\":0") && usage.is_none());
}

#[test]
fn nulls_in_the_place_of_counts_go_to_whoever_has_asked_alone() {
    const CHOICES: &str = r#""choices":[{"index":0,"delta":{"content":"\"usage\":null"}}]"#;
    for (came, goes) in [
        (format!(r#"{{{CHOICES},"usage":null}}"#), format!("{{{CHOICES}}}")),
        (format!(r#"{{"usage":null,{CHOICES}}}"#), format!("{{{CHOICES}}}")),
        (format!(r#"{{"model":"m","usage":null,{CHOICES}}}"#), format!(r#"{{"model":"asked",{CHOICES}}}"#)),
        (
            format!(r#"{{ "usage" : null , {CHOICES}, "model" : "m" }}"#),
            format!(r#"{{ {CHOICES}, "model" : "asked" }}"#),
        ),
        (format!(r#"{{{CHOICES} , "usage" : null }}"#), format!("{{{CHOICES}  }}")),
        // A name that is spelled so says the same.
        (format!(r#"{{{CHOICES},"us\u0061ge":null}}"#), format!(r#"{{{CHOICES},"us\u0061ge":null}}"#)),
        // What an engine says beside its answer is no count.
        (r#"{"choices":[],"notice":1,"usage":null}"#.to_owned(), r#"{"choices":[],"notice":1}"#.to_owned()),
    ] {
        let stream = events(&[&came, ENDS, "[DONE]"]);
        let expected = (events(&[&goes, ENDS, "[DONE]"]), Ok(()), None);
        for cut in 0..=stream.len() {
            let (left, right) = stream.as_bytes().split_at(cut);
            assert_eq!(hiding([left, right]), expected, "{came}: {cut}");
        }
        assert_eq!(repair([stream.as_bytes()], None).0, stream, "{came}");
    }
    // The times of an answer whose last words have such a null stand where it was.
    let ends = ENDS.replacen("]}", r#"],"usage":null}"#, 1);
    let counts = r#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2},"timings":{"a":1}}"#;
    let timed = ENDS.replacen("]}", r#"],"timings":{"a":1}}"#, 1);
    let out = hiding([events(&[SAYS, &ends, counts, "[DONE]"]).as_bytes()]).0;
    assert_eq!(out, events(&[SAYS, &timed, "[DONE]"]));
}

#[test]
fn the_times_that_come_with_counts_are_told_with_the_last_words() {
    let counts =
        r#"{"choices":[],"usage":{"prompt_tokens":16,"completion_tokens":11},"timings":{"prompt_ms":2.5,
"predicted_n":11}}"#
            .replace('\n', "");
    let timed = ENDS.replacen("]}", r#"],"timings":{"prompt_ms":2.5,"predicted_n":11}}"#, 1);
    let stream = events(&[SAYS, ENDS, &counts, "[DONE]"]);
    let expected = (events(&[SAYS, &timed, "[DONE]"]), Ok(()), Some(Usage::counted(16, 11)));
    for cut in 0..=stream.len() {
        let (left, right) = stream.as_bytes().split_at(cut);
        assert_eq!(hiding([left, right]), expected, "{cut}");
    }
    // Whoever has asked for counts, or has its times already, gets all as it came.
    assert_eq!(repair([stream.as_bytes()], None).0, stream);
    let told = events(&[SAYS, &timed, &counts, "[DONE]"]);
    assert_eq!(hiding([told.as_bytes()]).0, events(&[SAYS, &timed, "[DONE]"]));
    // Counts that come with the last words come alone.
    let counted = ENDS.replacen("]}", r#"],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#, 1);
    let mut repair = StreamRepair::new(LINE_LIMIT, None).hiding_usage();
    let mut out = BytesMut::new();
    repair.feed(events(&[SAYS, &counted]).as_bytes(), &mut out).unwrap();
    assert_eq!(out, events(&[SAYS, &counted]));
    // A chunk that was held for them is given whatever comes instead.
    for (rest, result) in [
        ("", Ok(())),
        ("data: {\"choices\":[]}\n\ndata: [DONE]\n\n", Ok(())),
        ("data: {\"error\":{}}\n\n", Err(())),
        ("data: nothing\n\n", Err(())),
    ] {
        let (out, ended, _) = hiding([events(&[SAYS, ENDS]).as_bytes(), rest.as_bytes()]);
        assert!(out.starts_with(&events(&[SAYS, ENDS])), "{rest}: {out}");
        assert_eq!(ended.map_err(|_| ()), result, "{rest}");
    }
    let mut repair = StreamRepair::new(LINE_LIMIT, None).wanting(2).hiding_usage();
    let mut out = BytesMut::new();
    repair.feed(events(&[SAYS, ENDS]).as_bytes(), &mut out).unwrap();
    assert_eq!(out, events(&[SAYS]));
    assert_eq!(repair.broke(BackendFault::EndedEarly, &mut out), Err(BackendFault::EndedEarly));
    assert_eq!(out, events(&[SAYS, ENDS]));
}

#[test]
fn an_engine_that_names_the_field_refuses_to_count() {
    let strict = r#"{"detail":[{"type":"extra_forbidden","loc":["body","stream_options"],"msg":"Extra inputs are not permitted"}]}"#;
    for (status, body, refuses) in [
        (422, strict, true),
        (400, r#"{"error":{"message":"Unrecognized request argument: include_usage"}}"#, true),
        (400, r#"{"error":{"message":"max_tokens is too large"}}"#, false),
        (500, strict, false),
    ] {
        assert_eq!(
            refuses_counts(&BackendFault::answered(status, body.as_bytes())),
            refuses,
            "{status} {body}"
        );
    }
    assert!(!refuses_counts(&BackendFault::EndedEarly));
}

#[test]
fn what_was_said_is_counted_a_token_an_event() {
    let said = |chunks: &[&str]| {
        let mut repair = StreamRepair::new(LINE_LIMIT, None);
        let mut out = BytesMut::new();
        repair.feed(events(chunks).as_bytes(), &mut out).unwrap();
        repair.said()
    };
    let delta = |delta: &str| format!(r#"{{"choices":[{{"index":0,"delta":{delta}}}]}}"#);
    for (nothing, words) in [
        (r#"{"role":"assistant","content":null}"#, r#"{"content":"x"}"#),
        (r#"{"role":"assistant","content":""}"#, r#"{"reasoning_content":"x"}"#),
        ("{}", r#"{"reasoning":"x"}"#),
        ("null", r#"{"tool_calls":[{"index":0,"function":{"arguments":"{"}}]}"#),
    ] {
        assert_eq!(said(&[&delta(nothing), &delta(words), &delta(words)]), 2, "{nothing} {words}");
    }
    let two = r#"{"choices":[{"index":0,"delta":{"content":"x"}},{"index":1,"delta":{"content":"y"}}]}"#;
    assert_eq!(said(&[two]), 2, "of two answers");
}

#[test]
fn what_came_in_one_piece_is_as_many_tokens_as_its_text_has() {
    let tokens = |delta: &str| {
        let mut repair = StreamRepair::new(LINE_LIMIT, None);
        let chunk = format!(r#"{{"choices":[{{"index":0,"delta":{delta}}}]}}"#);
        repair.feed(events(&[&chunk]).as_bytes(), &mut BytesMut::new()).unwrap();
        repair.said()
    };
    assert_eq!(tokens(r#"{"content":"a b c d e f g h"}"#), 8);
    assert_eq!(
        tokens(r#"{"reasoning":"a b","reasoning_content":"a b","content":" c"}"#),
        3,
        "a thought counts once"
    );
    assert_eq!(tokens(&format!(r#"{{"content":"{}"}}"#, "x".repeat(40))), 10);
    assert_eq!(tokens(r#"{"content":"abc"}"#), 1);
    assert_eq!(
        tokens(r#"{"tool_calls":[{"index":0,"function":{"arguments":"{"}}]}"#),
        1,
        "it is a call's piece"
    );
}

#[test]
fn a_chunk_that_calls_are_taken_out_of_loses_its_counts_as_well() {
    const ZEROS: &str = r#""usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}"#;
    let chunk = |delta: &str, reason: &str| {
        format!(
            r#"{{"choices":[{{"index":0,"delta":{delta},"finish_reason":{reason}}}],{ZEROS},"model":"m"}}"#
        )
    };
    let called = chunk(r#"{"content":"So<tool_call>{\"name\":\"f\",\"arguments\":{}}</tool_call>"}"#, "null");
    let counts = r#"{"choices":[],"usage":{"prompt_tokens":16,"completion_tokens":11},"timings":{"prompt_ms":2.5},"model":"m"}"#;
    let stream = events(&[&called, &chunk("{}", "\"stop\""), counts, "[DONE]"]);
    let repaired = |hides: bool, cut: usize| {
        let calls = TextCalls::new(Arc::from(["f".to_owned()]), "seed", LINE_LIMIT);
        let repair = StreamRepair::new(LINE_LIMIT, Some("asked")).calling(Some(calls));
        let mut repair = if hides { repair.hiding_usage() } else { repair };
        let mut out = BytesMut::new();
        let (left, right) = stream.as_bytes().split_at(cut);
        repair.feed(left, &mut out).unwrap();
        repair.feed(right, &mut out).unwrap();
        assert!(repair.is_done() && repair.held() == 0);
        assert_eq!(repair.usage(), Some(Usage::counted(16, 11)));
        let text = String::from_utf8(out.to_vec()).unwrap();
        let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
        data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
    };
    let whole: Vec<Value> = repaired(true, 0);
    for cut in 0..=stream.len() {
        assert_eq!(repaired(true, cut), whole, "{cut}");
    }
    let bare = |chunk: &Value| chunk.get("usage").is_none() && chunk["model"] == "asked";
    assert!(whole.iter().all(bare), "{whole:?}");
    let said: Vec<&Value> = whole.iter().map(|chunk| &chunk["choices"][0]["delta"]).collect();
    assert_eq!((said.len(), &said[0]["content"]), (3, &json!("So")), "{whole:?}");
    assert_eq!(said[1]["tool_calls"][0]["function"]["name"], "f");
    let last = &whole[2];
    assert_eq!(
        (&last["choices"][0]["finish_reason"], &last["timings"]),
        (&json!("tool_calls"), &json!({"prompt_ms": 2.5}))
    );
    // Whoever has asked for counts sees them.
    let asked = repaired(false, 0);
    assert_eq!((asked.len(), &asked[3]["usage"]["completion_tokens"]), (4, &json!(11)), "{asked:?}");
}

#[test]
fn a_completion_s_words_and_counts_are_those_of_all_its_answers() {
    let ends = |index: u32, prompt: u64| {
        format!(
            r#"{{"choices":[{{"index":{index},"text":"","finish_reason":"length"}}],"usage":{{"prompt_tokens":{prompt},"completion_tokens":4}}}}"#
        )
    };
    let says = r#"{"choices":[{"index":0,"text":"Hi"}]}"#;
    // Two prompts, two answers to each: llama.cpp's server counts with the end of each.
    let stream = events(&[says, says, &ends(0, 6), &ends(1, 6), &ends(2, 5), &ends(3, 5), "[DONE]"]);
    let mut repair = StreamRepair::new(LINE_LIMIT, None).wanting(4).completing(2).hiding_usage();
    let mut out = BytesMut::new();
    repair.feed(stream.as_bytes(), &mut out).unwrap();
    assert_eq!((repair.usage(), repair.said()), (Some(Usage::counted(11, 16)), 2));
    assert_eq!(out, stream, "what an engine counts by itself is shown");
    let whole = r#"{"choices":[{"index":0,"text":"Hello","finish_reason":"stop"},{"index":1,"text":"you","finish_reason":"stop"}],"usage":{"prompt_tokens":6,"completion_tokens":4}}"#;
    let checked = |body: String| check_whole_completion(&Bytes::from(body), None).unwrap();
    let counted = checked(whole.to_owned());
    assert_eq!((counted.usage, counted.said_bytes), (Some(Usage::counted(6, 4)), 8));
    // With its times, they are of one answer alone.
    let of_one = checked(whole.replacen("}}", r#"},"timings":{"predicted_n":4}}"#, 1));
    assert_eq!((of_one.usage, of_one.said_bytes), (None, 8));
    let body: Value = serde_json::from_slice(&of_one.body).unwrap();
    assert!(body["usage"].is_null() && body["choices"].as_array().is_some_and(|choices| choices.len() == 2));
}

#[test]
fn of_several_answers_of_which_one_is_counted_the_counts_are_estimated_and_say_so() {
    let choice = |index: u32, said: &str| json!({"index": index, "message": {"content": said}, "finish_reason": "stop"});
    let answer = |first: &str, second: &str| {
        json!({"choices": [choice(0, first), choice(1, second)], "model": "m", "timings": {"predicted_n": 4},
            "usage": {"prompt_tokens": 6, "completion_tokens": 4, "total_tokens": 10,
                "prompt_tokens_details": {"cached_tokens": 5}}})
    };
    let checked = |answer: &Value| check_whole(&Bytes::from(answer.to_string()), None).unwrap();
    let mut expected = answer("Hiya", "Hello!!");
    let whole = checked(&expected);
    let about = Usage { cached_tokens: Some(5), estimated: true, ..Usage::counted(6, 11) };
    assert_eq!((whole.usage, whole.said_bytes), (Some(about), 11));
    expected["usage"] = json!({"prompt_tokens": 6, "completion_tokens": 11, "total_tokens": 17,
        "prompt_tokens_details": {"cached_tokens": 5}, "estimated": true});
    assert_eq!(serde_json::from_slice::<Value>(&whole.body).unwrap(), expected);
    // Nothing to go by.
    let silent = checked(&answer("", "Hi"));
    assert_eq!(silent.usage, None);
    assert!(serde_json::from_slice::<Value>(&silent.body).unwrap()["usage"].is_null());
}

#[test]
fn what_another_ghostllm_has_estimated_stays_an_estimate() {
    let about = Usage { estimated: true, ..Usage::counted(6, 4) };
    let counts = |mark: &str| format!(r#"{{"prompt_tokens":6,"completion_tokens":4,"estimated":{mark}}}"#);
    for (mark, usage) in [
        ("true", about),
        (" true", about),
        ("false", Usage::counted(6, 4)),
        ("\"true\"", Usage::counted(6, 4)),
    ] {
        let chunk = format!(r#"{{"choices":[],"usage":{}}}"#, counts(mark));
        let (text, result, told) = repair([events(&[SAYS, ENDS, &chunk, "[DONE]"]).as_bytes()], None);
        assert_eq!((result, told), (Ok(()), Some(usage)), "{mark}");
        assert!(text.contains(&chunk), "{text}");
        let choice = r#"{"index":0,"message":{"content":"a"},"finish_reason":"stop"}"#;
        // Several answers, and times: nothing is made of the counts that was made of them before.
        let whole = format!(r#"{{"choices":[{choice},{choice}],"usage":{},"timings":{{}}}}"#, counts(mark));
        let whole = check_whole(&Bytes::from(whole), None).unwrap();
        let twice = Usage { completion_tokens: 8, ..about };
        assert_eq!(whole.usage, Some(if usage.estimated { about } else { twice }), "{mark}");
    }
}

#[test]
fn counts_that_come_apart_for_each_choice_are_put_together() {
    let counts = |more: &str| {
        format!(r#"{{"choices":[],"usage":{{"prompt_tokens":16,"completion_tokens":11}}{more}}}"#)
    };
    let told = |counts: &str| {
        let (_, result, usage) = hiding([events(&[SAYS, ENDS, counts, counts, "[DONE]"]).as_bytes()]);
        assert_eq!(result, Ok(()));
        usage
    };
    assert_eq!(told(&counts(r#","timings":{"predicted_n":11}"#)), Some(Usage::counted(16, 22)));
    assert_eq!(told(&counts("")), Some(Usage::counted(16, 11)), "the last word of whoever says it twice");
}

#[test]
fn counts_that_cannot_be_fail_no_answer() {
    for counts in [
        r#"{"prompt_tokens":11.0,"completion_tokens":"5"}"#,
        r#"{"prompt_tokens":18446744073709551615,"completion_tokens":5}"#,
        r#"{"prompt_tokens":-1,"completion_tokens":5}"#,
        "[1,2]",
        "7",
    ] {
        let stream = format!(
            "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"a\"}},\"finish_reason\":\"stop\"}}],\"usage\":{counts}}}\n\ndata: [DONE]\n\n"
        );
        let (text, result, usage) = super::repair([stream.as_bytes()], None);
        assert_eq!((text.as_str(), result, usage), (stream.as_str(), Ok(()), None), "{counts}");
        let whole = format!(r#"{{"choices":[{{"finish_reason":"stop","message":{{}}}}],"usage":{counts}}}"#);
        let whole = crate::dialect::openai::check_whole(&whole.into(), None).unwrap();
        assert_eq!(whole.usage, None, "{counts}");
    }
}

#[test]
fn an_event_that_says_null_is_none() {
    let chunk = "data: {\"choices\":[{\"index\":0,\"text\":\"a\",\"finish_reason\":\"stop\"}]}\n\n";
    let stream = format!("data: null\n\n{chunk}data: [DONE]\n\n");
    let (text, result, _) = super::repair([stream.as_bytes()], None);
    assert_eq!((text, result), (format!("{chunk}data: [DONE]\n\n"), Ok(())));
}
