//! Answers in OpenAI's chat completions; requests are beside their writer, `openai/body/tests.rs`.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

use super::{LIMIT, calls, calls_last, joined};
use crate::chat::{Arguments, ChatEvent, Message, Role, ToolCall, Usage};
use crate::config::Limits;
use crate::dialect::arbitrary::{answer, cut, cuts};
use crate::dialect::openai::{ChatStream, ChatWhole, ChunkDecoder, StreamRepair, check_whole, parse_chat};
use crate::error::BackendFault;

/// The stream that a client gets of this.
pub(super) fn streamed(events: &[ChatEvent]) -> BytesMut {
    let mut stream = ChatStream::new("chatcmpl-1", 5, "a \"model\"", true);
    let mut out = BytesMut::new();
    for event in events {
        stream.event(event, &mut out);
    }
    stream.finish(&mut out);
    out
}

/// What is read out of a stream that arrives in these pieces.
pub(super) fn decoded(stream: &[u8], cuts: &[Index]) -> Result<Vec<ChatEvent>, BackendFault> {
    let mut decoder = ChunkDecoder::new("seed", LIMIT, LIMIT);
    let mut events = Vec::new();
    for piece in cut(stream, cuts) {
        decoder.feed(piece, &mut events)?;
    }
    decoder.finish(&mut events)?;
    Ok(events)
}

/// The answer in one piece that a client gets of this.
pub(super) fn whole(events: &[ChatEvent]) -> Bytes {
    let mut whole = ChatWhole::new("chatcmpl-1", 5, "m", LIMIT);
    for event in events {
        whole.event(event.clone()).unwrap();
    }
    whole.body().unwrap()
}

fn usage(events: &[ChatEvent]) -> Option<Usage> {
    events.iter().find_map(|event| match event {
        ChatEvent::Usage(usage) => Some(*usage),
        _ => None,
    })
}

/// The turn that the answer is, as it stands in the next request.
fn turn(events: &[ChatEvent]) -> Message {
    let (text, thought, _) = joined(events);
    let call = |(id, name, arguments): (String, String, String)| ToolCall {
        id,
        name,
        arguments: Arguments::of(&arguments),
    };
    Message {
        role: Role::Assistant,
        text: text.as_str().into(),
        tool_calls: calls(events).into_iter().map(call).collect(),
        reasoning: Some(thought).filter(|thought| !thought.is_empty()),
        ..Message::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_stream_is_read_as_it_was_written(events in answer(), cuts in cuts()) {
        prop_assert_eq!(decoded(&streamed(&events), &cuts), Ok(calls_last(&events)));
    }

    #[test]
    fn a_stream_of_ours_passes_another_ghostllm_as_it_is(events in answer(), cuts in cuts()) {
        let stream = streamed(&events);
        let (mut repair, mut out) = (StreamRepair::new(LIMIT, None), BytesMut::new());
        for piece in cut(&stream, &cuts) {
            repair.feed(piece, &mut out).unwrap();
        }
        repair.finish(&mut out).unwrap();
        prop_assert_eq!(repair.usage(), usage(&events));
        prop_assert_eq!(out, stream);
    }

    #[test]
    fn an_answer_in_one_piece_says_all_of_it(events in answer()) {
        let body = whole(&events);
        let checked = check_whole(&body, None).unwrap();
        prop_assert_eq!((&checked.body, checked.usage), (&body, usage(&events)));
        let body: Value = serde_json::from_slice(&body).unwrap();
        let choice = &body["choices"][0];
        let (_, _, tokens) = joined(&events);
        let read = choice["logprobs"]["content"].as_array().cloned().unwrap_or_default();
        prop_assert_eq!(read, tokens);
        let streamed = String::from_utf8(streamed(&events).to_vec()).unwrap();
        let reason = format!("\"finish_reason\":{}", choice["finish_reason"]);
        prop_assert!(streamed.contains(&reason), "{} in {}", reason, streamed);
    }

    /// A client sends the message back as it got it.
    #[test]
    fn an_answer_is_the_same_turn_in_the_next_request(events in answer()) {
        let body: Value = serde_json::from_slice(&whole(&events)).unwrap();
        let message = &body["choices"][0]["message"];
        let next = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}, message]});
        let read = parse_chat(next.to_string().as_bytes(), &Limits::default()).unwrap();
        prop_assert_eq!(&read.messages[1], &turn(&events));
    }
}
