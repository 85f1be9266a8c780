//! Errors in the words of whoever speaks Responses.

use serde_json::json;

use super::{Echo, parse_response};
use crate::config::Limits;
use crate::error::{ApiError, Code};

/// The echo of a request with two plain functions and two in a namespace, of which not all are taken.
fn echo() -> Echo {
    let function = |name: &str| json!({"type": "function", "name": name, "parameters": {"type": "object"}});
    let allowed =
        json!([{"type": "function", "name": "b"}, {"type": "function", "name": "d", "namespace": "n"}]);
    let body = json!({
        "model": "m", "input": "hi",
        "tools": [
            {"type": "web_search"}, function("a"), function("b"),
            {"type": "namespace", "name": "n", "tools": [function("c"), function("d")]},
        ],
        "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": allowed},
    });
    parse_response(body.to_string().as_bytes(), &Limits::default()).unwrap().echo
}

fn in_own_words(error: ApiError) -> ApiError {
    super::in_own_words(error, &echo())
}

#[test]
fn a_chat_s_field_has_its_own_name_here() {
    for (theirs, own) in [
        ("messages", "input"),
        ("messages[0].content[1]", "input"),
        ("messages[2].tool_calls[0].function.arguments", "input"),
        ("max_tokens", "max_output_tokens"),
        ("max_completion_tokens", "max_output_tokens"),
        ("reasoning_effort", "reasoning.effort"),
        ("think", "reasoning.effort"),
        ("logprobs", "include"),
        ("response_format", "text.format"),
        ("response_format.type", "text.format.type"),
        ("response_format.json_schema", "text.format"),
        ("response_format.json_schema.schema", "text.format.schema"),
        ("response_format.json_schema.schema.properties.a", "text.format.schema.properties.a"),
        // The first of those that were taken is the third that was sent.
        ("tools[0]", "tools[2]"),
        ("tools[0].type", "tools[2].type"),
        ("tools[0].function", "tools[2]"),
        ("tools[0].functions", "tools[2].functions"),
        ("tools[1].function.parameters", "tools[3].tools[1].parameters"),
        ("tools[1].function.parameters.a.function", "tools[3].tools[1].parameters.a.function"),
        ("tool_choice", "tool_choice"),
        ("tool_choice.function.name", "tool_choice.name"),
    ] {
        let error = in_own_words(ApiError::invalid_value(theirs, "good"));
        assert_eq!(error.param(), Some(own), "{theirs}");
        assert_eq!(error.message(), format!("The field '{own}' must be good."), "{theirs}");
        assert_eq!(error.code(), Code::InvalidValue);
    }
}

#[test]
fn our_own_engine_s_sentences_have_the_names_that_their_client_knows() {
    for (theirs, said, own) in [
        (
            "messages[1].content[0]",
            "messages[1].content[0] is of a type image_url, but this engine reads text only",
            "input is of a type input_image, but this engine reads text only",
        ),
        (
            "response_format",
            "The schema in response_format is too large",
            "The schema in text.format is too large",
        ),
        (
            "tools[0].function.parameters",
            "tools[0].function.parameters has a word that cannot be kept",
            "tools[2].parameters has a word that cannot be kept",
        ),
    ] {
        let error = in_own_words(ApiError::invalid_request(said).with_param(theirs));
        assert_eq!(error.message(), own);
    }
}

#[test]
fn every_other_field_keeps_its_name() {
    for field in [
        "input",
        "input[1].content",
        "temperature",
        "tools",
        "tools[2]",
        "tools[x].function",
        "model",
        "messages_of_mine",
        "max_tokens_of_mine",
        "",
    ] {
        let error = ApiError::missing(field);
        assert_eq!(in_own_words(error.clone()), error, "{field}");
    }
    let error = ApiError::invalid_request("No field.");
    assert_eq!(in_own_words(error.clone()), error);
}

#[test]
fn words_that_are_no_name_of_a_field_stay() {
    let said = "The messages of 'messages' and their tools: 'messages[0]' has none.";
    let error = in_own_words(ApiError::invalid_request(said).with_param("messages"));
    assert_eq!(error.message(), "The messages of 'input' and their tools: 'messages[0]' has none.");
}
