//! What the cards say.
//!
//! Knows NVML, and the kernel's files for cards of AMD and of Intel and for the processor. Refuses to know HTTP, the configuration and what its answers are good for. Invariant: a machine without cards, without a
//! driver or with a broken one is a value that says why in words; it never stops the program, and never keeps who reads waiting.

#![deny(unsafe_code)]

mod card;
mod missing;
mod nvml;
mod others;
mod sampler;
mod sentence;
mod sysfs;
mod who;

pub use card::{Card, cards};
pub use ghostllm_readings::{
    Absent, Clocks, Faults, Link, Margins, Memory, Power, Reading, Reason, Sample, Sensor, Tenants,
    Throttles, Utilisation, Xid,
};
pub use missing::Missing;
pub use others::{Other, others, processor};
pub use sampler::{Options, Sampler, Seen};
pub use sentence::sentence;
pub use who::{INSTANCES, Identity, Instance, Maker, PROCESSES, Process, Who};
