//! What the driver asks of a client process, and what that reports: JSON lines on its standard input and output.

use std::{net::SocketAddr, path::PathBuf};

use serde::{Deserialize, Serialize};

/// The HTTP version of a leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) enum Version {
    /// HTTP/1.1 without TLS: straight to the backend.
    Plain,
    /// HTTP/1.1 over TLS.
    H1,
    /// HTTP/2 over TLS.
    H2,
    /// HTTP/3.
    H3,
}

impl Version {
    /// Connections that share `crowd` requests in flight. HTTP/1.1 has one request on each; the others have a few
    /// connections, as clients with a pool do.
    pub(crate) fn connections(self, crowd: usize) -> usize {
        match self {
            Self::Plain | Self::H1 => crowd,
            Self::H2 | Self::H3 => 4.min(crowd),
        }
    }

    /// The least connections for so many streams, where each may have a hundred.
    pub(crate) fn fewest(self, streams: usize) -> usize {
        match self {
            Self::Plain | Self::H1 => streams,
            Self::H2 | Self::H3 => streams.div_ceil(100),
        }
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Plain => "plain",
            Self::H1 => "h1",
            Self::H2 => "h2",
            Self::H3 => "h3",
        })
    }
}

/// Whom to ask.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) version: Version,
    pub(crate) address: SocketAddr,
    /// The CA to trust, PEM; unused on a plain connection.
    pub(crate) ca: PathBuf,
    /// An API key, where one is wanted.
    pub(crate) key: Option<String>,
}

/// One run of a client.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) place: Place,
    pub(crate) run: Run,
}

/// What it does.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Run {
    /// Asks for whole answers for so long, each worker its next as soon as it has one, after a warm-up.
    Closed { crowd: usize, seconds: f64 },
    /// The same at a rate; the time counts from when a request was due.
    Paced { rate: u32, seconds: f64 },
    /// So many streams at once, each of so many events, so far apart.
    Events { streams: usize, events: usize, apart_ms: u64 },
    /// Opens its connections first, then so many streams at once, and times the first event of each.
    Burst { streams: usize },
    /// Whole answers to prompts of so many bytes, one after the other.
    Prompts { bytes: usize, count: usize },
    /// Opens so many streams, reads the first event of each, and holds them until it is told to go on.
    Hold { streams: usize },
    /// Opens so many connections, asks once on each, and holds them likewise.
    Idle { connections: usize },
}

/// Lines of a client, in this order; `Begun` comes when what is measured begins.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Line {
    Begun,
    /// Everything is open, and held until the next line of standard input.
    Held,
    Done(Outcome),
}

/// What a run has shown.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// Requests, or events, that were measured.
    pub(crate) count: u64,
    /// How long that took, in seconds.
    pub(crate) seconds: f64,
    /// Microseconds.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) longest: f64,
}

impl Outcome {
    /// Of times in microseconds, in any order.
    pub(crate) fn of(mut micros: Vec<f64>, seconds: f64) -> Self {
        micros.sort_unstable_by(f64::total_cmp);
        let rank = |percent: usize| {
            let rank = (micros.len() * percent).div_ceil(100).max(1);
            micros.get(rank - 1).copied().unwrap_or(f64::NAN)
        };
        let (p50, p99, longest) = (rank(50), rank(99), rank(100));
        Self { count: micros.len() as u64, seconds, p50, p99, longest }
    }
}
