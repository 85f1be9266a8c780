//! Signs of life of the tasks without which the program is of no use.
//!
//! Knows names and times. Refuses to know what a task does, and who asks. Invariant: a task that hangs, or has died in a panic, is
//! named by [`Pulse::late`] from its limit on.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::time::{Instant as Timer, sleep_until};

/// All of them. Clones are the same; the default one asks for no sign, and wakes nobody.
#[derive(Debug, Clone, Default)]
pub struct Pulse {
    every: Option<Duration>,
    hearts: Arc<Mutex<Vec<Heart>>>,
}

/// One task, as others see it.
#[derive(Debug)]
struct Heart {
    name: String,
    limit: Duration,
    last: Arc<Mutex<Instant>>,
}

/// One task's own part.
#[derive(Debug)]
pub struct Beat {
    every: Option<Duration>,
    next: Timer,
    last: Arc<Mutex<Instant>>,
    /// The others, where this one may end without harm.
    dispensable: Option<Arc<Mutex<Vec<Heart>>>>,
}

impl Pulse {
    /// Asks each for a sign so often.
    #[must_use]
    pub fn new(every: Duration) -> Self {
        Self { every: Some(every), hearts: Arc::default() }
    }

    /// A task of that name; it is late when it has given no sign for `limit`. Dropped in a panic, it is late for ever.
    pub fn beat(&self, name: &str, limit: Duration) -> Beat {
        let last = Arc::new(Mutex::new(Instant::now()));
        if self.every.is_some() {
            let heart = Heart { name: name.to_owned(), limit, last: Arc::clone(&last) };
            locked(&self.hearts).push(heart);
        }
        Beat { every: self.every, next: Timer::now(), last, dispensable: None }
    }

    /// A task whose end, of any kind, is told by others: it may hang no longer than the others, and is forgotten once dropped.
    pub fn beat_until_dropped(&self, name: &str, limit: Duration) -> Beat {
        let mut beat = self.beat(name, limit);
        beat.dispensable = Some(Arc::clone(&self.hearts));
        beat
    }

    /// How long a task that never waits for anything may give no sign: four are due in that time.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.every.unwrap_or_default() * 4
    }

    /// The names of those that are late.
    #[must_use]
    pub fn late(&self) -> Vec<String> {
        let hearts = locked(&self.hearts);
        let late = hearts.iter().filter(|heart| locked(&heart.last).elapsed() > heart.limit);
        late.map(|heart| heart.name.clone()).collect()
    }
}

impl Beat {
    /// Waits until a sign is due, and gives it. The wait may be given up and begun again at any time.
    pub async fn due(&mut self) {
        let Some(every) = self.every else { return std::future::pending().await };
        sleep_until(self.next).await;
        *locked(&self.last) = Instant::now();
        self.next = Timer::now() + every;
    }
}

impl Drop for Beat {
    fn drop(&mut self) {
        if let Some(hearts) = &self.dispensable {
            locked(hearts).retain(|heart| !Arc::ptr_eq(&heart.last, &self.last));
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(40);

    #[tokio::test]
    async fn who_gives_no_sign_is_late_and_no_longer_once_it_does() {
        let pulse = Pulse::new(Duration::from_millis(1));
        let (mut one, mut other) = (pulse.beat("one", LIMIT), pulse.beat("other", LIMIT));
        assert!(pulse.late().is_empty());
        let begun = Instant::now();
        while begun.elapsed() <= 2 * LIMIT {
            one.due().await;
        }
        assert_eq!(pulse.late(), ["other"]);
        other.due().await;
        one.due().await;
        assert!(pulse.late().is_empty());
        // As in a panic.
        drop(other);
        std::thread::sleep(2 * LIMIT);
        assert_eq!(pulse.late(), ["one", "other"]);
    }

    #[tokio::test]
    async fn whose_end_is_told_otherwise_is_forgotten_then() {
        let pulse = Pulse::new(Duration::from_millis(1));
        let beat = pulse.beat_until_dropped("quic", LIMIT);
        std::thread::sleep(2 * LIMIT);
        assert_eq!(pulse.late(), ["quic"]);
        drop(beat);
        assert!(pulse.late().is_empty());
    }

    #[tokio::test]
    async fn where_nobody_asks_nobody_is_woken_or_late() {
        let pulse = Pulse::default();
        let mut beat = pulse.beat("one", Duration::ZERO);
        assert!(tokio::time::timeout(LIMIT, beat.due()).await.is_err());
        assert!(pulse.late().is_empty());
    }
}
