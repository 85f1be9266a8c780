//! The engine: serves GGUF files over OpenAI's wire on a Unix socket.
//!
//! A program of its own, so that the C++ in it can crash without taking the daemon along; it depends on no other room
//! of the house. Knows llama.cpp, chat templates and one socket; refuses to know TLS, keys and who its callers are.
//! Invariant: one thread infers, all others only pass on.
#![forbid(unsafe_code)]

pub mod body;
pub mod dumps;
pub mod error;
pub mod gguf;
pub mod library;
pub mod lifeline;
pub mod limits;
pub mod manager;
pub mod output;
pub mod pulse;
pub mod queue;
pub mod schema;
pub mod serve;
pub mod socket;
pub mod template;
pub mod weight;
pub mod wire;
pub mod worker;
