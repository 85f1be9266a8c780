//! What goes to an engine of OpenAI's language is what was asked for: nothing lost, nothing made up.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::chat_body;
use crate::chat::{
    AnswerSchema, Arguments, ChatRequest, Image, Json, Message, ResponseFormat, Role, Think, Tool, ToolCall,
    ToolChoice,
};
use crate::config::Limits;
use crate::dialect::arbitrary::request;
use crate::dialect::openai::{parse_chat, passthrough::inspect};

fn written(request: &ChatRequest) -> Value {
    serde_json::from_slice(&chat_body(request, "theirs", true)).unwrap()
}

fn message(role: Role, text: &str) -> Message {
    Message { role, text: text.into(), ..Message::default() }
}

fn image(base64: &str, place: usize) -> Image {
    Image { place, ..Image::picture("image/png", base64) }
}

fn least() -> ChatRequest {
    ChatRequest { messages: vec![message(Role::User, "hi")], ..ChatRequest::default() }
}

#[test]
fn what_the_client_left_to_the_model_is_not_sent() {
    assert_eq!(
        written(&least()),
        json!({
            "model": "theirs", "messages": [{"role": "user", "content": "hi"}],
            "stream": true, "stream_options": {"include_usage": true},
        })
    );
}

#[test]
fn a_turn_with_calls_pictures_and_thoughts_is_openai_s() {
    let calls = vec![ToolCall {
        id: "call_1".to_owned(),
        name: "f".to_owned(),
        arguments: Arguments::of(r#"{"a": 1}"#),
    }];
    let image = image("AAAA", 3);
    let request = ChatRequest {
        messages: vec![
            Message { images: vec![image], ..message(Role::User, "see") },
            Message { tool_calls: calls, reasoning: Some("hm".to_owned()), ..message(Role::Assistant, "") },
            Message { tool_call_id: Some("call_1".to_owned()), ..message(Role::Tool, "done") },
        ],
        ..least()
    };
    assert_eq!(
        written(&request)["messages"],
        json!([
            {"role": "user", "content": [
                {"type": "text", "text": "see"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            ]},
            {"role": "assistant", "content": null, "reasoning": "hm", "reasoning_content": "hm", "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{\"a\": 1}"}},
            ]},
            {"role": "tool", "content": "done", "tool_call_id": "call_1"},
        ])
    );
}

#[test]
fn pictures_stand_between_the_words_where_they_stood() {
    let images = vec![image("AAAA", 5), image("BBBB", 13)];
    let asked = Message { images, ..message(Role::User, "first\nsecond\nwhich?") };
    let picture = |base64: &str| json!({"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{base64}")}});
    let text = |text: &str| json!({"type": "text", "text": text});
    assert_eq!(
        written(&ChatRequest { messages: vec![asked], ..least() })["messages"][0]["content"],
        json!([text("first"), picture("AAAA"), text("second"), picture("BBBB"), text("which?")])
    );
}

#[test]
fn what_a_model_has_written_for_arguments_goes_out_as_it_came() {
    let call =
        ToolCall { id: "c".to_owned(), name: "f".to_owned(), arguments: Arguments::of(" {\"city\": Paris") };
    let turn = Message { tool_calls: vec![call], ..message(Role::Assistant, "") };
    let body = written(&ChatRequest { messages: vec![turn], ..least() });
    assert_eq!(body["messages"][0]["tool_calls"][0]["function"]["arguments"], " {\"city\": Paris");
}

#[test]
fn a_schema_has_its_name_and_all_that_is_said_of_it() {
    let answer = AnswerSchema {
        name: Some("city".to_owned()),
        description: Some("A city.".to_owned()),
        strict: Some(true),
        schema: Json::object("{}").unwrap(),
    };
    let sent = |answer| {
        let response_format = ResponseFormat::JsonSchema(answer);
        written(&ChatRequest { response_format, ..least() })["response_format"]["json_schema"].clone()
    };
    assert_eq!(
        sent(answer.clone()),
        json!({"name": "city", "description": "A city.", "strict": true, "schema": {}})
    );
    let bare = AnswerSchema { name: None, description: None, strict: None, ..answer };
    assert_eq!(sent(bare), json!({"name": "answer", "schema": {}}));
}

#[test]
fn tools_that_must_not_be_called_are_not_shown() {
    let tool = Json::object(r#"{"type":"function","function":{"name":"f"}}"#).unwrap();
    let tools = vec![Tool { name: "f".to_owned(), raw: tool }];
    let chosen = |tool_choice| written(&ChatRequest { tools: tools.clone(), tool_choice, ..least() });
    assert_eq!(chosen(ToolChoice::None).get("tools"), None);
    assert_eq!(chosen(ToolChoice::None).get("tool_choice"), None);
    assert_eq!(chosen(ToolChoice::Auto)["tools"][0]["function"]["name"], "f");
    assert_eq!(chosen(ToolChoice::Required)["tool_choice"], "required");
    let named = json!({"type": "function", "function": {"name": "f"}});
    assert_eq!(chosen(ToolChoice::Function("f".to_owned()))["tool_choice"], named);
}

#[test]
fn nothing_is_said_of_tools_that_are_not_there() {
    for tool_choice in [ToolChoice::None, ToolChoice::Required, ToolChoice::Function("f".to_owned())] {
        let body = written(&ChatRequest { tool_choice, parallel_tool_calls: Some(false), ..least() });
        assert!(body.get("tool_choice").or(body.get("parallel_tool_calls")).is_none(), "{body}");
    }
}

#[test]
fn whether_and_how_hard_to_think_is_said_in_words_that_engines_know() {
    for (think, effort, enabled) in [
        (Think::Off, json!(null), json!(false)),
        (Think::On, json!(null), json!(true)),
        (Think::Minimal, json!("minimal"), json!(null)),
        (Think::Low, json!("low"), json!(null)),
        (Think::XHigh, json!("xhigh"), json!(null)),
        (Think::Max, json!("max"), json!(null)),
        // An administrator's.
        (Think::Most, json!("high"), json!(null)),
    ] {
        let body = written(&ChatRequest { think: Some(think), ..least() });
        assert_eq!(
            (&body["reasoning_effort"], &body["chat_template_kwargs"]["enable_thinking"]),
            (&effort, &enabled)
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_same_request_is_read_out_of_what_is_written(request in request()) {
        let body = chat_body(&request, &request.model, true);
        let read = parse_chat(&body, &Limits::default());
        prop_assert_eq!(read.as_ref(), Ok(&request), "{}", String::from_utf8_lossy(&body));
        // As it is passed on, it is estimated alike.
        let passed = inspect(&body, &Limits::default()).map(|passed| passed.prompt_bytes);
        prop_assert_eq!(passed, Ok(request.prompt_bytes()), "{}", String::from_utf8_lossy(&body));
    }
}
