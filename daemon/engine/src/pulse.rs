//! Signs of life of the thread that infers.
//!
//! Knows times. Refuses to know what the thread does, and who asks. Invariant: a thread that waits for work is never late; one that works
//! is late from the moment on by which its next sign was due.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// When the next sign is due, if any is.
#[derive(Debug)]
pub struct Pulse {
    patience: Duration,
    due: Mutex<Option<Instant>>,
}

impl Pulse {
    /// One that wants a sign within `patience` from whoever works.
    #[must_use]
    pub fn new(patience: Duration) -> Self {
        Self { patience, due: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread works, and goes on.
    pub fn beat(&self) {
        self.beat_before(Duration::ZERO);
    }

    /// The same before a step that may take so much longer than others.
    pub fn beat_before(&self, longer: Duration) {
        // A time that cannot be counted is never reached.
        let due = Instant::now().checked_add(self.patience.saturating_add(longer));
        *self.lock() = due;
    }

    /// The thread waits for work.
    pub fn rest(&self) {
        *self.lock() = None;
    }

    /// Whether a sign was due and has not come.
    #[must_use]
    pub fn is_late(&self) -> bool {
        self.lock().is_some_and(|due| due < Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_millis(5);

    #[test]
    fn who_works_and_gives_no_sign_is_late_and_who_waits_is_not() {
        let pulse = Pulse::new(PATIENCE);
        std::thread::sleep(2 * PATIENCE);
        assert!(!pulse.is_late());
        pulse.beat();
        std::thread::sleep(2 * PATIENCE);
        assert!(pulse.is_late());
        pulse.beat_before(Duration::from_secs(3600));
        std::thread::sleep(2 * PATIENCE);
        assert!(!pulse.is_late());
        pulse.beat();
        std::thread::sleep(2 * PATIENCE);
        pulse.rest();
        assert!(!pulse.is_late());
        pulse.beat_before(Duration::MAX);
        assert!(!pulse.is_late());
    }
}
