//! What the cards say of their heat, what it means, what comes of it, and what is done about it.
//!
//! Knows what a reading is ([`Sample`]), which state a card is in ([`Judge`]), how soon it will slow itself down ([`Predictor`]), what
//! it has been through ([`History`]), what of that is kept for later ([`flight`]) and how many requests may run at once ([`Governor`]).
//! Refuses to know how a card is asked: that is the gpu room's, which says what it has read in the same words (`ghostllm-readings`). Refuses
//! to know the clock: every moment is a [`Duration`](std::time::Duration) since an instant that the caller has chosen once, and never goes
//! back. Invariant: the same readings at the same moments give the same decisions, nothing here allocates but [`History::boxed`], once, and
//! a record that is given out, and what was not read is never taken for cool.

pub mod flight;
mod governor;
mod history;
mod judge;
mod predict;

pub use ghostllm_readings::{
    Absent, Clocks, Faults, Link, Margins, Memory, Power, Reading, Reason, Sample, Sensor, Tenants,
    Throttles, Utilisation, Xid,
};
pub(crate) use governor::STEP_MOST;
pub use governor::{ByClass, Cause, Decision, Gate, Governor, Moment, Policy};
pub use history::{FINE, History, MINUTES, Minute, Point};
pub use judge::{Bounds, Judge, State, Verdict};
pub use predict::{HORIZON, Outlook, Prediction, Predictor, Span};
