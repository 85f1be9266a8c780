//! Draining: the one signal that every connection watches, and the count of those still open.
//!
//! Knows neither signals nor systemd; whoever drains decides how long to wait.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use http::Version;
use tokio::{sync::watch, time::sleep};

use crate::{
    Transport,
    ways::{Speaking, WAYS, Ways},
};

/// How far the end has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// Not begun.
    Serving,
    /// No new requests; open ones may end.
    Draining,
    /// Open ones must end now, and say so to their clients.
    Ending,
}

/// Held by whoever shuts the edge down.
#[derive(Debug)]
pub struct Drain {
    begin: watch::Sender<Phase>,
    open: Arc<watch::Sender<usize>>,
    most: Arc<AtomicUsize>,
    ways: Ways,
}

/// Cloned into every listener and every connection.
#[derive(Debug, Clone)]
pub struct Watch {
    begin: watch::Receiver<Phase>,
    open: Arc<watch::Sender<usize>>,
    most: Arc<AtomicUsize>,
    ways: Ways,
}

/// Counts one connection as open until it is dropped.
#[derive(Debug)]
pub struct Open(Arc<watch::Sender<usize>>);

impl Default for Drain {
    fn default() -> Self {
        Self {
            begin: watch::Sender::new(Phase::Serving),
            open: Arc::new(watch::Sender::new(0)),
            most: Arc::default(),
            ways: Ways::default(),
        }
    }
}

impl Drain {
    /// A watch for a listener.
    pub fn watch(&self) -> Watch {
        let (begin, open) = (self.begin.subscribe(), Arc::clone(&self.open));
        Watch { begin, open, most: Arc::clone(&self.most), ways: self.ways.clone() }
    }

    /// Tells every listener to stop accepting and every connection to finish its requests.
    pub fn begin(&self) {
        self.begin.send_replace(Phase::Draining);
    }

    /// Tells every request that is still open to end now.
    pub fn end(&self) {
        self.begin.send_replace(Phase::Ending);
    }

    /// Connections open now.
    pub fn open(&self) -> usize {
        *self.open.borrow()
    }

    /// The most connections that were open at one time since this was last asked.
    pub fn most(&self) -> usize {
        self.most.swap(self.open(), Relaxed)
    }

    /// Waits until no connection is open; `false` when `grace` ran out first.
    pub async fn finished(&self, grace: Duration) -> bool {
        let mut open = self.open.subscribe();
        let empty = open.wait_for(|count| *count == 0);
        tokio::time::timeout(grace, empty).await.is_ok()
    }
}

impl Watch {
    /// Completes when draining begins (at once if it has begun).
    pub async fn begun(&mut self) {
        // An error means that the `Drain` itself is gone, which is the end as well.
        let _ended = self.begin.wait_for(|phase| *phase >= Phase::Draining).await;
    }

    /// Completes so much later: what was being begun has had time to be whole.
    pub async fn begun_for(mut self, time: Duration) {
        self.begun().await;
        sleep(time).await;
    }

    /// Completes when open requests must end.
    pub async fn ending(mut self) {
        // Here it is not: a request that outlives the `Drain` is ended by whoever ends the process.
        if self.begin.wait_for(|phase| *phase == Phase::Ending).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Whether draining has begun.
    pub fn has_begun(&self) -> bool {
        *self.begin.borrow() >= Phase::Draining
    }

    /// Connections open now.
    pub fn connections(&self) -> usize {
        *self.open.borrow()
    }

    /// How many connections speak HTTP in each of the [`WAYS`].
    pub fn speaking(&self) -> [usize; WAYS.len()] {
        self.ways.now()
    }

    /// Counts a connection as speaking so until what is given back is dropped.
    pub(crate) fn speaks(&self, transport: Transport, version: Version) -> Option<Speaking> {
        self.ways.one_more(transport, version)
    }

    /// Counts a connection as open until the guard is dropped.
    pub fn open(&self) -> Open {
        self.open.send_modify(|count| {
            *count += 1;
            self.most.fetch_max(*count, Relaxed);
        });
        Open(Arc::clone(&self.open))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_drain_waits_for_the_open_connection_and_no_longer() {
        let drain = Drain::default();
        let mut watch = drain.watch();
        let open = watch.open();
        assert!(!watch.has_begun());
        drain.begin();
        watch.begun().await;
        assert_eq!(drain.open(), 1);
        assert!(!drain.finished(Duration::ZERO).await, "one connection is still open");
        drop(open);
        assert!(drain.finished(Duration::from_secs(5)).await);
        assert_eq!((drain.most(), drain.most()), (1, 0), "a peak is told once");
    }
}
