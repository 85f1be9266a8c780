//! What a file's model is called, and what a backend may send.

use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::join;

use super::{
    peer::{Peer, chunked, ok},
    *,
};

#[test]
fn a_file_is_called_as_the_engine_calls_it() {
    for (file, name) in [
        ("/srv/a.gguf", "a"),
        ("/srv/Qwen3-0.6B.Q8_0.gguf", "Qwen3-0.6B.Q8_0"),
        ("big-00001-of-00003.gguf", "big"),
        ("a-of-b.gguf", "a-of-b"),
        ("a-1-of-00003.gguf", "a-1-of-00003"),
        ("no-ending", "no-ending"),
    ] {
        assert_eq!(file_model(Path::new(file)), name);
    }
}

/// Long enough for any machine; the clock is not waited for.
const HOUR: Duration = Duration::from_secs(3600);

fn limits(change: impl FnOnce(&mut Limits)) -> Arc<Limits> {
    let mut limits = Limits { backend_first_byte: HOUR, backend_idle: HOUR, ..Limits::default() };
    change(&mut limits);
    Arc::new(limits)
}

fn openai(peer: &Peer, limits: &Arc<Limits>) -> Backend {
    let target = Target::OpenAi(peer.url());
    let timeouts = Timeouts::of(limits);
    let name = "box".parse().unwrap();
    Backend::configured(&config::Backend { name, target, key_file: None, timeouts }, None, limits).unwrap()
}

fn call(stream: bool) -> ChatCall {
    let body = format!(
        "{{\"model\":\"m\",\"stream\":{stream},\"messages\":[{{\"role\":\"user\",\"content\":\"hi\"}}]}}"
    );
    let passed = ghostllm_core::dialect::openai::passthrough::inspect(body.as_bytes(), &Limits::default());
    let (model, id) = ("m".to_owned(), "chatcmpl-1".to_owned());
    let trace = crate::trace::Trace::new(1, &http::HeaderMap::new());
    ChatCall {
        body: body.into(),
        passed: passed.unwrap(),
        model,
        defaults: Defaults::default(),
        id,
        created: 1,
        trace,
        slot: None,
    }
}

#[tokio::test]
async fn a_list_is_read_to_its_size_and_not_a_byte_beyond() {
    const LIST: &str = r#"{"models":[]}"#;
    for (size, fits) in [(100, true), (101, false)] {
        let peer = Peer::new().await;
        let limits = limits(|limits| limits.backend_list_bytes = "100B".parse().unwrap());
        let backend = Backend::found_ollama(&peer.url(), &limits).unwrap();
        let answer = ok("application/json", &format!("{LIST:size$}"));
        match join!(backend.models(), peer.answer(&answer)).0 {
            Ok(models) => assert!(fits && models.is_empty()),
            Err(fault) => assert!(!fits && fault == BackendFault::TooLong { limit: 100 }, "{fault}"),
        }
    }
}

#[tokio::test]
async fn a_list_that_does_not_come_in_time_is_given_up() {
    for (time, comes) in [(HOUR, true), (Duration::from_millis(50), false)] {
        let peer = Peer::new().await;
        let backend =
            Backend::found_ollama(&peer.url(), &limits(|limits| limits.backend_list = time)).unwrap();
        let (listed, ()) = join!(backend.models(), async {
            let (mut line, _) = peer.answer("HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\n{").await;
            if comes {
                line.send("\"models\":[]}").await;
            } else {
                line.closed().await;
            }
        });
        match listed {
            Ok(_) => assert!(comes),
            Err(fault) => {
                assert!(!comes && fault == BackendFault::Timeout { stage: Stage::FirstByte }, "{fault}");
            }
        }
    }
}

#[tokio::test]
async fn a_whole_answer_has_a_size_whichever_way_it_comes() {
    const WHOLE: &str = r#"{"choices":[{"index":0,"message":{"content":"x"},"finish_reason":"stop"}]}"#;
    for (more, fits) in [(0, true), (1, false)] {
        let limits = limits(|limits| limits.backend_answer = "100B".parse().unwrap());
        // In one piece, where all its bytes count.
        let peer = Peer::new().await;
        let answer = ok("application/json", &format!("{WHOLE:0$}", 100 + more));
        let backend = openai(&peer, &limits);
        let answered = join!(backend.chat(call(false)), peer.answer(&answer)).0;
        assert_eq!(answered.is_ok(), fits, "{:?}", answered.err());
        // Gathered out of a stream, where the text counts.
        let peer = Peer::new().await;
        let text = "x".repeat(100 + more);
        let line =
            format!("{{\"message\":{{\"content\":\"{text}\"}},\"done\":true,\"done_reason\":\"stop\"}}\n");
        let answer = ok("application/x-ndjson", &line);
        let backend = Backend::found_ollama(&peer.url(), &limits).unwrap();
        let answered = join!(backend.chat(call(false)), peer.answer(&answer)).0;
        assert_eq!(answered.is_ok(), fits, "{:?}", answered.err());
    }
}

#[tokio::test]
async fn a_line_of_an_answer_has_a_size() {
    for (more, fits) in [(0, true), (1, false)] {
        let limits = limits(|limits| limits.backend_line = "100B".parse().unwrap());
        let line = r#"{"message":{"content":"x"},"done":true,"done_reason":"stop"}"#;
        let peer = Peer::new().await;
        let answer = ok("application/x-ndjson", &format!("{line:0$}\n", 100 + more));
        let backend = Backend::found_ollama(&peer.url(), &limits).unwrap();
        let answered = join!(backend.chat(call(true)), peer.answer(&answer)).0;
        assert_eq!(answered.is_ok(), fits, "{:?}", answered.err());
        let event = r#"data: {"choices":[{"index":0,"delta":{"content":"x"}}]"#;
        let peer = Peer::new().await;
        let answer = ok("text/event-stream", &format!("{event:0$}}}\n\n", 99 + more));
        let answered = openai(&peer, &limits);
        let answered = join!(answered.chat(call(true)), peer.answer(&answer)).0;
        assert_eq!(answered.is_ok(), fits, "{:?}", answered.err());
    }
}

#[tokio::test]
async fn so_much_of_an_answer_may_bring_nothing() {
    let limits = limits(|limits| {
        limits.backend_line = "100B".parse().unwrap();
        limits.backend_header_bytes = "1KiB".parse().unwrap();
        limits.backend_read_ahead = "8KiB".parse().unwrap();
    });
    let most = 4 * 100 + 1024 + 8 * 1024;
    let line = "{\"message\":{\"content\":\"x\"},\"done\":true,\"done_reason\":\"stop\"}\n";
    let event = "data: {\"choices\":[{\"index\":0,\"finish_reason\":\"stop\"}]}\n\n";
    // Up to the event's last byte, with which something comes of it.
    let answer = |media: &str, event: &str, length: usize| {
        let around = chunked(media).len() + "2fff\r\n".len() + event.len();
        let blank = "\n".repeat(length - around);
        format!("{}2fff\r\n{blank}{event}", chunked(media))
    };
    for more in [0, 1] {
        let fault = (more > 0)
            .then(|| format!("the backend answered garbage: {} bytes that came to nothing", most + 1));
        for stream in [false, true] {
            let peer = Peer::new().await;
            let answer = answer("application/x-ndjson", line, most + more);
            let backend = Backend::found_ollama(&peer.url(), &limits).unwrap();
            let answered = join!(backend.chat(call(stream)), peer.answer(&answer)).0;
            assert_eq!(answered.err().map(|error| error.to_string()), fault);
        }
        let peer = Peer::new().await;
        let answer = answer("text/event-stream", event, most + more);
        let answered = join!(openai(&peer, &limits).chat(call(true)), peer.answer(&answer)).0;
        assert_eq!(answered.err().map(|error| error.to_string()), fault);
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_behind_its_finish_reason_is_whole() {
    let limits = limits(|_limits| {});
    let (text, finish) = (
        r#"data: {"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null}]}"#,
        r#"data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
    );
    for (events, is_whole) in [
        (format!("{text}\n\n{finish}\n\n"), true),
        (format!("{text}\n\n{finish}\n\ndata: [DO"), true),
        (format!("{text}\n\n"), false),
        (format!("{text}\n\n{}", &finish[..40]), false),
    ] {
        let peer = Peer::new().await;
        let answer = format!("{}{:x}\r\n{events}\r\n", chunked("text/event-stream"), events.len());
        let backend = openai(&peer, &limits);
        let (answered, (line, _)) = join!(backend.chat(call(true)), peer.answer(&answer));
        drop(line);
        let Ok(Answer::Stream(mut chunks)) = answered else { panic!("no stream") };
        let (mut said, mut failed) = (Vec::new(), false);
        while let Some(piece) = chunks.next().await {
            piece.map(|bytes| said.extend_from_slice(&bytes)).unwrap_or_else(|_fault| failed = true);
        }
        let said = String::from_utf8(said).unwrap();
        assert_eq!((said.ends_with("data: [DONE]\n\n"), failed), (is_whole, !is_whole), "{events:?}: {said}");
    }
}
