//! What goes to an engine of OpenAI's language is what was asked for: nothing lost, nothing made up.

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::chat_body;
use crate::chat::{
    ChatRequest, Image, Json, Message, ResponseFormat, Role, Sampling, Think, Tool, ToolCall, ToolChoice,
};
use crate::config::Limits;
use crate::dialect::openai::parse_chat;

fn written(request: &ChatRequest) -> Value {
    serde_json::from_slice(&chat_body(request, "theirs", true)).unwrap()
}

fn message(role: Role, text: &str) -> Message {
    Message { role, text: text.to_owned(), ..Message::default() }
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
        arguments: Json::object(r#"{"a": 1}"#).unwrap(),
    }];
    let image = Image { media_type: "image/png".to_owned(), base64: "AAAA".to_owned() };
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
        (Think::Low, json!("low"), json!(null)),
        (Think::Max, json!("high"), json!(null)),
    ] {
        let body = written(&ChatRequest { think: Some(think), ..least() });
        assert_eq!(
            (&body["reasoning_effort"], &body["chat_template_kwargs"]["enable_thinking"]),
            (&effort, &enabled)
        );
    }
}

/// Any text, and those that have broken readers.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "[a-z\"\\\\\n\u{1f600}]{0,12}"]
}

fn object() -> impl Strategy<Value = Json> {
    text().prop_map(|text| Json::object(&json!({ "a": text, "b": [1, null] }).to_string()).unwrap())
}

fn name() -> impl Strategy<Value = String> {
    "[a-zA-Z_]{1,12}"
}

fn call() -> impl Strategy<Value = ToolCall> {
    (name(), name(), object()).prop_map(|(id, name, arguments)| ToolCall { id, name, arguments })
}

fn image() -> impl Strategy<Value = Image> {
    ("image/(png|jpeg)", "[A-Za-z0-9+/]{4,8}").prop_map(|(media_type, base64)| Image { media_type, base64 })
}

fn turn() -> impl Strategy<Value = Message> {
    let roles = prop_oneof![
        Just(Role::System),
        Just(Role::Developer),
        Just(Role::User),
        Just(Role::Assistant),
        Just(Role::Tool),
    ];
    let parts = (text(), vec(image(), 0..3), vec(call(), 0..3));
    (roles, parts, of(name()), of("[^\u{0}]{1,9}")).prop_map(|(role, parts, name, reasoning)| {
        let (text, images, tool_calls) = parts;
        // A tool's result says to which call it belongs.
        let tool_call_id = (role == Role::Tool).then(|| "call_1".to_owned());
        Message { role, text, images, tool_calls, tool_call_id, name, reasoning }
    })
}

/// A number of so many 64ths: serde_json reads others to the last bit but one.
fn number(range: std::ops::RangeInclusive<i32>) -> impl Strategy<Value = Option<f64>> {
    of(range.prop_map(|parts| f64::from(parts) / 64.0))
}

fn sampling() -> impl Strategy<Value = Sampling> {
    let penalties = (number(0..=640), number(-128..=128), number(-128..=128), of(any::<i64>()));
    let cuts = (number(0..=128), number(0..=64), of(0_u32..1000), number(0..=64));
    (cuts, penalties).prop_map(|(cuts, penalties)| {
        let (temperature, top_p, top_k, min_p) = cuts;
        let (repeat_penalty, frequency_penalty, presence_penalty, seed) = penalties;
        Sampling {
            temperature,
            top_p,
            top_k,
            min_p,
            repeat_penalty,
            frequency_penalty,
            presence_penalty,
            seed,
        }
    })
}

fn tool() -> impl Strategy<Value = Tool> {
    (name(), text()).prop_map(|(name, description)| {
        let raw = json!({"type": "function", "function": {"name": name, "description": description}});
        Tool { name, raw: Json::object(&raw.to_string()).unwrap() }
    })
}

/// What an engine is asked: a stream with its usage, and no tools beside a choice that forbids them.
fn request() -> impl Strategy<Value = ChatRequest> {
    // The others have no field of OpenAI's.
    let think = of(prop_oneof![Just(Think::Low), Just(Think::Medium), Just(Think::High)]);
    let format = prop_oneof![
        Just(ResponseFormat::Text),
        Just(ResponseFormat::JsonObject),
        object().prop_map(ResponseFormat::JsonSchema),
    ];
    let choice = prop_oneof![
        Just(ToolChoice::Auto),
        Just(ToolChoice::None),
        Just(ToolChoice::Required),
        name().prop_map(ToolChoice::Function),
    ];
    let answer = (format, think, of(1_u32..9999), of(0_u8..=20), vec("[^\u{0}]{1,5}", 0..4));
    (vec(turn(), 1..5), vec(tool(), 0..3), choice, of(any::<bool>()), sampling(), answer).prop_map(
        |(messages, mut tools, mut tool_choice, mut parallel_tool_calls, sampling, answer)| {
            let (response_format, think, max_tokens, logprobs, stop) = answer;
            if tool_choice == ToolChoice::None {
                tools.clear();
            }
            if tools.is_empty() {
                (tool_choice, parallel_tool_calls) = (ToolChoice::Auto, None);
            }
            ChatRequest {
                model: "theirs".to_owned(),
                messages,
                tools,
                tool_choice,
                parallel_tool_calls,
                sampling,
                stop,
                max_tokens,
                response_format,
                think,
                logprobs,
                stream: true,
                include_usage: true,
                num_ctx: None,
                keep_alive: None,
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_same_request_is_read_out_of_what_is_written(request in request()) {
        let body = chat_body(&request, &request.model, true);
        let read = parse_chat(&body, &Limits::default());
        prop_assert_eq!(read.as_ref(), Ok(&request), "{}", String::from_utf8_lossy(&body));
    }
}
