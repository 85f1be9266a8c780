//! Sockets: one IPv6 socket per transport with V6ONLY off, so that each takes IPv4 as well; and a Unix socket.
//!
//! Knows socket2 and who holds a port. Refuses to know what is spoken over a socket. Invariant: never
//! SO_REUSEPORT, with which a second daemon would take half of the connections in silence.

mod handed;
mod holder;
mod unix;

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket},
};

use nix::{
    ifaddrs::getifaddrs,
    sys::socket::{AddressFamily, SockaddrLike},
};
use socket2::{Domain, Protocol, Socket, Type};

pub use handed::{handed_tcp, handed_udp};
pub use unix::{SocketFile, UnixError, unix};

/// Connections that the kernel keeps for us until they are accepted.
const BACKLOG: i32 = 1024;

/// Room for QUIC's datagrams; the kernel caps it at net.core.rmem_max and wmem_max.
const UDP_BUFFER: usize = 4 * 1024 * 1024;

/// A socket and how it came to be.
#[derive(Debug)]
pub struct Bound<S> {
    /// The socket, not blocking.
    pub socket: S,
    /// Its address; with the port that the kernel chose where 0 was asked for.
    pub address: SocketAddr,
    /// All addresses were asked for, but there is no IPv6: the kernel lacks it, it is disabled, or who has handed the socket
    /// down has bound it to IPv4 alone.
    pub only_ipv4: bool,
    /// It was handed down for all IPv6 addresses, and takes no IPv4.
    pub only_ipv6: bool,
    /// It was bound by somebody else.
    pub handed: bool,
}

/// Why an address could not be bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody else holds the port.
    #[error("{protocol} {address} is taken{}", by(holder.as_ref()))]
    Taken {
        /// TCP or UDP.
        protocol: &'static str,
        /// What was asked for.
        address: SocketAddr,
        /// Who holds it, where that can be seen.
        holder: Option<String>,
    },
    /// Ports below 1024 want a capability.
    #[error("{protocol} {address} may not be bound by this user: ports below 1024 want CAP_NET_BIND_SERVICE")]
    Denied {
        /// TCP or UDP.
        protocol: &'static str,
        /// What was asked for.
        address: SocketAddr,
    },
    /// Anything else, such as an address that this box does not have.
    #[error("{protocol} {address} cannot be bound: {source}")]
    Other {
        /// TCP or UDP.
        protocol: &'static str,
        /// What was asked for.
        address: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
}

fn by(holder: Option<&String>) -> String {
    holder.map(|holder| format!(" by {holder}")).unwrap_or_default()
}

/// Binds and listens on TCP.
///
/// # Errors
/// When the port is taken or may not be bound.
pub fn tcp(address: SocketAddr) -> Result<Bound<TcpListener>, BindError> {
    let (socket, only_ipv4) = dual(address, Type::STREAM, Protocol::TCP)
        .and_then(|(socket, only_ipv4)| socket.listen(BACKLOG).map(|()| (socket, only_ipv4)))
        .map_err(|error| refused("TCP", address, error))?;
    let socket = TcpListener::from(socket);
    let address = socket.local_addr().map_err(|error| refused("TCP", address, error))?;
    Ok(Bound { socket, address, only_ipv4, only_ipv6: false, handed: false })
}

/// Binds UDP.
///
/// # Errors
/// When the port is taken or may not be bound.
pub fn udp(address: SocketAddr) -> Result<Bound<UdpSocket>, BindError> {
    let (socket, only_ipv4) =
        dual(address, Type::DGRAM, Protocol::UDP).map_err(|error| refused("UDP", address, error))?;
    // Less room costs packets under load, and nothing else.
    let _smaller = socket.set_recv_buffer_size(UDP_BUFFER).and(socket.set_send_buffer_size(UDP_BUFFER));
    let socket = UdpSocket::from(socket);
    let address = socket.local_addr().map_err(|error| refused("UDP", address, error))?;
    Ok(Bound { socket, address, only_ipv4, only_ipv6: false, handed: false })
}

/// Binds `address`, or 0.0.0.0 where `[::]` is asked of a kernel without IPv6.
fn dual(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<(Socket, bool)> {
    match bind(address, kind, protocol) {
        Err(error) if lacks_ipv6(&error) && address.is_ipv6() && address.ip().is_unspecified() => {
            let fallback = SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()));
            Ok((bind(fallback, kind, protocol)?, true))
        }
        bound => Ok((bound?, address.ip() == Ipv6Addr::UNSPECIFIED && ipv6_is_disabled())),
    }
}

/// With net.ipv6.conf.all.disable_ipv6 the kernel lets `[::]` be bound all the same, but no interface has an IPv6
/// address, not even loopback. A box without any address has not got its network yet, which says nothing of IPv6.
fn ipv6_is_disabled() -> bool {
    let Ok(interfaces) = getifaddrs() else { return false };
    let addresses: Vec<_> = interfaces.filter_map(|interface| interface.address).collect();
    let of = |family| addresses.iter().any(|address| address.family() == Some(family));
    of(AddressFamily::Inet) && !of(AddressFamily::Inet6)
}

fn lacks_ipv6(error: &io::Error) -> bool {
    const NO_FAMILY: i32 = nix::errno::Errno::EAFNOSUPPORT as i32;
    const NO_ADDRESS: i32 = nix::errno::Errno::EADDRNOTAVAIL as i32;
    matches!(error.raw_os_error(), Some(NO_FAMILY | NO_ADDRESS))
}

fn bind(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if address.is_ipv6() {
        // The sysctl net.ipv6.bindv6only may say otherwise.
        socket.set_only_v6(false)?;
    }
    if kind == Type::STREAM {
        // A restart need not wait for the connections of the last run to leave TIME_WAIT.
        socket.set_reuse_address(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn refused(protocol: &'static str, address: SocketAddr, source: io::Error) -> BindError {
    match source.kind() {
        io::ErrorKind::AddrInUse => {
            BindError::Taken { protocol, address, holder: holder::of(protocol, address.port()) }
        }
        io::ErrorKind::PermissionDenied => BindError::Denied { protocol, address },
        _ => BindError::Other { protocol, address, source },
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn one_socket_takes_both_families() {
        let bound = tcp("[::]:0".parse().unwrap()).unwrap();
        let port = bound.address.port();
        assert!(TcpStream::connect(("127.0.0.1", port)).is_ok());
        assert!(bound.only_ipv4 || TcpStream::connect(("::1", port)).is_ok());
    }

    #[test]
    fn a_taken_port_names_its_holder() {
        let first = tcp("[::]:0".parse().unwrap()).unwrap();
        let error = tcp(first.address).unwrap_err().to_string();
        let process = format!("process {}", std::process::id());
        assert!(error.starts_with("TCP ") && error.contains(&process), "{error}");

        let first = udp("[::]:0".parse().unwrap()).unwrap();
        let error = udp(first.address).unwrap_err().to_string();
        assert!(error.starts_with("UDP ") && error.contains(&process), "{error}");
    }

    #[test]
    fn an_address_of_another_box_is_no_port_taken() {
        let error = tcp("192.0.2.1:0".parse().unwrap()).unwrap_err();
        assert!(matches!(error, BindError::Other { .. }), "{error}");
    }
}
