//! Hours of what a box goes through: callers of every kind over every HTTP version, while its configuration is read anew, its engines
//! die, hang and come back, its keys are made and revoked, and its clients leave.
//!
//! `just soak HOURS` runs it, and `just test` for three minutes; `--seconds=N` instead of `--hours=H`, `--seed=N` asks the same
//! again, `--program=PATH` takes another daemon. Knows the daemon from outside. Invariants: what an answer must be is known before it
//! is sent for, or follows from what was done to its engine meanwhile; every request is held against the daemon's own record and
//! counters; whatever is not as it should be is told with what was going on, and ends the program with 1.
#![expect(
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "figures are printed; a missing key of JSON is null; a poisoned lock is a defect of the bench"
)]

mod chance;
mod chaos;
mod engine;
mod exchange;
mod lane;
mod mix;
mod report;
mod score;
mod stage;
mod watch;

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result, bail};

/// What a run is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) load: Duration,
    pub(crate) seed: u64,
    pub(crate) program: Option<PathBuf>,
}

impl Plan {
    fn from_arguments() -> Result<Self> {
        // As long as the run of `just test`, with what is before and behind it.
        let mut plan = Self { load: Duration::from_secs(140), seed: 1, program: None };
        for argument in std::env::args().skip(1) {
            let (name, value) = argument.split_once('=').unwrap_or((&argument, ""));
            let number = || value.parse::<f64>().with_context(|| format!("{argument}: no number"));
            match name {
                "--hours" => plan.load = Duration::try_from_secs_f64(number()? * 3600.0)?,
                "--seconds" => plan.load = Duration::try_from_secs_f64(number()?)?,
                "--seed" => plan.seed = value.parse().with_context(|| format!("{argument}: no number"))?,
                "--program" => plan.program = Some(value.into()),
                // Cargo's own.
                "--bench" => {}
                _ => bail!(
                    "{argument} is unknown; there are --hours=H, --seconds=N, --seed=N and --program=PATH"
                ),
            }
        }
        Ok(plan)
    }
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let engine = arguments.first().is_some_and(|role| role == "engine");
    let mut builder = match engine {
        true => tokio::runtime::Builder::new_current_thread(),
        false => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = builder.enable_all().build()?;
    runtime.block_on(async {
        match engine {
            true => engine::serve(&arguments[1..]).await,
            false => report::drive(&Plan::from_arguments()?).await,
        }
    })
}
