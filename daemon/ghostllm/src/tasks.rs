//! What runs beside the requests.
//!
//! Knows how background tasks are started, watched and ended. Refuses to know requests. Invariant: every task of the
//! program has a name and a policy, and stands in the list of [`supervisor`].

pub(crate) mod alerts;
pub mod engine;
pub(crate) mod health;
pub(crate) mod heat;
pub mod reload;
pub(crate) mod room;
pub mod state;
pub mod supervisor;
pub(crate) mod usage;
pub(crate) mod watchdog;
