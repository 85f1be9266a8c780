//! What real engines have said, told in each of the clients' languages, is what was read of it.

use proptest::sample::Index;
use serde_json::Value;

use super::openai::{decoded, streamed, whole};
use super::responses::heard;
use super::{LIMIT, calls, calls_last, joined};
use crate::chat::ChatEvent;
use crate::dialect::ollama::ChatDecoder;
use crate::dialect::recorded::{OLLAMA, OPENAI};

/// Every complete recording of a chat, decoded.
fn recordings() -> Vec<(&'static str, Vec<ChatEvent>)> {
    let ollama = OLLAMA.iter().map(|recording| {
        let (mut decoder, mut events) = (ChatDecoder::new("seed", LIMIT), Vec::new());
        decoder.feed(recording.bytes, &mut events).unwrap();
        decoder.finish(&mut events).unwrap();
        (recording.name, events)
    });
    let openai = OPENAI.iter().map(|recording| (recording.name, decoded(recording.bytes, &[]).unwrap()));
    ollama.chain(openai).collect()
}

#[test]
fn a_recorded_answer_is_the_same_behind_a_chat_s_stream() {
    for (name, events) in recordings() {
        let read = decoded(&streamed(&events), &[] as &[Index]);
        assert_eq!(read, Ok(calls_last(&events)), "{name}");
    }
}

#[test]
fn a_recorded_answer_is_the_same_in_one_piece() {
    for (name, events) in recordings() {
        let body: Value = serde_json::from_slice(&whole(&events)).unwrap();
        let message = &body["choices"][0]["message"];
        let (text, thought, tokens) = joined(&events);
        assert_eq!(message["content"].as_str().unwrap_or_default(), text, "{name}");
        assert_eq!(message["reasoning"].as_str().unwrap_or_default(), thought, "{name}");
        let read = body["choices"][0]["logprobs"]["content"].as_array().cloned().unwrap_or_default();
        assert_eq!(read, tokens, "{name}");
        let made = message["tool_calls"].as_array().map_or(0, Vec::len);
        assert_eq!(made, calls(&events).len(), "{name}");
    }
}

#[test]
fn a_recorded_answer_is_the_same_behind_a_response_s_stream() {
    for (name, events) in recordings() {
        let heard = heard(&events, &[]);
        let (text, thought, _) = joined(&events);
        assert_eq!((heard.text(), heard.thought()), (text, thought), "{name}");
        assert_eq!(heard.calls(), calls(&events), "{name}");
    }
}
