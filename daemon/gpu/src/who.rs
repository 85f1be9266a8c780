//! Which card it is, and who uses it.
//!
//! Knows names, processes and instances. Refuses to know what they do. Invariant: who uses it has one size, whatever their number, so that
//! it is told without allocating.

use ghostllm_readings::Reading;

/// Processes that are told one by one; of more, their number is told.
pub const PROCESSES: usize = 32;
/// Instances that are told one by one: NVIDIA cuts a card into seven at the most (MIG User Guide).
pub const INSTANCES: usize = 7;

/// Which way a card is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Maker {
    /// Through NVML.
    Nvidia,
    /// Through the files of `amdgpu`.
    Amd,
    /// Through the files of `i915` or `xe`.
    Intel,
    /// No card: the thermal zones of the machine's processor.
    Processor,
}

/// Which card it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Which way it is asked.
    pub maker: Maker,
    /// The product's name, `NVIDIA H100 80GB HBM3`; where it tells none, what there is to know, as `amdgpu 1002:744c`.
    pub name: String,
    /// What is the same after every restart: `GPU-…`, or the card's place on the bus.
    pub uuid: String,
    /// Its place on the PCIe bus, `0000:01:00.0`; empty where it has none.
    pub bus: String,
    /// The driver and its version.
    pub driver: String,
}

/// A process that computes on a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// Its number, in the namespace of the driver.
    pub pid: u32,
    /// The card's memory that it uses, in bytes.
    pub bytes: Reading<u64>,
    /// The instance that it runs on, where the card is cut into such.
    pub instance: Option<u32>,
}

/// A part of a card that is used like a card (NVIDIA: MIG).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instance {
    /// Its number on the card, counted from 0.
    pub index: u32,
    /// Its memory in bytes.
    pub total: Reading<u64>,
    /// What of that is in use.
    pub used: Reading<u64>,
}

/// Who uses a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Who {
    /// The first [`PROCESSES`] of them.
    pub processes: [Option<Process>; PROCESSES],
    /// The instances.
    pub instances: [Option<Instance>; INSTANCES],
}
