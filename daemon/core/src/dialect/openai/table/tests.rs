//! What the table says of a request.

use serde_json::{Value, json};

use super::*;
use crate::error::Code;

fn wanted(body: &Value) -> Wanted {
    let text = body.to_string();
    Wanted::of(&Fields::read(text.as_bytes(), 256).unwrap())
}

#[test]
fn every_row_stands_once_and_its_name_may_be_shown() {
    for (place, row) in ROWS.iter().enumerate() {
        assert!(may_be_shown(row.name), "{}", row.name);
        assert!(!ROWS[place + 1..].iter().any(|other| other.name == row.name), "{} stands twice", row.name);
        // A word that is refused of all clients would never get here.
        super::super::refused::check(row.name).unwrap();
    }
}

/// Every field of OpenAI's API description of 2026 for chat completions, and those inside of one that have another fate than it.
#[test]
fn every_field_of_openai_s_has_a_row() {
    let official = [
        "audio",
        "frequency_penalty",
        "function_call",
        "functions",
        "logit_bias",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "messages",
        "metadata",
        "modalities",
        "model",
        "moderation",
        "n",
        "parallel_tool_calls",
        "prediction",
        "presence_penalty",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "reasoning_effort",
        "response_format",
        "safety_identifier",
        "seed",
        "service_tier",
        "stop",
        "store",
        "stream",
        "stream_options",
        "stream_options.include_obfuscation",
        "temperature",
        "tool_choice",
        "tools",
        "tools.function.strict",
        "top_logprobs",
        "top_p",
        "user",
        "verbosity",
        "web_search_options",
    ];
    let mut rows: Vec<&str> = ROWS.iter().filter(|row| row.official).map(|row| row.name).collect();
    rows.sort_unstable();
    assert_eq!(rows, official);
}

#[test]
fn what_matters_and_cannot_be_had_is_refused_by_name() {
    for (field, value) in [
        ("audio", json!({"voice": "x"})),
        ("modalities", json!(["text", "audio"])),
        ("modalities", json!("audio")),
        ("functions", json!([])),
        ("function_call", json!("auto")),
        ("moderation", json!({})),
        ("web_search_options", json!({})),
    ] {
        let wanted = wanted(&json!({ field: value }));
        for behind in Behind::ALL {
            let error = wanted.check(behind).unwrap_err();
            assert_eq!((error.code(), error.param()), (Code::UnsupportedParameter, Some(field)), "{value}");
        }
    }
    for (field, value) in [
        ("logit_bias", json!({"5": 1})),
        ("guided_json", json!({"type": "object"})),
        ("guided_regex", json!("[a-z]")),
        ("grammar", json!("root ::= \"a\"")),
        ("format", json!("json")),
    ] {
        let wanted = wanted(&json!({ field: value }));
        for behind in [Behind::Ollama, Behind::Engine] {
            assert_eq!(wanted.check(behind).unwrap_err().param(), Some(field));
        }
        assert!(wanted.check(Behind::OpenAi).is_ok(), "{field}");
    }
}

#[test]
fn what_is_harmless_is_named() {
    let body = json!({
        "model": "m", "messages": [], "user": "a secret", "metadata": {"a": "b"}, "store": true, "modalities": ["text"],
        "logit_bias": {}, "num_ctx": 8192, "service_tier": "auto", "temperature": 1, "verbosity": null, "think": false,
        "cache_prompt": true, "n": 1, "parallel_tool_calls": true,
    });
    let wanted = wanted(&body);
    for behind in Behind::ALL {
        assert!(wanted.check(behind).is_ok());
    }
    // serde_json sorts the fields; the table's own order is what is said.
    let common = "metadata, modalities, service_tier, store, user";
    let of = |behind| wanted.ignored(behind).unwrap();
    assert_eq!(of(Behind::Ollama), format!("logit_bias, {common}, num_ctx, cache_prompt"));
    assert_eq!(of(Behind::OpenAi), "modalities, store");
    assert_eq!(of(Behind::Engine), format!("logit_bias, {common}, num_ctx, cache_prompt"));
}

#[test]
fn what_is_kept_is_not_named() {
    let of = |body: Value, behind| wanted(&body).ignored(behind);
    for behind in Behind::ALL {
        assert_eq!(of(json!({"store": false}), behind), None, "nothing is stored");
        assert_eq!(of(json!({"store": true}), behind).as_deref(), Some("store"));
        assert_eq!(of(json!({"service_tier": "flex"}), behind), None, "it is heeded");
        assert_eq!(of(json!({"stream_options": {"include_obfuscation": false}}), behind), None);
        assert_eq!(of(json!({"stream_options": {"include_obfuscation": null}}), behind), None);
    }
    let padded = json!({"stream_options": {"include_usage": true, "include_obfuscation": true}});
    let named = Some("stream_options.include_obfuscation");
    assert_eq!(of(padded.clone(), Behind::Ollama).as_deref(), named);
    assert_eq!(of(padded.clone(), Behind::Engine).as_deref(), named);
    assert_eq!(of(padded, Behind::OpenAi), None, "it has been given it");
}

#[test]
fn what_stands_in_no_row_can_be_refused() {
    assert!(wanted(&json!({"model": "m", "user": "u", "x": null})).check_known("Why.").is_ok());
    let error = wanted(&json!({"model": "m", "input_type": "query"})).check_known("Why.").unwrap_err();
    assert_eq!((error.code(), error.param()), (Code::UnsupportedParameter, Some("input_type")));
    assert!(error.message().ends_with("Why."), "{}", error.message());
    let unshown = wanted(&json!({"model": "m", "a b": 1})).check_known("Why.").unwrap_err();
    assert!(unshown.message().contains("not known here. Why."), "{}", unshown.message());
}

#[test]
fn a_plain_request_says_nothing() {
    let body =
        json!({"model": "m", "messages": [], "stream": true, "stream_options": {}, "tools": [], "seed": 1});
    for behind in Behind::ALL {
        assert_eq!(wanted(&body).ignored(behind), None);
    }
}

#[test]
fn names_of_any_making_break_no_header() {
    let mut body = json!({"a\r\nset-cookie: x": 1, "": 2, "naïve": 3, "with space": 4, "a,b": 5});
    body["l".repeat(NAME_BYTES)] = json!(1);
    body["l".repeat(NAME_BYTES + 1)] = json!(1);
    let said = wanted(&body).ignored(Behind::Ollama).unwrap();
    assert_eq!(said, format!("{}, +6", "l".repeat(NAME_BYTES)));
    assert_eq!(wanted(&body).ignored(Behind::OpenAi), None, "it has been given them");
    let mut many = json!({"user": "x", "metadata": {}});
    for nr in 0..100 {
        many[format!("field{nr:03}")] = json!(nr);
    }
    let said = wanted(&many).ignored(Behind::Ollama).unwrap();
    assert!(said.starts_with("metadata, user, field000, ") && said.ends_with(", field013, +86"), "{said}");
    assert!(said.len() <= NAMES * (NAME_BYTES + 2) + 8);
    assert_eq!(wanted(&json!({"\u{1}": 1})).ignored(Behind::Engine).unwrap(), "+1");
}
