//! Each language has its own ids, keep-alives and failures.

use std::sync::Arc;

use bytes::BytesMut;

use super::{Form, Named};
use crate::chat::{ChatEvent, FinishReason};
use crate::config::{KeepAliveStyle, Limits};
use crate::dialect::responses::parse_response;
use crate::error::ApiError;

const NAMED: Named<'_> = Named { unique: "7", created: 5 };

fn forms() -> [Form; 2] {
    let read = parse_response(b"{\"model\":\"m\",\"input\":\"hi\"}", &Limits::default()).unwrap();
    [Form::Chat { model: "m".into(), include_usage: false }, Form::Response(Arc::new(read.echo))]
}

#[test]
fn a_stream_and_a_whole_answer_have_one_id() {
    for (form, id) in forms().iter().zip(["\"id\":\"chatcmpl-7\"", "\"id\":\"resp_7\""]) {
        let (mut stream, mut whole) = (form.stream(NAMED, 100), form.whole(NAMED, 100));
        let mut out = BytesMut::new();
        for event in [ChatEvent::text("a"), ChatEvent::Finish(FinishReason::Stop)] {
            stream.event(event.clone(), &mut out).unwrap();
            whole.event(event).unwrap();
        }
        stream.finish(&mut out);
        let whole = whole.body().unwrap();
        for written in [&out[..], &whole[..]] {
            let text = std::str::from_utf8(written).unwrap();
            assert!(text.contains(id) && text.contains("\"a\""), "{text}");
        }
    }
}

#[test]
fn a_keep_alive_says_nothing() {
    let [chat, response] = forms();
    for form in [&chat, &response] {
        assert_eq!(form.keep_alive(KeepAliveStyle::Comment, NAMED), ": keep-alive\n\n");
    }
    let delta = chat.keep_alive(KeepAliveStyle::EmptyDelta, NAMED);
    assert!(delta.starts_with(b"data: {") && !delta.windows(6).any(|window| window == b"\"role\""));
    assert_eq!(response.keep_alive(KeepAliveStyle::EmptyDelta, NAMED), ": keep-alive\n\n");
}

#[test]
fn a_failure_is_in_its_language() {
    let error = ApiError::internal();
    let [chat, response] = forms().map(|form| form.stream(NAMED, 100).failure(&error));
    assert_eq!(chat, error.stream_event());
    assert!(std::str::from_utf8(&response).unwrap().contains("event: response.failed\n"));
}
