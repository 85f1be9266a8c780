//! An answer in one piece where a stream was asked for, as the stream that it stands for.
//!
//! Knows how a message and a delta differ. Refuses to know what is said. Invariant: what comes out says what came in, and ends as a stream
//! does; what is no answer is a fault.

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::{Map, Value, json};

use super::stream::DONE;
use crate::dialect::json;
use crate::error::BackendFault;

/// The events of such an answer; its counts stand in one of their own where `counts` were asked for.
///
/// # Errors
/// An error object, or what is no answer.
pub fn as_stream(body: &[u8], counts: bool) -> Result<Bytes, BackendFault> {
    let body = json::paired(body);
    let mut answer: Map<String, Value> = json::read(&body, "answer").map_err(BackendFault::garbage)?;
    if answer.get("error").is_some_and(|error| !error.is_null()) {
        return Err(BackendFault::ErrorLine { message: String::from_utf8_lossy(&body).into_owned() });
    }
    let usage = answer.remove("usage");
    let Some(Value::Array(choices)) = answer.get_mut("choices") else {
        return Err(BackendFault::garbage(format!("an answer of {} bytes without choices", body.len())));
    };
    choices.iter_mut().for_each(to_delta);
    if answer.get("object").is_some_and(|object| object == "chat.completion") {
        answer.insert("object".to_owned(), json!("chat.completion.chunk"));
    }
    let mut out = BytesMut::with_capacity(body.len() + 64);
    event(&mut out, &answer);
    if let Some(usage) = usage.filter(|usage| counts && usage.is_object()) {
        answer.insert("choices".to_owned(), json!([]));
        answer.insert("usage".to_owned(), usage);
        event(&mut out, &answer);
    }
    out.put_slice(DONE);
    Ok(out.freeze())
}

fn event(out: &mut BytesMut, chunk: &Map<String, Value>) {
    out.put_slice(b"data: ");
    json::write(out, chunk);
    out.put_slice(b"\n\n");
}

/// A delta's calls say which one they go on with.
fn to_delta(choice: &mut Value) {
    let Some(fields) = choice.as_object_mut() else { return };
    let Some(mut message) = fields.remove("message") else { return };
    if let Some(Value::Array(calls)) = message.get_mut("tool_calls") {
        for (place, call) in calls.iter_mut().enumerate() {
            if let Some(call) = call.as_object_mut() {
                call.entry("index").or_insert(place.into());
            }
        }
    }
    fields.insert("delta".to_owned(), message);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{ChatEvent, FinishReason, Usage};
    use crate::dialect::openai::ChunkDecoder;

    const WHOLE: &str = r#"{"id":"a","object":"chat.completion","created":5,"model":"m","choices":[{"index":0,"message":{
        "role":"assistant","content":"So","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},
        "finish_reason":"tool_calls"}],"usage":{"prompt_tokens":2,"completion_tokens":3,"total_tokens":5}}"#;

    #[test]
    fn a_whole_answer_is_read_as_a_stream_would_be() {
        let stream = as_stream(WHOLE.as_bytes(), true).unwrap();
        let (mut decoder, mut events) = (ChunkDecoder::new("seed", 1 << 16, 1 << 16), Vec::new());
        decoder.feed(&stream, &mut events).unwrap();
        assert!(decoder.is_done());
        let call = matches!(&events[1], ChatEvent::ToolCall { name, arguments, .. } if name == "f" && arguments == "{}");
        assert_eq!((&events[0], call), (&ChatEvent::text("So"), true), "{events:?}");
        assert_eq!(
            events[2..],
            [ChatEvent::Usage(Usage::counted(2, 3)), ChatEvent::Finish(FinishReason::ToolCalls)]
        );
        let text = String::from_utf8(stream.to_vec()).unwrap();
        assert_eq!(text.matches("chat.completion.chunk").count(), 2, "{text}");
        let unasked = as_stream(WHOLE.as_bytes(), false).unwrap();
        assert!(!String::from_utf8(unasked.to_vec()).unwrap().contains("prompt_tokens"));
    }

    #[test]
    fn a_completion_keeps_its_text_and_what_is_no_answer_is_a_fault() {
        let body =
            br#"{"object":"text_completion","choices":[{"index":0,"text":"a","finish_reason":"stop"}]}"#;
        let text = String::from_utf8(as_stream(body, true).unwrap().to_vec()).unwrap();
        assert!(text.starts_with("data: {") && text.contains(r#""text":"a""#), "{text}");
        assert!(text.contains("text_completion") && text.ends_with("data: [DONE]\n\n"), "{text}");
        assert!(matches!(
            as_stream(br#"{"error":{"message":"no"}}"#, true),
            Err(BackendFault::ErrorLine { .. })
        ));
        for other in ["[]", "{}", "data: {}\n\n", r#"{"choices":5}"#] {
            assert!(
                matches!(as_stream(other.as_bytes(), true), Err(BackendFault::Garbage { .. })),
                "{other}"
            );
        }
    }
}
