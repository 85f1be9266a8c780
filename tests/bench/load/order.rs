//! What the driver asks of a client process, and what that reports: JSON lines on its standard input and output.

pub(crate) use ghostllm_tests::kept::{Place, Version};
use serde::{Deserialize, Serialize};

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
