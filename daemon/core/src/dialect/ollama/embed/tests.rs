//! The native request, and the recorded answers.

use serde_json::{Value, json};

use super::*;
use crate::config::Limits;
use crate::dialect::openai::parse_embeddings;
use crate::dialect::recorded::OLLAMA_EMBED;
use crate::error::Code;

fn request(body: &Value) -> EmbeddingRequest {
    parse_embeddings(body.to_string().as_bytes(), &Limits::default()).unwrap()
}

#[test]
fn a_request_is_never_cut_in_silence() {
    let one = request(&json!({"model": "m", "input": "a", "user": "u", "encoding_format": "base64"}));
    assert_eq!(
        embed_body(&one, "m:latest", &Defaults::default()).unwrap(),
        r#"{"model":"m:latest","input":["a"],"truncate":false}"#
    );
    let more = request(&json!({"model": "m", "input": ["a", "é\"\n"], "dimensions": 8}));
    let body: Value = serde_json::from_slice(&embed_body(&more, "m", &Defaults::default()).unwrap()).unwrap();
    assert_eq!(body, json!({"model": "m", "input": ["a", "é\"\n"], "truncate": false, "dimensions": 8}));
}

#[test]
fn token_ids_are_refused_by_name() {
    for input in [json!([1, 2]), json!([[1], [2]])] {
        let error = embed_body(&request(&json!({"model": "m", "input": input})), "m", &Defaults::default())
            .unwrap_err();
        assert_eq!((error.code(), error.param()), (Code::UnsupportedParameter, Some("input")));
    }
}

#[test]
fn recorded_answers_are_read() {
    let read = |name: &str, inputs| {
        let recording =
            OLLAMA_EMBED.iter().find(|recording| recording.name == format!("ollama/embed-{name}.json"));
        parse_embed(recording.unwrap().bytes, inputs)
    };
    let one = read("one", 1).unwrap();
    assert_eq!((one.vectors.len(), one.dimensions(), one.prompt_tokens), (1, 128, 2));
    let list = read("list", 2).unwrap();
    assert_eq!((list.vectors.len(), list.dimensions(), list.prompt_tokens), (2, 128, 6));
    assert_eq!(list.vectors[0], one.vectors[0]);
    assert_eq!(read("dimensions", 1).unwrap().dimensions(), 16);
    // Ollama's answer to an empty list and to no input at all, and such as have none for some.
    for (name, inputs) in [("empty", 1), ("one", 2), ("list", 1), ("list", 3)] {
        let fault = read(name, inputs).unwrap_err();
        assert!(matches!(fault, BackendFault::Garbage { .. }), "{name} {inputs}: {fault}");
    }
}

#[test]
fn an_answer_that_is_none_is_a_fault() {
    for body in [
        "",
        "[]",
        "{}",
        r#"{"embeddings":null}"#,
        r#"{"embeddings":{}}"#,
        r#"{"embeddings":[[]]}"#,
        r#"{"embeddings":[null]}"#,
        r#"{"embeddings":[[null]]}"#,
        r#"{"embeddings":[["NaN"]]}"#,
        r#"{"embeddings":[[1e39]]}"#,
        r#"{"embeddings":[1.5]}"#,
        r#"{"embeddings":[[1]],"prompt_eval_count":-1}"#,
        r#"{"embeddings":[[1]]"#,
    ] {
        let fault = parse_embed(body.as_bytes(), 1).unwrap_err();
        assert!(matches!(fault, BackendFault::Garbage { .. }), "{body}: {fault}");
    }
    let fault = parse_embed(br#"{"error":"no"}"#, 1).unwrap_err();
    assert!(matches!(fault, BackendFault::ErrorLine { .. }), "{fault}");
    assert_eq!(parse_embed(br#"{"embeddings":[[1]]}"#, 1).unwrap().prompt_tokens, 0);
}
