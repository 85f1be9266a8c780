//! How soon an engine is free once its client has left: a thousand kills on each HTTP version.
//!
//! Knows every way to leave and every moment at which a client may. Refuses to know the daemon's code. Invariants: each kill
//! is seen at the engine's own socket, or in the embedded engine's own queue, and one that is not is an orphan; fails where
//! more than one in a hundred takes longer than promised, or one is orphaned.
#![expect(
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "figures are printed; the counts are known"
)]

mod double;
mod quic;
mod tcp;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    client::{Caller, Family, Request, Version},
    daemon::Daemon,
    expect::FRANCE,
    queue::{self, Queue},
    script::Sin,
};

use double::Watched;

/// What is promised (issue 4, S9): the 99th percentile.
const PROMISED: Duration = Duration::from_millis(250);
/// Kills on each version, shared out evenly among moments and ways.
const KILLS: usize = 1000;

/// When the client leaves.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Moment {
    /// The engine has taken the request of a stream and said nothing.
    StreamAwaited,
    /// The same, of a whole answer.
    WholeAwaited,
    /// The client has read the first tokens.
    MidStream,
    /// The engine is in the middle of what the client will get whole.
    MidWhole,
    /// The embedded engine has a stream in its queue, behind another one that runs.
    StreamQueued,
    /// The same, of a whole answer.
    WholeQueued,
}

const MOMENTS: [Moment; 6] = [
    Moment::StreamAwaited,
    Moment::WholeAwaited,
    Moment::MidStream,
    Moment::MidWhole,
    Moment::StreamQueued,
    Moment::WholeQueued,
];

impl Moment {
    /// How the double misbehaves for it; none where the embedded engine answers.
    fn sin(self) -> Option<Sin> {
        match self {
            Self::StreamAwaited | Self::WholeAwaited => Some(Sin::HangBeforeHeaders),
            Self::MidStream | Self::MidWhole => Some(Sin::StallAfter(2)),
            Self::StreamQueued | Self::WholeQueued => None,
        }
    }

    pub(crate) fn request(self) -> Request {
        let model = if self.sin().is_some() { double::MODEL } else { queue::MODEL };
        Request::chat(
            model,
            FRANCE,
            matches!(self, Self::StreamAwaited | Self::MidStream | Self::StreamQueued),
        )
    }

    /// Whether the client itself reads something first.
    pub(crate) fn is_read(self) -> bool {
        matches!(self, Self::MidStream)
    }
}

/// How the client leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// The connection is closed in good order: `close_notify` and FIN, or CONNECTION_CLOSE.
    Close,
    /// The TCP connection is reset.
    Reset,
    /// The client's half of TCP is closed, and it goes on reading.
    HalfClose,
    /// The stream is reset and the connection kept.
    Stream,
    /// The stream's reader asks for no more (STOP_SENDING). A request over HTTP/3 has closed its own half by its end, so
    /// that a half-close means nothing there; this closes the other half.
    StopReading,
}

fn ways(version: Version) -> &'static [Way] {
    match version {
        Version::H1 => &[Way::Close, Way::Reset, Way::HalfClose],
        Version::H2 => &[Way::Close, Way::Reset, Way::HalfClose, Way::Stream],
        Version::H3 => &[Way::Close, Way::Stream, Way::StopReading],
    }
}

/// Where a request is when its client leaves.
pub(crate) enum Behind {
    Double(Watched),
    Queue(Queue),
}

/// The daemon, and what stands behind it.
pub(crate) struct Stage {
    pub(crate) behind: Behind,
    pub(crate) caller: Caller,
    pub(crate) key: String,
}

impl Stage {
    /// Waits until the engine has the next `count` requests.
    pub(crate) async fn asked(&self, count: usize) -> Result<()> {
        match &self.behind {
            Behind::Double(double) => double.asked(count).await,
            Behind::Queue(queue) => queue.asked(count).await?,
        }
        Ok(())
    }

    /// The times at which the engine was free of the next `count` requests, once each has been left.
    pub(crate) async fn freed(&mut self, count: usize) -> Result<Vec<Instant>> {
        match &mut self.behind {
            Behind::Double(double) => Ok(double.freed(count).await),
            Behind::Queue(queue) => queue.freed(count).await,
        }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut missed = Vec::new();
    for version in [Version::H1, Version::H2, Version::H3] {
        missed.extend(version_of_kills(version).await.with_context(|| format!("{version:?}"))?);
    }
    ensure!(missed.is_empty(), "promised is {PROMISED:?} at the 99th percentile: {}", missed.join("; "));
    Ok(())
}

async fn version_of_kills(version: Version) -> Result<Option<String>> {
    let mut all = Vec::new();
    let cells = ways(version).len() * MOMENTS.len();
    for (nth, way) in ways(version).iter().enumerate() {
        let mut of_way = Vec::new();
        for (index, moment) in MOMENTS.into_iter().enumerate() {
            // The first cells take what is left over.
            let kills = KILLS / cells + usize::from(nth * MOMENTS.len() + index < KILLS % cells);
            of_way.extend(
                leg(version, *way, moment, kills).await.with_context(|| format!("{way:?} {moment:?}"))?,
            );
        }
        println!("  {version:?} {way:?}: {}", figures(&mut of_way));
        all.extend(of_way);
    }
    println!("{version:?}: {}, no orphans; promised p99 {PROMISED:?}", figures(&mut all));
    let late = percentile(&all, 99);
    Ok((late > PROMISED).then(|| format!("{version:?} {late:?}")))
}

/// One way at one moment, with a daemon of its own. Every kill that is not seen in time is an error that shows the engine's log.
async fn leg(version: Version, way: Way, moment: Moment, kills: usize) -> Result<Vec<Duration>> {
    let (behind, setup) = match moment.sin() {
        Some(sin) => {
            let (double, setup) = Watched::start(sin).await;
            (Behind::Double(double), setup)
        }
        None => {
            let (queue, setup) = Queue::start().await?;
            (Behind::Queue(queue), setup)
        }
    };
    let daemon = Daemon::start(&setup).await?;
    let caller = Caller::new(&daemon, version, Family::V6).await?;
    let key = daemon.key.clone().context("no key")?;
    let held = match &behind {
        Behind::Queue(queue) => Some(queue.occupy(&caller).await?),
        Behind::Double(_) => None,
    };
    let mut stage = Stage { behind, caller, key };
    let taken = match version {
        Version::H3 => quic::kills(&mut stage, way, moment, kills).await?,
        _ => tcp::kills(&mut stage, version, way, moment, kills).await?,
    };
    drop(held);
    daemon.stop().await?;
    Ok(taken)
}

fn figures(taken: &mut [Duration]) -> String {
    taken.sort_unstable();
    let [half, late, last] = [50, 99, 100].map(|percent| percentile(taken, percent));
    format!("{} kills, p50 {half:.2?}, p99 {late:.2?}, longest {last:.2?}", taken.len())
}

/// Of sorted values.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted[rank - 1]
}
