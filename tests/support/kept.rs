//! Connections of each HTTP version that are kept, and one request after another on them: for load.
//!
//! Knows hyper and quinn. Refuses to know what is measured. Invariant: an answer is read piece by piece, as it comes.

use std::{
    net::{Ipv6Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use anyhow::{Context, Result, ensure};
use bytes::{Buf as _, Bytes};
use http::{HeaderValue, Request, response::Parts};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, pki_types::ServerName};
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::client::client_config;

type Quic = h3::client::SendRequest<h3_quinn::OpenStreams, Bytes>;
type QuicStream = h3::client::RequestStream<h3_quinn::BidiStream<Bytes>, Bytes>;

/// The HTTP version of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Version {
    /// HTTP/1.1 without TLS: straight to the backend.
    Plain,
    /// HTTP/1.1 over TLS.
    H1,
    /// HTTP/2 over TLS.
    H2,
    /// HTTP/3.
    H3,
}

impl Version {
    /// Connections that share `crowd` requests in flight. HTTP/1.1 has one request on each; the others have a few
    /// connections, as clients with a pool do.
    #[must_use]
    pub fn connections(self, crowd: usize) -> usize {
        match self {
            Self::Plain | Self::H1 => crowd,
            Self::H2 | Self::H3 => 4.min(crowd),
        }
    }

    /// The least connections for so many streams, where each may have a hundred.
    #[must_use]
    pub fn fewest(self, streams: usize) -> usize {
        match self {
            Self::Plain | Self::H1 => streams,
            Self::H2 | Self::H3 => streams.div_ceil(100),
        }
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Plain => "plain",
            Self::H1 => "h1",
            Self::H2 => "h2",
            Self::H3 => "h3",
        })
    }
}

/// Whom to ask.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Place {
    /// How it is spoken to.
    pub version: Version,
    /// Where.
    pub address: SocketAddr,
    /// The CA to trust, PEM; unused on a plain connection.
    pub ca: PathBuf,
    /// An API key, where one is wanted.
    pub key: Option<String>,
}

/// Makes connections to one place.
#[derive(Debug)]
pub struct Dialer {
    place: Place,
    tls: Option<Arc<ClientConfig>>,
    quic: Option<quinn::Endpoint>,
}

/// One connection, or on HTTP/2 and 3 one hold of it.
#[derive(Clone)]
pub enum Sender {
    /// One request at a time.
    H1(Arc<tokio::sync::Mutex<http1::SendRequest<Full<Bytes>>>>),
    /// Many.
    H2(http2::SendRequest<Full<Bytes>>),
    /// Many.
    H3(Quic),
}

/// The body of an answer.
pub enum Body {
    /// Of HTTP/1.1 or 2.
    Tcp(Incoming),
    /// Of HTTP/3.
    Quic(Box<QuicStream>),
}

impl Dialer {
    /// # Errors
    /// The CA cannot be read.
    pub fn new(place: &Place) -> Result<Self> {
        let alpn: Option<&[u8]> = match place.version {
            Version::Plain => None,
            Version::H1 => Some(b"http/1.1"),
            Version::H2 => Some(b"h2"),
            Version::H3 => Some(b"h3"),
        };
        let tls = alpn.map(|alpn| client_config(&std::fs::read(&place.ca)?, alpn)).transpose()?;
        let quic = (place.version == Version::H3).then(|| endpoint(tls.as_ref())).transpose()?;
        Ok(Self { place: place.clone(), tls: tls.map(Arc::new), quic })
    }

    /// A new connection.
    ///
    /// # Errors
    /// There is none.
    pub async fn dial(&self) -> Result<Sender> {
        if let Some(endpoint) = &self.quic {
            let connection = endpoint.connect(self.place.address, "localhost")?.await.context("QUIC")?;
            let (mut driver, sender) = h3::client::new(h3_quinn::Connection::new(connection)).await?;
            tokio::spawn(async move { drop(std::future::poll_fn(|cx| driver.poll_close(cx)).await) });
            return Ok(Sender::H3(sender));
        }
        let tcp = TcpStream::connect(self.place.address).await.context("TCP")?;
        tcp.set_nodelay(true)?;
        let Some(tls) = &self.tls else {
            let (sender, connection) = http1::handshake(TokioIo::new(tcp)).await?;
            tokio::spawn(async move { drop(connection.await) });
            return Ok(Sender::H1(Arc::new(tokio::sync::Mutex::new(sender))));
        };
        self.over(TlsConnector::from(Arc::clone(tls)).connect(ServerName::try_from("localhost")?, tcp).await?)
            .await
    }

    async fn over(&self, wire: TlsStream<TcpStream>) -> Result<Sender> {
        if self.place.version == Version::H1 {
            let (sender, connection) = http1::handshake(TokioIo::new(wire)).await?;
            tokio::spawn(async move { drop(connection.await) });
            return Ok(Sender::H1(Arc::new(tokio::sync::Mutex::new(sender))));
        }
        let (sender, connection) =
            http2::Builder::new(TokioExecutor::new()).handshake(TokioIo::new(wire)).await?;
        tokio::spawn(async move { drop(connection.await) });
        Ok(Sender::H2(sender))
    }

    /// A GET of that path, with this one field and no key.
    ///
    /// # Errors
    /// It is no path.
    pub fn get(&self, path: &str, (name, value): (&'static str, HeaderValue)) -> Result<Request<Bytes>> {
        let request = match self.place.version {
            Version::Plain | Version::H1 => Request::get(path).header("host", "localhost"),
            Version::H2 | Version::H3 => Request::get(format!("https://localhost{path}")),
        };
        Ok(request.header(name, value).body(Bytes::new())?)
    }

    /// A request of this method for that path, with this body, where it is not empty, and this key.
    ///
    /// # Errors
    /// It is no path, or no key.
    pub fn asking(
        &self,
        method: &str,
        path: &str,
        body: &'static [u8],
        key: Option<&str>,
    ) -> Result<Request<Bytes>> {
        let request = match self.place.version {
            Version::Plain | Version::H1 => Request::builder().uri(path).header("host", "localhost"),
            Version::H2 | Version::H3 => Request::builder().uri(format!("https://localhost{path}")),
        };
        let mut request = request.method(method);
        if !body.is_empty() {
            request = request.header("content-type", "application/json").header("content-length", body.len());
        }
        if let Some(key) = key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        Ok(request.body(Bytes::from_static(body))?)
    }

    /// A chat request of this body.
    ///
    /// # Errors
    /// The key is no header's value.
    pub fn request(&self, body: &Bytes) -> Result<Request<Bytes>> {
        let uri = match self.place.version {
            Version::Plain | Version::H1 => "/v1/chat/completions",
            Version::H2 | Version::H3 => "https://localhost/v1/chat/completions",
        };
        let mut request = Request::post(uri).header("content-type", "application/json");
        if matches!(self.place.version, Version::Plain | Version::H1) {
            request = request.header("host", "localhost");
        }
        if self.place.version == Version::H3 {
            request = request.header("content-length", body.len());
        }
        if let Some(key) = &self.place.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        Ok(request.body(body.clone())?)
    }
}

fn endpoint(tls: Option<&ClientConfig>) -> Result<quinn::Endpoint> {
    let tls = tls.context("HTTP/3 has TLS")?.clone();
    let config = quinn::crypto::rustls::QuicClientConfig::try_from(tls)?;
    let mut endpoint = quinn::Endpoint::client((Ipv6Addr::UNSPECIFIED, 0).into())?;
    endpoint.set_default_client_config(quinn::ClientConfig::new(Arc::new(config)));
    Ok(endpoint)
}

impl Sender {
    /// Whether another request may go out on it: HTTP/1.1 and 2 know when their connection has ended.
    pub async fn is_usable(&self) -> bool {
        match self {
            Self::H1(sender) => sender.lock().await.ready().await.is_ok(),
            Self::H2(sender) => !sender.is_closed(),
            Self::H3(_) => true,
        }
    }

    /// Asks, and reads the head of the answer, which must be 200.
    ///
    /// # Errors
    /// It is not, or there is none.
    pub async fn ask(&self, request: Request<Bytes>) -> Result<Body> {
        let (head, body) = self.heard(request).await?;
        ensure!(head.status == 200, "the answer is {}: {:?}", head.status, head.headers);
        Ok(body)
    }

    /// Asks, and reads the head of the answer, whatever it is.
    ///
    /// # Errors
    /// There is none.
    pub async fn heard(&self, request: Request<Bytes>) -> Result<(Parts, Body)> {
        let (head, body) = request.into_parts();
        match self {
            Self::H1(sender) => {
                let mut sender = sender.lock().await;
                // Whoever has read an answer's end may be ahead of the connection's own task.
                sender.ready().await?;
                Ok(tcp(sender.send_request(Request::from_parts(head, Full::new(body))).await?))
            }
            Self::H2(sender) => {
                Ok(tcp(sender.clone().send_request(Request::from_parts(head, Full::new(body))).await?))
            }
            Self::H3(sender) => {
                let mut stream = sender.clone().send_request(Request::from_parts(head, ())).await?;
                let sent = match stream.send_data(body).await {
                    Ok(()) => stream.finish().await,
                    stopped => stopped,
                };
                // Whoever refuses a body by its length may stop its sender before the answer is there.
                let (head, ()) = match stream.recv_response().await {
                    Ok(answer) => answer.into_parts(),
                    Err(error) => return Err(sent.err().unwrap_or(error).into()),
                };
                Ok((head, Body::Quic(Box::new(stream))))
            }
        }
    }
}

fn tcp(answer: http::Response<Incoming>) -> (Parts, Body) {
    let (head, body) = answer.into_parts();
    (head, Body::Tcp(body))
}

impl Body {
    /// The next piece, or none at the end.
    ///
    /// # Errors
    /// It breaks off.
    pub async fn piece(&mut self) -> Result<Option<Bytes>> {
        match self {
            Self::Tcp(body) => loop {
                let Some(frame) = body.frame().await else { return Ok(None) };
                if let Ok(data) = frame?.into_data() {
                    return Ok(Some(data));
                }
            },
            Self::Quic(stream) => {
                Ok(stream.recv_data().await?.map(|mut data| data.copy_to_bytes(data.remaining())))
            }
        }
    }

    /// Reads the rest; how many bytes that was.
    ///
    /// # Errors
    /// It breaks off.
    pub async fn finish(&mut self) -> Result<usize> {
        let mut bytes = 0;
        while let Some(piece) = self.piece().await? {
            bytes += piece.len();
        }
        Ok(bytes)
    }
}
