//! Deadlines on a request's body.
//!
//! Knows frames and clocks. Refuses to know what the bytes are. Invariant: a body whose sender is silent, or drips, ends with an error.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use super::Timer;
use crate::{BodyError, Limits};

/// The rate at which a body comes, as far as its sender was waited for: who is not waited for is not slow.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Time of waiting in which the bytes are counted.
    window: Duration,
    /// Bytes that must come in it.
    least: u64,
    bytes: u64,
    waited: Duration,
    since: Option<Instant>,
}

impl Pace {
    /// The pace that a body must keep.
    pub(crate) fn new(limits: &Limits) -> Self {
        let window = limits.body_rate_window;
        let least = u128::from(limits.body_rate).saturating_mul(window.as_millis()) / 1000;
        let least = u64::try_from(least).unwrap_or(u64::MAX);
        Self { window, least, bytes: 0, waited: Duration::ZERO, since: None }
    }

    /// The sender is waited for; since when.
    pub(crate) fn waiting(&mut self) -> Instant {
        *self.since.get_or_insert_with(Instant::now)
    }

    /// So many bytes have come. Whether they and those before them came too slowly.
    pub(crate) fn drips(&mut self, bytes: usize) -> bool {
        self.bytes = self.bytes.saturating_add(bytes as u64);
        self.waited += self.since.take().map(|since| since.elapsed()).unwrap_or_default();
        if self.waited < self.window {
            return false;
        }
        self.waited = Duration::ZERO;
        std::mem::take(&mut self.bytes) < self.least
    }
}

/// A request's body whose sender may not be silent for longer than `idle`, nor drip.
#[derive(Debug)]
pub struct Timed<B> {
    body: B,
    idle: Duration,
    timer: Timer,
    pace: Pace,
}

impl<B> Timed<B> {
    /// Watches `body`, which has this pace to keep.
    pub(crate) fn new(body: B, idle: Duration, pace: Pace) -> Self {
        Self { body, idle, timer: Timer::default(), pace }
    }
}

impl<B> Body for Timed<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                let slow = self.pace.drips(bytes);
                Poll::Ready(Some(if slow { Err(BodyError::TooSlow) } else { Ok(frame) }))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(BodyError::Transport(Box::new(error))))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => {
                let deadline = self.pace.waiting() + self.idle;
                if self.timer.passed(cx, deadline) {
                    return Poll::Ready(Some(Err(BodyError::TooSlow)));
                }
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
