//! The facts about a connection that a handler may ask for.

use std::net::{Ipv4Addr, SocketAddr};

/// How a request reached us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// HTTP/1.1 without TLS, on the box's own plain port.
    Plain,
    /// HTTP/1.1 or HTTP/2 over TLS.
    Tls,
    /// HTTP/3 over QUIC.
    Quic,
    /// HTTP/1.1 without TLS, on a Unix socket: the mode of its file has decided who may connect.
    Unix,
}

/// One accepted connection; stands in each request's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Connection {
    /// The peer's address, IPv4-mapped addresses already turned into IPv4; 127.0.0.1:0 over a Unix socket.
    pub peer: SocketAddr,
    /// Our address that the peer reached, mapped likewise; 127.0.0.1:0 over a Unix socket.
    pub local: SocketAddr,
    /// How it came in.
    pub transport: Transport,
    /// The user id of the process that has connected to a Unix socket, as the kernel had it then (`SO_PEERCRED` in unix(7)). It
    /// names a caller and decides nothing: the kernel tells no supplementary group, by which the file may have let it in.
    pub uid: Option<u32>,
    /// Nobody's: the program asks itself how it is ([`crate::probe`]).
    pub own: bool,
}

impl Connection {
    /// A connection's facts, each address in the form that [`canonical`] gives.
    pub fn new(peer: SocketAddr, local: SocketAddr, transport: Transport) -> Self {
        Self { peer: canonical(peer), local: canonical(local), transport, uid: None, own: false }
    }

    /// A connection over a Unix socket. Nothing there has an address; the peer is a program on this box, and what goes by
    /// addresses takes it for one on loopback.
    pub fn unix(uid: Option<u32>) -> Self {
        let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self { peer: nowhere, local: nowhere, transport: Transport::Unix, uid, own: false }
    }

    /// A question of the program's own, on a pair of Unix sockets.
    pub(crate) fn own() -> Self {
        Self { own: true, ..Self::unix(None) }
    }
}

/// The address that is meant: an IPv4 address that an IPv6 socket reports as mapped becomes IPv4 again, so
/// that nothing above has two spellings of one peer (RFC 4291 section 2.5.5.2).
pub fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        ip if ip == address.ip() => address,
        ip => SocketAddr::new(ip, address.port()),
    }
}

#[cfg(test)]
mod tests {
    use super::canonical;

    #[test]
    fn only_a_mapped_address_changes() {
        let cases = [
            ("[::ffff:192.0.2.1]:443", "192.0.2.1:443"),
            ("192.0.2.1:443", "192.0.2.1:443"),
            ("[fe80::1%2]:443", "[fe80::1%2]:443"),
            ("[::1]:443", "[::1]:443"),
        ];
        for (given, meant) in cases {
            assert_eq!(canonical(given.parse().unwrap()), meant.parse().unwrap());
        }
    }
}
