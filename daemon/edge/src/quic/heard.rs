//! The UDP socket, as far as it hears peers that are answered, and answers those whose address is not proved.
//!
//! Knows quinn's sockets. Refuses to know QUIC, who is answered, and how much. Invariant: a datagram of anyone else is gone before
//! quinn sees it, since quinn answers some by itself and tells nobody: an unknown version, a packet of a connection that
//! has ended, one connection too many, a token that has been altered.

use std::{
    fmt,
    io::{self, IoSliceMut},
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use quinn::{
    AsyncUdpSocket, UdpPoller,
    udp::{RecvMeta, Transmit},
};

use super::unproved::Unproved;
use crate::connection::canonical;

pub(super) struct Heard<F> {
    socket: Arc<dyn AsyncUdpSocket>,
    answers: F,
    unproved: Unproved,
}

impl<F: Fn(SocketAddr) -> bool> Heard<F> {
    /// Hears whom `answers` names, and sends what `unproved` allows.
    pub(super) fn new(socket: Arc<dyn AsyncUdpSocket>, answers: F, unproved: Unproved) -> Arc<Self> {
        Arc::new(Self { socket, answers, unproved })
    }
}

impl<F> fmt::Debug for Heard<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heard").field("socket", &self.socket).finish_non_exhaustive()
    }
}

impl<F: Fn(SocketAddr) -> bool + Send + Sync + 'static> AsyncUdpSocket for Heard<F> {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.socket).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let (peer, bytes) = (transmit.destination, transmit.contents.len());
        let may = self.unproved.go(peer, bytes, transmit.segment_size.unwrap_or(bytes));
        // quinn takes what does not go for sent, and for lost when nobody acknowledges it.
        match transmit.contents.get(..may) {
            Some([]) | None => Ok(()),
            Some(contents) => self
                .socket
                .try_send(&Transmit { contents, ..*transmit })
                .inspect_err(|_| self.unproved.stayed(peer, may)),
        }
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let count = ready!(self.socket.poll_recv(cx, bufs, meta))?;
        for (received, packet) in meta.iter_mut().zip(bufs).take(count) {
            if !(self.answers)(canonical(received.addr)) {
                // Of an empty datagram quinn makes nothing.
                received.len = 0;
            } else {
                // A long header (RFC 9000 section 17.2).
                let handshake = packet.first().is_some_and(|byte| byte & 0x80 != 0);
                self.unproved.came(received.addr, received.len, handshake);
            }
        }
        Poll::Ready(Ok(count))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.socket.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.socket.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.socket.may_fragment()
    }
}
