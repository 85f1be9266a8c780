//! Clients of the daemon: one way to ask over HTTP/1.1, HTTP/2 and HTTP/3, and to leave at any moment.
//!
//! Knows requests, answers and how a stream ends on each version. Refuses to know language models. Invariant: every
//! certificate is checked against the daemon's own CA, fetched from its plain port; nothing is ever skipped.

mod h3;
mod tcp;

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use serde_json::Value;
use tokio::{sync::mpsc, time::timeout};

pub use h3::gtlsclient;
pub use tcp::{Dialled, client_config, raw};

use crate::daemon::Daemon;

/// The longest that any client waits for the next thing to happen.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// An HTTP version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.1 over TLS.
    H1,
    /// HTTP/2 over TLS.
    H2,
    /// HTTP/3 over QUIC, by aioquic.
    H3,
}

/// Every version, for tests that loop.
pub const VERSIONS: [Version; 3] = [Version::H1, Version::H2, Version::H3];

/// Where a client calls from and to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// 127.0.0.1
    V4,
    /// ::1
    V6,
}

/// A caller: a daemon, a version, a family, a key.
#[derive(Debug, Clone)]
pub struct Caller {
    version: Version,
    address: SocketAddr,
    name: String,
    ca: Vec<u8>,
    key: Option<String>,
}

/// What a server's certificate must be.
#[derive(Debug, Clone, Copy)]
struct Trust<'a> {
    /// Issued by this CA, PEM.
    ca: &'a [u8],
    /// For this name or address.
    name: &'a str,
}

/// A request.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// Host header, or `:authority`.
    pub authority: String,
    /// Further headers, in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// How an answer's body ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// As the protocol ends a complete message.
    Clean,
    /// Otherwise: reset, torn connection. The text names the code.
    Broken(String),
}

/// What came of a head that was sent as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// An answer with this status.
    Answered(u16),
    /// The stream was reset with this code.
    Reset(u64),
}

/// One thing that arrives after the head.
#[derive(Debug, Clone)]
pub enum Event {
    /// A piece of the body.
    Data(Vec<u8>),
    /// The end.
    End(End),
}

/// An answer that is still coming.
#[derive(Debug)]
pub struct Stream {
    /// The status.
    pub status: u16,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    events: mpsc::UnboundedReceiver<Event>,
    leave: Leave,
}

/// What is let go to leave: dropping it makes the client abandon this request, and only this one.
#[derive(Debug)]
enum Leave {
    Task(tokio::task::JoinHandle<()>),
    Process(Box<h3::Process>),
    /// One of many requests of one connection, which goes with the last of them.
    Shared(#[expect(dead_code, reason = "held so that the connection stays open")] Arc<h3::Process>),
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body as far as it came.
    pub body: Vec<u8>,
    /// How it ended.
    pub end: End,
}

impl Request {
    /// A GET.
    #[must_use]
    pub fn get(path: &str) -> Self {
        Self {
            method: "GET".into(),
            path: path.into(),
            authority: "localhost".into(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// A POST of JSON.
    #[must_use]
    pub fn post(path: &str, body: &Value) -> Self {
        Self::post_bytes(path, body.to_string().as_bytes())
    }

    /// A POST of these bytes, said to be JSON.
    #[must_use]
    pub fn post_bytes(path: &str, body: &[u8]) -> Self {
        let request = Self { method: "POST".into(), body: body.to_vec(), ..Self::get(path) };
        request.with("content-type", "application/json")
    }

    /// A chat completion.
    #[must_use]
    pub fn chat(model: &str, prompt: &str, stream: bool) -> Self {
        let messages = serde_json::json!([{"role": "user", "content": prompt}]);
        let body = serde_json::json!({"model": model, "messages": messages, "stream": stream});
        Self::post("/v1/chat/completions", &body)
    }

    /// One more header.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Another method.
    #[must_use]
    pub fn method(mut self, method: &str) -> Self {
        self.method = method.into();
        self
    }

    /// Another Host or `:authority`.
    #[must_use]
    pub fn authority(mut self, authority: &str) -> Self {
        self.authority = authority.into();
        self
    }
}

impl Caller {
    /// A caller with the daemon's first key. Fetches the CA over the plain port.
    ///
    /// # Errors
    /// When the daemon made no first key, or gives no CA, or does not serve that version.
    pub async fn new(daemon: &Daemon, version: Version, family: Family) -> Result<Self> {
        let key = daemon.key.clone().context("the daemon made no first key")?;
        Ok(Self { key: Some(key), ..Self::keyless(daemon, version, family).await? })
    }

    /// A caller without a key.
    ///
    /// # Errors
    /// When the daemon gives no CA, or does not serve that version.
    pub async fn keyless(daemon: &Daemon, version: Version, family: Family) -> Result<Self> {
        let ca = plain(daemon.plain(false)?, &Request::get("/ca.pem")).await?;
        ensure!(ca.status == 200, "GET /ca.pem: {} {}", ca.status, ca.text());
        let port = port(daemon, version)?;
        let address = match family {
            Family::V4 => SocketAddr::from(([127, 0, 0, 1], port)),
            Family::V6 => SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, port)),
        };
        Ok(Self { version, address, name: "localhost".into(), ca: ca.body, key: None })
    }

    /// A caller without a key at that address of the daemon's box, whatever its port says: for who calls from another
    /// box, where the plain port cannot be asked for the CA.
    ///
    /// # Errors
    /// When the daemon has no CA, or does not serve that version.
    pub fn at(daemon: &Daemon, version: Version, mut address: SocketAddr) -> Result<Self> {
        address.set_port(port(daemon, version)?);
        let ca = std::fs::read(daemon.state("ca/ca.pem")).context("the daemon's CA")?;
        Ok(Self { version, address, name: "localhost".into(), ca, key: None })
    }

    /// The same caller, who wants the certificate to be of this name or address.
    #[must_use]
    pub fn expecting(mut self, name: &str) -> Self {
        self.name = name.to_owned();
        self
    }

    /// The same caller, who trusts these certificates instead, PEM.
    #[must_use]
    pub fn trusting(&self, ca: &[u8]) -> Self {
        Self { ca: ca.to_vec(), ..self.clone() }
    }

    /// The same caller with this key, or none.
    #[must_use]
    pub fn with_key(mut self, key: Option<&str>) -> Self {
        self.key = key.map(str::to_owned);
        self
    }

    /// The version it speaks.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// Where it calls.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The CA that it trusts, PEM.
    #[must_use]
    pub fn ca(&self) -> &[u8] {
        &self.ca
    }

    /// A connection of HTTP/1.1 or 2 on which nothing has been said, and its socket beneath.
    ///
    /// # Errors
    /// When there is none, or over HTTP/3.
    pub async fn dial(&self) -> Result<Dialled> {
        let alpn: &[u8] = match self.version {
            Version::H1 => b"http/1.1",
            Version::H2 => b"h2",
            Version::H3 => anyhow::bail!("HTTP/3 has no TCP connection"),
        };
        timeout(PATIENCE, tcp::dial(self.address, self.trust(), alpn))
            .await
            .context("no connection in time")?
    }

    /// Asks and waits for the head of the answer.
    ///
    /// # Errors
    /// When there is no connection, no head in time, or the answer is no HTTP.
    pub async fn open(&self, request: &Request) -> Result<Stream> {
        self.open_within(request, PATIENCE).await
    }

    /// The same with another patience.
    ///
    /// # Errors
    /// As [`Caller::open`].
    pub async fn open_within(&self, request: &Request, patience: Duration) -> Result<Stream> {
        let request = self.keyed(request);
        let opened = match self.version {
            Version::H1 => timeout(patience, tcp::open_h1(self.address, Some(self.trust()), &request)).await,
            Version::H2 => timeout(patience, tcp::open_h2(self.address, self.trust(), &request)).await,
            Version::H3 => timeout(patience, h3::open(self.address, self.trust(), &request)).await,
        };
        let what = || format!("{:?} {} {} at {}", self.version, request.method, request.path, self.address);
        opened.with_context(|| format!("no head in time: {}", what()))?.with_context(what)
    }

    /// Asks the same so many times at once and waits for every head: over HTTP/3 on one connection, else on one each.
    ///
    /// # Errors
    /// As [`Caller::open`].
    pub async fn open_many(&self, request: &Request, count: usize) -> Result<Vec<Stream>> {
        if self.version == Version::H3 {
            let request = self.keyed(request);
            let opened = h3::open_many(self.address, self.trust(), &request, count);
            return timeout(PATIENCE, opened).await.context("not every head came in time")?;
        }
        try_join_all((0..count).map(|_| self.open(request))).await
    }

    /// Asks, waits for `moment`, and leaves before the head of the answer has come.
    ///
    /// # Errors
    /// When the head comes first, or there is no connection.
    pub async fn leave_headless(&self, request: &Request, moment: impl Future<Output = ()>) -> Result<Left> {
        let request = self.keyed(request);
        if self.version == Version::H3 {
            let mut waiting = h3::begin(self.address, self.trust(), &request, 1).await?;
            moment.await;
            waiting.process.leave().await?;
            return Ok(Left(Kept::Process(Box::new(waiting.process))));
        }
        let open = async {
            match self.version {
                Version::H1 => tcp::open_h1(self.address, Some(self.trust()), &request).await,
                _ => tcp::open_h2(self.address, self.trust(), &request).await,
            }
        };
        tokio::select! {
            answer = open => anyhow::bail!("the head came first: {answer:?}"),
            () = moment => Ok(Left(Kept::Nothing)),
        }
    }

    /// Sends these fields over HTTP/3 as they are, pseudo-header fields among them, without a key and without a body.
    ///
    /// # Errors
    /// When there is no connection, no end in time, or the caller speaks another version.
    pub async fn send_fields(&self, fields: &[(&str, &str)]) -> Result<Sent> {
        ensure!(self.version == Version::H3, "only HTTP/3's client sends what it is told");
        let sent = h3::send_fields(self.address, self.trust(), fields);
        timeout(PATIENCE, sent).await.context("nothing came of the request in time")?
    }

    fn trust(&self) -> Trust<'_> {
        Trust { ca: &self.ca, name: &self.name }
    }

    fn keyed(&self, request: &Request) -> Request {
        match &self.key {
            Some(key) => request.clone().with("authorization", &format!("Bearer {key}")),
            None => request.clone(),
        }
    }

    /// Asks and waits for the whole answer.
    ///
    /// # Errors
    /// As [`Caller::open`]; a body that breaks off is an [`End`], not an error.
    pub async fn send(&self, request: &Request) -> Result<Answer> {
        self.open(request).await?.finish().await
    }
}

fn port(daemon: &Daemon, version: Version) -> Result<u16> {
    match version {
        Version::H1 | Version::H2 => Ok(daemon.tls),
        Version::H3 => daemon.quic.context("the daemon serves no HTTP/3"),
    }
}

/// Asks over plain HTTP/1.1, without a key.
///
/// # Errors
/// As [`Caller::open`].
pub async fn plain(address: SocketAddr, request: &Request) -> Result<Answer> {
    let stream =
        timeout(PATIENCE, tcp::open_h1(address, None, request)).await.context("no head in time")??;
    stream.finish().await
}

/// Asks over plain HTTP/1.1 on a Unix socket, without a key, and waits for the head.
///
/// # Errors
/// As [`Caller::open`].
pub async fn open_unix(path: &Path, request: &Request) -> Result<Stream> {
    timeout(PATIENCE, tcp::open_unix(path, request)).await.context("no head in time")?
}

/// The same, for the whole answer.
///
/// # Errors
/// As [`Caller::send`].
pub async fn unix(path: &Path, request: &Request) -> Result<Answer> {
    open_unix(path, request).await?.finish().await
}

impl Stream {
    /// The first header of that name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// The next piece of the body, or its end.
    ///
    /// # Errors
    /// When nothing comes in time.
    pub async fn next(&mut self) -> Result<Event> {
        let event = timeout(PATIENCE, self.events.recv()).await.context("nothing more came in time")?;
        Ok(event.unwrap_or(Event::End(End::Broken("the client ended".into()))))
    }

    /// Reads until the body so far contains `text`; gives back the body so far.
    ///
    /// # Errors
    /// When the body ends before that.
    pub async fn until(&mut self, text: &str) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        while !String::from_utf8_lossy(&body).contains(text) {
            match self.next().await? {
                Event::Data(data) => body.extend(data),
                Event::End(end) => {
                    anyhow::bail!(
                        "the body ended ({end:?}) before {text:?}: {}",
                        String::from_utf8_lossy(&body)
                    )
                }
            }
        }
        Ok(body)
    }

    /// Reads the rest.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn finish(mut self) -> Result<Answer> {
        let mut body = Vec::new();
        let end = loop {
            match self.next().await? {
                Event::Data(data) => body.extend(data),
                Event::End(end) => break end,
            }
        };
        crate::canary::no_key_but_a_new_one("an answer", &body)?;
        Ok(Answer { status: self.status, headers: self.headers.clone(), body, end })
    }

    /// Abandons the request: HTTP/1.1 closes the connection, HTTP/2 and 3 reset the stream and keep the connection until
    /// the test's end.
    ///
    /// # Errors
    /// When the client process has gone.
    pub async fn leave(self) -> Result<Left> {
        match self.leave {
            Leave::Task(task) => {
                // The task sees its receiver gone, drops the body, and lives on with the connection.
                drop(self.events);
                Ok(Left(Kept::Task(task)))
            }
            Leave::Process(mut process) => {
                process.leave().await?;
                Ok(Left(Kept::Process(process)))
            }
            Leave::Shared(_) => anyhow::bail!("one of many requests on a connection cannot leave by itself"),
        }
    }
}

/// A client that has left a request, with its connection.
#[derive(Debug)]
pub struct Left(#[expect(dead_code, reason = "held so that the connection stays open")] Kept);

#[derive(Debug)]
#[expect(dead_code, reason = "held so that the connection stays open")]
enum Kept {
    Nothing,
    Task(tokio::task::JoinHandle<()>),
    Process(Box<h3::Process>),
}

impl Answer {
    /// The first header of that name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// When it is none.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("no JSON: {:?}", self.text()))
    }
}

fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}
