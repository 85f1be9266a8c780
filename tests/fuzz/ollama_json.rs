//! Ollama's JSON: lines of an answer to a chat or a completion, embeddings, the list of models.
//!
//! An input is a body. An answer or a fault and never a panic, the same one however it is cut; what an OpenAI client gets of it can be read and
//! says the same. What Ollama is sent is looked at by `openai_json` and `responses_json`, which have the requests.

use bytes::BytesMut;
use ghostllm_core::{
    chat::ChatEvent,
    dialect::{
        ollama::{ChatDecoder, parse_embed, parse_tags},
        openai::{ChatStream, ChatWhole},
    },
    error::BackendFault,
    routing::is_name,
};
use serde_json::Value;

use crate::{
    openai_json::{LIMIT, NAME, chunks, value},
    pieces,
};

/// What the client of a completion has sent, and wants before its answer.
const ECHO: &str = "Once \"upon\"";

/// Holds every reader of Ollama's answers to what it says.
pub fn check(bytes: &[u8]) {
    check_decoder(bytes, || ChatDecoder::new("seed", LIMIT));
    check_decoder(bytes, || ChatDecoder::completing(None, LIMIT));
    check_decoder(bytes, || ChatDecoder::completing(Some(ECHO.to_owned()), LIMIT));
    check_vectors(bytes);
    for tag in parse_tags(bytes).into_iter().flatten() {
        assert!(is_name(&tag.name));
    }
}

/// An answer is believed only for as many inputs as it has vectors.
fn check_vectors(bytes: &[u8]) {
    let taken: Vec<usize> = (1..=3).filter(|inputs| parse_embed(bytes, *inputs).is_ok()).collect();
    assert!(taken.len() <= 1, "{taken:?} inputs have the same vectors");
    let (Some(inputs), Some(answer)) = (taken.first(), value_if_json(bytes)) else { return };
    let vectors = answer["embeddings"].as_array().expect("an answer has a list of vectors");
    assert_eq!(vectors.len(), *inputs);
    let lengths: Vec<usize> = vectors.iter().map(|vector| vector.as_array().map_or(0, Vec::len)).collect();
    assert!(lengths.iter().all(|length| *length > 0 && Some(length) == lengths.first()), "{lengths:?}");
}

fn value_if_json(bytes: &[u8]) -> Option<Value> {
    serde_json::from_slice(bytes).ok()
}

fn decode(mut decoder: ChatDecoder, way: &[&[u8]]) -> (Vec<ChatEvent>, Result<(), BackendFault>) {
    let mut events = Vec::new();
    let mut result = Ok(());
    for piece in way {
        result = decoder.feed(piece, &mut events);
        if result.is_err() {
            break;
        }
    }
    let result = result.and_then(|()| decoder.finish(&mut events));
    (events, result)
}

fn check_decoder(bytes: &[u8], made: impl Fn() -> ChatDecoder) {
    let (events, result) = decode(made(), &[bytes]);
    assert_eq!(decode(made(), &pieces::one(bytes)), (events.clone(), result.clone()));
    let ends = |event: &&ChatEvent| matches!(event, ChatEvent::Usage(_) | ChatEvent::Finish(_));
    assert_eq!(events.iter().filter(ends).count(), if result.is_ok() { 2 } else { 0 });
    if result.is_ok() {
        assert!(matches!(events.as_slice(), [.., ChatEvent::Usage(_), ChatEvent::Finish(_)]));
    }
    for event in &events {
        if let ChatEvent::ToolCall { arguments, .. } = event {
            assert!(value(arguments.as_bytes()).is_none_or(|arguments| arguments.is_object()));
        }
    }
    check_written(&events, result.is_ok());
}

/// What OpenAI's clients get of these events, streamed and whole, can be read and says the same.
fn check_written(events: &[ChatEvent], complete: bool) {
    let mut stream = ChatStream::new("chatcmpl-1", 1, NAME, true);
    let mut whole = ChatWhole::new("chatcmpl-1", 1, NAME, LIMIT);
    let mut out = BytesMut::new();
    let mut said = String::new();
    for event in events {
        if let ChatEvent::Text { text, .. } = event {
            said.push_str(text);
        }
        stream.event(event, &mut out);
        whole.event(event.clone()).expect("below the limit");
    }
    stream.finish(&mut out);
    let (chunks, done) = chunks(&out);
    assert_eq!((done, whole.body().is_ok()), (complete, complete));
    let values: Option<Vec<Value>> = chunks.iter().map(|chunk| value(chunk)).collect();
    if let Some(values) = values {
        let deltas = values.iter().filter_map(|value| value["choices"][0]["delta"]["content"].as_str());
        assert_eq!(deltas.collect::<String>(), said);
    }
    if let Some(answer) = whole.body().ok().and_then(|body| value(&body)) {
        assert_eq!(answer["choices"][0]["message"]["content"].as_str().unwrap_or_default(), said);
        assert_eq!(answer["model"], NAME);
    }
}
