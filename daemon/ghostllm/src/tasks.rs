//! What runs beside the requests.
//!
//! Knows how background tasks are started, watched and ended. Refuses to know requests. Invariant: every task of the
//! program was started by [`supervisor`], with a name and a policy.

pub mod engine;
pub mod reload;
pub mod supervisor;
pub(crate) mod watchdog;
