//! What a handler leaves of a request's body.
//!
//! Knows that clients send on after an answer, and that many read it only then. Refuses to know why it was not wanted.
//! Invariants: what is left is read behind the answer, within a time and a number of bytes, and thrown away; a client that
//! waits to be asked for its body is not asked; of what is not read even so the connection knows, for its end.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::{sync::oneshot, time::timeout};

use crate::{
    BodyError, RequestBody,
    deadline::{Activity, Timed},
    workers::spawn,
};

/// A body as it comes from the peer.
type Coming = Timed<Incoming>;

/// How much is thrown away. h2 resets a stream whose body nobody wants in the same flush as its answer, which curl 7.88 takes
/// for an error, and a TCP connection that is closed with bytes unread loses the answer with them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refused {
    pub(super) linger: Duration,
    pub(super) bytes: u64,
}

/// What is left of a body once its handler has dropped it, if it has an end that was not reached.
pub(super) struct Left(Option<oneshot::Receiver<Rest>>);

struct Rest {
    coming: Coming,
    /// Whether some of it was read or waited for, and so a client that wants to be asked for it has been.
    asked: bool,
}

/// A request whose body tells what is left of it.
pub(super) fn watch(request: Request<Coming>) -> (Request<RequestBody>, Left) {
    if request.body().is_end_stream() {
        return (request.map(BodyExt::boxed_unsync), Left(None));
    }
    let (rest, left) = oneshot::channel();
    let watched = |body| Watched { coming: Some(body), asked: false, rest: Some(rest) }.boxed_unsync();
    let watched = request.map(watched);
    (watched, Left(Some(left)))
}

impl Refused {
    /// Reads it to its end in a task of its own, which ends with the connection at the latest. `waits` says that the client
    /// sends nothing before it is asked for it.
    pub(super) fn discard(self, left: Left, waits: bool, activity: &Arc<Activity>) {
        let Some(Rest { coming: mut body, asked }) = left.0.and_then(|mut left| left.try_recv().ok()) else {
            return;
        };
        if self.linger.is_zero() || waits && !asked {
            return activity.leaves_unread();
        }
        let (reading, activity) = (activity.reads_on(), Arc::clone(activity));
        spawn(async move {
            let _reading = reading;
            let all = async {
                let mut left = self.bytes;
                while let Some(frame) = body.frame().await {
                    let bytes = frame.ok()?.data_ref().map_or(0, Bytes::len) as u64;
                    left = left.checked_sub(bytes)?;
                }
                Some(())
            };
            // A body in chunks does not say by itself that it has ended.
            let is_read = timeout(self.linger, all).await.is_ok_and(|all| all.is_some());
            // Before hyper hears that nobody reads on, and ends the connection.
            if !is_read {
                activity.leaves_unread();
            }
        });
    }
}

/// A body that hands over what is left of it when it is dropped.
struct Watched {
    /// None once it has ended.
    coming: Option<Coming>,
    asked: bool,
    rest: Option<oneshot::Sender<Rest>>,
}

impl Body for Watched {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.asked = true;
        let Some(coming) = &mut self.coming else { return Poll::Ready(None) };
        let polled = Pin::new(coming).poll_frame(cx);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.coming = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.coming.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.coming.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let (Some(coming), Some(rest)) = (self.coming.take(), self.rest.take())
            && !coming.is_end_stream()
        {
            // Nobody waits for it if the exchange itself is gone.
            let _gone = rest.send(Rest { coming, asked: self.asked });
        }
    }
}
