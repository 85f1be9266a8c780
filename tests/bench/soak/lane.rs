//! One caller: a version, a connection that it keeps for a while, and one request after the other on it, or some at once where the
//! version can.
//!
//! Knows connections. Refuses to know what an answer must be. Invariant: a connection that its server has closed is not used again;
//! one that cannot be made is told as whatever was to be asked on it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use futures_util::future::join_all;
use ghostllm_tests::{
    kept::{Dialer, Sender, Version},
    soak::{
        ledger::{Seen, Way},
        verdict::{Came, End},
    },
};
use tokio::time::{sleep, timeout};

use crate::{
    chance::Chance,
    exchange::{On, exchange, spoken},
    mix::{Draw, draw},
    stage::Stage,
};

/// Callers of each version.
const CALLERS: u64 = 6;
/// The versions; a plain connection is HTTP/1.1 as well.
pub(crate) const VERSIONS: [Version; 4] = [Version::Plain, Version::H1, Version::H2, Version::H3];
/// One request in so many goes out on a new connection.
const RENEWED: usize = 12;
/// Requests at once on one connection of HTTP/2 or 3.
const AT_ONCE: usize = 3;
/// How long a caller thinks before it asks again, at the most.
const THOUGHT: u64 = 250;
/// A connection on this machine takes some milliseconds.
const DIALLED: Duration = Duration::from_secs(20);

pub(crate) struct Lane {
    stage: Arc<Stage>,
    version: Version,
    dialer: Dialer,
    sender: Option<Sender>,
    chance: Chance,
}

/// All callers, until the load is over.
pub(crate) async fn all(stage: &Arc<Stage>, round: u64) -> Result<()> {
    let mut lanes = Vec::new();
    for (nth, version) in VERSIONS.into_iter().enumerate() {
        for caller in 0..CALLERS {
            let chance = Chance::new(stage.seed, round << 32 | (nth as u64) << 8 | caller);
            lanes.push(Lane::new(stage, version, chance)?);
        }
    }
    let lanes: Vec<_> = lanes.into_iter().map(|lane| tokio::spawn(lane.run())).collect();
    for lane in lanes {
        lane.await.context("a caller has panicked")?;
    }
    Ok(())
}

impl Lane {
    pub(crate) fn new(stage: &Arc<Stage>, version: Version, chance: Chance) -> Result<Self> {
        let dialer = Dialer::new(&stage.place(version)?)?;
        Ok(Self { stage: Arc::clone(stage), version, dialer, sender: None, chance })
    }

    async fn run(mut self) {
        while !self.stage.is_over() {
            let many = match self.version {
                Version::Plain | Version::H1 => 1,
                Version::H2 | Version::H3 => self.chance.between(1, AT_ONCE),
            };
            let draws: Vec<Draw> = (0..many).map(|_| draw(&mut self.chance, self.version)).collect();
            if self.chance.once_in(RENEWED) {
                self.sender = None;
            }
            self.ask(&draws).await;
            sleep(self.chance.millis(0, THOUGHT)).await;
        }
    }

    /// Asks all of these at once, and waits for their answers.
    pub(crate) async fn ask(&mut self, draws: &[Draw]) {
        let sender = match self.sender.take() {
            Some(sender) if sender.is_usable().await => sender,
            _ => {
                match timeout(DIALLED, self.dialer.dial()).await.context("no connection in time").flatten() {
                    Ok(sender) => sender,
                    Err(error) => return draws.iter().for_each(|draw| self.unconnected(draw, &error)),
                }
            }
        };
        let on = On { version: self.version, dialer: &self.dialer, sender: &sender };
        let usable = join_all(draws.iter().map(|draw| exchange(&self.stage, on, draw))).await;
        self.sender = usable.into_iter().all(|usable| usable).then_some(sender);
    }

    /// Nothing was sent, so that nothing is counted: the ledger will miss a record, and say so.
    fn unconnected(&self, draw: &Draw, error: &anyhow::Error) {
        let number = self.stage.ledger.send();
        let way = Way { route: draw.route, http: spoken(self.version) };
        self.stage.ledger.end(number, way, Seen::Nothing);
        let now = Instant::now();
        let end = End::Never(format!("{error:#}"));
        let came = Came { sent: now, ended: now, status: None, body: Vec::new(), end, resets: false };
        self.stage.settle(draw, &self.version.to_string(), number, &came);
    }
}
