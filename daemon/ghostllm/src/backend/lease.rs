//! Who still uses a backend: each open request holds a lease of it.
//!
//! Knows how many there are, and since when the configuration names the backend no longer. Refuses to know requests.
//! Invariant: a backend that was taken away is told of once more, when the last of its requests has ended.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use super::Backend;

/// The count of one backend, also where other settings have made it anew.
#[derive(Debug, Default)]
pub(super) struct Leases {
    open: AtomicUsize,
    retired: OnceLock<Instant>,
}

/// One request's use of a backend, until it is dropped.
#[derive(Debug)]
pub struct Lease(Backend);

impl Lease {
    /// The backend.
    #[must_use]
    pub fn backend(&self) -> &Backend {
        &self.0
    }
}

impl Backend {
    /// Counts a request that begins.
    #[must_use]
    pub fn lease(&self) -> Lease {
        self.0.leases.open.fetch_add(1, Ordering::SeqCst);
        Lease(self.clone())
    }

    /// The configuration names it no longer; gives the number of the requests that may still end on it.
    pub(super) fn retire(&self) -> usize {
        let _first = self.0.leases.retired.set(Instant::now());
        self.0.leases.open.load(Ordering::SeqCst)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let leases = &self.0.0.leases;
        if leases.open.fetch_sub(1, Ordering::SeqCst) == 1
            && let Some(since) = leases.retired.get()
        {
            let (name, place, ms) = (self.0.name(), self.0.place(), crate::log::millis(*since));
            tracing::info!(
                backend = name,
                ms,
                "the last request on {name} at {place}, which was taken away, has ended"
            );
        }
    }
}
