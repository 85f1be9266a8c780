//! When a frame has left HTTP/2's send queue, which nobody tells.
//!
//! Knows the life of a frame's bytes. Refuses to know responses.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;

/// Says when an empty frame, and so all frames before it, has left the send queue: the queue drops its bytes then.
#[derive(Debug, Default)]
pub(super) struct Left(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    left: bool,
    waker: Option<Waker>,
}

/// What the queue holds; its drop is the signal.
struct Marker(Arc<Left>);

pub(super) fn marker() -> (Bytes, Arc<Left>) {
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

    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
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
