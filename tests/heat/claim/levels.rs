//! Tokens for a joule and utilisation, by how many ask at once.
//!
//! Knows a closed loop of 1 to 32 clients on one card in one case. Refuses to know what is promised: nothing is of these. Invariant: as many may
//! run as ask.

use ghostllm_core::heat::{ByClass, Policy};

use super::{Arrivals, Pair, Run, Tally, Trial, run};

/// One level.
#[derive(Debug, Clone)]
pub struct Level {
    /// How many ask at once.
    pub clients: u32,
    /// Without the governor and with it.
    pub pair: Pair,
}

/// 1 to 32 clients, each for so long.
#[must_use]
pub fn levels(trial: &Trial, policy: impl Fn(ByClass<u32>) -> Policy, seconds: f64) -> Vec<Level> {
    let one = |clients| {
        let most = ByClass { interactive: clients, background: 0 };
        let with = |policy: Option<Policy>| -> Tally {
            let arrivals = Arrivals::Closed(clients);
            run(&Run { arrivals, most, policy, ..trial.run(1, seconds) })
        };
        Level { clients, pair: Pair { without: with(None), with: with(Some(policy(most))) } }
    };
    [1, 2, 4, 8, 16, 32].into_iter().map(one).collect()
}
