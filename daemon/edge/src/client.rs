//! Connections that the program makes to a listener of its own kind, to look at it from outside.
//!
//! Knows rustls, hyper, quinn and h3 from a client's side. Refuses to know what is asked and why. Invariants: no certificate goes
//! unverified; the version that was wanted is the one that is spoken; an answer that is dropped takes its request back.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use quinn::{Endpoint, crypto::rustls::QuicClientConfig};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    h3::{self as http3},
    workers::spawn,
};

/// How long a goodbye over QUIC may take to be heard.
const GOODBYE: Duration = Duration::from_secs(1);
/// TLS alerts by which a peer's certificate is refused (RFC 8446 section 6), as QUIC numbers them (RFC 9001 section 4.8).
const CERTIFICATE_ALERTS: [u64; 8] = [0x12a, 0x12b, 0x12c, 0x12d, 0x12e, 0x130, 0x171, 0x174];

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// Nobody takes it.
    #[error("{address} takes no connection: {why}")]
    Unreachable {
        /// Where.
        address: SocketAddr,
        /// The cause.
        why: String,
    },
    /// Whoever listens there shows a certificate that is not trusted, or is another's.
    #[error("the certificate that {address} shows is not trusted: {why}")]
    Untrusted {
        /// Where.
        address: SocketAddr,
        /// The cause.
        why: String,
    },
    /// The version is not spoken there.
    #[error("{address} does not speak {version:?}")]
    Version {
        /// Where.
        address: SocketAddr,
        /// The version.
        version: Version,
    },
    /// What was given cannot be used for a connection.
    #[error("no connection can be made of this: {why}")]
    Unusable {
        /// The cause.
        why: String,
    },
}

/// A request was not answered, or its answer broke off.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Broken(String);

/// Makes connections to one place.
#[derive(Clone)]
pub struct Dialer {
    version: Version,
    address: SocketAddr,
    name: ServerName<'static>,
    tls: Arc<ClientConfig>,
}

/// A connection. Over HTTP/2 and 3 it carries several requests at a time, over HTTP/1.1 one after the other.
pub struct Client(Speaks);

enum Speaks {
    One(http1::SendRequest<Full<Bytes>>),
    Two(http2::SendRequest<Full<Bytes>>),
    Three(http3::Client),
}

/// An answer's body, piece by piece.
pub struct Pieces(Body);

enum Body {
    Tcp(Incoming),
    Quic(Box<http3::Pieces>),
}

impl Dialer {
    /// To this address, whose certificate must be of this name, or address, by what `tls` trusts.
    ///
    /// # Errors
    /// [`DialError::Unusable`].
    pub fn new(
        version: Version,
        address: SocketAddr,
        name: &str,
        mut tls: ClientConfig,
    ) -> Result<Self, DialError> {
        let unusable = |why: String| DialError::Unusable { why };
        let protocol: &[u8] = match version {
            Version::HTTP_11 => b"http/1.1",
            Version::HTTP_2 => b"h2",
            Version::HTTP_3 => b"h3",
            other => return Err(unusable(format!("{other:?} is not spoken"))),
        };
        tls.alpn_protocols = vec![protocol.to_vec()];
        let name = ServerName::try_from(name.to_owned()).map_err(|error| unusable(error.to_string()))?;
        Ok(Self { version, address, name, tls: Arc::new(tls) })
    }

    /// A connection on which nothing has been asked yet. The caller sets the limit of time.
    ///
    /// # Errors
    /// Nobody takes it, its certificate is not trusted, or the version is not spoken.
    pub async fn dial(&self) -> Result<Client, DialError> {
        if self.version == Version::HTTP_3 {
            return self.quic().await.map(|client| Client(Speaks::Three(client)));
        }
        let stream = TokioIo::new(self.tcp().await?);
        let unspoken = |error: hyper::Error| self.unreachable(&error);
        if self.version == Version::HTTP_11 {
            let (sender, connection) = http1::handshake(stream).await.map_err(unspoken)?;
            spawn(async move {
                // Whoever waits for an answer on it hears why it ended.
                let _ended = connection.await;
            });
            return Ok(Client(Speaks::One(sender)));
        }
        let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.map_err(unspoken)?;
        spawn(async move {
            let _ended = connection.await;
        });
        Ok(Client(Speaks::Two(sender)))
    }

    async fn tcp(&self) -> Result<TlsStream<TcpStream>, DialError> {
        let tcp = TcpStream::connect(self.address).await.map_err(|error| self.unreachable(&error))?;
        tcp.set_nodelay(true).map_err(|error| self.unreachable(&error))?;
        let connector = TlsConnector::from(Arc::clone(&self.tls));
        let stream = connector.connect(self.name.clone(), tcp).await.map_err(|error| self.refused(&error))?;
        if stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec).as_ref() != self.tls.alpn_protocols.first()
        {
            return Err(DialError::Version { address: self.address, version: self.version });
        }
        Ok(stream)
    }

    fn refused(&self, error: &io::Error) -> DialError {
        let address = self.address;
        match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(rustls::Error::InvalidCertificate(why)) => {
                DialError::Untrusted { address, why: why.to_string() }
            }
            Some(rustls::Error::AlertReceived(rustls::AlertDescription::NoApplicationProtocol)) => {
                DialError::Version { address, version: self.version }
            }
            _ => self.unreachable(error),
        }
    }

    async fn quic(&self) -> Result<http3::Client, DialError> {
        let unusable = |why: String| DialError::Unusable { why };
        let crypto =
            QuicClientConfig::try_from(Arc::clone(&self.tls)).map_err(|error| unusable(error.to_string()))?;
        let own: IpAddr = match self.address {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let endpoint = Endpoint::client((own, 0).into()).map_err(|error| self.unreachable(&error))?;
        let config = quinn::ClientConfig::new(Arc::new(crypto));
        let connecting = endpoint
            .connect_with(config, self.address, &self.name.to_str())
            .map_err(|error| unusable(error.to_string()))?;
        let quic = connecting.await.map_err(|error| self.lost(&error))?;
        let built = http3::Client::new(endpoint, quic).await;
        built.map_err(|error| self.unreachable(&error))
    }

    fn lost(&self, error: &quinn::ConnectionError) -> DialError {
        let address = self.address;
        match error {
            quinn::ConnectionError::TransportError(error)
                if CERTIFICATE_ALERTS.contains(&u64::from(error.code)) =>
            {
                DialError::Untrusted { address, why: error.reason.clone() }
            }
            _ => self.unreachable(error),
        }
    }

    fn unreachable(&self, error: &dyn std::error::Error) -> DialError {
        DialError::Unreachable { address: self.address, why: causes(error) }
    }
}

impl Client {
    /// The same connection, for one more request at the same time; none over HTTP/1.1.
    #[must_use]
    pub fn another(&self) -> Option<Self> {
        match &self.0 {
            Speaks::One(_) => None,
            Speaks::Two(sender) => Some(Self(Speaks::Two(sender.clone()))),
            Speaks::Three(client) => Some(Self(Speaks::Three(client.clone()))),
        }
    }

    /// Waits until it can take a request; false if it never will.
    pub async fn ready(&mut self) -> bool {
        match &mut self.0 {
            Speaks::One(sender) => sender.ready().await.is_ok(),
            Speaks::Two(sender) => sender.ready().await.is_ok(),
            Speaks::Three(client) => client.is_open(),
        }
    }

    /// Asks, and waits for the head of the answer. The caller sets the limit of time.
    ///
    /// # Errors
    /// The connection ends, or the request is taken back by the other side.
    pub async fn ask(&mut self, request: Request<Bytes>) -> Result<Response<Pieces>, Broken> {
        let whole = |request: Request<Bytes>| request.map(Full::new);
        let broken = |error: hyper::Error| Broken(causes(&error));
        match &mut self.0 {
            Speaks::One(sender) => {
                // HTTP/1.1 has a path alone where the others have the whole address; whom it is for stands in Host.
                let (mut head, body) = whole(request).into_parts();
                if let Some(host) = head.uri.authority().and_then(|host| host.as_str().parse().ok()) {
                    head.headers.insert(http::header::HOST, host);
                }
                if let Some(path) = head.uri.path_and_query().cloned() {
                    head.uri = path.into();
                }
                let sent = sender.send_request(Request::from_parts(head, body)).await;
                Ok(sent.map_err(broken)?.map(|body| Pieces(Body::Tcp(body))))
            }
            Speaks::Two(sender) => {
                let sent = sender.send_request(whole(request)).await;
                Ok(sent.map_err(broken)?.map(|body| Pieces(Body::Tcp(body))))
            }
            Speaks::Three(client) => {
                let answer = client.ask(request).await.map_err(|error| Broken(causes(&error)))?;
                Ok(answer.map(|body| Pieces(Body::Quic(Box::new(body)))))
            }
        }
    }

    /// Says goodbye, so that the other side need not find out.
    pub async fn close(self) {
        if let Speaks::Three(client) = self.0 {
            // Whoever does not hear it finds out by its own time limit.
            let _heard = timeout(GOODBYE, client.close()).await;
        }
    }
}

impl Pieces {
    /// The next piece; none at the end.
    ///
    /// # Errors
    /// The answer breaks off.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Broken> {
        match &mut self.0 {
            Body::Quic(body) => body.next().await.map_err(|error| Broken(causes(&error))),
            Body::Tcp(body) => loop {
                match body.frame().await {
                    None => return Ok(None),
                    Some(Err(error)) => return Err(Broken(causes(&error))),
                    // Trailers say nothing here.
                    Some(Ok(frame)) => {
                        if let Ok(data) = frame.into_data() {
                            return Ok(Some(data));
                        }
                    }
                }
            },
        }
    }
}

/// An error and what caused it, in one line.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut inner = error.source();
    while let Some(cause) = inner {
        let more = cause.to_string();
        // Some errors already say what caused them.
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        inner = cause.source();
    }
    text
}
