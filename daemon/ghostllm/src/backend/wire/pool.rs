//! Connections to one backend: those in use drive themselves, those that rest are kept for a short time.
//!
//! Knows when a connection may be used again. Refuses to know requests. Invariant: a connection is driven by
//! whoever holds it and by nobody else, so that dropping it closes the socket at once; one that has rested for
//! longer than the pool's time is never given out.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll},
    thread::{self, ThreadId},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{
    body::Incoming,
    client::conn::http1::{Builder, Connection, SendRequest},
    rt::Executor as _,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::time::{Instant, sleep_until};

use super::{
    Limits,
    dial::{Counted, Received},
};

type Driver = Pin<Box<Connection<TokioIo<Counted>, Full<Bytes>>>>;

/// One connection.
pub(super) struct Conn {
    sender: SendRequest<Full<Bytes>>,
    /// None once it has ended: it must not be polled again.
    driver: Option<Driver>,
    received: Arc<Received>,
    /// What had been received when the last request began.
    before: u64,
    /// Whether it has rested in the pool.
    reused: bool,
    /// The thread whose runtime watches its socket: another one's would have to be woken for each packet.
    home: ThreadId,
}

impl Conn {
    /// # Errors
    /// hyper's own, which for HTTP/1.1 does not occur: nothing is sent before the first request.
    pub(super) async fn new(stream: Counted, limits: &Limits) -> Result<Self, hyper::Error> {
        let received = stream.received();
        let head = limits.backend_header_bytes.as_usize();
        let (sender, driver) = Builder::new()
            .max_headers(limits.backend_header_count)
            .max_header_size(head)
            // hyper keeps a head in the buffer until it is whole.
            .max_buf_size(limits.backend_read_ahead.as_usize().max(head))
            .handshake(TokioIo::new(stream))
            .await?;
        Ok(Self {
            sender,
            driver: Some(Box::pin(driver)),
            received,
            before: 0,
            reused: false,
            home: thread::current().id(),
        })
    }

    /// Sends a request and waits for the head of its answer.
    ///
    /// # Errors
    /// hyper's own.
    pub(super) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, hyper::Error> {
        self.before = self.received.bytes();
        self.received.bear();
        let mut answer = std::pin::pin!(self.sender.send_request(request));
        let driver = &mut self.driver;
        poll_fn(|cx| {
            if let Poll::Ready(answer) = answer.as_mut().poll(cx) {
                return Poll::Ready(answer);
            }
            drive(driver, cx);
            answer.as_mut().poll(cx)
        })
        .await
    }

    /// Moves bytes, as far as that goes now.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
        drive(&mut self.driver, cx);
    }

    /// Something came of what was received.
    pub(super) fn bear(&self) {
        self.received.bear();
    }

    /// Whether it has ended; what was received before may still wait in the body.
    pub(super) fn is_ended(&self) -> bool {
        self.driver.is_none()
    }

    /// Whether it rested before its last request, and not one byte came back for that.
    pub(super) fn was_stale(&self) -> bool {
        self.reused && self.received.bytes() == self.before
    }

    /// Whether the next request can be sent on it.
    fn is_ready(&mut self, cx: &mut Context<'_>) -> bool {
        self.drive(cx);
        !self.is_ended() && self.sender.is_ready()
    }
}

fn drive(driver: &mut Option<Driver>, cx: &mut Context<'_>) {
    if let Some(running) = driver
        && running.as_mut().poll(cx).is_ready()
    {
        // Its error, where there is one, has gone to whoever waits for the answer.
        *driver = None;
    }
}

struct Resting {
    conn: Conn,
    until: Instant,
}

#[derive(Default)]
struct State {
    resting: Vec<Resting>,
    watched: bool,
}

impl State {
    fn newest(&mut self) -> Option<Resting> {
        let here = thread::current().id();
        match self.resting.iter().rposition(|resting| resting.conn.home == here) {
            Some(place) => Some(self.resting.remove(place)),
            None => self.resting.pop(),
        }
    }
}

/// The connections that rest.
pub(super) struct Pool {
    pub(super) limits: Arc<Limits>,
    state: Mutex<State>,
}

impl Pool {
    /// A pool with nothing in it.
    pub(super) fn new(limits: &Arc<Limits>) -> Arc<Self> {
        Arc::new(Self { limits: Arc::clone(limits), state: Mutex::new(State::default()) })
    }

    /// The connection that rests since the shortest time, one of this thread's where there is one, if its peer has not
    /// closed it.
    pub(super) async fn take(&self) -> Option<Conn> {
        loop {
            let resting = self.lock().newest()?;
            let mut conn = resting.conn;
            if resting.until > Instant::now() && poll_fn(|cx| Poll::Ready(conn.is_ready(cx))).await {
                return Some(conn);
            }
        }
    }

    /// Keeps a connection whose answer was read to its end, if it can be used again.
    pub(super) fn put(self: &Arc<Self>, mut conn: Conn, cx: &mut Context<'_>) {
        let (rest, most) = (self.limits.backend_keep_alive, self.limits.backend_connections_kept);
        if rest.is_zero() || most == 0 || !conn.is_ready(cx) {
            return;
        }
        conn.reused = true;
        let until = Instant::now() + rest;
        let mut state = self.lock();
        let oldest = (state.resting.len() >= most).then(|| state.resting.remove(0));
        state.resting.push(Resting { conn, until });
        let watch = !std::mem::replace(&mut state.watched, true);
        drop(state);
        drop(oldest);
        if watch {
            // It ends with the last connection that rests, and so it is no background task of the program.
            TokioExecutor::new().execute(expire(Arc::downgrade(self), until));
        }
    }

    /// How many rest.
    pub(super) fn resting(&self) -> usize {
        self.lock().resting.len()
    }

    /// Closes all that rest: one of them was found dead.
    pub(super) fn clear(&self) {
        let resting = std::mem::take(&mut self.lock().resting);
        drop(resting);
    }

    /// Closes those whose time is over; gives the time of the next one.
    fn close_old(&self) -> Option<Instant> {
        let now = Instant::now();
        let mut state = self.lock();
        let (old, resting): (Vec<_>, Vec<_>) =
            std::mem::take(&mut state.resting).into_iter().partition(|resting| resting.until <= now);
        let next = resting.first().map(|resting| resting.until);
        state.resting = resting;
        state.watched = next.is_some();
        drop(state);
        drop(old);
        next
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn expire(pool: Weak<Pool>, first: Instant) {
    let mut next = Some(first);
    while let Some(time) = next {
        sleep_until(time).await;
        next = pool.upgrade().and_then(|pool| pool.close_old());
    }
}
