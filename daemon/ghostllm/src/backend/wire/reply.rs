//! An answer of a backend, from its head to its last byte.
//!
//! Knows the time that a backend may be silent, and which heads are no answers. Refuses to know what the bytes
//! mean. Invariant: dropping a reply before its end closes the connection at once; at its end the connection
//! goes back to the pool.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use ghostllm_core::error::{BackendFault, Stage};
use http::{HeaderMap, Response, StatusCode, header};
use http_body::Body as _;
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, timeout};

use super::{
    broken,
    pool::{Conn, Pool},
};

/// What Go's server calls a body of JSON or of events that nobody has labelled (`http.DetectContentType`).
const UNLABELLED: &str = "text/plain";

/// An answer whose head has arrived.
pub(crate) struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Incoming,
    /// None once the body has ended or failed.
    conn: Option<Conn>,
    pool: Arc<Pool>,
    silence: Pin<Box<Sleep>>,
    stage: Stage,
    idle: Duration,
    surplus: usize,
    /// What is read in place of a body that was read already.
    instead: Option<Bytes>,
}

impl Reply {
    /// `silence` runs since the request went out, and goes on until the first byte of the body.
    pub(super) fn new(
        answer: Response<Incoming>,
        conn: Conn,
        pool: Arc<Pool>,
        silence: Pin<Box<Sleep>>,
        idle: Duration,
    ) -> Self {
        let (head, body) = answer.into_parts();
        let (status, headers) = (head.status, head.headers);
        Self {
            status,
            headers,
            body,
            conn: Some(conn),
            pool,
            silence,
            stage: Stage::FirstByte,
            idle,
            surplus: 0,
            instead: None,
        }
    }

    /// What it says first.
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// Whether it says that its body is of this media type.
    pub(crate) fn is_of(&self, kind: &str) -> bool {
        let mut essences = self.values(&header::CONTENT_TYPE).filter_map(|value| value.split(';').next());
        essences.any(|essence| essence.trim().eq_ignore_ascii_case(kind))
    }

    /// The same reply, whose body was read, with another one in its place.
    pub(crate) fn saying(self, body: Bytes) -> Self {
        Self { instead: Some(body), ..self }
    }

    /// This reply, if it is a success of one of these media types, readable as it is.
    ///
    /// # Errors
    /// Another status, with the beginning of its body; another type; a compressed body.
    pub(crate) async fn success(mut self, types: &[&str]) -> Result<Self, BackendFault> {
        if self.status != StatusCode::OK {
            let (status, again) = (self.status.as_u16(), self.again());
            let limits = Arc::clone(&self.pool.limits);
            let most = limits.backend_error_bytes.as_usize();
            let mut body = BytesMut::new();
            let read = async {
                while body.len() < most
                    && let Some(Ok(bytes)) = self.next().await
                {
                    body.extend_from_slice(&bytes);
                }
            };
            // Late, cut off or long: what came is what is reported.
            let _ = timeout(limits.backend_error_wait, read).await;
            body.truncate(most);
            return Err(BackendFault::answered(status, &body).again_after(again));
        }
        let packed = |encoding: &&str| !encoding.eq_ignore_ascii_case("identity");
        if let Some(encoding) = self.values(&header::CONTENT_ENCODING).find(packed) {
            return Err(BackendFault::garbage(format!("a body in \"{encoding}\", which was not asked for")));
        }
        if let Some(essence) = self.other_type(types) {
            let what = format!("a body of type \"{essence}\" instead of {}", types.join(" or "));
            return Err(BackendFault::garbage(what));
        }
        // They are slices of the buffer that they were read into, which would be held as long as they are, and another one
        // taken for the body.
        self.headers = HeaderMap::new();
        Ok(self)
    }

    /// In how many seconds it may be asked again, where it says so in a number; a date is of another clock.
    fn again(&self) -> Option<u32> {
        self.headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()
    }

    /// A media type that is none of these. A head without a type is believed: what is in the body is checked anyhow. So is one of plain
    /// text, with which servers label what they have no label for (Go's, of JSON). One with two is not asked which of them it means.
    fn other_type(&self, types: &[&str]) -> Option<&str> {
        let fits =
            |essence: &str| types.iter().chain(&[UNLABELLED]).any(|kind| kind.eq_ignore_ascii_case(essence));
        let essences = self.values(&header::CONTENT_TYPE).filter_map(|value| value.split(';').next());
        essences.map(str::trim).find(|essence| !essence.is_empty() && !fits(essence))
    }

    /// Something came of what was read: what follows may bring as little as before (`Wire::fruitless`).
    pub(crate) fn bear(&self) {
        if let Some(conn) = &self.conn {
            conn.bear();
        }
    }

    /// The next bytes of the body; none at its end. Whoever makes something of them says so ([`Reply::bear`]).
    ///
    /// # Errors
    /// The connection broke, was silent for too long, or brought too much that came to nothing; nothing follows.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BackendFault>>> {
        if let Some(body) = self.instead.take() {
            return Poll::Ready(Some(Ok(body)));
        }
        loop {
            let Some(conn) = &mut self.conn else { return Poll::Ready(None) };
            let Poll::Ready(frame) = frame(&mut self.body, conn, cx) else {
                ready!(self.silence.as_mut().poll(cx));
                self.conn = None;
                return Poll::Ready(Some(Err(BackendFault::Timeout { stage: self.stage })));
            };
            match frame {
                Some(Ok(frame)) => {
                    // Trailers say nothing that is needed.
                    let Ok(bytes) = frame.into_data() else { continue };
                    if !bytes.is_empty() {
                        self.stage = Stage::Idle;
                        self.silence.as_mut().reset(Instant::now() + self.idle);
                        return Poll::Ready(Some(Ok(bytes)));
                    }
                }
                Some(Err(fault)) => {
                    self.conn = None;
                    return Poll::Ready(Some(Err(fault)));
                }
                None => {
                    if let Some(conn) = self.conn.take() {
                        self.pool.put(conn, cx);
                    }
                    return Poll::Ready(None);
                }
            }
        }
    }

    /// As [`Reply::poll_next`]. Nothing is lost where the future is dropped.
    pub(crate) async fn next(&mut self) -> Option<Result<Bytes, BackendFault>> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// The whole body.
    ///
    /// # Errors
    /// As [`Reply::poll_next`]; more than `limit` bytes.
    pub(crate) async fn whole(&mut self, limit: usize) -> Result<Bytes, BackendFault> {
        self.gathered(limit, |_bytes| Ok(())).await
    }

    /// The same, as long as there is room for it.
    ///
    /// # Errors
    /// As [`Reply::whole`], and those of `comes`, which is told of each piece.
    pub(crate) async fn gathered(
        &mut self,
        limit: usize,
        comes: impl Fn(usize) -> Result<(), BackendFault>,
    ) -> Result<Bytes, BackendFault> {
        let mut body = BytesMut::new();
        while let Some(bytes) = self.next().await {
            let bytes = bytes?;
            comes(bytes.len())?;
            body.extend_from_slice(&bytes);
            if body.len() > limit {
                return Err(BackendFault::TooLong { limit });
            }
            self.bear();
        }
        Ok(body.freeze())
    }

    /// What is needed of the body was read: its end is only waited for a moment.
    pub(crate) fn complete(&mut self) {
        self.silence.as_mut().reset(Instant::now() + self.pool.limits.backend_end_wait);
        self.surplus = self.pool.limits.backend_surplus.as_usize();
    }

    /// The end of a body that was declared complete. What still comes is dropped; where it is much, the connection
    /// is.
    pub(crate) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let until = self.silence.deadline();
        while let Some(Ok(bytes)) = ready!(self.poll_next(cx)) {
            self.silence.as_mut().reset(until);
            match self.surplus.checked_sub(bytes.len()) {
                Some(left) => self.surplus = left,
                None => self.conn = None,
            }
        }
        Poll::Ready(())
    }

    fn values(&self, name: &header::HeaderName) -> impl Iterator<Item = &str> {
        // A value that is no text fits nothing.
        self.headers.get_all(name).iter().map(|value| value.to_str().unwrap_or("?"))
    }
}

type Frame = http_body::Frame<Bytes>;

/// The next frame. The body's waker and the connection's are the same task's.
fn frame(
    body: &mut Incoming,
    conn: &mut Conn,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame, BackendFault>>> {
    let mut polled = Pin::new(&mut *body).poll_frame(cx);
    if polled.is_pending() {
        conn.drive(cx);
        polled = Pin::new(body).poll_frame(cx);
    }
    match polled {
        Poll::Ready(frame) => Poll::Ready(frame.map(|frame| frame.map_err(|error| broken(&error)))),
        Poll::Pending if conn.is_ended() => {
            let detail = "the connection ended inside the body".to_owned();
            Poll::Ready(Some(Err(BackendFault::Died { detail })))
        }
        Poll::Pending => Poll::Pending,
    }
}
