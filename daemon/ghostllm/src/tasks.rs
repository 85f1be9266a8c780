//! What runs beside the requests.
//!
//! Knows how background tasks are started, watched and ended. Refuses to know requests. Invariant: every task of the
//! program has a name and a policy, and stands in the list of [`supervisor`].

pub mod engine;
pub mod reload;
pub mod state;
pub mod supervisor;
pub(crate) mod watchdog;
