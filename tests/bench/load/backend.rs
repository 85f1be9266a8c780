//! The engine behind the bench: OpenAI's wire and Ollama's, with answers that cost it nothing to think of.
//!
//! Knows what it is asked by the model's name: `whole` answers at once, `events-N-MS` sends N events so far apart, `hold`
//! sends one and is silent until its peer leaves. Invariant: each event bears the moment at which it was written.

use std::{convert::Infallible, fmt::Write as _, net::Ipv4Addr, time::Duration};

use anyhow::{Context, Result};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Request, Response,
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::{TcpListener, TcpSocket};

use crate::clock;

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// The models that the driver's runs ask for; a list has every one.
pub(crate) const MODELS: [&str; 4] = ["whole", "hold", "events-100-20", "events-2-20"];

/// Serves on a free port of 127.0.0.1, which is the first line of its standard output, for as long as it lives.
pub(crate) async fn serve() -> Result<()> {
    let listener = listen()?;
    crate::say(&listener.local_addr()?)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            let service = service_fn(|request| async { answer(request).await });
            // A peer that leaves ends its connection; that is the run's business.
            drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
        });
    }
}

/// With room for everybody at once: what waits for a connection would be charged to the proxy.
fn listen() -> Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    Ok(socket.listen(4096)?)
}

#[derive(Deserialize)]
struct Asked<'a> {
    model: &'a str,
    #[serde(default)]
    stream: Option<bool>,
}

/// Whose wire.
#[derive(Clone, Copy)]
enum Wire {
    OpenAi,
    Ollama,
}

async fn answer(request: Request<Incoming>) -> Result<Response<Body>> {
    let wire = match request.uri().path() {
        "/v1/chat/completions" => Wire::OpenAi,
        "/api/chat" => Wire::Ollama,
        path => return Ok(whole("application/json", list(path))),
    };
    let body = request.into_body().collect().await?.to_bytes();
    let asked: Asked<'_> = serde_json::from_slice(&body)?;
    // Ollama's names have a tag.
    let model = asked.model.strip_suffix(":latest").unwrap_or(asked.model);
    // Ollama streams unless it is told not to.
    let stream = asked.stream.unwrap_or(matches!(wire, Wire::Ollama));
    if !stream || model == "whole" {
        return Ok(whole("application/json", WHOLE[wire as usize].into()));
    }
    let media = ["text/event-stream", "application/x-ndjson"][wire as usize];
    let body = if model == "hold" {
        let first = stream::once(async move { event(wire) });
        StreamBody::new(first.chain(stream::pending()).map(frame)).boxed_unsync()
    } else {
        let (events, apart) = plan(model).context("a model of another name")?;
        StreamBody::new(events_of(wire, events, apart).map(frame)).boxed_unsync()
    };
    Ok(Response::builder().header("content-type", media).body(body)?)
}

fn frame(bytes: Bytes) -> Result<Frame<Bytes>, Infallible> {
    Ok(Frame::data(bytes))
}

fn whole(media: &'static str, text: String) -> Response<Body> {
    let mut answer = Response::new(Full::new(Bytes::from(text)).boxed_unsync());
    answer.headers_mut().insert("content-type", http::HeaderValue::from_static(media));
    answer
}

/// `events-N-MS`.
fn plan(model: &str) -> Option<(usize, Duration)> {
    let (events, apart) = model.strip_prefix("events-")?.split_once('-')?;
    Some((events.parse().ok()?, Duration::from_millis(apart.parse().ok()?)))
}

/// The first comes at once; the end follows the last.
fn events_of(wire: Wire, events: usize, apart: Duration) -> impl Stream<Item = Bytes> {
    stream::unfold(0, move |nth| async move {
        if nth > events {
            return None;
        }
        if nth > 0 {
            tokio::time::sleep(apart).await;
        }
        Some((
            if nth == events { Bytes::from_static(END[wire as usize].as_bytes()) } else { event(wire) },
            nth + 1,
        ))
    })
}

fn event(wire: Wire) -> Bytes {
    let at = clock::now();
    Bytes::from(match wire {
        Wire::OpenAi => format!(
            "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1764000000,\"model\":\"tiny\",\
             \"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"@{at}@\"}},\"finish_reason\":null}}]}}\n\n"
        ),
        Wire::Ollama => format!(
            "{{\"model\":\"tiny\",\"created_at\":\"2026-11-25T00:00:00.000000Z\",\
             \"message\":{{\"role\":\"assistant\",\"content\":\"@{at}@\"}},\"done\":false}}\n"
        ),
    })
}

const WHOLE: [&str; 2] = [
    "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"created\":1764000000,\"model\":\"tiny\",\"choices\":[{\"index\":0,\
     \"message\":{\"role\":\"assistant\",\"content\":\"Paris is the capital of France.\"},\"finish_reason\":\"stop\"}],\
     \"usage\":{\"prompt_tokens\":14,\"completion_tokens\":7,\"total_tokens\":21}}",
    "{\"model\":\"tiny\",\"created_at\":\"2026-11-25T00:00:00.000000Z\",\"message\":{\"role\":\"assistant\",\
     \"content\":\"Paris is the capital of France.\"},\"done\":true,\"done_reason\":\"stop\",\"total_duration\":1000000,\
     \"load_duration\":1000,\"prompt_eval_count\":14,\"prompt_eval_duration\":1000,\"eval_count\":7,\"eval_duration\":1000}",
];

const END: [&str; 2] = [
    "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1764000000,\"model\":\"tiny\",\
     \"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
    "{\"model\":\"tiny\",\"created_at\":\"2026-11-25T00:00:00.000000Z\",\"message\":{\"role\":\"assistant\",\"content\":\"\"},\
     \"done\":true,\"done_reason\":\"stop\",\"total_duration\":1000000,\"load_duration\":1000,\"prompt_eval_count\":14,\
     \"prompt_eval_duration\":1000,\"eval_count\":7,\"eval_duration\":1000}\n",
];

/// The lists of either wire, and Ollama's version.
fn list(path: &str) -> String {
    let mut entries = String::new();
    for model in MODELS {
        let comma = if entries.is_empty() { "" } else { "," };
        let _never = match path {
            "/v1/models" => {
                write!(entries, "{comma}{{\"id\":\"{model}\",\"object\":\"model\",\"owned_by\":\"bench\"}}")
            }
            _ => write!(
                entries,
                "{comma}{{\"name\":\"{model}\",\"model\":\"{model}\",\"modified_at\":\"2026-11-25T00:00:00Z\"}}"
            ),
        };
    }
    match path {
        "/v1/models" => format!("{{\"object\":\"list\",\"data\":[{entries}]}}"),
        "/api/tags" => format!("{{\"models\":[{entries}]}}"),
        _ => "{\"version\":\"0.12.0\"}".into(),
    }
}
