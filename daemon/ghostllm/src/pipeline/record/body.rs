//! The body of a response, whose end is its request's.
//!
//! Knows what is taken of it. Refuses to know what is in it.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use ghostllm_edge::{ResponseBody, StreamFailed};
use http_body::{Body, Frame, SizeHint};

use super::{Open, told::Answer};

/// A response's body that counts what is taken of it.
pub(super) struct Recorded {
    // Its end is told before the record is written.
    pub(super) body: ResponseBody,
    pub(super) answer: Answer,
    pub(super) open: Open,
}

impl Body for Recorded {
    type Data = Bytes;
    type Error = StreamFailed;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StreamFailed>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.answer.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
            }
            Poll::Ready(Some(Err(StreamFailed))) => self.answer.broken = true,
            Poll::Ready(None) => self.answer.whole = true,
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        self.answer.whole |= self.body.is_end_stream();
        // Its own polling has failed, and no client has left.
        self.answer.broken |= std::thread::panicking();
        self.open.0.told().answer = Some(self.answer);
    }
}
