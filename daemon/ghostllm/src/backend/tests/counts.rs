//! Engines that refuse to be asked for the counts of a stream, and such as do not count.

use super::*;

const UNKNOWN: &str =
    r#"{"detail":[{"loc":["body","stream_options"],"msg":"Extra inputs are not permitted"}]}"#;
const UNCOUNTED: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hey\"}}]}\n\n\
    data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

fn refusal() -> String {
    ok("application/json", UNKNOWN).replace("200 OK", "422 Unprocessable Entity")
}

/// All of a stream, and what it has used.
async fn used(answer: Result<Answer, ChatError>) -> Usage {
    let Ok(Answer::Stream(mut stream)) = answer else { panic!("no stream") };
    while let Some(bytes) = stream.next().await {
        bytes.unwrap();
    }
    stream.usage()
}

#[tokio::test]
async fn an_engine_that_refuses_is_asked_without_and_not_asked_for_counts_again() {
    for asking in [call as fn(bool) -> ChatCall, response] {
        let peer = Peer::new().await;
        let backend = openai(&peer, &limits(|_| {}));
        let answer = ok("text/event-stream", UNCOUNTED);
        let asked = async {
            [used(backend.chat(asking(true)).await).await, used(backend.chat(asking(true)).await).await]
        };
        let served = async {
            let (mut line, first) = peer.answer(&refusal()).await;
            let second = line.request().await;
            line.send(&answer).await;
            let third = line.request().await;
            line.send(&answer).await;
            (line, [first.body, second.body, third.body])
        };
        let (usages, (_line, bodies)) = join!(asked, served);
        assert_eq!(bodies.each_ref().map(|body| body.contains("stream_options")), [true, false, false]);
        assert_eq!(bodies[1], bodies[2], "as its client has sent it");
        for usage in usages {
            assert!(usage.estimated && usage.prompt_tokens > 0 && usage.completion_tokens == 1, "{usage:?}");
        }
    }
}

#[tokio::test]
async fn an_engine_that_refuses_the_request_itself_is_asked_for_counts_the_next_time() {
    let peer = Peer::new().await;
    let backend = openai(&peer, &limits(|_| {}));
    let asked = async { (backend.chat(call(true)).await.err(), used(backend.chat(call(true)).await).await) };
    let served = async {
        let (mut line, _first) = peer.answer(&refusal()).await;
        line.request().await;
        line.send(&refusal()).await;
        let third = line.request().await;
        line.send(&ok("text/event-stream", CHUNKS)).await;
        (line, third.body)
    };
    let ((failed, usage), (_line, body)) = join!(asked, served);
    assert!(
        matches!(failed, Some(ChatError::Fault(BackendFault::Answered { status: 422, .. }))),
        "{failed:?}"
    );
    assert!(body.contains("\"include_usage\":true"), "{body}");
    assert_eq!(usage, Usage::counted(2, 3));
}

#[tokio::test]
async fn a_whole_answer_without_counts_is_estimated() {
    let peer = Peer::new().await;
    let backend = openai(&peer, &limits(|_| {}));
    let body = r#"{"choices":[{"index":0,"message":{"content":"12345678"},"finish_reason":"stop"}]}"#;
    let (call, answer) = (call(false), ok("application/json", body));
    let prompt = call.asked.prompt_bytes();
    let (answered, _line) = join!(backend.chat(call), peer.answer(&answer));
    let Ok(Answer::Whole(_, usage)) = answered else { panic!("no answer") };
    assert_eq!((prompt, usage), ("hi".len() as u64, Usage::estimated_whole(prompt, 8)));
    assert_eq!(response(false).asked.prompt_bytes(), prompt, "however it is asked");
}

/// Another GhostLLM, whose own engine does not count.
#[tokio::test]
async fn what_an_engine_has_estimated_is_an_estimate_here_as_well() {
    let counts = r#"{"choices":[],"usage":{"prompt_tokens":2,"completion_tokens":3,"estimated":true}}"#;
    let stream = UNCOUNTED.replacen("data: [DONE]", &format!("data: {counts}\n\ndata: [DONE]"), 1);
    let estimate = Usage { estimated: true, ..Usage::counted(2, 3) };
    for asking in [call as fn(bool) -> ChatCall, response] {
        let peer = Peer::new().await;
        let backend = openai(&peer, &limits(|_| {}));
        let answer = ok("text/event-stream", &stream);
        let asked = async { used(backend.chat(asking(true)).await).await };
        let (usage, _line) = join!(asked, peer.answer(&answer));
        assert_eq!(usage, estimate);
    }
}

#[tokio::test]
async fn an_answer_in_one_piece_is_the_stream_that_was_asked_for() {
    for (asking, last) in [(call as fn(bool) -> ChatCall, "data: [DONE]"), (response, "response.completed")] {
        let peer = Peer::new().await;
        let backend = openai(&peer, &limits(|_| {}));
        let answer = ok("application/json", ONE_WHOLE);
        let (answered, _line) = join!(backend.chat(asking(true)), peer.answer(&answer));
        let Ok(Answer::Stream(mut stream)) = answered else { panic!("no stream") };
        let mut told = Vec::new();
        while let Some(bytes) = stream.next().await {
            told.extend_from_slice(&bytes.unwrap());
        }
        let told = String::from_utf8(told).unwrap();
        assert!(told.contains("\"x\"") && told.contains(last), "{told}");
        assert_eq!(stream.usage(), Usage::counted(5, 2));
    }
}
