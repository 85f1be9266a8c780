//! One request over TCP and its response: hyper's types in, the handler's types out.
//!
//! Knows hyper's bodies and how each version ends a response that failed. Refuses to know connections.
//! Invariants: the last event of a failed response leaves before the stream is reset; a request counts as being
//! served until its response's body is gone.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{
    HeaderValue, Request, Response, StatusCode,
    header::{ALT_SVC, COOKIE, EXPECT},
};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep};

use super::{
    AltSvc,
    rest::{self, Refused},
};
use crate::{
    Connection, Handler, Limits, ResponseBody, StreamFailed, body,
    deadline::{Activity, Pace, Serving, Timed},
};

/// What all requests of one connection share.
#[derive(Clone)]
pub(super) struct Exchange<H> {
    handler: H,
    connection: Connection,
    alt_svc: Option<AltSvc>,
    body_idle: Duration,
    pace: Pace,
    failure_linger: Duration,
    refused: Refused,
    uri_bytes: usize,
    header_count: usize,
    activity: Arc<Activity>,
    stalls: Stalls,
}

impl<H: Handler> Exchange<H> {
    pub(super) fn new(
        handler: H,
        connection: Connection,
        alt_svc: Option<AltSvc>,
        limits: &Limits,
        activity: Arc<Activity>,
    ) -> Self {
        let Limits { body_idle, failure_linger, uri_bytes, header_count, .. } = *limits;
        let stalls = Stalls::default();
        Self {
            handler,
            connection,
            alt_svc,
            body_idle,
            pace: Pace::new(limits),
            failure_linger,
            refused: Refused { linger: limits.refused_linger, bytes: limits.refused_bytes },
            uri_bytes,
            header_count,
            activity,
            stalls,
        }
    }

    pub(super) fn stalls(&self) -> Stalls {
        self.stalls.clone()
    }

    pub(super) async fn http1(self, request: Request<Incoming>) -> Result<Response<Http1Body>, Infallible> {
        let serving = self.activity.begin();
        let response = self.answer(request).await;
        Ok(response.map(|body| Http1Body { body, _serving: serving }))
    }

    pub(super) async fn http2(
        self,
        mut request: Request<Incoming>,
    ) -> Result<Response<Http2Body>, Infallible> {
        let serving = self.activity.begin();
        join_cookies(&mut request);
        let (stalls, linger) = (self.stalls.clone(), self.failure_linger);
        let response = self.answer(request).await;
        Ok(response.map(|body| Http2Body::new(body, linger, serving, &stalls)))
    }

    async fn answer(self, request: Request<Incoming>) -> Response<ResponseBody> {
        let method = request.method().clone();
        let beyond = self.beyond(&request);
        // Such a client waits for a word before it sends anything.
        let waits = request.headers().contains_key(EXPECT);
        let (mut request, left) =
            rest::watch(request.map(|body| Timed::new(body, self.body_idle, self.pace)));
        let response = match beyond {
            Some(status) => {
                drop(request);
                self.handler.refuse(status)
            }
            None => {
                request.extensions_mut().insert(self.connection);
                self.handler.handle(request).await
            }
        };
        self.refused.discard(left, waits, &self.activity);
        let mut response = body::without_forbidden(&method, response);
        if let Some(alt_svc) = self.alt_svc {
            response.headers_mut().insert(ALT_SVC, alt_svc.now());
        }
        response
    }
}

impl<H> Exchange<H> {
    /// The status that refuses a head beyond the limits; hyper counts no fields on HTTP/2.
    fn beyond(&self, request: &Request<Incoming>) -> Option<StatusCode> {
        if request.uri().path_and_query().is_some_and(|target| target.as_str().len() > self.uri_bytes) {
            return Some(StatusCode::URI_TOO_LONG);
        }
        (request.headers().len() > self.header_count).then_some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
    }
}

/// HTTP/2 may carry cookies in several fields; everything else wants one (RFC 9113 section 8.2.3).
fn join_cookies(request: &mut Request<Incoming>) {
    let headers = request.headers_mut();
    let crumbs: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if crumbs.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..]))
    {
        headers.insert(COOKIE, joined);
    }
}

/// A response over HTTP/1.1. A stream that fails ends cleanly, since its last event has said so; one that has
/// stated its length is cut.
pub(super) struct Http1Body {
    body: ResponseBody,
    _serving: Serving,
}

impl Body for Http1Body {
    type Data = Bytes;
    type Error = StreamFailed;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StreamFailed>>> {
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(Some(Err(StreamFailed))) if self.body.size_hint().exact().is_none() => {
                Poll::Ready(None)
            }
            polled => polled,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A response over HTTP/2. A stream that fails is reset once everything before has left the send queue, since a reset
/// throws away what still stands in it, and has been given time to be read: Node's streams throw away what their reader
/// has not taken when the reset comes, which was 414 of 1,000 last events where it came at once.
pub(super) struct Http2Body {
    reading: Arc<Reading>,
    linger: Duration,
    failing: Option<Failing>,
    serving: Option<Serving>,
}

/// How far the end of a failed response is.
enum Failing {
    /// The last event may still stand in the send queue.
    Leaving(Arc<Left>),
    /// It is on its way, or waits for its reader.
    Lingering(Pin<Box<Sleep>>),
}

/// The body behind a response, which may be taken away when its reader stalls.
struct Reading {
    body: Mutex<Option<ResponseBody>>,
    /// Since when a frame waits for the peer's window; none while the body itself is waited for.
    given: Mutex<Option<Instant>>,
}

impl Reading {
    fn body(&self) -> MutexGuard<'_, Option<ResponseBody>> {
        self.body.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn given(&self) -> MutexGuard<'_, Option<Instant>> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The responses of one HTTP/2 connection whose readers may stall. hyper does not poll a body whose stream has no
/// window, so the connection looks after them.
#[derive(Clone, Default)]
pub(super) struct Stalls(Arc<Mutex<Vec<Weak<Reading>>>>);

impl Stalls {
    fn add(&self, reading: &Arc<Reading>) {
        self.list().push(Arc::downgrade(reading));
    }

    /// Drops the bodies whose last frame has waited for longer than `limit`, and forgets those that have ended.
    pub(super) fn drop_older_than(&self, limit: Duration) {
        let mut stalled = Vec::new();
        self.list().retain(|reading| {
            let Some(reading) = reading.upgrade() else { return false };
            let old = reading.given().is_some_and(|given| given.elapsed() >= limit);
            if old {
                stalled.push(reading.body().take());
            }
            !old
        });
        // Dropping a body may run anything: not under the lock.
        drop(stalled);
    }

    fn list(&self) -> MutexGuard<'_, Vec<Weak<Reading>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Http2Body {
    fn new(body: ResponseBody, linger: Duration, serving: Serving, stalls: &Stalls) -> Self {
        let reading = Arc::new(Reading { body: Mutex::new(Some(body)), given: Mutex::new(None) });
        // A body that is whole holds no work that a stalled reader could keep.
        if reading.body().as_ref().is_some_and(|body| body.size_hint().exact().is_none()) {
            stalls.add(&reading);
        }
        Self { reading, linger, failing: None, serving: Some(serving) }
    }

    /// Waits for the moment of a failed stream's reset.
    fn poll_failing(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(Failing::Leaving(left)) = &self.failing {
            ready!(left.poll(cx));
            self.failing = Some(Failing::Lingering(Box::pin(sleep(self.linger))));
        }
        match &mut self.failing {
            Some(Failing::Lingering(linger)) => linger.as_mut().poll(cx),
            _ => Poll::Pending,
        }
    }
}

impl Body for Http2Body {
    type Data = Bytes;
    type Error = StreamFailed;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StreamFailed>>> {
        if self.failing.is_some() {
            return self.poll_failing(cx).map(|()| Some(Err(StreamFailed)));
        }
        *self.reading.given() = None;
        let polled = {
            let mut body = self.reading.body();
            let Some(body) = body.as_mut() else { return Poll::Ready(Some(Err(StreamFailed))) };
            Pin::new(body).poll_frame(cx)
        };
        match polled {
            Poll::Ready(Some(Err(StreamFailed))) => {
                let (marker, left) = marker();
                self.failing = Some(Failing::Leaving(left));
                // The work behind the body is over, however long the marker takes.
                self.reading.body().take();
                Poll::Ready(Some(Ok(Frame::data(marker))))
            }
            Poll::Ready(Some(Ok(frame))) => {
                *self.reading.given() = Some(Instant::now());
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(None) => {
                self.serving = None;
                Poll::Ready(None)
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.failing.is_none() && self.reading.body().as_ref().is_some_and(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.reading.body().as_ref().map(Body::size_hint).unwrap_or_default()
    }
}

/// Says when an empty frame, and so all frames before it, has left the send queue: the queue drops its bytes then.
#[derive(Debug, Default)]
struct Left(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    left: bool,
    waker: Option<Waker>,
}

/// What the queue holds; its drop is the signal.
struct Marker(Arc<Left>);

fn marker() -> (Bytes, Arc<Left>) {
    let left = Arc::<Left>::default();
    (Bytes::from_owner(Marker(Arc::clone(&left))), left)
}

impl AsRef<[u8]> for Marker {
    fn as_ref(&self) -> &[u8] {
        &[]
    }
}

impl Drop for Marker {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.left = true;
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Left {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.left {
            return Poll::Ready(());
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::marker;

    #[tokio::test]
    async fn the_marker_tells_when_the_queue_drops_it() {
        let (bytes, left) = marker();
        assert!(bytes.is_empty());
        let copy = bytes.clone();
        drop(bytes);
        let waiting = tokio::time::timeout(std::time::Duration::ZERO, poll_fn(|cx| left.poll(cx))).await;
        assert!(waiting.is_err(), "a copy still stands in the queue");
        drop(copy);
        poll_fn(|cx| left.poll(cx)).await;
    }
}
