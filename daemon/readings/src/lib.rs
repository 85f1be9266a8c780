//! What a card can say at one moment: the words that who asks the cards and who judges them have in common.
//!
//! Knows every reading, its unit, and why one may be missing. Refuses to know who asks (the gpu room), what the answers mean (the core) and
//! in what form they are kept. Invariant: nothing here is done but to say it; no file, no clock, no allocation.
#![forbid(unsafe_code)]

mod sample;
mod throttle;

pub use sample::{
    Absent, Clocks, Faults, Link, Margins, Memory, Power, Reading, Sample, Sensor, Tenants, Utilisation, Xid,
};
pub use throttle::{Reason, Throttles};
