//! An engine of OpenAI's language whose tokens come at the simulated card's pace.
//!
//! Knows `/v1/models` and `/v1/chat/completions`. Refuses to know who asks. Invariant: a prompt has as many tokens as words, an answer as many as
//! `max_tokens` says, and each token is a word.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use ghostllm_heat_claim::sim::{Class, Job};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{
    Request, Response, StatusCode,
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::{Mutex, mpsc::UnboundedReceiver},
};

use crate::world::World;

/// The only model.
pub(crate) const MODEL: &str = "simulated";

type Body = BoxBody<Bytes, Infallible>;

/// Serves for ever.
pub(crate) async fn serve(listener: TcpListener, world: Arc<Mutex<World>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let world = world.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(request, world.clone()));
            // A connection that breaks is the client's leaving.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

fn whole(status: StatusCode, value: &Value) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::from(value.to_string())).boxed());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert("content-type", hyper::header::HeaderValue::from_static("application/json"));
    response
}

fn error(status: StatusCode, message: &str) -> Response<Body> {
    whole(status, &json!({"error": {"message": message, "type": "server_error"}}))
}

async fn answer(request: Request<Incoming>, world: Arc<Mutex<World>>) -> Result<Response<Body>, Infallible> {
    if request.uri().path() == "/v1/models" {
        let model = json!({"id": MODEL, "object": "model", "created": 0, "owned_by": "simulation"});
        return Ok(whole(StatusCode::OK, &json!({"object": "list", "data": [model]})));
    }
    if request.uri().path() != "/v1/chat/completions" {
        return Ok(error(StatusCode::NOT_FOUND, "There is no such route."));
    }
    let Ok(body) = request.into_body().collect().await else {
        return Ok(error(StatusCode::BAD_REQUEST, "The body broke off."));
    };
    let asked: Value = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
    let mut world = world.lock().await;
    let (words, most) = (words(&asked), most(&asked));
    let job = Job::new(Class::Interactive, world.now(), words, most);
    let Some(tokens) = world.take(job) else {
        return Ok(error(StatusCode::SERVICE_UNAVAILABLE, "The card is off."));
    };
    drop(world);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "tokens of one answer")]
    let most = most as u32;
    if asked.get("stream").and_then(Value::as_bool) == Some(true) {
        Ok(streamed(tokens, most))
    } else {
        Ok(at_once(tokens, most).await)
    }
}

fn words(asked: &Value) -> f64 {
    let messages = asked.get("messages").and_then(Value::as_array);
    let count = messages.into_iter().flatten().filter_map(|message| message.get("content")?.as_str());
    u32::try_from(count.map(|text| text.split_whitespace().count()).sum::<usize>())
        .map_or(1.0, f64::from)
        .max(1.0)
}

fn most(asked: &Value) -> f64 {
    let named = |name: &str| asked.get(name).and_then(Value::as_f64);
    named("max_completion_tokens").or_else(|| named("max_tokens")).unwrap_or(256.0).clamp(1.0, 100_000.0)
}

fn chunk(text: &str, finish: Option<&str>) -> Bytes {
    let choice = json!({"index": 0, "delta": {"content": text}, "finish_reason": finish});
    let event = json!({"id": "chatcmpl-0", "object": "chat.completion.chunk", "created": 0, "model": MODEL, "choices": [choice]});
    Bytes::from(format!("data: {event}\n\n"))
}

/// Each piece as it comes. Where the card goes off in the middle the body ends without its last event.
fn streamed(tokens: UnboundedReceiver<u32>, most: u32) -> Response<Body> {
    let events = futures(tokens, most);
    let mut response = Response::new(StreamBody::new(events).boxed());
    response
        .headers_mut()
        .insert("content-type", hyper::header::HeaderValue::from_static("text/event-stream"));
    response
}

fn futures(
    tokens: UnboundedReceiver<u32>,
    most: u32,
) -> impl futures_util::Stream<Item = Result<Frame<Bytes>, Infallible>> {
    futures_util::stream::unfold((tokens, 0, false), move |(mut tokens, told, over)| async move {
        if over {
            return None;
        }
        let Some(more) = tokens.recv().await else {
            return (told >= most).then(|| {
                let last = [chunk("", Some("length")), Bytes::from_static(b"data: [DONE]\n\n")].concat();
                (Ok(Frame::data(Bytes::from(last))), (tokens, told, true))
            });
        };
        let text = "word ".repeat(more as usize);
        Some((Ok(Frame::data(chunk(&text, None))), (tokens, told + more, false)))
    })
}

async fn at_once(mut tokens: UnboundedReceiver<u32>, most: u32) -> Response<Body> {
    let mut told = 0;
    while let Some(more) = tokens.recv().await {
        told += more;
    }
    if told < most {
        return error(StatusCode::INTERNAL_SERVER_ERROR, "The card went off.");
    }
    let message = json!({"role": "assistant", "content": "word ".repeat(told as usize)});
    let choice = json!({"index": 0, "message": message, "finish_reason": "length"});
    let usage = json!({"prompt_tokens": 0, "completion_tokens": told, "total_tokens": told});
    whole(
        StatusCode::OK,
        &json!({"id": "chatcmpl-0", "object": "chat.completion", "created": 0, "model": MODEL, "choices": [choice], "usage": usage}),
    )
}
