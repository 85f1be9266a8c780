//! An engine's answer in OpenAI's words: a stream and a whole answer on their way through, lists and errors.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use ghostllm_core::{
    chat::Usage,
    dialect::openai::{StreamRepair, TextCalls, check_whole, parse_models},
    error::{BackendFault, classify, classify_within},
    framing::sse::Events,
    routing::is_name,
};
use serde_json::Value;

use super::{value, whole_characters, with};
use crate::pieces;

/// More than any input has.
pub(crate) const LIMIT: usize = 1024 * 1024;
pub(crate) const NAME: &str = "asked \"for\"\r\n";

pub(super) fn check(bytes: &[u8]) {
    check_repair(bytes);
    check_answer(bytes);
    for model in parse_models(bytes, "engine").into_iter().flatten() {
        assert!(is_name(&model.id));
    }
    check_errors(bytes);
}

type Repaired = (Vec<u8>, Result<(), BackendFault>, Option<Usage>);

fn repair(way: &[&[u8]], model: Option<&str>) -> Repaired {
    repaired(StreamRepair::new(LIMIT, model), way)
}

/// For a client that has not asked for counts, whose answer's text may have calls.
fn hide(way: &[&[u8]]) -> Repaired {
    let calls = TextCalls::new(Arc::from(["f".to_owned()]), "seed", LIMIT);
    repaired(StreamRepair::new(LIMIT, Some(NAME)).calling(Some(calls)).hiding_usage(), way)
}

fn repaired(mut repair: StreamRepair, way: &[&[u8]]) -> Repaired {
    let mut out = BytesMut::new();
    let mut result = Ok(());
    for piece in way {
        result = repair.feed(piece, &mut out);
        if result.is_err() {
            break;
        }
    }
    let result = result.and_then(|()| repair.finish(&mut out));
    (out.to_vec(), result, repair.usage())
}

fn check_repair(bytes: &[u8]) {
    let (sent, result, usage) = repair(&[bytes], None);
    let (renamed, ..) = repair(&[bytes], Some(NAME));
    let way = pieces::one(bytes);
    assert_eq!(repair(&way, None), (sent.clone(), result.clone(), usage));
    assert_eq!(repair(&way, Some(NAME)).0, renamed);
    let (chunks, done) = chunks(&sent);
    assert_eq!(done, result.is_ok());
    let (again, again_done) = self::chunks(&renamed);
    assert_eq!((again_done, again.len()), (done, chunks.len()));
    for (chunk, again) in chunks.iter().zip(&again) {
        let Some(chunk) = value(chunk) else { continue };
        assert!(chunk.is_object(), "{chunk} is taken for a chunk");
        let expected = if chunk["model"].is_null() { chunk } else { with(chunk, "model", NAME) };
        assert_eq!(value(again), Some(expected));
    }
    if done {
        check_finished(&chunks);
    }
    check_hidden(bytes, &way);
}

fn check_hidden(bytes: &[u8], way: &[&[u8]]) {
    let hidden = hide(&[bytes]);
    assert_eq!(hide(way), hidden);
    let (chunks, done) = chunks(&hidden.0);
    assert_eq!(done, hidden.1.is_ok());
    for (data, chunk) in chunks.iter().filter_map(|data| Some((data, value(data)?))) {
        let choices = chunk["choices"].as_array().map_or(0, Vec::len);
        assert!(choices > 0 || !chunk["usage"].is_object(), "{chunk} has counts alone");
        // A name that is spelled with escapes is not looked for.
        let plain = !data.windows(2).any(|two| two == b"\\u");
        assert!(!plain || chunk.get("usage") != Some(&Value::Null), "{chunk} has a null for them");
    }
}

/// The data of a stream that goes to a client, and whether it ends with `[DONE]`, which stands nowhere else.
pub(crate) fn chunks(sent: &[u8]) -> (Vec<Bytes>, bool) {
    let mut events = Events::new(2 * LIMIT);
    events.push(sent);
    let mut found = Vec::new();
    while let Some(event) = events.next_event().expect("no line is that long") {
        assert_eq!(event.name, None);
        found.push(event.data);
    }
    assert_eq!(events.finish(), Ok(None), "the last event is not ended");
    let done = found.pop_if(|data| data.as_ref() == b"[DONE]").is_some();
    for data in &found {
        serde_json::from_slice::<serde::de::IgnoredAny>(data).expect("an event's data is JSON");
        assert_eq!(whole_characters(data), data.as_ref(), "half a character is passed on");
    }
    (found, done)
}

/// Before `[DONE]`, every choice that has begun has its finish reason.
fn check_finished(chunks: &[Bytes]) {
    let values: Option<Vec<Value>> = chunks.iter().map(|chunk| value(chunk)).collect();
    let Some(values) = values else { return };
    let choices = || values.iter().filter_map(|value| value["choices"].as_array()).flatten();
    assert!(choices().next().is_some(), "done without a choice");
    for choice in choices() {
        let ended = choices().any(|other| {
            index(other) == index(choice)
                && other["finish_reason"].as_str().is_some_and(|reason| !reason.is_empty())
        });
        assert!(ended, "done, and choice {} has no finish reason", index(choice));
    }
}

fn index(choice: &Value) -> u64 {
    choice["index"].as_u64().unwrap_or(0)
}

fn check_answer(bytes: &[u8]) {
    let sent = Bytes::copy_from_slice(bytes);
    let Ok(kept) = check_whole(&sent, None) else {
        assert!(check_whole(&sent, Some(NAME)).is_err());
        return;
    };
    let mut body = whole_characters(bytes);
    if kept.body != body {
        // Counts of one answer, which are not passed for those of several.
        let (Some(mut was), Some(mut is)) = (value(&body), value(&kept.body)) else { return };
        assert!(
            !was["timings"].is_null() && was["choices"].as_array().is_some_and(|choices| choices.len() > 1)
        );
        assert_eq!(kept.usage.is_some_and(|usage| usage.estimated), is["usage"]["estimated"] == true);
        [was["usage"], is["usage"]] = [Value::Null, Value::Null];
        assert_eq!(was, is, "more than the counts has changed");
        body = kept.body.to_vec();
    }
    let renamed = check_whole(&sent, Some(NAME)).expect("it was taken before");
    assert_eq!(renamed.usage, kept.usage);
    let Some(was) = value(&body) else { return };
    assert!(was.is_object(), "{was} is taken for an answer");
    let choices = was["choices"].as_array().expect("an answer has choices");
    assert!(choices.iter().all(|choice| choice["finish_reason"].is_string()));
    let expected = if was["model"].is_null() { was } else { with(was, "model", NAME) };
    assert_eq!(value(&renamed.body), Some(expected));
}

/// Whatever an engine says of a failure: no address and no control character of it reaches a client.
fn check_errors(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let answered = [400, 404, 429, 500, 503].map(|status| classify(status, &text));
    for error in answered.into_iter().chain([classify_within(&text)]) {
        let message = error.message();
        assert!(message.len() < 1024 && !message.contains("://"), "{message}");
        assert!(!message.contains(|c: char| c.is_control() && c != '\n'), "{message:?}");
        serde_json::from_slice::<Value>(&error.body()).expect("an error is JSON");
        chunks(&error.stream_event());
    }
}
