//! One card with an engine on it.
//!
//! Knows heat, power, clocks and how fast tokens come of them. Refuses to know the governor, the queue and the claim. Invariant: it goes on
//! in steps of [`TICK`], and a step is the same whoever asks for it.

mod card;
mod cards;
mod case;
mod device;
mod engine;

pub use card::{Card, Clocks, Fan, Limits, Power, Speed, Thermal};
pub use cards::{A4000, BLACKWELL, CARDS, HELD_BACK, RTX_3090, TUNING, V100};
pub use case::{Case, Failure};
pub use device::{Device, Load, Slowdown};
pub use engine::{Class, Done, Engine, Job};

/// Seconds of a step: shorter than the quickest time constant here (a chip before its sink, seconds) by a factor of twenty and more.
pub const TICK: f64 = 0.1;
