//! TCP: HTTP/1.1 and HTTP/2 by ALPN over TLS, and plain HTTP/1.1.
//!
//! Knows listeners, handshakes and hyper. Refuses to know what a request asks for. Invariant: the version is what ALPN agreed
//! on, never guessed from bytes.

mod exchange;
mod rest;
pub(crate) mod serve;

use std::{
    io,
    net::{SocketAddr, TcpListener as Bound},
    sync::Arc,
    time::Duration,
};

use http::HeaderValue;
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::{Connection, Handler, Serve, Transport, accept::Accepting, connection::canonical};

/// What a TLS listener has besides.
#[derive(Clone)]
pub struct Secure {
    /// Offers `h2` and `http/1.1`.
    pub config: Arc<rustls::ServerConfig>,
    /// What tells clients of HTTP/3, where it is wanted.
    pub alt_svc: Option<AltSvc>,
}

/// Where HTTP/3 is served, as responses over TCP tell it (RFC 7838), and whether it still is.
#[derive(Debug, Clone)]
pub struct AltSvc {
    /// While it is.
    pub value: HeaderValue,
    /// What [`crate::quic::QuicListener::serving`] gave.
    pub serving: watch::Receiver<bool>,
}

impl AltSvc {
    /// Clients remember it for long, and so they are told when it is over.
    fn now(&self) -> HeaderValue {
        if *self.serving.borrow() { self.value.clone() } else { HeaderValue::from_static("clear") }
    }
}

impl std::fmt::Debug for Secure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secure").field("alt_svc", &self.alt_svc).finish_non_exhaustive()
    }
}

/// Serves `listener`; over TLS if `secure` is given, else plain HTTP/1.1.
///
/// Must be called within a tokio runtime.
///
/// # Errors
/// When the runtime cannot take the socket.
pub fn serve<H: Handler>(listener: Bound, secure: Option<Secure>, serve: Serve<H>) -> io::Result<Accepting> {
    let listener = TcpListener::from_std(listener)?;
    let kind = if secure.is_some() { "tls" } else { "plain" };
    let name = format!("{kind} {}", listener.local_addr()?);
    let (drain, beat) = (serve.drain.clone(), serve.pulse.beat(&name, serve.pulse.patience()));
    let room = Some(serve.room.clone());
    let admit = move |(stream, peer)| admit(stream, peer, secure.as_ref(), &serve);
    Ok(Accepting::start(name, drain, beat, room, move |context| listener.poll_accept(context), admit))
}

/// Whether it is held.
fn admit<H: Handler>(stream: TcpStream, peer: SocketAddr, secure: Option<&Secure>, serve: &Serve<H>) -> bool {
    if !(serve.answers)(canonical(peer)) {
        return false;
    }
    let Some(share) = serve.sources.take(peer) else {
        tracing::debug!(%peer, "too many connections; this one is closed");
        return false;
    };
    // Its readiness is watched by the thread that serves it.
    let Ok(stream) = stream.into_std() else { return false };
    let (secure, seats, serve) = (secure.cloned(), serve.seats.clone(), serve.begin());
    let open = serve.drain.open();
    seats.spawn(async move {
        let Ok(stream) = TcpStream::from_std(stream) else { return };
        // A small answer must not wait for the acknowledgement of the one before it.
        let _delayed = stream.set_nodelay(true);
        if let Err(error) = notice_vanished(&stream, serve.limits.tcp_vanished) {
            tracing::debug!(%peer, %error, "a peer that vanishes will be noticed late");
        }
        // Or the kernel would grow its buffer to `tcp_wmem`'s 4 MiB for a peer that takes nothing (tcp(7)).
        if let Err(error) = SockRef::from(&stream).set_tcp_notsent_lowat(serve.limits.tcp_unsent) {
            tracing::debug!(%peer, %error, "the kernel may hold much of an answer");
        }
        let Ok(local) = stream.local_addr() else { return };
        match secure {
            Some(secure) => encrypted(stream, peer, local, secure, serve).await,
            None => {
                let connection = Connection::new(peer, local, Transport::Plain);
                Box::pin(serve::http1(stream, connection, None, &serve)).await;
            }
        }
        drop((share, open));
    });
    true
}

/// Has the kernel ask a silent peer for a sign of life, and give up one that acknowledges nothing: TCP by itself tells of a
/// peer whose machine is gone only after some fifteen minutes, and never while nothing is sent (tcp(7)).
fn notice_vanished(stream: &TcpStream, within: Duration) -> io::Result<()> {
    let probes = TcpKeepalive::new()
        .with_time(within / 2)
        .with_interval((within / 4).max(Duration::from_secs(1)))
        .with_retries(2);
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&probes)?;
    socket.set_tcp_user_timeout(Some(within))
}

async fn encrypted<H: Handler>(
    stream: TcpStream,
    peer: SocketAddr,
    local: SocketAddr,
    secure: Secure,
    serve: Serve<H>,
) {
    // Each in a box of its own, so that none is held in the room of the largest while another one runs.
    let Some(stream) = Box::pin(handshake(stream, peer, secure.config, &serve)).await else { return };
    let connection = Connection::new(peer, local, Transport::Tls);
    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        Box::pin(serve::http2(stream, connection, secure.alt_svc, serve)).await;
    } else {
        Box::pin(serve::http1(stream, connection, secure.alt_svc, &serve)).await;
    }
}

async fn handshake<H: Handler>(
    stream: TcpStream,
    peer: SocketAddr,
    config: Arc<rustls::ServerConfig>,
    serve: &Serve<H>,
) -> Option<Box<TlsStream<TcpStream>>> {
    let Some(_waiting) = serve.sources.handshake() else {
        tracing::debug!(%peer, "too many TLS handshakes at once; this connection is closed");
        return None;
    };
    let shaken = tokio::select! {
        shaken = timeout(serve.limits.handshake, TlsAcceptor::from(config).accept(stream)) => shaken,
        // It has asked for nothing yet, and whoever is silent would hold up the end.
        () = serve.drain.clone().begun_for(serve.limits.h2_linger) => return None,
    };
    match shaken {
        Ok(Ok(stream)) => return Some(Box::new(stream)),
        Ok(Err(error)) => tracing::debug!(%peer, %error, "a TLS handshake failed"),
        Err(_elapsed) => tracing::debug!(%peer, "a TLS handshake took too long"),
    }
    None
}

#[cfg(test)]
mod tests;
