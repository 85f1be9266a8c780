//! The OpenAI doubles: what marks each engine out.

use ghostllm_tests::{
    double::Double,
    openai::{OpenAi, Style},
    recording::{all, load, masked},
    sse::Chat,
};
use serde_json::Value;

use super::{chat, exchange};

const PATH: &str = "/v1/chat/completions";

/// The body of a chunked response.
fn dechunked(response: &[u8]) -> Vec<u8> {
    let text = String::from_utf8(response.to_vec()).unwrap();
    let (_, body) = text.split_once("\r\n\r\n").unwrap();
    body.split("\r\n")
        .filter(|line| usize::from_str_radix(line, 16).is_err())
        .collect::<String>()
        .into_bytes()
}

#[tokio::test]
async fn streams_as_each_engine_does() {
    for (style, done, first) in [
        (Style::Llama, true, r#"{"content":null,"role":"assistant"}"#),
        (Style::Vllm, true, r#"{"content":"","role":"assistant"}"#),
        (Style::Transformers, false, r#"{"role":"assistant"}"#),
    ] {
        let double = Double::start(OpenAi::new(style, "tiny")).await;
        let (response, _) = exchange(double.address(), &chat(PATH, "tiny", "Hello", true, true)).await;
        let chat = Chat::read(&dechunked(&response)).unwrap();
        assert_eq!(chat.done, done, "{style:?}");
        let first: serde_json::Value = serde_json::from_str(first).unwrap();
        assert_eq!(chat.chunks[0]["choices"][0]["delta"], first, "{style:?}");
        assert_eq!(chat.text(), "Hello! How can I help you today?", "{style:?}");
        assert_eq!(chat.finishes(), ["stop"], "{style:?}");
    }
}

#[tokio::test]
async fn refuses_an_unknown_model_as_each_engine_does() {
    for (style, status, part) in [
        (Style::Llama, "HTTP/1.1 200 OK", "chat.completion"),
        (Style::Vllm, "HTTP/1.1 404 Not Found", "\"code\":404"),
        (Style::Transformers, "HTTP/1.1 400 Bad Request", "{\"detail\":"),
    ] {
        let double = Double::start(OpenAi::new(style, "tiny")).await;
        let (response, _) = exchange(double.address(), &chat(PATH, "other", "Hello", false, true)).await;
        let response = masked(&response);
        assert!(response.starts_with(status) && response.contains(part), "{style:?}: {response}");
    }
}

/// The status line and the body.
fn said(response: &[u8]) -> (String, String) {
    let text = String::from_utf8(response.to_vec()).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap_or_default().to_owned(), body.to_owned())
}

#[tokio::test]
async fn refuses_embeddings_as_was_recorded() {
    for (style, engine) in
        [(Style::Llama, "llama-server"), (Style::Vllm, "vllm"), (Style::Transformers, "transformers-serve")]
    {
        let recording = load(engine, "071-v1-embeddings-one");
        let double = Double::start(OpenAi::new(style, "tiny")).await;
        let (response, _) = exchange(double.address(), &recording.request).await;
        assert_eq!(said(&response), said(&recording.response), "{engine}");
    }
}

/// What of a completion is the same in two runs: its choices and its counts.
fn completion(body: &str) -> Value {
    let whole: Value = serde_json::from_str(body).unwrap();
    let part = |of: &Value, name: &str| of.get(name).cloned().unwrap_or_default();
    let kept = |of: &Value, names: &[&str]| -> Value {
        names.iter().map(|&name| (name.to_owned(), part(of, name))).collect::<serde_json::Map<_, _>>().into()
    };
    let choices = whole.get("choices").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let choices: Vec<Value> =
        choices.iter().map(|choice| kept(choice, &["index", "text", "finish_reason"])).collect();
    let usage = kept(&part(&whole, "usage"), &["prompt_tokens", "completion_tokens", "total_tokens"]);
    serde_json::json!([part(&whole, "object"), choices, usage])
}

#[tokio::test]
async fn completes_texts_as_was_recorded() {
    for (style, engine, model) in [
        (Style::Llama, "llama-server", "tiny"),
        (Style::Vllm, "vllm", "tiny"),
        (Style::Transformers, "transformers-serve", "hf-internal/tiny-chat1"),
    ] {
        for recording in all(engine).iter().filter(|recording| recording.name.contains("v1-completions")) {
            let double = Double::start(OpenAi::new(style, model)).await;
            let (response, _) = exchange(double.address(), &recording.request).await;
            let name = format!("{engine} {}", recording.name);
            if recording.name.contains("stream") {
                let [ours, theirs] = [&response, &recording.response].map(|bytes| {
                    let stream = Chat::read(&dechunked(bytes)).unwrap();
                    let chunks: Vec<Value> =
                        stream.chunks.iter().map(|chunk| completion(&chunk.to_string())).collect();
                    (stream.done, chunks)
                });
                assert_eq!(ours, theirs, "{name}");
                continue;
            }
            let ((status, ours), (recorded, theirs)) = (said(&response), said(&recording.response));
            assert_eq!(status, recorded, "{name}");
            if status.ends_with("200 OK") {
                assert_eq!(completion(&ours), completion(&theirs), "{name}");
            } else {
                assert_eq!(ours, theirs, "{name}");
            }
        }
    }
}
