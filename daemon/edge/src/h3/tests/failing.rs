//! A UDP socket that fails under a running server.

use std::{
    io::{self, IoSliceMut},
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::FutureExt;
use http::Response;
use quinn::{
    AsyncUdpSocket, UdpPoller,
    udp::{RecvMeta, Transmit},
};
use tokio::sync::Notify;

use super::support::{get, on_socket, soon};
use crate::{Limits, body};

/// A socket that can be told to fail.
#[derive(Debug)]
struct Breakable {
    socket: Arc<dyn AsyncUdpSocket>,
    broken: Arc<Notify>,
}

impl AsyncUdpSocket for Breakable {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.socket).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.socket.try_send(transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        if self.broken.notified().now_or_never().is_some() {
            return Poll::Ready(Err(io::Error::other("the card has gone")));
        }
        self.socket.poll_recv(cx, bufs, meta)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

#[tokio::test]
async fn a_socket_that_fails_is_said_and_ends_its_connections() {
    let broken = Arc::new(Notify::new());
    let signal = Arc::clone(&broken);
    let breakable = move |socket| Arc::new(Breakable { socket, broken }) as Arc<dyn AsyncUdpSocket>;
    let answer = |_| async { Response::new(body::empty()) };
    let server = on_socket(breakable, &Limits::default(), |_| true, answer);
    let mut serving = server.listener.serving();
    let mut client = server.client().await;
    assert_eq!(client.whole(get("/")).await.0.status(), 200);
    assert!(*serving.borrow());
    signal.notify_one();
    // Whatever comes next makes quinn read from it.
    let _unanswered = client.start(get("/")).await;
    soon(serving.wait_for(|serving| !serving)).await.unwrap();
    soon(server.listener.wait()).await;
}
