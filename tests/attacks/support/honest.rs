//! An honest caller beside an attack: asks again and again, each time on a connection of its own, until the attack is over.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use ghostllm_tests::client::{Caller, Request, Version};

/// How long its answers took, in order of length.
#[derive(Debug)]
pub(crate) struct Served(Vec<Duration>);

impl Served {
    /// So many requests, one behind the other.
    pub(crate) async fn times(caller: &Caller, count: usize) -> Result<Self> {
        let mut taken = Vec::new();
        while taken.len() < count {
            taken.push(ask(caller).await?);
        }
        Ok(Self::new(taken))
    }

    /// As many as are answered while `attack` goes on, one at the least; whatever comes of that as well.
    pub(crate) async fn beside<T>(
        caller: &Caller,
        attack: impl Future<Output = Result<T>>,
    ) -> Result<(T, Self)> {
        let over = Cell::new(false);
        let attack = async {
            let came = attack.await;
            over.set(true);
            came
        };
        let honest = async {
            let mut taken = vec![ask(caller).await?];
            while !over.get() {
                taken.push(ask(caller).await?);
            }
            Ok(Self::new(taken))
        };
        tokio::try_join!(attack, honest)
    }

    fn new(mut taken: Vec<Duration>) -> Self {
        taken.sort();
        Self(taken)
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// The longest but for one in a hundred.
    pub(crate) fn p99(&self) -> Duration {
        self.0.get(self.0.len() * 99 / 100).copied().unwrap_or_default()
    }

    pub(crate) fn longest(&self) -> Duration {
        self.0.last().copied().unwrap_or_default()
    }
}

async fn ask(caller: &Caller) -> Result<Duration> {
    let begun = Instant::now();
    let request = Request::get("/v1/models");
    // Who speaks HTTP/1.1 leaves at once, so that its connection is nobody's memory.
    let closes = caller.version() == Version::H1;
    let request = if closes { request.with("connection", "close") } else { request };
    let answer = caller.send(&request).await?;
    ensure!(answer.status == 200, "an honest caller gets {}: {}", answer.status, answer.text());
    Ok(begun.elapsed())
}

/// What honest callers may notice of an attack: twice the time (F-01, F-13), and what other tests on the same machine may add.
pub(crate) fn check_honest(rest: Duration, beside: Duration) -> Result<()> {
    let most = rest * 2 + Duration::from_millis(250);
    ensure!(beside <= most, "an honest request took {beside:?}, and {rest:?} at rest");
    Ok(())
}
