//! What Ollama is sent.

use serde_json::{Value, json};

use super::*;
use crate::chat::Sampling;

fn sent(request: &CompletionRequest) -> Value {
    serde_json::from_slice(&generate_body(request, "tiny:latest")).unwrap()
}

#[test]
fn a_text_goes_as_it_is_with_openai_s_own_limit() {
    let request = CompletionRequest { prompt: "a \"b\"".to_owned(), ..CompletionRequest::default() };
    let expected = json!({
        "model": "tiny:latest", "prompt": "a \"b\"", "raw": true, "stream": true, "truncate": false, "think": false,
        "options": {"num_predict": 16},
    });
    assert_eq!(sent(&request), expected);
}

#[test]
fn all_that_can_be_said() {
    let request = CompletionRequest {
        prompt: "def f(".to_owned(),
        suffix: Some("return".to_owned()),
        echo: true,
        sampling: Sampling { temperature: Some(0.0), seed: Some(7), ..Sampling::default() },
        stop: vec!["x".to_owned()],
        max_tokens: Some(5),
        logprobs: Some(2),
        num_ctx: Some(512),
        keep_alive: Some(-1),
    };
    let expected = json!({
        "model": "tiny:latest", "prompt": "def f(", "suffix": "return", "raw": false, "stream": true, "truncate": false,
        "think": false, "logprobs": true, "top_logprobs": 2, "keep_alive": -1,
        "options": {"temperature": 0.0, "seed": 7, "num_predict": 5, "num_ctx": 512, "stop": ["x"]},
    });
    assert_eq!(sent(&request), expected);
    assert!(sent(&CompletionRequest { logprobs: Some(0), ..request }).get("top_logprobs").is_none());
}
