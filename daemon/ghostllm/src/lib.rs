//! The daemon as a library: what `ghostllm serve` is made of.
//!
//! Joins the rooms: it knows the core, the edge and the cards, but not their internals.
#![forbid(unsafe_code)]

pub mod certificates;
pub mod host;
pub mod store;
pub mod tasks;
