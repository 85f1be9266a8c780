//! One card, found, asked, lost and found again.
//!
//! Knows when a card is there and awake. Refuses to know which of its files says what. Invariants: a card that is gone is lost, until it is
//! found at its place again; one that sleeps is not asked, which would wake it.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    amd::AmdCard,
    file::{Entry, Reader},
    intel::IntelCard,
    pci::{LinkFiles, driver},
    scan::{self, Driver, Found},
};
use ghostllm_readings::{Absent, Reading, Sample, Tenants};

use crate::{
    sampler::Ask,
    who::{Identity, Maker, Who},
};

/// What a maker's driver tells.
pub(super) trait Round: Send {
    /// Puts what it says now into `sample`, which holds what it said before.
    fn round(&mut self, reader: &mut Reader, sample: &mut Sample, whole: bool);
    fn maker(&self) -> Maker;
    /// The product's name, where it has one.
    fn name(&self) -> Option<String>;
    /// What is the same for this card wherever it is put.
    fn uuid(&self) -> Option<String>;
}

/// Who uses a card is not told in these files.
pub(super) fn nobody() -> Tenants {
    Tenants { processes: Err(Absent::Unsupported), instances: Err(Absent::Unsupported) }
}

struct Opened {
    found: Found,
    device: PathBuf,
    /// A file that is there as long as the card is.
    uevent: PathBuf,
    power: Entry,
    /// What the device answers on the bus.
    config: Entry,
    link: LinkFiles,
    card: Box<dyn Round>,
}

/// One card.
pub(crate) struct FileCard {
    root: PathBuf,
    bus: String,
    opened: Option<Opened>,
    reader: Reader,
    last: Sample,
}

impl FileCard {
    /// That at this place, not yet looked for.
    pub(crate) fn new(root: &Path, bus: &str) -> Self {
        Self {
            root: root.to_owned(),
            bus: bus.to_owned(),
            opened: None,
            reader: Reader::new(),
            last: Sample::missing(Duration::ZERO, Absent::NotAsked),
        }
    }

    /// Finds the card, also after it was lost; whether that was so just now.
    fn find(&mut self) -> Reading<bool> {
        self.reader.lost = false;
        if let Some(opened) = &self.opened {
            // Not each file says that it is gone.
            return fs::symlink_metadata(&opened.uevent).map(|_there| false).map_err(|_gone| Absent::Lost);
        }
        let found = scan::card(&self.root, &self.bus).ok_or(Absent::Lost)?;
        self.opened = Some(Opened::of(found));
        Ok(true)
    }

    fn ask(&mut self, at: Duration, whole: bool) -> Reading<Sample> {
        let fresh = self.find()?;
        let opened = self.opened.as_mut().ok_or(Absent::Lost)?;
        if matches!(self.reader.text(&mut opened.power), Ok("suspended")) {
            return Err(Absent::NotAsked);
        }
        // It has fallen off the bus and its driver has not noticed: nobody answers, which reads as all ones (Documentation/PCI/
        // pci-error-recovery.rst), where the maker's number stands.
        if self.reader.first(&mut opened.config) == Ok([0xff, 0xff]) {
            return Err(Absent::Lost);
        }
        // What a card said before it slept is not what it says now.
        let whole = whole || fresh || self.last.memory.total == Err(Absent::NotAsked);
        let mut sample = Sample { at, ..self.last };
        opened.card.round(&mut self.reader, &mut sample, whole);
        if whole {
            sample.link = opened.link.link(&mut self.reader);
        }
        if self.reader.lost { Err(Absent::Lost) } else { Ok(sample) }
    }
}

impl Opened {
    fn of(found: Found) -> Self {
        let device = found.node.join("device");
        let card: Box<dyn Round> = match found.driver {
            Driver::Amdgpu => Box::new(AmdCard::open(&device)),
            driver @ (Driver::I915 | Driver::Xe) => {
                Box::new(IntelCard::open(&found.node, driver, found.place.is_integrated()))
            }
        };
        Self {
            uevent: device.join("uevent"),
            power: Entry::new(device.join("power/runtime_status")),
            config: Entry::new(device.join("config")),
            link: LinkFiles::of(&device),
            card,
            device,
            found,
        }
    }
}

impl Ask for FileCard {
    fn identity(&mut self) -> Reading<Identity> {
        let opened = self.opened.as_ref().ok_or(Absent::Lost)?;
        let (place, name) = (&opened.found.place, opened.found.driver.name());
        Ok(Identity {
            maker: opened.card.maker(),
            name: opened.card.name().unwrap_or_else(|| format!("{name} {}", place.id)),
            uuid: opened.card.uuid().unwrap_or_else(|| place.bus.clone()),
            bus: place.bus.clone(),
            driver: driver(&opened.device, name),
        })
    }

    fn sample(&mut self, at: Duration, whole: bool) -> Sample {
        self.last = self.ask(at, whole).unwrap_or_else(|why| {
            if why == Absent::Lost {
                self.opened = None;
            }
            Sample::missing(at, why)
        });
        self.last
    }

    fn who(&self) -> Who {
        Who::default()
    }

    fn is_over(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn what_changes_seldom_is_asked_at_once_when_a_card_is_found_or_wakes() {
        let root = tempfile::tempdir().unwrap();
        let device = root.path().join("devices/0");
        let says = |path: &str, content: &str| {
            let path = device.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        };
        let node = root.path().join("class/drm/card0");
        fs::create_dir_all(&node).unwrap();
        symlink(&device, node.join("device")).unwrap();
        let mut card = FileCard::new(root.path(), "0000:03:00.0");
        let mut next = || card.sample(Duration::ZERO, false);
        assert!(next().is_lost(), "there is none");
        says("uevent", "DRIVER=amdgpu\nPCI_ID=1002:744C\nPCI_SLOT_NAME=0000:03:00.0\n");
        says("current_link_width", "8");
        says("power/runtime_status", "suspended");
        assert_eq!(next(), Sample::missing(Duration::ZERO, Absent::NotAsked));
        says("power/runtime_status", "active");
        assert_eq!(next().link.lanes, Ok(8));
        says("current_link_width", "4");
        assert_eq!(next().link.lanes, Ok(8), "it is asked with the whole");
        fs::remove_file(device.join("uevent")).unwrap();
        assert!(next().is_lost());
        says("uevent", "DRIVER=amdgpu\nPCI_ID=1002:744C\nPCI_SLOT_NAME=0000:03:00.0\n");
        assert_eq!(next().link.lanes, Ok(4));
    }
}
