//! Requests for embeddings, and what becomes of engines' answers.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::chat::Usage;
use crate::dialect::recorded::{OLLAMA_EMBED, OPENAI_EMBED};
use crate::embedding::{Embeddings, INPUTS_LIMIT};
use crate::error::{BackendFault, Code};

fn inspected(body: &str) -> Result<PassedEmbeddings, ApiError> {
    inspect_embeddings(body.as_bytes(), &Limits::default())
}

fn parsed(body: &str) -> Result<EmbeddingRequest, ApiError> {
    parse_embeddings(body.as_bytes(), &Limits::default())
}

fn with_input(input: &str) -> String {
    format!("{{\"model\":\"m\",\"input\":{input}}}")
}

/// The code and the parameter of a refusal, which both readers give alike.
fn refused(body: &str) -> (Code, Option<String>) {
    let error = inspected(body).unwrap_err();
    assert_eq!(parsed(body).unwrap_err(), error, "{body}");
    (error.code(), error.param().map(str::to_owned))
}

#[test]
fn inputs_of_every_form_are_counted_and_read() {
    let texts = |list: &[&str]| EmbeddingInput::Texts(list.iter().map(|text| (*text).to_owned()).collect());
    for (input, count, read) in [
        (r#""a""#, 1, texts(&["a"])),
        (r#""\u00e9\n""#, 1, texts(&["é\n"])),
        (r#" [ "a" , "b" ] "#, 2, texts(&["a", "b"])),
        ("[1, 2]", 1, EmbeddingInput::Tokens(vec![vec![1, 2]])),
        ("[[1,2],[2147483647]]", 2, EmbeddingInput::Tokens(vec![vec![1, 2], vec![2_147_483_647]])),
    ] {
        let body = with_input(input);
        assert_eq!(inspected(&body).unwrap().inputs, count, "{input}");
        assert_eq!(parsed(&body).unwrap().input, read, "{input}");
    }
}

#[test]
fn an_input_that_is_none_is_named() {
    for (input, code, param) in [
        ("null", Code::MissingParameter, "input"),
        ("5", Code::InvalidType, "input"),
        ("{}", Code::InvalidType, "input"),
        ("true", Code::InvalidType, "input"),
        (r#""""#, Code::InvalidValue, "input"),
        ("[]", Code::InvalidValue, "input"),
        ("[ ]", Code::InvalidValue, "input"),
        ("[[]]", Code::InvalidValue, "input[0]"),
        (r#"["a",""]"#, Code::InvalidValue, "input[1]"),
        (r#"["a",1]"#, Code::InvalidType, "input[1]"),
        (r#"["a",null]"#, Code::InvalidType, "input[1]"),
        (r#"[1,"a"]"#, Code::InvalidType, "input[1]"),
        ("[1,2.5]", Code::InvalidType, "input[1]"),
        ("[-1]", Code::InvalidType, "input[0]"),
        ("[4294967295]", Code::InvalidValue, "input[0]"),
        (r#"[[1],"a"]"#, Code::InvalidType, "input[1]"),
        (r#"[[1],[1,"a"]]"#, Code::InvalidType, "input[1][1]"),
        ("[[1],[2147483648]]", Code::InvalidValue, "input[1][0]"),
        ("[{}]", Code::InvalidType, "input[0]"),
        ("[null]", Code::InvalidType, "input[0]"),
    ] {
        assert_eq!(refused(&with_input(input)), (code, Some(param.to_owned())), "{input}");
    }
    assert_eq!(refused(r#"{"model":"m"}"#), (Code::MissingParameter, Some("input".to_owned())));
}

#[test]
fn the_limit_of_inputs_passes_and_one_more_does_not() {
    for (element, most) in [(r#""a""#, INPUTS_LIMIT), ("[1]", INPUTS_LIMIT)] {
        let list = |count| with_input(&format!("[{}]", vec![element; count].join(",")));
        assert_eq!(inspected(&list(most)).unwrap().inputs, most);
        assert_eq!(refused(&list(most + 1)), (Code::InvalidValue, Some("input".to_owned())));
    }
    // One input of many tokens is one.
    let ids = with_input(&format!("[{}]", vec!["7"; INPUTS_LIMIT + 1].join(",")));
    assert_eq!(inspected(&ids).unwrap().inputs, 1);
}

#[test]
fn the_other_fields_are_checked() {
    let with = |fields: &str| format!("{{\"model\":\"m\",\"input\":\"a\",{fields}}}");
    for (fields, param) in [
        (r#""encoding_format":"hex""#, "encoding_format"),
        (r#""encoding_format":5"#, "encoding_format"),
        (r#""dimensions":0"#, "dimensions"),
        (r#""dimensions":1.5"#, "dimensions"),
        (r#""dimensions":"8""#, "dimensions"),
        (r#""Input":"b""#, "input"),
        (r#""input":"b""#, "input"),
        (r#""api_base":"http://x""#, "api_base"),
        (r#""LORA":1"#, "LORA"),
    ] {
        let (_, named) = refused(&with(fields));
        assert_eq!(named.as_deref(), Some(param), "{fields}");
    }
    let base64 = inspected(&with(r#""encoding_format":"base64","dimensions":8"#)).unwrap();
    assert_eq!((base64.encoding, base64.dimensions), (Encoding::Base64, Some(8)));
    let plain = inspected(&with(r#""encoding_format":null,"dimensions":null"#)).unwrap();
    assert_eq!((plain.encoding, plain.dimensions), (Encoding::Float, None));
    // What is nobody's field goes to an engine that may know it, and to no other.
    let unknown = with(r#""truncate_prompt_tokens":5"#);
    assert!(inspected(&unknown).is_ok());
    let error = parsed(&unknown).unwrap_err();
    assert_eq!((error.code(), error.param()), (Code::UnsupportedParameter, Some("truncate_prompt_tokens")));
    assert!(parsed(&with(r#""truncate":null,"user":"u""#)).is_ok());
}

#[test]
fn what_an_engine_does_not_count_is_estimated_from_the_inputs() {
    for (input, tokens) in
        [(r#""12345678""#, 2), (r#"["1234", "12345"]"#, 3), ("[1, 2,3]", 3), ("[[1],[2, 3]]", 3)]
    {
        let passed = inspected(&format!(r#"{{"model":"m","input":{input}}}"#)).unwrap();
        assert_eq!(passed.estimate, Usage { estimated: true, ..Usage::counted(tokens, 0) }, "{input}");
    }
}

#[test]
fn what_another_ghostllm_has_estimated_stays_an_estimate() {
    let answer = |mark: &str| {
        let usage = format!(r#"{{"prompt_tokens":3,"total_tokens":3{mark}}}"#);
        Bytes::from(format!(r#"{{"data":[{{"index":0,"embedding":[1.5]}}],"model":"mine","usage":{usage}}}"#))
    };
    for (mark, estimated) in [
        (r#","estimated":true"#, true),
        (r#","estimated":false"#, false),
        (r#","estimated":7"#, false),
        ("", false),
    ] {
        let body = answer(mark);
        let vectors = check_embeddings(&body, &asked(1, Encoding::Float)).unwrap();
        assert_eq!(vectors.usage, Some(Usage { estimated, ..Usage::counted(3, 0) }), "{mark}");
        assert_eq!(vectors.body, body, "its client sees the same");
    }
}

#[test]
fn only_the_name_changes_in_what_is_passed_on() {
    let body = Bytes::from_static(br#" {"input" : ["a"] , "x":1.50,"model": "m\u0031"}"#);
    let passed = inspect_embeddings(&body, &Limits::default()).unwrap();
    assert_eq!(passed.model, "m1");
    assert_eq!(passed.with_model(&body, "m1"), body);
    let renamed = passed.with_model(&body, "a \"b\"");
    assert_eq!(renamed, &br#" {"input" : ["a"] , "x":1.50,"model": "a \"b\""}"#[..]);
}

fn asked(inputs: usize, encoding: Encoding) -> PassedEmbeddings {
    let estimate = Usage::estimated(0, 0);
    PassedEmbeddings {
        model: "mine".to_owned(),
        inputs,
        dimensions: None,
        encoding,
        estimate,
        wanted: Wanted::default(),
        span: 0..0,
    }
}

/// The vectors that openai-python reads out of a body.
fn read(body: &[u8]) -> Vec<Vec<f32>> {
    let body: Value = serde_json::from_slice(body).unwrap();
    let vector = |item: &Value| match &item["embedding"] {
        Value::String(text) => base64::decode(text).unwrap(),
        list => serde_json::from_value(list.clone()).unwrap(),
    };
    body["data"].as_array().unwrap().iter().map(vector).collect()
}

fn recorded(name: &str) -> Bytes {
    let all = OPENAI_EMBED.iter().chain(OLLAMA_EMBED);
    Bytes::from_static(all.into_iter().find(|recording| recording.name == name).unwrap().bytes)
}

#[test]
fn recorded_answers_pass_with_the_client_s_name_and_in_its_form() {
    let one = read(&recorded("ollama-v1/embeddings-one.json"));
    for (name, inputs, length) in [
        ("ollama-v1/embeddings-one.json", 1, 128),
        ("ollama-v1/embeddings-list.json", 2, 128),
        ("ollama-v1/embeddings-dimensions.json", 1, 16),
        ("ollama-v1/embeddings-base64.json", 1, 128),
    ] {
        let body = recorded(name);
        for encoding in [Encoding::Float, Encoding::Base64] {
            let vectors = check_embeddings(&body, &asked(inputs, encoding)).unwrap();
            assert_eq!(vectors.dimensions, length, "{name}");
            assert_eq!(read(&vectors.body), read(&body), "{name}");
            let json: Value = serde_json::from_slice(&vectors.body).unwrap();
            assert_eq!(json["model"], "mine", "{name}");
            assert_eq!(json["data"][0]["embedding"].is_string(), encoding == Encoding::Base64, "{name}");
            let tokens = json["usage"]["prompt_tokens"].as_u64().unwrap();
            assert_eq!(vectors.usage, Some(Usage::counted(tokens, 0)));
        }
        for wrong in [inputs - 1, inputs + 1] {
            let fault = check_embeddings(&body, &asked(wrong, Encoding::Float)).unwrap_err();
            assert!(matches!(fault, BackendFault::Garbage { .. }), "{fault}");
        }
    }
    // The engine's own base64 is the same numbers, bit by bit.
    assert_eq!(read(&recorded("ollama-v1/embeddings-base64.json")), one);
}

#[test]
fn what_is_in_the_client_s_form_stays_as_it_came() {
    let body = Bytes::from_static(
        b"{ \"id\":\"embd-1\",\"data\":[{\"index\":0, \"embedding\":[1.50, -2e0],\"x\":1}],\"model\":\"e\",\"usage\":{\"total_tokens\":3}}",
    );
    let vectors = check_embeddings(&body, &asked(1, Encoding::Float)).unwrap();
    assert_eq!(
        vectors.body,
        &b"{ \"id\":\"embd-1\",\"data\":[{\"index\":0, \"embedding\":[1.50, -2e0],\"x\":1}],\"model\":\"mine\",\"usage\":{\"total_tokens\":3}}"[..]
    );
    assert_eq!(vectors.usage, Some(Usage::counted(3, 0)));
    let vectors = check_embeddings(&body, &asked(1, Encoding::Base64)).unwrap();
    assert_eq!(
        vectors.body,
        &b"{ \"id\":\"embd-1\",\"data\":[{\"index\":0, \"embedding\":\"AADAPwAAAMA=\",\"x\":1}],\"model\":\"mine\",\"usage\":{\"total_tokens\":3}}"[..]
    );
}

#[test]
fn an_answer_that_is_none_is_a_fault() {
    let item = |index: &str, embedding: &str| format!("{{\"index\":{index},\"embedding\":{embedding}}}");
    let data = |items: &[String]| format!("{{\"data\":[{}]}}", items.join(","));
    for (body, inputs) in [
        ("[]".to_owned(), 1),
        ("{}".to_owned(), 1),
        (r#"{"data":null}"#.to_owned(), 1),
        (r#"{"data":{}}"#.to_owned(), 1),
        (r#"{"data":[]}"#.to_owned(), 1),
        (r#"{"data":[[0,[1]]]}"#.to_owned(), 1),
        (data(&[item("0", "[]")]), 1),
        (data(&[item("0", "[null]")]), 1),
        (data(&[item("0", "[1e300]")]), 1),
        (data(&[item("0", "[[1]]")]), 1),
        (data(&[item("0", "null")]), 1),
        (data(&[item("0", "\"AAA\"")]), 1),
        (data(&[item("0", "\"AADAfw==\"")]), 1),
        (data(&[item("1", "[1]")]), 1),
        (data(&[item("null", "[1]")]), 1),
        (data(&[item("1", "[1]"), item("0", "[1]")]), 2),
        (data(&[item("0", "[1]"), item("1", "[1,2]")]), 2),
        (data(&[item("0", "[1]"), item("0", "[1]")]), 2),
    ] {
        let fault = check_embeddings(&body.clone().into(), &asked(inputs, Encoding::Float)).unwrap_err();
        assert!(matches!(fault, BackendFault::Garbage { .. }), "{body}: {fault}");
    }
    let error = Bytes::from_static(br#"{"error":{"message":"The request queue is full.","code":503}}"#);
    let fault = check_embeddings(&error, &asked(1, Encoding::Float)).unwrap_err();
    assert_eq!(ApiError::from(fault).code(), Code::QueueFull);
}

#[test]
fn an_answer_is_written_as_openai_writes_it() {
    let embeddings =
        Embeddings { vectors: vec![vec![1.5, -2.0], vec![0.1, 1e-7]], prompt_tokens: 3, estimated: false };
    let vectors = embeddings_body(&embeddings, "a \"b\"", Encoding::Float);
    let body: Value = serde_json::from_slice(&vectors.body).unwrap();
    assert_eq!(
        body,
        json!({"object": "list", "model": "a \"b\"", "usage": {"prompt_tokens": 3, "total_tokens": 3}, "data": [
            {"object": "embedding", "index": 0, "embedding": [1.5, -2.0]},
            {"object": "embedding", "index": 1, "embedding": [0.1, 1e-7]}]})
    );
    assert_eq!((vectors.dimensions, vectors.usage.unwrap().prompt_tokens), (2, 3));
    let base64 = embeddings_body(&embeddings, "m", Encoding::Base64);
    let body: Value = serde_json::from_slice(&base64.body).unwrap();
    assert_eq!(body["data"][0]["embedding"], "AADAPwAAAMA=");
    assert_eq!(read(&base64.body), embeddings.vectors);
}

#[test]
fn base64_of_every_length_is_padded_and_what_is_none_is_refused() {
    let text = |vector: &[f32]| {
        let mut out = bytes::BytesMut::new();
        base64::encode(&mut out, vector);
        String::from_utf8(out.to_vec()).unwrap()
    };
    // RFC 4648 section 10, as far as its texts are numbers.
    assert_eq!(text(&[]), "");
    assert_eq!(text(&[f32::from_le_bytes(*b"foob")]), "Zm9vYg==");
    assert_eq!(text(&[0.0, 0.0]), "AAAAAAAAAAA=");
    assert_eq!(text(&[0.0, 0.0, 0.0]), "AAAAAAAAAAAAAAAA");
    for wrong in
        ["A", "AAA", "AAAA", "AAAAAA", "Zm9vYg", "Zm9vYg=", "Zm9=Yg==", "====", "Zm9v_g==", "Zm9vYg==\n"]
    {
        assert_eq!(base64::decode(wrong), None, "{wrong}");
    }
}

/// A request as OpenAI's language has it.
fn written(request: &EmbeddingRequest) -> String {
    let input = match &request.input {
        EmbeddingInput::Texts(texts) => json!(texts),
        EmbeddingInput::Tokens(tokens) => json!(tokens),
    };
    let mut body = json!({"model": request.model, "input": input});
    if let Some(dimensions) = request.dimensions {
        body["dimensions"] = json!(dimensions);
    }
    if request.encoding == Encoding::Base64 {
        body["encoding_format"] = json!("base64");
    }
    body.to_string()
}

fn any_input() -> impl Strategy<Value = EmbeddingInput> {
    prop_oneof![
        prop::collection::vec(".{1,20}", 1..5).prop_map(EmbeddingInput::Texts),
        prop::collection::vec(prop::collection::vec(0..=request::COUNT_LIMIT, 1..9), 1..5)
            .prop_map(EmbeddingInput::Tokens),
    ]
}

proptest! {
    #[test]
    fn a_request_loses_nothing_on_its_way(
        model in "[a-z/:]{1,20}",
        input in any_input(),
        dimensions in prop::option::of(1..=request::COUNT_LIMIT),
        base64 in any::<bool>(),
    ) {
        let encoding = if base64 { Encoding::Base64 } else { Encoding::Float };
        let request = EmbeddingRequest { model, input, dimensions, encoding };
        prop_assert_eq!(parsed(&written(&request)).unwrap(), request);
    }

    #[test]
    fn numbers_keep_their_bits(
        vectors in (1_usize..9).prop_flat_map(|length| {
            let number = any::<f32>().prop_filter("a number", |number| number.is_finite());
            prop::collection::vec(prop::collection::vec(number, length), 1..5)
        }),
        base64 in any::<bool>(),
    ) {
        let (from, to) = if base64 { (Encoding::Base64, Encoding::Float) } else { (Encoding::Float, Encoding::Base64) };
        let embeddings = Embeddings { vectors, prompt_tokens: 1, estimated: false };
        let written = embeddings_body(&embeddings, "m", from);
        prop_assert_eq!(&read(&written.body), &embeddings.vectors);
        let turned = check_embeddings(&written.body, &asked(embeddings.vectors.len(), to)).unwrap();
        prop_assert_eq!(read(&turned.body), embeddings.vectors);
    }
}
