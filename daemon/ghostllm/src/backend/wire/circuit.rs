//! Whether a backend is worth the wait for a connection.
//!
//! Knows how many in a row were waited for in vain. Refuses to know how they are made. Invariants: while a backend takes no
//! connection, one request at a time waits for one and the others are told at once; the first that stands ends it. A connection
//! that is refused costs no time and does not count: an engine that was just started is used at once.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

#[derive(Debug)]
pub(super) struct Circuit {
    /// So many in a row open it; 0 never does.
    misses: usize,
    /// While it is open, one is tried this often.
    again: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    missed: usize,
    /// When the next one may be tried.
    next: Option<Instant>,
}

impl Circuit {
    pub(super) fn new(misses: usize, again: Duration) -> Self {
        Self { misses, again, state: Mutex::default() }
    }

    /// Whether a connection may be waited for now.
    pub(super) fn lets_through(&self) -> bool {
        let (now, mut state) = (Instant::now(), self.lock());
        let lets = state.next.is_none_or(|next| next <= now);
        if lets && state.next.is_some() {
            // This one tries it for all.
            state.next = Some(now + self.again);
        }
        lets
    }

    /// One was waited for in vain.
    pub(super) fn missed(&self) {
        let mut state = self.lock();
        state.missed = state.missed.saturating_add(1);
        if self.misses > 0 && state.missed >= self.misses {
            state.next = Some(Instant::now() + self.again);
        }
    }

    /// One stands, or was refused: somebody is there.
    pub(super) fn answered(&self) {
        *self.lock() = State::default();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const AGAIN: Duration = Duration::from_secs(5);

    #[tokio::test(start_paused = true)]
    async fn after_so_many_in_vain_one_at_a_time_is_tried() {
        let circuit = Circuit::new(3, AGAIN);
        for _ in 0..3 {
            assert!(circuit.lets_through());
            circuit.missed();
        }
        assert!(!circuit.lets_through());
        advance(AGAIN).await;
        assert!(circuit.lets_through());
        assert!(!circuit.lets_through(), "the one that tries it is on its way");
        circuit.missed();
        assert!(!circuit.lets_through());
        advance(AGAIN).await;
        assert!(circuit.lets_through());
        circuit.answered();
        assert!(circuit.lets_through() && circuit.lets_through());
        circuit.missed();
        circuit.missed();
        assert!(circuit.lets_through(), "they are counted anew");
    }

    #[tokio::test(start_paused = true)]
    async fn none_in_between_may_have_stood() {
        let circuit = Circuit::new(2, AGAIN);
        for _ in 0..10 {
            circuit.missed();
            circuit.answered();
        }
        assert!(circuit.lets_through());
    }

    #[tokio::test(start_paused = true)]
    async fn zero_opens_it_never() {
        let circuit = Circuit::new(0, AGAIN);
        for _ in 0..100 {
            circuit.missed();
        }
        assert!(circuit.lets_through());
    }
}
