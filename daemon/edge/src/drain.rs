//! The one signal that every connection watches: that it is to end because all are, or because it is idle and its room is wanted;
//! and the count of those still open.
//!
//! Knows neither signals nor systemd nor why room is wanted; whoever drains decides how long to wait.

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

/// A connection that has sent no whole head for so long is idle as well; the first request of a younger one is on its way.
pub(crate) const UNASKED: Duration = Duration::from_secs(1);

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

/// What is signalled.
#[derive(Debug, Clone, Copy)]
struct Signal {
    phase: Phase,
    /// How often those without a request were told to end.
    idle: u64,
}

/// What a connection hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    /// All end.
    Draining,
    /// Those without a request end.
    Idle,
}

/// Held by whoever shuts the edge down.
#[derive(Debug)]
pub struct Drain {
    begin: watch::Sender<Signal>,
    open: Arc<watch::Sender<usize>>,
    most: Arc<AtomicUsize>,
    ways: Ways,
}

/// Cloned into every listener and every connection.
#[derive(Debug, Clone)]
pub struct Watch {
    begin: watch::Receiver<Signal>,
    /// The last time that this one has heard that idle ones end.
    heard: u64,
    open: Arc<watch::Sender<usize>>,
    most: Arc<AtomicUsize>,
    ways: Ways,
}

/// Ends connections that are without a request. Clones do the same.
#[derive(Debug, Clone)]
pub struct EndIdle(watch::Sender<Signal>);

impl EndIdle {
    /// Closes those that have been answered and ask for nothing now, and those that have asked for nothing in a second; no request
    /// that goes on hears of it.
    pub fn now(&self) {
        self.0.send_modify(|signal| signal.idle += 1);
    }
}

/// Counts one connection as open until it is dropped.
#[derive(Debug)]
pub struct Open(Arc<watch::Sender<usize>>);

impl Default for Drain {
    fn default() -> Self {
        Self {
            begin: watch::Sender::new(Signal { phase: Phase::Serving, idle: 0 }),
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
        let heard = begin.borrow().idle;
        Watch { begin, heard, open, most: Arc::clone(&self.most), ways: self.ways.clone() }
    }

    /// Tells every listener to stop accepting and every connection to finish its requests.
    pub fn begin(&self) {
        self.begin.send_modify(|signal| signal.phase = Phase::Draining);
    }

    /// Tells every request that is still open to end now.
    pub fn end(&self) {
        self.begin.send_modify(|signal| signal.phase = Phase::Ending);
    }

    /// What ends idle connections.
    pub fn idle(&self) -> EndIdle {
        EndIdle(self.begin.clone())
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
        let _ended = self.begin.wait_for(|signal| signal.phase >= Phase::Draining).await;
    }

    /// For a connection that begins now: what idle ones were told before, which the listener has never heard, is not meant for it.
    pub(crate) fn fresh(&self) -> Self {
        let mut fresh = self.clone();
        fresh.heard = fresh.begin.borrow().idle;
        fresh
    }

    /// Completes when a connection hears something new.
    pub(crate) async fn word(&mut self) -> Word {
        let heard = self.heard;
        let signal = self.begin.wait_for(|signal| signal.phase >= Phase::Draining || signal.idle != heard);
        match signal.await {
            Ok(signal) if signal.phase < Phase::Draining => {
                self.heard = signal.idle;
                Word::Idle
            }
            // As above.
            Ok(_) | Err(_) => Word::Draining,
        }
    }

    /// Completes so much later: what was being begun has had time to be whole.
    pub async fn begun_for(mut self, time: Duration) {
        self.begun().await;
        sleep(time).await;
    }

    /// Completes when open requests must end.
    pub async fn ending(mut self) {
        // Here it is not: a request that outlives the `Drain` is ended by whoever ends the process.
        if self.begin.wait_for(|signal| signal.phase == Phase::Ending).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Whether draining has begun.
    pub fn has_begun(&self) -> bool {
        self.begin.borrow().phase >= Phase::Draining
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

    #[tokio::test]
    async fn each_word_is_heard_once_and_a_drain_for_ever() {
        let drain = Drain::default();
        let (idle, mut watch) = (drain.idle(), drain.watch());
        idle.now();
        assert_eq!(watch.word().await, Word::Idle);
        let silent = tokio::time::timeout(Duration::from_millis(10), watch.word()).await;
        assert!(silent.is_err(), "it was heard already");
        assert!(!watch.has_begun());
        idle.now();
        idle.now();
        assert_eq!(watch.clone().word().await, Word::Idle);
        let mut later = drain.watch();
        idle.now();
        let mut begins = later.fresh();
        let silent = tokio::time::timeout(Duration::from_millis(10), begins.word()).await;
        assert!(silent.is_err(), "it was said before");
        idle.now();
        assert_eq!(begins.word().await, Word::Idle);
        drain.begin();
        for watch in [&mut watch, &mut later] {
            assert_eq!([watch.word().await, watch.word().await], [Word::Draining; 2]);
        }
    }
}
