//! One card of AMD, asked through the files of `amdgpu`.
//!
//! Knows which file has which reading (the kernel's Documentation/gpu/amdgpu/thermal.rst, driver-misc.rst and ras.rst). Refuses to know how
//! often it is asked. Invariant: the processor's graphics share the machine's memory, whatever part of it the firmware has set aside.

use std::path::{Path, PathBuf};

use super::{
    card::Round,
    file::{Entry, Reader, once},
    hwmon::{self, Fan, Heat},
    metrics::{Metrics, Told},
};
use ghostllm_readings::{Absent, Clocks, Faults, Memory, Power, Reading, Sample, Throttles, Utilisation};

use crate::who::Maker;

/// Microwatts that a card can draw: 10 kW.
const MICROWATTS: std::ops::RangeInclusive<i64> = 0..=10_000_000_000;
/// Hertz that a clock can have: 100 GHz.
const HERTZ: std::ops::RangeInclusive<i64> = 0..=100_000_000_000;

/// A clock: what it is now, and its steps.
#[derive(Debug)]
struct Clock {
    now: Entry,
    steps: Entry,
}

/// One card.
#[derive(Debug)]
pub(super) struct AmdCard {
    edge: Option<Heat>,
    junction: Option<Heat>,
    memory_heat: Option<Heat>,
    power: [Entry; 2],
    cap: Entry,
    core: Clock,
    memory_clock: Clock,
    busy: Entry,
    memory_busy: Entry,
    total: Entry,
    used: Entry,
    fan: Fan,
    errors: [Entry; 2],
    bad_pages: Entry,
    blob: Entry,
    metrics: Metrics,
    is_apu: bool,
    name: Option<String>,
    unique: Option<String>,
}

impl AmdCard {
    /// The card whose folder this is, `class/drm/card0/device`.
    pub(super) fn open(device: &Path) -> Self {
        let folder = hwmon::folder(&device.join("hwmon"), "amdgpu");
        // A name that is in no folder: whatever is asked of it is not there.
        let sensors: PathBuf = folder.unwrap_or_else(|| device.join("hwmon/none"));
        let (of_sensors, of_device) =
            (|what: &str| Entry::new(sensors.join(what)), |what: &str| Entry::new(device.join(what)));
        let said = |what: &str| once(&device.join(what)).filter(|said| !said.is_empty());
        Self {
            edge: Heat::labelled(&sensors, "edge"),
            junction: Heat::labelled(&sensors, "junction"),
            memory_heat: Heat::labelled(&sensors, "mem"),
            power: ["power1_average", "power1_input"].map(of_sensors),
            cap: of_sensors("power1_cap"),
            core: Clock { now: of_sensors("freq1_input"), steps: of_device("pp_dpm_sclk") },
            memory_clock: Clock { now: of_sensors("freq2_input"), steps: of_device("pp_dpm_mclk") },
            busy: of_device("gpu_busy_percent"),
            memory_busy: of_device("mem_busy_percent"),
            total: of_device("mem_info_vram_total"),
            used: of_device("mem_info_vram_used"),
            fan: Fan::of(&sensors),
            errors: ["ras/umc_err_count", "ras/aca_umc"].map(of_device),
            bad_pages: of_device("ras/gpu_vram_bad_pages"),
            blob: of_device("gpu_metrics"),
            metrics: Metrics::default(),
            // Only these tell the voltage of the northbridge (thermal.rst: "vddnb, APU only").
            is_apu: once(&sensors.join("in1_label")).as_deref() == Some("vddnb"),
            name: said("product_name"),
            unique: said("unique_id").filter(|unique| unique.bytes().any(|digit| digit != b'0')),
        }
    }

    fn memory(&mut self, reader: &mut Reader) -> Memory {
        let total = if self.is_apu { Ok(0) } else { reader.count(&mut self.total) };
        match total {
            Ok(0) => Memory { total: Err(Absent::SharesMemory), used: Err(Absent::SharesMemory) },
            total => Memory { total, used: reader.count(&mut self.used) },
        }
    }

    fn faults(&mut self, reader: &mut Reader) -> Faults {
        let errors = reader.either(&mut self.errors, |reader, entry| {
            let text = reader.text(entry)?;
            Ok((labelled(text, "ce:"), labelled(text, "ue:")))
        });
        let none = Err(Absent::Unsupported);
        Faults {
            corrected: errors.and_then(|(corrected, _)| corrected),
            uncorrected: errors.and_then(|(_, uncorrected)| uncorrected),
            rows_remapped: none,
            rows_pending: Err(Absent::Unsupported),
            rows_failed: Err(Absent::Unsupported),
            pages_retired: pages(reader, &mut self.bad_pages),
            xid: Err(Absent::Unsupported),
        }
    }

    fn blob(&mut self, reader: &mut Reader) -> (Reading<Throttles>, Reading<u64>) {
        let metrics = &mut self.metrics;
        let told = match reader.bytes(&mut self.blob) {
            Ok(blob) => metrics.told(blob),
            Err(why) => Told::missing(why),
        };
        self.is_apu |= told.is_apu;
        (told.throttles, told.millijoules)
    }
}

impl Round for AmdCard {
    fn round(&mut self, reader: &mut Reader, sample: &mut Sample, whole: bool) {
        sample.gpu = hwmon::sensor(&mut self.edge, reader, whole);
        sample.hotspot = hwmon::sensor(&mut self.junction, reader, whole);
        sample.memory_heat = hwmon::sensor(&mut self.memory_heat, reader, whole);
        let (throttles, millijoules) = self.blob(reader);
        sample.throttles = throttles;
        sample.power = Power {
            watts: reader.either(&mut self.power, watts),
            limit: if whole {
                watts(reader, &mut self.cap).and_then(hwmon::above_0)
            } else {
                sample.power.limit
            },
            millijoules,
        };
        let (core, core_most) = self.core.told(reader, whole, sample.clocks.core_most);
        let (memory, memory_most) = self.memory_clock.told(reader, whole, sample.clocks.memory_most);
        sample.clocks = Clocks { core, core_most, memory, memory_most };
        sample.utilisation = Utilisation {
            core: percent(reader, &mut self.busy),
            memory: percent(reader, &mut self.memory_busy),
        };
        sample.memory = self.memory(reader);
        sample.fan = self.fan.percent(reader);
        if whole {
            sample.faults = self.faults(reader);
            sample.tenants = super::card::nobody();
        }
    }

    fn maker(&self) -> Maker {
        Maker::Amd
    }

    fn name(&self) -> Option<String> {
        self.name.clone()
    }

    fn uuid(&self) -> Option<String> {
        self.unique.clone()
    }
}

impl Clock {
    /// Now, and the highest, which is asked when the whole is.
    fn told(&mut self, reader: &mut Reader, whole: bool, most: Reading<u32>) -> (Reading<u32>, Reading<u32>) {
        let hertz = reader.number(&mut self.now, HERTZ);
        let now =
            hertz.and_then(|hertz| u32::try_from(hertz / 1_000_000).map_err(|_too_many| Absent::Failed));
        if !whole && now.is_ok() {
            return (now, most);
        }
        let (marked, highest) = match reader.text(&mut self.steps) {
            Ok(text) => steps(text),
            Err(why) => (Err(why), Err(why)),
        };
        (now.or(marked), highest)
    }
}

/// The marked step and the highest of lines such as `1: 1237Mhz *` (driver-misc.rst, `pp_dpm_*`), in MHz.
fn steps(text: &str) -> (Reading<u32>, Reading<u32>) {
    let mut told = (Err(Absent::Failed), Err(Absent::Failed));
    for line in text.lines() {
        let Some((_, step)) = line.split_once(':') else { continue };
        let (step, is_marked) = match step.trim().strip_suffix('*') {
            Some(step) => (step.trim(), true),
            None => (step.trim(), false),
        };
        let digits = step.trim_end_matches(|one: char| !one.is_ascii_digit());
        let Ok(megahertz) = digits.parse::<u32>() else { continue };
        if is_marked {
            told.0 = Ok(megahertz);
        }
        told.1 = Ok(told.1.unwrap_or(0).max(megahertz));
    }
    told
}

#[expect(clippy::cast_precision_loss, reason = "milliwatts are exact below 2^24")]
pub(super) fn watts(reader: &mut Reader, entry: &mut Entry) -> Reading<f32> {
    reader.number(entry, MICROWATTS).map(|microwatts| (microwatts / 1000) as f32 / 1000.0)
}

fn percent(reader: &mut Reader, entry: &mut Entry) -> Reading<u8> {
    reader.number(entry, 0..=100)?.try_into().map_err(|_too_many| Absent::Failed)
}

/// The number behind this label, as in `ue: 0` (ras.rst, Error Count Interface).
fn labelled(text: &str, label: &str) -> Reading<u64> {
    let number = text.lines().find_map(|line| line.trim().strip_prefix(label));
    number.and_then(|number| number.trim().parse().ok()).ok_or(Absent::Failed)
}

/// How many lines end in R: pages that are no longer used (ras.rst, gpu_vram_bad_pages). No other character of theirs is an R.
fn pages(reader: &mut Reader, entry: &mut Entry) -> Reading<u32> {
    /// Pages of such lines that are read: 27 bytes each, a table of the card holds 256 and more of them.
    const MOST: usize = 64;
    let (mut from, mut count) = (0, 0_u32);
    for _ in 0..MOST {
        let bytes = reader.bytes_from(entry, from)?;
        if bytes.is_empty() {
            return Ok(count);
        }
        from += bytes.len() as u64;
        let retired = bytes.iter().filter(|one| **one == b'R').count();
        count = count.saturating_add(u32::try_from(retired).unwrap_or(u32::MAX));
    }
    Err(Absent::Failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_have_a_mark_and_a_highest() {
        assert_eq!(steps("0: 500Mhz \n1: 1237Mhz *\n2: 2371Mhz \n"), (Ok(1237), Ok(2371)));
        assert_eq!(steps("S: 19Mhz *\n0: 600Mhz\n1: 3220Mhz\n"), (Ok(19), Ok(3220)), "it sleeps deeply");
        assert_eq!(steps("0: 96Mhz\n1: 1249Mhz\n"), (Err(Absent::Failed), Ok(1249)));
        assert_eq!(steps("nothing"), (Err(Absent::Failed), Err(Absent::Failed)));
        assert_eq!(steps("0: \n1: *\n2 3"), (Err(Absent::Failed), Err(Absent::Failed)));
    }

    #[test]
    fn errors_are_counted_by_their_label() {
        assert_eq!([labelled("ue: 3\nce: 71\n", "ue:"), labelled("ue: 3\nce: 71\n", "ce:")], [Ok(3), Ok(71)]);
        assert_eq!(labelled("Query currently inaccessible\n", "ue:"), Err(Absent::Failed));
    }

    #[test]
    fn more_bad_pages_than_fit_into_one_page_are_counted_up_to_an_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gpu_vram_bad_pages");
        let (mut reader, mut entry) = (Reader::new(), Entry::new(path.clone()));
        assert_eq!(pages(&mut reader, &mut entry), Err(Absent::Unsupported));
        let lines: String = (0..1000)
            .map(|page| format!("0x{page:08x} : 0x00001000 : {}\n", ["R", "P", "F"][page % 3]))
            .collect();
        std::fs::write(&path, lines).unwrap();
        assert_eq!(pages(&mut reader, &mut entry), Ok(334));
        std::fs::write(&path, "").unwrap();
        assert_eq!(pages(&mut reader, &mut entry), Ok(0));
        std::fs::write(&path, "R".repeat(4096 * 65)).unwrap();
        assert_eq!(pages(&mut reader, &mut entry), Err(Absent::Failed));
    }
}
