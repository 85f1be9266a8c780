//! Templates against strings written by hand; the comparison with Python is `tests/templates.py`.

use super::messages::{flatten, render};
use super::*;
use serde_json::json;

fn text(source: &str, messages: &serde_json::Value) -> Result<String, TemplateError> {
    let template = ChatTemplate::new(source, OffsetDateTime::UNIX_EPOCH)?;
    let flat = flatten(messages.as_array().unwrap()).unwrap();
    let conversation = Conversation {
        messages: &flat,
        tools: None,
        documents: None,
        add_generation_prompt: true,
        bos_token: "<s>",
        eos_token: "</s>",
        extra: &serde_json::Map::new(),
    };
    render(&template, &conversation)
}

fn hello() -> serde_json::Value {
    json!([{"role": "user", "content": "hi <é> \"q\""}])
}

#[test]
fn tojson_is_pythons() {
    let source = "{{ messages[0] | tojson }}|{{ {'b': 1.0, 'a': [none, true]} | tojson(sort_keys=true) }}|{{ [] | tojson(indent=2) }}|{{ {'a': [1]} | tojson(indent=2) }}";
    assert_eq!(
        text(source, &hello()).unwrap(),
        "{\"role\": \"user\", \"content\": \"hi <é> \\\"q\\\"\"}|{\"a\": [null, true], \"b\": 1.0}|[]|{\n  \"a\": [\n    1\n  ]\n}"
    );
}

#[test]
fn generation_tags_render_their_body() {
    assert_eq!(
        text("a {%- generation -%} b {% endgeneration %} c {{ bos_token }}", &hello()).unwrap(),
        "ab  c <s>"
    );
}

#[test]
fn raise_exception_reaches_the_caller_with_its_line() {
    let error =
        text("\n{{ raise_exception('System role not supported') }}", &hello()).unwrap_err().to_string();
    assert_eq!(error, "System role not supported (line 2 of the template)");
}

#[test]
fn an_endless_template_runs_out_of_fuel() {
    assert!(
        text("{% for i in range(100000) %}{% for j in range(100000) %}x{% endfor %}{% endfor %}", &hello())
            .is_err()
    );
}

#[test]
fn time_is_what_was_passed_in() {
    assert_eq!(text("{{ strftime_now('%d %b %Y') }}", &hello()).unwrap(), "01 Jan 1970");
}

#[test]
fn arguments_reach_templates_as_objects_and_else_as_strings() {
    let call = json!([{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{\"a\": 1}"}}]}]);
    let wants_object = "{{ messages[0].tool_calls[0].function.arguments | tojson }}";
    assert_eq!(text(wants_object, &call).unwrap(), "{\"a\": 1}");
    let wants_string = "{{ '<' + messages[0].tool_calls[0].function.arguments + '>' }}";
    assert_eq!(text(wants_string, &call).unwrap(), "<{\"a\": 1}>");
}
