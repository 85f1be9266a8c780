//! What the kernel tells of a card as of any device on the PCI bus.
//!
//! Knows `uevent`, `power/runtime_status` and the link's files (Documentation/ABI/testing/sysfs-bus-pci, sysfs-devices-power). Refuses to
//! know graphics.

use std::path::Path;

use super::file::{Entry, Reader, once};
use ghostllm_readings::{Absent, Link, Reading};

/// Where a card is, and who drives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// `0000:03:00.0`.
    pub(super) bus: String,
    /// `1002:744c`: the maker's number and the product's.
    pub(super) id: String,
    /// `amdgpu`.
    pub(super) driver: String,
}

impl Place {
    /// Of that device's folder; none where it is not one of the PCI bus with a driver.
    pub(super) fn of(device: &Path) -> Option<Self> {
        let said = once(&device.join("uevent"))?;
        let value = |key: &str| {
            said.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).map(str::to_owned)
        };
        Some(Self {
            bus: value("PCI_SLOT_NAME")?,
            id: value("PCI_ID")?.to_ascii_lowercase(),
            driver: value("DRIVER")?,
        })
    }

    /// It is part of the processor: there Intel's graphics are always this device, and a card is behind a bridge.
    pub(super) fn is_integrated(&self) -> bool {
        self.bus == "0000:00:02.0"
    }
}

/// The driver and, where it is not the kernel's own, its version.
pub(super) fn driver(device: &Path, name: &str) -> String {
    match once(&device.join("driver/module/version")) {
        Some(version) if !version.is_empty() => format!("{name} {version}"),
        _ => name.to_owned(),
    }
}

/// Its link's files.
#[derive(Debug)]
pub(super) struct LinkFiles {
    speed: Entry,
    speed_most: Entry,
    lanes: Entry,
    lanes_most: Entry,
}

impl LinkFiles {
    pub(super) fn of(device: &Path) -> Self {
        let entry = |what: &str| Entry::new(device.join(what));
        Self {
            speed: entry("current_link_speed"),
            speed_most: entry("max_link_speed"),
            lanes: entry("current_link_width"),
            lanes_most: entry("max_link_width"),
        }
    }

    pub(super) fn link(&mut self, reader: &mut Reader) -> Link {
        let mut speed = |entry: &mut Entry| generation(reader.text(entry)?);
        let (generation, generation_most) = (speed(&mut self.speed), speed(&mut self.speed_most));
        let mut lanes = |entry: &mut Entry| width(reader.number(entry, 0..=255)?);
        let (lanes, lanes_most) = (lanes(&mut self.lanes), lanes(&mut self.lanes_most));
        Link { generation, generation_most, lanes, lanes_most }
    }
}

/// `16.0 GT/s PCIe` is the fourth (PCI Express Base Specification; `pci_speed_string` of the kernel).
fn generation(speed: &str) -> Reading<u8> {
    let Some((speed, _)) = speed.split_once(" GT/s") else {
        // What is part of the processor has no link.
        return Err(if speed.starts_with("Unknown") { Absent::Unsupported } else { Absent::Failed });
    };
    match speed {
        "2.5" => Ok(1),
        "5.0" | "5" => Ok(2),
        "8.0" | "8" => Ok(3),
        "16.0" | "16" => Ok(4),
        "32.0" | "32" => Ok(5),
        "64.0" | "64" => Ok(6),
        _ => Err(Absent::UnknownForm),
    }
}

/// `enum pcie_link_width` of the kernel: 0 is reserved, 255 not known.
fn width(lanes: i64) -> Reading<u8> {
    match u8::try_from(lanes) {
        Ok(0 | 255) => Err(Absent::Unsupported),
        Ok(lanes) => Ok(lanes),
        Err(_) => Err(Absent::Failed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_are_generations_and_what_has_no_link_has_none() {
        let speeds = [
            "2.5 GT/s PCIe",
            "5.0 GT/s PCIe",
            "8.0 GT/s PCIe",
            "16.0 GT/s PCIe",
            "32.0 GT/s PCIe",
            "64.0 GT/s PCIe",
        ];
        assert_eq!(speeds.map(generation), [1, 2, 3, 4, 5, 6].map(Ok));
        assert_eq!(generation("8 GT/s"), Ok(3), "kernels before 5.13");
        assert_eq!(generation("Unknown"), Err(Absent::Unsupported));
        assert_eq!(generation("128.0 GT/s PCIe"), Err(Absent::UnknownForm));
        assert_eq!(generation("fast"), Err(Absent::Failed));
        assert_eq!(
            [0, 1, 16, 255].map(width),
            [Err(Absent::Unsupported), Ok(1), Ok(16), Err(Absent::Unsupported)]
        );
    }
}
