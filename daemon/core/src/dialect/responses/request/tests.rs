//! What is understood, what is refused with which field's name, and what is named as of no effect.

use serde_json::{Value, json};

use super::{ResponseRequest, parse_response};
use crate::chat::{AnswerSchema, Json, ResponseFormat, Role, Think, ToolChoice};
use crate::config::Limits;
use crate::dialect::openai::passthrough::inspect;
use crate::error::{ApiError, Code};

fn parse(request: &Value) -> Result<ResponseRequest, ApiError> {
    parse_response(request.to_string().as_bytes(), &Limits::default())
}

fn with(field: &str, value: Value) -> Result<ResponseRequest, ApiError> {
    let mut request = json!({"model": "tiny", "input": "hi"});
    request[field] = value;
    parse(&request)
}

fn refused(field: &str, value: Value) -> (Code, String) {
    let error = with(field, value).unwrap_err();
    (error.code(), error.param().unwrap_or_default().to_owned())
}

fn ignored(field: &str, value: Value) -> Vec<String> {
    with(field, value).unwrap().ignored
}

/// What a response repeats.
fn echoed(read: &ResponseRequest) -> Value {
    serde_json::from_str(&format!("{{{}}}", read.echo.fields.strip_prefix(',').unwrap())).unwrap()
}

#[test]
fn the_least_request() {
    let read = parse(&json!({"model": "tiny", "input": "hi"})).unwrap();
    let chat = &read.chat;
    assert_eq!((chat.model.as_str(), chat.stream, chat.include_usage), ("tiny", false, true));
    assert_eq!((chat.messages.len(), chat.messages[0].role), (1, Role::User));
    assert_eq!(chat.messages[0].text, "hi");
    assert_eq!(read.ignored, [""; 0]);
}

#[test]
fn what_changes_the_answer_is_passed_on() {
    let read = parse(&json!({
        "model": "tiny", "input": "hi", "instructions": "Be brief.", "max_output_tokens": 7, "temperature": 0.5,
        "top_p": 0.25, "stream": true, "parallel_tool_calls": false, "reasoning": {"effort": "high", "summary": "auto"},
        "text": {"format": {"type": "json_schema", "name": "n", "strict": true, "schema": {"type": "object"}}},
        "include": ["message.output_text.logprobs"], "top_logprobs": 3, "seed": 5, "stop": ["x"],
        "metadata": {"a": "b"}, "user": "u", "prompt_cache_key": "k", "safety_identifier": "s",
    }))
    .unwrap();
    let chat = &read.chat;
    assert_eq!((chat.messages[0].role, &*chat.messages[0].text.get()), (Role::System, "Be brief."));
    assert_eq!((chat.max_tokens, chat.stream, chat.parallel_tool_calls), (Some(7), true, Some(false)));
    assert_eq!((chat.sampling.temperature, chat.sampling.top_p), (Some(0.5), Some(0.25)));
    assert_eq!((chat.sampling.seed, chat.stop.as_slice()), (Some(5), &["x".to_owned()][..]));
    assert_eq!((chat.think, chat.logprobs), (Some(Think::High), Some(3)));
    let answer = AnswerSchema {
        name: Some("n".to_owned()),
        description: None,
        strict: Some(true),
        schema: Json::object(r#"{"type":"object"}"#).unwrap(),
    };
    assert_eq!(chat.response_format, ResponseFormat::JsonSchema(answer));
    assert!(read.ignored.is_empty() && read.unheeded.is_empty());
    let echo = echoed(&read);
    assert_eq!((&echo["instructions"], &echo["max_output_tokens"]), (&json!("Be brief."), &json!(7)));
    assert_eq!((&echo["temperature"], &echo["top_logprobs"]), (&json!(0.5), &json!(3)));
    assert_eq!(echo["reasoning"], json!({"effort": "high", "summary": "auto"}));
    assert_eq!(echo["text"]["format"]["name"], "n");
    assert_eq!((&echo["user"], &echo["metadata"]), (&json!("u"), &json!({"a": "b"})));
    assert_eq!(echo["parallel_tool_calls"], false);
}

#[test]
fn an_effort_is_the_one_that_was_named() {
    for (word, think) in [
        ("none", Think::Off),
        ("minimal", Think::Minimal),
        ("low", Think::Low),
        ("medium", Think::Medium),
        ("high", Think::High),
        ("xhigh", Think::XHigh),
        ("max", Think::Max),
    ] {
        assert_eq!(with("reasoning", json!({"effort": word})).unwrap().chat.think, Some(think));
    }
}

#[test]
fn what_is_repeated_is_one_line() {
    let body = b"{\"model\":\"m\",\"input\":\"hi\",\"metadata\":{\r\n\"a\":\n\"b\"}}";
    let read = parse_response(body, &Limits::default()).unwrap();
    assert!(!read.echo.fields.contains(['\r', '\n']));
    assert_eq!(echoed(&read)["metadata"], json!({"a": "b"}));
}

#[test]
fn what_is_not_kept_is_refused_by_its_field() {
    for (field, value) in [
        ("previous_response_id", json!("resp_1")),
        ("conversation", json!("conv_1")),
        ("prompt", json!({"id": "pmpt_1"})),
        ("background", json!(true)),
        ("moderation", json!({"model": "x"})),
        ("messages", json!([{"role": "user", "content": "hi"}])),
        ("max_tokens", json!(5)),
        ("max_completion_tokens", json!(5)),
        ("response_format", json!({"type": "json_object"})),
        ("reasoning_effort", json!("low")),
        ("functions", json!([{"name": "f"}])),
        ("function_call", json!("auto")),
        ("logprobs", json!(true)),
        ("logit_bias", json!({"5": 1})),
        ("n", json!(2)),
    ] {
        assert_eq!(refused(field, value), (Code::UnsupportedParameter, field.to_owned()));
    }
    for field in
        ["previous_response_id", "conversation", "prompt", "background", "store", "truncation", "text", "n"]
    {
        assert_eq!(ignored(field, Value::Null), [""; 0], "{field}");
    }
}

#[test]
fn a_chat_s_fields_are_refused_with_their_names_here() {
    for (field, value, own) in [
        ("messages", json!([]), "input"),
        ("max_tokens", json!(5), "max_output_tokens"),
        ("max_completion_tokens", json!(5), "max_output_tokens"),
        ("response_format", json!({"type": "text"}), "text.format"),
        ("reasoning_effort", json!("none"), "reasoning.effort"),
        ("functions", json!([]), "tools"),
        ("function_call", json!("none"), "tool_choice"),
        ("logprobs", json!(true), "include"),
    ] {
        let error = with(field, value).unwrap_err();
        assert!(error.message().contains(&format!("Responses has {own}")), "{error}");
    }
    // Whoever takes it for a chat has no input either, and hears of that field first.
    let chat = json!({"model": "tiny", "messages": [{"role": "user", "content": "hi"}]});
    assert_eq!(parse(&chat).unwrap_err().param(), Some("messages"));
    // These ask for nothing that a response has not.
    for (field, value) in [("n", json!(1)), ("logprobs", json!(false)), ("logit_bias", json!({}))] {
        assert_eq!(ignored(field, value), [""; 0], "{field}");
    }
}

#[test]
fn only_store_false_keeps_the_items_from_being_kept() {
    let kept = |store: Value| with("store", store).unwrap().may_keep;
    assert!(kept(json!(null)) && kept(json!(true)) && !kept(json!(false)));
    assert!(parse(&json!({"model": "tiny", "input": "hi"})).unwrap().may_keep);
}

#[test]
fn what_changes_nothing_is_named() {
    for (field, value, named) in [
        ("store", json!(true), "store"),
        ("truncation", json!("auto"), "truncation"),
        ("text", json!({"verbosity": "low"}), "text.verbosity"),
        ("include", json!(["reasoning.encrypted_content"]), "include:reasoning.encrypted_content"),
        ("top_logprobs", json!(2), "top_logprobs"),
        ("service_tier", json!("priority"), "service_tier"),
        ("max_tool_calls", json!(2), "max_tool_calls"),
        ("client_metadata", json!({"a": "b"}), "client_metadata"),
        ("context_management", json!([]), "context_management"),
        ("context_management", json!([{"type": "compaction"}]), "context_management"),
        ("background_options", json!({"completion_window": "2h"}), "background_options"),
        ("prompt_cache_options", json!({"ttl": "30m"}), "prompt_cache_options"),
        ("prompt_cache_retention", json!("24h"), "prompt_cache_retention"),
        ("image", json!({"context_compression": "auto"}), "image"),
        ("access_programs", json!({"cyber": "standard"}), "access_programs"),
        ("reasoning", json!({"mode": "pro"}), "reasoning.mode"),
    ] {
        assert_eq!(ignored(field, value), [named]);
    }
    for (field, value) in [
        ("store", json!(false)),
        ("truncation", json!("disabled")),
        ("service_tier", json!("auto")),
        ("service_tier", json!("flex")),
        ("background", json!(false)),
        ("stream_options", json!({"include_obfuscation": false})),
        ("text", json!({"format": {"type": "text"}, "verbosity": "medium"})),
    ] {
        assert_eq!(ignored(field, value), [""; 0], "{field}");
    }
    assert_eq!(echoed(&with("store", json!(true)).unwrap())["store"], false);
    assert_eq!(echoed(&with("truncation", json!("auto")).unwrap())["truncation"], "disabled");
    for (asked, runs) in [("flex", "flex"), ("priority", "default"), ("auto", "default")] {
        assert_eq!(echoed(&with("service_tier", json!(asked)).unwrap())["service_tier"], runs);
    }
}

#[test]
fn wrong_types_and_ranges_name_the_field() {
    for (field, value, param) in [
        ("temperature", json!(3), "temperature"),
        ("max_output_tokens", json!(0), "max_output_tokens"),
        ("top_logprobs", json!(21), "top_logprobs"),
        ("truncation", json!("most"), "truncation"),
        ("store", json!("yes"), "store"),
        ("instructions", json!(["a"]), "instructions"),
        ("text", json!({"format": {"type": "xml"}}), "text.format.type"),
        ("text", json!({"format": {"type": "json_schema", "name": "n"}}), "text.format.schema"),
        ("text", json!({"verbosity": "loud"}), "text.verbosity"),
        ("text", json!([]), "text"),
        ("reasoning", json!({"effort": "huge"}), "reasoning.effort"),
        ("reasoning", json!({"summary": "long"}), "reasoning.summary"),
        ("reasoning", json!({"effort": 5}), "reasoning.effort"),
        ("reasoning", json!(["low"]), "reasoning"),
        ("metadata", json!({"a": 1}), "metadata"),
        ("metadata", json!({"a".repeat(65): "b"}), "metadata"),
        ("user", json!(5), "user"),
        ("max_tool_calls", json!("two"), "max_tool_calls"),
        ("context_management", json!({}), "context_management"),
        ("context_management", json!(["compaction"]), "context_management"),
        ("prompt_cache_options", json!([]), "prompt_cache_options"),
        ("prompt_cache_retention", json!(24), "prompt_cache_retention"),
        ("logprobs", json!(5), "logprobs"),
        ("include", json!("all"), "include"),
        ("stream", json!("yes"), "stream"),
        ("input", json!(5), "input"),
        ("input", json!([]), "input"),
    ] {
        assert_eq!(refused(field, value).1, param);
    }
    let metadata: Value =
        (0..17).map(|nr| (nr.to_string(), json!("x"))).collect::<serde_json::Map<_, _>>().into();
    assert_eq!(refused("metadata", metadata).1, "metadata");
    for field in ["model", "input"] {
        let mut request = json!({"model": "tiny", "input": "hi"});
        request.as_object_mut().unwrap().remove(field);
        let error = parse(&request).unwrap_err();
        assert_eq!((error.code(), error.param()), (Code::MissingParameter, Some(field)));
    }
}

#[test]
fn what_reaches_into_engines_is_refused_here_too() {
    assert_eq!(
        refused("chat_template", json!("x")),
        (Code::UnsupportedParameter, "chat_template".to_owned())
    );
    for (twice, param) in
        [(r#""Model":"b""#, "model"), (r#""reasoning":{"effort":"low","effort":"high"}"#, "reasoning.effort")]
    {
        let body = format!(r#"{{"model":"a","input":"hi",{twice}}}"#);
        let error = parse_response(body.as_bytes(), &Limits::default()).unwrap_err();
        assert_eq!((error.code(), error.param()), (Code::InvalidRequest, Some(param)));
    }
}

#[test]
fn what_codex_sends_is_understood() {
    // Its request to a provider of the user's own for a model that it does not know, with an MCP server; from openai/codex.
    let read = parse(&json!({
        "model": "tiny", "instructions": "You are Codex.", "input": [
            {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Sandboxed."}]},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "List files."}]},
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "ls"}], "encrypted_content": null},
            {"type": "function_call", "name": "exec_command", "arguments": "{\"cmd\":\"ls\"}", "call_id": "call_1"},
            {"type": "function_call", "name": "read", "namespace": "mcp__fs", "arguments": "{}", "call_id": "call_2"},
            {"type": "function_call_output", "call_id": "call_1", "output": "a.txt"},
            {"type": "function_call_output", "call_id": "call_2",
             "output": [{"type": "input_text", "text": "b"}, {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}]},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "a.txt"}]},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Thanks."}]},
        ],
        "tools": [
            {"type": "function", "name": "exec_command", "description": "Runs.", "strict": false,
             "parameters": {"type": "object", "properties": {"cmd": {"type": "string"}}, "additionalProperties": false}},
            {"type": "web_search", "external_web_access": false},
            {"type": "namespace", "name": "mcp__fs", "description": "Tools in the mcp__fs namespace.", "tools": [
                {"type": "function", "name": "read", "description": "Reads.", "strict": false, "parameters": {"type": "object"}},
            ]},
        ],
        "tool_choice": "auto", "parallel_tool_calls": true, "reasoning": {"summary": "auto"}, "store": false, "stream": true,
        "include": ["reasoning.encrypted_content"], "prompt_cache_key": "0199", "client_metadata": {"x": "y"},
    }))
    .unwrap();
    let roles: Vec<Role> = read.chat.messages.iter().map(|message| message.role).collect();
    use Role::{Assistant, System, Tool, User};
    assert_eq!(roles, [System, User, Assistant, Tool, Tool, Assistant, User]);
    assert_eq!(read.chat.messages[0].text, "You are Codex.\n\nSandboxed.");
    let turn = &read.chat.messages[2];
    assert_eq!((turn.reasoning.as_deref(), &*turn.text.get()), (Some("ls"), ""));
    let calls: Vec<&str> = turn.tool_calls.iter().map(|call| call.name.as_str()).collect();
    assert_eq!(calls, ["exec_command", "mcp__fs__read"]);
    assert_eq!(read.chat.messages[4].images.len(), 1);
    let tools: Vec<&str> = read.chat.tools.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(tools, ["exec_command", "mcp__fs__read"]);
    assert_eq!(read.chat.tool_choice, ToolChoice::Auto);
    let mut named = read.ignored.clone();
    named.sort();
    assert_eq!(
        named,
        [
            "client_metadata",
            "include:reasoning.encrypted_content",
            "tools[1]:web_search",
            "tools[2].description",
        ]
    );
    let shown = echoed(&read)["tools"].clone();
    assert_eq!(shown.as_array().unwrap().len(), 2, "what is not there is not shown as taken: {shown}");
}

#[test]
fn what_nobody_reads_of_items_parts_and_tools_is_named() {
    let body = json!({
        "model": "m",
        "input": [
            {"role": "user", "content": "a"},
            {"type": "message", "role": "assistant", "phase": "commentary", "id": "msg_1", "status": "completed", "content": [
                {"type": "output_text", "text": "b", "annotations": [{"type": "x"}], "logprobs": [], "foo": 1}]},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}", "phase": "x", "id": "fc_1"},
            {"type": "function_call_output", "call_id": "c", "output": "d", "id": "fco_1", "bar": 1},
        ],
        "tools": [{"type": "function", "name": "f", "strict": true, "bar": 1},
            {"type": "web_search", "filters": {"a": 1}},
            {"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "g", "bar": 1, "strict": false}]}],
    });
    let read = parse(&body).unwrap();
    let names = ["input.bar", "input.phase", "input.content.foo", "tools.bar", "tools.tools.bar"];
    assert!(names.iter().all(|name| read.ignored.iter().any(|named| named == name)), "{:?}", read.ignored);
    assert_eq!(read.ignored.len(), names.len() + 1, "and the search: {:?}", read.ignored);
}

#[test]
fn what_stands_inside_of_fields_and_changes_nothing_is_named() {
    let body = json!({
        "model": "m",
        "input": [{"role": "user", "content": [
            {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "high"}]}],
        "stream_options": {"include_obfuscation": true},
        "text": {"format": {"type": "json_schema", "name": "a", "schema": {}, "description": "An a."}},
    });
    let read = parse(&body).unwrap();
    assert_eq!(read.ignored, ["stream_options.include_obfuscation"]);
    assert_eq!(
        read.unheeded,
        ["text.format.description", "input.content.detail"],
        "but by a server of OpenAI's API, which is given it"
    );
    let body = json!({
        "model": "m", "input": "a", "stream_options": {"include_usage": true, "include_obfuscation": false, "none": null},
        "reasoning": {"effort": "low", "summary": "auto", "generate_summary": "auto", "context": "auto", "mode": "standard",
            "max_tokens": 5, "enabled": true},
        "text": {"verbosity": "medium", "form": 1, "format": {"type": "json_schema", "name": "a", "schema": {}, "strict": true,
            "description": "", "grammar": "x"}},
    });
    let mut named = parse(&body).unwrap().ignored;
    named.sort();
    assert_eq!(named, ["reasoning.enabled", "reasoning.max_tokens", "text.form", "text.format.grammar"]);
    let error = parse(&json!({"model": "m", "input": "a", "stream_options": "x"})).unwrap_err();
    assert_eq!(error.param(), Some("stream_options"));
}

#[test]
fn what_nobody_reads_of_a_choice_is_named() {
    let body = |choice: Value| json!({"model": "m", "input": "a", "tools": [{"type": "function", "name": "f"}], "tool_choice": choice});
    let named = |choice: Value| parse(&body(choice)).unwrap().ignored;
    let of_a_function = json!({"type": "function", "name": "f", "strict": true, "namespace": null});
    assert_eq!(named(of_a_function), ["tool_choice.strict"]);
    let tools = json!([{"type": "function", "name": "f", "description": "x"}]);
    let allowed = json!({"type": "allowed_tools", "mode": "auto", "tools": tools, "reason": "x"});
    assert_eq!(named(allowed), ["tool_choice.reason", "tool_choice.tools.description"]);
    for plain in [json!("auto"), json!({"type": "function", "name": "f"})] {
        assert_eq!(named(plain), [""; 0]);
    }
}

#[test]
fn the_same_prompt_is_as_long_as_in_a_chat() {
    let (said, schema) = ("Is it \"na\u{ef}ve\"?\n", json!({"type": "object", "properties": {}}));
    let chat = json!({
        "model": "m",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": said},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]},
            {"role": "assistant", "content": null, "reasoning": "Hm.", "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}}]},
            {"role": "tool", "tool_call_id": "1", "content": "done"},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "description": "F.", "parameters": schema}}],
    });
    let response = json!({
        "model": "m",
        "instructions": "Be brief.",
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": said},
                {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}]},
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]},
            {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{\"a\":1}"},
            {"type": "function_call_output", "call_id": "1", "output": "done"},
        ],
        "tools": [{"type": "function", "name": "f", "description": "F.", "parameters": schema}],
    });
    let passed = inspect(chat.to_string().as_bytes(), &Limits::default()).unwrap();
    let tool = chat["tools"][0].to_string().len();
    let bytes = "Be brief.".len() + said.len() + "Hm.".len() + "{\"a\":1}".len() + "done".len() + tool;
    assert_eq!(
        (passed.prompt_bytes, parse(&response).unwrap().chat.prompt_bytes()),
        (bytes as u64, bytes as u64)
    );
}
