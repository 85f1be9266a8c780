//! What every listener is given, whatever its transport.

use std::{fmt, net::SocketAddr, sync::Arc};

use tokio::sync::watch;

use crate::{Limits, drain, pulse::Pulse, room::Room, sources::Sources, workers::Seats};

/// Who answers, whom, within which limits, on which threads, and until when.
#[derive(Clone)]
pub struct Serve<H> {
    /// Answers every request.
    pub handler: H,
    /// What a peer may do, as it was when this connection began.
    pub limits: Arc<Limits>,
    /// The same as it is now, for those that begin.
    pub newest: watch::Receiver<Arc<Limits>>,
    /// Who is answered at all, by an address in which an IPv4-mapped one has already become IPv4; anyone else is dropped
    /// before TLS, and over QUIC not even heard.
    pub answers: Arc<dyn Fn(SocketAddr) -> bool + Send + Sync>,
    /// The count of connections that all listeners share.
    pub sources: Sources,
    /// What is left of memory and descriptors.
    pub room: Room,
    /// The threads that serve the connections.
    pub seats: Seats,
    /// Who is told that a listener goes on.
    pub pulse: Pulse,
    /// When to stop.
    pub drain: drain::Watch,
}

impl<H: Clone> Serve<H> {
    /// For a connection that begins now.
    pub(crate) fn begin(&self) -> Self {
        let limits = Arc::clone(&self.newest.borrow());
        Self { limits, ..self.clone() }
    }
}

impl<H> fmt::Debug for Serve<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serve").field("limits", &self.limits).finish_non_exhaustive()
    }
}
