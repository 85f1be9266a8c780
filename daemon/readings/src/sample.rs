//! What a card has said at one moment.
//!
//! Knows every reading's unit, and why one may be missing. Refuses to know who reads it, and with what. Invariant: a value that was not
//! read is never a number; it is an [`Absent`] that says why.

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
    /// The same of the machine's processor, which stands where there is no card and has little of what cards have.
    #[error("this processor does not tell it")]
    Processor,
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
    #[error("it is lost")]
    Lost,
    /// It has no memory of its own.
    #[error("it shares the machine's memory")]
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
    /// A row could not be replaced: there is no good spare one for it.
    pub rows_failed: Reading<bool>,
    /// Pages of the memory that are no longer used.
    pub pages_retired: Reading<u32>,
    /// The last Xid event; none where there was none.
    pub xid: Reading<Option<Xid>>,
}

/// An Xid event (NVIDIA's "Xid Errors").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Xid {
    /// Which.
    pub number: u32,
    /// When it was heard of, by the clock of [`Sample::at`].
    pub at: Duration,
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

/// How far a card is from what it does about its heat, in degrees Celsius: the nearest of all its sensors. Below 0 it is beyond.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Margins {
    /// To the first that makes it slower, be it by its driver or by its hardware.
    pub slower: Option<f32>,
    /// To where its hardware slows it down.
    pub slowdown: Option<f32>,
    /// To where it switches itself off.
    pub shutdown: Option<f32>,
}

impl Sensor {
    /// One that tells nothing, for this reason.
    #[must_use]
    pub fn missing(why: Absent) -> Self {
        Self { celsius: Err(why), to_soft: Err(why), to_slowdown: Err(why), to_shutdown: Err(why) }
    }

    fn margins(&self) -> Margins {
        let known = |reading: Reading<f32>| reading.ok().filter(|degrees| degrees.is_finite());
        let slowdown = known(self.to_slowdown);
        Margins {
            slower: nearest(known(self.to_soft), slowdown),
            slowdown,
            shutdown: known(self.to_shutdown),
        }
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
                rows_failed: Err(why),
                pages_retired: Err(why),
                xid: Err(why),
            },
            tenants: Tenants { processes: Err(why), instances: Err(why) },
        }
    }

    /// How far it is from slowing down and from switching off, by its nearest sensor.
    #[must_use]
    pub fn margins(&self) -> Margins {
        [&self.gpu, &self.memory_heat, &self.hotspot].into_iter().map(Sensor::margins).fold(
            Margins::default(),
            |all, one| Margins {
                slower: nearest(all.slower, one.slower),
                slowdown: nearest(all.slowdown, one.slowdown),
                shutdown: nearest(all.shutdown, one.shutdown),
            },
        )
    }

    /// How many degrees Celsius are left to the nearest of all its limits; none where none is known.
    #[must_use]
    pub fn nearest(&self) -> Option<f32> {
        let Margins { slower, shutdown, .. } = self.margins();
        nearest(slower, shutdown)
    }

    /// The card is lost: its temperature and its clocks' reasons are missing, and one of them for that; or its driver has said so by the Xid
    /// event 79, "GPU has fallen off the bus" (NVIDIA's "Xid Errors"), whatever it still answers.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        if self.faults.xid.ok().flatten().is_some_and(|xid| xid.number == FALLEN_OFF) {
            return true;
        }
        let (heat, reasons) = (self.gpu.celsius.err(), self.throttles.err());
        heat.is_some() && reasons.is_some() && (heat == Some(Absent::Lost) || reasons == Some(Absent::Lost))
    }
}

/// The Xid event of a card that has fallen off the bus.
const FALLEN_OFF: u32 = 79;

fn nearest(one: Option<f32>, other: Option<f32>) -> Option<f32> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Absent, Margins, Sample, Sensor, Xid};
    use crate::throttle::Throttles;

    #[test]
    fn the_nearest_sensor_counts_and_what_is_missing_does_not() {
        let mut sample = Sample::missing(Duration::ZERO, Absent::Unsupported);
        assert_eq!((sample.margins(), sample.nearest()), (Margins::default(), None));
        // A GeForce as in ollama/ollama#6163: 77 °C, driver from 88, hardware from 97, off at 100.
        sample.gpu =
            Sensor { celsius: Ok(77.0), to_soft: Ok(11.0), to_slowdown: Ok(20.0), to_shutdown: Ok(23.0) };
        let chip = Margins { slower: Some(11.0), slowdown: Some(20.0), shutdown: Some(23.0) };
        assert_eq!(sample.margins(), chip);
        sample.memory_heat.to_slowdown = Ok(4.0);
        let with_memory = Margins { slower: Some(4.0), slowdown: Some(4.0), shutdown: Some(23.0) };
        assert_eq!(sample.margins(), with_memory);
        assert_eq!(sample.nearest(), Some(4.0));
        sample.hotspot.to_shutdown = Ok(2.0);
        assert_eq!(sample.nearest(), Some(2.0), "where it switches itself off is a limit as well");
        sample.hotspot.to_shutdown = Ok(f32::NAN);
        assert_eq!(sample.margins(), with_memory, "what is no number counts for nothing");
    }

    #[test]
    fn is_lost_only_if_it_says_so_and_nothing_else() {
        let mut sample = Sample::missing(Duration::ZERO, Absent::Lost);
        assert!(sample.is_lost());
        sample.throttles = Ok(Throttles::default());
        assert!(!sample.is_lost(), "it answers");
        let xid = |number| Ok(Some(Xid { number, at: Duration::ZERO }));
        sample.faults.xid = xid(31);
        assert!(!sample.is_lost(), "another fault");
        sample.faults.xid = xid(79);
        assert!(sample.is_lost(), "its driver says so");
        assert!(!Sample::missing(Duration::ZERO, Absent::Late).is_lost());
    }
}
