//! How many requests of one connection were broken, or taken back before their answer began.
//!
//! Knows numbers and times. Refuses to know what a request is. Invariant: a client that changes its mind now and then, as an editor
//! does with each letter, is never taken for one that makes us begin work for nothing.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

/// They are counted over this time (what Sōzu counts frames over; F-07 of the research on security).
const WINDOW: Duration = Duration::from_secs(10);

/// The requests of one connection.
#[derive(Debug)]
pub(crate) struct Broken {
    most: usize,
    counted: Mutex<Counted>,
    too_many: Notify,
}

#[derive(Debug)]
struct Counted {
    since: Instant,
    /// Less those answered.
    count: usize,
}

impl Broken {
    /// None so far, of which there may be so many in ten seconds.
    pub(crate) fn new(most: usize) -> Self {
        let counted = Mutex::new(Counted { since: Instant::now(), count: 0 });
        Self { most, counted, too_many: Notify::new() }
    }

    /// One more; whether these are too many.
    pub(crate) fn one_more(&self) -> bool {
        let mut counted = self.counted();
        if counted.since.elapsed() >= WINDOW {
            *counted = Counted { since: Instant::now(), count: 0 };
        }
        counted.count += 1;
        let too_many = counted.count > self.most;
        drop(counted);
        if too_many {
            self.too_many.notify_one();
        }
        too_many
    }

    /// One was answered.
    pub(crate) fn answered(&self) {
        let mut counted = self.counted();
        counted.count = counted.count.saturating_sub(1);
    }

    /// Completes when there were too many; for one who waits.
    pub(crate) async fn too_many(&self) {
        self.too_many.notified().await;
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, timeout};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn so_many_in_ten_seconds_and_one_more_is_too_many() {
        let broken = Broken::new(3);
        for _ in 0..100 {
            assert!(!broken.one_more() && !broken.one_more() && !broken.one_more());
            advance(WINDOW).await;
        }
        assert!(!broken.one_more() && !broken.one_more() && !broken.one_more());
        broken.answered();
        assert!(!broken.one_more());
        assert!(timeout(WINDOW / 2, broken.too_many()).await.is_err());
        assert!(broken.one_more());
        broken.too_many().await;
    }
}
