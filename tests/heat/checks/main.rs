//! What the simulator and the claim are held to.

mod measured;
