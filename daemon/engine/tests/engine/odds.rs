//! Seeds, and how likely each token was.

use crate::message;
use crate::support::Engine;
use crate::weather;
use serde_json::{Value, json};

/// A story of a model that is led by chance.
fn story(engine: &Engine, more: &Value) -> String {
    let mut fields = json!({"temperature": 1.5, "max_tokens": 60});
    fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let reply = engine.chat("Tell me a story.", &fields);
    if more["stream"] == true {
        let chunks = reply.chunks();
        return chunks.iter().filter_map(|c| c["choices"][0]["delta"]["content"].as_str()).collect();
    }
    message(&reply)["content"].as_str().unwrap().to_owned()
}

#[test]
fn the_same_seed_gives_the_same_answer_whatever_was_asked_before_and_however_it_comes() {
    let engine = Engine::start(&[]);
    let first = story(&engine, &json!({"seed": 7}));
    assert_eq!(engine.chat("Count from 3 to 9.", &json!({})).status, 200);
    assert_eq!(story(&engine, &json!({"seed": 7})), first);
    assert_eq!(story(&engine, &json!({"seed": 7, "stream": true})), first);
    assert_eq!(story(&engine, &json!({"seed": 7, "logprobs": true, "top_logprobs": 3})), first);
    assert_ne!(story(&engine, &json!({"seed": 8})), first);
    // Of 64 bits and below nothing, as OpenAI's may be.
    for seed in [i64::MAX, -1] {
        assert_eq!(story(&engine, &json!({"seed": seed})), story(&engine, &json!({"seed": seed})));
    }
    let cut =
        json!({"seed": 7, "top_k": 40, "top_p": 0.9, "presence_penalty": 0.5, "frequency_penalty": 0.5});
    assert_eq!(story(&engine, &cut), story(&engine, &cut));
    // Another process says the same.
    assert_eq!(story(&Engine::start(&[]), &json!({"seed": 7})), first);
}

#[test]
fn without_a_seed_chance_decides() {
    let engine = Engine::start(&[]);
    let stories: std::collections::HashSet<String> = (0..8).map(|_| story(&engine, &json!({}))).collect();
    assert!(stories.len() > 1, "{stories:?}");
}

/// The bytes of a list of tokens, and their text.
fn text(tokens: &[Value]) -> String {
    let bytes = tokens.iter().flat_map(|token| token["bytes"].as_array().unwrap());
    String::from_utf8(bytes.map(|byte| u8::try_from(byte.as_u64().unwrap()).unwrap()).collect()).unwrap()
}

#[test]
fn the_odds_of_each_token_are_told_whole_and_in_a_stream() {
    let engine = Engine::start(&[]);
    let wanted = json!({"logprobs": true, "top_logprobs": 3});
    let answer = engine.chat("What is the capital of France?", &wanted).json();
    let choice = &answer["choices"][0];
    let tokens = choice["logprobs"]["content"].as_array().unwrap();
    assert_eq!(choice["logprobs"]["refusal"], Value::Null);
    assert_eq!(text(tokens), choice["message"]["content"].as_str().unwrap());
    // The token that ends the turn is counted, if at all, but not told.
    assert_eq!(tokens.len() as u64, answer["usage"]["completion_tokens"].as_u64().unwrap());
    for token in tokens {
        let likeliest = token["top_logprobs"].as_array().unwrap();
        let logs: Vec<f64> = likeliest.iter().map(|other| other["logprob"].as_f64().unwrap()).collect();
        assert_eq!(logs.len(), 3);
        assert!(logs.windows(2).all(|pair| pair[0] >= pair[1]) && logs[0] <= 0.0, "{logs:?}");
        let sum: f64 = logs.iter().map(|log| log.exp()).sum();
        assert!(sum <= 1.0 + 1e-5, "{logs:?}");
        // At temperature 0 the likeliest is said.
        for name in ["token", "bytes", "logprob"] {
            assert_eq!(token[name], likeliest[0][name]);
        }
    }
    let chunks = engine
        .chat("What is the capital of France?", &json!({"logprobs": true, "top_logprobs": 3, "stream": true}))
        .chunks();
    let mut streamed = Vec::new();
    for choice in chunks.iter().map(|chunk| &chunk["choices"][0]) {
        let part = choice["logprobs"]["content"].as_array().cloned().unwrap_or_default();
        if let Some(content) = choice["delta"]["content"].as_str() {
            assert_eq!(text(&part), content);
        }
        streamed.extend(part);
    }
    assert_eq!(&streamed, tokens);
}

#[test]
fn the_odds_are_the_models_own_whatever_cuts_and_temperature_make_of_them() {
    let engine = Engine::start(&[]);
    let first = |more: &Value| {
        let answer = engine.chat("Tell me a story.", more).json();
        answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"].clone()
    };
    let plain = first(&json!({"logprobs": true, "top_logprobs": 5, "max_tokens": 1}));
    let hot = json!({"logprobs": true, "top_logprobs": 5, "max_tokens": 1, "temperature": 2, "top_k": 2, "seed": 1});
    assert_eq!(first(&hot), plain);
    let none = first(&json!({"logprobs": true, "max_tokens": 1}));
    assert_eq!(none, json!([]));
}

#[test]
fn only_what_is_shown_as_content_has_odds() {
    let engine = Engine::start(&[]);
    let choice = |text: &str, more: &Value| {
        let mut fields = json!({"logprobs": true});
        fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        engine.chat(text, &fields).json()["choices"][0].clone()
    };
    let thought = choice("What is the capital of Norway? /think", &json!({}));
    assert!(thought["message"]["reasoning_content"].is_string(), "{thought}");
    assert_eq!(
        text(thought["logprobs"]["content"].as_array().unwrap()).trim_start(),
        thought["message"]["content"].as_str().unwrap()
    );
    let called = choice("What is the weather in Paris?", &json!({"tools": weather()}));
    assert_eq!(called["finish_reason"], "tool_calls", "{called}");
    assert_eq!(called["logprobs"]["content"], json!([]));
    let stopped = choice("Count from 1 to 10.", &json!({"stop": " 4"}));
    let told = text(stopped["logprobs"]["content"].as_array().unwrap());
    assert!(told.starts_with("1, 2, 3,") && told.len() <= "1, 2, 3, 4".len(), "{told}");
    let unasked = engine.chat("Hello", &json!({})).json();
    assert_eq!(unasked["choices"][0]["logprobs"], Value::Null);
}

#[test]
fn no_alternatives_may_be_asked_for_where_no_odds_are() {
    let engine = Engine::start(&[]);
    for more in [json!({"top_logprobs": 0}), json!({"logprobs": false, "top_logprobs": 0})] {
        let reply = engine.chat("Hello", &more);
        assert_eq!(reply.status, 200, "{}", reply.body);
        assert_eq!(reply.json()["choices"][0]["logprobs"], Value::Null);
    }
    let refused = engine.chat("Hello", &json!({"top_logprobs": 1}));
    assert_eq!((refused.status, &refused.json()["error"]["param"]), (400, &json!("top_logprobs")));
}
