//! How a connection to a backend is made.
//!
//! Knows TCP, TLS and Unix sockets. Refuses to know HTTP. Invariant: a connection that is given out has Nagle's
//! delay off, and says whether any byte was ever received on it.

use std::{
    error::Error,
    io,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use ghostllm_core::config::BackendUrl;
use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::UnixStream,
};
use tower_service::Service;

/// Where a backend listens.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// An address, with or without TLS.
    Url(BackendUrl),
    /// A Unix socket.
    Socket(PathBuf),
}

/// Makes connections to one place.
#[derive(Debug)]
pub(super) enum Dialer {
    Plain(HttpConnector, Uri),
    Tls(Box<HttpsConnector<HttpConnector>>, Uri),
    Socket(PathBuf),
}

type Failure = Box<dyn Error + Send + Sync>;

impl Dialer {
    /// # Errors
    /// No authority that this system trusts can be read, for a place with TLS.
    pub(super) fn new(place: &Place) -> io::Result<Self> {
        let url = match place {
            Place::Socket(path) => return Ok(Self::Socket(path.clone())),
            Place::Url(url) => url,
        };
        let uri = format!("{}://{}/", url.scheme(), url.authority());
        let uri: Uri = uri.parse().map_err(|why| io::Error::new(io::ErrorKind::InvalidInput, why))?;
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        if !url.tls() {
            return Ok(Self::Plain(tcp, uri));
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = HttpsConnectorBuilder::new();
        let builder = builder.with_provider_and_native_roots(provider)?.https_only();
        Ok(Self::Tls(Box::new(builder.enable_http1().wrap_connector(tcp)), uri))
    }

    /// A new connection. The caller sets the limit of time.
    ///
    /// # Errors
    /// The cause, in words for the log.
    pub(super) async fn dial(&self) -> Result<Counted, String> {
        let connected: Result<Box<dyn Stream>, Failure> = match self {
            Self::Plain(connector, uri) => plain(connector.clone(), uri.clone()).await,
            Self::Tls(connector, uri) => tls(connector.as_ref().clone(), uri.clone()).await,
            Self::Socket(path) => socket(path).await,
        };
        let inner = connected.map_err(|failure| format!("{}: {}", self.shown(), causes(failure.as_ref())))?;
        Ok(Counted { inner, received: Arc::new(AtomicU64::new(0)) })
    }

    fn shown(&self) -> String {
        match self {
            Self::Plain(_, uri) | Self::Tls(_, uri) => {
                uri.authority().map(ToString::to_string).unwrap_or_default()
            }
            Self::Socket(path) => path.display().to_string(),
        }
    }
}

async fn plain(mut connector: HttpConnector, uri: Uri) -> Result<Box<dyn Stream>, Failure> {
    let tcp = connector.call(uri).await?;
    Ok(Box::new(tcp.into_inner()))
}

async fn tls(mut connector: HttpsConnector<HttpConnector>, uri: Uri) -> Result<Box<dyn Stream>, Failure> {
    Ok(Box::new(TokioIo::new(connector.call(uri).await?)))
}

async fn socket(path: &Path) -> Result<Box<dyn Stream>, Failure> {
    Ok(Box::new(UnixStream::connect(path).await?))
}

/// An error and what caused it, in one line.
pub(super) fn causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut inner = error.source();
    while let Some(cause) = inner {
        let more = cause.to_string();
        // Some errors already say what caused them.
        if !text.ends_with(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        inner = cause.source();
    }
    text
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection that counts the bytes received: whether an answer had begun decides whether a request may be sent
/// once more, and hyper's errors do not tell.
pub(super) struct Counted {
    inner: Box<dyn Stream>,
    received: Arc<AtomicU64>,
}

impl Counted {
    pub(super) fn received(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.received)
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buffer);
        let more = buffer.filled().len().saturating_sub(before) as u64;
        self.received.fetch_add(more, Ordering::Relaxed);
        polled
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}
