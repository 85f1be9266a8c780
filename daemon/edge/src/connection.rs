//! The facts about a connection that a handler may ask for.

use std::net::SocketAddr;

/// How a request reached us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// HTTP/1.1 without TLS, on the box's own plain port.
    Plain,
    /// HTTP/1.1 or HTTP/2 over TLS.
    Tls,
    /// HTTP/3 over QUIC.
    Quic,
}

/// One accepted connection; stands in each request's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Connection {
    /// The peer's address, IPv4-mapped addresses already turned into IPv4.
    pub peer: SocketAddr,
    /// Our address that the peer reached, mapped likewise.
    pub local: SocketAddr,
    /// How it came in.
    pub transport: Transport,
}
