//! Simulated cards under a simulated engine, and the figures of what the governor makes of them.
//!
//! Knows how a card heats up, what its driver and its hardware do about that ([`sim`]), and what the real judge, predictor and governor of
//! the core make of it in a closed loop ([`claim`]), and how well that predictor foretells ([`foretold`]). Refuses to know the clock,
//! sockets and files: an hour passes in some milliseconds, and the same seed gives the same figures. Invariant: the cards stand in one file
//! that was frozen before the governor was tuned, and nothing else here has a number of a card.

pub mod claim;
pub mod foretold;
pub mod sim;
