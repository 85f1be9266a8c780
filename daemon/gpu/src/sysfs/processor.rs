//! The machine's processor, where it has no card: the engines then compute on it.
//!
//! Knows the kernel's thermal zones (Documentation/driver-api/thermal/sysfs-api.rst) and what coretemp and k10temp add to them
//! (Documentation/hwmon/coretemp.rst, k10temp.rst). Refuses to judge. Invariants: of several zones the hottest is told; a trip point of 0
//! is none, which is how x86_pkg_temp says so.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    file::{Entry, Reader, names, once},
    hwmon::{degrees, folder, limit},
};
use ghostllm_readings::{Absent, Memory, Reading, Sample, Sensor};

use crate::{
    sampler::Ask,
    who::{Identity, Maker, Who},
};

/// What a limit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Soft,
    Slowdown,
    Shutdown,
}

/// One place whose temperature is told.
#[derive(Debug)]
struct Place {
    input: Entry,
    limits: Vec<(Kind, Entry, Reading<f32>)>,
}

/// The processor.
#[derive(Debug)]
pub(crate) struct Processor {
    root: PathBuf,
    /// What its places are called, `x86_pkg_temp`.
    source: String,
    places: Vec<Place>,
    reader: Reader,
}

impl Processor {
    /// That of this machine, where the kernel tells how warm it is.
    pub(crate) fn find(root: &Path) -> Option<Self> {
        let (source, places) = places(root)?;
        Some(Self { root: root.to_owned(), source, places, reader: Reader::new() })
    }
}

impl Ask for Processor {
    fn identity(&mut self) -> Reading<Identity> {
        Ok(Identity {
            maker: Maker::Processor,
            name: format!("processor ({})", self.source),
            uuid: "processor".to_owned(),
            bus: String::new(),
            driver: self.source.clone(),
        })
    }

    fn sample(&mut self, at: Duration, whole: bool) -> Sample {
        let was_lost = std::mem::take(&mut self.reader.lost);
        if was_lost {
            let Some((source, places)) = places(&self.root) else {
                self.reader.lost = true;
                return Sample::missing(at, Absent::Lost);
            };
            (self.source, self.places) = (source, places);
        }
        let mut gpu = Sensor::missing(Absent::Unsupported);
        for place in &mut self.places {
            let told = place.sensor(&mut self.reader, whole || was_lost);
            gpu = Sensor {
                celsius: of_both(gpu.celsius, told.celsius, f32::max),
                to_soft: of_both(gpu.to_soft, told.to_soft, f32::min),
                to_slowdown: of_both(gpu.to_slowdown, told.to_slowdown, f32::min),
                to_shutdown: of_both(gpu.to_shutdown, told.to_shutdown, f32::min),
            };
        }
        if self.reader.lost {
            return Sample::missing(at, Absent::Lost);
        }
        let memory = Memory { total: Err(Absent::SharesMemory), used: Err(Absent::SharesMemory) };
        Sample { gpu: of_processor(gpu), memory, ..Sample::missing(at, Absent::Processor) }
    }

    fn who(&self) -> Who {
        Who::default()
    }

    fn is_over(&self) -> bool {
        false
    }
}

impl Place {
    /// A zone and its trip points.
    fn zone(zone: &Path) -> Self {
        let limits = names(zone).into_iter().filter_map(|name| {
            let number = name.strip_prefix("trip_point_")?.strip_suffix("_type")?.to_owned();
            let kind = match once(&zone.join(&name))?.as_str() {
                "passive" => Kind::Soft,
                "critical" => Kind::Shutdown,
                _ => return None,
            };
            let entry = Entry::new(zone.join(format!("trip_point_{number}_temp")));
            Some((kind, entry, Err(Absent::NotAsked)))
        });
        Self { input: Entry::new(zone.join("temp")), limits: limits.collect() }
    }

    /// The temperature from where the hardware slows itself down, as hwmon tells it.
    fn with_crit(mut self, crit: PathBuf) -> Self {
        self.limits.push((Kind::Slowdown, Entry::new(crit), Err(Absent::NotAsked)));
        self
    }

    fn sensor(&mut self, reader: &mut Reader, whole: bool) -> Sensor {
        if whole {
            for (_, entry, told) in &mut self.limits {
                *told = limit(reader, entry);
            }
        }
        let celsius = degrees(reader, &mut self.input);
        let to = |kind: Kind| {
            let mine = self.limits.iter().filter(|(one, ..)| *one == kind);
            let least = mine.map(|(_, _, told)| *told).reduce(|one, other| of_both(one, other, f32::min));
            Ok(least.unwrap_or(Err(Absent::Unsupported))? - celsius?)
        };
        Sensor {
            celsius,
            to_soft: to(Kind::Soft),
            to_slowdown: to(Kind::Slowdown),
            to_shutdown: to(Kind::Shutdown),
        }
    }
}

/// What is not told here no card has failed to tell.
fn of_processor(Sensor { celsius, to_soft, to_slowdown, to_shutdown }: Sensor) -> Sensor {
    let of = |told: Reading<f32>| {
        told.map_err(|why| if why == Absent::Unsupported { Absent::Processor } else { why })
    };
    Sensor {
        celsius: of(celsius),
        to_soft: of(to_soft),
        to_slowdown: of(to_slowdown),
        to_shutdown: of(to_shutdown),
    }
}

/// What one of two tells, or both together.
fn of_both(one: Reading<f32>, other: Reading<f32>, both: fn(f32, f32) -> f32) -> Reading<f32> {
    match (one, other) {
        (Ok(one), Ok(other)) => Ok(both(one, other)),
        (Ok(told), Err(_)) | (Err(_), Ok(told)) => Ok(told),
        (Err(Absent::Unsupported), Err(why)) | (Err(why), Err(_)) => Err(why),
    }
}

/// The best that there is: the processor's own zones, then k10temp, then what the firmware tells of the whole machine.
fn places(root: &Path) -> Option<(String, Vec<Place>)> {
    zones(root, |kind| kind == "x86_pkg_temp")
        .map(|(source, zones)| (source, with_coretemp(root, zones)))
        .or_else(|| zones(root, |kind| kind.to_ascii_lowercase().starts_with("cpu")))
        .or_else(|| k10temp(root))
        .or_else(|| zones(root, |kind| kind == "acpitz"))
}

fn zones(root: &Path, is_wanted: impl Fn(&str) -> bool) -> Option<(String, Vec<Place>)> {
    let folder = root.join("class/thermal");
    let kinds = names(&folder).into_iter().filter(|name| name.starts_with("thermal_zone"));
    let wanted: Vec<(PathBuf, String)> = kinds
        .filter_map(|name| {
            let zone = folder.join(name);
            let kind = once(&zone.join("type")).filter(|kind| is_wanted(kind))?;
            Some((zone, kind))
        })
        .collect();
    let (_, kind) = wanted.first()?.clone();
    Some((kind, wanted.iter().map(|(zone, _)| Place::zone(zone)).collect()))
}

/// `tempN_crit` of coretemp is the highest junction temperature, where the processor slows itself down; all packages have the same.
fn with_coretemp(root: &Path, zones: Vec<Place>) -> Vec<Place> {
    let Some(folder) = folder(&root.join("class/hwmon"), "coretemp") else { return zones };
    zones.into_iter().map(|zone| zone.with_crit(folder.join("temp1_crit"))).collect()
}

/// `temp1` is Tctl, by which AMD's processors are cooled; its `max` is a constant and no limit of theirs.
fn k10temp(root: &Path) -> Option<(String, Vec<Place>)> {
    let folder = folder(&root.join("class/hwmon"), "k10temp")?;
    let place = Place { input: Entry::new(folder.join("temp1_input")), limits: Vec::new() };
    Some(("k10temp".to_owned(), vec![place.with_crit(folder.join("temp1_crit"))]))
}
