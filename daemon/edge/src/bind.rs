//! Sockets: one IPv6 socket per transport with V6ONLY off, so that each takes IPv4 as well; and a Unix socket.
//!
//! Knows socket2, who holds a port, and what the kernel has of addresses. Refuses to know what is spoken over a socket. Invariants:
//! never SO_REUSEPORT, with which a second daemon would take half of the connections in silence; an address that is yet to come is
//! no reason to bind nothing.

mod handed;
mod holder;
mod unix;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket},
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
    /// All addresses were asked for, but there is no IPv6: the kernel lacks it, or who has handed the socket down has bound it to
    /// IPv4 alone.
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
    /// Anything else, such as an interface that this box does not have.
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

/// Whether TCP could be bound there now. Nothing listens meanwhile, so that nobody can connect, and whoever binds it in that moment
/// is not in the way either.
///
/// # Errors
/// As [`tcp`].
pub fn could_be_tcp(address: SocketAddr) -> Result<(), BindError> {
    dual(address, Type::STREAM, Protocol::TCP).map(drop).map_err(|error| refused("TCP", address, error))
}

/// Whether nobody has the UDP port of this address now. It is looked for and not tried: for that moment a daemon that starts would go without it.
///
/// # Errors
/// [`BindError::Taken`].
pub fn could_be_udp(address: SocketAddr) -> Result<(), BindError> {
    match holder::of("UDP", address).filter(|_| address.port() != 0) {
        Some(holder) => Err(BindError::Taken { protocol: "UDP", address, holder: Some(holder) }),
        None => Ok(()),
    }
}

/// Binds `address`, or 0.0.0.0 where `[::]` is asked of a kernel without IPv6.
fn dual(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<(Socket, bool)> {
    match bind(address, kind, protocol) {
        Err(error) if lacks_ipv6(&error) && address.is_ipv6() && address.ip().is_unspecified() => {
            let fallback = SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()));
            Ok((bind(fallback, kind, protocol)?, true))
        }
        bound => Ok((bound?, false)),
    }
}

/// Whether IPv6 is disabled now. With net.ipv6.conf.all.disable_ipv6 the kernel lets `[::]` be bound all the same, but no interface
/// has an IPv6 address, not even loopback. A box without any address has not got its network yet, which says nothing of IPv6.
#[must_use]
pub fn ipv6_is_disabled() -> bool {
    let Ok(interfaces) = getifaddrs() else { return false };
    let addresses: Vec<_> = interfaces.filter_map(|interface| interface.address).collect();
    let of = |family| addresses.iter().any(|address| address.family() == Some(family));
    of(AddressFamily::Inet) && !of(AddressFamily::Inet6)
}

/// Whether packets for this address reach this box now, by the kernel's own word: an interface has it, or a network of it, as loopback
/// has 127.0.0.0/8. One that is still searched for doubles (RFC 4862 section 5.4) is not there yet. What cannot be found out counts as
/// there. One of a whole IPv6 network that a local route takes (`ip -6 route add local`) counts as not there: the kernel lets it be bound
/// no more than one that is nobody's, and sends there from another address.
#[must_use]
pub fn has(mut address: SocketAddr) -> bool {
    address.set_port(0);
    match UdpSocket::bind(address) {
        Err(error) => !is_absent(&error),
        // With net.ipv4.ip_nonlocal_bind, or IPv6's, every address can be bound.
        Ok(_bound) => is_own(address),
    }
}

/// Whether this box would send to itself what it sends there: the kernel is asked where it would send from, and nothing is sent.
fn is_own(mut address: SocketAddr) -> bool {
    /// None may be 0; nobody hears of it.
    const PORT: u16 = 9;
    let to = address.ip().to_canonical();
    address.set_ip(to);
    address.set_port(PORT);
    let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let from = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect(address)?;
        socket.local_addr()
    });
    match from {
        // From 127.0.0.1 to all of loopback's network, and from an interface's first address of a network to its others.
        Ok(from) => {
            from.ip() == to || (from.ip().is_loopback() && to.is_loopback()) || some_interface_has(to)
        }
        Err(error) => !is_absent(&error) && !is_unreachable(&error),
    }
}

/// Whether an IPv4 address is an interface's. One of IPv6 may be tentative, which this does not tell.
fn some_interface_has(address: IpAddr) -> bool {
    let Ok(interfaces) = getifaddrs() else { return true };
    let addresses = interfaces.filter_map(|interface| interface.address);
    let mut addresses = addresses.filter_map(|own| own.as_sockaddr_in().map(|own| IpAddr::V4(own.ip())));
    addresses.any(|own| own == address)
}

fn is_unreachable(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable)
}

fn lacks_ipv6(error: &io::Error) -> bool {
    const NO_FAMILY: i32 = nix::errno::Errno::EAFNOSUPPORT as i32;
    error.raw_os_error() == Some(NO_FAMILY) || is_nobodys(error)
}

/// No interface has the address, or there is not even the interface that it names, as a link-local one does. The kernel lets the latter be
/// bound under no circumstances, so that it may go after the start, but not come.
fn is_absent(error: &io::Error) -> bool {
    const NO_INTERFACE: i32 = nix::errno::Errno::ENODEV as i32;
    is_nobodys(error) || error.raw_os_error() == Some(NO_INTERFACE)
}

fn is_nobodys(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable
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
    match socket.bind(&address.into()) {
        // A start that fails until the network is up would be tried again and again; so bound, it is served once it is there.
        Err(error) if is_nobodys(&error) && !address.ip().is_unspecified() => {
            let free = match address {
                SocketAddr::V4(_) => socket.set_freebind_v4(true),
                SocketAddr::V6(_) => socket.set_freebind_v6(true),
            };
            // What a kernel without that option has said of the address says more than that it lacks the option.
            if free.is_err() {
                return Err(error);
            }
            socket.bind(&address.into())?;
        }
        bound => bound?,
    }
    Ok(socket)
}

fn refused(protocol: &'static str, address: SocketAddr, source: io::Error) -> BindError {
    match source.kind() {
        io::ErrorKind::AddrInUse => {
            BindError::Taken { protocol, address, holder: holder::of(protocol, address) }
        }
        io::ErrorKind::PermissionDenied => BindError::Denied { protocol, address },
        _ => BindError::Other { protocol, address, source },
    }
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddrV6, TcpStream};

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
    fn an_address_that_is_not_there_yet_is_bound_and_told() {
        let bound = tcp("192.0.2.1:0".parse().unwrap()).unwrap();
        assert!(
            bound.address.to_string().starts_with("192.0.2.1:") && bound.address.port() != 0,
            "{bound:?}"
        );
        assert_eq!(udp(bound.address).unwrap().address, bound.address);
        assert!(!has(bound.address) && !is_own(bound.address));
        // Nobody has given any interface the second, but loopback's network is its own.
        assert!(has("127.0.0.1:1".parse().unwrap()) && has("127.0.0.2:1".parse().unwrap()));
    }

    #[test]
    fn an_address_of_an_interface_that_there_is_not_is_not_there_and_cannot_be_bound() {
        let lacks_ipv6 = Socket::new(Domain::IPV6, Type::DGRAM, None).is_err();
        // The greatest number that an interface can have.
        let gone = SocketAddr::from(SocketAddrV6::new("fe80::1".parse().unwrap(), 1, 0, 0x7fff_ffff));
        assert!(lacks_ipv6 || !has(gone), "there is no such interface");
        for error in [tcp(gone).unwrap_err(), udp(gone).unwrap_err()] {
            assert!(matches!(error, BindError::Other { .. }), "{error}");
        }
    }

    #[test]
    fn what_could_be_had_is_told_and_left_alone() {
        let (first, datagrams) =
            (tcp("[::]:0".parse().unwrap()).unwrap(), udp("[::]:0".parse().unwrap()).unwrap());
        assert!(matches!(could_be_tcp(first.address), Err(BindError::Taken { holder: Some(_), .. })));
        assert!(matches!(could_be_udp(datagrams.address), Err(BindError::Taken { holder: Some(_), .. })));
        let (tcp_at, udp_at) = (first.address, datagrams.address);
        drop((first, datagrams));
        assert!(could_be_tcp(tcp_at).is_ok() && could_be_udp(udp_at).is_ok());
        assert!(tcp(tcp_at).is_ok() && udp(udp_at).is_ok());
        // The same port of another address is another's.
        let one = udp("127.0.0.1:0".parse().unwrap()).unwrap().socket;
        let port = one.local_addr().unwrap().port();
        assert!(could_be_udp(([127, 0, 0, 1], port).into()).is_err());
        assert!(could_be_udp(([0, 0, 0, 0], port).into()).is_err());
        assert!(could_be_udp(([127, 0, 0, 2], port).into()).is_ok());
    }

    #[test]
    fn an_address_that_nobody_can_have_is_no_port_taken() {
        let error = tcp("[ff02::1]:0".parse().unwrap()).unwrap_err();
        assert!(matches!(could_be_tcp("[ff02::1]:0".parse().unwrap()), Err(BindError::Other { .. })));
        assert!(matches!(error, BindError::Other { .. }), "{error}");
    }
}
