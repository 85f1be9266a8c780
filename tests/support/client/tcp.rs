//! HTTP/1.1 and HTTP/2 by hyper, over TLS by rustls or in plain text; and raw bytes for what no library sends.
//!
//! Knows TCP, TLS and hyper. Refuses to know what is asked. Invariant: one connection for each request, so that a test
//! sees what its own request did to it.

use std::{net::SocketAddr, path::Path, sync::Arc};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Response,
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    sync::mpsc,
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{End, Event, Leave, PATIENCE, Request, Stream, Trust};

trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

async fn connect(address: SocketAddr, trust: Option<Trust<'_>>, alpn: &[u8]) -> Result<Box<dyn Wire>> {
    let tcp = tcp(address).await?;
    let Some(trust) = trust else { return Ok(Box::new(tcp)) };
    Ok(Box::new(encrypt(tcp, trust, alpn).await?))
}

async fn tcp(address: SocketAddr) -> Result<TcpStream> {
    let tcp = TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
    tcp.set_nodelay(true)?;
    Ok(tcp)
}

/// A connection over TLS, and its socket beneath.
#[derive(Debug)]
pub struct Dialled {
    /// What is spoken over.
    pub wire: TlsStream<TcpStream>,
    /// The same socket once more; the connection is closed when both are.
    pub socket: std::net::TcpStream,
}

pub(super) async fn dial(address: SocketAddr, trust: Trust<'_>, alpn: &[u8]) -> Result<Dialled> {
    let tcp = tcp(address).await?.into_std()?;
    let socket = tcp.try_clone()?;
    Ok(Dialled { wire: encrypt(TcpStream::from_std(tcp)?, trust, alpn).await?, socket })
}

/// TLS for a client that trusts these CAs, PEM, and offers this protocol alone.
///
/// # Errors
/// When the CAs are no certificates.
pub fn client_config(ca: &[u8], alpn: &[u8]) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca) {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    Ok(config)
}

async fn encrypt(tcp: TcpStream, trust: Trust<'_>, alpn: &[u8]) -> Result<TlsStream<TcpStream>> {
    let config = client_config(trust.ca, alpn)?;
    let name = ServerName::try_from(trust.name.to_owned())?;
    let tls =
        TlsConnector::from(Arc::new(config)).connect(name, tcp).await.context("the TLS handshake failed")?;
    ensure!(tls.get_ref().1.alpn_protocol() == Some(alpn), "ALPN gave {:?}", tls.get_ref().1.alpn_protocol());
    Ok(tls)
}

/// Asks over HTTP/1.1; in plain text without a CA.
pub(super) async fn open_h1(
    address: SocketAddr,
    trust: Option<Trust<'_>>,
    request: &Request,
) -> Result<Stream> {
    h1_over(connect(address, trust, b"http/1.1").await?, request).await
}

/// Asks over a Unix socket.
pub(super) async fn open_unix(path: &Path, request: &Request) -> Result<Stream> {
    let unix = UnixStream::connect(path).await;
    h1_over(Box::new(unix.with_context(|| format!("cannot connect to {}", path.display()))?), request).await
}

async fn h1_over(wire: Box<dyn Wire>, request: &Request) -> Result<Stream> {
    let (mut send, connection) = http1::handshake(TokioIo::new(wire)).await?;
    let connection = tokio::spawn(async move {
        let _ = connection.await;
    });
    let mut builder = hyper::Request::builder().method(request.method.as_str()).uri(&request.path);
    builder = builder.header("host", &request.authority);
    let response = send.send_request(with_headers(builder, request)?).await?;
    Ok(stream(response, connection, send))
}

/// Asks over HTTP/2.
pub(super) async fn open_h2(address: SocketAddr, trust: Trust<'_>, request: &Request) -> Result<Stream> {
    let wire = connect(address, Some(trust), b"h2").await?;
    let (mut send, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(wire)).await?;
    let connection = tokio::spawn(async move {
        let _ = connection.await;
    });
    let uri = format!("https://{}{}", request.authority, request.path);
    let builder = hyper::Request::builder().method(request.method.as_str()).uri(uri);
    let response = send.send_request(with_headers(builder, request)?).await?;
    Ok(stream(response, connection, send))
}

fn with_headers(
    mut builder: http::request::Builder,
    request: &Request,
) -> Result<hyper::Request<Full<Bytes>>> {
    for (name, value) in &request.headers {
        builder = builder.header(name, value);
    }
    Ok(builder.body(Full::new(Bytes::from(request.body.clone())))?)
}

/// Hands the body on, piece by piece. `send` is held until then: dropping it would end an HTTP/2 connection.
fn stream<S: Send + 'static>(response: Response<Incoming>, connection: JoinHandle<()>, send: S) -> Stream {
    let (head, mut body) = response.into_parts();
    let (events, receiver) = mpsc::unbounded_channel();
    let task = tokio::spawn(async move {
        let end = loop {
            let frame = tokio::select! {
                frame = body.frame() => frame,
                () = events.closed() => break None,
            };
            match frame {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        let _ = events.send(Event::Data(data.to_vec()));
                    }
                }
                Some(Err(cause)) => break Some(End::Broken(describe(&cause))),
                None => break Some(End::Clean),
            }
        };
        let whole = matches!(end, Some(End::Clean));
        if let Some(end) = end {
            let _ = events.send(Event::End(end));
        }
        // Only the body goes: on HTTP/1.1 that closes the connection, on HTTP/2 it resets the stream.
        drop(body);
        if whole {
            // Nothing is left to be reset, and the connection with it.
            drop(send);
            let _ = connection.await;
            return;
        }
        let _ = connection.await;
        drop(send);
    });
    let name = |name: &http::HeaderName| name.as_str().to_owned();
    let headers = head.headers.iter().map(|(key, value)| (name(key), lossy(value.as_bytes()))).collect();
    Stream { status: head.status.as_u16(), headers, events: receiver, leave: Leave::Task(task) }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn describe(cause: &hyper::Error) -> String {
    let mut text = cause.to_string();
    let mut source = std::error::Error::source(cause);
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text
}

/// Sends bytes as they are, over TLS with a CA or in plain text, and reads until the peer closes.
///
/// # Errors
/// When there is no connection, or the peer neither closes nor answers in time.
pub async fn raw(address: SocketAddr, ca: Option<&[u8]>, bytes: &[u8]) -> Result<String> {
    let trust = ca.map(|ca| Trust { ca, name: "localhost" });
    let mut wire = connect(address, trust, b"http/1.1").await?;
    wire.write_all(bytes).await?;
    wire.flush().await?;
    let mut answer = Vec::new();
    // A peer that closes without close_notify, or resets after its answer, has answered all the same.
    let _ =
        timeout(PATIENCE, wire.read_to_end(&mut answer)).await.context("the peer does not close in time")?;
    Ok(lossy(&answer))
}
