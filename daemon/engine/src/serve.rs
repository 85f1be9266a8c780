//! HTTP/1.1 on the socket: routes, bodies, streams.
//!
//! Knows HTTP and the routes. Knows nothing of inference. Invariant: a connection that closes drops the ticket of its
//! request, and so frees the inference thread.

use crate::body::{Bodies, Body};
use crate::error::Failure;
use crate::gguf::Summary;
use crate::library::{Library, Model};
use crate::queue::{Event, Queue, Ticket, Work};
use crate::template::words;
use crate::wire::answer::{Answer, ChatAnswer, Said, TextAnswer};
use crate::wire::completion::Completion;
use crate::wire::embeddings::{self, Embeddings};
use crate::wire::fields::{self, Field, get, need};
use crate::wire::{self, Chat};
use crate::worker::Settings;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use stream::AnswerStream;
use tokio::net::UnixListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

mod stream;

/// Bodies that are read as JSON at a time: each may take a core for a fifth of a second.
const READERS: usize = 2;

type Answered = Either<Full<Bytes>, AnswerStream>;

/// Everything that a request can reach.
#[derive(Debug)]
pub struct Engine {
    /// The models.
    pub library: Library,
    /// The way to the inference thread.
    pub queue: Arc<Queue>,
    settings: Settings,
    bodies: Bodies,
    readers: Arc<Semaphore>,
    answers: AtomicU64,
}

impl Engine {
    /// An engine that serves `library` through `queue`, at whose other end models are used with `settings`.
    #[must_use]
    pub fn new(library: Library, queue: Arc<Queue>, settings: Settings) -> Arc<Self> {
        let (bodies, readers) = (Bodies::new(settings.limits), Arc::new(Semaphore::new(READERS)));
        Arc::new(Self { library, queue, settings, bodies, readers, answers: AtomicU64::new(0) })
    }

    /// A number that no other answer has.
    fn number(&self) -> u64 {
        self.answers.fetch_add(1, Ordering::Relaxed)
    }
}

/// Serves until `end` resolves. Then nothing new is taken in, and open connections have the limit `grace` to finish.
pub async fn serve(engine: Arc<Engine>, listener: UnixListener, end: impl Future<Output = ()>) {
    let limits = engine.settings.limits;
    let mut connections = JoinSet::new();
    let (ending, ended) = watch::channel(false);
    let mut end = std::pin::pin!(end);
    loop {
        tokio::select! {
            () = &mut end => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept(), if connections.len() < limits.connections => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(Arc::clone(&engine), TokioIo::new(stream), ended.clone()));
                }
                Err(error) => {
                    // Out of descriptors, mostly: those that are open must end first.
                    tracing::warn!("cannot accept a connection: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
        }
    }
    engine.queue.drain();
    ending.send_replace(true);
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.grace, all).await.is_err() {
        tracing::warn!("requests that were still running are dropped");
    }
}

async fn connection(
    engine: Arc<Engine>,
    io: TokioIo<tokio::net::UnixStream>,
    mut ended: watch::Receiver<bool>,
) {
    let head_wait = engine.settings.limits.head_wait;
    let service = service_fn(move |request| {
        let engine = Arc::clone(&engine);
        async move {
            Ok::<_, Infallible>(handle(&engine, request).await.unwrap_or_else(|failure| refuse(&failure)))
        }
    });
    let mut served = std::pin::pin!(
        hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(head_wait)
            .serve_connection(io, service)
    );
    let result = tokio::select! {
        result = &mut served => result,
        _ = ended.changed() => {
            // An idle connection closes now, one with a request after its answer.
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = result {
        tracing::debug!("a connection ended: {error}");
    }
}

async fn handle(engine: &Arc<Engine>, request: Request<Incoming>) -> Result<Response<Answered>, Failure> {
    let (path, method) = (request.uri().path().to_owned(), request.method().clone());
    match (path.as_str(), &method) {
        ("/healthz", &Method::GET) => Ok(reply(&json!({"status": "ok"}))),
        ("/status", &Method::GET) => Ok(reply(&status(engine))),
        ("/v1/models", &Method::GET) => {
            let models = off_thread(engine, |library| Ok(library.list())).await?;
            let data: Vec<Value> = models.iter().map(|model| describe(model, engine.settings)).collect();
            Ok(reply(&json!({"object": "list", "data": data})))
        }
        ("/v1/chat/completions", &Method::POST) => chat(engine, request).await,
        ("/v1/completions", &Method::POST) => complete(engine, request).await,
        ("/v1/embeddings", &Method::POST) => embed(engine, request).await,
        ("/load", &Method::POST) => load(engine, request).await,
        ("/healthz" | "/status" | "/v1/models", _) => Err(wrong_method("GET")),
        ("/v1/chat/completions" | "/v1/completions" | "/v1/embeddings" | "/load", _) => {
            Err(wrong_method("POST"))
        }
        (path, &Method::GET) if path.starts_with("/v1/models/") => {
            let id = path.trim_start_matches("/v1/models/").to_owned();
            let model = off_thread(engine, move |library| library.find(&id)).await?;
            Ok(reply(&describe(&model, engine.settings)))
        }
        _ => {
            let message = "there is nothing at this path; see /v1/models, /v1/chat/completions, /v1/completions and \
                           /v1/embeddings";
            Err(Failure::new(StatusCode::NOT_FOUND, "invalid_request_error", Some("unknown_route"), message))
        }
    }
}

/// Looking at files may block, on a network file system for long.
async fn off_thread<T: Send + 'static>(
    engine: &Arc<Engine>,
    look: impl FnOnce(&Library) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let engine = Arc::clone(engine);
    let looked = tokio::task::spawn_blocking(move || look(&engine.library)).await;
    looked.map_err(|error| Failure::internal(format!("looking for models failed: {error}")))?
}

/// Reads a body beside the thread that serves all. Whoever leaves meanwhile costs this one look at most.
async fn read<T: Send + 'static>(
    engine: &Engine,
    body: &Arc<Body>,
    look: impl FnOnce(&[u8]) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let failed = |error: String| Failure::internal(format!("reading the request failed: {error}"));
    let reader =
        Arc::clone(&engine.readers).acquire_owned().await.map_err(|error| failed(error.to_string()))?;
    let body = Arc::clone(body);
    let looked = tokio::task::spawn_blocking(move || {
        let looked = look(body.bytes());
        // Its place and its body go only now, whether or not somebody still waits for the outcome.
        drop((reader, body));
        looked
    });
    looked.await.map_err(|error| failed(error.to_string()))?
}

async fn chat(engine: &Arc<Engine>, request: Request<Incoming>) -> Result<Response<Answered>, Failure> {
    let limits = engine.settings.limits;
    let (body, name, model) = speaker(engine, request).await?;
    let allowance = engine.settings.allowance(&model.summary);
    let (stream, include_usage, odds) = read(engine, &body, move |bytes| {
        let chat = Chat::read(bytes, &allowance, &limits)?;
        Ok((chat.stream, chat.include_usage, chat.odds.is_some()))
    })
    .await?;
    let answer = ChatAnswer::new(&name, engine.number(), now(), odds);
    // It waits as the bytes that came: built, it weighs up to sixty times as much.
    let ticket = engine.queue.submit(model, Work::Chat(body))?;
    spoken(ticket, Box::new(answer), stream.then_some(include_usage)).await
}

async fn complete(engine: &Arc<Engine>, request: Request<Incoming>) -> Result<Response<Answered>, Failure> {
    let limits = engine.settings.limits;
    let (body, name, model) = speaker(engine, request).await?;
    let allowance = engine.settings.allowance(&model.summary);
    let (stream, include_usage, odds) = read(engine, &body, move |bytes| {
        let completion = Completion::read(bytes, &allowance, &limits)?;
        Ok((completion.stream, completion.include_usage, completion.odds))
    })
    .await?;
    let answer = TextAnswer::new(&name, engine.number(), now(), odds);
    let ticket = engine.queue.submit(model, Work::Complete(body))?;
    spoken(ticket, Box::new(answer), stream.then_some(include_usage)).await
}

/// A request's body, the model's name in it, and the model itself, which says something.
async fn speaker(
    engine: &Arc<Engine>,
    request: Request<Incoming>,
) -> Result<(Arc<Body>, String, Arc<Model>), Failure> {
    let body = Arc::new(engine.bodies.take(request, engine.settings.limits.longest_body).await?);
    let name = read(engine, &body, wire::model).await?;
    let id = name.clone();
    let model = off_thread(engine, move |library| library.find(&id)).await?;
    if !model.summary.generates_text() {
        // No path: the daemon keeps what looks like one from clients, and the whole sentence with it.
        let message =
            format!("the model {:?} makes no text; ask another, or ask it for embeddings", model.id);
        return Err(Failure::invalid("model", message));
    }
    Ok((body, name, model))
}

/// What the ticket's job says, whole or, where it is said whether the counts end it, as a stream.
async fn spoken(
    mut ticket: Ticket,
    answer: Box<dyn Answer>,
    stream: Option<bool>,
) -> Result<Response<Answered>, Failure> {
    // Until the model is loaded and the prompt is known to fit, a failure can still have its own status.
    match ticket.events.recv().await {
        Some(Event::Begun) => {}
        Some(Event::Failed(failure)) => return Err(failure),
        _ => return Err(broken()),
    }
    let Some(include_usage) = stream else { return whole(ticket, answer).await };
    let mut response = Response::new(Either::Right(AnswerStream::new(ticket, answer, include_usage)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-cache"));
    Ok(response)
}

/// Writes an answer beside the thread that serves all: one with half a million odds takes most of a second.
async fn written(answer: impl FnOnce() -> Value + Send + 'static) -> Result<Response<Answered>, Failure> {
    let written = tokio::task::spawn_blocking(move || reply(&answer())).await;
    written.map_err(|error| Failure::internal(format!("writing the answer failed: {error}")))
}

async fn whole(mut ticket: Ticket, mut answer: Box<dyn Answer>) -> Result<Response<Answered>, Failure> {
    let (mut all, mut parts) = (Vec::new(), Vec::new());
    loop {
        match ticket.events.recv().await {
            Some(Event::Part(part)) => parts.push(part),
            Some(Event::Next(finish)) => all.push(Said { parts: std::mem::take(&mut parts), finish }),
            Some(Event::Ended(finish, usage)) => {
                all.push(Said { parts, finish });
                return written(move || answer.whole(&all, usage)).await;
            }
            Some(Event::Failed(failure)) => return Err(failure),
            Some(Event::Begun) => {}
            Some(Event::Embedded(..)) | None => return Err(broken()),
        }
    }
}

async fn embed(engine: &Arc<Engine>, request: Request<Incoming>) -> Result<Response<Answered>, Failure> {
    let limits = engine.settings.limits;
    let body = Arc::new(engine.bodies.take(request, limits.longest_body).await?);
    let name = read(engine, &body, wire::model).await?;
    let id = name.clone();
    let model = off_thread(engine, move |library| library.find(&id)).await?;
    if !model.summary.embeds() {
        let message = format!(
            "the model {:?} makes no embeddings: its file names no pooling that makes one vector of a text; use one that was \
             made for embeddings",
            model.id
        );
        return Err(Failure::invalid("model", message));
    }
    let asked = Arc::clone(&model);
    let base64 = read(engine, &body, move |bytes| {
        Embeddings::read(bytes, &asked.summary, &limits).map(|request| request.base64)
    })
    .await?;
    let mut ticket = engine.queue.submit(model, Work::Embed(body))?;
    match ticket.events.recv().await {
        Some(Event::Embedded(vectors, tokens)) => {
            written(move || embeddings::answer(&name, &vectors, base64, tokens)).await
        }
        Some(Event::Failed(failure)) => Err(failure),
        _ => Err(broken()),
    }
}

/// Takes a file in: `{"path": "/…/model.gguf", "preload": false}` answers with the model's name.
async fn load(engine: &Arc<Engine>, request: Request<Incoming>) -> Result<Response<Answered>, Failure> {
    #[derive(serde::Deserialize)]
    struct Load<'a> {
        #[serde(borrow)]
        path: Field<'a>,
        preload: Field<'a>,
    }
    let body = engine.bodies.take(request, engine.settings.limits.short_body).await?;
    let load: Load<'_> = fields::read(body.bytes())?;
    let path: String = need("path", load.path, "the path of a .gguf file as a string")?;
    let preload = get("preload", load.preload, "true or false")?;
    let model = off_thread(engine, move |library| library.add(Path::new(&path))).await?;
    let described = describe(&model, engine.settings);
    if preload == Some(true) {
        let mut ticket = engine.queue.submit(model, Work::Load)?;
        match ticket.events.recv().await {
            Some(Event::Ended(..)) => {}
            Some(Event::Failed(failure)) => return Err(failure),
            _ => return Err(broken()),
        }
    }
    Ok(reply(&described))
}

fn describe(model: &Model, settings: Settings) -> Value {
    let created = model.changed.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let owner = if model.demo {
        "ghostllm: a toy of a million parameters that shows the wiring; put a .gguf file into the model directory for a real one"
    } else {
        "ghostllm"
    };
    json!({
        "id": model.id, "object": "model", "created": created, "owned_by": owner, "demo": model.demo,
        "architecture": model.summary.architecture(), "context_length": model.summary.context_length(),
        "bytes": model.summary.bytes,
        "capabilities": capabilities(&model.summary),
        "heeds": words::heeded(&[true, false].map(|tools| model.summary.chat_template(tools).unwrap_or_default())),
        // As llama.cpp's own server calls what it has, which may be less than the model was trained on.
        "meta": {"n_ctx": settings.context_of(&model.summary)},
    })
}

/// What a model can do, in the words of llama.cpp's own server and Ollama.
fn capabilities(summary: &Summary) -> Vec<&'static str> {
    if summary.embeds() {
        return vec!["embedding"];
    }
    let template = summary.chat_template(true).unwrap_or_default();
    let tools = template.contains("tools").then_some("tools");
    // What it is told to think by, or how its thoughts are told from the rest.
    let thinks = ["enable_thinking", "reasoning_effort", "think>"].iter().any(|word| template.contains(word));
    ["completion"].into_iter().chain(tools).chain(thinks.then_some("thinking")).collect()
}

fn status(engine: &Engine) -> Value {
    let now = engine.queue.snapshot();
    json!({
        "running": now.running, "queued": now.queued, "queue_limit": engine.queue.limit,
        "accepted": now.accepted, "loaded": now.loaded,
    })
}

/// The job went without a word: the inference thread panicked, or is ending.
fn broken() -> Failure {
    Failure::internal("the engine failed on this request and dropped its model; its log says why")
}

fn wrong_method(allowed: &'static str) -> Failure {
    let message = format!("this route takes {allowed} only");
    Failure::new(StatusCode::METHOD_NOT_ALLOWED, "invalid_request_error", Some(allowed), message)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn reply(body: &Value) -> Response<Answered> {
    let mut response = Response::new(Either::Left(Full::new(Bytes::from(body.to_string()))));
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}

fn refuse(failure: &Failure) -> Response<Answered> {
    let mut response = reply(&failure.body());
    *response.status_mut() = failure.status;
    if let Some(seconds) = failure.retry_after() {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    if failure.status == StatusCode::METHOD_NOT_ALLOWED
        && let Some(allowed) = failure.code
    {
        response.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static(allowed));
    }
    response
}
