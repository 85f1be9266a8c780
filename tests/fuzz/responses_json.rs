//! OpenAI's Responses: any request is an error or a chat, any engine's stream becomes events that a strict client reads, the
//! same ones however it is cut; the last event's response is what is given to whoever asks for it whole. What is kept of such an answer
//! may be named in any request, and one that names nothing of it is read as if nothing were kept.
//!
//! An input is a body: of a client, and of an engine that speaks OpenAI's chunks.

use std::sync::{Arc, LazyLock};

use bytes::{Bytes, BytesMut};
use ghostllm_core::{
    chat::{ChatEvent, FinishReason, Usage},
    config::Limits,
    dialect::{
        ollama, openai,
        render::{Form, Named},
        responses::{KeptItem, parse_recalling, parse_response},
    },
    error::{ApiError, BackendFault},
    framing::sse::Events,
};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Value, value::RawValue};

pub use crate::openai_json::mutate;
use crate::pieces;

/// More than any input has.
const LIMIT: usize = 1024 * 1024;
const NAMED: Named<'static> = Named { unique: "0123456789abcdef", created: 1 };
const ENDS: [&str; 3] = ["response.completed", "response.incomplete", "response.failed"];

/// Holds the bytes against both readers.
pub fn check(bytes: &[u8]) {
    check_request(bytes);
    check_answer(bytes);
}

/// An event, as far as every one of them is alike.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: String,
    sequence_number: usize,
    #[serde(borrow)]
    response: Option<&'a RawValue>,
}

/// What a stream tells: the kinds of its events, and the response of the last that has one.
fn told(sent: &[u8]) -> (Vec<String>, Option<String>) {
    let mut events = Events::new(4 * LIMIT);
    events.push(sent);
    let (mut kinds, mut last) = (Vec::new(), None);
    while let Some(event) = events.next_event().expect("no line is that long") {
        let read: Event<'_> = serde_json::from_slice(&event.data).expect("an event's data is an object");
        assert_eq!(event.name.as_deref(), Some(read.kind.as_bytes()), "an event has its type's name");
        assert_eq!(read.sequence_number, kinds.len(), "events are counted without a gap");
        last = read.response.map(|response| response.get().to_owned()).or(last);
        kinds.push(read.kind);
    }
    assert!(events.finish().expect("no line is that long").is_none(), "the last event is whole");
    (kinds, last)
}

/// Exactly one event ends it, and nothing follows but the error behind a failure.
fn check_end(kinds: &[String], failed: bool) {
    let ends: Vec<usize> = (0..kinds.len()).filter(|place| ENDS.contains(&kinds[*place].as_str())).collect();
    assert_eq!(ends.len(), 1, "{kinds:?}");
    let behind = &kinds[ends[0] + 1..];
    assert_eq!(kinds[ends[0]] == "response.failed", failed, "{kinds:?}");
    assert_eq!(behind, if failed { &["error"][..] } else { &[] }, "{kinds:?}");
}

/// An answer with one of everything.
fn answer() -> [ChatEvent; 6] {
    let call = |index: u32| ChatEvent::ToolCall {
        index,
        id: format!("call_{index}"),
        name: "weather".into(),
        arguments: r#"{"place":"Paris"}"#.into(),
    };
    [
        ChatEvent::Reasoning("Where?".into()),
        ChatEvent::text("In \"Paris\"\n"),
        call(0),
        call(1),
        ChatEvent::Usage(Usage::counted(3, 4)),
        ChatEvent::Finish(FinishReason::ToolCalls),
    ]
}

/// What is kept of that answer: `rs_0123456789abcdef_0`, `msg_..._1`, `fc_..._2` and `fc_..._3`.
fn kept() -> &'static [KeptItem] {
    static KEPT: LazyLock<Vec<KeptItem>> = LazyLock::new(|| {
        let mut whole = plain().whole(NAMED, LIMIT);
        for event in answer() {
            whole.event(event).expect("it is short");
        }
        whole.kept()
    });
    &KEPT
}

/// The form of an answer to a request that says nothing of it.
fn plain() -> Form {
    let request = br#"{"model":"asked","input":"Hi","stream":true}"#;
    Form::Response(Arc::new(parse_response(request, &Limits::default()).expect("a request").echo))
}

fn check_request(bytes: &[u8]) {
    let limits = Limits::default();
    let earlier = |id: &str| kept().iter().find(|item| item.id == id).map(|item| Bytes::clone(&item.json));
    let Ok(request) = parse_recalling(bytes, &limits, &earlier) else { return };
    if request.recalled == 0 {
        let alone = parse_response(bytes, &limits).map(|request| request.chat);
        assert_eq!(alone.as_ref(), Ok(&request.chat), "it names nothing that is kept");
    }
    serde_json::from_slice::<IgnoredAny>(bytes).expect("what is taken is JSON");
    let object =
        |body: &[u8]| serde_json::from_slice::<IgnoredAny>(body).expect("an engine is asked in JSON");
    for counts in [false, true] {
        object(&openai::chat_body(&request.chat, "engine's", counts));
    }
    if let Ok(body) = ollama::chat_body(&request.chat, "engine's") {
        object(&body);
    }
    let asked = request.chat.model.clone();
    let form = Form::Response(Arc::new(request.echo));
    let (mut stream, mut whole) = (form.stream(NAMED, LIMIT), form.whole(NAMED, LIMIT));
    let mut sent = BytesMut::new();
    for event in answer() {
        stream.event(event.clone(), &mut sent).expect("it is short");
        whole.event(event).expect("it is short");
    }
    stream.finish(&mut sent);
    let (kinds, last) = told(&sent);
    check_end(&kinds, false);
    let whole = whole.body().expect("it is complete");
    assert_eq!(last.expect("an end has its response").as_bytes(), &whole[..], "both tell the same");
    // None where a client's own numbers, which are repeated, are beyond serde_json's.
    if let Ok(whole) = serde_json::from_slice::<Value>(&whole) {
        assert_eq!((whole["model"].as_str(), whole["object"].as_str()), (Some(&*asked), Some("response")));
        assert_eq!(whole["output"].as_array().map(Vec::len), Some(4), "thoughts, words and two calls");
    }
}

type Said = (Vec<u8>, Result<(), BackendFault>);

fn translated(way: &[&[u8]], form: &Form) -> Said {
    let mut reader = openai::ChunkDecoder::new(NAMED.unique, LIMIT, 16);
    let mut stream = form.stream(NAMED, LIMIT);
    let (mut sent, mut result) = (BytesMut::new(), Ok(()));
    for piece in way.iter().map(Some).chain([None]) {
        let mut events = Vec::new();
        result = match piece {
            Some(piece) => reader.feed(piece, &mut events),
            None => reader.finish(&mut events),
        };
        for event in events {
            result = result.and(stream.event(event, &mut sent));
        }
        if result.is_err() || reader.is_done() {
            break;
        }
    }
    match &result {
        Ok(()) => stream.finish(&mut sent),
        Err(_) => sent.extend_from_slice(&stream.failure(&ApiError::internal())),
    }
    (sent.to_vec(), result)
}

fn check_answer(bytes: &[u8]) {
    let form = plain();
    let (sent, result) = translated(&[bytes], &form);
    assert_eq!(translated(&pieces::one(bytes), &form), (sent.clone(), result.clone()));
    check_end(&told(&sent).0, result.is_err());
}
