//! The two ways to a model: through the gateway over TLS, and to the backend itself by its own adapter.
//!
//! Knows how a request goes out on each. Refuses to know how many there are and when. Invariants: both get the same request and the
//! same answer, OpenAI's stream; a connection to the gateway is made before the time of its request begins, while the backend's are
//! its adapter's, which makes and keeps them on both legs alike; the API key stands in one header that is marked as a secret, and
//! nowhere else.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use ghostllm_core::{
    chat::Defaults,
    config::Limits,
    dialect::{openai::passthrough::inspect, render::Form},
    error::ApiError,
    key::Key,
};
use ghostllm_edge::client::{Client, DialError, Dialer, Pieces};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use serde_json::json;
use time::OffsetDateTime;
use tokio::time::timeout;

use super::answer::{Failed, Reading, Sample};
use crate::{
    backend::{self, Answer, Backend, ChatCall, ChatError, Meter, Unheard, Voice},
    trace::Trace,
};

/// How long a connection may take, with its handshake.
const DIAL: Duration = Duration::from_secs(10);
/// How long nothing may come: a large model is loaded in this time, or never.
const SILENCE: Duration = Duration::from_secs(300);
/// How long is waited for the end of an answer that is whole; what comes at its own pace comes with its last bytes.
const REST: Duration = Duration::from_secs(1);
/// Bytes of an answer that is no success, as far as they are looked at.
const LONGEST_REFUSAL: usize = 64 * 1024;
/// What is asked for; the number in front of it is another each time.
const PROMPT: &str = "Tell a long story about a lighthouse and the sea.";

/// A request, but for the model's name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    /// Which of all requests it is.
    pub(super) number: u64,
    /// How many tokens the answer may have.
    pub(super) max_tokens: u32,
}

impl Asked {
    /// Nine digits at the beginning: no engine has kept what it made of this prompt for another, and all of them have as many tokens.
    fn body(self, model: &str) -> Bytes {
        let prompt = format!("{:09}. {PROMPT}", self.number % 1_000_000_000);
        let body = json!({
            "model": model,
            "messages": [{ "role": "user", "content": prompt }],
            "max_tokens": self.max_tokens,
            "temperature": 0,
            "seed": 1,
            "stream": true,
            "stream_options": { "include_usage": true },
        });
        Bytes::from(body.to_string())
    }
}

/// Through the gateway.
pub(super) struct Gateway {
    /// Makes its connections.
    pub(super) dialer: Dialer,
    /// Whom requests are for: a name of this box that its guard takes, and the port.
    pub(super) authority: String,
    /// What lets them in.
    pub(super) key: HeaderValue,
    /// How many requests a connection of HTTP/2 or 3 carries.
    pub(super) streams: usize,
}

/// To the backend itself.
#[derive(Clone)]
pub(super) struct Direct {
    /// The backend, by the adapter that the gateway has too.
    pub(super) backend: Backend,
    /// The model, as the backend calls it.
    pub(super) model: String,
    /// What the gateway would want of it.
    pub(super) defaults: Defaults,
    /// The limits of a request.
    pub(super) limits: Arc<Limits>,
}

/// Where one request at a time goes out.
pub(super) enum Seat {
    Gateway { way: Arc<Gateway>, model: String, client: Option<Client> },
    Direct(Direct),
}

/// The header that a key is shown in.
pub(super) fn bearer(key: &Key) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", key.reveal())).ok()?;
    value.set_sensitive(true);
    Some(value)
}

impl Gateway {
    /// So many seats, connected, on as few connections as carry them.
    ///
    /// # Errors
    /// There is no connection.
    pub(super) async fn seats(self: &Arc<Self>, model: &str, count: usize) -> Result<Vec<Seat>, DialError> {
        let mut seats = Vec::with_capacity(count);
        let mut shared: Option<Client> = None;
        for number in 0..count {
            let one = match shared.as_ref().and_then(Client::another).filter(|_| number % self.streams != 0) {
                Some(client) => client,
                None => self.dial().await?,
            };
            shared = one.another();
            seats.push(Seat::Gateway { way: Arc::clone(self), model: model.to_owned(), client: Some(one) });
        }
        Ok(seats)
    }

    async fn dial(&self) -> Result<Client, DialError> {
        let late = || DialError::Unusable { why: format!("it was not made within {} s", DIAL.as_secs()) };
        timeout(DIAL, self.dialer.dial()).await.unwrap_or_else(|_late| Err(late()))
    }

    fn request(&self, body: Bytes) -> Result<Request<Bytes>, http::Error> {
        Request::builder()
            .method(Method::POST)
            .uri(format!("https://{}/v1/chat/completions", self.authority))
            .header(header::AUTHORIZATION, &self.key)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "text/event-stream")
            .header(header::USER_AGENT, concat!("ghostllm-bench/", env!("CARGO_PKG_VERSION")))
            .header(header::CONTENT_LENGTH, body.len())
            .body(body)
    }

    async fn ask(&self, client: &mut Option<Client>, model: &str, asked: Asked) -> Result<Sample, Failed> {
        let request = self.request(asked.body(model)).map_err(|error| Failed::connection(&error))?;
        // One that has rested may have been closed meanwhile: that is nobody's overhead.
        let mut rested = client.take();
        let is_open = match &mut rested {
            Some(open) => open.ready().await,
            None => false,
        };
        let mut open = match rested.filter(|_| is_open) {
            Some(open) => open,
            None => self.dial().await.map_err(|error| Failed::connection(&error))?,
        };
        let begun = Instant::now();
        let answered = silence(open.ask(request)).await?.map_err(|error| Failed::connection(&error))?;
        let (head, mut body) = answered.into_parts();
        let read = if head.status == StatusCode::OK {
            through(&mut body, begun).await
        } else {
            Err(refusal(&mut body, head.status).await)
        };
        // Dropped first: on HTTP/1.1 the connection takes another request then.
        drop(body);
        *client = Some(open);
        read
    }
}

/// Reads an answer until it is whole.
async fn through(body: &mut Pieces, begun: Instant) -> Result<Sample, Failed> {
    let mut reading = Reading::new(begun);
    while !reading.is_whole()
        && let Some(bytes) = silence(body.next()).await?.map_err(|error| Failed::connection(&error))?
    {
        reading.feed(&bytes, Instant::now())?;
    }
    if reading.is_whole() {
        // Whoever leaves before its end has taken the request back, and over HTTP/1.1 lost the connection. Nothing in it counts.
        let rest = async { while let Ok(Some(_)) = body.next().await {} };
        let _ended = timeout(REST, rest).await;
    }
    reading.finish()
}

async fn refusal(body: &mut Pieces, status: StatusCode) -> Failed {
    let mut bytes = BytesMut::new();
    while bytes.len() < LONGEST_REFUSAL
        && let Ok(Ok(Some(more))) = silence(body.next()).await
    {
        bytes.extend_from_slice(&more);
    }
    Failed::refused(status, &bytes)
}

async fn silence<T>(what: impl Future<Output = T>) -> Result<T, Failed> {
    timeout(SILENCE, what).await.map_err(|_late| Failed::late(SILENCE))
}

impl Direct {
    async fn ask(&self, asked: Asked) -> Result<Sample, Failed> {
        let body = asked.body(&self.model);
        let passed = inspect(&body, &self.limits).map_err(|error| Failed::of_api(&error))?;
        let number = u128::from(asked.number).max(1);
        let form = Form::Chat { model: passed.model.as_str().into(), include_usage: passed.include_usage };
        let created = u64::try_from(OffsetDateTime::now_utc().unix_timestamp()).unwrap_or_default();
        let call = ChatCall {
            asked: backend::Asked::AsSent { body, passed: Box::new(passed) },
            voice: Voice { form, id: format!("{number:032x}"), created, keeper: None },
            model: self.model.clone(),
            defaults: self.defaults,
            trace: Trace::new((number << 64) | number, &HeaderMap::new()),
            slot: None,
            meter: Meter::default(),
            unheard: Unheard::default(),
        };
        let begun = Instant::now();
        let answer = self.backend.chat(call).await.map_err(|error| Failed::of_api(&error.into()))?;
        let Answer::Stream(mut stream) = answer else {
            return Err(Failed::new("garbage", "the backend answered in one piece"));
        };
        let mut reading = Reading::new(begun);
        while let Some(bytes) = stream.next().await {
            reading.feed(&bytes.map_err(|error| Failed::of_chat(&error))?, Instant::now())?;
        }
        reading.finish()
    }
}

impl Seat {
    /// Asks, and reads the answer to its end.
    pub(super) async fn ask(&mut self, asked: Asked) -> Result<Sample, Failed> {
        match self {
            Self::Gateway { way, model, client } => way.ask(client, model, asked).await,
            Self::Direct(direct) => direct.ask(asked).await,
        }
    }

    /// Says goodbye, where somebody would wait for it.
    pub(super) async fn close(self) {
        if let Self::Gateway { client: Some(client), .. } = self {
            client.close().await;
        }
    }
}

impl Failed {
    fn of_api(error: &ApiError) -> Self {
        let code = error.code().text().unwrap_or("invalid_request");
        Self { status: Some(error.status()), ..Self::new(code, error.message()) }
    }

    /// Whoever measures is on the box, and is told what the log would be.
    fn of_chat(error: &ChatError) -> Self {
        let told = error.to_string();
        Self { message: told, ..Self::of_api(&error.clone().into()) }
    }
}
