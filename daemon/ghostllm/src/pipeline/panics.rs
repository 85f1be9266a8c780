//! Requests that panic: each is that request's own failure, and is counted.
//!
//! Knows a body as frames. Refuses to know what was being done, and repeats nothing of a panic's words. Invariants: what has panicked is not
//! asked again; whatever the request held is let go, and its connection and all others go on.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use ghostllm_core::ApiError;
use ghostllm_edge::{ResponseBody, StreamFailed};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;

use super::record::Record;
use crate::metrics::Metrics;

/// What the record of such a request has as its cause.
pub(super) const CAUSE: &str = "its handling has panicked";

/// A body whose panic is its own end.
struct Caught {
    /// None once it has panicked.
    body: Option<ResponseBody>,
    record: Arc<Record>,
    metrics: Arc<Metrics>,
}

/// The same body, whose panic ends it as a failed one, and nothing else. One that is there as a whole cannot panic.
pub(super) fn caught(body: ResponseBody, record: &Arc<Record>, metrics: &Arc<Metrics>) -> ResponseBody {
    if body.size_hint().exact().is_some() {
        return body;
    }
    Caught { body: Some(body), record: Arc::clone(record), metrics: Arc::clone(metrics) }.boxed_unsync()
}

impl Body for Caught {
    type Data = Bytes;
    type Error = StreamFailed;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StreamFailed>>> {
        let this = self.get_mut();
        let Some(body) = &mut this.body else { return Poll::Ready(None) };
        // It is dropped, whatever state the panic has left it in.
        let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(body).poll_frame(cx)));
        polled.unwrap_or_else(|_its_words| {
            this.metrics.panicked();
            this.record.failed(&CAUSE, &ApiError::internal(), None);
            this.body = None;
            Poll::Ready(Some(Err(StreamFailed)))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use http::Request;

    use super::*;
    use crate::pipeline::{ids::Ids, record::Open};

    /// Panics at its second frame, and at any behind that.
    struct Panicking(u32);

    impl Body for Panicking {
        type Data = Bytes;
        type Error = StreamFailed;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, StreamFailed>>> {
            self.0 += 1;
            assert!(self.0 < 2, "as a stream may");
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"a piece")))))
        }
    }

    #[test]
    fn a_body_that_panics_has_failed_once_and_is_asked_no_more() {
        let (head, ()) = Request::new(()).into_parts();
        let metrics = Arc::<Metrics>::default();
        let open = Open::new(Ids::new().unwrap().next(), &head, &metrics);
        let mut body = caught(Panicking(0).boxed_unsync(), open.record(), &metrics);
        let mut frame = || body.frame().now_or_never().unwrap();
        assert_eq!(frame().unwrap().unwrap().into_data().unwrap(), "a piece");
        assert_eq!(metrics.panics(), 0);
        assert!(matches!(frame(), Some(Err(StreamFailed))));
        assert!(frame().is_none() && frame().is_none());
        assert_eq!(metrics.panics(), 1);
        assert!(body.is_end_stream());
    }
}
