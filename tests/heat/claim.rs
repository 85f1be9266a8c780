//! The governor of the core against simulated cards, with and without it.
//!
//! Knows the loop (arrivals, queue, engine, card, and the core's judge, predictor and governor), the three regimes and what is promised in
//! each. Refuses to know any card's numbers and the clock. Invariant: with and without the governor all else is the same: arrivals, seeds,
//! queue, patience, engine.

mod arrivals;
mod assumed;
mod judged;
mod levels;
mod regimes;
mod report;
mod rig;
mod steward;
mod tally;

pub use arrivals::{Arrivals, Mix};
pub use assumed::{Seen, Varied, assumed};
pub use judged::{Pair, Promise, Verdict, judge};
pub use levels::{Level, levels};
pub use regimes::{Regime, Trial, trials, trials_of};
pub use report::{Pages, report};
pub use rig::{FEW, MOST, Run, run};
pub use tally::Tally;
pub(crate) use tally::percentile;
