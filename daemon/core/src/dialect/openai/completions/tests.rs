//! Requests for completions, and what clients get.

use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};

use super::super::{StreamRepair, check_whole, check_whole_completion};
use super::*;
use crate::chat::{ChatEvent, Defaults, FinishReason, Sampling, Usage};
use crate::dialect::ollama::ChatDecoder;
use crate::dialect::recorded::completions::{GENERATE, GENERATE_LENGTH, GENERATE_LOGPROBS, STREAMS, WHOLE};
use crate::error::Code;

fn inspect(body: &Value) -> Result<Passed, ApiError> {
    inspect_completion(body.to_string().as_bytes(), &Limits::default())
}

fn request(more: Value) -> Value {
    let mut body = json!({"model": "m", "prompt": "This program"});
    if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
        body.extend(more);
    }
    body
}

fn parse(more: Value) -> Result<CompletionRequest, ApiError> {
    parse_completion(request(more).to_string().as_bytes(), &Limits::default())
}

#[test]
fn every_form_of_a_prompt_is_taken() {
    for (prompt, count) in [
        (json!("a"), 1),
        (json!(""), 1),
        (json!(["a", "", "c"]), 3),
        (json!([1, 2, 3]), 1),
        (json!([[1, 2], [3]]), 2),
        (json!(vec!["a"; 128]), 128),
    ] {
        let passed = inspect(&request(json!({ "prompt": prompt }))).unwrap();
        assert_eq!((passed.choices, passed.samples()), (count, 1), "{prompt}");
        assert!(passed.completes() && !passed.one_call);
    }
    let passed =
        inspect(&request(json!({"prompt": ["a", "b"], "n": 3, "parallel_tool_calls": false}))).unwrap();
    assert_eq!((passed.choices, passed.samples(), passed.one_call), (6, 3, false));
}

#[test]
fn a_prompt_s_length_is_that_of_all_its_texts_and_ids() {
    for (more, bytes) in [
        (json!({}), 12),
        (json!({"prompt": ["This program", "The licence"], "n": 2}), 23),
        (json!({"suffix": " end"}), 16),
        // By the token, four bytes.
        (json!({"prompt": [[1, 2000], [3]]}), 12),
        (json!({"prompt": [100, 200]}), 8),
    ] {
        let body = request(more);
        assert_eq!(inspect(&body).unwrap().prompt_bytes, bytes, "{body}");
    }
}

#[test]
fn a_streamed_completion_is_counted_whatever_its_client_has_asked_for() {
    let body = r#"{"model":"m","prompt":["a","b"],"stream":true}"#;
    let passed = inspect_completion(body.as_bytes(), &Limits::default()).unwrap();
    let asking = passed.asking(&Bytes::from(body), "new", &Defaults::default(), true);
    let sent: Value = serde_json::from_slice(&asking.body).unwrap();
    let expected = json!({"model": "new", "prompt": ["a", "b"], "stream": true, "max_tokens": 16,
        "stream_options": {"include_usage": true}});
    assert!(asking.asks() && sent == expected, "{sent}");
    assert_eq!(asking.without(), Some(passed.with(&Bytes::from(body), "new", &Defaults::default())));
}

#[test]
fn what_is_wrong_is_named() {
    for (more, code, param) in [
        (json!({"prompt": null}), Code::MissingParameter, "prompt"),
        (json!({"model": null}), Code::MissingParameter, "model"),
        (json!({"prompt": []}), Code::InvalidValue, "prompt"),
        (json!({"prompt": 5}), Code::InvalidType, "prompt"),
        (json!({"prompt": {"prompt_string": "a"}}), Code::InvalidType, "prompt"),
        (json!({"prompt": [{}]}), Code::InvalidType, "prompt[0]"),
        (json!({"prompt": ["a", 1]}), Code::InvalidType, "prompt[1]"),
        (json!({"prompt": [1, "a"]}), Code::InvalidType, "prompt[1]"),
        (json!({"prompt": [[1], []]}), Code::InvalidValue, "prompt[1]"),
        (json!({"prompt": [-1]}), Code::InvalidType, "prompt[0]"),
        (json!({"prompt": vec!["a"; 129]}), Code::InvalidValue, "prompt"),
        (json!({"prompt": vec!["a"; 65], "n": 2}), Code::InvalidValue, "prompt"),
        (json!({"n": 0}), Code::InvalidValue, "n"),
        (json!({"n": 129}), Code::InvalidValue, "n"),
        (json!({"n": 3, "best_of": 2}), Code::InvalidValue, "best_of"),
        (json!({"best_of": "2"}), Code::InvalidType, "best_of"),
        (json!({"echo": 1}), Code::InvalidType, "echo"),
        (json!({"suffix": ["a"]}), Code::InvalidType, "suffix"),
        (json!({"logprobs": true}), Code::InvalidType, "logprobs"),
        (json!({"max_tokens": -2}), Code::InvalidValue, "max_tokens"),
        (json!({"seed": 1.5}), Code::InvalidType, "seed"),
        (json!({"stream": "yes"}), Code::InvalidType, "stream"),
        (json!({"prompt_embeds": "gASV"}), Code::UnsupportedParameter, "prompt_embeds"),
        (json!({"api_base": "x"}), Code::UnsupportedParameter, "api_base"),
    ] {
        let error = inspect(&request(more.clone())).unwrap_err();
        assert_eq!((error.code(), error.param()), (code, Some(param)), "{more}");
    }
}

#[test]
fn an_engine_of_one_text_at_a_time_is_not_asked_for_what_it_cannot() {
    let limits = Limits::default();
    for (more, code, param) in [
        (json!({"prompt": [1, 2]}), Code::UnsupportedParameter, "prompt"),
        (json!({"prompt": ["a", ""]}), Code::InvalidValue, "prompt"),
        (json!({"prompt": ["a", "b", "c", "d", "e"]}), Code::InvalidValue, "prompt"),
        (json!({"n": 5}), Code::InvalidValue, "n"),
        (json!({"n": 1, "best_of": 2}), Code::UnsupportedParameter, "best_of"),
        (json!({"echo": true, "logprobs": 0}), Code::UnsupportedParameter, "echo"),
        (json!({"logprobs": 6}), Code::InvalidValue, "logprobs"),
        (json!({"max_tokens": 0}), Code::InvalidValue, "max_tokens"),
        (json!({"max_tokens": -1}), Code::InvalidValue, "max_tokens"),
        (json!({"temperature": 3}), Code::InvalidValue, "temperature"),
        (json!({"stop": [""]}), Code::InvalidValue, "stop"),
        (json!({"logit_bias": {"5": 1}}), Code::UnsupportedParameter, "logit_bias"),
        (json!({"response_format": {"type": "json_object"}}), Code::UnsupportedParameter, "response_format"),
        (json!({"response_format": {}}), Code::UnsupportedParameter, "response_format"),
        (json!({"response_format": "text"}), Code::UnsupportedParameter, "response_format"),
    ] {
        let passed = inspect(&request(more.clone())).unwrap();
        let error = passed.taken(Behind::Ollama, &limits).unwrap_err();
        assert_eq!((error.code(), error.param()), (code, Some(param)), "{more}");
        assert_eq!(passed.taken(Behind::OpenAi, &limits), Ok(None), "{more}");
        // Our own engine says itself what is wrong with a value.
        let own = passed.taken(Behind::Engine, &limits).err();
        let refused = ["best_of", "logit_bias", "n", "response_format"].contains(&param)
            || more["prompt"].as_array().is_some_and(|list| list.len() > limits.choices);
        assert_eq!(own.as_ref().and_then(ApiError::param), refused.then_some(param), "{more}");
    }
    let fields = json!({"user": "u", "logit_bias": {}, "cache_prompt": true, "num_ctx": 5, "best_of": 1, "echo": false, "logprobs": 5,
        "response_format": {"type": "text"}, "stream_options": {"include_obfuscation": true}});
    let passed = inspect(&request(fields)).unwrap();
    for own in [Behind::Ollama, Behind::Engine] {
        let ignored = passed.taken(own, &limits).unwrap();
        assert_eq!(
            ignored.as_deref(),
            Some("logit_bias, stream_options.include_obfuscation, user, num_ctx, cache_prompt"),
            "{own:?}"
        );
    }
}

#[test]
fn what_would_change_a_completion_is_refused_where_it_comes_to_nothing() {
    let limits = Limits::default();
    let tools = json!([{"type": "function", "function": {"name": "f"}}]);
    for (field, value) in [("tools", tools), ("guided_json", json!({})), ("grammar", json!("a"))] {
        let passed = inspect(&request(json!({ field: value }))).unwrap();
        for behind in [Behind::Ollama, Behind::Engine] {
            assert_eq!(passed.taken(behind, &limits).unwrap_err().param(), Some(field), "{behind:?}");
        }
        assert_eq!(passed.taken(Behind::OpenAi, &limits), Ok(None), "{field}");
    }
    let named_otherwise = inspect(&request(json!({"max_completion_tokens": 5}))).unwrap();
    for behind in Behind::ALL {
        let error = named_otherwise.taken(behind, &limits).unwrap_err();
        assert_eq!(error.param(), Some("max_completion_tokens"), "{behind:?}");
    }
    // Nothing is called, so that nothing is asked for that is not promised.
    let chosen = inspect(&request(json!({"tool_choice": "required"}))).unwrap();
    assert!(!chosen.forces_call);
    assert_eq!(chosen.taken(Behind::Ollama, &limits).unwrap().as_deref(), Some("tool_choice"));
}

#[test]
fn all_fields_are_read() {
    let read = parse(json!({
        "suffix": "s", "echo": true, "temperature": 0.5, "top_p": 0.9, "seed": 7, "frequency_penalty": 1, "presence_penalty": -1,
        "stop": "x", "max_tokens": 5, "n": 1, "best_of": 1, "user": "u", "stream": true, "top_k": 3,
    }));
    let sampling = Sampling {
        temperature: Some(0.5),
        top_p: Some(0.9),
        top_k: Some(3),
        seed: Some(7),
        frequency_penalty: Some(1.0),
        presence_penalty: Some(-1.0),
        ..Sampling::default()
    };
    let expected = CompletionRequest {
        prompt: "This program".to_owned(),
        suffix: Some("s".to_owned()),
        echo: true,
        sampling,
        stop: vec!["x".to_owned()],
        max_tokens: Some(5),
        ..CompletionRequest::default()
    };
    assert_eq!(read, Ok(expected));
    let little = parse(json!({"suffix": "", "logprobs": 0})).unwrap();
    assert_eq!((little.suffix, little.logprobs, little.max_tokens), (None, Some(0), None));
    assert_eq!(parse(json!({"prompt": ["a"]})).unwrap().prompt, "a");
    assert_eq!(parse(json!({"prompt": ["a", "b"]})).unwrap_err().param(), Some("prompt"));
}

#[test]
fn only_the_model_s_name_and_openai_s_own_limit_are_new() {
    let body =
        Bytes::from_static(b"{ \"x\" : 1.0,\"prompt\":[ [1,2] , [3] ], \"model\":\"m\", \"echo\":true }");
    let passed = inspect_completion(&body, &Limits::default()).unwrap();
    assert_eq!(passed.with_model(&body, "m"), body);
    let sent = passed.with(&body, "n", &Defaults::default());
    assert_eq!(
        sent,
        "{\"max_tokens\":16, \"x\" : 1.0,\"prompt\":[ [1,2] , [3] ], \"model\":\"n\", \"echo\":true }"
    );
    let defaults =
        Defaults { max_tokens: Some(5), think: Some(crate::chat::Think::High), ..Defaults::default() };
    let sent = passed.with(&body, "m", &defaults);
    assert_eq!(
        sent,
        "{\"max_tokens\":5, \"x\" : 1.0,\"prompt\":[ [1,2] , [3] ], \"model\":\"m\", \"echo\":true }"
    );
    for said in ["\"max_tokens\":0", "\"max_tokens\":-1", "\"n_predict\":7"] {
        let body = Bytes::from(format!("{{\"model\":\"m\",\"prompt\":\"a\",{said}}}"));
        let passed = inspect_completion(&body, &Limits::default()).unwrap();
        assert_eq!(passed.with(&body, "m", &Defaults::default()), body);
    }
}

#[test]
fn each_answer_can_be_asked_for_by_itself() {
    let body = Bytes::from_static(br#"{"model":"m","prompt":["a \"b\"", "c"] ,"n":2,"seed":7}"#);
    let passed = inspect_completion(&body, &Limits::default()).unwrap();
    for (choice, expected) in [
        (0, r#"{"model":"m","prompt":"a \"b\"" ,"n":1,"seed":7}"#),
        (1, r#"{"model":"m","prompt":"a \"b\"" ,"n":1,"seed":8}"#),
        (2, r#"{"model":"m","prompt":"c" ,"n":1,"seed":7}"#),
        (3, r#"{"model":"m","prompt":"c" ,"n":1,"seed":8}"#),
    ] {
        let alone = passed.with_choice(&body, None, choice);
        assert_eq!(alone, expected);
        let again = passed.inspect_again(&alone, &Limits::default()).unwrap();
        assert_eq!((again.choices, again.completes()), (1, true));
    }
    let tokens = Bytes::from_static(br#"{"model":"m","prompt":[[1,2],[3]]}"#);
    let passed = inspect_completion(&tokens, &Limits::default()).unwrap();
    assert_eq!(passed.with_choice(&tokens, Some(5), 1), r#"{"seed":5,"model":"m","prompt":[3]}"#);
    // The best two of two are both of them; those of five are another matter.
    for (best, alone) in [(2, 1), (5, 5)] {
        let body =
            |n: u32, best: u32| format!("{{\"n\":{n},\"best_of\":{best},\"model\":\"m\",\"prompt\":\"a\"}}");
        let sent = Bytes::from(body(2, best));
        let passed = inspect_completion(&sent, &Limits::default()).unwrap();
        assert_eq!(passed.with_choice(&sent, None, 1), body(1, alone));
    }
}

/// The chunks of an Ollama's answer as a client gets them.
fn streamed(bytes: &[u8], echo: Option<&str>) -> Vec<Value> {
    let (mut decoder, mut events) = (ChatDecoder::completing(echo.map(str::to_owned), 1 << 20), Vec::new());
    for byte in bytes {
        decoder.feed(&[*byte], &mut events).unwrap();
    }
    decoder.finish(&mut events).unwrap();
    let (mut stream, mut out) = (CompletionStream::new("cmpl-1", 5, "m", true), BytesMut::new());
    events.iter().for_each(|event| stream.event(event, &mut out));
    stream.finish(&mut out);
    let text = String::from_utf8(out.to_vec()).unwrap();
    assert!(text.ends_with("\n\ndata: [DONE]\n\n"), "{text}");
    let data =
        text.split("\n\n").filter_map(|event| event.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
    data.map(|data| serde_json::from_str(data).unwrap()).collect()
}

fn whole(bytes: &[u8], echo: Option<&str>) -> Value {
    let (mut decoder, mut events) = (ChatDecoder::completing(echo.map(str::to_owned), 1 << 20), Vec::new());
    decoder.feed(bytes, &mut events).unwrap();
    decoder.finish(&mut events).unwrap();
    let mut whole = CompletionWhole::new("cmpl-1", 5, "m", 1 << 20);
    events.into_iter().for_each(|event| whole.event(event).unwrap());
    serde_json::from_slice(&whole.body().unwrap()).unwrap()
}

#[test]
fn an_ollama_s_recorded_answers_become_completions() {
    let chunks = streamed(GENERATE_LENGTH, None);
    let texts: String = chunks.iter().filter_map(|chunk| chunk["choices"][0]["text"].as_str()).collect();
    assert_eq!(texts, "There was a small storm in");
    let (counts, pieces) = chunks.split_last().unwrap();
    assert_eq!(
        (&counts["choices"], &counts["usage"]),
        (&json!([]), &json!({"prompt_tokens": 14, "completion_tokens": 6, "total_tokens": 20}))
    );
    assert_eq!(
        pieces[0],
        json!({"id": "cmpl-1", "object": "text_completion", "created": 5, "model": "m", "usage": null,
            "choices": [{"text": "There", "index": 0, "logprobs": null, "finish_reason": null}]})
    );
    let last = &pieces[pieces.len() - 1]["choices"][0];
    assert_eq!(last, &json!({"text": "", "index": 0, "logprobs": null, "finish_reason": "length"}));
    assert_eq!(
        whole(GENERATE, Some("Q: ")),
        json!({"id": "cmpl-1", "object": "text_completion", "created": 5, "model": "m",
            "choices": [{"text": "Q: The capital of France is Paris.", "index": 0, "logprobs": null, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 16, "completion_tokens": 11, "total_tokens": 27}})
    );
    assert_eq!(streamed(GENERATE, Some("Q: "))[0]["choices"][0]["text"], "Q: ");
}

#[test]
fn recorded_probabilities_stand_in_lists() {
    let whole = whole(GENERATE_LOGPROBS, None);
    let logprobs = &whole["choices"][0]["logprobs"];
    assert_eq!(logprobs["tokens"].as_array().unwrap().concat_texts(), whole["choices"][0]["text"]);
    assert_eq!(logprobs["tokens"][1], " capital");
    assert_eq!(
        (&logprobs["text_offset"][0], &logprobs["text_offset"][1], &logprobs["text_offset"][2]),
        (&json!(0), &json!(3), &json!(11))
    );
    assert_eq!(logprobs["token_logprobs"][0], json!(-0.000_126_846_731_291_152_54));
    let top = logprobs["top_logprobs"][0].as_object().unwrap();
    // Read back, the last digit may be another.
    let near = |name: &str, odds: f64| (top[name].as_f64().unwrap() - odds).abs() < 1e-12;
    assert!(top.len() == 2 && near("The", -0.000_126_846_731_291_152_54), "{top:?}");
    assert!(near("O", -11.804_825_782_775_879), "{top:?}");
    let length = |name: &str| logprobs[name].as_array().unwrap().len();
    assert!(
        ["tokens", "token_logprobs", "top_logprobs", "text_offset"].iter().all(|name| length(name) == 10),
        "{logprobs}"
    );
}

trait Texts {
    fn concat_texts(&self) -> String;
}

impl Texts for Vec<Value> {
    fn concat_texts(&self) -> String {
        self.iter().filter_map(Value::as_str).collect()
    }
}

#[test]
fn offsets_go_on_from_chunk_to_chunk() {
    let (mut stream, mut out) = (CompletionStream::new("cmpl-1", 5, "m", false), BytesMut::new());
    for (text, token) in [("é", "é"), ("bc", "bc"), ("d", "d")] {
        let logprobs = Some(format!(r#"[{{"token":"{token}","logprob":-1}}]"#).into());
        stream.event(&ChatEvent::Text { text: text.to_owned(), logprobs }, &mut out);
    }
    let text = String::from_utf8(out.to_vec()).unwrap();
    let offsets: Vec<&str> =
        text.split("\"text_offset\":").skip(1).map(|rest| rest.split(',').next().unwrap()).collect();
    assert_eq!(offsets, ["[0]", "[1]", "[3]"]);
}

#[test]
fn an_answer_without_an_end_is_none() {
    let (mut stream, mut out) = (CompletionStream::new("cmpl-1", 5, "m", true), BytesMut::new());
    stream.event(&ChatEvent::text("a"), &mut out);
    let before = out.len();
    stream.event(&ChatEvent::Usage(Usage::default()), &mut out);
    stream.finish(&mut out);
    assert_eq!(out.len(), before);
    stream.keep_alive(&mut out);
    assert!(out.ends_with(
        b"[{\"text\":\"\",\"index\":0,\"logprobs\":null,\"finish_reason\":null}],\"usage\":null}\n\n"
    ));
    let mut whole = CompletionWhole::new("cmpl-1", 5, "m", 3);
    assert!(whole.body().is_err());
    assert!(whole.event(ChatEvent::text("abc")).is_ok() && whole.event(ChatEvent::text("d")).is_err());
    whole.event(ChatEvent::Finish(FinishReason::Stop)).unwrap();
    assert!(whole.body().is_ok());
}

#[test]
fn recorded_streams_of_other_engines_pass_with_one_end() {
    for recording in STREAMS {
        for size in [1, 7, 1 << 20] {
            let (mut repair, mut out) = (StreamRepair::new(1 << 20, Some("asked")), BytesMut::new());
            for piece in recording.bytes.chunks(size) {
                repair.feed(piece, &mut out).unwrap();
            }
            repair.finish(&mut out).unwrap();
            let text = String::from_utf8(out.to_vec()).unwrap();
            assert_eq!(text.matches("[DONE]").count(), 1, "{}", recording.name);
            assert!(
                text.ends_with("data: [DONE]\n\n") && text.contains("\"text_completion\""),
                "{}",
                recording.name
            );
            assert!(
                text.contains("\"model\":\"asked\"") && !text.contains("\"model\":\"tiny"),
                "{}",
                recording.name
            );
            assert_eq!(repair.usage().map(|usage| usage.completion_tokens), Some(8), "{}", recording.name);
        }
    }
    for recording in WHOLE {
        let whole = check_whole(&Bytes::from_static(recording.bytes), Some("asked")).unwrap();
        let body: Value = serde_json::from_slice(&whole.body).unwrap();
        assert!(body["model"] == "asked" && whole.usage.is_some(), "{}: {body}", recording.name);
    }
}

#[test]
fn probabilities_in_a_chat_s_form_stand_in_a_completion_s() {
    let recorded = WHOLE.iter().find(|recording| recording.name.starts_with("llama-server")).unwrap();
    let body = Bytes::from_static(recorded.bytes);
    let whole: Value =
        serde_json::from_slice(&check_whole_completion(&body, Some("asked")).unwrap().body).unwrap();
    let choice = &whole["choices"][0];
    assert_eq!((&whole["model"], &choice["text"]), (&json!("asked"), &json!(" to the fre")));
    assert_eq!(choice["logprobs"]["tokens"], json!([" to", " the", " f", "re"]));
    assert_eq!(choice["logprobs"]["text_offset"], json!([0, 3, 7, 9]));
    assert_eq!(choice["logprobs"]["token_logprobs"][0], json!(-2.012_375_831_604_004));
    assert_eq!(
        choice["logprobs"]["top_logprobs"][1],
        json!({" the": -1.456_986_308_097_839_4, "\n": -2.317_292_928_695_678_7})
    );
    let vllm = WHOLE.iter().find(|recording| recording.name.starts_with("vllm")).unwrap();
    let body = Bytes::from_static(vllm.bytes);
    assert_eq!(check_whole_completion(&body, None).unwrap().body, body);
    let chunk = |token: &str, index: u32| {
        format!(
            "data: {{\"model\":\"m\",\"choices\":[{{\"text\":\"{token}\",\"index\":{index},\"logprobs\":{{\"content\":[{{\"token\":\"{token}\",\"logprob\":-1}}]}},\"finish_reason\":\"stop\"}}]}}\n\n"
        )
    };
    let (mut repair, mut out) = (StreamRepair::new(1 << 20, Some("asked")).completing(1), BytesMut::new());
    for (token, index) in [("ab", 0), ("c", 1), ("d", 0)] {
        repair.feed(chunk(token, index).as_bytes(), &mut out).unwrap();
    }
    let text = String::from_utf8(out.to_vec()).unwrap();
    let offsets: Vec<&str> =
        text.split("\"text_offset\":").skip(1).map(|rest| rest.split(',').next().unwrap()).collect();
    assert_eq!((offsets, text.matches("\"model\":\"asked\"").count()), (vec!["[0]", "[0]", "[2]"], 3));
    let (mut plain, mut out) = (StreamRepair::new(1 << 20, None), BytesMut::new());
    plain.feed(chunk("ab", 0).as_bytes(), &mut out).unwrap();
    assert_eq!(out, chunk("ab", 0));
}
