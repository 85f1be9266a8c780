//! How much memory is in use.
//!
//! Knows the allocator's counters. Invariant: what is measured is what was asked for and not given back, by the whole
//! process; so whoever measures leaves some room for others.

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Room for what a test's harness allocates beside us, in bytes.
pub(crate) const OTHERS: usize = 1024;

/// Bytes in use now.
pub(crate) fn in_use() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated.saturating_sub(stats.bytes_deallocated)
}
