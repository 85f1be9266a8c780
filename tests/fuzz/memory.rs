//! How much memory is in use.
//!
//! Knows the allocator's counters. Invariant: what is measured is what was asked for and not given back, by the whole
//! process; so whoever measures leaves some room for others.

use std::alloc::System;

use ghostllm_core::framing::TooLong;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Room for what a test's harness allocates beside us, in bytes.
const OTHERS: usize = 1024;

/// The limit that readers are made with, and the length of the pieces that they are given.
pub(crate) const LIMIT: usize = 16;
const PIECE: usize = 13;

/// What a reader keeps of a long stream is bounded by its limit, however long the stream is: by so many times what limit and
/// piece have together. `take` gives it a piece and takes out all that is whole.
pub(crate) fn check<R>(
    bytes: &[u8],
    times: usize,
    make: impl FnOnce() -> R,
    mut take: impl FnMut(&mut R, &[u8]) -> Result<(), TooLong>,
) {
    let stream = bytes.repeat(8 * 1024 / bytes.len().max(1));
    let before = in_use();
    let mut reader = make();
    for piece in stream.chunks(PIECE) {
        if take(&mut reader, piece).is_err() {
            return;
        }
        let kept = in_use().saturating_sub(before);
        assert!(kept <= times * (LIMIT + PIECE) + OTHERS, "{kept} bytes are kept, with a limit of {LIMIT}");
    }
}

/// Bytes in use now.
fn in_use() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated.saturating_sub(stats.bytes_deallocated)
}
