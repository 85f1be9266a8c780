//! A number of things that are there, each counted until it is dropped.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

/// How many there are. Clones are the same count.
#[derive(Debug, Clone, Default)]
pub(crate) struct Count(Arc<AtomicUsize>);

/// Counts one thing until it is dropped, in a panic too.
#[derive(Debug)]
pub(crate) struct Counted(Count);

impl Count {
    pub(crate) fn now(&self) -> usize {
        self.0.load(Relaxed)
    }

    pub(crate) fn one_more(&self) -> Counted {
        self.0.fetch_add(1, Relaxed);
        Counted(self.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Relaxed);
    }
}
