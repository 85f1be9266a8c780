//! HTTP/3 on one QUIC connection.
//!
//! Knows `h3`, through our own adaptor of quinn. Refuses to know the endpoint and how connections are
//! accepted. Invariants: every request runs in a task of its own, whose panic resets its stream and no more;
//! a request that a GOAWAY has disowned is never handled; the connection closes only when every response is
//! acknowledged, or its client is gone.

mod adaptor;
mod body;
mod client;
mod exchange;
mod flight;
mod gate;
mod head;
mod recv;
mod section;
mod send;

use std::{
    future::Future,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

pub(crate) use self::{
    client::{Client, Pieces},
    flight::Watched,
};

use bytes::Bytes;
use h3::{error::Code, server::RequestResolver};
use http::Version;
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until, timeout},
};

use self::{
    adaptor::{Accepted, Transport},
    exchange::Outcome,
    gate::FrameLimits,
};
use crate::{
    Connection, Handler, Serve, Transport as Over,
    broken::Broken,
    drain::{UNASKED, Word},
    workers::spawn,
};

type Driver = h3::server::Connection<Transport, Bytes>;

/// Serves a connection until its client leaves, it breaks the rules, it has been idle for too long, or
/// draining begins.
pub(crate) async fn serve<H: Handler>(quic: quinn::Connection, local: SocketAddr, serve: Serve<H>) {
    let _speaks = serve.drain.speaks(Over::Quic, Version::HTTP_3);
    let (limits, mut drain, begun) = (Arc::clone(&serve.limits), serve.drain.fresh(), Instant::now());
    let frames = FrameLimits {
        headers: limits.h3_headers_frame,
        other: limits.h3_other_frame,
        empty: limits.h3_empty_frames,
    };
    // What a window lets through by itself may stand unread as well.
    let transport = Transport::new(quic.clone(), frames, limits.quic_receive_window.into());
    let mut builder = h3::server::builder();
    builder.max_field_section_size(limits.header_bytes as u64).send_grease(false);
    // A client that grants no stream for our settings would hold this for ever. Boxed, since it is large and soon over, and
    // so is the driver, which is handed on.
    let built = timeout(limits.handshake, Box::pin(builder.build(transport))).await;
    let Ok(Ok(driver)) = built else { return };
    // Until now it could ask for nothing.
    let able = Instant::now();
    let mut driver = Box::new(driver);
    let requests = Arc::new(Requests::new(quic, local, serve));
    let mut open = requests.open.subscribe();
    let mut idle = pin!(sleep_until(begun + requests.patience()));
    loop {
        tokio::select! {
            accepted = driver.accept() => match accepted {
                Ok(Some(resolver)) => requests.start(&mut driver, resolver),
                Ok(None) => break,
                Err(error) => return tracing::debug!(%error, "an HTTP/3 connection has ended"),
            },
            word = drain.word() => if word == Word::Draining || requests.is_idle(able) { break },
            _ = open.changed() => idle.as_mut().reset(Instant::now() + requests.patience()),
            () = &mut idle, if *requests.open.borrow() == 0 => break,
        }
    }
    Box::pin(finish(driver, &requests.open, limits.h3_linger)).await;
}

/// Ends a connection in good order; dropping the driver closes it with H3_NO_ERROR.
async fn finish(mut driver: Box<Driver>, open: &watch::Sender<usize>, linger: Duration) {
    // `shutdown(0)` of h3 0.0.8 would name the last request that we did accept, which tells its client that
    // it was not handled and may be sent again (RFC 9114 section 5.2). One more is the right number.
    let Ok(Ok(())) = timeout(linger, driver.shutdown(1)).await else { return };
    let mut open = open.subscribe();
    if refuse_until(&mut driver, open.wait_for(|open| *open == 0)).await.is_ok() {
        let _ended = refuse_until(&mut driver, sleep(linger)).await;
    }
}

/// The connection is gone.
struct Gone;

/// Keeps the connection going without taking requests. `h3` itself lets one pass whose number is the one that
/// our GOAWAY named, and never reports the end after a GOAWAY of ours.
async fn refuse_until(driver: &mut Driver, until: impl Future) -> Result<(), Gone> {
    let mut until = pin!(until);
    loop {
        let accepted = tokio::select! {
            _ = &mut until => return Ok(()),
            accepted = driver.accept() => accepted,
        };
        match accepted {
            // Dropped before an answer, its stream is reset with H3_REQUEST_REJECTED: it may be sent elsewhere.
            Ok(Some(resolver)) => drop(resolver),
            // The client has said goodbye as well. Asking again would get the same answer at once, for ever.
            Ok(None) => {
                until.await;
                return Ok(());
            }
            Err(_) => return Err(Gone),
        }
    }
}

/// The requests of one connection.
struct Requests<H> {
    quic: quinn::Connection,
    local: SocketAddr,
    serve: Serve<H>,
    broken: Broken,
    /// Whether any has been answered.
    answered: AtomicBool,
    /// Requests whose response is not yet acknowledged.
    open: watch::Sender<usize>,
}

impl<H: Handler> Requests<H> {
    fn new(quic: quinn::Connection, local: SocketAddr, serve: Serve<H>) -> Self {
        let (broken, answered) = (Broken::new(serve.limits.h3_broken_requests), AtomicBool::new(false));
        Self { quic, local, serve, broken, answered, open: watch::Sender::new(0) }
    }

    /// How long the connection may be without a request from now on. Whoever has sent none that could be answered is silent.
    fn patience(&self) -> Duration {
        let limits = &self.serve.limits;
        let answered = self.answered.load(Relaxed);
        if answered { limits.keep_alive_idle } else { limits.first_request(limits.h3_linger) }
    }

    /// Whether it has been answered and asks for nothing now, or has asked for nothing since it could, which was long ago.
    fn is_idle(&self, able: Instant) -> bool {
        *self.open.borrow() == 0 && (self.answered.load(Relaxed) || able.elapsed() >= UNASKED)
    }

    fn start(self: &Arc<Self>, driver: &mut Driver, resolver: RequestResolver<Transport, Bytes>) {
        let Some(accepted) = driver.inner.conn.take_accepted() else { return };
        let connection = Connection::new(self.quic.remote_address(), self.local, Over::Quic);
        let open = Open::count(&self.open);
        let requests = Arc::clone(self);
        spawn(async move {
            let _open = open;
            requests.run(resolver, accepted, connection).await;
        });
    }

    async fn run(
        &self,
        resolver: RequestResolver<Transport, Bytes>,
        accepted: Accepted,
        connection: Connection,
    ) {
        let outcome = exchange::serve(resolver, accepted, connection, &self.quic, &self.serve).await;
        match outcome {
            Outcome::Answered => {
                self.answered.store(true, Relaxed);
                self.broken.answered();
            }
            Outcome::Broken if self.broken.one_more() => {
                adaptor::close(&self.quic, Code::H3_EXCESSIVE_LOAD, b"too many broken requests");
            }
            Outcome::Broken => {}
        }
    }
}

/// Counts one request as open until it is dropped, in a panic too.
struct Open(watch::Sender<usize>);

impl Open {
    fn count(open: &watch::Sender<usize>) -> Self {
        open.send_modify(|open| *open += 1);
        Self(open.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open -= 1);
    }
}

#[cfg(test)]
mod tests;
