//! What engines' refusals mean.

use super::*;

#[test]
fn a_request_that_no_engine_could_take_is_told_so() {
    for (status, body, code, param) in [
        // As recorded (024), and as a prompt that is too long is told.
        (
            400,
            r#"{"error":"registry.invalid.x/library/tiny:latest does not support insert"}"#,
            Code::UnsupportedParameter,
            "suffix",
        ),
        (
            400,
            r#"{"error":"the input length exceeds the context length"}"#,
            Code::ContextLengthExceeded,
            "prompt",
        ),
        (400, r#"{"error":"\"tiny-embed\" does not support generate"}"#, Code::InvalidValue, "model"),
        (404, r#"{"detail":"Not Found"}"#, Code::InvalidValue, "model"),
        (501, "{}", Code::InvalidValue, "model"),
    ] {
        let error = refusal(&BackendFault::answered(status, body.as_bytes()), "tiny").unwrap();
        assert_eq!((error.code(), error.param()), (code, Some(param)), "{body}");
        assert!(!error.message().contains("registry"), "{error}");
    }
}

#[test]
fn what_is_the_engine_s_own_failure_stays_one() {
    let missing = BackendFault::answered(404, br#"{"error":"model 'a' not found"}"#);
    for fault in [missing, BackendFault::answered(500, b"{}"), BackendFault::EndedEarly] {
        assert_eq!(refusal(&fault, "tiny"), None, "{fault:?}");
    }
}

#[test]
fn what_a_client_says_stays_and_thinking_is_nothing_of_it() {
    let sampling = Sampling { temperature: Some(0.5), seed: Some(1), ..Sampling::default() };
    let defaults =
        Defaults { sampling, max_tokens: Some(7), num_ctx: Some(512), keep_alive: Some(-1), think: None };
    let own = Sampling { temperature: Some(0.0), ..Sampling::default() };
    let mut request = CompletionRequest { sampling: own, ..CompletionRequest::default() };
    request.fill(&defaults);
    assert_eq!(request.sampling, Sampling { temperature: Some(0.0), ..sampling });
    assert_eq!((request.max_tokens, request.num_ctx, request.keep_alive), (Some(7), Some(512), Some(-1)));
    let mut request = CompletionRequest { max_tokens: Some(3), ..CompletionRequest::default() };
    request.fill(&defaults);
    assert_eq!(request.max_tokens, Some(3));
}
