//! Peers that mean harm, one kind of attack a file; each prints the figure that it is judged by.
//!
//! Knows the bytes that an attacker would send. Refuses to know the daemon's code. Invariants: every attack is bounded in
//! count and time, goes to a daemon of its own, and ends with an honest caller who is served.
#![expect(
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test crate: a panic is a failed test, and figures are printed"
)]

mod amplification;
mod browser;
mod busy;
mod early_data;
mod exhaustion;
mod floods;
mod fragments;
mod giant;
mod h3_defects;
mod handshakes;
mod hello;
mod moving;
mod probes;
mod silence;
mod slow;
mod smuggling;
mod strangers;
mod support;
