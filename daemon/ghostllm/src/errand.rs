//! Work on a thread of its own that may never come back: a disk or a driver is asked something.
//!
//! Knows whether the last has come back. Refuses to know what is asked. Invariant: there is never more than one at work, however often it is
//! asked for and however long it hangs; whoever waits gives up, and the work goes on.

use std::time::Duration;

use tokio::{
    task::{JoinHandle, spawn_blocking},
    time::timeout,
};

use crate::tasks::state::PANICKED;

/// One, or none.
#[derive(Debug)]
pub(crate) struct Errand<T>(Option<JoinHandle<Result<T, String>>>);

impl<T> Default for Errand<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Send + 'static> Errand<T> {
    /// Whether one has not come back.
    pub(crate) fn hangs(&self) -> bool {
        self.0.as_ref().is_some_and(|going| !going.is_finished())
    }

    /// What comes of it: of the one that is still away, where there is one, else of this one. Nothing where that takes longer.
    pub(crate) async fn run(
        &mut self,
        within: Duration,
        work: impl FnOnce() -> Result<T, String> + Send + 'static,
    ) -> Option<Result<T, String>> {
        let going = self.0.get_or_insert_with(|| spawn_blocking(work));
        let ended = timeout(within, going).await.ok()?;
        self.0 = None;
        Some(ended.unwrap_or_else(|_its_words| Err(PANICKED.to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn one_that_hangs_is_the_only_one_and_its_outcome_is_had_later() {
        let (go, gone) = mpsc::channel::<()>();
        let mut errand = Errand::default();
        let hanging = move || gone.recv().map(|()| 1).map_err(|why| why.to_string());
        assert_eq!(errand.run(Duration::from_millis(1), hanging).await, None);
        assert!(errand.hangs());
        assert_eq!(errand.run(Duration::ZERO, || panic!("there is one")).await, None);
        go.send(()).unwrap();
        let long = Duration::from_secs(60);
        assert_eq!(errand.run(long, || Ok(2)).await, Some(Ok(1)));
        assert_eq!((errand.hangs(), errand.run(long, || Ok(2)).await), (false, Some(Ok(2))));
        assert_eq!(errand.run(long, || panic!("as it may")).await, Some(Err(PANICKED.to_owned())));
    }
}
