//! Items become the turns of a conversation.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::chat::{Arguments, ChatEvent, FinishReason, Message, Role, Text};
use crate::config::{ByteSize, Limits};
use crate::dialect::ollama;
use crate::dialect::openai::chat_body;
use crate::dialect::responses::{KeptItem, ResponseRequest, ResponseWhole, parse_recalling, parse_response};
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
    let at = |url: Value| json!([{"role": "user", "content": [{"type": "input_image", "image_url": url}]}]);
    let image = &messages(at(json!("data:image/png;base64,AAAA")))[0].images[0];
    assert_eq!((image.media_type.as_str(), image.base64.as_str()), ("image/png", "AAAA"));
    for url in
        [json!("https://example.com/a.png"), json!("file:///etc/passwd"), json!("data:text/html;base64,AAAA")]
    {
        assert_eq!(refused(at(url)), (Code::InvalidValue, "input[0].content[0].image_url".to_owned()));
    }
    let picture = |more: Value| {
        let mut part = json!({"type": "input_image"});
        part.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!([{"role": "user", "content": [part]}])
    };
    for file in [json!({"file_id": "file_1"}), json!({"file_id": "file_1", "image_url": null})] {
        let error = parse(picture(file)).unwrap_err();
        assert_eq!(error.code(), Code::UnsupportedParameter);
        assert_eq!(error.param(), Some("input[0].content[0].file_id"));
        assert!(error.message().contains("image_url"), "{error}");
    }
    let text = json!([{"role": "user", "content": [{"type": "input_text", "text": "a", "image_url": "data:image/png;base64,AAAA"}]}]);
    assert_eq!(refused(text), (Code::UnsupportedParameter, "input[0].content[0].image_url".to_owned()));
    for none in [json!({}), json!({"file_id": null})] {
        assert_eq!(
            refused(picture(none)),
            (Code::MissingParameter, "input[0].content[0].image_url".to_owned())
        );
    }
    let both = json!({"file_id": null, "image_url": "data:image/png;base64,AAAA"});
    assert_eq!(messages(picture(both))[0].images.len(), 1);
    let unknown = json!([{"role": "user", "content": [{"type": "nonsense", "file_data": "x"}]}]);
    assert_eq!(refused(unknown), (Code::UnsupportedParameter, "input[0].content[0].type".to_owned()));
    // Encoders end lines, which an Ollama need not see.
    let lines = &messages(at(json!("data:image/png;base64,AAAA\r\nBBBB\n")))[0].images[0];
    assert_eq!(lines.base64, "AAAABBBB");
}

#[test]
fn documents_and_sounds_are_a_chat_s_parts_of_their_own() {
    let pdf = "data:application/pdf;base64,JVBERi0x";
    let content = json!([
        {"type": "input_text", "text": "What?"},
        {"type": "input_file", "filename": "a.pdf", "file_data": pdf},
        {"type": "input_audio", "input_audio": {"data": "//uQZAAA", "format": "mp3"}},
        {"type": "input_text", "text": "And that?"},
    ]);
    let read = parse(json!([{"role": "user", "content": content}])).unwrap();
    assert_eq!(read.attached.as_deref(), Some("input[0].content[1].type"));
    assert_eq!(read.ignored, Vec::<String>::new());
    let sent: Value = serde_json::from_slice(&chat_body(&read.chat, "m", true)).unwrap();
    let expected = json!([
        {"type": "text", "text": "What?"},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": pdf}},
        {"type": "input_audio", "input_audio": {"data": "//uQZAAA", "format": "mp3"}},
        {"type": "text", "text": "And that?"},
    ]);
    assert_eq!(sent["messages"][0]["content"], expected);
    assert_eq!(ollama::chat_body(&read.chat, "m").unwrap_err().code(), Code::UnsupportedParameter);
    assert_eq!(parse(json!("x")).unwrap().attached, None);

    for (part, code, member) in [
        (json!({"type": "input_file", "file_url": "https://x/a.pdf"}), Code::InvalidValue, "file_url"),
        (json!({"type": "input_file", "file_id": "file_1"}), Code::UnsupportedParameter, "file_id"),
        (json!({"type": "input_file"}), Code::MissingParameter, "file_data"),
        (json!({"type": "input_file", "file_data": "https://x"}), Code::InvalidValue, "file_data"),
        (json!({"type": "input_file", "file_data": "//nfs/a/"}), Code::InvalidValue, "file_data"),
        (
            json!({"type": "input_file", "file_data": pdf, "filename": "/etc/x"}),
            Code::InvalidValue,
            "filename",
        ),
        (json!({"type": "input_audio"}), Code::MissingParameter, "input_audio"),
        (
            json!({"type": "input_audio", "input_audio": {"data": "/etc/x"}}),
            Code::InvalidValue,
            "input_audio.data",
        ),
    ] {
        let at = format!("input[0].content[0].{member}");
        assert_eq!(refused(json!([{"role": "user", "content": [part]}])), (code, at));
    }
}

#[test]
fn what_a_part_has_of_another_type_s_is_refused_where_it_is_a_medium_and_named_where_it_is_not() {
    let png = "data:image/png;base64,iVBORw0KGgo";
    let words = json!({"type": "input_text", "text": "a"});
    let picture = json!({"type": "input_image", "image_url": png});
    let file = json!({"type": "input_file", "file_data": "data:application/pdf;base64,JVBERi0x"});
    let sound = json!({"type": "input_audio", "input_audio": {"data": "SUQzBAAA", "format": "mp3"}});
    let with = |part: &Value, name: &str, value: &Value| {
        let mut part = part.clone();
        part[name] = value.clone();
        json!([{"role": "user", "content": [part]}])
    };
    let audio = &sound["input_audio"];
    for (part, name, value) in [
        (&words, "image_url", json!(png)),
        (&words, "file_data", json!("JVBERi0x")),
        (&words, "images", json!([png])),
        (&words, "input_audio", audio.clone()),
        (&picture, "file_data", json!("JVBERi0x")),
        (&picture, "image", json!(png)),
        (&file, "image_url", json!(png)),
        (&file, "input_audio", audio.clone()),
        (&sound, "image_url", json!(png)),
        (&sound, "file_data", json!("JVBERi0x")),
    ] {
        let told = (Code::UnsupportedParameter, format!("input[0].content[0].{name}"));
        assert_eq!(refused(with(part, name, &value)), told, "{part}");
        assert!(parse(with(part, name, &Value::Null)).is_ok(), "{part}");
    }
    for (part, name, value, told) in [
        (&words, "file_id", json!("f"), "input.content.file_id"),
        (&words, "detail", json!("high"), "input.content.detail"),
        (&picture, "text", json!("a"), "input.content.text"),
        (&picture, "file_id", json!("f"), "input.content.file_id"),
        (&file, "text", json!("a"), "input.content.text"),
        (&file, "detail", json!("high"), "input.content.detail"),
        (&sound, "filename", json!("a"), "input.content.filename"),
        (
            &sound,
            "input_audio",
            json!({"data": "SUQzBAAA", "format": "mp3", "transcript": "a"}),
            "input.content.input_audio.transcript",
        ),
    ] {
        assert_eq!(parse(with(part, name, &value)).unwrap().ignored, [told], "{part}");
    }
    let said = |text: &str| json!([{"type": "reasoning_text", "text": text}]);
    let thought = |content: Value, summary: Value| json!([{"role": "user", "content": "a"}, {"type": "reasoning", "content": content, "summary": summary}]);
    for (content, summary, member) in
        [(json!([picture]), json!([]), "content"), (said("a"), json!([picture]), "summary")]
    {
        let told = (Code::UnsupportedParameter, format!("input[1].{member}"));
        assert_eq!(refused(thought(content, summary)), told);
    }
    assert_eq!(parse(thought(said("a"), said("b"))).unwrap().ignored, ["input.summary"]);
    for (content, summary) in [(said("a"), said("a")), (said("a"), json!([])), (Value::Null, said("b"))] {
        assert_eq!(parse(thought(content, summary)).unwrap().ignored, Vec::<String>::new());
    }
    for empty in [json!(""), Value::Null] {
        assert!(parse(with(&file, "file_url", &empty)).is_ok());
    }
    let told = (Code::UnsupportedParameter, "input[0].content[0].file_url".to_owned());
    assert_eq!(refused(with(&file, "file_url", &json!("data:application/pdf;base64,JVBERi0x"))), told);
}

#[test]
fn how_closely_to_look_at_a_picture_goes_to_who_knows_the_word() {
    let of = |detail: Value| {
        let part =
            json!({"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": detail});
        let read = parse(json!([{"role": "user", "content": [part]}])).unwrap();
        let sent: Value = serde_json::from_slice(&chat_body(&read.chat, "m", true)).unwrap();
        (sent["messages"][0]["content"][0]["image_url"]["detail"].clone(), read.unheeded)
    };
    assert_eq!(of(json!("low")), (json!("low"), vec!["input.content.detail"]));
    for usual in [json!("auto"), Value::Null] {
        assert_eq!(of(usual), (Value::Null, Vec::new()));
    }
}

#[test]
fn media_stand_in_contents_alone() {
    let item = json!([{"role": "user", "content": "What?", "images": ["http://x"]}]);
    assert_eq!(refused(item), (Code::UnsupportedParameter, "input[0].images".to_owned()));
    let item = json!([{"role": "user", "content": "What?", "images": []}]);
    assert!(parse(item).is_ok());
    for (field, taken) in [("images", false), ("videos", false), ("image", true)] {
        let body = json!({"model": "m", "input": "a", field: {"data": "iVBORw0KGgo"}}).to_string();
        let error = parse_response(body.as_bytes(), &Limits::default()).err();
        assert_eq!(error.as_ref().and_then(ApiError::param), (!taken).then_some(field));
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
    assert_eq!(thought(both), (Some("whole".to_owned()), vec!["input.summary".to_owned()]));
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
    for id in ["msg_1", "fc_1", "resp_1", ""] {
        assert_eq!(refused(reference(id)), (Code::UnsupportedParameter, "input[1]".to_owned()));
    }
    let error = parse(reference("msg_1")).unwrap_err();
    for word in ["not kept", "limits.recall", "Send the item itself", "store"] {
        assert!(error.message().contains(word), "{error}");
    }
    assert_eq!(parse(reference("rs_1")).unwrap().ignored, ["item_reference"]);
    assert_eq!(refused(json!([{"type": "item_reference"}])).1, "input[0].id");
}

/// The items of a whole answer that thinks, speaks and calls, as they are kept.
fn answered() -> Vec<KeptItem> {
    let tools =
        json!([{"type": "custom", "name": "patch"}, {"type": "function", "name": "f", "parameters": {}}]);
    let request = json!({"model": "m", "input": "hi", "tools": tools});
    let read = parse_response(request.to_string().as_bytes(), &Limits::default()).unwrap();
    let mut whole = ResponseWhole::new("1", 5, Arc::new(read.echo), 10_000);
    let call = |name: &str, arguments: &str| {
        let (name, arguments) = (name.to_owned(), arguments.to_owned());
        ChatEvent::ToolCall { index: 0, id: format!("call_{name}"), name, arguments }
    };
    let text = "\u{e9} \"quoted\"\n".to_owned();
    for event in [
        ChatEvent::Reasoning("hm".to_owned()),
        ChatEvent::Text { text, logprobs: Some("[{\"token\":\"a\"}]".into()) },
        call("f", "{\"a\":1}"),
        call("patch", "{\"input\":\"*** Begin\"}"),
    ] {
        whole.event(event).unwrap();
    }
    assert_eq!(whole.kept(), [], "it is not complete");
    whole.event(ChatEvent::Finish(FinishReason::ToolCalls)).unwrap();
    whole.kept()
}

fn recalling(input: &Value, kept: &[KeptItem], limits: &Limits) -> Result<ResponseRequest, ApiError> {
    let body = json!({"model": "m", "input": input}).to_string();
    parse_recalling(body.as_bytes(), limits, &|id| {
        kept.iter().find(|item| item.id == id).map(|item| item.json.clone())
    })
}

#[test]
fn what_is_named_and_kept_stands_there_as_if_it_had_been_sent() {
    let kept = answered();
    let ids: Vec<&str> = kept.iter().map(|item| item.id.as_str()).collect();
    assert_eq!(ids, ["rs_1_0", "msg_1_1", "fc_1_2", "ctc_1_3"]);
    let conversation = |items: Vec<Value>| {
        let mut all = vec![json!({"role": "user", "content": "go"})];
        all.extend(items);
        all.push(json!({"type": "function_call_output", "call_id": "call_f", "output": "1"}));
        all.push(json!({"type": "custom_tool_call_output", "call_id": "call_patch", "output": "2"}));
        Value::Array(all)
    };
    let named = conversation(ids.iter().map(|id| json!({"type": "item_reference", "id": id})).collect());
    let sent = conversation(kept.iter().map(|item| serde_json::from_slice(&item.json).unwrap()).collect());
    let limits = Limits::default();
    let (named, sent) = (recalling(&named, &kept, &limits).unwrap(), recalling(&sent, &[], &limits).unwrap());
    assert_eq!(named.chat, sent.chat);
    assert_eq!((named.ignored, sent.recalled), (vec![], 0));
    assert_eq!(named.recalled, kept.iter().map(|item| item.json.len()).sum::<usize>());
    let turn = &named.chat.messages[1];
    assert_eq!((&*turn.text.get(), turn.reasoning.as_deref()), ("\u{e9} \"quoted\"\n", Some("hm")));
    let calls: Vec<_> = turn.tool_calls.iter().map(|call| (&*call.name, call.arguments.get())).collect();
    assert_eq!(calls, [("f", "{\"a\":1}"), ("patch", "{\"input\":\"*** Begin\"}")]);
    assert!(kept.iter().all(|item| !String::from_utf8_lossy(&item.json).contains("token")), "{kept:?}");
}

#[test]
fn what_is_named_counts_as_if_it_had_been_sent() {
    let kept = answered();
    let named = |times: usize| json!(vec![json!({"type": "item_reference", "id": "msg_1_1"}); times]);
    let length = |times: usize| json!({"model": "m", "input": named(times)}).to_string().len();
    let body = length(3) + 3 * kept[1].json.len();
    let limits = |body: usize| Limits { body: ByteSize::new(body as u64), ..Limits::default() };
    assert_eq!(recalling(&named(3), &kept, &limits(body)).unwrap().chat.messages.len(), 3);
    let error = recalling(&named(3), &kept, &limits(body - 1)).unwrap_err();
    assert_eq!((error.code(), error.param()), (Code::PayloadTooLarge, Some("input[2]")));
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

#[test]
fn an_item_or_a_part_of_another_kind_is_told_what_there_is() {
    let unknown = parse(json!([{"type": "local_shell_call"}])).unwrap_err();
    assert_eq!(unknown.param(), Some("input[0].type"));
    for known in [
        "message",
        "reasoning",
        "function_call,",
        "function_call_output",
        "custom_tool_call,",
        "custom_tool_call_output",
        "item_reference.",
    ] {
        assert!(unknown.message().contains(known), "{known}: {unknown}");
    }
    let parts = json!([{"type": "input_text", "text": "a"}, "hi"]);
    let error = parse(json!([{"role": "user", "content": parts}])).unwrap_err();
    assert_eq!((error.code(), error.param()), (Code::InvalidType, Some("input[0].content[1]")));
    let sentence = "must be a content part, an object such as {\"type\": \"input_text\", \"text\": ...}, and is a string.";
    assert!(error.message().ends_with(sentence), "{error}");
    let twice =
        br#"{"model":"m","input":[{"role":"user","content":[{"type":"input_text","text":"a","text":"b"}]}]}"#;
    let twice = parse_response(twice, &Limits::default()).unwrap_err();
    assert_eq!(twice.param(), Some("input[0].content[0].text"));
}
