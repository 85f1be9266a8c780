//! The QUIC endpoint: one UDP socket, its handshakes and its connections.
//!
//! Knows quinn and the limits. Refuses to know HTTP, which `h3` speaks, and how the socket was bound.
//! Invariants: a peer that may not be answered is not heard, so that it gets no packet at all; nothing that a peer
//! sends before its handshake ends can hold more than its share of memory or time; early data is never taken.

mod heard;
mod keys;
mod socket;
mod unproved;

use std::{
    fmt, io,
    net::{SocketAddr, UdpSocket},
    sync::Arc,
    time::Duration,
};

use futures_util::{FutureExt as _, future::BoxFuture};
use h3::error::Code;
use quinn::{
    AsyncUdpSocket, Connecting, Endpoint, Incoming, ServerConfig, TokioRuntime, TransportConfig, VarInt,
    crypto::rustls::QuicServerConfig,
};
use tokio::{
    sync::{Mutex, watch},
    time::{sleep, timeout},
};

use crate::{
    Handler, Limits, Serve,
    counted::{Count, Counted},
    freeze,
    h3::{self as http3},
};
use heard::Heard;
pub use keys::Keys;
use socket::Socket;
use unproved::{Peer, Unproved};

/// A listener that serves HTTP/3 until it is drained or closed.
pub struct QuicListener {
    endpoint: Endpoint,
    name: String,
    accept: Accept,
    serving: watch::Receiver<bool>,
    over: watch::Receiver<bool>,
}

/// Begins to take connections.
type Accept = Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

impl QuicListener {
    /// The address that the socket is bound to.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.endpoint.local_addr()
    }

    /// Its kind and address.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Takes connections until it drains and none is left, or until the socket fails. Whoever calls it has it run; if it panics, it can be
    /// begun again, and the connections that are open live on.
    pub fn accept(&self) -> impl Fn() -> BoxFuture<'static, ()> + Send + Sync + use<> {
        let accept = Arc::clone(&self.accept);
        move || accept()
    }

    /// Turns `false` when the socket fails; HTTP/3 is then served no more.
    pub fn serving(&self) -> watch::Receiver<bool> {
        self.serving.clone()
    }

    /// Waits until draining has ended: no connection is left, and the last packet of each has gone out.
    /// Before draining begins it returns only if the socket fails.
    pub async fn wait(mut self) {
        // An error means that nobody takes connections, nor will.
        let _over = self.over.wait_for(|over| *over).await;
        self.endpoint.wait_idle().await;
    }

    /// Closes every connection at once, with H3_NO_ERROR, and takes no more.
    pub fn close(&self) {
        self.endpoint.close(code(Code::H3_NO_ERROR), b"the server has stopped");
    }
}

impl fmt::Debug for QuicListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuicListener").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Serves HTTP/3 on `socket`, with a `tls` configuration whose ALPN is `h3`, and ends the connections of an endpoint that had the
/// same `keys` before.
///
/// Must be called within a tokio runtime.
///
/// # Errors
/// When the TLS configuration cannot serve QUIC (no TLS 1.3, no `h3` in its ALPN), when a limit is beyond what QUIC can
/// say, or when the socket cannot be used.
pub fn serve<H: Handler>(
    socket: UdpSocket,
    tls: Arc<rustls::ServerConfig>,
    keys: &Keys,
    serve: Serve<H>,
) -> io::Result<QuicListener> {
    serve_on(taken(socket)?, tls, keys, serve)
}

/// A bound socket in the form that quinn takes.
pub(crate) fn taken(bound: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
    Ok(Arc::new(Socket::new(bound)?))
}

/// The same on a socket that is quinn's already.
pub(crate) fn serve_on<H: Handler>(
    socket: Arc<dyn AsyncUdpSocket>,
    tls: Arc<rustls::ServerConfig>,
    keys: &Keys,
    serve: Serve<H>,
) -> io::Result<QuicListener> {
    let mut config = server_config(tls, &serve.limits)?;
    keys.server(&mut config);
    let (answers, unproved) = (Arc::clone(&serve.answers), Unproved::default());
    let socket = Heard::new(socket, move |peer| answers(peer), unproved.clone());
    let (given, runtime) = (Some(config.clone()), Arc::new(TokioRuntime));
    let endpoint = Endpoint::new_with_abstract_socket(keys.endpoint(), given, socket, runtime)?;
    let local = endpoint.local_addr()?;
    let ((up, serving), (over, seen)) = (watch::channel(true), watch::channel(false));
    let (name, handshakes, of) = (format!("quic {local}"), Count::default(), endpoint.clone());
    let listener = Listener { endpoint: of, local, config, serve, handshakes, unproved, up, over };
    let accept = accept(name.clone(), listener);
    Ok(QuicListener { endpoint, name, accept, serving, over: seen })
}

/// One at a time takes connections, and what is known of them stays where it panics.
fn accept<H: Handler>(name: String, listener: Listener<H>) -> Accept {
    let listener = Arc::new(Mutex::new(listener));
    Arc::new(move || {
        let (own, listener) = (name.clone(), Arc::clone(&listener));
        freeze::task(&name, async move { listener.lock().await.accept(&own).await }).boxed()
    })
}

fn server_config(tls: Arc<rustls::ServerConfig>, limits: &Limits) -> io::Result<ServerConfig> {
    if !tls.alpn_protocols.iter().any(|protocol| protocol == b"h3") {
        return Err(invalid("the TLS configuration for QUIC does not offer the protocol h3"));
    }
    let mut tls = Arc::unwrap_or_clone(tls);
    // A request in early data can be replayed by anyone who saw it, and it would cost GPU time each time.
    tls.max_early_data_size = 0;
    let mut config = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls).map_err(invalid)?));
    limit(&mut config, limits)?;
    // Packets of a client from anywhere else than where its handshake came from are not heard (RFC 9000 section 9 has us say so
    // beforehand). quinn 0.11.12 would follow the first of them, however small, with a PATH_CHALLENGE of 1200 bytes, and
    // answer a PATH_CHALLENGE with as many, where sections 8.2 and 9.3 allow three times what came: whoever has a
    // connection could send anyone else thirty times as much. A client that has moved connects anew, as over TCP.
    config.migration(false);
    Ok(config)
}

fn limit(config: &mut ServerConfig, limits: &Limits) -> io::Result<()> {
    config
        .transport_config(Arc::new(transport_config(limits)?))
        .max_incoming(limits.quic_incoming)
        .incoming_buffer_size_total(limits.quic_incoming_bytes);
    Ok(())
}

fn transport_config(limits: &Limits) -> io::Result<TransportConfig> {
    let mut config = TransportConfig::default();
    config
        .max_concurrent_bidi_streams(limits.streams.into())
        // A client needs three (control, QPACK both ways); the rest is room for grease.
        .max_concurrent_uni_streams(8u32.into())
        .receive_window(limits.quic_receive_window.into())
        .stream_receive_window(limits.quic_stream_window.into())
        .send_window(limits.quic_send_window)
        .max_idle_timeout(Some(limits.quic_idle.try_into().map_err(invalid)?))
        // While a model gathers its answer nobody sends for minutes, and the connection must live.
        .keep_alive_interval(Some(limits.quic_idle / 3))
        .datagram_receive_buffer_size(None)
        .congestion_controller_factory(Arc::new(http3::Watched::default()));
    Ok(config)
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error)
}

struct Listener<H> {
    endpoint: Endpoint,
    local: SocketAddr,
    config: ServerConfig,
    serve: Serve<H>,
    /// Those that wait.
    handshakes: Count,
    unproved: Unproved,
    /// Whether HTTP/3 is served.
    up: watch::Sender<bool>,
    /// Whether no connection will be taken any more, and none is left.
    over: watch::Sender<bool>,
}

impl<H: Handler> Listener<H> {
    async fn accept(&mut self, name: &str) {
        let pulse = &self.serve.pulse;
        // Its end is no end of the program's, and is told otherwise.
        let mut beat = pulse.beat_until_dropped(name, pulse.patience());
        loop {
            let incoming = tokio::select! {
                incoming = self.endpoint.accept() => incoming,
                Ok(()) = self.serve.newest.changed() => {
                    self.renew();
                    continue;
                }
                () = beat.due() => continue,
                () = self.serve.drain.begun() => break,
            };
            let Some(incoming) = incoming else { return self.failed() };
            self.consider(incoming);
        }
        // From here on a first packet gets no answer, and its client falls back to TCP.
        self.endpoint.set_server_config(None);
        self.endpoint.wait_idle().await;
        self.over.send_replace(true);
    }

    fn failed(&self) {
        self.over.send_replace(true);
        // The end of the program is no failure: clients may remember that there is HTTP/3.
        if self.serve.drain.has_begun() {
            return;
        }
        self.up.send_replace(false);
        tracing::error!(
            "the UDP socket has failed: HTTP/3 is no longer served, HTTP/1.1 and HTTP/2 are; restart to try again"
        );
    }

    /// Goes by the newest limits, for connections that begin. Clients that were asked to prove their address can: its key stays.
    fn renew(&mut self) {
        self.serve = self.serve.begin();
        match limit(&mut self.config, &self.serve.limits) {
            Ok(()) => self.endpoint.set_server_config(Some(self.config.clone())),
            Err(error) => {
                tracing::warn!(%error, "QUIC cannot say the new limits: its windows and times stay as they were");
            }
        }
    }

    fn consider(&self, incoming: Incoming) {
        let Serve { limits, sources, seats, room, .. } = &self.serve;
        let waiting = self.handshakes.now();
        // Refused, a client tries TCP, and waits there until there is room.
        if waiting >= limits.quic_incoming || sources.is_full() || room.lacks().is_some() {
            return incoming.refuse();
        }
        if waiting >= limits.quic_retry_from && !incoming.remote_address_validated() {
            // An unvalidated address may always be asked to prove itself, so this cannot fail.
            let _asked = incoming.retry();
            return;
        }
        let peer = self.unproved.begin(incoming.remote_address(), incoming.remote_address_validated());
        let handshake = self.handshakes.one_more();
        room.begun();
        seats.spawn(connect(incoming, handshake, peer, self.local, self.serve.clone()));
    }
}

/// How long a connection is still heard of that was given up: three probe timeouts where no round trip was ever measured (RFC 9000
/// section 10.2, RFC 9002 section 6.2.2).
const CLOSING: Duration = Duration::from_secs(3);

async fn connect<H: Handler>(
    incoming: Incoming,
    handshake: Counted,
    mut peer: Peer,
    bound: SocketAddr,
    serve: Serve<H>,
) {
    let local = incoming.local_ip().map_or(bound, |ip| SocketAddr::new(ip, bound.port()));
    // The connection's own task of quinn's starts here, and so on this thread.
    let Ok(connecting) = incoming.accept() else { return };
    let open = serve.drain.open();
    let Some(connection) = Box::pin(connected(connecting, &serve)).await else {
        drop((handshake, open));
        // What quinn still says to that address, a goodbye or a probe, counts as well.
        return sleep(CLOSING).await;
    };
    drop(handshake);
    // Held until the connection has ended.
    peer.proved();
    // Only now is the address known to be the peer's: before, anyone could use up another's share.
    let Some(_share) = serve.sources.take(connection.remote_address()) else {
        return connection.close(code(Code::H3_EXCESSIVE_LOAD), b"too many connections");
    };
    // What came before has ended, and its room is not held.
    Box::pin(http3::serve(connection, local, serve)).await;
}

async fn connected<H>(connecting: Connecting, serve: &Serve<H>) -> Option<quinn::Connection> {
    tokio::select! {
        connected = timeout(serve.limits.handshake, connecting) => connected.ok()?.ok(),
        // It has asked for nothing yet, and whoever is silent would hold up the end.
        () = serve.drain.clone().begun_for(serve.limits.h3_linger) => None,
    }
}

fn code(code: Code) -> VarInt {
    VarInt::from_u64(code.value()).unwrap_or(VarInt::MAX)
}
