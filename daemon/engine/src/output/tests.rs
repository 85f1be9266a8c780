//! Answers in every form that models use, cut at every byte.

use super::*;
use serde_json::json;

fn tools() -> Tools {
    Tools::of(&[
        json!({"type": "function", "function": {"name": "add", "parameters": {"properties": {"a": {"type": "integer"}, "s": {"type": "string"}}}}}),
        json!({"type": "function", "function": {"name": "ping"}}),
    ])
}

/// Joins neighbours of one kind, so that results can be compared however they were cut.
fn joined(pieces: Vec<Piece>) -> Vec<Piece> {
    let mut out: Vec<Piece> = Vec::new();
    for piece in pieces {
        match (out.last_mut(), piece) {
            (Some(Piece::Content(text)), Piece::Content(more))
            | (Some(Piece::Reasoning(text)), Piece::Reasoning(more)) => {
                text.push_str(&more);
            }
            (_, piece) => out.push(piece),
        }
    }
    out
}

fn run(parts: &[&[u8]], stops: &[&str], with_tools: bool, thinking: bool) -> Vec<Piece> {
    let stops = stops.iter().map(|s| (*s).to_owned()).collect();
    let mut output = Output::new(stops, with_tools.then(tools), thinking);
    let mut pieces: Vec<Piece> = parts.iter().flat_map(|part| output.push(part)).collect();
    pieces.extend(output.finish());
    check_places(&String::from_utf8_lossy(&parts.concat()), &output.shown(), &pieces);
    joined(pieces)
}

/// Each piece of content is found in the whole text where it is said to stand.
fn check_places(text: &str, shown: &[Range<usize>], pieces: &[Piece]) {
    let contents = pieces.iter().filter_map(|piece| match piece {
        Piece::Content(content) => Some(content.as_str()),
        _ => None,
    });
    let found: Vec<&str> = shown.iter().map(|place| &text[place.clone()]).collect();
    assert_eq!(found, contents.collect::<Vec<_>>());
}

/// The result for the whole text, after checking that every cut in two, and byte by byte, gives the same.
fn sorted(text: &str, stops: &[&str], with_tools: bool, thinking: bool) -> Vec<Piece> {
    let bytes = text.as_bytes();
    let whole = run(&[bytes], stops, with_tools, thinking);
    for cut in 0..=bytes.len() {
        assert_eq!(
            run(&[&bytes[..cut], &bytes[cut..]], stops, with_tools, thinking),
            whole,
            "cut at {cut} of {text:?}"
        );
    }
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(run(&single, stops, with_tools, thinking), whole, "byte by byte: {text:?}");
    whole
}

fn content(text: &str) -> Piece {
    Piece::Content(text.into())
}

fn call(name: &str, arguments: &str) -> Piece {
    Piece::Call(calls::Call { name: name.into(), arguments: arguments.into() })
}

#[test]
fn plain_text_is_unchanged() {
    assert_eq!(
        sorted(" Grüezi, 🙂 {\"a\": 1} <tool_call> ", &[], false, false),
        [content(" Grüezi, 🙂 {\"a\": 1} <tool_call> ")]
    );
    assert_eq!(sorted("a <b> <tool", &[], true, false), [content("a <b> <tool")]);
    assert_eq!(sorted("", &[], true, false), []);
}

#[test]
fn stop_texts_end_the_answer_before_themselves() {
    assert_eq!(sorted("one two three", &["two"], false, false), [content("one ")]);
    assert_eq!(sorted("one two three", &["x", "e t", "two"], false, false), [content("on")]);
    assert_eq!(sorted("one tw", &["two"], false, false), [content("one tw")]);
    assert_eq!(sorted("aaab", &["aab"], false, false), [content("a")]);
    assert_eq!(sorted("ü🙂ü", &["🙂"], false, false), [content("ü")]);
}

#[test]
fn reasoning_is_set_apart() {
    let expected = [Piece::Reasoning("I think.\n\nYes.".into()), content("Hello </think>")];
    assert_eq!(sorted("<think>\nI think.\n\nYes.\n</think>\n\nHello </think>", &[], false, false), expected);
    assert_eq!(sorted("\nI think.\n\nYes.\n</think>\n\nHello </think>", &[], true, true), expected);
    assert_eq!(sorted("<think>cut off </th", &[], false, false), [Piece::Reasoning("cut off </th".into())]);
    assert_eq!(sorted("<think></think>x", &[], false, false), [content("x")]);
    assert_eq!(sorted("  <thin air", &[], false, false), [content("  <thin air")]);
}

#[test]
fn hermes_calls_are_read() {
    let text = "I add.\n<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": 1}}\n</tool_call>\n<tool_call>{\"name\":\"ping\"}</tool_call>";
    assert_eq!(
        sorted(text, &[], true, false),
        [content("I add."), call("add", "{\"a\":1}"), call("ping", "{}")]
    );
    let unclosed = "<tool_call>{\"name\": \"add\", \"arguments\": \"{\\\"a\\\": 2}\"}";
    assert_eq!(sorted(unclosed, &[], true, false), [call("add", "{\"a\":2}")]);
    let broken = "<tool_call>{\"name\": </tool_call>";
    assert_eq!(sorted(broken, &[], true, false), [content(broken)]);
    let coder = "<tool_call>\n<function=add>\n<parameter=a>\n3\n</parameter>\n<parameter=s>\n4\n</parameter>\n</function>\n</tool_call>";
    assert_eq!(sorted(coder, &[], true, false), [call("add", "{\"a\":3,\"s\":\"4\"}")]);
}

#[test]
fn a_call_that_was_forced_is_told_whole_or_not_at_all() {
    let forced = |text: &str, stops: &[&str], size: usize| {
        let stops = stops.iter().map(|stop| (*stop).to_owned()).collect();
        let mut output = Output::new(stops, Some(tools()), false).forced(true);
        let mut pieces: Vec<Piece> =
            text.as_bytes().chunks(size).flat_map(|part| output.push(part)).collect();
        pieces.extend(output.finish());
        assert_eq!(output.shown(), []);
        joined(pieces)
    };
    let object = "{\"name\": \"add\", \"arguments\": {\"a\": 1}}";
    for text in [format!("<tool_call>\n{object}\n</tool_call>"), object.to_owned()] {
        let end = text.rfind('}').unwrap();
        for size in 1..=text.len() {
            assert_eq!(forced(&text, &[], size), [call("add", "{\"a\":1}")]);
            for cut in 0..=end {
                assert_eq!(forced(&text[..cut], &[], size), [], "cut at {cut} of {text:?}");
            }
            assert_eq!(forced(&text, &["arg"], size), []);
        }
    }
    let thought = forced("<think>hm</think>\n{\"na", &[], 1);
    assert_eq!(thought, [Piece::Reasoning("hm".into())]);
}

#[test]
fn llama_calls_are_read() {
    let one = "{\"name\": \"add\", \"parameters\": {\"a\": 1}}";
    assert_eq!(sorted(one, &[], true, false), [call("add", "{\"a\":1}")]);
    let two = format!("{one}; {{\"name\": \"ping\", \"parameters\": {{}}}}");
    assert_eq!(sorted(&two, &[], true, false), [call("add", "{\"a\":1}"), call("ping", "{}")]);
    assert_eq!(sorted(&format!("<|python_tag|>{one}"), &[], true, false), [call("add", "{\"a\":1}")]);
    assert_eq!(sorted("<|python_tag|>print(1)", &[], true, false), [content("print(1)")]);
    for answer in ["{\"name\": \"Zoe\", \"parameters\": {}} is JSON", "{\"capital\": \"Bern\"}", "{not json}"]
    {
        assert_eq!(sorted(answer, &[], true, false), [content(answer)]);
    }
}

#[test]
fn mistral_calls_are_read() {
    let list = "[TOOL_CALLS][{\"name\": \"add\", \"arguments\": {\"a\": 1}}, {\"name\": \"ping\", \"arguments\": {}}]";
    assert_eq!(sorted(list, &[], true, false), [call("add", "{\"a\":1}"), call("ping", "{}")]);
    let newer = "Let me.[TOOL_CALLS]add[CALL_ID]abc123def[ARGS]{\"a\": 1}[TOOL_CALLS]ping{}";
    assert_eq!(
        sorted(newer, &[], true, false),
        [content("Let me."), call("add", "{\"a\":1}"), call("ping", "{}")]
    );
    assert_eq!(sorted("[TOOL_CALLS] oops", &[], true, false), [content("[TOOL_CALLS] oops")]);
}

#[test]
fn what_was_not_offered_is_not_called() {
    for text in [
        "<tool_call>\n{\"name\": \"subtract\", \"arguments\": {\"a\": 1}}\n</tool_call>",
        "<tool_call><function=subtract></tool_call>",
        "<|python_tag|>{\"name\": \"subtract\", \"parameters\": {}}",
        "[TOOL_CALLS][{\"name\": \"add\", \"arguments\": {}}, {\"name\": \"subtract\", \"arguments\": {}}]",
        "[TOOL_CALLS]subtract[ARGS]{}",
        "{\"name\": \"subtract\", \"parameters\": {}}",
    ] {
        let shown = text.trim_start_matches("<|python_tag|>");
        assert_eq!(sorted(text, &[], true, false), [content(shown)]);
    }
    let text = "<tool_call>{\"name\": \"ping\"}</tool_call><tool_call>{\"name\": \"pong\"}</tool_call>";
    let strange = "<tool_call>{\"name\": \"pong\"}</tool_call>";
    assert_eq!(sorted(text, &[], true, false), [call("ping", "{}"), content(strange)]);
}

#[test]
fn reasoning_may_lead_to_a_call() {
    let text = "<think>hm</think>\n\n{\"name\": \"ping\", \"parameters\": {}}";
    assert_eq!(sorted(text, &[], true, false), [Piece::Reasoning("hm".into()), call("ping", "{}")]);
}

#[test]
fn broken_bytes_become_replacement_characters() {
    assert_eq!(
        run(&[b"a\xffb", b"\xf0\x9f", b"x\xe2\x82"], &[], false, false),
        [content("a\u{fffd}b\u{fffd}x\u{fffd}")]
    );
}
