//! What is understood, and what is refused with which field's name.

use serde_json::{Value, json};

use crate::chat::{AnswerSchema, ChatRequest, Json, ResponseFormat, Role, ToolChoice};
use crate::config::Limits;
use crate::error::{ApiError, Code};

fn parse_chat(body: &[u8]) -> Result<ChatRequest, ApiError> {
    super::parse_chat(body, &Limits::default())
}

fn with(field: &str, value: Value) -> Value {
    let mut request = json!({"model": "tiny", "messages": [{"role": "user", "content": "hi"}]});
    request[field] = value;
    request
}

fn parse(request: &Value) -> Result<ChatRequest, ApiError> {
    parse_chat(request.to_string().as_bytes())
}

fn messages(messages: Value) -> Result<ChatRequest, ApiError> {
    parse(&with("messages", messages))
}

#[test]
fn the_least_request() {
    let request = parse(&with("user", json!("someone"))).unwrap();
    assert_eq!(request.model, "tiny");
    assert_eq!((request.stream, request.include_usage, request.max_tokens), (false, false, None));
    assert_eq!((request.messages[0].role, &*request.messages[0].text.get()), (Role::User, "hi"));
}

#[test]
fn null_is_the_same_as_absent() {
    let mut request = with("temperature", Value::Null);
    for field in
        ["stream", "stream_options", "stop", "tools", "tool_choice", "response_format", "n", "seed", "think"]
    {
        request[field] = Value::Null;
    }
    assert_eq!(parse(&request).unwrap(), parse(&with("temperature", Value::Null)).unwrap());
}

#[test]
fn bad_json_is_refused_with_its_position() {
    for (body, place) in [
        ("{\"model\": \"a\",\n  \"messages\": }", "line 2, column 15"),
        ("{", "line 1, column 1"),
        ("{} x", "line 1, column 4"),
        ("{\"a\":1e}", "line 1, column 8"),
        // Also in a field that nobody here reads: an engine may read it.
        (
            "{\"user\": \"a\",\n \"x\": \"\\ud800\"}",
            "half of a surrogate pair (no character) at line 2, column 8",
        ),
    ] {
        let error = parse_chat(body.as_bytes()).unwrap_err();
        assert_eq!(error.code(), Code::InvalidJson, "{body}");
        assert!(error.message().contains(place), "{body}: {error}");
    }
    for body in [b"".as_slice(), b"  \n", b"\xff", b"{\"model\":\"\xff\"}", b"\xef\xbb\xbf{}", b"{\"a\":NaN}"]
    {
        assert_eq!(parse_chat(body).unwrap_err().code(), Code::InvalidJson, "{body:?}");
    }
    let deep = "[".repeat(100_000);
    assert_eq!(parse_chat(deep.as_bytes()).unwrap_err().status(), 400);
}

#[test]
fn a_body_that_is_no_object_is_refused() {
    for body in ["[]", "5", "\"x\"", "null"] {
        assert_eq!(parse_chat(body.as_bytes()).unwrap_err().code(), Code::InvalidType, "{body}");
    }
}

#[test]
fn doubled_keys_are_refused_however_they_are_spelled() {
    for body in [
        r#"{"model":"a","messages":[{"role":"user","content":"x"}],"model":"b"}"#,
        r#"{"model":"a","messages":[{"role":"user","content":"x"}],"mod\u0065l":"b"}"#,
        r#"{"zzz":1,"model":"a","messages":[{"role":"user","content":"x"}],"zzz":null}"#,
    ] {
        let error = parse_chat(body.as_bytes()).unwrap_err();
        assert!(error.message().contains("twice") && error.param().is_some(), "{error}");
    }
    assert!(messages(serde_json::from_str(r#"[{"role":"user","content":"x"}]"#).unwrap()).is_ok());
    let body = r#"{"model":"a","messages":[{"role":"user","content":"x","content":"y"}]}"#;
    assert_eq!(parse_chat(body.as_bytes()).unwrap_err().param(), Some("messages[0].content"));
}

#[test]
fn refused_fields_are_named_in_any_case() {
    for field in [
        "api_base",
        "API_KEY",
        "base_url",
        "extra_headers",
        "proxy",
        "chat_template",
        "n_discard",
        "id_slot",
        "bootstrap_host",
        "custom_logit_processor",
        "LoRA_path",
        "n_cache_reuse",
    ] {
        let error = parse(&with(field, json!("x"))).unwrap_err();
        assert_eq!((error.code(), error.param()), (Code::UnsupportedParameter, Some(field)));
    }
    let escaped = r#"{"model":"a","messages":[],"\u0061pi_base":"http://x"}"#;
    assert_eq!(parse_chat(escaped.as_bytes()).unwrap_err().param(), Some("api_base"));
}

#[test]
fn wrong_types_and_ranges_name_the_field() {
    for (field, value, code) in [
        ("model", json!(5), Code::InvalidType),
        ("model", json!(""), Code::InvalidValue),
        ("model", json!("a\nb"), Code::InvalidValue),
        ("model", Value::Null, Code::MissingParameter),
        ("messages", json!("hi"), Code::InvalidType),
        ("messages", json!([]), Code::InvalidValue),
        ("messages", Value::Null, Code::MissingParameter),
        ("stream", json!("yes"), Code::InvalidType),
        ("stream_options", json!(true), Code::InvalidType),
        ("temperature", json!("hot"), Code::InvalidType),
        ("temperature", json!(2.01), Code::InvalidValue),
        ("temperature", json!(-0.1), Code::InvalidValue),
        ("top_p", json!(1.1), Code::InvalidValue),
        ("min_p", json!(-1), Code::InvalidValue),
        ("frequency_penalty", json!(3), Code::InvalidValue),
        ("max_tokens", json!(0), Code::InvalidValue),
        ("max_tokens", json!(-5), Code::InvalidValue),
        ("max_tokens", json!(1.5), Code::InvalidValue),
        ("max_completion_tokens", json!("5"), Code::InvalidType),
        ("stop", json!([1]), Code::InvalidType),
        ("stop", json!([""]), Code::InvalidValue),
        ("top_logprobs", json!(21), Code::InvalidValue),
        ("top_logprobs", json!(2), Code::InvalidValue),
        ("logprobs", json!(2), Code::InvalidType),
        ("tools", json!({}), Code::InvalidType),
        ("tool_choice", json!("perhaps"), Code::InvalidValue),
        ("tool_choice", json!(5), Code::InvalidType),
        ("reasoning_effort", json!("enormous"), Code::InvalidValue),
        ("think", json!(5), Code::InvalidType),
        ("n", json!(129), Code::InvalidValue),
        ("parallel_tool_calls", json!("no"), Code::InvalidType),
        ("n", json!(0), Code::InvalidValue),
        ("functions", json!([]), Code::UnsupportedParameter),
        ("logit_bias", json!({"5": 1}), Code::UnsupportedParameter),
    ] {
        let error = parse(&with(field, value.clone())).unwrap_err();
        assert_eq!((error.code(), error.param()), (code, Some(field)), "{field}: {value}");
    }
}

#[test]
fn numbers_that_break_engines_never_pass() {
    for field in ["max_tokens", "max_completion_tokens", "n", "top_k", "top_logprobs"] {
        for number in ["-2", "-1", "2147483648", "9223372036854775808", "1e308", "1e999"] {
            // Which says that any token may be chosen.
            if (field, number) == ("top_k", "-1") {
                assert_eq!(parse(&with(field, json!(-1))).unwrap().sampling.top_k, Some(0));
                continue;
            }
            let body =
                format!(r#"{{"model":"a","messages":[{{"role":"user","content":"x"}}],"{field}":{number}}}"#);
            let error = parse_chat(body.as_bytes()).unwrap_err();
            assert_eq!((error.status().as_u16(), error.param()), (400, Some(field)), "{field}: {number}");
        }
    }
    for seed in ["9223372036854775808", "1e308", "1.5", "\"7\""] {
        let body = format!(r#"{{"model":"a","messages":[{{"role":"user","content":"x"}}],"seed":{seed}}}"#);
        assert_eq!(parse_chat(body.as_bytes()).unwrap_err().param(), Some("seed"), "{seed}");
    }
    for seed in [i64::MIN, -1, i64::MAX] {
        assert_eq!(parse(&with("seed", json!(seed))).unwrap().sampling.seed, Some(seed));
    }
    assert!(parse(&with("n", json!(1))).is_ok() && parse(&with("n", json!(128))).is_ok());
    assert!(parse(&with("logit_bias", json!({}))).is_ok());
}

#[test]
fn limits_pass_and_one_more_fails() {
    let limits = Limits {
        request_fields: 5,
        model_name: "6B".parse().unwrap(),
        stop_texts: 2,
        media_parts: 2,
        media_bytes: "60B".parse().unwrap(),
        ..Limits::default()
    };
    let parse = |request: &Value| super::parse_chat(request.to_string().as_bytes(), &limits);
    let refused = |request: &Value| parse(request).unwrap_err().param().map(str::to_owned).unwrap();
    let fields = |count: usize| {
        let mut request = with("x", json!(1));
        (3..count).for_each(|nr| request[format!("field{nr}")] = json!(1));
        request
    };
    assert!(parse(&fields(5)).is_ok());
    assert!(parse(&fields(6)).unwrap_err().message().contains("more than 5 fields"));
    assert!(parse(&with("model", json!("mmmmmm"))).is_ok());
    assert_eq!(refused(&with("model", json!("mmmmmmm"))), "model");
    let stops = |count: usize| with("stop", json!(vec!["x"; count]));
    assert!(parse(&stops(2)).is_ok());
    assert_eq!(refused(&stops(3)), "stop");
    let pictures = |count: usize, letters: usize| {
        let url = format!("data:image/png;base64,{}", "a".repeat(letters));
        let picture = json!({"type": "image_url", "image_url": {"url": url}});
        with("messages", json!([{"role": "user", "content": vec![picture; count]}]))
    };
    assert!(parse(&pictures(2, 4)).is_ok());
    assert_eq!(refused(&pictures(3, 4)), "messages[0].content[2].image_url.url");
    // Forty letters of base64 are thirty bytes.
    assert!(parse(&pictures(2, 40)).is_ok());
    assert_eq!(refused(&pictures(2, 44)), "messages[0].content[1].image_url.url");
}

#[test]
fn openais_own_limits_are_no_settings() {
    let tool = json!({"type": "function", "function": {"name": "f"}});
    let tools = |count: usize| with("tools", json!(vec![tool.clone(); count]));
    assert!(parse(&tools(128)).is_ok());
    assert_eq!(parse(&tools(129)).unwrap_err().param(), Some("tools"));
}

#[test]
fn messages_name_what_is_wrong_in_them() {
    for (list, param) in [
        (json!([5]), "messages[0]"),
        (json!([{"content": "x"}]), "messages[0].role"),
        (json!([{"role": "wizard", "content": "x"}]), "messages[0].role"),
        (json!([{"role": "user", "content": "x"}, {"role": "user", "content": 5}]), "messages[1].content"),
        (json!([{"role": "user", "content": [{"type": "text"}]}]), "messages[0].content[0].text"),
        (json!([{"role": "user", "content": [{"type": "file"}]}]), "messages[0].content[0].type"),
        (json!([{"role": "user", "content": [{"type": "image_url"}]}]), "messages[0].content[0].image_url"),
        (
            json!([{"role": "user", "content": [{"type": "text", "text": "a", "image_url": {"url": "data:image/png;base64,aGk="}}]}]),
            "messages[0].content[0].image_url",
        ),
        (
            json!([{"role": "user", "content": [{"type": "text", "text": "a", "input_audio": {"data": "aGk="}}]}]),
            "messages[0].content[0].input_audio",
        ),
        (json!([{"role": "tool", "content": "x"}]), "messages[0].tool_call_id"),
        (json!([{"role": "assistant", "function_call": {}}]), "messages[0].function_call"),
        (json!([{"role": "assistant", "tool_calls": [{"id": "a"}]}]), "messages[0].tool_calls[0].function"),
        (
            json!([{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": [1]}}]}]),
            "messages[0].tool_calls[0].function.arguments",
        ),
        (
            json!([{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": true}}]}]),
            "messages[0].tool_calls[0].function.arguments",
        ),
    ] {
        let error = messages(list.clone()).unwrap_err();
        assert_eq!(error.param(), Some(param), "{list}: {error}");
        assert_eq!(error.status().as_u16(), 400);
    }
}

#[test]
fn pictures_come_inside_the_request_or_not_at_all() {
    for url in [
        "http://127.0.0.1/x.png",
        "https://example.org/x.png",
        "file:///etc/passwd",
        "//host/x",
        "\\\\host\\x",
        "data:text/plain;base64,aGk=",
        "data:image/png,hello",
        "data:image/png;base64,",
        "data:image/png;base64,a b",
        "",
    ] {
        let part = json!([{"type": "image_url", "image_url": {"url": url}}]);
        let error = messages(json!([{"role": "user", "content": part}])).unwrap_err();
        assert_eq!(error.param(), Some("messages[0].content[0].image_url.url"), "{url}");
    }
    let part = json!([{"type": "image_url", "image_url": "DATA:image/gif;base64,aGk="}]);
    let request = messages(json!([{"role": "user", "content": part}])).unwrap();
    assert_eq!(request.messages[0].images[0].media_type, "image/gif");
}

#[test]
fn arguments_are_taken_in_any_of_the_forms_that_clients_send() {
    for (sent, kept) in [
        (json!("{\"a\": 1}"), "{\"a\": 1}"),
        (json!({"a": 1}), "{\"a\":1}"),
        (json!(""), "{}"),
        (Value::Null, "{}"),
        (json!(" {} "), "{}"),
        // What a model has written in their place, and its client sends back to it.
        (json!("{\"a\": "), "{\"a\": "),
        (json!(" [1]"), " [1]"),
        (json!("say \"hi\""), "say \"hi\""),
    ] {
        let call = json!({"id": "c", "type": "function", "function": {"name": "f", "arguments": sent}});
        let request =
            messages(json!([{"role": "assistant", "content": null, "tool_calls": [call]}])).unwrap();
        assert_eq!(request.messages[0].tool_calls[0].arguments.get(), kept);
    }
}

#[test]
fn a_refusal_beside_no_content_is_what_an_assistant_said() {
    for (content, text) in
        [(Value::Null, "I won't."), (json!("So:"), "So:\nI won't."), (json!([]), "I won't.")]
    {
        let turn = json!({"role": "assistant", "content": content, "refusal": "I won't."});
        assert_eq!(messages(json!([turn])).unwrap().messages[0].text, text);
        let silent = json!({"role": "assistant", "content": content, "refusal": null});
        assert!(messages(json!([silent])).is_ok());
    }
    let user = json!({"role": "user", "content": "hi", "refusal": "no"});
    assert_eq!(messages(json!([user])).unwrap().messages[0].text, "hi");
}

#[test]
fn pictures_know_where_among_the_words_they_stood() {
    let picture = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}});
    let text = |text: &str| json!({"type": "text", "text": text});
    let content = json!([picture, text("a\""), picture, text("b"), picture]);
    let read = messages(json!([{"role": "user", "content": content}])).unwrap().messages.remove(0);
    assert_eq!(read.text, "a\"\nb");
    // A quote and a line's end are spelled with two letters each.
    assert_eq!(read.images.iter().map(|image| image.place).collect::<Vec<_>>(), [0, 3, 6]);
}

#[test]
fn tool_choices() {
    let named = json!({"type": "function", "function": {"name": "f"}});
    for (choice, meant) in [
        (json!("auto"), ToolChoice::Auto),
        (json!("none"), ToolChoice::None),
        (json!("required"), ToolChoice::Required),
        (named, ToolChoice::Function("f".to_owned())),
    ] {
        assert_eq!(parse(&with("tool_choice", choice)).unwrap().tool_choice, meant);
    }
}

#[test]
fn a_list_is_no_object_however_its_elements_fit() {
    for (field, value) in [
        ("messages", json!([["user", "hi", null, null, null, null, null, null]])),
        ("messages", json!([{"role": "user", "content": [["text", "hi", null, null]]}])),
        (
            "messages",
            json!([{"role": "user", "content": [{"type": "image_url", "image_url": ["data:image/png;base64,aa"]}]}]),
        ),
        ("messages", json!([{"role": "assistant", "tool_calls": [["id", {"name": "f"}]]}])),
        ("messages", json!([{"role": "assistant", "tool_calls": [{"function": ["f", null]}]}])),
        ("tools", json!([{"type": "function", "function": ["f"]}])),
        ("tool_choice", json!([["f"]])),
        ("tool_choice", json!({"function": ["f"]})),
        ("response_format", json!(["text", null])),
        ("response_format", json!({"type": "json_schema", "json_schema": [{}]})),
        ("stream_options", json!([true])),
        ("reasoning", json!(["low"])),
    ] {
        let error = parse(&with(field, value.clone())).expect_err(&value.to_string());
        assert!(error.param().is_some_and(|param| param.starts_with(field)), "{value}: {error}");
    }
}

#[test]
fn arguments_in_a_text_are_no_deeper_than_a_body_may_be() {
    let call = |depth: usize, limits: &Limits| {
        let arguments = format!("{{\"a\":{}\"[\"{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1));
        let call = json!({"function": {"name": "f", "arguments": arguments}});
        let body = with("messages", json!([{"role": "assistant", "tool_calls": [call]}]));
        super::parse_chat(body.to_string().as_bytes(), limits)
    };
    for depth in [9, 128] {
        let limits = Limits { json_depth: depth, ..Limits::default() };
        assert!(call(depth, &limits).is_ok());
        let error = call(depth + 1, &limits).unwrap_err();
        assert_eq!(error.param(), Some("messages[0].tool_calls[0].function.arguments"));
        assert!(error.message().contains(&format!("at most {depth} levels")), "{error}");
    }
    let limits = Limits { json_depth: 9, ..Limits::default() };
    let never_closed = json!({"function": {"name": "f", "arguments": "[".repeat(10)}});
    let body = with("messages", json!([{"role": "assistant", "tool_calls": [never_closed]}]));
    let error = super::parse_chat(body.to_string().as_bytes(), &limits).unwrap_err();
    assert_eq!(error.param(), Some("messages[0].tool_calls[0].function.arguments"), "no JSON, and as deep");
}

#[test]
fn a_schema_beside_any_object_is_kept_to() {
    let format = |schema: Value| {
        let format = json!({"type": "json_object", "schema": schema});
        parse(&with("response_format", format)).map(|request| request.response_format)
    };
    let schema = Json::object(r#"{"type":"object"}"#).unwrap();
    let kept = AnswerSchema { name: None, description: None, strict: None, schema };
    assert_eq!(format(json!({"type": "object"})), Ok(ResponseFormat::JsonSchema(kept)));
    assert_eq!(format(Value::Null), Ok(ResponseFormat::JsonObject));
    assert_eq!(format(json!("x")).unwrap_err().param(), Some("response_format.schema"));
}

#[test]
fn what_is_there_twice_is_said_with_its_place() {
    let tool = r#"{"type":"function","function":{"name":"f","name":"g"}}"#;
    let picture = r#"{"type":"image_url","image_url":{"url":"data:image/png;base64,AA","url":"data:image/png;base64,BB"}}"#;
    let turn =
        |part: &str| format!(r#"[{{"role":"user","content":"a"}},{{"role":"user","content":[{part}]}}]"#);
    let hi = r#"[{"role":"user","content":"hi"}]"#;
    for (tools, messages, param) in [
        (tool, hi, "tools[0].function.name"),
        (r#"{"type":"function","type":"function","function":{"name":"f"}}"#, hi, "tools[0].type"),
        ("", &turn(picture), "messages[1].content[0].image_url.url"),
        ("", &turn(r#"{"type":"text","text":"a","text":"b"}"#), "messages[1].content[0].text"),
        ("", r#"[{"role":"user","role":"system","content":"a"}]"#, "messages[0].role"),
        (
            "",
            &format!(r#"{hi},"tool_choice":{{"type":"function","function":{{"name":"f","name":"g"}}}}"#),
            "tool_choice.function.name",
        ),
        ("", &format!(r#"{hi},"tool_choice":{{"type":"function","type":"x"}}"#), "tool_choice.type"),
    ] {
        let error =
            parse_chat(format!(r#"{{"model":"m","tools":[{tools}],"messages":{messages}}}"#).as_bytes())
                .unwrap_err();
        assert_eq!((error.code(), error.param()), (Code::InvalidRequest, Some(param)), "{error}");
        let sentence = format!("The field '{param}' is there twice: send it once.");
        assert!(error.message().starts_with(&sentence), "{error}");
    }
    let twice = parse_chat(br#"{"model":"m","Model":"m"}"#).unwrap_err();
    assert!(twice.message().starts_with("The field 'model' is there twice: send it once."), "{twice}");
}

#[test]
fn a_part_that_is_none_is_told_with_its_place() {
    let text = json!({"type": "text", "text": "a"});
    for (parts, place, what) in [
        (json!(["hi", text]), 0, " ...}, and is a string."),
        (json!([text, 5]), 1, " ...}, and is a number."),
        (json!([text, {"type": 5}]), 1, " ...}."),
    ] {
        let error = messages(json!([{"role": "user", "content": parts}])).unwrap_err();
        assert_eq!(error.param(), Some(&*format!("messages[0].content[{place}]")));
        assert!(
            error.message().contains("must be a content part, an object such as {\"type\": \"text\""),
            "{error}"
        );
        assert!(error.message().ends_with(what), "{error}");
    }
}
