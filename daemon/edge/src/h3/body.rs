//! A request's body as it comes over HTTP/3.
//!
//! Knows the stream and the clock. Refuses to know who reads. Invariants: what the body gives has exactly the
//! length that the head stated, and a reader never waits longer than the idle limit for the next frame.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use h3::server::RequestStream;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Empty};
use tokio::{
    sync::oneshot,
    time::{Sleep, sleep},
};

use super::{adaptor::Progress, recv::Recv};
use crate::{BodyError, Limits, RequestBody, deadline::Pace};

type Next = Option<Result<Frame<Bytes>, BodyError>>;

/// The half of a stream that a request's body is read from.
pub(super) type Half = RequestStream<Recv, Bytes>;

/// Opens the body of a request whose head has stated `length`. Looks once, without waiting: most requests
/// come whole in one packet, and one without a body must not become one of unknown length.
///
/// Some clients send the end of a GET in a second packet, and see an error where a stop meets it on its way.
/// So a body that is dropped before any of it was announced or came parks its half in `park`, whose other end
/// lives as long as the exchange. Any other is stopped at once, since what it holds is the connection's window.
pub(super) async fn open(
    stream: Half,
    park: oneshot::Sender<Half>,
    progress: Arc<Progress>,
    length: Option<u64>,
    limits: &Limits,
) -> Result<RequestBody, BodyError> {
    let mut body = Incoming {
        stream: Some(stream),
        park: (length.unwrap_or_default() == 0).then_some(park),
        progress,
        left: length,
        idle: limits.body_idle,
        pace: Pace::new(limits),
        waiting: None,
        looked: None,
        end: End::Open,
    };
    let looked = poll_fn(|cx| Poll::Ready(body.poll_next(cx))).await;
    match looked {
        Poll::Ready(None) => Ok(Empty::new().map_err(|never| match never {}).boxed_unsync()),
        Poll::Ready(Some(Ok(frame))) => {
            body.looked = Some(frame);
            Ok(body.boxed_unsync())
        }
        Poll::Ready(Some(Err(error))) => Err(error),
        Poll::Pending => Ok(body.boxed_unsync()),
    }
}

struct Incoming {
    /// Taken only by the drop.
    stream: Option<Half>,
    /// Where the stream goes if it is dropped before any data was seen.
    park: Option<oneshot::Sender<Half>>,
    progress: Arc<Progress>,
    /// Bytes that must still come, where the head stated a length.
    left: Option<u64>,
    idle: Duration,
    pace: Pace,
    /// Runs while a reader waits.
    waiting: Option<Pin<Box<Sleep>>>,
    looked: Option<Frame<Bytes>>,
    end: End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Open,
    /// All data is read; trailers may follow.
    Data,
    /// The end or an error was given.
    Whole,
}

impl Incoming {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(None) };
        if self.end == End::Open {
            match ready!(stream.poll_recv_data(cx)) {
                Ok(Some(mut data)) => {
                    let data = data.copy_to_bytes(data.remaining());
                    self.progress.repay(data.len());
                    self.park = None;
                    return Poll::Ready(Some(self.count(&data).map(|()| Frame::data(data))));
                }
                Ok(None) => self.end = End::Data,
                Err(error) => return Poll::Ready(Some(Err(cut(error)))),
            }
        }
        if self.left.is_some_and(|left| left > 0) {
            return Poll::Ready(Some(Err(cut("the body is shorter than its Content-Length"))));
        }
        let trailers = ready!(stream.poll_recv_trailers(cx));
        self.end = End::Whole;
        // `h3` would drop them in silence (RFC 9114 section 4.3 forbids them).
        if self.progress.malformed() {
            return Poll::Ready(Some(Err(cut("the trailers have a pseudo-header field"))));
        }
        Poll::Ready(trailers.map_err(cut).map(|trailers| trailers.map(Frame::trailers)).transpose())
    }

    fn count(&mut self, data: &Bytes) -> Result<(), BodyError> {
        let Some(left) = &mut self.left else { return Ok(()) };
        *left = left
            .checked_sub(data.len() as u64)
            .ok_or_else(|| cut("the body is longer than its Content-Length"))?;
        Ok(())
    }

    fn judge(&mut self, next: Next) -> Next {
        let came =
            next.as_ref().and_then(|next| next.as_ref().ok()).and_then(Frame::data_ref).map(Bytes::len);
        if came.is_some_and(|bytes| self.pace.drips(bytes)) { Some(Err(BodyError::TooSlow)) } else { next }
    }

    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        self.pace.waiting();
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(self.idle)));
        waiting.as_mut().poll(cx).map(|()| Some(Err(BodyError::TooSlow)))
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Next> {
        if let Some(frame) = self.looked.take() {
            return Poll::Ready(Some(Ok(frame)));
        }
        if self.end == End::Whole {
            return Poll::Ready(None);
        }
        let next = match self.poll_next(cx) {
            Poll::Ready(next) => {
                self.waiting = None;
                self.judge(next)
            }
            Poll::Pending => ready!(self.poll_idle(cx)),
        };
        if !matches!(next, Some(Ok(_))) {
            self.end = End::Whole;
        }
        Poll::Ready(next)
    }

    fn size_hint(&self) -> SizeHint {
        let looked = self.looked.as_ref().and_then(Frame::data_ref).map_or(0, |data| data.len() as u64);
        self.left.map_or_else(SizeHint::new, |left| SizeHint::with_exact(left + looked))
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if let (Some(stream), Some(park)) = (self.stream.take(), self.park.take()) {
            // Without its other end the exchange is over, and the half ends here.
            let _over = park.send(stream);
        }
    }
}

fn cut(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> BodyError {
    BodyError::Transport(cause.into())
}
