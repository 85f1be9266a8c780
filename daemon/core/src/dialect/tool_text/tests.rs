use proptest::prelude::*;

use super::*;
use crate::chat::Usage;

const WEATHER: &str = r#"<tool_call>
{"name": "get_weather", "arguments": {"city": "Paris"}}
</tool_call>"#;

/// Text, calls and the finish reason, with pieces of text joined.
fn said(events: &[ChatEvent]) -> Vec<String> {
    let mut said = Vec::<String>::new();
    let mut is_text = false;
    for event in events {
        match event {
            ChatEvent::Text { text, .. } if is_text => said.last_mut().unwrap().push_str(text),
            ChatEvent::Text { text, .. } => said.push(text.clone()),
            ChatEvent::ToolCall { index, id, name, arguments } => {
                said.push(format!("{index} {id} {name} {arguments}"));
            }
            ChatEvent::Finish(reason) => said.push(format!("{reason:?}")),
            ChatEvent::Reasoning(_) | ChatEvent::Usage(_) => {}
        }
        is_text = matches!(event, ChatEvent::Text { .. });
    }
    said
}

fn of_pieces<'a>(pieces: impl IntoIterator<Item = &'a str>, limit: usize) -> Vec<String> {
    let tools = ["get_weather", "get_time"].map(str::to_owned).to_vec();
    let (mut reader, mut out) = (ToolText::new(tools, "s", limit), Vec::new());
    for piece in pieces {
        reader.event(ChatEvent::text(piece), &mut out);
        assert!(reader.held.len() <= limit + piece.len(), "{} bytes are held", reader.held.len());
    }
    reader.event(ChatEvent::Usage(Usage::default()), &mut out);
    reader.event(ChatEvent::Finish(FinishReason::Stop), &mut out);
    said(&out)
}

fn whole(text: &str) -> Vec<String> {
    of_pieces([text], 4096)
}

#[test]
fn a_call_is_one_wherever_it_is_cut() {
    let call = r#"0 call_s_t0 get_weather {"city": "Paris"}"#;
    assert_eq!(whole(WEATHER), [call, "ToolCalls"]);
    for first in 0..WEATHER.len() {
        for second in first..WEATHER.len() {
            let pieces = [&WEATHER[..first], &WEATHER[first..second], &WEATHER[second..]];
            assert_eq!(of_pieces(pieces, 4096), [call, "ToolCalls"], "{first}, {second}");
        }
    }
}

#[test]
fn blanks_around_calls_are_no_text_and_words_are() {
    let text = format!(" \n{WEATHER}\n<tool_call>{{\"name\":\"get_time\"}}</tool_call>\n\n");
    assert_eq!(
        whole(&text),
        [r#"0 call_s_t0 get_weather {"city": "Paris"}"#, "1 call_s_t1 get_time {}", "ToolCalls"]
    );
    let text = format!("Let me see.\n{WEATHER}\n So.");
    assert_eq!(
        whole(&text),
        ["Let me see.\n", r#"0 call_s_t0 get_weather {"city": "Paris"}"#, "\n So.", "ToolCalls"]
    );
    assert_eq!(whole(" \n "), [" \n ", "Stop"], "an answer of blanks is one");
}

#[test]
fn what_is_no_call_of_a_tool_is_text_as_it_came() {
    for text in [
        "Hello! <tool> < tool_call> </tool_call>",
        "<tool_call>{\"name\": \"rm\", \"arguments\": {}}</tool_call>",
        "<tool_call>{\"name\": \"get_time\", \"arguments\": [1]}</tool_call>",
        "<tool_call>{\"name\": \"get_time\", \"arguments\": \"{\"}</tool_call>",
        "<tool_call>[\"get_time\", {}]</tool_call>",
        "<tool_call>get_time()</tool_call> and on",
        "<tool_call>{\"name\": \"get_time\"",
        "<tool_call>",
        "<tool_cal",
        "<tool_call></tool_call>",
    ] {
        assert_eq!(whole(text), [text, "Stop"]);
    }
    let blanks = format!("{WEATHER}\n<tool_call>{{\"name\":\"rm\"}}</tool_call>");
    assert_eq!(
        whole(&blanks),
        [
            r#"0 call_s_t0 get_weather {"city": "Paris"}"#,
            "\n<tool_call>{\"name\":\"rm\"}</tool_call>",
            "ToolCalls"
        ]
    );
    let behind = format!("<tool_call>{{\"name\"}} {WEATHER}");
    assert_eq!(
        whole(&behind),
        ["<tool_call>{\"name\"} ", r#"0 call_s_t0 get_weather {"city": "Paris"}"#, "ToolCalls"]
    );
}

#[test]
fn arguments_are_an_object_in_a_string_or_not_and_may_hold_the_closing_words() {
    for (call, arguments) in [
        (r#"{"name":"get_time","arguments":"{\"a\": 1}"}"#, r#"{"a": 1}"#),
        (r#"{"name":"get_time","parameters":{"a":1}}"#, r#"{"a":1}"#),
        (r#"{"arguments":null,"name":"get_time"}"#, "{}"),
        (r#"{"name":"get_time","arguments":{"x":"</tool_call>"}}"#, r#"{"x":"</tool_call>"}"#),
        (r#"{"name":"get_time","arguments":{"x":"\ud800"}}"#, r#"{"x":"\ufffd"}"#),
    ] {
        let due = [format!("0 call_s_t0 get_time {arguments}"), "ToolCalls".to_owned()];
        assert_eq!(whole(&format!("<tool_call>{call}</tool_call>")), due);
        assert_eq!(whole(&format!("<tool_call>{call}")), due, "its end is the answer's");
    }
}

#[test]
fn a_call_may_be_so_long_and_no_longer() {
    let long = |length: usize| {
        let (before, behind) =
            ("<tool_call>{\"name\":\"get_time\",\"arguments\":{\"x\":\"", "\"}}</tool_call>");
        format!("{before}{}{behind}", "x".repeat(length - before.len() - behind.len()))
    };
    for (length, is_call) in [(200, true), (201, false)] {
        let text = long(length);
        for step in [1, 7, 300] {
            let pieces: Vec<_> =
                text.as_bytes().chunks(step).map(|piece| str::from_utf8(piece).unwrap()).collect();
            let said = of_pieces(pieces, 200);
            assert_eq!(said[0] != text, is_call, "{length} in steps of {step}");
        }
    }
}

#[test]
fn the_engine_s_own_calls_are_numbered_on_and_reasons_of_its_own_stay() {
    let (mut reader, mut out) = (ToolText::new(vec!["get_weather".into()], "s", 4096), Vec::new());
    reader.event(ChatEvent::text(WEATHER), &mut out);
    reader.event(ChatEvent::text("<tool_"), &mut out);
    let own = ChatEvent::ToolCall { index: 0, id: "own".into(), name: "x".into(), arguments: "{}".into() };
    reader.event(own, &mut out);
    reader.event(ChatEvent::Finish(FinishReason::Length), &mut out);
    assert_eq!(
        said(&out),
        [r#"0 call_s_t0 get_weather {"city": "Paris"}"#, "<tool_", "1 own x {}", "Length"]
    );
}

#[test]
fn probabilities_go_with_the_text_and_not_with_a_call() {
    let (mut reader, mut out) = (ToolText::new(vec!["get_weather".into()], "s", 4096), Vec::new());
    let mut piece = |text: &str, list: &str| {
        let event = ChatEvent::Text { text: text.into(), logprobs: Some(list.into()) };
        reader.event(event, &mut out);
    };
    piece("a<", "[1]");
    piece("b", "[2, 3]");
    piece(WEATHER, "[4]");
    piece("c", "[]");
    let lists: Vec<_> = out
        .iter()
        .filter_map(|event| match event {
            ChatEvent::Text { text, logprobs } => Some((text.as_str(), logprobs.as_deref())),
            _ => None,
        })
        .collect();
    assert_eq!(lists, [("a", Some("[1]")), ("<b", Some("[2, 3]")), ("c", None)]);
}

proptest! {
    #[test]
    fn the_events_are_the_same_however_it_is_cut(
        parts in prop::collection::vec(
            prop::sample::select(vec![
                "<tool_call>", "</tool_call>", "<tool_", "{\"name\":\"get_time\"", ",\"arguments\":{\"x\":\"", "\"}}", "}", " ", "\n", "é", "no",
            ]),
            0..12,
        ),
        cuts in prop::collection::vec(0_usize..200, 0..6),
    ) {
        let text = parts.concat();
        let mut cuts: Vec<_> = cuts.into_iter().filter(|cut| text.is_char_boundary(*cut)).collect();
        cuts.sort_unstable();
        let (mut pieces, mut from) = (Vec::new(), 0);
        for cut in cuts {
            pieces.push(&text[from..cut]);
            from = cut;
        }
        pieces.push(&text[from..]);
        prop_assert_eq!(of_pieces(pieces, 60), of_pieces([text.as_str()], 60));
    }
}

#[test]
fn blanks_are_waited_with_only_so_long() {
    for (length, is_text) in [(BLANKS, false), (BLANKS + 1, true)] {
        let blanks = " ".repeat(length);
        for step in [1, 100, 1000] {
            let text = format!("{blanks}{WEATHER}");
            let pieces: Vec<_> =
                text.as_bytes().chunks(step).map(|piece| str::from_utf8(piece).unwrap()).collect();
            let said = of_pieces(pieces, 4096);
            assert_eq!(said[0] == blanks, is_text, "{length} in steps of {step}");
            assert_eq!(said.len(), if is_text { 3 } else { 2 }, "{said:?}");
        }
    }
}

#[test]
fn whoever_writes_the_opening_words_again_and_again_writes_text() {
    for (misses, calls) in [(MISSES - 1, true), (MISSES, false)] {
        let text = format!("{}{WEATHER}", "<tool_call>".repeat(misses));
        let said = whole(&text);
        assert_eq!(said.last().unwrap() == "ToolCalls", calls, "{misses}");
        assert_eq!(
            of_pieces(text.as_bytes().chunks(1).map(|piece| str::from_utf8(piece).unwrap()), 4096),
            said
        );
    }
}

#[test]
fn what_begins_no_object_is_not_waited_with() {
    let (mut reader, mut out) = (ToolText::new(vec!["get_time".into()], "s", 4096), Vec::new());
    reader.event(ChatEvent::text("<tool_call>\n"), &mut out);
    assert_eq!((out.len(), reader.held()), (0, 12));
    reader.event(ChatEvent::text(" is"), &mut out);
    assert_eq!((said(&out), reader.held()), (vec!["<tool_call>\n is".to_owned()], 0));
}

#[test]
fn text_that_can_be_no_call_passes_as_it_is() {
    let mut reader = ToolText::new(vec!["get_time".into()], "s", 4096);
    for (text, passes) in [
        ("", true),
        ("\n", false),
        ("Hi", true),
        ("\n", true),
        ("a < b", true),
        ("a <", false),
        ("<tool_call>", false),
    ] {
        assert_eq!(reader.passes(text), passes, "{text}");
    }
    reader.event(ChatEvent::text("<to"), &mut Vec::new());
    assert!(!reader.passes("Hi"), "what is held comes before it");
    reader.close(&mut Vec::new());
    assert!(reader.passes(WEATHER));
}

#[test]
fn a_long_call_is_looked_through_once() {
    // Anew with each piece, this would be tens of gigabytes.
    let mut reader = ToolText::new(vec!["get_time".into()], "s", 2 << 20);
    let mut out = Vec::new();
    reader.event(ChatEvent::text("<tool_call>{\"name\":\"get_time\",\"arguments\":{\"x\":\""), &mut out);
    for _ in 0..300_000 {
        reader.event(ChatEvent::text("xyz"), &mut out);
    }
    reader.event(ChatEvent::text("\"}}</tool_call>"), &mut out);
    assert_eq!((out.len(), reader.calls(), reader.held()), (1, 1, 0));
}
