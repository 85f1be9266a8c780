//! What the simulator and the claim are held to.

mod frozen;
mod measured;
mod promises;
