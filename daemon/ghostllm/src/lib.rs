//! The daemon as a library: build, run, drain. Empty until the edge can listen.

pub mod store;
