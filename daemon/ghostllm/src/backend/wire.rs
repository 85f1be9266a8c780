//! HTTP/1.1 to one backend, over TCP, TLS or a Unix socket.
//!
//! Knows connections, their reuse, and time. Refuses to know models and dialects. Invariants: a request is
//! composed here, so that nothing of a client's own headers (its key, its `Origin`, who forwarded it) can pass but
//! what [`Trace`] has checked;
//! it is sent a second time only if its connection had rested before and died without a byte; and dropping the
//! future or the reply closes the connection at once, whatever it waits for. No task of its own drives a
//! connection, which is why that holds.

mod circuit;
mod dial;
mod pool;
mod reply;

#[cfg(test)]
mod tests;

use std::{
    io,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
};

use bytes::Bytes;
use ghostllm_core::{
    config::{BackendUrl, ByteSize, Limits, Timeouts},
    error::{BackendFault, Stage},
};
use ghostllm_edge::room::Slot;
use http::{HeaderValue, Method, Request, Response, header};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep, timeout};

pub(crate) use dial::Place;
pub(crate) use reply::Reply;

use crate::{
    access,
    secrets::{self, NoCredential},
    trace::Trace,
};
use circuit::Circuit;
use dial::{Dialer, Fruitless, Unreached, Why, causes, find};
use pool::{Conn, Pool};

/// Why a backend cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// Its key cannot be read.
    #[error("cannot read the key in {path}: {why}. Put the key into that file, alone, or change key_file")]
    Key {
        /// The file.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// Its key is a credential, and systemd has handed out none.
    #[error(transparent)]
    Secret(#[from] NoCredential),
    /// Its key is there, and not for this user.
    #[error("cannot read the key in {path}: {source}. {next}", next = access::next_step(path))]
    Denied {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// There is nothing that its certificate could be checked against.
    #[error(
        "cannot check the certificate of {url}: {why}. Install the package ca-certificates, or use http:// where \
         the backend is on this machine"
    )]
    Trust {
        /// The backend's address.
        url: String,
        /// The cause.
        why: String,
    },
}

/// What is asked of a backend.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    /// GET or POST.
    pub(crate) method: Method,
    /// The route, beginning with a slash; what the backend's address has before it comes in front.
    pub(crate) route: &'static str,
    /// The media types that are understood.
    pub(crate) accept: &'static str,
    /// A JSON text; empty for GET.
    pub(crate) body: Bytes,
    /// What a client's request is followed by.
    pub(crate) trace: Option<Trace>,
    /// The descriptor that its chat was promised.
    pub(crate) slot: Option<Slot>,
}

/// One backend's wire.
pub(crate) struct Wire {
    place: Place,
    dialer: Dialer,
    host: HeaderValue,
    base_path: String,
    authorization: Option<HeaderValue>,
    timeouts: Timeouts,
    limits: Arc<Limits>,
    pool: Arc<Pool>,
    circuit: Circuit,
}

/// What an address has before the routes. Clients' base URLs end in `/v1`, which the routes have themselves: either is meant.
fn base_path(url: &BackendUrl) -> &str {
    let path = url.base_path();
    path.strip_suffix("/v1").unwrap_or(path)
}

/// Two that lead to the same place in the same way, but for their limits.
impl PartialEq for Wire {
    fn eq(&self, other: &Self) -> bool {
        self.place == other.place
            && self.authorization == other.authorization
            && self.timeouts == other.timeouts
    }
}

impl Wire {
    /// Whether it ends on this machine, as far as its address tells.
    pub(crate) fn is_here(&self) -> bool {
        match &self.place {
            Place::Socket(_) => true,
            Place::Url(url) => url.is_loopback(),
        }
    }

    /// A wire to this place, whose own `timeouts` go before those of the limits. Nothing is connected yet.
    ///
    /// # Errors
    /// The key cannot be read, or TLS has nothing to trust.
    pub(crate) fn new(
        place: &Place,
        key_file: Option<&Path>,
        timeouts: Timeouts,
        limits: &Arc<Limits>,
    ) -> Result<Self, SetupError> {
        let (shown, host, base_path) = match place {
            Place::Url(url) => (url.to_string(), url.authority(), base_path(url).to_owned()),
            Place::Socket(path) => (path.display().to_string(), "localhost".to_owned(), String::new()),
        };
        let trust =
            |why: &dyn std::fmt::Display| SetupError::Trust { url: shown.clone(), why: why.to_string() };
        Ok(Self {
            place: place.clone(),
            dialer: Dialer::new(place).map_err(|why| trust(&why))?,
            host: HeaderValue::try_from(host).map_err(|why| trust(&why))?,
            base_path,
            authorization: key_file.map(authorization).transpose()?,
            timeouts,
            limits: Arc::clone(limits),
            pool: Pool::new(limits),
            circuit: Circuit::new(
                limits.backend_connect_misses,
                // One at a time, also where it waits for longer.
                limits.backend_connect_again.max(timeouts.connect),
            ),
        })
    }

    /// All of its requests have this path, and their routes behind it, whatever its address says.
    pub(crate) fn under(self, base_path: &str) -> Self {
        Self { base_path: base_path.to_owned(), ..self }
    }

    /// How many connections rest until they are used again.
    pub(crate) fn resting(&self) -> usize {
        self.pool.resting()
    }

    /// Closes those.
    pub(crate) fn close_resting(&self) {
        self.pool.clear();
    }

    /// Asks, and gives the reply once its head is there.
    ///
    /// # Errors
    /// No connection, or no descriptor for one; silence until the first byte's time is over; an answer that is not HTTP; a broken connection.
    pub(crate) async fn ask(&self, ask: &Ask) -> Result<Reply, BackendFault> {
        let request =
            self.request(ask).map_err(|why| BackendFault::Unreachable { detail: why.to_string() })?;
        let mut conn = match self.pool.take().await {
            Some(conn) => conn,
            None => self.connect().await?,
        };
        if let Some(slot) = &ask.slot {
            slot.opened();
        }
        let mut silence = Box::pin(sleep(self.timeouts.first_byte));
        let begun = Instant::now();
        let mut sent = send(&mut conn, request.clone(), &mut silence).await;
        if let Err(Unanswered::Broken(error)) = &sent
            && conn.was_stale()
            && begun.elapsed() < self.limits.backend_replay
        {
            tracing::debug!(%error, "a connection that had rested was dead; the request goes out once more");
            self.pool.clear();
            conn = self.connect().await?;
            silence.as_mut().reset(Instant::now() + self.timeouts.first_byte);
            sent = send(&mut conn, request, &mut silence).await;
        }
        let answer = sent.map_err(|unanswered| match unanswered {
            Unanswered::Silent => BackendFault::Timeout { stage: Stage::FirstByte },
            Unanswered::Broken(error) => broken(&error),
        })?;
        Ok(Reply::new(answer, conn, Arc::clone(&self.pool), silence, self.timeouts.idle))
    }

    async fn connect(&self) -> Result<Conn, BackendFault> {
        if !self.circuit.lets_through() {
            let detail = "it took none of the last connections in time; one is tried now and then".to_owned();
            return Err(BackendFault::Unreachable { detail });
        }
        let dial = self.dialer.dial(self.fruitless());
        let Ok(connected) = timeout(self.timeouts.connect, dial).await else {
            self.circuit.missed();
            return Err(BackendFault::Timeout { stage: Stage::Connect });
        };
        match &connected {
            // That says nothing of the backend.
            Err(Unreached { why: Why::Full, .. }) => {}
            Err(Unreached { why: Why::Absent, .. }) => self.circuit.missed(),
            _ => self.circuit.answered(),
        }
        let stream = connected.map_err(|Unreached { detail, why }| match why {
            Why::Full => BackendFault::Full { detail },
            Why::Absent | Why::Other => BackendFault::Unreachable { detail },
        })?;
        Conn::new(stream, &self.limits).await.map_err(|error| broken(&error))
    }

    /// What an answer may bring until something comes of it: its head, an event, and what is read ahead. An event within its
    /// limit has up to four times its length on the way, since each of its lines may be one letter behind `data: `.
    fn fruitless(&self) -> u64 {
        let limits = &self.limits;
        let event = limits.backend_line.bytes().saturating_mul(4);
        let around = [limits.backend_header_bytes, limits.backend_read_ahead].map(ByteSize::bytes);
        around.into_iter().fold(event, u64::saturating_add)
    }

    fn request(&self, ask: &Ask) -> Result<Request<Full<Bytes>>, http::Error> {
        let mut builder = Request::builder()
            .method(&ask.method)
            .uri(format!("{}{}", self.base_path, ask.route))
            .header(header::HOST, &self.host)
            .header(header::USER_AGENT, concat!("ghostllm/", env!("CARGO_PKG_VERSION")))
            .header(header::ACCEPT, ask.accept)
            .header(header::ACCEPT_ENCODING, "identity");
        if let Some(authorization) = &self.authorization {
            builder = builder.header(header::AUTHORIZATION, authorization);
        }
        if ask.method == Method::POST {
            builder = builder.header(header::CONTENT_TYPE, "application/json");
        }
        for (name, value) in ask.trace.iter().flat_map(Trace::fields) {
            builder = builder.header(name, value);
        }
        builder.body(Full::new(ask.body.clone()))
    }
}

enum Unanswered {
    Silent,
    Broken(hyper::Error),
}

async fn send(
    conn: &mut Conn,
    request: Request<Full<Bytes>>,
    silence: &mut Pin<Box<Sleep>>,
) -> Result<Response<Incoming>, Unanswered> {
    tokio::select! {
        biased;
        answer = conn.send(request) => answer.map_err(Unanswered::Broken),
        () = silence.as_mut() => Err(Unanswered::Silent),
    }
}

/// What a failed exchange is called.
fn broken(error: &hyper::Error) -> BackendFault {
    let detail = causes(error);
    if let Some(fruitless) = find::<io::Error>(error).and_then(Fruitless::of) {
        return BackendFault::garbage(fruitless.to_string());
    }
    if error.is_parse() { BackendFault::garbage(detail) } else { BackendFault::Died { detail } }
}

/// Whether the key in this file can be sent. Blocks.
///
/// # Errors
/// Why not.
pub(crate) fn check_key(path: &Path) -> Result<(), SetupError> {
    authorization(path).map(drop)
}

fn authorization(path: &Path) -> Result<HeaderValue, SetupError> {
    let wrong = |why: String| SetupError::Key { path: path.display().to_string(), why };
    let text = secrets::read(path).map_err(|source| {
        if access::is_denied(&source) {
            SetupError::Denied { path: path.to_owned(), source }
        } else {
            wrong(source.to_string())
        }
    })?;
    let key = text.trim();
    if key.is_empty() {
        return Err(wrong("the file is empty".to_owned()));
    }
    let not_one = |_| wrong("it holds characters that no key has".to_owned());
    let mut value = HeaderValue::try_from(format!("Bearer {key}")).map_err(not_one)?;
    value.set_sensitive(true);
    Ok(value)
}
