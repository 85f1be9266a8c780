//! Items become the turns of a conversation.

use serde_json::{Value, json};

use crate::chat::{Arguments, Message, Role, Text};
use crate::config::Limits;
use crate::dialect::responses::{ResponseRequest, parse_response};
use crate::error::{ApiError, Code};

fn parse(input: Value) -> Result<ResponseRequest, ApiError> {
    let mut body = json!({"model": "m"});
    body["input"] = input;
    parse_response(body.to_string().as_bytes(), &Limits::default())
}

fn messages(input: Value) -> Vec<Message> {
    parse(input).unwrap().chat.messages
}

fn refused(input: Value) -> (Code, String) {
    let error = parse(input).unwrap_err();
    (error.code(), error.param().unwrap_or_default().to_owned())
}

fn said(role: Role, text: &str) -> Message {
    Message { role, text: text.into(), ..Message::default() }
}

#[test]
fn messages_are_short_or_whole() {
    let input = json!([
        {"role": "user", "content": "a"},
        {"type": "message", "role": "user", "content": [
            {"type": "input_text", "text": "b"}, {"type": "input_text", "text": "c"}]},
        {"role": "assistant", "content": [{"type": "output_text", "text": "d", "annotations": []}], "id": "msg_1"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
    ]);
    assert_eq!(
        messages(input),
        [
            said(Role::User, "a"),
            said(Role::User, "b\nc"),
            said(Role::Assistant, "d"),
            said(Role::Assistant, "no"),
        ]
    );
}

#[test]
fn pictures_come_inside_the_request_alone() {
    let picture =
        |url: Value| json!([{"role": "user", "content": [{"type": "input_image", "image_url": url}]}]);
    let image = &messages(picture(json!("data:image/png;base64,AAAA")))[0].images[0];
    assert_eq!((image.media_type.as_str(), image.base64.as_str()), ("image/png", "AAAA"));
    for url in
        [json!("https://example.com/a.png"), json!("file:///etc/passwd"), json!("data:text/html;base64,AAAA")]
    {
        assert_eq!(refused(picture(url)), (Code::InvalidValue, "input[0].content[0].image_url".to_owned()));
    }
    let file = json!([{"role": "user", "content": [{"type": "input_image", "file_id": "file_1"}]}]);
    assert_eq!(refused(file), (Code::MissingParameter, "input[0].content[0].image_url".to_owned()));
    for kind in ["input_file", "input_audio", "nonsense"] {
        let input = json!([{"role": "user", "content": [{"type": kind, "file_data": "x"}]}]);
        assert_eq!(refused(input), (Code::UnsupportedParameter, "input[0].content[0].type".to_owned()));
    }
}

#[test]
fn thoughts_words_and_calls_of_a_turn_are_one_message() {
    let call = |id: &str| json!({"type": "function_call", "call_id": id, "name": "f", "arguments": "{\"a\":1}", "id": "fc_1"});
    let output = |id: &str| json!({"type": "function_call_output", "call_id": id, "output": id});
    let thought = |text: &str| json!({"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": text}]});
    let read = messages(json!([
        {"role": "user", "content": "go"}, thought("one"), {"role": "assistant", "content": "I call."},
        thought("two"), call("a"), call("b"), output("a"), output("b"), thought("three"), {"role": "assistant", "content": "Done."},
    ]));
    assert_eq!(read.len(), 5);
    let turn = &read[1];
    assert_eq!((&*turn.text.get(), turn.reasoning.as_deref()), ("I call.", Some("one\ntwo")));
    let ids: Vec<&str> = turn.tool_calls.iter().map(|call| call.id.as_str()).collect();
    assert_eq!((ids, turn.tool_calls[0].arguments.get()), (vec!["a", "b"], "{\"a\":1}"));
    for (message, id) in read[2..4].iter().zip(["a", "b"]) {
        assert_eq!((message.role, message.tool_call_id.as_deref()), (Role::Tool, Some(id)));
        assert_eq!(message.text, id);
    }
    assert_eq!((&*read[4].text.get(), read[4].reasoning.as_deref()), ("Done.", Some("three")));
    // Between words and words it is the later ones'.
    let words = |text: &str| json!({"role": "assistant", "content": text});
    let read = messages(json!([words("a"), thought("one"), words("b"), thought("two")]));
    let thoughts: Vec<_> = read.iter().map(|turn| (&turn.text, turn.reasoning.as_deref())).collect();
    assert_eq!(thoughts, [(&Text::from("a"), None), (&Text::from("b"), Some("one\ntwo"))]);
}

#[test]
fn standing_instructions_that_follow_each_other_are_one() {
    let read = messages(json!([
        {"role": "system", "content": "a"}, {"role": "developer", "content": "b"}, {"role": "user", "content": "c"},
        {"role": "developer", "content": "d"}, {"role": "user", "content": "e"},
    ]));
    let texts: Vec<_> = read.iter().map(|message| message.text.get()).collect();
    assert_eq!(texts, ["a\n\nb", "c", "d", "e"]);
}

#[test]
fn a_thought_is_its_content_or_what_stands_for_it() {
    let thought = |item: Value| {
        let read =
            parse(json!([item, {"role": "assistant", "content": "x"}, {"role": "user", "content": "y"}]))
                .unwrap();
        (read.chat.messages[0].reasoning.clone(), read.ignored)
    };
    let content = json!([{"type": "reasoning_text", "text": "whole"}]);
    let summary = json!([{"type": "summary_text", "text": "short"}]);
    let both = json!({"type": "reasoning", "summary": summary, "content": content, "encrypted_content": "x"});
    assert_eq!(thought(both), (Some("whole".to_owned()), vec![]));
    let short = json!({"type": "reasoning", "summary": summary, "content": null});
    assert_eq!(thought(short), (Some("short".to_owned()), vec![]));
    let sealed = json!({"type": "reasoning", "summary": [], "encrypted_content": "x"});
    assert_eq!(thought(sealed), (None, vec!["reasoning.encrypted_content".to_owned()]));
}

#[test]
fn tools_of_plain_text_are_functions_of_one_text() {
    let read = messages(json!([
        {"role": "user", "content": "go"},
        {"type": "custom_tool_call", "call_id": "a", "name": "apply_patch", "input": "*** \"Begin\""},
        {"type": "custom_tool_call_output", "call_id": "a", "output": "ok"},
    ]));
    assert_eq!(read[1].tool_calls[0].arguments.get(), r#"{"input":"*** \"Begin\""}"#);
    assert_eq!((read[2].role, &*read[2].text.get()), (Role::Tool, "ok"));
}

#[test]
fn arguments_are_what_the_model_has_written_also_where_they_are_no_object() {
    let broken = "{\"city\": Paris";
    let read = messages(json!([
        {"role": "user", "content": "go"},
        {"type": "function_call", "call_id": "a", "name": "f", "arguments": broken},
        {"type": "function_call_output", "call_id": "a", "output": "failed to parse function arguments"},
    ]));
    assert_eq!(read[1].tool_calls[0].arguments, Arguments::Text(broken.to_owned()));
}

#[test]
fn pictures_stand_where_they_stood_also_in_instructions_that_become_one() {
    let picture = json!({"type": "input_image", "image_url": "data:image/png;base64,AAAA"});
    let text = |text: &str| json!({"type": "input_text", "text": text});
    let places = |read: &Message| read.images.iter().map(|image| image.place).collect::<Vec<_>>();
    let read = messages(json!([
        {"role": "user", "content": [text("first"), picture, text("second"), picture, text("which?")]}]));
    assert_eq!((&*read[0].text.get(), places(&read[0])), ("first\nsecond\nwhich?", vec![5, 13]));
    let read = messages(json!([
        {"role": "system", "content": [text("a"), picture]},
        {"role": "developer", "content": [picture, text("b"), picture]},
    ]));
    // Behind the words of the first, and behind those of the second; a line's end is spelled with two letters.
    assert_eq!((&*read[0].text.get(), places(&read[0])), ("a\n\nb", vec![1, 1, 6]));
}

#[test]
fn what_is_only_named_is_refused_but_for_thoughts() {
    let reference =
        |id: &str| json!([{"role": "user", "content": "a"}, {"type": "item_reference", "id": id}]);
    assert_eq!(refused(reference("msg_1")), (Code::UnsupportedParameter, "input[1]".to_owned()));
    assert_eq!(parse(reference("rs_1")).unwrap().ignored, ["item_reference"]);
}

#[test]
fn what_is_wrong_with_an_item_is_named() {
    let user = json!({"role": "user", "content": "a"});
    for (item, param) in [
        (json!({"type": "web_search_call", "id": "ws_1"}), "input[1].type"),
        (json!({"content": "a"}), "input[1].role"),
        (json!({"role": "tool", "content": "a"}), "input[1].role"),
        (json!({"role": "user"}), "input[1].content"),
        (json!({"role": "user", "content": 5}), "input[1].content"),
        (json!({"role": "user", "content": [{"type": "input_text"}]}), "input[1].content[0].text"),
        (json!({"type": "function_call", "name": "f", "arguments": "{}"}), "input[1].call_id"),
        (json!({"type": "function_call", "call_id": "a", "arguments": "{}"}), "input[1].name"),
        (
            json!({"type": "function_call", "call_id": "a", "name": "f", "arguments": [1]}),
            "input[1].arguments",
        ),
        (json!({"type": "custom_tool_call", "call_id": "a", "name": "f"}), "input[1].input"),
        (json!({"type": "function_call_output", "call_id": "a"}), "input[1].output"),
        (json!({"type": "function_call_output", "output": "a"}), "input[1].call_id"),
        (json!("text"), "input[1]"),
        (json!(["user", "a"]), "input[1]"),
    ] {
        assert_eq!(refused(json!([user, item])).1, param, "{item}");
    }
    assert_eq!(refused(json!([])).1, "input");
    assert_eq!(messages(json!([{"role": "system", "content": "a"}])), [said(Role::System, "a")]);
}

#[test]
fn arguments_are_bounded_in_depth() {
    let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1));
    let depth = Limits::default().json_depth;
    let item = |depth| {
        json!([
            {"role": "user", "content": "a"},
            {"type": "function_call", "call_id": "a", "name": "f", "arguments": nested(depth)},
        ])
    };
    assert!(parse(item(depth)).is_ok());
    assert_eq!(refused(item(depth + 1)).1, "input[1].arguments");
}
