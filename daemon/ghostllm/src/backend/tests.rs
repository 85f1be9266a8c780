//! What a file's model is called, and what a backend may send.

use std::time::Duration;

use futures_util::StreamExt as _;
use ghostllm_core::{
    chat::{Defaults, Usage},
    config::KeepAliveStyle,
    dialect::{openai, render::Form, responses},
};
use tokio::join;

use super::{
    peer::{Peer, chunked, ok},
    *,
};

mod counts;

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
    Backend::configured(
        &config::Backend { name, target, key_file: None, on_this_box: None, timeouts },
        None,
        limits,
    )
    .unwrap()
}

fn call(stream: bool) -> ChatCall {
    let body = format!(
        "{{\"model\":\"m\",\"stream\":{stream},\"messages\":[{{\"role\":\"user\",\"content\":\"hi\"}}]}}"
    );
    let passed = openai::passthrough::inspect(body.as_bytes(), &Limits::default()).unwrap();
    let form = Form::Chat { model: "m".into(), include_usage: false };
    called(Asked::AsSent { body: body.into(), passed: Box::new(passed) }, form)
}

/// The same of a client that speaks Responses.
fn response(stream: bool) -> ChatCall {
    let body = format!("{{\"model\":\"m\",\"stream\":{stream},\"input\":\"hi\"}}");
    let read = responses::parse_response(body.as_bytes(), &Limits::default()).unwrap();
    called(Asked::read(read.chat), Form::Response(Arc::new(read.echo)))
}

fn called(asked: Asked, form: Form) -> ChatCall {
    let voice = Voice { form, id: "1".to_owned(), created: 1, keeper: None };
    let trace = crate::trace::Trace::new(1, &http::HeaderMap::new());
    let (model, defaults) = ("m".to_owned(), Defaults::default());
    let (meter, unheard) = (Meter::default(), Unheard::default());
    ChatCall { asked, voice, model, defaults, trace, slot: None, meter, unheard }
}

fn fault(error: ChatError) -> BackendFault {
    match error {
        ChatError::Fault(fault) => fault,
        ChatError::Request(_) | ChatError::Stopping => panic!("the request is refused: {error}"),
    }
}

/// All of a stream, and the fault that ended it.
async fn streamed(answer: Answer) -> (String, Option<BackendFault>) {
    let Answer::Stream(mut stream) = answer else { panic!("in one piece") };
    let mut text = String::new();
    while let Some(bytes) = stream.next().await {
        match bytes {
            Ok(bytes) => text.push_str(std::str::from_utf8(&bytes).unwrap()),
            Err(error) => return (text, Some(fault(error))),
        }
    }
    (text, None)
}

const LINES: &str = "{\"message\":{\"content\":\"Hey\"},\"done\":false}\n\
    {\"message\":{\"content\":\"\"},\"done\":true,\"done_reason\":\"stop\",\"prompt_eval_count\":2,\"eval_count\":3}\n";
const CHUNKS: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hey\"}}]}\n\n\
    data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n\
    data: {\"choices\":[],\"usage\":{\"prompt_tokens\":2,\"completion_tokens\":3}}\n\ndata: [DONE]\n\n";

/// A backend of each language, with what it says.
fn backends(peer: &Peer, limits: &Arc<Limits>) -> [(Backend, String); 2] {
    let ollama = Backend::found_ollama(&peer.url(), limits).unwrap();
    let lines = ok("application/x-ndjson", LINES);
    [(ollama, lines), (openai(peer, limits), ok("text/event-stream", CHUNKS))]
}

#[tokio::test]
async fn a_response_is_given_by_engines_of_either_language() {
    let limits = limits(|_| {});
    for which in [0, 1] {
        let peer = Peer::new().await;
        let (backend, answer) = &backends(&peer, &limits)[which];
        let answered = join!(backend.chat(response(true)), peer.answer(answer)).0.unwrap();
        let (text, fault) = streamed(answered).await;
        assert_eq!(fault, None, "{text}");
        let kinds: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
        assert_eq!((kinds.len(), kinds.last()), (9, Some(&"response.completed")), "{text}");
        let peer = Peer::new().await;
        let (backend, answer) = &backends(&peer, &limits)[which];
        let answered = join!(backend.chat(response(false)), peer.answer(answer)).0.unwrap();
        let Answer::Whole(body, usage) = answered else { panic!("a stream") };
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["output"][0]["content"][0]["text"], "Hey");
        assert_eq!((usage, &body["usage"]["total_tokens"]), (Usage::counted(2, 3), &serde_json::json!(5)));
    }
}

#[tokio::test]
async fn a_stream_that_fails_says_so_in_its_language_with_what_it_has_said() {
    let cut = CHUNKS.split_once("data: {\"choices\":[{\"index\":0,\"delta\":{},").unwrap().0;
    let peer = Peer::new().await;
    let backend = openai(&peer, &limits(|_| {}));
    let answer = ok("text/event-stream", cut);
    let answered = join!(backend.chat(response(true)), peer.answer(&answer)).0.unwrap();
    let Answer::Stream(mut stream) = answered else { panic!("in one piece") };
    let mut fault = None;
    while let Some(bytes) = stream.next().await {
        fault = bytes.err().map(self::fault);
    }
    let fault = fault.unwrap();
    assert_eq!(fault, BackendFault::EndedEarly);
    let last = stream.failure(&fault.into());
    let last = std::str::from_utf8(&last).unwrap();
    assert!(last.contains("\"type\":\"response.failed\",\"sequence_number\":5"), "{last}");
    assert!(last.contains("\"text\":\"Hey\"") && last.contains("event: error\n"), "{last}");
}

#[tokio::test]
async fn a_call_whose_pieces_come_for_long_is_no_surplus() {
    let limits = limits(|limits| {
        limits.backend_line = "200B".parse().unwrap();
        limits.backend_header_bytes = "1KiB".parse().unwrap();
        limits.backend_read_ahead = "8KiB".parse().unwrap();
    });
    let piece = |arguments: &str| {
        format!(
            "data: {{\"choices\":[{{\"delta\":{{\"tool_calls\":[{{\"index\":0,\"id\":\"a\",\"function\":\
             {{\"name\":\"f\",\"arguments\":\"{arguments}\"}}}}]}}}}]}}\n\n"
        )
    };
    let middle = piece("xxxxxxxxxx").repeat(1000);
    let end = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\n";
    let answer = format!("{}{middle}{}{end}", piece("{\\\"a\\\":\\\""), piece("\\\"}"));
    assert!(answer.len() > 100_000);
    for stream in [false, true] {
        let peer = Peer::new().await;
        let backend = openai(&peer, &limits);
        let answer = ok("text/event-stream", &answer);
        let answered = join!(backend.chat(response(stream)), peer.answer(&answer)).0;
        assert!(answered.is_ok(), "{:?}", answered.err());
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
    let event = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}]}\n\n";
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

#[tokio::test]
async fn a_response_of_an_engine_that_breaks_off_behind_its_finish_reason_is_whole_in_either_form() {
    let limits = limits(|_limits| {});
    let events = CHUNKS.split_once("data: [DONE]").unwrap().0;
    for stream in [true, false] {
        let peer = Peer::new().await;
        let answer = format!("{}{:x}\r\n{events}\r\n", chunked("text/event-stream"), events.len());
        let backend = openai(&peer, &limits);
        // The line is dropped once all of that is written.
        let (answered, ()) =
            join!(backend.chat(response(stream)), async { drop(peer.answer(&answer).await) });
        let text = match answered.unwrap() {
            Answer::Whole(body, _) => String::from_utf8(body.to_vec()).unwrap(),
            whole @ Answer::Stream(_) => {
                let (text, fault) = streamed(whole).await;
                assert_eq!(fault, None, "{text}");
                text
            }
        };
        assert!(text.contains("\"status\":\"completed\"") && text.contains("Hey"), "{stream}: {text}");
    }
}

/// The same with these fields as well.
fn asking(fields: &str, stream: bool) -> ChatCall {
    let body = format!(
        "{{\"model\":\"m\",\"stream\":{stream},{fields},\"messages\":[{{\"role\":\"user\",\"content\":\"hi\"}}]}}"
    );
    let passed = openai::passthrough::inspect(body.as_bytes(), &Limits::default()).unwrap();
    ChatCall { asked: Asked::AsSent { body: body.into(), passed: Box::new(passed) }, ..call(stream) }
}

const DONE_LINE: &str = "{\"message\":{\"content\":\"x\"},\"done\":true,\"done_reason\":\"stop\",\"prompt_eval_count\":5,\"eval_count\":2}\n";

/// All that a stream gives, and the error at its end.
async fn all_of(answer: Result<Answer, ChatError>) -> (String, Option<ChatError>) {
    let Ok(Answer::Stream(mut chunks)) = answer else { panic!("no stream") };
    let mut text = String::new();
    loop {
        match chunks.next().await {
            None => return (text, None),
            Some(Ok(bytes)) => text.push_str(std::str::from_utf8(&bytes).unwrap()),
            Some(Err(error)) => return (text, Some(error)),
        }
        assert_eq!(chunks.is_over(), text.contains("[DONE]"), "{text}");
    }
}

#[tokio::test]
async fn of_several_answers_each_is_asked_for_behind_the_other() {
    let limits = limits(|_| {});
    let answers = |good: bool| {
        let bad = "{\"error\":\"the runner died\"}\n";
        [
            ok("application/x-ndjson", DONE_LINE),
            ok("application/x-ndjson", if good { DONE_LINE } else { bad }),
        ]
    };
    for (stream, good) in [(false, true), (false, false), (true, true), (true, false)] {
        let peer = Peer::new().await;
        let backend = Backend::found_ollama(&peer.url(), &limits).unwrap();
        let [first, second] = answers(good);
        let asked = async {
            let answer = backend.chat(asking("\"n\":2,\"seed\":3", stream)).await;
            if stream { Ok(all_of(answer).await) } else { Err(answer) }
        };
        let served = async {
            let (mut line, got) = peer.answer(&first).await;
            // The connection is the same.
            let again = line.request().await;
            line.send(&second).await;
            (got.body, again.body, line)
        };
        let (answered, (one, two, _line)) = join!(asked, served);
        assert!(one.contains("\"seed\":3") && two.contains("\"seed\":4"), "{one} {two}");
        match answered {
            Err(Ok(Answer::Whole(body, usage))) => {
                assert!(good && usage == Usage::counted(5, 4), "{usage:?} {body:?}");
            }
            Err(failed) => {
                assert!(!good && matches!(failed, Err(ChatError::Fault(BackendFault::ErrorLine { .. }))));
            }
            Ok((text, fault)) => {
                assert!(text.contains("\"index\":0,") && text.contains("[DONE]") == good, "{text}");
                assert_eq!((text.contains("\"index\":1"), fault.is_none()), (good, good), "{text}");
            }
        }
    }
}

const ONE_WHOLE: &str = r#"{"choices":[{"index":0,"message":{"content":"x"},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":2}}"#;
const ONE_CHUNKS: &str = "data: {\"id\":\"e\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}],\
                      \"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n";

fn one_answer(stream: bool) -> String {
    if stream { ok("text/event-stream", ONE_CHUNKS) } else { ok("application/json", ONE_WHOLE) }
}

#[tokio::test]
async fn more_than_the_limit_of_whoever_gives_one_at_a_time_are_the_client_s_fault() {
    let limits = limits(|limits| limits.choices = 2);
    for stream in [false, true] {
        let peer = Peer::new().await;
        let (backend, answer) = (openai(&peer, &limits), one_answer(stream));
        let asked = async {
            let answered = backend.chat(asking("\"n\":3", stream)).await;
            if stream { all_of(answered).await.1 } else { answered.err() }
        };
        let (failed, _line) = join!(asked, peer.answer(&answer));
        let Some(ChatError::Request(error)) = failed else { panic!("{failed:?}") };
        assert_eq!((error.status().as_u16(), error.param()), (400, Some("n")), "{error}");
        assert!(error.message().contains("1 to 2 (limits.choices)"), "{error}");
        assert!(peer.nobody_else_came(), "it was asked again");
    }
}

#[tokio::test]
async fn whoever_refuses_several_answers_is_asked_for_one_at_a_time() {
    let limits = limits(|_| {});
    let refusal = |status: &str| {
        ok("application/json", "{\"error\":{\"message\":\"Only one completion is supported\"}}")
            .replace("200 OK", status)
    };
    for (status, stream) in [("400 Bad Request", false), ("422 Unprocessable Entity", true)] {
        let peer = Peer::new().await;
        let (backend, answer) = (openai(&peer, &limits), one_answer(stream));
        let asked = async {
            let call = asking("\"n\":2,\"stream_options\":{\"include_usage\":true}", stream);
            match backend.chat(call).await {
                Ok(Answer::Whole(body, usage)) => (String::from_utf8(body.to_vec()).unwrap(), Some(usage)),
                answered => {
                    let (text, error) = all_of(answered).await;
                    assert_eq!(error, None, "{text}");
                    (text, None)
                }
            }
        };
        let served = async {
            let mut line = peer.accept().await;
            let mut seen = Vec::new();
            for reply in [&refusal(status), &answer, &answer] {
                seen.push(line.request().await.body);
                line.send(reply).await;
            }
            (seen, line)
        };
        let ((text, usage), (seen, _line)) = join!(asked, served);
        let counts: Vec<_> = seen.iter().map(|body| body.contains("\"n\":1")).collect();
        assert_eq!(counts, [false, true, true], "{seen:?}");
        assert!(text.contains("\"index\":0") && text.contains("\"index\":1"), "{text}");
        // What rides in each finish chunk adds up, and is told once.
        assert_eq!(text.matches("\"completion_tokens\":4").count(), 1, "{text}");
        assert_eq!(text.matches("completion_tokens").count(), 1, "{text}");
        assert!(stream || usage == Some(Usage::counted(5, 4)));
    }
}

#[tokio::test]
async fn what_an_engine_refuses_of_one_answer_too_is_its_refusal() {
    let limits = limits(|_| {});
    let peer = Peer::new().await;
    let backend = openai(&peer, &limits);
    let refusal =
        ok("application/json", "{\"error\":{\"message\":\"bad\"}}").replace("200 OK", "400 Bad Request");
    let served = async {
        let mut line = peer.accept().await;
        for _ in 0..2 {
            line.request().await;
            line.send(&refusal).await;
        }
        line
    };
    let (answered, _line) = join!(backend.chat(asking("\"n\":2", false)), served);
    let refused = matches!(answered, Err(ChatError::Fault(BackendFault::Answered { status: 400, .. })));
    assert!(refused && peer.nobody_else_came());
}

#[tokio::test]
async fn a_client_that_waits_between_two_answers_waits_for_the_second() {
    let limits = limits(|_| {});
    let peer = Peer::new().await;
    let backend = Backend::found_ollama(&peer.url(), &limits).unwrap();
    let call = asking("\"n\":2", true);
    let plain = call.voice.keep_alive(KeepAliveStyle::EmptyDelta);
    let answer = ok("application/x-ndjson", DONE_LINE);
    let (answered, (mut line, _)) = join!(backend.chat(call), peer.answer(&answer));
    let Ok(Answer::Stream(mut chunks)) = answered else { panic!("no stream") };
    assert_eq!(chunks.keep_alive(&plain), plain);
    let first = chunks.next().await.unwrap().unwrap();
    assert!(first.windows(6).any(|word| word == b"\"stop\""), "all of the first answer");
    let index_of = |keep_alive: Bytes| -> serde_json::Value {
        let chunk = serde_json::from_slice::<serde_json::Value>(&keep_alive["data: ".len()..]).unwrap();
        assert_eq!(chunk["choices"][0]["delta"], serde_json::json!({"content": ""}));
        chunk["choices"][0]["index"].clone()
    };
    assert_eq!(index_of(chunks.keep_alive(&plain)), 1, "before it is asked for");
    tokio::select! {
        event = chunks.next() => panic!("{event:?}"),
        _ = line.request() => {}
    }
    assert_eq!(index_of(chunks.keep_alive(&plain)), 1, "while it is asked for");
    let (second, ()) = join!(chunks.next(), line.send(&answer));
    assert!(second.is_some_and(|events| events.is_ok()) && chunks.is_over());
}

#[tokio::test]
async fn behind_the_end_of_a_choice_no_delta_of_it_keeps_alive() {
    let limits = limits(|_| {});
    let peer = Peer::new().await;
    let backend = openai(&peer, &limits);
    let call = asking("\"n\":1", true);
    let plain = call.voice.keep_alive(KeepAliveStyle::EmptyDelta);
    let (finish, done) = ONE_CHUNKS.split_once("data: [DONE]").unwrap();
    let head = format!("{}{}", chunked("text/event-stream"), super::peer::chunk(finish));
    let (answered, (mut line, _)) = join!(backend.chat(call), peer.answer(&head));
    let Ok(Answer::Stream(mut chunks)) = answered else { panic!("no stream") };
    assert!(chunks.next().await.is_some_and(|events| events.is_ok()) && !chunks.is_over());
    assert_eq!(chunks.keep_alive(&plain), openai::KEEP_ALIVE_COMMENT);
    line.send(&super::peer::chunk(&format!("data: [DONE]{done}"))).await;
    assert!(chunks.next().await.is_some_and(|events| events.is_ok()) && chunks.is_over());
}

#[tokio::test]
async fn one_call_is_given_where_only_one_is_wanted() {
    let limits = limits(|_| {});
    let calls = "{\"message\":{\"content\":\"\",\"tool_calls\":[{\"function\":{\"name\":\"a\"}},{\"function\":{\"name\":\"b\"}}]},\
                 \"done\":true,\"done_reason\":\"stop\"}\n";
    for (parallel, count) in [(true, 2), (false, 1)] {
        let peer = Peer::new().await;
        let backend = Backend::found_ollama(&peer.url(), &limits).unwrap();
        let answer = ok("application/x-ndjson", calls);
        let call = asking(&format!("\"parallel_tool_calls\":{parallel}"), true);
        let (answered, _line) = join!(async { all_of(backend.chat(call).await).await }, peer.answer(&answer));
        assert_eq!(answered.0.matches("\"name\":").count(), count, "{}", answered.0);
        assert!(answered.0.contains("\"finish_reason\":\"tool_calls\"") && answered.1.is_none());
    }
}
