//! How much of freed memory the allocator may keep.
//!
//! Knows how many threads serve. Refuses to know what they allocate.

use ghostllm_core::config::Limits;

use super::build::threads;

/// As few arenas as serve nobody worse: one for each serving thread. What reads files and checks keys comes and goes on threads of its
/// own, and would leave an arena behind, each with its own holes, for every one that there ever was at once.
const FEWEST: usize = 2;

/// Bounds it; at the start, before there is a second thread.
pub(crate) fn bound(limits: &Limits) {
    ghostllm_sys::bound_heap(threads(limits.threads).max(FEWEST));
}
