//! The core: what decides.
//!
//! Knows bytes, serde and its formats, and `http` types. Refuses to know tokio, sockets, files, clocks and
//! randomness: time and random bytes enter as arguments. Invariant: the same input gives the same output.
#![forbid(unsafe_code)]

pub mod access;
pub mod admin;
pub mod admission;
pub mod alerts;
pub mod backup;
pub mod cgroup;
pub mod chat;
pub mod completion;
pub mod config;
pub mod conformance;
pub mod dialect;
pub mod embedding;
pub mod error;
pub mod framing;
pub mod heat;
pub mod key;
pub mod metrics;
pub mod openapi;
pub mod places;
pub mod query;
pub mod routes;
pub mod routing;
pub mod state;
pub mod text;
pub mod usage;

pub use error::ApiError;
