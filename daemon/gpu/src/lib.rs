//! What the cards say.
//!
//! Knows NVML. Refuses to know HTTP, the configuration and the clock. Invariant: a machine without cards, without a
//! driver or with a broken one is a value that says why in words; it never stops the program.

mod card;
mod missing;
mod sentence;

pub use card::{Card, cards};
pub use missing::Missing;
pub use sentence::sentence;
