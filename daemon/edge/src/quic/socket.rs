//! The UDP socket as quinn wants it.
//!
//! Knows tokio's readiness and quinn's system calls. Refuses to know what is received. Invariant: a socket that cannot be
//! read is read again a few times, with rests, and is an error then; quinn 0.11.12's own (`runtime/tokio.rs`) reads it again
//! at once and for ever, without a word.

use std::{
    fmt,
    future::Future,
    io::{self, ErrorKind, IoSliceMut},
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_util::FutureExt as _;
use quinn::{
    AsyncUdpSocket, UdpPoller,
    udp::{RecvMeta, Transmit, UdpSocketState},
};
use tokio::{
    io::Interest,
    net::UdpSocket,
    time::{Sleep, sleep},
};

/// How long it rests after a read that failed. No peer is limited by it, and so it is no setting.
const REST: Duration = Duration::from_millis(50);

/// So many reads in a row fail, which takes a second, and it has failed for good.
const TRIES: u32 = 20;

#[derive(Debug)]
pub(super) struct Socket {
    io: UdpSocket,
    calls: UdpSocketState,
    failing: Mutex<Failing>,
}

/// The reads that have failed since the last one that did not.
#[derive(Debug, Default)]
struct Failing {
    row: u32,
    rest: Option<Pin<Box<Sleep>>>,
}

impl Socket {
    /// Takes a bound socket, within a tokio runtime.
    pub(super) fn new(bound: std::net::UdpSocket) -> io::Result<Self> {
        let calls = UdpSocketState::new((&bound).into())?;
        Ok(Self { io: UdpSocket::from_std(bound)?, calls, failing: Mutex::default() })
    }
}

impl Failing {
    /// One more; whether it was the last that is borne.
    fn again(&mut self, error: &io::Error) -> bool {
        if self.row == 0 {
            tracing::warn!(%error, "the UDP socket could not be read; it is tried again");
        }
        self.row += 1;
        self.rest = Some(Box::pin(sleep(REST)));
        self.row >= TRIES
    }
}

impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Poller { socket: self, waiting: None })
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.io.try_io(Interest::WRITABLE, || self.calls.send((&self.io).into(), transmit))
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        // Only the endpoint's own task reads, so that nobody waits for this.
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(rest) = &mut failing.rest {
                ready!(rest.as_mut().poll(cx));
                failing.rest = None;
            }
            ready!(self.io.poll_recv_ready(cx))?;
            let read = self.io.try_io(Interest::READABLE, || self.calls.recv((&self.io).into(), bufs, meta));
            match read {
                Ok(count) => {
                    failing.row = 0;
                    return Poll::Ready(Ok(count));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => {
                    if failing.again(&error) {
                        return Poll::Ready(Err(error));
                    }
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.calls.max_gso_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.calls.gro_segments()
    }

    fn may_fragment(&self) -> bool {
        self.calls.may_fragment()
    }
}

/// Waits until the socket can be written to, again and again.
struct Poller {
    socket: Arc<Socket>,
    waiting: Option<Pin<Box<dyn Future<Output = io::Result<()>> + Send + Sync>>>,
}

impl fmt::Debug for Poller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poller").field("socket", &self.socket).finish_non_exhaustive()
    }
}

impl UdpPoller for Poller {
    fn poll_writable(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.waiting.is_none() {
            // quinn asks before each packet, and nearly always it can be written.
            if let Some(written) = self.socket.io.writable().now_or_never() {
                return Poll::Ready(written);
            }
            let socket = Arc::clone(&self.socket);
            self.waiting = Some(Box::pin(async move { socket.io.writable().await }));
        }
        let Some(waiting) = &mut self.waiting else { return Poll::Pending };
        let written = ready!(waiting.as_mut().poll(cx));
        self.waiting = None;
        Poll::Ready(written)
    }
}
