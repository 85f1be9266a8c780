//! A server with a closure for a handler, a client, and raw bytes for what no client would send.

use std::{
    future::{Future, poll_fn},
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use bytes::{Buf, Bytes};
use h3::client::{RequestStream, SendRequest};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use quinn::{AsyncUdpSocket, ConnectionError, Endpoint, VarInt};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio::sync::{mpsc, watch};

use super::super::{
    adaptor::{Bidi, Opener, Transport},
    gate::FrameLimits,
};
use crate::{
    Handler, Limits, RequestBody, ResponseBody, Serve, StreamFailed,
    drain::Drain,
    quic::{self, QuicListener},
    sources::Sources,
    workers::{Workers, spawn},
};

type Answer = Pin<Box<dyn Future<Output = Response<ResponseBody>> + Send>>;

#[derive(Clone)]
pub(super) struct Closure(Arc<dyn Fn(Request<RequestBody>) -> Answer + Send + Sync>);

impl Handler for Closure {
    fn handle(&self, request: Request<RequestBody>) -> impl Future<Output = Response<ResponseBody>> + Send {
        (self.0)(request)
    }
}

pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) drain: Drain,
    pub(super) listener: QuicListener,
    /// Gives connections that begin other limits.
    pub(super) newest: watch::Sender<Arc<Limits>>,
    certificate: CertificateDer<'static>,
}

/// A server on loopback whose handler is `handle`.
pub(super) fn server<F, A>(limits: &Limits, handle: F) -> Server
where
    F: Fn(Request<RequestBody>) -> A + Send + Sync + 'static,
    A: Future<Output = Response<ResponseBody>> + Send + 'static,
{
    filtered(limits, |_| true, handle)
}

/// The same, answering only the sources that `answers` names.
pub(super) fn filtered<F, A>(limits: &Limits, answers: fn(SocketAddr) -> bool, handle: F) -> Server
where
    F: Fn(Request<RequestBody>) -> A + Send + Sync + 'static,
    A: Future<Output = Response<ResponseBody>> + Send + 'static,
{
    on_socket(|socket| socket, limits, answers, handle)
}

/// The same on what becomes of a socket.
pub(super) fn on_socket<F, A>(
    socket: impl FnOnce(Arc<dyn AsyncUdpSocket>) -> Arc<dyn AsyncUdpSocket>,
    limits: &Limits,
    answers: fn(SocketAddr) -> bool,
    handle: F,
) -> Server
where
    F: Fn(Request<RequestBody>) -> A + Send + Sync + 'static,
    A: Future<Output = Response<ResponseBody>> + Send + 'static,
{
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key.into())
        .unwrap();
    tls.alpn_protocols = vec![b"h3".to_vec()];
    tls.max_early_data_size = u32::MAX;
    let bound = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let socket = socket(quic::taken(bound).unwrap());
    let drain = Drain::default();
    let handler = Closure(Arc::new(move |request| Box::pin(handle(request))));
    // Its threads end with this, and a test's server may live longer: it has the test's own thread alone.
    let seats = Workers::start(0).unwrap().seats();
    let (newest, limits_now) = watch::channel(Arc::new(limits.clone()));
    let serve = Serve {
        handler,
        limits: Arc::new(limits.clone()),
        newest: limits_now,
        answers: Arc::new(answers),
        sources: Sources::new(limits),
        seats,
        pulse: crate::pulse::Pulse::default(),
        room: crate::room::Room::default(),
        drain: drain.watch(),
    };
    let listener = quic::serve_on(socket, Arc::new(tls), &quic::Keys::new(&[7; 32]).unwrap(), serve).unwrap();
    spawn(listener.accept()());
    let address = listener.local_addr().unwrap();
    Server { address, drain, listener, newest, certificate: cert.der().clone() }
}

impl Server {
    /// A QUIC connection that speaks nothing yet.
    pub(super) async fn dial(&self) -> Result<quinn::Connection, ConnectionError> {
        self.dial_with(quinn::TransportConfig::default()).await
    }

    pub(super) async fn dial_with(
        &self,
        transport: quinn::TransportConfig,
    ) -> Result<quinn::Connection, ConnectionError> {
        self.dial_all(self.address, transport).await
    }

    /// A connection to somewhere else, which is not this server.
    pub(super) async fn dial_at(&self, address: SocketAddr) -> Result<quinn::Connection, ConnectionError> {
        self.dial_all(address, quinn::TransportConfig::default()).await
    }

    async fn dial_all(
        &self,
        address: SocketAddr,
        transport: quinn::TransportConfig,
    ) -> Result<quinn::Connection, ConnectionError> {
        let endpoint = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        self.dial_by(&endpoint, address, transport).await
    }

    /// A handshake that waits: the first packets of a client that hears nothing, sent from a place where nobody goes on with
    /// them.
    pub(super) async fn half_a_handshake(&self) -> tokio::net::UdpSocket {
        let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let dialled = self.dial_at(silent.local_addr().unwrap());
        let first = async {
            let mut packet = vec![0; 2000];
            let length = silent.recv(&mut packet).await.unwrap();
            silent.send_to(&packet[..length], self.address).await.unwrap();
            // What comes back says that it is counted; the client's own repetitions come from elsewhere.
            while silent.recv_from(&mut packet).await.unwrap().1 != self.address {}
        };
        tokio::select! {
            () = soon(first) => {}
            _ = dialled => unreachable!("nobody answers"),
        }
        silent
    }

    /// The same by a client whose sockets are the test's.
    pub(super) async fn dial_by(
        &self,
        endpoint: &Endpoint,
        address: SocketAddr,
        transport: quinn::TransportConfig,
    ) -> Result<quinn::Connection, ConnectionError> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"h3".to_vec()];
        let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(tls).unwrap();
        let mut config = quinn::ClientConfig::new(Arc::new(crypto));
        config.transport_config(Arc::new(transport));
        endpoint.connect_with(config, address, "localhost").unwrap().await
    }

    pub(super) async fn client(&self) -> Client {
        self.client_with(quinn::TransportConfig::default()).await
    }

    pub(super) async fn client_with(&self, transport: quinn::TransportConfig) -> Client {
        let quic = self.dial_with(transport).await.unwrap();
        let frames = FrameLimits { headers: u64::MAX, other: u64::MAX, empty: u32::MAX };
        let (mut driver, send) =
            h3::client::new(Transport::new(quic.clone(), frames, u64::MAX)).await.unwrap();
        spawn(async move {
            let _end = poll_fn(|cx| driver.poll_close(cx)).await;
        });
        Client { quic, send }
    }
}

pub(super) struct Client {
    pub(super) quic: quinn::Connection,
    send: SendRequest<Opener, Bytes>,
}

pub(super) type Stream = RequestStream<Bidi, Bytes>;

pub(super) fn get(path: &str) -> Request<()> {
    Request::get(format!("https://localhost{path}")).body(()).unwrap()
}

pub(super) fn post(path: &str) -> Request<()> {
    Request::post(format!("https://localhost{path}")).body(()).unwrap()
}

impl Client {
    /// Sends a head and leaves the request's body open.
    pub(super) async fn start(&mut self, request: Request<()>) -> Stream {
        self.send.send_request(request).await.unwrap()
    }

    /// Sends a request without a body.
    pub(super) async fn ask(&mut self, request: Request<()>) -> Stream {
        let mut stream = self.start(request).await;
        stream.finish().await.unwrap();
        stream
    }

    /// A whole exchange.
    pub(super) async fn whole(&mut self, request: Request<()>) -> (Response<()>, Bytes) {
        let mut stream = self.ask(request).await;
        let response = stream.recv_response().await.unwrap();
        (response, rest(&mut stream).await.unwrap())
    }
}

/// Reads a response's body to its end, which must be clean.
pub(super) async fn rest(stream: &mut Stream) -> Result<Bytes, h3::error::StreamError> {
    let mut all = Vec::new();
    while let Some(mut data) = stream.recv_data().await? {
        all.extend_from_slice(&data.copy_to_bytes(data.remaining()));
    }
    Ok(all.into())
}

/// A response body fed by hand.
pub(super) fn fed() -> (mpsc::UnboundedSender<Result<&'static str, StreamFailed>>, ResponseBody) {
    let (feed, mut fed) = mpsc::unbounded_channel::<Result<&'static str, StreamFailed>>();
    let frames = futures_util::stream::poll_fn(move |cx| {
        fed.poll_recv(cx)
            .map(|next| next.map(|data| data.map(|data| Frame::data(Bytes::from_static(data.as_bytes())))))
    });
    (feed, StreamBody::new(frames).boxed_unsync())
}

/// Waits for what must come soon; a test that hangs says where.
#[track_caller]
pub(super) fn soon<T>(what: impl Future<Output = T>) -> impl Future<Output = T> {
    let place = std::panic::Location::caller();
    async move {
        let waited = tokio::time::timeout(Duration::from_secs(20), what).await;
        waited.unwrap_or_else(|_| panic!("nothing came at {place}"))
    }
}

/// Tells its other end when it is dropped.
pub(super) struct Alive(#[expect(dead_code, reason = "it is there to be dropped")] mpsc::Sender<()>);

pub(super) fn alive() -> (Alive, mpsc::Receiver<()>) {
    let (alive, dropped) = mpsc::channel(1);
    (Alive(alive), dropped)
}

/// The code that the server closed with.
pub(super) async fn closed_with(quic: &quinn::Connection) -> VarInt {
    match soon(quic.closed()).await {
        ConnectionError::ApplicationClosed(close) => close.error_code,
        other => panic!("not closed by the server: {other}"),
    }
}

pub(super) fn code(code: h3::error::Code) -> VarInt {
    VarInt::from_u64(code.value()).unwrap()
}

/// The HEADERS frame of `GET https://localhost/`: QPACK's static table, one literal.
pub(super) const RAW_GET: &[u8] = b"\x01\x10\x00\x00\xd1\xd7\xc1\x50\x09localhost";

/// A client's control stream with empty SETTINGS.
pub(super) async fn raw_control(quic: &quinn::Connection) -> quinn::SendStream {
    let mut control = quic.open_uni().await.unwrap();
    control.write_all(b"\x00\x04\x00").await.unwrap();
    control
}

/// Reads the number that the server's GOAWAY names, whichever stream is the control stream.
pub(super) async fn raw_goaway(quic: &quinn::Connection) -> u8 {
    loop {
        let mut stream = quic.accept_uni().await.unwrap();
        let mut kind = [0; 1];
        stream.read_exact(&mut kind).await.unwrap();
        if kind != [0] {
            continue;
        }
        loop {
            let mut frame = [0; 2];
            stream.read_exact(&mut frame).await.unwrap();
            let mut payload = vec![0; usize::from(frame[1])];
            stream.read_exact(&mut payload).await.unwrap();
            if frame[0] == 7 {
                return payload[0];
            }
        }
    }
}
