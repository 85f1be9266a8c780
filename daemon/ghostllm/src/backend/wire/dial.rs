//! How a connection to a backend is made.
//!
//! Knows TCP, TLS and Unix sockets. Refuses to know HTTP. Invariant: a connection that is given out has Nagle's
//! delay off, says whether any byte was ever received on it, and ends where what is received comes to nothing.

use std::{
    error::Error,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use ghostllm_core::config::BackendUrl;
use ghostllm_edge::room::is_out;
use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::UnixStream,
};
use tower_service::Service;

/// Where a backend listens.
#[derive(Debug, Clone, PartialEq, Eq)]
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

/// Why there is no connection.
pub(super) struct Unreached {
    /// The cause, in words for the log.
    pub(super) detail: String,
    /// What kind of.
    pub(super) why: Why,
}

/// What kind of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// The system has waited for the machine, and it is not there.
    Absent,
    /// This process, or the system, has no descriptor left.
    Full,
    /// Any other.
    Other,
}

impl Why {
    fn of(failure: &(dyn Error + 'static)) -> Self {
        match find::<io::Error>(failure) {
            Some(error) if is_out(error) => Self::Full,
            Some(error) if is_absence(error.kind()) => Self::Absent,
            _ => Self::Other,
        }
    }
}

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
    /// The cause.
    pub(super) async fn dial(&self, fruitless: u64) -> Result<Counted, Unreached> {
        let connected: Result<Box<dyn Stream>, Failure> = match self {
            Self::Plain(connector, uri) => plain(connector.clone(), uri.clone()).await,
            Self::Tls(connector, uri) => tls(connector.as_ref().clone(), uri.clone()).await,
            Self::Socket(path) => socket(path).await,
        };
        let inner = connected.map_err(|failure| Unreached {
            detail: format!("{}: {}", self.shown(), causes(failure.as_ref())),
            why: Why::of(failure.as_ref()),
        })?;
        Ok(Counted { inner, received: Arc::default(), fruitless })
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

/// The first of this type among an error and what caused it.
pub(super) fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// A machine on the same network that is off is given up after three seconds (`EHOSTUNREACH`; arp(7)).
fn is_absence(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::HostUnreachable | ErrorKind::TimedOut)
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// What has been received on a connection.
#[derive(Debug, Default)]
pub(super) struct Received {
    bytes: AtomicU64,
    /// How many there were when something came of them.
    fruitful: AtomicU64,
}

impl Received {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Something was made of them, or a request begins.
    pub(super) fn bear(&self) {
        self.fruitful.store(self.bytes(), Ordering::Relaxed);
    }
}

/// Bytes without an end that come to nothing: informational heads, or a chunk's length behind zeros, which hyper reads for good,
/// and all that while the task has no turn left for any timer; comments and empty lines, which end every silence.
#[derive(Debug, thiserror::Error)]
#[error("{0} bytes that came to nothing")]
pub(super) struct Fruitless(u64);

impl Fruitless {
    /// The cause of this error, which its own `source` passes over.
    pub(super) fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

/// A connection that counts the bytes received: whether an answer had begun decides whether a request may be sent
/// once more, and hyper's errors do not tell.
pub(super) struct Counted {
    inner: Box<dyn Stream>,
    received: Arc<Received>,
    /// So many may come to nothing.
    fruitless: u64,
}

impl Counted {
    pub(super) fn received(&self) -> Arc<Received> {
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
        let now = self.received.bytes.fetch_add(more, Ordering::Relaxed) + more;
        let barren = now.saturating_sub(self.received.fruitful.load(Ordering::Relaxed));
        if barren > self.fruitless {
            return Poll::Ready(Err(io::Error::other(Fruitless(barren))));
        }
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

#[cfg(test)]
mod tests {
    use nix::libc::{EMFILE, ENFILE};

    use super::*;

    #[test]
    fn want_of_descriptors_is_none_of_the_backend_s_failures() {
        let why = |error: io::Error| Why::of(&error);
        assert_eq!([EMFILE, ENFILE].map(|code| why(io::Error::from_raw_os_error(code))), [Why::Full; 2]);
        assert_eq!(why(ErrorKind::TimedOut.into()), Why::Absent);
        assert_eq!(why(ErrorKind::ConnectionRefused.into()), Why::Other);
    }
}
