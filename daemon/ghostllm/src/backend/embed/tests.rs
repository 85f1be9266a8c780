//! What each kind of backend is asked, what becomes of its answer, and how large that may be.

use ghostllm_core::{
    config::{self, Target, Timeouts},
    dialect::openai::inspect_embeddings,
};
use tokio::join;

use super::{
    super::peer::{Got, Peer, ok},
    *,
};

fn call(body: &str) -> EmbedCall {
    let passed = inspect_embeddings(body.as_bytes(), &Limits::default()).unwrap();
    let trace = Trace::new(1, &http::HeaderMap::new());
    EmbedCall {
        body: body.to_owned().into(),
        passed,
        model: "m:latest".to_owned(),
        defaults: Defaults::default(),
        trace,
        slot: None,
    }
}

fn backend(peer: &Peer, is_ollama: bool, limits: Limits) -> Backend {
    let url = peer.url();
    let target = if is_ollama { Target::Ollama(url) } else { Target::OpenAi(url) };
    let (limits, name) = (Arc::new(limits), "box".parse().unwrap());
    let timeouts = Timeouts::of(&limits);
    Backend::configured(
        &config::Backend { name, target, key_file: None, on_this_box: None, timeouts },
        None,
        &limits,
    )
    .unwrap()
}

async fn asked(is_ollama: bool, body: &str, answer: &str) -> (Result<Embedded, ChatError>, Got) {
    let peer = Peer::new().await;
    let backend = backend(&peer, is_ollama, Limits::default());
    let (answered, (_line, got)) = join!(backend.embed(call(body)), peer.answer(answer));
    (answered, got)
}

const VECTORS: &str = r#"{"embeddings":[[0.5,-1]],"prompt_eval_count":2}"#;

#[tokio::test]
async fn an_ollama_is_asked_by_its_native_route() {
    let body = r#"{"model":"m","input":"a","user":"u","encoding_format":"base64"}"#;
    let (answered, got) = asked(true, body, &ok("application/json; charset=utf-8", VECTORS)).await;
    assert!(got.head.starts_with("post /api/embed http/1.1\r\n"), "{got:?}");
    assert_eq!(got.body, r#"{"model":"m:latest","input":["a"],"truncate":false}"#);
    let Embedded { body, usage, ignored } = answered.unwrap();
    assert_eq!(
        body,
        r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":"AAAAPwAAgL8="}],"model":"m","usage":{"prompt_tokens":2,"total_tokens":2}}"#
    );
    assert_eq!((usage, ignored), (Usage::counted(2, 0), Some("user".to_owned())));
}

#[tokio::test]
async fn an_engine_of_openai_s_language_gets_what_came() {
    let body = r#"{"model":"m", "input":[1,2], "truncate_prompt_tokens":5}"#;
    let answer = r#"{"data":[{"index":0,"embedding":[1]}],"model":"m:latest"}"#;
    let (answered, got) = asked(false, body, &ok("application/json", answer)).await;
    assert!(got.head.starts_with("post /v1/embeddings http/1.1\r\n"), "{got:?}");
    assert_eq!(got.body, r#"{"model":"m:latest", "input":[1,2], "truncate_prompt_tokens":5}"#);
    let embedded = answered.unwrap();
    assert_eq!(embedded.body, r#"{"data":[{"index":0,"embedding":[1]}],"model":"m"}"#);
    let estimate = Usage { estimated: true, ..Usage::counted(2, 0) };
    assert_eq!((embedded.usage, embedded.ignored), (estimate, None));
}

/// What a client would hear.
fn refused(answered: Result<Embedded, ChatError>) -> (bool, u16, Option<String>) {
    let error = answered.unwrap_err();
    let is_request = matches!(error, ChatError::Request(_));
    let error = ApiError::from(error);
    (is_request, error.status().as_u16(), error.param().map(str::to_owned))
}

fn status(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn what_an_engine_refuses_is_told_as_what_it_is() {
    let body = r#"{"model":"m","input":"a"}"#;
    let request = |code, param: &str| (true, code, Some(param.to_owned()));
    for (is_ollama, answer, expected) in [
        (
            true,
            status(
                "501 Not Implemented",
                r#"{"error":"This server does not support embeddings. Start it with `--embeddings`"}"#,
            ),
            request(400, "model"),
        ),
        (
            true,
            status("400 Bad Request", r#"{"error":"the input length exceeds the context length"}"#),
            request(400, "input"),
        ),
        (false, status("404 Not Found", r#"{"detail":"Not Found"}"#), request(400, "model")),
        (true, status("503 Service Unavailable", r#"{"error":"server busy"}"#), (false, 503, None)),
        (true, ok("application/json", r#"{"embeddings":[]}"#), (false, 502, None)),
        (true, ok("application/json", r#"{"embeddings":[[1],[1]]}"#), (false, 502, None)),
        (false, ok("application/json", r#"{"data":[]}"#), (false, 502, None)),
        (false, ok("text/html", "<html>"), (false, 502, None)),
    ] {
        let (answered, _) = asked(is_ollama, body, &answer).await;
        assert_eq!(refused(answered), expected, "{answer}");
    }
}

#[tokio::test]
async fn vectors_are_as_long_as_was_wanted() {
    for (dimensions, fits) in [(1, false), (2, true), (3, false)] {
        let body = format!("{{\"model\":\"m\",\"input\":\"a\",\"dimensions\":{dimensions}}}");
        let (answered, got) = asked(true, &body, &ok("application/json", VECTORS)).await;
        assert!(got.body.ends_with(&format!(",\"dimensions\":{dimensions}}}")), "{got:?}");
        if fits {
            assert!(answered.is_ok());
        } else {
            assert_eq!(refused(answered), (true, 400, Some("dimensions".to_owned())));
        }
    }
}

#[tokio::test]
async fn what_cannot_be_translated_is_refused_before_anybody_is_asked() {
    for (body, param) in [
        (r#"{"model":"m","input":[1,2]}"#, "input"),
        (r#"{"model":"m","input":"a","truncate":true}"#, "truncate"),
    ] {
        let peer = Peer::new().await;
        let answered = backend(&peer, true, Limits::default()).embed(call(body)).await;
        assert_eq!(refused(answered), (true, 400, Some(param.to_owned())));
        assert!(peer.nobody_else_came());
    }
}

#[tokio::test]
async fn an_answer_has_a_size() {
    for (more, fits) in [(0, true), (1, false)] {
        for (is_ollama, answer) in [(true, VECTORS), (false, r#"{"data":[{"index":0,"embedding":[1]}]}"#)] {
            let peer = Peer::new().await;
            let limits = Limits { backend_answer: "100B".parse().unwrap(), ..Limits::default() };
            let backend = backend(&peer, is_ollama, limits);
            let answer = ok("application/json", &format!("{answer:0$}", 100 + more));
            let answered = join!(backend.embed(call(r#"{"model":"m","input":"a"}"#)), peer.answer(&answer)).0;
            assert_eq!(answered.is_ok(), fits, "{answered:?}");
        }
    }
}
