//! One request over TCP and its response: hyper's types in, the handler's types out.
//!
//! Knows hyper's bodies and how each version ends a response that failed. Refuses to know connections.
//! Invariants: the last event of a failed response leaves before the stream is reset; a request counts as being
//! served until its response's body is gone, or its reader has taken nothing for too long.

mod left;

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll, ready},
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
    Connection, EndsAtDrain, Handler, Limits, ResponseBody, StreamFailed, body,
    broken::Broken,
    deadline::{Activity, Forgoing, Pace, Serving, Timed},
};
use left::{Left, marker};

/// How responses over HTTP/2 are sent.
#[derive(Clone, Copy)]
struct Sending {
    /// The time that the last event of a failed one has to be read.
    linger: Duration,
    /// Of a body as much as the send queue takes.
    most: usize,
}

/// What all requests of one connection share.
#[derive(Clone)]
pub(super) struct Exchange<H> {
    handler: H,
    connection: Connection,
    alt_svc: Option<AltSvc>,
    body_idle: Duration,
    pace: Pace,
    sending: Sending,
    refused: Refused,
    uri_bytes: usize,
    header_count: usize,
    activity: Arc<Activity>,
    broken: Arc<Broken>,
    stalls: Stalls,
}

/// A request over HTTP/2 whose answer has not begun; dropped before that, it was taken back.
struct Asked {
    broken: Arc<Broken>,
    answered: bool,
}

impl Drop for Asked {
    fn drop(&mut self) {
        if self.answered {
            self.broken.answered();
        } else {
            self.broken.one_more();
        }
    }
}

impl<H: Handler> Exchange<H> {
    pub(super) fn new(
        handler: H,
        connection: Connection,
        alt_svc: Option<AltSvc>,
        limits: &Limits,
        activity: Arc<Activity>,
    ) -> Self {
        let Limits { body_idle, uri_bytes, header_count, .. } = *limits;
        let sending = Sending { linger: limits.failure_linger, most: limits.h2_send_buffer.max(1) };
        let stalls = Stalls::default();
        Self {
            handler,
            connection,
            alt_svc,
            body_idle,
            pace: Pace::new(limits),
            sending,
            refused: Refused { linger: limits.refused_linger, bytes: limits.refused_bytes },
            uri_bytes,
            header_count,
            activity,
            broken: Arc::new(Broken::new(limits.h2_broken_requests)),
            stalls,
        }
    }

    pub(super) fn stalls(&self) -> Stalls {
        self.stalls.clone()
    }

    pub(super) fn broken(&self) -> Arc<Broken> {
        Arc::clone(&self.broken)
    }

    pub(super) async fn http1(self, request: Request<Incoming>) -> Result<Response<Http1Body>, Infallible> {
        let (serving, activity) = (self.activity.begin(), Arc::clone(&self.activity));
        let response = self.answer(request).await;
        let forgoing = forgoing(&activity, &response);
        Ok(response.map(|body| Http1Body { body, _serving: serving, _forgoing: forgoing }))
    }

    pub(super) async fn http2(
        self,
        mut request: Request<Incoming>,
    ) -> Result<Response<Http2Body>, Infallible> {
        let serving = self.activity.begin();
        let mut asked = Asked { broken: self.broken(), answered: false };
        join_cookies(&mut request);
        let (stalls, sending, activity) = (self.stalls.clone(), self.sending, Arc::clone(&self.activity));
        let response = self.answer(request).await;
        asked.answered = true;
        let forgoing = forgoing(&activity, &response);
        Ok(response.map(|body| Http2Body::new(body, sending, (serving, forgoing), &stalls)))
    }

    async fn answer(self, request: Request<Incoming>) -> Response<ResponseBody> {
        let method = request.method().clone();
        let beyond = self.beyond(&request);
        // Such a client waits for a word before it sends anything.
        let waits = request.headers().contains_key(EXPECT);
        let (mut request, left) =
            rest::watch(request.map(|body| Timed::new(body, self.body_idle, self.pace)));
        request.extensions_mut().insert(self.connection);
        let response = match beyond {
            Some(status) => {
                let (head, body) = request.into_parts();
                drop(body);
                self.handler.refuse(status, &head)
            }
            None => self.handler.handle(request).await,
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

fn forgoing<B>(activity: &Arc<Activity>, response: &Response<B>) -> Option<Forgoing> {
    response.extensions().get::<EndsAtDrain>().map(|_| activity.forgo())
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
    _forgoing: Option<Forgoing>,
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
    /// While it fails.
    serving: Option<Serving>,
}

/// How far the end of a failed response is.
enum Failing {
    /// The last event may still stand in the send queue.
    Leaving(Arc<Left>),
    /// It is on its way, or waits for its reader.
    Lingering(Pin<Box<Sleep>>),
}

/// The work behind a response, which may be taken away when its reader stalls.
struct Reading {
    work: Mutex<Option<Work>>,
    /// Since when a frame waits for the peer's window; none while the body itself is waited for.
    given: Mutex<Option<Instant>>,
}

impl Reading {
    fn work(&self) -> MutexGuard<'_, Option<Work>> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn given(&self) -> MutexGuard<'_, Option<Instant>> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A body that is given out in pieces: h2 takes a frame of any size into its send queue as soon as one byte of it may be sent, and
/// a reader of the rest would look idle.
struct Work {
    body: ResponseBody,
    rest: Bytes,
    most: usize,
    serving: Serving,
    _forgoing: Option<Forgoing>,
}

impl Work {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, StreamFailed>>> {
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)).transpose()?.map(Frame::into_data) {
                Some(Ok(data)) => self.rest = data,
                Some(Err(other)) => return Poll::Ready(Some(Ok(other))),
                None => return Poll::Ready(None),
            }
        }
        let piece = self.rest.len().min(self.most);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(piece)))))
    }
}

/// The responses of one HTTP/2 connection whose readers may stall. hyper does not poll a body whose stream has no
/// window, so the connection looks after them.
#[derive(Clone, Default)]
pub(super) struct Stalls(Arc<Mutex<Vec<Weak<Reading>>>>);

impl Stalls {
    fn add(&self, reading: &Arc<Reading>) {
        let mut list = self.list();
        if list.len() == list.capacity() {
            // Before it grows: those that have ended hold room until they are forgotten.
            list.retain(|reading| reading.strong_count() > 0);
        }
        list.push(Arc::downgrade(reading));
    }

    /// Drops the work whose last frame has waited for longer than `limit`, and forgets what has ended. Who stalls is not served
    /// any more, so that a connection of none but those ends as an idle one does.
    pub(super) fn drop_older_than(&self, limit: Duration) {
        let mut stalled = Vec::new();
        self.list().retain(|reading| {
            let Some(reading) = reading.upgrade() else { return false };
            let old = reading.given().is_some_and(|given| given.elapsed() >= limit);
            if old {
                stalled.push(reading.work().take());
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
    fn new(
        body: ResponseBody,
        sending: Sending,
        (serving, forgoing): (Serving, Option<Forgoing>),
        stalls: &Stalls,
    ) -> Self {
        let Sending { linger, most } = sending;
        let work = Work { body, rest: Bytes::new(), most, serving, _forgoing: forgoing };
        let reading = Arc::new(Reading { work: Mutex::new(Some(work)), given: Mutex::new(None) });
        stalls.add(&reading);
        Self { reading, linger, failing: None, serving: None }
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
            ready!(self.poll_failing(cx));
            self.serving.take();
            return Poll::Ready(Some(Err(StreamFailed)));
        }
        *self.reading.given() = None;
        let polled = match self.reading.work().as_mut() {
            Some(work) => ready!(work.poll_frame(cx)),
            None => Some(Err(StreamFailed)),
        };
        match polled {
            Some(Err(StreamFailed)) => {
                // The work behind the body is over, however long the marker takes.
                let Some(Work { serving, .. }) = self.reading.work().take() else {
                    return Poll::Ready(Some(Err(StreamFailed)));
                };
                let (marker, left) = marker();
                self.failing = Some(Failing::Leaving(left));
                self.serving = Some(serving);
                Poll::Ready(Some(Ok(Frame::data(marker))))
            }
            Some(Ok(frame)) => {
                *self.reading.given() = Some(Instant::now());
                Poll::Ready(Some(Ok(frame)))
            }
            None => {
                self.reading.work().take();
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let ended = |work: &Work| work.rest.is_empty() && work.body.is_end_stream();
        self.failing.is_none() && self.reading.work().as_ref().is_some_and(ended)
    }

    fn size_hint(&self) -> SizeHint {
        // Before the first frame, when alone it is asked for, nothing rests.
        self.reading.work().as_ref().map(|work| work.body.size_hint()).unwrap_or_default()
    }
}
