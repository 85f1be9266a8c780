//! Tokens for a joule and utilisation, by how many run at once.
//!
//! Knows a closed loop around 1 to 32 places on one card in one case. Refuses to know what is promised: nothing is of these. Invariant:
//! of each class half as many more ask as may run, so that somebody always waits and the governor has something to decide.

use ghostllm_core::heat::{ByClass, Policy};

use super::{Arrivals, Pair, Run, Tally, Trial, run};

/// One level.
#[derive(Debug, Clone)]
pub struct Level {
    /// How many run at once, when nothing is in the way: half of them interactive, as where `gpu.interactive` alone is set.
    pub places: u32,
    /// Without the governor and with it.
    pub pair: Pair,
}

/// 1 to 32 places, each for so long.
#[must_use]
pub fn levels(trial: &Trial, policy: impl Fn(ByClass<u32>) -> Policy, seconds: f64) -> Vec<Level> {
    let one = |places: u32| {
        let most = ByClass { interactive: places.div_ceil(2), background: places / 2 };
        let ask = |places: u32| places + places.div_ceil(2);
        let with = |policy: Option<Policy>| -> Tally {
            let (interactive, background) = (ask(most.interactive), ask(most.background));
            let arrivals = Arrivals::Closed(ByClass { interactive, background });
            run(&Run { arrivals, most, policy, ..trial.run(1, seconds) })
        };
        Level { places, pair: Pair { without: with(None), with: with(Some(policy(most))) } }
    };
    [1, 2, 4, 8, 16, 32].into_iter().map(one).collect()
}
