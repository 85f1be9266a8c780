//! The real clients that people use, each in its own process, against the daemon over real sockets.
//!
//! Knows the clients' command lines and their scripts (one file for each client, beside this one). Refuses to know the
//! daemon's code. Invariants: every certificate is checked against the box's own CA; each test prints the client's name
//! and version with its figure; a client that cannot be had is skipped by name and counted.
#![expect(clippy::indexing_slicing, clippy::print_stdout, reason = "a test crate: a panic is a failed test")]

mod curl;
mod draining;
mod everyday;
mod failures;
mod libraries;
mod openapi;
mod order;
mod page;
mod refusals;
