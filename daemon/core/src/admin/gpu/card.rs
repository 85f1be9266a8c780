//! One card.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{GpuState, reading::GpuReading};
use crate::heat::Reason;

/// A card, as it was seen last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GpuCard {
    /// Its number here, from 0, by which its history is asked for. NVIDIA's cards come first, counted as `nvidia-smi` does.
    pub index: u32,
    /// What is the same after every restart: `GPU-…`, or its place on the bus; null before it has answered, as what follows.
    pub uuid: Option<String>,
    /// The product's name.
    pub name: Option<String>,
    /// Who has made it.
    pub maker: GpuMaker,
    /// Its place on the PCIe bus, `0000:01:00.0`; null where it has none.
    pub pci: Option<String>,
    /// The driver and its version.
    pub driver: Option<String>,
    /// What it is.
    pub state: GpuState,
    /// Since when it is in that state; null before it has answered.
    pub since: Option<String>,
    /// Why its clocks are not the highest, the most harmless first; empty where they are. `slowdown` is not among them where
    /// another says why.
    pub throttles: GpuReading<Vec<GpuThrottle>>,
    /// How many degrees it is from what it does about its heat, by the nearest of its sensors.
    pub margins: GpuMargins,
    /// When it gets slower, if its load and its fan stay as they are.
    pub slower: GpuSlower,
    /// The chip's temperature.
    pub gpu: GpuSensor,
    /// That of its memory, the hottest of it.
    pub memory_heat: GpuSensor,
    /// That of the chip's hottest place (AMD: junction).
    pub hotspot: GpuSensor,
    /// What it draws.
    pub power: GpuPower,
    /// Its clocks.
    pub clocks: GpuClocks,
    /// How busy it is.
    pub utilisation: GpuUtilisation,
    /// Its memory.
    pub memory: GpuMemory,
    /// Its fan's speed, in percent of the highest; some go beyond 100.
    pub fan: GpuReading<u8>,
    /// Its PCIe link.
    pub link: GpuLink,
    /// What is broken, or has been.
    pub faults: GpuFaults,
    /// The parts that it is cut into.
    pub instances: GpuInstances,
    /// Who computes on it.
    pub processes: GpuProcesses,
    /// How old the last answer is, in seconds; null before the first.
    pub age_s: Option<f64>,
    /// For how many seconds it has not answered; null where it has in time.
    pub late_s: Option<f64>,
}

/// Whose driver is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GpuMaker {
    /// NVIDIA's, through NVML.
    Nvidia,
    /// AMD's, through the files of `amdgpu`.
    Amd,
    /// Intel's, through the files of `i915` or `xe`.
    Intel,
    /// No card: the thermal zones of the machine's processor.
    Processor,
}

/// One reason for clocks below the highest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GpuThrottle {
    /// Which.
    pub reason: GpuReason,
    /// The same for people, `it is at its power limit`.
    pub words: String,
}

/// Why clocks are below the highest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GpuReason {
    /// Nothing to do.
    Idle,
    /// Somebody, or a display, has set the clocks.
    Setting,
    /// At its power limit, which is where a busy card runs.
    PowerCap,
    /// At the current that its supply may give.
    Current,
    /// Waits for other cards that are to run as fast as it does.
    Sync,
    /// The hardware has slowed it down and does not say why.
    Slowdown,
    /// The machine's power supply has pulled the brake.
    Brake,
    /// The driver keeps it at a temperature.
    SoftHeat,
    /// The hardware has slowed it down, by half or more, because it is hot.
    HardHeat,
    /// One that this version does not know.
    Other,
}

impl From<Reason> for GpuReason {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Idle => Self::Idle,
            Reason::Setting => Self::Setting,
            Reason::PowerCap => Self::PowerCap,
            Reason::Current => Self::Current,
            Reason::Sync => Self::Sync,
            Reason::Slowdown => Self::Slowdown,
            Reason::Brake => Self::Brake,
            Reason::SoftHeat => Self::SoftHeat,
            Reason::HardHeat => Self::HardHeat,
            Reason::Other => Self::Other,
        }
    }
}

/// Degrees Celsius; below 0 it is beyond, and null where no sensor tells.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct GpuMargins {
    /// To the first that makes it slower, be it by its driver or by its hardware.
    pub slower: Option<f64>,
    /// To where its hardware slows it down.
    pub slowdown: Option<f64>,
    /// To where it switches itself off.
    pub shutdown: Option<f64>,
}

/// When a card gets slower.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GpuSlower {
    /// What is foretold.
    pub outlook: GpuOutlook,
    /// In so many seconds; 0 where it is so already, null where it is not foretold.
    pub seconds: Option<f64>,
    /// At the earliest.
    pub earliest_s: Option<f64>,
    /// At the latest; null where that is beyond the ten minutes that are foretold.
    pub latest_s: Option<f64>,
}

/// What is foretold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GpuOutlook {
    /// Too few readings for a word.
    Unknown,
    /// Not within ten minutes.
    Never,
    /// Soon.
    Soon,
    /// It is so already.
    Reached,
}

/// A place on the card whose temperature is measured. Margins are degrees Celsius from it; below 0 it is hotter than that.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GpuSensor {
    /// Degrees Celsius.
    pub celsius: GpuReading<f64>,
    /// To where the driver begins to lower clocks.
    pub to_soft: GpuReading<f64>,
    /// To where the hardware slows itself down.
    pub to_slowdown: GpuReading<f64>,
    /// To where it switches itself off.
    pub to_shutdown: GpuReading<f64>,
}

impl GpuSensor {
    /// Degrees Celsius to the first that makes the card slower, be it by its driver or by its hardware; none where neither is known.
    #[must_use]
    pub fn to_slower(&self) -> Option<f64> {
        let known = [&self.to_soft, &self.to_slowdown].into_iter().filter_map(GpuReading::value);
        known.copied().min_by(f64::total_cmp)
    }
}

/// Where a card's temperature is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GpuPlace {
    /// The chip.
    Chip,
    /// Its memory.
    Memory,
    /// The chip's hottest place.
    Hotspot,
}

impl GpuPlace {
    /// All of them; of those that are as near to where a card gets slower, the first is told.
    pub const ALL: [Self; 3] = [Self::Chip, Self::Memory, Self::Hotspot];

    /// What people call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Chip => "chip",
            Self::Memory => "memory",
            Self::Hotspot => "hotspot",
        }
    }
}

impl GpuCard {
    /// What is measured there.
    #[must_use]
    pub fn sensor(&self, place: GpuPlace) -> &GpuSensor {
        match place {
            GpuPlace::Chip => &self.gpu,
            GpuPlace::Memory => &self.memory_heat,
            GpuPlace::Hotspot => &self.hotspot,
        }
    }

    /// The place by which it is nearest to where it gets slower: the one to be told with [`GpuMargins::slower`]. The chip where none tells.
    #[must_use]
    pub fn nearest(&self) -> GpuPlace {
        let told = GpuPlace::ALL.into_iter().filter_map(|place| {
            let sensor = self.sensor(place);
            sensor.celsius.value().and(sensor.to_slower()).map(|margin| (place, margin))
        });
        told.min_by(|(_, one), (_, other)| one.total_cmp(other)).map_or(GpuPlace::Chip, |(place, _)| place)
    }
}

/// What it draws.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GpuPower {
    /// Watts.
    pub watts: GpuReading<f64>,
    /// The limit that is in force, in watts.
    pub limit: GpuReading<f64>,
    /// Millijoules since the driver was loaded.
    pub millijoules: GpuReading<u64>,
}

/// Clocks, in MHz.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GpuClocks {
    /// Of what computes.
    pub core: GpuReading<u32>,
    /// The highest of that.
    pub core_most: GpuReading<u32>,
    /// Of its memory.
    pub memory: GpuReading<u32>,
    /// The highest of that.
    pub memory_most: GpuReading<u32>,
}

/// How busy it is, in percent of the time since the driver last looked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GpuUtilisation {
    /// What computes.
    pub core: GpuReading<u8>,
    /// Its memory's controller.
    pub memory: GpuReading<u8>,
}

/// Its own memory, in bytes; missing where it shares the machine's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GpuMemory {
    /// All of it.
    pub total: GpuReading<u64>,
    /// What is in use.
    pub used: GpuReading<u64>,
    /// The machine's, where it shares that; null where it has its own, or tells nothing of it.
    pub shared: Option<GpuShared>,
}

/// The machine's memory, as a card has it that shares it: with all that runs there. In bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GpuShared {
    /// All of it (proc_meminfo(5): `MemTotal`).
    pub total: u64,
    /// What is in use, by whomever: all but what programs can still have (`MemAvailable`).
    pub used: u64,
}

/// A PCIe link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GpuLink {
    /// The generation; an idle card lowers it.
    pub generation: GpuReading<u8>,
    /// The highest that the card and the slot can.
    pub generation_most: GpuReading<u8>,
    /// Lanes.
    pub lanes: GpuReading<u8>,
    /// The most that the card and the slot can.
    pub lanes_most: GpuReading<u8>,
}

/// What is broken, or has been.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GpuFaults {
    /// Errors of the memory (ECC) that were corrected, since the driver was loaded.
    pub ecc_corrected: GpuReading<u64>,
    /// Those that were not.
    pub ecc_uncorrected: GpuReading<u64>,
    /// Rows of the memory that were replaced by spare ones.
    pub rows_remapped: GpuReading<u32>,
    /// Whether rows will be, at the next reset.
    pub rows_pending: GpuReading<bool>,
    /// Whether a row could not be: there is no good spare one for it.
    pub rows_failed: GpuReading<bool>,
    /// Pages of the memory that are no longer used.
    pub pages_retired: GpuReading<u32>,
    /// The last of NVIDIA's Xid events; its value is null where there was none.
    pub xid: GpuReading<Option<u32>>,
    /// How many seconds ago that was; null where there was none.
    pub xid_age_s: Option<f64>,
}

/// The parts that a card is cut into (NVIDIA: MIG).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GpuInstances {
    /// How many.
    pub count: GpuReading<u32>,
    /// One by one.
    pub list: Vec<GpuInstance>,
}

/// A part of a card that is used like a card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GpuInstance {
    /// Its number on the card, from 0.
    pub index: u32,
    /// Its memory in bytes.
    pub total: GpuReading<u64>,
    /// What of that is in use.
    pub used: GpuReading<u64>,
}

/// Who computes on a card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GpuProcesses {
    /// How many there are.
    pub count: GpuReading<u32>,
    /// The first 32 of them.
    pub list: Vec<GpuProcess>,
}

/// A process that computes on a card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GpuProcess {
    /// Its number, as the driver counts; in a container that is not what a program there sees.
    pub pid: u32,
    /// What it is called; null where that is not to be seen.
    pub name: Option<String>,
    /// The card's memory that it uses, in bytes.
    pub bytes: GpuReading<u64>,
    /// The instance that it runs on; null where the card is in one piece.
    pub instance: Option<u32>,
}
