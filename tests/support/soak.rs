//! What a soak judges: each answer, what the daemon has counted and written of it, and where its memory goes.
//!
//! Knows answers, records, figures and moments as values. Refuses to know sockets and processes, so that each judgement can be
//! shown the fault that it is there for (the tests beside each). Invariant: whatever is not shown to be right is wrong.

pub mod ledger;
pub mod slope;
pub mod troubles;
pub mod verdict;
