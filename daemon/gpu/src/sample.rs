//! What a card has said at one moment.
//!
//! Knows every reading's unit, and why one may be missing; the core's readings of heat have the same form, and the program says one in terms
//! of the other. Refuses to judge. Invariant: a value that was not read is never a number; it is an [`Absent`] that says why.

use std::time::Duration;

use crate::throttle::Throttles;

/// Why a value was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Absent {
    /// Nobody has asked for it.
    #[error("it was not asked for")]
    NotAsked,
    /// The card has no such thing, or its driver does not tell it.
    #[error("this card does not tell it")]
    Unsupported,
    /// The driver is older than the question.
    #[error("this driver is too old to tell it; a newer one may")]
    OldDriver,
    /// Only others may ask.
    #[error("this user may not ask for it")]
    Forbidden,
    /// It was told in a form that this version cannot read, as a `gpu_metrics` of an unknown revision.
    #[error("the driver tells it in a form that is not known here; a newer version of GhostLLM may read it")]
    UnknownForm,
    /// The driver has not answered in time.
    #[error("the driver did not answer in time")]
    Late,
    /// The card has fallen off the bus, or must be reset.
    #[error("the card is lost")]
    Lost,
    /// The card has no memory of its own.
    #[error("the card shares the machine's memory")]
    SharesMemory,
    /// The driver has failed otherwise.
    #[error("the driver failed to tell it")]
    Failed,
}

/// A value, or why it is missing.
pub type Reading<T> = Result<T, Absent>;

/// A place on the card whose temperature is measured. Margins are in degrees Celsius, and below 0 where it is hotter than that.
///
/// They and not the thresholds are kept, since newer cards tell nothing else: NVML's T.Limit (Ada and later) is `to_soft`, and less its
/// own slowdown and shutdown limits (-2 on an H100, `NVML_FI_DEV_TEMPERATURE_SLOWDOWN_TLIMIT`) it is the other two. A threshold is the
/// temperature and the margin together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sensor {
    /// Degrees Celsius now.
    pub celsius: Reading<f32>,
    /// To where the driver begins to lower clocks. NVML: `GPU_MAX`, `MEM_MAX`; a CPU's zone: its passive trip point.
    pub to_soft: Reading<f32>,
    /// To where the hardware slows itself down. NVML: `SLOWDOWN`; amdgpu's hwmon: `tempN_crit`.
    pub to_slowdown: Reading<f32>,
    /// To where it switches itself off. NVML: `SHUTDOWN`; amdgpu's hwmon: `tempN_emergency`; a CPU's zone: its critical trip point.
    pub to_shutdown: Reading<f32>,
}

/// What it draws.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Power {
    /// Watts now.
    pub watts: Reading<f32>,
    /// The limit that is in force, in watts.
    pub limit: Reading<f32>,
    /// Millijoules since the driver was loaded.
    pub millijoules: Reading<u64>,
}

/// Clocks, in MHz.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clocks {
    /// Of what computes (NVIDIA: SM).
    pub core: Reading<u32>,
    /// The highest of that.
    pub core_most: Reading<u32>,
    /// Of its memory.
    pub memory: Reading<u32>,
    /// The highest of that.
    pub memory_most: Reading<u32>,
}

/// How busy it is, in percent of the time since the driver last looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Utilisation {
    /// What computes.
    pub core: Reading<u8>,
    /// Its memory's controller.
    pub memory: Reading<u8>,
}

/// Its own memory, in bytes; [`Absent::SharesMemory`] where it has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// All of it.
    pub total: Reading<u64>,
    /// What is in use.
    pub used: Reading<u64>,
}

/// Its PCIe link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// The generation now; an idle card lowers it.
    pub generation: Reading<u8>,
    /// The highest that the card and the slot can.
    pub generation_most: Reading<u8>,
    /// Lanes now.
    pub lanes: Reading<u8>,
    /// The most that the card and the slot can.
    pub lanes_most: Reading<u8>,
}

/// What is broken or has been.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Faults {
    /// Errors of the memory that were corrected, since the driver was loaded.
    pub corrected: Reading<u64>,
    /// Those that were not.
    pub uncorrected: Reading<u64>,
    /// Rows of the memory that were replaced by spare ones.
    pub rows_remapped: Reading<u32>,
    /// Rows that will be, at the next reset.
    pub rows_pending: Reading<bool>,
    /// Pages of the memory that are no longer used.
    pub pages_retired: Reading<u32>,
    /// The last Xid event (NVIDIA's "Xid Errors"); none where there was none.
    pub xid: Reading<Option<u32>>,
}

/// Who uses it; names and sizes are no part of a sample, since a sample has one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tenants {
    /// Processes that compute on it.
    pub processes: Reading<u32>,
    /// MIG instances that it is cut into.
    pub instances: Reading<u32>,
}

/// What one card has said at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// When it was asked.
    pub at: Duration,
    /// The chip.
    pub gpu: Sensor,
    /// Its memory, the hottest of it.
    pub memory_heat: Sensor,
    /// The chip's hottest place (AMD: junction).
    pub hotspot: Sensor,
    /// What it draws.
    pub power: Power,
    /// Its clocks.
    pub clocks: Clocks,
    /// Why these are not the highest.
    pub throttles: Reading<Throttles>,
    /// How busy it is.
    pub utilisation: Utilisation,
    /// Its memory.
    pub memory: Memory,
    /// Its fan's speed, in percent of the highest; some go beyond 100.
    pub fan: Reading<u8>,
    /// Its PCIe link.
    pub link: Link,
    /// What is broken.
    pub faults: Faults,
    /// Who uses it.
    pub tenants: Tenants,
}

impl Sensor {
    /// One that tells nothing, for this reason.
    #[must_use]
    pub fn missing(why: Absent) -> Self {
        Self { celsius: Err(why), to_soft: Err(why), to_slowdown: Err(why), to_shutdown: Err(why) }
    }

    /// The smallest of its margins.
    fn nearest(&self) -> Option<f32> {
        [self.to_soft, self.to_slowdown, self.to_shutdown]
            .into_iter()
            .filter_map(Result::ok)
            .filter(|degrees| degrees.is_finite())
            .reduce(f32::min)
    }
}

impl Sample {
    /// One of a card that tells nothing, for this reason. What is read is then put in.
    #[must_use]
    pub fn missing(at: Duration, why: Absent) -> Self {
        let sensor = Sensor::missing(why);
        Self {
            at,
            gpu: sensor,
            memory_heat: sensor,
            hotspot: sensor,
            power: Power { watts: Err(why), limit: Err(why), millijoules: Err(why) },
            clocks: Clocks { core: Err(why), core_most: Err(why), memory: Err(why), memory_most: Err(why) },
            throttles: Err(why),
            utilisation: Utilisation { core: Err(why), memory: Err(why) },
            memory: Memory { total: Err(why), used: Err(why) },
            fan: Err(why),
            link: Link {
                generation: Err(why),
                generation_most: Err(why),
                lanes: Err(why),
                lanes_most: Err(why),
            },
            faults: Faults {
                corrected: Err(why),
                uncorrected: Err(why),
                rows_remapped: Err(why),
                rows_pending: Err(why),
                pages_retired: Err(why),
                xid: Err(why),
            },
            tenants: Tenants { processes: Err(why), instances: Err(why) },
        }
    }

    /// How many degrees Celsius are left to the nearest of all its limits; none where none is known.
    #[must_use]
    pub fn nearest(&self) -> Option<f32> {
        [&self.gpu, &self.memory_heat, &self.hotspot].into_iter().filter_map(Sensor::nearest).reduce(f32::min)
    }

    /// The card is lost: its temperature and its clocks' reasons are missing, and one of them for that.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        let (heat, reasons) = (self.gpu.celsius.err(), self.throttles.err());
        heat.is_some() && reasons.is_some() && (heat == Some(Absent::Lost) || reasons == Some(Absent::Lost))
    }
}
