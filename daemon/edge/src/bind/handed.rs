//! Sockets that were bound by somebody else, and given to us.

use std::{
    io::{Error, ErrorKind, Result},
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
};

use nix::sys::socket::{getsockopt, sockopt::AcceptConn};
use socket2::SockRef;

use super::{Bound, UDP_BUFFER};

/// Takes over a TCP socket that listens.
///
/// # Errors
/// It does not listen, others may listen beside it, or the system's.
pub fn handed_tcp(socket: TcpListener) -> Result<Bound<TcpListener>> {
    if !getsockopt(&socket, AcceptConn)? {
        return Err(refused("it does not listen"));
    }
    let address = socket.local_addr()?;
    let only_ipv6 = looked_at(&SockRef::from(&socket), address)?;
    Ok(Bound { socket, address, only_ipv4: only_ipv4(address), only_ipv6, handed: true })
}

/// Takes over a UDP socket.
///
/// # Errors
/// Others may take part of its packets, or the system's.
pub fn handed_udp(socket: UdpSocket) -> Result<Bound<UdpSocket>> {
    let address = socket.local_addr()?;
    let shared = SockRef::from(&socket);
    // Its unit may have given it more than we may ask for; the kernel tells twice what was asked.
    if shared.recv_buffer_size().is_ok_and(|bytes| bytes < 2 * UDP_BUFFER) {
        let _smaller = shared.set_recv_buffer_size(UDP_BUFFER);
    }
    if shared.send_buffer_size().is_ok_and(|bytes| bytes < 2 * UDP_BUFFER) {
        let _smaller = shared.set_send_buffer_size(UDP_BUFFER);
    }
    let only_ipv6 = looked_at(&shared, address)?;
    Ok(Bound { socket, address, only_ipv4: only_ipv4(address), only_ipv6, handed: true })
}

fn only_ipv4(address: SocketAddr) -> bool {
    address.ip() == Ipv4Addr::UNSPECIFIED
}

/// What both must be; whether a socket for all addresses takes IPv6 alone, which nobody can change once it is bound.
fn looked_at(socket: &SockRef<'_>, address: SocketAddr) -> Result<bool> {
    if socket.reuse_port()? {
        return Err(refused(
            "it has SO_REUSEPORT, so that another program could take half of its clients in silence: its unit should \
             not say ReusePort=yes",
        ));
    }
    socket.set_nonblocking(true)?;
    Ok(address.is_ipv6() && address.ip().is_unspecified() && socket.only_v6()?)
}

fn refused(why: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, why)
}
