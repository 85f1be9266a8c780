//! The cards that the kernel lists.
//!
//! Knows `class/drm` and the drivers that are read here. Refuses to read a card. Invariant: a card is told by its place on
//! the bus, which stays the same when it comes back by another number.

use std::path::{Path, PathBuf};

use super::{file::names, pci::Place};

/// The drivers whose files are known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Driver {
    Amdgpu,
    I915,
    Xe,
}

impl Driver {
    fn of(name: &str) -> Option<Self> {
        [Self::Amdgpu, Self::I915, Self::Xe].into_iter().find(|driver| driver.name() == name)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Amdgpu => "amdgpu",
            Self::I915 => "i915",
            Self::Xe => "xe",
        }
    }
}

/// A card.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) place: Place,
    pub(super) driver: Driver,
    /// `class/drm/card0`.
    pub(super) node: PathBuf,
}

/// The places on the bus of the cards below this root; one that has several nodes, several times.
pub(crate) fn cards(root: &Path) -> Vec<String> {
    found(root).map(|found| found.place.bus).collect()
}

/// The card at that place.
pub(super) fn card(root: &Path, bus: &str) -> Option<Found> {
    found(root).find(|found| found.place.bus == bus)
}

/// The device at that place is there and has another driver, or none: somebody has taken the card for something else.
pub(crate) fn is_given_away(root: &Path, bus: &str) -> bool {
    let device = root.join("bus/pci/devices").join(bus);
    device.exists() && Place::of(&device).and_then(|place| Driver::of(&place.driver)).is_none()
}

fn found(root: &Path) -> impl Iterator<Item = Found> + use<> {
    let nodes = root.join("class/drm");
    names(&nodes).into_iter().filter(|name| is_card(name)).filter_map(move |name| {
        let node = nodes.join(name);
        let place = Place::of(&node.join("device"))?;
        let driver = Driver::of(&place.driver)?;
        Some(Found { place, driver, node })
    })
}

/// `card0`, and not its connector `card0-DP-1`.
fn is_card(name: &str) -> bool {
    name.strip_prefix("card")
        .is_some_and(|number| !number.is_empty() && number.bytes().all(|one| one.is_ascii_digit()))
}
