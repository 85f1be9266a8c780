//! The daemon as a library: what `ghostllm serve` is made of.
//!
//! Joins the rooms: it knows the core, the edge and the cards, but not their internals. `app` builds, runs and
//! drains; `pipeline` is a request's life, top to bottom.
#![forbid(unsafe_code)]

mod access;
pub mod admin;
mod apart;
pub mod app;
mod ask;
pub mod backend;
mod bench;
mod cards;
pub mod certificates;
pub mod cli;
mod date;
mod dumps;
mod errand;
mod exit;
mod gate;
pub mod host;
mod inspect;
pub mod log;
mod metrics;
pub mod pipeline;
mod process;
mod secrets;
mod stamp;
pub mod store;
pub mod tasks;
mod trace;
