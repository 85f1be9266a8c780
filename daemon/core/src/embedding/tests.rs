//! What an engine's refusal means, and which vectors are none.

use super::*;
use crate::dialect::recorded::EMBED_ERRORS;

#[test]
fn recorded_refusals_are_understood() {
    let table: Vec<String> = EMBED_ERRORS
        .iter()
        .map(|recording| {
            let (name, status) = recording.name.trim_start_matches("errors/embed-").rsplit_once('.').unwrap();
            let fault = BackendFault::answered(status.parse().unwrap(), recording.bytes);
            let (whose, error) = match refusal(&fault, "tiny") {
                Some(error) => ("request", error),
                None => ("engine", ApiError::from(fault)),
            };
            let (status, code) = (error.status().as_u16(), error.code().text().unwrap_or("null"));
            format!("{name} {whose} {status} {code} {}", error.param().unwrap_or("-"))
        })
        .collect();
    let expected = "\
llama-chat-model request 400 invalid_value model
ollama-chat-model request 400 invalid_value model
ollama-overflow request 400 context_length_exceeded input
ollama-unknown-model engine 404 model_not_found model
ollama-v1-chat-model request 400 invalid_value model
ollama-v1-tokens engine 400 null -
transformers-no-route request 400 invalid_value model
vllm-no-route request 400 invalid_value model";
    assert_eq!(table.join("\n"), expected);
}

#[test]
fn refusals_that_engines_word_otherwise() {
    let code = |status, body: &str| {
        refusal(&BackendFault::answered(status, body.as_bytes()), "m").map(|error| error.code())
    };
    let vllm = r#"{"object":"error","message":"The model does not support Embeddings API","type":"BadRequestError","code":400}"#;
    assert_eq!(code(400, vllm), Some(Code::InvalidValue));
    assert_eq!(code(400, r#"{"error":"\"m\" does not support embeddings"}"#), Some(Code::InvalidValue));
    let batch = "input (2050 tokens) is too large to process. increase the physical batch size (current batch size: 512)";
    let llama = format!(r#"{{"error":{{"code":500,"message":"{batch}","type":"server_error"}}}}"#);
    assert_eq!(code(500, &llama), Some(Code::ContextLengthExceeded));
    let vllm = "This model's maximum context length is 512 tokens. However, you requested 600 tokens in the input for \
                embedding generation. Please reduce the length of the input.";
    let error = refusal(&BackendFault::answered(400, vllm.as_bytes()), "m").unwrap();
    assert_eq!((error.param(), error.message()), (Some("input"), vllm));
    // What is the engine's own doing stays so.
    for (status, body) in [(500, "boom"), (503, "busy"), (401, ""), (429, ""), (400, "dimensions must be 8")]
    {
        assert_eq!(code(status, body), None, "{status} {body}");
    }
    assert!(refusal(&BackendFault::EndedEarly, "m").is_none());
}

#[test]
fn an_answer_has_a_vector_for_each_input_all_of_one_length() {
    let measured = |wanted, vectors: &[&[f32]]| {
        let mut measure = Measure::new(wanted);
        vectors.iter().try_for_each(|vector| measure.take(vector)).and_then(|()| measure.finish())
    };
    assert_eq!(measured(2, &[&[1.0, 2.0], &[3.0, 4.0]]), Ok(2));
    let wrong: [(usize, &[&[f32]]); 7] = [
        (1, &[]),
        (2, &[&[1.0]]),
        (1, &[&[1.0], &[1.0]]),
        (1, &[&[]]),
        (2, &[&[1.0, 2.0], &[3.0]]),
        (1, &[&[f32::NAN]]),
        (1, &[&[0.0, f32::INFINITY]]),
    ];
    for (wanted, vectors) in wrong {
        assert!(matches!(measured(wanted, vectors), Err(BackendFault::Garbage { .. })), "{vectors:?}");
    }
}

#[test]
fn a_length_that_was_not_given_is_told() {
    for fits in [None, Some(128)] {
        assert_eq!(check_dimensions(fits, 128), Ok(()));
    }
    let shorter = check_dimensions(Some(16), 128).unwrap_err();
    assert_eq!((shorter.code(), shorter.param()), (Code::UnsupportedParameter, Some("dimensions")));
    let longer = check_dimensions(Some(256), 128).unwrap_err();
    assert_eq!((longer.code(), longer.param()), (Code::InvalidValue, Some("dimensions")));
    assert!(longer.message().contains("at most 128"), "{longer}");
}
