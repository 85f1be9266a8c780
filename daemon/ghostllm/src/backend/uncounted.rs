//! The models whose engine refuses to be asked for the counts of a stream.
//!
//! Knows how long that is remembered. Refuses to know how an engine says so. Invariant: behind one address there may be several engines,
//! and other ones tomorrow, so that a refusal is one model's, and for a while.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Then it is asked again, at the cost of one refusal.
const AGAIN: Duration = Duration::from_secs(600);
/// More models at once are not remembered; each of their requests is asked twice.
const MOST: usize = 256;

#[derive(Debug, Default)]
pub(super) struct Uncounted(Mutex<HashMap<String, Instant>>);

impl Uncounted {
    /// Whether this model's engine has refused a while ago at the most.
    pub(super) fn has(&self, model: &str) -> bool {
        self.models().get(model).is_some_and(|since| since.elapsed() < AGAIN)
    }

    /// It has refused now. Whether that is news.
    pub(super) fn add(&self, model: &str) -> bool {
        let mut models = self.models();
        models.retain(|_, since| since.elapsed() < AGAIN);
        if models.len() >= MOST && !models.contains_key(model) {
            return false;
        }
        models.insert(model.to_owned(), Instant::now()).is_none()
    }

    fn models(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_one_models_and_forgotten_after_a_while() {
        let uncounted = Uncounted::default();
        assert!(uncounted.add("a"));
        assert!(!uncounted.add("a"));
        assert_eq!(["a", "b"].map(|model| uncounted.has(model)), [true, false]);
        tokio::time::advance(AGAIN).await;
        assert!(!uncounted.has("a"));
        assert!(uncounted.add("a"));
        for number in 0..MOST {
            uncounted.add(&number.to_string());
        }
        assert!(uncounted.has("a") && !uncounted.has(&(MOST - 1).to_string()));
    }
}
