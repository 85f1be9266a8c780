//! Connections of each HTTP version, and one request on one of them.
//!
//! Knows hyper and quinn. Refuses to know what is measured. Invariant: an answer is read piece by piece, as it comes.

use std::{net::Ipv6Addr, sync::Arc};

use anyhow::{Context, Result, bail, ensure};
use bytes::{Buf as _, Bytes};
use ghostllm_tests::client::client_config;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::order::{Place, Version};

type Quic = h3::client::SendRequest<h3_quinn::OpenStreams, Bytes>;
type QuicStream = h3::client::RequestStream<h3_quinn::BidiStream<Bytes>, Bytes>;

/// Makes connections to one place.
pub(crate) struct Dialer {
    place: Place,
    tls: Option<Arc<ClientConfig>>,
    quic: Option<quinn::Endpoint>,
}

/// One connection, or on HTTP/2 and 3 one hold of it.
#[derive(Clone)]
pub(crate) enum Sender {
    H1(Arc<tokio::sync::Mutex<http1::SendRequest<Full<Bytes>>>>),
    H2(http2::SendRequest<Full<Bytes>>),
    H3(Quic),
}

/// The body of an answer.
pub(crate) enum Body {
    Tcp(Incoming),
    Quic(Box<QuicStream>),
}

impl Dialer {
    pub(crate) fn new(place: &Place) -> Result<Self> {
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

    pub(crate) async fn dial(&self) -> Result<Sender> {
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

    /// A chat request of this body.
    pub(crate) fn request(&self, body: &Bytes) -> Result<Request<Bytes>> {
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
    /// Asks, and reads the head of the answer, which must be 200.
    pub(crate) async fn ask(&self, request: Request<Bytes>) -> Result<Body> {
        let (head, body) = request.into_parts();
        match self {
            Self::H1(sender) => {
                let answer = sender.lock().await.send_request(Request::from_parts(head, Full::new(body)));
                told(answer.await?)
            }
            Self::H2(sender) => {
                told(sender.clone().send_request(Request::from_parts(head, Full::new(body))).await?)
            }
            Self::H3(sender) => {
                let mut stream = sender.clone().send_request(Request::from_parts(head, ())).await?;
                stream.send_data(body).await?;
                stream.finish().await?;
                let answer = stream.recv_response().await?;
                ensure!(answer.status() == 200, "the answer is {}", answer.status());
                Ok(Body::Quic(Box::new(stream)))
            }
        }
    }
}

fn told(answer: http::Response<Incoming>) -> Result<Body> {
    if answer.status() != 200 {
        bail!("the answer is {}: {:?}", answer.status(), answer.headers());
    }
    Ok(Body::Tcp(answer.into_body()))
}

impl Body {
    /// The next piece, or none at the end.
    pub(crate) async fn piece(&mut self) -> Result<Option<Bytes>> {
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

    pub(crate) async fn finish(&mut self) -> Result<usize> {
        let mut bytes = 0;
        while let Some(piece) = self.piece().await? {
            bytes += piece.len();
        }
        Ok(bytes)
    }
}
