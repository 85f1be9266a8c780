//! What the kernel's hwmon tells: temperatures, fans.
//!
//! Knows `tempN_*` and `fanN_*` (Documentation/hwmon/sysfs-interface.rst). Refuses to know whose they are. Invariant: a limit of 0 is none.

use std::{
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use super::file::{Entry, Reader, names, once};
use ghostllm_readings::{Absent, Reading, Sensor};

/// What a temperature can be, in thousandths of a degree Celsius: what sensors say beyond it is none.
const DEGREES: RangeInclusive<i64> = -100_000..=250_000;
/// `tempN_*` that are looked at.
const MOST: u32 = 16;
/// Revolutions a minute that a fan can have.
const ROUNDS: RangeInclusive<i64> = 0..=100_000;
/// The highest `pwmN`.
const PWM: RangeInclusive<i64> = 0..=255;

/// The folder of a device's hwmon that has this name.
pub(super) fn folder(parent: &Path, name: &str) -> Option<PathBuf> {
    let mut folders = names(parent).into_iter().map(|one| parent.join(one));
    folders.find(|folder| once(&folder.join("name")).as_deref() == Some(name))
}

/// A limit and its file.
#[derive(Debug)]
struct Limit {
    entry: Entry,
    degrees: Reading<f32>,
}

/// One place whose temperature is told.
#[derive(Debug)]
pub(super) struct Heat {
    input: Entry,
    /// `max`, `crit`, `emergency`, the least first.
    limits: [Limit; 3],
}

impl Heat {
    /// `tempN_*` in that folder.
    pub(super) fn of(hwmon: &Path, number: u32) -> Self {
        let entry = |what: &str| Entry::new(hwmon.join(format!("temp{number}_{what}")));
        let limit = |what| Limit { entry: entry(what), degrees: Err(Absent::NotAsked) };
        Self { input: entry("input"), limits: ["max", "crit", "emergency"].map(limit) }
    }

    /// That with this label.
    pub(super) fn labelled(hwmon: &Path, label: &str) -> Option<Self> {
        let number = (1..=MOST)
            .find(|number| once(&hwmon.join(format!("temp{number}_label"))).as_deref() == Some(label))?;
        Some(Self::of(hwmon, number))
    }

    /// That of this number, where there is one.
    pub(super) fn numbered(hwmon: &Path, number: u32) -> Option<Self> {
        hwmon.join(format!("temp{number}_input")).exists().then(|| Self::of(hwmon, number))
    }

    /// What it says; `whole`, with its limits read anew.
    pub(super) fn sensor(&mut self, reader: &mut Reader, whole: bool) -> Sensor {
        if whole {
            for limit in &mut self.limits {
                limit.degrees = self::limit(reader, &mut limit.entry);
            }
        }
        let celsius = degrees(reader, &mut self.input);
        let [to_soft, to_slowdown, to_shutdown] =
            self.limits.each_ref().map(|limit| Ok(limit.degrees? - celsius?));
        Sensor { celsius, to_soft, to_slowdown, to_shutdown }
    }
}

/// What a place says that there may not be.
pub(super) fn sensor(place: &mut Option<Heat>, reader: &mut Reader, whole: bool) -> Sensor {
    match place {
        Some(place) => place.sensor(reader, whole),
        None => Sensor::missing(if reader.lost { Absent::Lost } else { Absent::Unsupported }),
    }
}

/// Degrees Celsius.
#[expect(clippy::cast_precision_loss, reason = "it is exact below 2^24")]
pub(super) fn degrees(reader: &mut Reader, entry: &mut Entry) -> Reading<f32> {
    reader.number(entry, DEGREES).map(|thousandths| thousandths as f32 / 1000.0)
}

/// A limit in degrees Celsius; thermal zones say -274 for one that is not set (`THERMAL_TEMP_INVALID` of the kernel).
#[expect(clippy::cast_precision_loss, reason = "it is exact below 2^24")]
pub(super) fn limit(reader: &mut Reader, entry: &mut Entry) -> Reading<f32> {
    let thousandths = reader.number(entry, i64::MIN..=*DEGREES.end())?;
    above_0(thousandths.max(0) as f32 / 1000.0)
}

/// A limit: 0 and less is that of a card which has none.
pub(super) fn above_0(degrees: f32) -> Reading<f32> {
    if degrees > 0.0 { Ok(degrees) } else { Err(Absent::Unsupported) }
}

/// A fan.
#[derive(Debug)]
pub(super) struct Fan {
    rounds: Entry,
    rounds_most: Entry,
    pwm: Entry,
}

impl Fan {
    pub(super) fn of(hwmon: &Path) -> Self {
        let entry = |what: &str| Entry::new(hwmon.join(what));
        Self { rounds: entry("fan1_input"), rounds_most: entry("fan1_max"), pwm: entry("pwm1") }
    }

    /// Percent of its highest speed, by its rounds, or by what it is given.
    pub(super) fn percent(&mut self, reader: &mut Reader) -> Reading<u8> {
        match reader.number(&mut self.rounds_most, ROUNDS) {
            Ok(most) if most > 0 => part(reader.number(&mut self.rounds, ROUNDS)?, most),
            Ok(_) | Err(Absent::Unsupported) => part(reader.number(&mut self.pwm, PWM)?, *PWM.end()),
            Err(why) => Err(why),
        }
    }
}

fn part(of: i64, all: i64) -> Reading<u8> {
    of.saturating_mul(100)
        .checked_div(all)
        .and_then(|percent| u8::try_from(percent).ok())
        .ok_or(Absent::Failed)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_fan_is_told_by_its_rounds_or_by_what_it_is_given() {
        let folder = tempfile::tempdir().unwrap();
        let says = |file: &str, content: &str| fs::write(folder.path().join(file), content).unwrap();
        let (mut reader, mut fan) = (Reader::new(), Fan::of(folder.path()));
        assert_eq!(fan.percent(&mut reader), Err(Absent::Unsupported));
        says("pwm1", "255\n");
        assert_eq!(fan.percent(&mut reader), Ok(100));
        says("pwm1", "256\n");
        assert_eq!(fan.percent(&mut reader), Err(Absent::Failed));
        says("fan1_input", "1500\n");
        says("pwm1", "51\n");
        assert_eq!(fan.percent(&mut reader), Ok(20), "rounds without a highest are no part of it");
        says("fan1_max", "0\n");
        assert_eq!(fan.percent(&mut reader), Ok(20));
        says("fan1_max", "3000\n");
        assert_eq!(fan.percent(&mut reader), Ok(50));
        says("fan1_input", "3300\n");
        assert_eq!(fan.percent(&mut reader), Ok(110), "some go beyond");
        says("fan1_input", "99999\n");
        assert_eq!(fan.percent(&mut reader), Err(Absent::Failed));
    }

    #[test]
    fn a_limit_that_is_not_set_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("temp1_crit");
        let (mut reader, mut entry) = (Reader::new(), Entry::new(path.clone()));
        for (text, told) in [
            ("105000", Ok(105.0)),
            ("0", Err(Absent::Unsupported)),
            ("-273150", Err(Absent::Unsupported)),
            ("-274000", Err(Absent::Unsupported)),
            ("4294967295", Err(Absent::Failed)),
        ] {
            fs::write(&path, text).unwrap();
            assert_eq!(limit(&mut reader, &mut entry), told, "{text}");
        }
    }
}
