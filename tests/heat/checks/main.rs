//! What the simulator and the claim are held to.
#![expect(clippy::print_stdout, reason = "each figure is told beside what it is held to")]

mod foretold;
mod frozen;
mod measured;
mod promises;
