//! What reads a peer's bytes, a person's file or a damaged disk's, held against arbitrary bytes.
//!
//! One module a reader. Each `check` takes any bytes, gives them to the reader whole and in pieces, and panics where a
//! property does not hold: mostly, where a second reading, written here and as plain as can be, says otherwise. Refuses
//! to know libFuzzer, which calls it from `targets/`, so that the seeds are tests of the ordinary suite as well.
//! Invariant: the same bytes give the same verdict; nothing here draws a number or asks a clock.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a panic is how a property says that it does not hold"
)]

pub mod api_key;
pub mod authority;
pub mod config;
pub mod h3_gate;
pub mod ndjson;
pub mod ollama_json;
pub mod openai_json;
pub mod responses_json;
pub mod sse;
pub mod state;
pub mod tool_text;

mod h3_server;
mod memory;
mod pieces;

/// The edge's readers, compiled where they lie. As a dependency the edge would bring its TLS, whose C takes longer to
/// compile than every target has to run; and they are private, as they should be. What of their files is not needed
/// here is unused.
#[path = "../../daemon/edge/src"]
mod edge {
    #[expect(dead_code, unreachable_pub, reason = "read in place")]
    pub(crate) mod connection;
    #[expect(dead_code, unreachable_pub, unused_imports, reason = "read in place")]
    pub(crate) mod guard;
}
#[path = "../../daemon/edge/src/h3/gate.rs"]
mod gate;
#[expect(clippy::duplicate_mod, reason = "the guard keeps its own to itself")]
#[path = "../../daemon/edge/src/guard/authority.rs"]
mod host_port;
#[path = "../../daemon/edge/src/h3/section.rs"]
mod section;

// What the edge's files call their crate's own.
use edge::connection::{Connection, Transport};
