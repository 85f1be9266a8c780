//! Which tools are taken, which are left out and said so, and which are refused.

use serde_json::{Value, json};

use crate::chat::ToolChoice;
use crate::config::Limits;
use crate::dialect::responses::{ResponseRequest, parse_response};
use crate::error::{ApiError, Code};

fn parse(tools: Value, choice: Value) -> Result<ResponseRequest, ApiError> {
    let mut body = json!({"model": "m", "input": "hi"});
    (body["tools"], body["tool_choice"]) = (tools, choice);
    parse_response(body.to_string().as_bytes(), &Limits::default())
}

fn refused(tools: Value, choice: Value) -> (Code, String) {
    let error = parse(tools, choice).unwrap_err();
    (error.code(), error.param().unwrap_or_default().to_owned())
}

fn function(name: &str) -> Value {
    json!({"type": "function", "name": name})
}

#[test]
fn a_function_has_the_form_of_a_chat_s() {
    let flat = json!({"type": "function", "name": "f", "description": "Does.", "strict": true,
        "parameters": {"type": "object", "properties": {"a": {"type": "string"}}}});
    let read = parse(json!([flat, function("g")]), Value::Null).unwrap();
    let written = |place: usize| serde_json::from_str::<Value>(read.chat.tools[place].raw.get()).unwrap();
    assert_eq!(
        written(0),
        json!({"type": "function", "function": {"name": "f", "description": "Does.", "strict": true,
            "parameters": {"type": "object", "properties": {"a": {"type": "string"}}}}})
    );
    assert_eq!(written(1), json!({"type": "function", "function": {"name": "g"}}));
}

#[test]
fn a_tool_of_plain_text_tells_the_model_what_the_text_must_look_like() {
    let grammar = json!({"type": "grammar", "syntax": "lark", "definition": "start: \"x\""});
    let read = parse(
        json!([{"type": "custom", "name": "p", "description": "Patches.", "format": grammar}]),
        Value::Null,
    )
    .unwrap();
    let tool: Value = serde_json::from_str(read.chat.tools[0].raw.get()).unwrap();
    let description = tool["function"]["description"].as_str().unwrap();
    assert_eq!(description, "Patches.\n\nThe input must follow this lark grammar:\nstart: \"x\"");
    assert_eq!(tool["function"]["parameters"]["required"], json!(["input"]));
    assert_eq!(read.ignored, ["tools[0].format"]);
    let read =
        parse(json!([{"type": "custom", "name": "p", "format": {"type": "text"}}]), Value::Null).unwrap();
    assert_eq!(read.ignored, [""; 0]);
    for format in [json!({"type": "grammar"}), json!({"type": "regex"}), json!("text")] {
        assert_eq!(
            refused(json!([{"type": "custom", "name": "p", "format": format}]), Value::Null).1,
            "tools[0].format"
        );
    }
}

#[test]
fn what_openai_would_run_is_left_out_beside_functions_and_refused_alone() {
    for kind in ["web_search", "web_search_preview", "image_generation", "tool_search"] {
        let hosted = json!({"type": kind});
        let read = parse(json!([hosted, function("f")]), Value::Null).unwrap();
        assert_eq!((read.chat.tools.len(), read.ignored), (1, vec![format!("tools[0]:{kind}")]));
        let alone = (Code::UnsupportedParameter, "tools[0].type".to_owned());
        assert_eq!(refused(json!([hosted]), Value::Null), alone);
        let chosen = (Code::UnsupportedParameter, "tool_choice.type".to_owned());
        assert_eq!(refused(json!([hosted, function("f")]), hosted), chosen);
    }
    for kind in [
        "file_search",
        "computer_use_preview",
        "code_interpreter",
        "mcp",
        "local_shell",
        "shell",
        "apply_patch",
    ] {
        let refusal = (Code::UnsupportedParameter, "tools[1].type".to_owned());
        assert_eq!(refused(json!([function("f"), {"type": kind}]), Value::Null), refusal);
    }
}

#[test]
fn choices() {
    let tools = || json!([function("f"), function("g"), {"type": "namespace", "name": "n", "tools": [function("f")]}]);
    let chosen = |choice: Value| parse(tools(), choice).unwrap().chat.tool_choice;
    assert_eq!(chosen(Value::Null), ToolChoice::Auto);
    assert_eq!(chosen(json!("auto")), ToolChoice::Auto);
    assert_eq!(chosen(json!("none")), ToolChoice::None);
    assert_eq!(chosen(json!("required")), ToolChoice::Required);
    assert_eq!(chosen(function("g")), ToolChoice::Function("g".to_owned()));
    let inside = json!({"type": "function", "name": "f", "namespace": "n"});
    assert_eq!(chosen(inside), ToolChoice::Function("n__f".to_owned()));
    let allowed = json!({"type": "allowed_tools", "mode": "required", "tools": [function("g")]});
    let read = parse(tools(), allowed).unwrap();
    assert_eq!((read.chat.tools.len(), read.chat.tools[0].name.as_str()), (1, "g"));
    assert_eq!(read.chat.tool_choice, ToolChoice::Required);
    for (choice, param) in [
        (json!("any"), "tool_choice"),
        (json!(5), "tool_choice"),
        (function("h"), "tool_choice.name"),
        (json!({"type": "function"}), "tool_choice.name"),
        (json!({"type": "mcp"}), "tool_choice.type"),
        (
            json!({"type": "allowed_tools", "mode": "auto", "tools": [function("h")]}),
            "tool_choice.tools[0].name",
        ),
    ] {
        assert_eq!(refused(tools(), choice).1, param);
    }
    let none = json!({"type": "allowed_tools", "mode": "required", "tools": []});
    for choice in [json!("required"), none] {
        let tools = if choice.is_string() { json!([]) } else { tools() };
        assert_eq!(refused(tools, choice).1, "tool_choice");
    }
}

#[test]
fn what_is_wrong_with_a_tool_is_named() {
    for (tools, param) in [
        (json!(5), "tools"),
        (json!(["f"]), "tools[0]"),
        (json!([{"type": "function"}]), "tools[0].name"),
        (json!([{"type": "function", "name": ""}]), "tools[0].name"),
        (json!([{"type": "function", "name": "f", "parameters": []}]), "tools[0].parameters"),
        (json!([function("f"), function("f")]), "tools[1].name"),
        (json!([{"type": "namespace", "tools": []}]), "tools[0].name"),
        (json!([{"type": "namespace", "name": "n", "tools": [{"type": "mcp"}]}]), "tools[0].tools[0].type"),
    ] {
        assert_eq!(refused(tools, Value::Null).1, param);
    }
    let twice = br#"{"model":"m","input":"a","tools":[{"type":"function","name":"f","name":"g"}]}"#;
    let twice = parse_response(twice, &Limits::default()).unwrap_err();
    assert_eq!(twice.param(), Some("tools[0].name"));
    assert!(twice.message().contains("is there twice: send it once"), "{twice}");
    let many: Vec<Value> = (0..129).map(|nr| function(&format!("f{nr}"))).collect();
    assert!(parse(json!(many[..128]), Value::Null).is_ok());
    assert_eq!(refused(json!(many), Value::Null).1, "tools");
    // Wherever they stand, and before each is held against all others.
    let inside = |tools: &[Value]| json!([function("f"), {"type": "namespace", "name": "n", "tools": tools}]);
    assert!(parse(inside(&many[..127]), Value::Null).is_ok());
    assert_eq!(refused(inside(&many[..128]), Value::Null).1, "tools");
    assert_eq!(refused(json!(vec![json!({"type": "web_search"}); 129]), Value::Null).1, "tools");
    let allowed = json!({"type": "allowed_tools", "tools": vec![function("f0"); 129]});
    assert_eq!(refused(json!(many[..1]), allowed).1, "tool_choice.tools");
    let mut later = function("f");
    later["defer_loading"] = json!(true);
    assert_eq!(parse(json!([later]), Value::Null).unwrap().ignored, ["tools[0].defer_loading"]);
}
