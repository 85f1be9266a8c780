//! What every test from outside is made of: doubles of real engines, the daemon as a process, and clients.
//!
//! Knows sockets, processes and the wire formats as they were recorded. Refuses to know the daemon's code: nothing here
//! imports it, so that a fault in its translation cannot be repeated by the test of it.
//! Invariant: no fixed port, and no waiting by time where an event can be waited for.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test crate: a panic is a failed test"
)]

pub mod admin;
pub mod canary;
pub mod causes;
pub mod certificate;
pub mod cgroup;
pub mod client;
pub mod daemon;
pub mod double;
pub mod engine;
pub mod expect;
pub mod kept;
pub mod machine;
pub mod netns;
pub mod nspawn;
pub mod ollama;
pub mod openai;
pub mod other_clock;
pub mod process;
pub mod proxies;
pub mod python;
pub mod queue;
pub mod recording;
pub mod response;
pub mod schema;
pub mod script;
pub mod sheet;
pub mod soak;
pub mod sse;
pub mod strace;
pub mod wire;

use std::path::PathBuf;

/// The program `name` as Cargo built it for the profile that this test runs in (`target/<profile>/name`).
///
/// # Panics
/// When the running executable does not lie in Cargo's target directory, or the program has not been built.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    // Tests lie in target/<profile>/deps, programs beside that directory.
    let profile = test.ancestors().find(|dir| dir.ends_with("deps")).and_then(|deps| deps.parent());
    let dir = profile.unwrap_or_else(|| test.parent().unwrap());
    let program = dir.join(name);
    assert!(
        program.exists(),
        "{} is not built: run `cargo build --release --workspace --bins` first",
        program.display()
    );
    program
}

/// The repository's root, where `.tools/` lies.
#[must_use]
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}
