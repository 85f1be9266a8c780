//! Templates against strings written by hand; the comparison with Python is `tests/templates.py`.

use super::messages::render;
use super::*;
use crate::limits::Limits;
use crate::wire::messages::flatten;
use serde_json::json;

fn text(source: &str, messages: &serde_json::Value) -> Result<String, TemplateError> {
    text_on(Paper::ENDLESS, source, messages)
}

fn text_on(paper: Paper<'_>, source: &str, messages: &serde_json::Value) -> Result<String, TemplateError> {
    let template = ChatTemplate::new(source, Limits::default().template_work, OffsetDateTime::UNIX_EPOCH)?;
    let flat = flatten(messages.as_array().unwrap().clone()).unwrap();
    let conversation = Conversation {
        messages: &flat,
        tools: None,
        documents: None,
        add_generation_prompt: true,
        bos_token: "<s>",
        eos_token: "</s>",
        extra: &serde_json::Map::new(),
    };
    render(&template, &conversation, paper)
}

fn hello() -> serde_json::Value {
    json!([{"role": "user", "content": "hi <é> \"q\""}])
}

#[test]
fn the_work_of_a_rendering_passes_and_with_one_unit_less_it_does_not() {
    let source = "{% for i in range(50) %}{{ messages[0].content }}{% endfor %}";
    let (messages, extra) = ([json!({"role": "user", "content": "hi"})], serde_json::Map::new());
    let conversation = Conversation {
        messages: &messages,
        tools: None,
        documents: None,
        add_generation_prompt: false,
        bos_token: "",
        eos_token: "",
        extra: &extra,
    };
    let render = |work: u64| {
        let template = ChatTemplate::new(source, work, OffsetDateTime::UNIX_EPOCH)?;
        template.render(&conversation, Paper::ENDLESS)
    };
    let least = (1..10_000).find(|work| render(*work).is_ok()).unwrap();
    assert_eq!(render(least).unwrap(), "hi".repeat(50));
    assert!(least > 50 && matches!(render(least - 1), Err(TemplateError::Spent)), "{least}");
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
fn no_failure_repeats_the_conversation() {
    let secret = json!([{"role": "user", "content": "MY-SECRET"}]);
    for source in [
        "{{ raise_exception('no: ' + messages[0].content) }}",
        "{{ messages[0].content - 1 }}",
        "{{ messages[0].content | int }}",
        "{{ messages[0].content() }}",
        "{{ messages[0][messages[0].content]() }}",
        "{{ strftime_now('%' + messages[0].content) }}",
        "{{ namespace(a=1) | tojson(indent=messages[0].content, no=1) }}",
        "{{ messages[0].content.nothing.more }}",
        "{% include messages[0].content %}",
        "{{ messages[0].content.format(**messages[0]).no_such() }}",
    ] {
        let error = text(source, &secret).map_or_else(|error| error.to_string(), |_| String::new());
        assert!(!error.contains("SECRET"), "{source}: {error}");
    }
    let error = text("{{ raise_exception('no: ' + messages[0].content) }}", &secret).unwrap_err().to_string();
    assert_eq!(error, "invalid operation (line 1 of the template)");
}

#[test]
fn a_text_ends_where_its_paper_does_or_its_reader_leaves() {
    let source = "{% for i in range(1000) %}ab{% endfor %}";
    let always = || true;
    let paper = |most| Paper { most, wanted: &always };
    assert_eq!(text_on(paper(2000), source, &hello()).unwrap().len(), 2000);
    assert!(matches!(text_on(paper(1999), source, &hello()), Err(TemplateError::TooLong)));
    let asked = std::cell::Cell::new(0);
    let twice = || asked.replace(asked.get() + 1) < 2;
    let left = text_on(Paper { most: 2000, wanted: &twice }, source, &hello());
    assert!(matches!(left, Err(TemplateError::Unwanted)), "{left:?}");
    // No further piece was made, and no other wrapping was tried.
    assert_eq!(asked.get(), 3);
}

#[test]
fn an_endless_template_runs_out_of_fuel() {
    let endless = "{% for i in range(100000) %}{% for j in range(100000) %}x{% endfor %}{% endfor %}";
    assert!(matches!(text(endless, &hello()), Err(TemplateError::Spent)));
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
