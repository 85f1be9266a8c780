//! One card of Intel, asked through the files of `i915` or `xe`.
//!
//! Knows which file has which reading (the kernel's Documentation/ABI/testing/sysfs-driver-intel-i915-hwmon and -xe-hwmon;
//! drivers/gpu/drm/i915/gt/intel_gt_sysfs_pm.c, drivers/gpu/drm/xe/xe_gt_freq.c and xe_gt_throttle.c). Refuses to know how often it is
//! asked. Invariants: a part of the chip that says it is slowed down has a reason, if only one that nobody here knows; what only the
//! driver's counters for `perf` tell (how busy it is, how much of its memory is used) is missing.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    amd::watts,
    card::Round,
    file::{Entry, Reader, names},
    hwmon::{self, Fan, Heat},
    scan::Driver,
};
use ghostllm_readings::{Absent, Clocks, Memory, Power, Reading, Reason, Sample, Throttles};

use crate::who::Maker;

/// Two readings of the energy nearer than this give no power: the counter goes on once in a millisecond.
const APART: Duration = Duration::from_millis(10);
/// Watts that a card can draw.
const MOST_WATTS: f64 = 10_000.0;

/// One part of the chip and what slows it down.
#[derive(Debug)]
struct Part {
    status: Entry,
    reasons: Vec<(Reason, Entry)>,
}

/// One card.
#[derive(Debug)]
pub(super) struct IntelCard {
    heat: Option<Heat>,
    memory_heat: Option<Heat>,
    energy: [Entry; 2],
    limit: [Entry; 2],
    /// When its energy was read last, and what it was, in microjoules.
    before: Option<(Duration, u64)>,
    core: [Entry; 2],
    core_most: [Entry; 3],
    parts: Vec<Part>,
    fan: Fan,
    is_integrated: bool,
    total: Vec<Entry>,
}

impl IntelCard {
    /// The card of this node, `class/drm/card0`.
    pub(super) fn open(node: &Path, driver: Driver, is_integrated: bool) -> Self {
        let device = node.join("device");
        let folder = hwmon::folder(&device.join("hwmon"), driver.name());
        // A name that is in no folder: whatever is asked of it is not there.
        let sensors: PathBuf = folder.unwrap_or_else(|| device.join("hwmon/none"));
        let of_sensors = |what: &str| Entry::new(sensors.join(what));
        let of_node = |what: &str| Entry::new(node.join(what));
        let of_device = |what: &str| Entry::new(device.join(what));
        // Where there are no labels the numbers are those of the documents: xe's first is of the card and is not told.
        let (package, memory) = if driver == Driver::Xe { (2, Some(3)) } else { (1, None) };
        let place = |label: &str, number: Option<u32>| {
            let numbered = || number.and_then(|number| Heat::numbered(&sensors, number));
            Heat::labelled(&sensors, label).or_else(numbered)
        };
        let (core, core_most) = if driver == Driver::Xe {
            let rates = ["act_freq", "cur_freq"];
            let most = ["rp0_freq", "max_freq", "max_freq"];
            let path = |what: &str| of_device(&format!("tile0/gt0/freq0/{what}"));
            (rates.map(path), most.map(path))
        } else {
            let rates = ["gt/gt0/rps_act_freq_mhz", "gt_act_freq_mhz"];
            (
                rates.map(of_node),
                ["gt/gt0/rps_RP0_freq_mhz", "gt_RP0_freq_mhz", "gt_max_freq_mhz"].map(of_node),
            )
        };
        Self {
            heat: place("pkg", Some(package)),
            memory_heat: place("vram", memory),
            energy: ["energy1_input", "energy2_input"].map(of_sensors),
            limit: ["power1_max", "power2_max"].map(of_sensors),
            before: None,
            core,
            core_most,
            parts: if driver == Driver::Xe { parts_of_xe(&device) } else { parts_of_i915(node) },
            fan: Fan::of(&sensors),
            is_integrated,
            total: tiles(&device)
                .map(|tile| Entry::new(tile.join("physical_vram_size_bytes")))
                .chain([of_node("lmem_total_bytes")])
                .collect(),
        }
    }

    /// What all parts say together.
    fn throttles(&mut self, reader: &mut Reader) -> Reading<Throttles> {
        let mut told = Err(Absent::Unsupported);
        for part in &mut self.parts {
            match (part.throttles(reader), told) {
                (Ok(more), Ok(known)) => told = Ok(Throttles::and(known, more)),
                // A part that does not answer may be slowed down; only one that tells no such thing is passed over.
                (Err(Absent::Unsupported), _) => {}
                (Err(why), _) => return Err(why),
                (more, Err(_)) => told = more,
            }
        }
        told
    }

    fn power(&mut self, reader: &mut Reader, sample: &Sample, whole: bool) -> Power {
        let energy = reader.either(&mut self.energy, Reader::count);
        let watts_now = match (energy, self.before) {
            (Err(why), _) => Err(why),
            (Ok(now), Some((at, before))) => mean(before, now, sample.at.saturating_sub(at)),
            (Ok(_), None) => Err(Absent::NotAsked),
        };
        // What was read too soon after is passed over.
        let is_apart = self.before.is_none_or(|(at, _)| sample.at.saturating_sub(at) >= APART);
        if is_apart {
            self.before = energy.ok().map(|now| (sample.at, now));
        }
        let limit = |reader: &mut Reader, entry: &mut Entry| watts(reader, entry).and_then(hwmon::above_0);
        Power {
            watts: if is_apart { watts_now } else { sample.power.watts },
            limit: if whole { reader.either(&mut self.limit, limit) } else { sample.power.limit },
            millijoules: energy.map(|microjoules| microjoules / 1000),
        }
    }

    fn memory(&mut self, reader: &mut Reader) -> Memory {
        if self.is_integrated {
            return Memory { total: Err(Absent::SharesMemory), used: Err(Absent::SharesMemory) };
        }
        let mut total = Err(Absent::Unsupported);
        for one in &mut self.total {
            match reader.count(one) {
                Ok(more) => total = Ok(total.unwrap_or(0) + more),
                Err(Absent::Unsupported) => {}
                Err(why) => return Memory { total: Err(why), used: Err(why) },
            }
        }
        let used = Err(if reader.lost { Absent::Lost } else { Absent::Unsupported });
        Memory {
            total: total.and_then(|bytes| if bytes == 0 { Err(Absent::Failed) } else { Ok(bytes) }),
            used,
        }
    }
}

impl Round for IntelCard {
    fn round(&mut self, reader: &mut Reader, sample: &mut Sample, whole: bool) {
        *sample = Sample {
            at: sample.at,
            power: sample.power,
            clocks: sample.clocks,
            link: sample.link,
            memory: sample.memory,
            tenants: super::card::nobody(),
            ..Sample::missing(sample.at, Absent::Unsupported)
        };
        sample.gpu = hwmon::sensor(&mut self.heat, reader, whole);
        sample.memory_heat = hwmon::sensor(&mut self.memory_heat, reader, whole);
        sample.throttles = self.throttles(reader);
        sample.power = self.power(reader, sample, whole);
        let unknown = Err(Absent::Unsupported);
        sample.clocks = Clocks {
            core: reader.either(&mut self.core, megahertz),
            core_most: if whole {
                reader.either(&mut self.core_most, megahertz)
            } else {
                sample.clocks.core_most
            },
            memory: unknown,
            memory_most: unknown,
        };
        sample.fan = self.fan.percent(reader);
        if whole {
            sample.memory = self.memory(reader);
        }
    }

    fn maker(&self) -> Maker {
        Maker::Intel
    }

    fn name(&self) -> Option<String> {
        None
    }

    fn uuid(&self) -> Option<String> {
        None
    }
}

impl Part {
    /// The files of a folder whose names begin so; none where it does not say whether it is slowed down.
    fn of(folder: &Path, status: &str, prefix: &str) -> Option<Self> {
        let names = names(folder);
        names.iter().any(|name| name == status).then(|| Self {
            status: Entry::new(folder.join(status)),
            reasons: names
                .iter()
                .filter(|name| *name != status)
                .filter_map(|name| Some((reason(name.strip_prefix(prefix)?), Entry::new(folder.join(name)))))
                .collect(),
        })
    }

    fn throttles(&mut self, reader: &mut Reader) -> Reading<Throttles> {
        if reader.number(&mut self.status, 0..=1)? == 0 {
            return Ok(Throttles::default());
        }
        let mut told = Throttles::default();
        for (reason, entry) in &mut self.reasons {
            if matches!(reader.number(entry, 0..=1), Ok(1)) {
                told = told.with(*reason);
            }
        }
        if reader.lost {
            return Err(Absent::Lost);
        }
        Ok(if told.is_empty() { told.with(Reason::Other) } else { told })
    }
}

fn parts_of_i915(node: &Path) -> Vec<Part> {
    let parts = node.join("gt");
    let part = |name: String| Part::of(&parts.join(name), "throttle_reason_status", "throttle_reason_");
    names(&parts).into_iter().filter_map(part).collect()
}

fn parts_of_xe(device: &Path) -> Vec<Part> {
    let parts = tiles(device).flat_map(|tile| {
        names(&tile).into_iter().filter(|name| name.starts_with("gt")).map(move |name| tile.join(name))
    });
    parts.filter_map(|part| Part::of(&part.join("freq0/throttle"), "status", "reason_")).collect()
}

fn tiles(device: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let device = device.to_owned();
    names(&device).into_iter().filter(|name| name.starts_with("tile")).map(move |name| device.join(name))
}

/// What a `reason_*` or `throttle_reason_*` means, by the comments in `xe_gt_throttle.c`.
fn reason(name: &str) -> Reason {
    match name {
        "pl1" | "pl2" | "psys_pl1" | "psys_pl2" => Reason::PowerCap,
        "pl4" | "vr_tdc" | "iccmax" | "fastvmode" => Reason::Current,
        "prochot" | "psys_crit" => Reason::Brake,
        "thermal" | "ratl" | "vr_thermalert" | "soc_thermal" | "mem_thermal" | "vr_thermal"
        | "soc_avg_thermal" => Reason::HardHeat,
        _ => Reason::Other,
    }
}

fn megahertz(reader: &mut Reader, entry: &mut Entry) -> Reading<u32> {
    u32::try_from(reader.number(entry, 0..=100_000)?).map_err(|_too_many| Absent::Failed)
}

/// Watts, of microjoules before and now.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "a mean is not exact to the microjoule"
)]
fn mean(before: u64, now: u64, between: Duration) -> Reading<f32> {
    // A counter that has gone back was begun anew.
    let Some(more) = now.checked_sub(before) else { return Err(Absent::NotAsked) };
    let watts = more as f64 / 1e6 / between.as_secs_f64();
    if watts.is_finite() && watts <= MOST_WATTS { Ok(watts as f32) } else { Err(Absent::Failed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn power_is_what_the_energy_has_grown_by() {
        assert_eq!(mean(1_000_000, 151_000_000, Duration::from_secs(1)), Ok(150.0));
        assert_eq!(mean(5, 5, Duration::from_millis(100)), Ok(0.0));
        assert_eq!(mean(6, 5, Duration::from_secs(1)), Err(Absent::NotAsked));
        assert_eq!(mean(0, u64::MAX, Duration::from_secs(1)), Err(Absent::Failed));
        assert_eq!(mean(0, 1, Duration::ZERO), Err(Absent::Failed));
    }

    #[test]
    fn a_reason_that_nobody_knows_is_another() {
        let told = ["pl1", "pl4", "prochot", "thermal", "soc_avg_thermal", "p0_freq", "new"].map(reason);
        let (heat, other) = (Reason::HardHeat, Reason::Other);
        assert_eq!(told, [Reason::PowerCap, Reason::Current, Reason::Brake, heat, heat, other, other]);
    }
}
