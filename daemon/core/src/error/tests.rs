//! Every code has its one rendering, and what an engine says is judged before it is passed on.

use super::{ApiError, BackendFault, Code, Stage, classify, classify_within};
use crate::dialect::recorded::ERRORS;

fn json(error: &ApiError) -> serde_json::Value {
    serde_json::from_slice(&error.body()).unwrap()
}

#[test]
fn every_code_has_its_status_type_and_text() {
    let table: Vec<String> = Code::ALL
        .iter()
        .map(|code| format!("{} {} {}", code.status().as_u16(), code.kind(), code.text().unwrap_or("null")))
        .collect();
    let expected = "\
404 invalid_request_error model_not_found
401 invalid_request_error invalid_api_key
503 server_error backend_unavailable
504 server_error backend_timeout
502 server_error backend_error
503 server_error queue_full
503 server_error overloaded
503 server_error gpu_thermal
400 invalid_request_error context_length_exceeded
400 invalid_request_error null
400 invalid_request_error invalid_json
400 invalid_request_error missing_required_parameter
400 invalid_request_error invalid_type
400 invalid_request_error invalid_value
400 invalid_request_error unsupported_parameter
429 rate_limit_error rate_limit_exceeded
403 permission_error forbidden
404 invalid_request_error unknown_url
405 invalid_request_error method_not_allowed
408 invalid_request_error request_timeout
413 invalid_request_error payload_too_large
415 invalid_request_error unsupported_media_type
421 invalid_request_error misdirected_request
431 invalid_request_error header_too_large
414 invalid_request_error uri_too_long
404 invalid_request_error not_found
409 invalid_request_error conflict
403 permission_error request_cancelled
507 server_error state_unwritable
504 server_error still_going
500 server_error internal_error";
    assert_eq!(table.join("\n"), expected);
}

#[test]
fn all_codes_are_listed_once() {
    let distinct: std::collections::HashSet<_> = Code::ALL.iter().collect();
    assert_eq!(distinct.len(), Code::ALL.len());
}

#[test]
fn every_constructor_gives_its_code_and_hints() {
    let cases: Vec<(ApiError, Code, Option<&str>, Option<u32>)> = vec![
        (ApiError::model_not_found("x"), Code::ModelNotFound, Some("model"), None),
        (ApiError::invalid_api_key("No key."), Code::InvalidApiKey, None, None),
        (ApiError::new(Code::NotFound, "None."), Code::NotFound, None, None),
        (ApiError::new(Code::Conflict, "There."), Code::Conflict, None, None),
        (ApiError::new(Code::RequestCancelled, "Ended."), Code::RequestCancelled, None, None),
        (ApiError::backend_unavailable("Down.", 5), Code::BackendUnavailable, None, Some(5)),
        (ApiError::backend_timeout("Late."), Code::BackendTimeout, None, None),
        (ApiError::backend_error("Bad."), Code::BackendError, None, None),
        (ApiError::queue_full(2), Code::QueueFull, None, Some(2)),
        (ApiError::overloaded("memory"), Code::Overloaded, None, Some(5)),
        (ApiError::gpu_thermal(30), Code::GpuThermal, None, Some(30)),
        (ApiError::context_length_exceeded("Long."), Code::ContextLengthExceeded, Some("messages"), None),
        (ApiError::invalid_request("No."), Code::InvalidRequest, None, None),
        (ApiError::invalid_json("x", 1, 2), Code::InvalidJson, None, None),
        (ApiError::missing("model"), Code::MissingParameter, Some("model"), None),
        (ApiError::invalid_type("n", "a number"), Code::InvalidType, Some("n"), None),
        (ApiError::invalid_value("n", "1"), Code::InvalidValue, Some("n"), None),
        (ApiError::unsupported("n", "Why."), Code::UnsupportedParameter, Some("n"), None),
        (ApiError::rate_limited("Slow.", 7), Code::RateLimited, None, Some(7)),
        (ApiError::forbidden("No."), Code::Forbidden, None, None),
        (ApiError::route_not_found("GET", "/x", "Why."), Code::RouteNotFound, None, None),
        (ApiError::method_not_allowed("PUT", "GET"), Code::MethodNotAllowed, None, None),
        (ApiError::request_timeout(), Code::RequestTimeout, None, None),
        (ApiError::payload_too_large(9), Code::PayloadTooLarge, None, None),
        (ApiError::unsupported_media_type("JSON."), Code::UnsupportedMediaType, None, None),
        (ApiError::misdirected("names"), Code::Misdirected, None, None),
        (ApiError::header_too_large(), Code::HeaderTooLarge, None, None),
        (ApiError::uri_too_long(), Code::UriTooLong, None, None),
        (ApiError::state_unwritable(), Code::StateUnwritable, None, None),
        (ApiError::new(Code::StillGoing, "Slow."), Code::StillGoing, None, None),
        (ApiError::internal(), Code::Internal, None, None),
    ];
    assert_eq!(cases.len(), Code::ALL.len());
    for (error, code, param, retry) in cases {
        assert_eq!((error.code(), error.param(), error.retry_after()), (code, param, retry), "{error}");
        let body = json(&error);
        let object = body["error"].as_object().unwrap();
        let keys: Vec<_> = object.keys().map(String::as_str).collect();
        let mut sorted = keys.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, ["code", "message", "param", "type"], "{error}");
        assert!(error.message().len() > 1);
    }
}

#[test]
fn the_body_and_the_stream_event_hold_the_same_object() {
    let error = ApiError::missing("model");
    let body = r#"{"error":{"message":"The field 'model' is required.","type":"invalid_request_error","param":"model","code":"missing_required_parameter"}}"#;
    assert_eq!(error.body(), body);
    assert_eq!(error.stream_event(), format!("data: {body}\n\n"));
    assert_eq!(
        ApiError::invalid_request("a").body(),
        r#"{"error":{"message":"a","type":"invalid_request_error","param":null,"code":null}}"#
    );
}

#[test]
fn a_clients_own_text_is_cut_and_stays_on_one_line() {
    let error = ApiError::model_not_found(&format!("a\n\nb{}", "x".repeat(5000)));
    assert!(error.message().len() < 300);
    assert_eq!(error.stream_event().iter().filter(|&&byte| byte == b'\n').count(), 2);
}

#[test]
fn a_wrong_method_says_which_are_right() {
    assert_eq!(ApiError::method_not_allowed("PUT", "GET, HEAD").allow(), Some("GET, HEAD"));
    assert_eq!(ApiError::internal().allow(), None);
}

#[test]
fn every_fault_has_its_answer() {
    let status = |fault: BackendFault| {
        let error = ApiError::from(fault);
        (error.status().as_u16(), error.code().text().unwrap(), error.retry_after())
    };
    let detail = || "connect 127.0.0.1:11434: refused".to_owned();
    assert_eq!(status(BackendFault::Unreachable { detail: detail() }), (503, "backend_unavailable", Some(5)));
    assert_eq!(status(BackendFault::Full { detail: detail() }), (503, "overloaded", Some(5)));
    assert_eq!(status(BackendFault::NoMemory), (503, "overloaded", Some(5)));
    assert_eq!(
        status(BackendFault::Timeout { stage: Stage::Connect }),
        (503, "backend_unavailable", Some(5))
    );
    assert_eq!(status(BackendFault::Timeout { stage: Stage::FirstByte }), (504, "backend_timeout", None));
    assert_eq!(status(BackendFault::Timeout { stage: Stage::Idle }), (504, "backend_timeout", None));
    assert_eq!(status(BackendFault::Died { detail: detail() }), (502, "backend_error", None));
    assert_eq!(status(BackendFault::EndedEarly), (502, "backend_error", None));
    assert_eq!(status(BackendFault::garbage("<html>")), (502, "backend_error", None));
    assert_eq!(status(BackendFault::TooLong { limit: 7 }), (502, "backend_error", None));
    assert_eq!(status(BackendFault::ErrorLine { message: "x".into() }), (502, "backend_error", None));
    assert_eq!(status(BackendFault::answered(503, b"busy")), (503, "queue_full", Some(2)));
    let again = |code: u16, seconds| {
        ApiError::from(BackendFault::answered(code, b"busy").again_after(Some(seconds))).retry_after()
    };
    assert_eq!(
        (again(429, 7), again(503, 7), again(400, 7)),
        (Some(7), Some(7), None),
        "the engine knows best"
    );
    assert_eq!((again(429, 0), again(429, 1_000_000)), (Some(2), Some(3600)));
}

#[test]
fn no_detail_of_a_fault_reaches_the_client() {
    let secret = "10.1.2.3:9 /home/x 0xdeadbeef00";
    // The log has the causes, which are ours to word, and not what a backend wrote.
    for (fault, is_logged) in [
        (BackendFault::Unreachable { detail: secret.into() }, true),
        (BackendFault::Full { detail: secret.into() }, true),
        (BackendFault::Died { detail: secret.into() }, true),
        (BackendFault::garbage(secret), true),
        (BackendFault::ErrorLine { message: secret.into() }, false),
        (BackendFault::answered(500, secret.as_bytes()), false),
        (BackendFault::answered(400, secret.as_bytes()), false),
    ] {
        assert_eq!(fault.to_string().contains("10.1.2.3"), is_logged, "{fault}");
        let error = ApiError::from(fault);
        assert!(!error.message().contains("10.1.2.3"), "{error}");
    }
}

#[test]
fn recorded_errors_are_understood() {
    let table: Vec<String> = ERRORS
        .iter()
        .map(|recording| {
            let (name, status) = recording.name.rsplit_once('.').unwrap();
            let name = name.trim_start_matches("errors/");
            let error = ApiError::from(BackendFault::answered(status.parse().unwrap(), recording.bytes));
            let code = error.code().text().unwrap_or("null");
            format!("{name} {status} -> {} {code} {}", error.status().as_u16(), error.param().unwrap_or("-"))
        })
        .collect();
    let expected = "\
llama-image 500 -> 400 invalid_value messages
llama-no-route 404 -> 502 backend_error -
llama-overflow 400 -> 400 context_length_exceeded messages
llama-wrong-type 400 -> 400 null temperature
ollama-bad-json 400 -> 400 null -
ollama-busy 503 -> 503 queue_full -
ollama-died 500 -> 502 backend_error -
ollama-image 500 -> 400 invalid_value messages
ollama-overflow 400 -> 400 context_length_exceeded messages
ollama-think 400 -> 400 unsupported_parameter reasoning_effort
ollama-top-logprobs 400 -> 400 null top_logprobs
ollama-unknown-model 404 -> 404 model_not_found model
transformers-bad-json 422 -> 400 null -
transformers-crash 500 -> 502 backend_error -
transformers-unknown-field 422 -> 400 null x_unknown
transformers-unknown-model 400 -> 404 model_not_found model
vllm-max-tokens 400 -> 400 null max_tokens
vllm-method 405 -> 502 backend_error -
vllm-overflow 400 -> 400 context_length_exceeded messages
vllm-unknown-model 404 -> 404 model_not_found model
vllm-wrong-type 400 -> 400 null temperature";
    assert_eq!(table.join("\n"), expected);
}

#[test]
fn the_field_is_the_client_s_wherever_an_engine_names_it() {
    let param = |body: serde_json::Value| {
        let error = ApiError::from(BackendFault::answered(400, body.to_string().as_bytes()));
        error.param().map(str::to_owned)
    };
    for (place, field) in [
        ("body.messages.0.ChatCompletionDeveloperMessageParam.content", Some("messages[0].content")),
        (
            "body.messages.12.function-after[f(), X].content.list[Union].1.image_url",
            Some("messages[12].content[1].image_url"),
        ),
        ("body.stop.list[str].0", Some("stop[0]")),
        ("body.temperature", Some("temperature")),
        ("messages[0].content[1].image_url", Some("messages[0].content[1].image_url")),
        ("input[0][12]", Some("input[0][12]")),
        ("messages[x].role", Some("role")),
        ("top_p", Some("top_p")),
        ("body.ChatCompletionRequest", None),
        ("", None),
    ] {
        let told = param(serde_json::json!({"error": {"message": "No.", "param": place}}));
        assert_eq!(told.as_deref(), field, "{place}");
    }
    let detail =
        |place: serde_json::Value| param(serde_json::json!({"detail": [{"msg": "No.", "loc": place}]}));
    let place = serde_json::json!(["body", "messages", 0, "User", "content", "str"]);
    assert_eq!(detail(place).as_deref(), Some("messages[0].content"));
    for nowhere in [serde_json::json!(["body"]), serde_json::json!(["body", 31])] {
        assert_eq!(detail(nowhere), None);
    }
    for (words, field) in [
        ("'messages' is required", Some("messages")),
        ("Field 'temperature': type must be number, but is string", Some("temperature")),
        ("Unexpected fields in the request: {'x_unknown', 'y'}", Some("x_unknown")),
        ("n must be 1 when using greedy sampling, got 2.", Some("n")),
        ("top_logprobs must be between 0 and 20", Some("top_logprobs")),
        ("it must be so", None),
        ("Field 'a b': no", None),
        ("'messages' is required, and more", None),
    ] {
        let told = param(serde_json::json!({"error": {"message": words, "code": 400}}));
        assert_eq!(told.as_deref(), field, "{words}");
    }
}

#[test]
fn a_nested_overflow_keeps_its_numbers() {
    let body = ERRORS.iter().find(|recording| recording.name.contains("ollama-overflow")).unwrap().bytes;
    let error = ApiError::from(BackendFault::answered(400, body));
    assert!(error.message().contains("12009 tokens") && error.message().contains("2048"), "{error}");
    assert!(!error.message().contains('{'), "{error}");
}

#[test]
fn what_leaks_is_replaced_and_what_helps_is_kept() {
    for leak in [
        "heap at 0x7f3a12345678",
        "cannot open /home/user/model.gguf",
        "cannot open '/var/lib/x'",
        "Traceback (most recent call last)",
        "dial tcp 127.0.0.1:11434: connect: connection refused",
        "see http://10.0.0.1/x",
        "peer [fe80::1]:80 gone",
        "File \"x\", line 3",
        "C:\\models\\x",
        "bell \u{7}",
        "",
        "{}",
        "500",
    ] {
        assert!(!classify(500, leak).message().contains(leak) || leak.is_empty(), "{leak}");
        assert!(classify(500, leak).message().len() > 10);
    }
    for text in ["the model hf-internal/tiny-chat1 failed", "either/or", "out of memory: 3.5 GiB wanted"] {
        assert_eq!(classify(500, text).message(), text);
    }
    assert!(!classify(400, &"x".repeat(5000)).message().contains("xxx"));
}

#[test]
fn what_an_engine_names_in_openais_words_keeps_its_name() {
    for code in ["missing_required_parameter", "invalid_type", "invalid_value", "unsupported_parameter"] {
        let body = format!(
            r#"{{"error":{{"message":"No.","type":"invalid_request_error","param":"n","code":"{code}"}}}}"#
        );
        let error = classify(400, &body);
        assert_eq!(
            (error.code().text(), error.param(), error.status().as_u16()),
            (Some(code), Some("n"), 400)
        );
    }
    // A word of its own, or one that would say more than a refused request.
    for code in ["engines_own", "internal_error", "invalid_api_key"] {
        assert_eq!(
            classify(400, &format!(r#"{{"error":{{"message":"No.","code":"{code}"}}}}"#)).code().text(),
            None
        );
    }
}

#[test]
fn our_own_key_refused_is_not_the_clients_fault() {
    assert_eq!(classify(401, r#"{"error":"unauthorized"}"#).code(), Code::BackendError);
    assert_eq!(classify(403, "").code(), Code::BackendError);
}

#[test]
fn an_engine_that_is_busy_is_told_from_one_that_is_not_ready() {
    for (status, body, code) in [
        (
            503,
            r#"{"error":{"message":"server busy, please try again.","type":"api_error"}}"#,
            Code::QueueFull,
        ),
        (503, r#"{"object":"error","message":"The request queue is full.","code":503}"#, Code::QueueFull),
        (503, r#"{"error":{"message":"Try later.","type":"server_overloaded"}}"#, Code::QueueFull),
        (503, r#"{"error":{"message":"Slow down.","code":"QueueOverflowError"}}"#, Code::QueueFull),
        (429, r#"{"error":"Model is overloaded","error_type":"overloaded"}"#, Code::RateLimited),
        (
            503,
            r#"{"error":{"message":"Loading model","type":"unavailable_error"}}"#,
            Code::BackendUnavailable,
        ),
        (503, "", Code::BackendUnavailable),
        (500, r#"{"error":"the queue's thread has died"}"#, Code::BackendError),
    ] {
        let error = classify(status, body);
        assert_eq!(error.code(), code, "{body}");
        assert_eq!(error.retry_after().is_some(), code != Code::BackendError, "{body}");
    }
}

#[test]
fn an_error_within_an_answer_has_the_status_that_it_names() {
    for (body, code) in [
        (r#"{"error":{"message":"The request queue is full.","code":503}}"#, Code::QueueFull),
        (r#"{"error":{"message":"The request queue is full."},"code":503}"#, Code::QueueFull),
        (r#"{"error":{"message":"Loading model","code":503}}"#, Code::BackendUnavailable),
        (r#"{"error":{"message":"n must be 1","code":400}}"#, Code::InvalidRequest),
        // What is no status of an error is none.
        (r#"{"error":{"message":"n must be 1","code":200}}"#, Code::BackendError),
        (r#"{"error":{"message":"n must be 1","code":70000}}"#, Code::BackendError),
        (r#"{"error":{"message":"n must be 1","code":"400"}}"#, Code::BackendError),
        (r#"{"error":"The request queue is full."}"#, Code::BackendError),
    ] {
        assert_eq!(classify_within(body).code(), code, "{body}");
        assert_eq!(ApiError::from(BackendFault::ErrorLine { message: body.into() }).code(), code, "{body}");
    }
    // The status of a whole answer is what it says in its head.
    assert_eq!(
        classify(500, r#"{"error":{"message":"Loading model","code":503}}"#).code(),
        Code::BackendError
    );
}

#[test]
fn what_a_model_cannot_do_names_the_field_and_who_can() {
    for (words, param, told) in [
        ("\"tiny:latest\" does not support thinking", "reasoning_effort", "capability thinking"),
        ("registry.ollama.ai/library/tiny:latest does not support tools", "tools", "capability tools"),
        ("\"tiny-embed:latest\" does not support chat", "model", "capability completion"),
    ] {
        let error = classify(400, &serde_json::json!({"error": words}).to_string());
        assert_eq!((error.code(), error.param()), (Code::UnsupportedParameter, Some(param)), "{words}");
        assert!(error.message().contains(told) && error.message().contains("/v1/models"), "{error}");
    }
}

#[test]
fn other_statuses_keep_their_meaning() {
    assert_eq!(classify(429, "").code(), Code::RateLimited);
    assert_eq!(classify(413, "").code(), Code::PayloadTooLarge);
    assert_eq!(classify(504, "").code(), Code::BackendTimeout);
    let loading =
        classify(503, r#"{"error":{"message":"Loading model","type":"unavailable_error","code":503}}"#);
    assert_eq!((loading.code(), loading.message()), (Code::BackendUnavailable, "Loading model"));
}

#[test]
fn a_name_is_another_where_it_is_a_word_by_itself() {
    for (text, wanted) in [
        ("\"tiny:latest\" does not support thinking", "\"gpt\" does not support thinking"),
        ("tiny:latest", "gpt"),
        ("xtiny:latest, tiny:latestx, a-tiny:latest", "xtiny:latest, tiny:latestx, a-tiny:latest"),
        ("tiny:latest and tiny:latest.", "gpt and gpt."),
    ] {
        let error = ApiError::new(Code::InvalidValue, text).with_param("model").renamed("tiny:latest", "gpt");
        assert_eq!((error.message(), error.param()), (wanted, Some("model")));
    }
    assert_eq!(ApiError::new(Code::InvalidValue, "a b").renamed("", "x").message(), "a b");
}
