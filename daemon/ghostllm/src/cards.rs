//! The cards of this machine, asked once: NVIDIA's through NVML, AMD's and Intel's by the kernel's files, and the processor where there is
//! none.
//!
//! Knows in which order they are told and numbered, which is `ghostctl gpu`'s. Refuses to watch them, and to wait: whoever asks brings the
//! thread and the patience. Invariants: what fails keeps nobody else's cards from being told, and is told itself; no number is given to
//! another card while it is not known how many NVIDIA's driver has.

use std::path::{Path, PathBuf};

use ghostllm_core::{
    admin::{GpuMaker, InspectedCard},
    config::Gpu,
    heat::Absent,
};
use ghostllm_gpu::{Card, Maker, Missing, Options, Other};

/// What the kernel's files tell.
#[derive(Debug)]
pub(crate) struct Others {
    cards: Vec<Other>,
    /// Nothing, where there are cards.
    processor: Option<Other>,
}

/// Why NVIDIA's cards are not told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unasked {
    why: String,
    /// Somebody should act: there is a driver, and most likely a card.
    is_fault: bool,
}

/// A card.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Told {
    pub(crate) card: InspectedCard,
    /// Nobody uses it, and to ask it would wake it.
    pub(crate) sleeps: bool,
}

/// All of them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Board {
    /// By their numbers.
    pub(crate) cards: Vec<Told>,
    /// Why there are no more.
    pub(crate) missing: Option<String>,
    /// All that there are have been asked, so that their numbers are theirs.
    pub(crate) is_whole: bool,
}

impl From<Missing> for Unasked {
    fn from(missing: Missing) -> Self {
        Self { why: missing.to_string(), is_fault: missing.is_fault() }
    }
}

impl Unasked {
    /// It has given no answer at all, and why in words.
    pub(crate) fn silent(why: String) -> Self {
        Self { why, is_fault: true }
    }
}

/// Where the kernel's files are.
pub(crate) fn root(gpu: &Gpu) -> PathBuf {
    gpu.sysfs_root.clone().unwrap_or_else(|| Options::default().sysfs_root)
}

/// Asks the kernel's files, of which one may hang with its driver.
pub(crate) fn others(root: &Path) -> Others {
    let cards = ghostllm_gpu::others(root);
    let processor = if cards.is_empty() { ghostllm_gpu::processor(root) } else { None };
    Others { cards, processor }
}

/// What both tell; of one that has not answered, why not.
pub(crate) fn together(nvidia: Result<Vec<Card>, Unasked>, others: Result<Others, String>) -> Board {
    let (mut cards, missing, is_fault) = match nvidia {
        Ok(cards) => (cards.into_iter().enumerate().map(card).collect(), None, false),
        Err(Unasked { why, is_fault }) => (Vec::new(), Some(why), is_fault),
    };
    let (Others { cards: rest, processor }, silent) = match others {
        Ok(others) => (others, None),
        Err(why) => (Others { cards: Vec::new(), processor: None }, Some(why)),
    };
    // A driver that fails has cards, most likely: it is not the processor then that computes.
    let processor = processor.filter(|_| cards.is_empty() && !is_fault);
    let first = cards.len();
    let numbered = rest.iter().chain(&processor).enumerate();
    cards.extend(numbered.map(|(number, one)| other(first + number, one)));
    // Who has other cards does not miss NVIDIA's.
    let is_missed = |told: &Told| told.card.maker == GpuMaker::Processor;
    let missing = missing.filter(|_| is_fault || cards.iter().all(is_missed));
    let is_whole = !is_fault && silent.is_none();
    let missing: Vec<String> = missing.into_iter().chain(silent).collect();
    Board { cards, missing: (!missing.is_empty()).then(|| missing.join("; ")), is_whole }
}

fn card((number, card): (usize, Card)) -> Told {
    let Card { name, uuid, memory, free, below_slowdown, driver, fault, damage } = card;
    let shares_memory = memory.is_none() && fault.is_none();
    let maker = GpuMaker::Nvidia;
    let card = InspectedCard {
        number,
        maker,
        name,
        uuid,
        memory,
        free,
        shares_memory,
        below_slowdown,
        driver,
        fault,
        damage,
    };
    Told { card, sleeps: false }
}

fn other(number: usize, other: &Other) -> Told {
    let (said, identity) = (&other.sample, other.identity.clone());
    let memory = said.memory.total.ok();
    let margins = said.margins();
    let fault = said.is_lost().then(|| {
        "it does not answer on the bus; `sudo dmesg` tells more, and a restart of the machine brings it back unless its power or its \
         slot is at fault"
            .to_owned()
    });
    let maker = match identity.as_ref().map(|identity| identity.maker) {
        Some(Maker::Nvidia) => GpuMaker::Nvidia,
        Some(Maker::Intel) => GpuMaker::Intel,
        Some(Maker::Processor) => GpuMaker::Processor,
        // One that has never answered does not say whose it is.
        Some(Maker::Amd) | None => GpuMaker::Amd,
    };
    let text = |told: Option<String>| told.unwrap_or_default();
    let card = InspectedCard {
        number,
        maker,
        name: identity
            .as_ref()
            .map_or_else(|| format!("the card at {}", other.bus), |identity| identity.name.clone()),
        uuid: text(identity.as_ref().map(|identity| identity.uuid.clone())),
        memory,
        free: memory.zip(said.memory.used.ok()).map(|(all, used)| all.saturating_sub(used)),
        shares_memory: said.memory.total == Err(Absent::SharesMemory),
        below_slowdown: margins.slowdown.or(margins.slower).map(whole),
        driver: text(identity.map(|identity| identity.driver)),
        fault,
        damage: None,
    };
    Told { card, sleeps: said.gpu.celsius == Err(Absent::NotAsked) }
}

/// Never more than there are: who wants 10 °C has not got them at 9.5.
#[expect(clippy::cast_possible_truncation, reason = "degrees Celsius; it saturates")]
fn whole(degrees: f32) -> i64 {
    degrees.floor() as i64
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink, time::Duration};

    use ghostllm_core::heat::Sample;
    use tempfile::TempDir;

    use super::*;

    /// A machine without NVIDIA's driver, whose kernel tells what a test writes (Documentation/gpu/amdgpu/thermal.rst).
    struct Tree(TempDir);

    impl Tree {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn says(&self, path: &str, content: &str) {
            let path: PathBuf = self.0.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }

        fn radeon(&self) {
            for (path, content) in [
                ("hwmon/hwmon3/name", "amdgpu\n"),
                ("hwmon/hwmon3/temp1_label", "edge\n"),
                ("hwmon/hwmon3/temp1_input", "54000\n"),
                ("hwmon/hwmon3/temp1_crit", "100000\n"),
                ("hwmon/hwmon3/temp2_label", "junction\n"),
                ("hwmon/hwmon3/temp2_input", "111000\n"),
                ("hwmon/hwmon3/temp2_crit", "110000\n"),
                ("mem_info_vram_total", "25753026560\n"),
                ("mem_info_vram_used", "1073741824\n"),
                ("power/runtime_status", "active\n"),
                ("uevent", "DRIVER=amdgpu\nPCI_CLASS=30000\nPCI_ID=1002:744C\nPCI_SLOT_NAME=0000:03:00.0\n"),
            ] {
                self.says(&format!("devices/0/{path}"), content);
            }
            let node = self.0.path().join("class/drm/card0");
            fs::create_dir_all(&node).unwrap();
            symlink(self.0.path().join("devices/0"), node.join("device")).unwrap();
        }

        fn zone(&self) {
            let says =
                |name: &str, content| self.says(&format!("class/thermal/thermal_zone0/{name}"), content);
            says("type", "cpu-thermal\n");
            says("temp", "50000\n");
            says("trip_point_0_type", "passive\n");
            says("trip_point_0_temp", "85000\n");
        }

        fn looked(&self) -> Board {
            let nvidia = ghostllm_gpu::cards(Some(&self.0.path().join("none"))).map_err(Unasked::from);
            together(nvidia, Ok(others(self.0.path())))
        }
    }

    #[test]
    fn a_card_of_another_maker_is_told_where_nvidia_s_driver_is_not() {
        let tree = Tree::new();
        tree.zone();
        tree.radeon();
        let seen = tree.looked();
        assert_eq!((seen.missing, seen.cards.len()), (None, 1), "a processor is told where there is no card");
        let Told { card, sleeps } = &seen.cards[0];
        assert_eq!((card.number, card.maker, card.name.as_str()), (0, GpuMaker::Amd, "amdgpu 1002:744c"));
        assert_eq!((card.memory, card.free), (Some(25_753_026_560), Some(24_679_284_736)));
        assert_eq!((card.below_slowdown, card.shares_memory), (Some(-1), false), "by its hotspot");
        assert!(card.fault.is_none() && card.driver.starts_with("amdgpu") && !sleeps, "{card:?}");
        tree.says("devices/0/hwmon/hwmon3/temp2_input", "99500\n");
        assert_eq!(tree.looked().cards[0].card.below_slowdown, Some(10), "of 10.5");
    }

    #[test]
    fn a_card_that_sleeps_is_told_so_and_not_woken() {
        let tree = Tree::new();
        tree.radeon();
        tree.says("devices/0/power/runtime_status", "suspended\n");
        let seen = tree.looked();
        let [Told { card, sleeps: true }] = seen.cards.as_slice() else { panic!("{seen:?}") };
        assert_eq!((card.free, card.below_slowdown, card.fault.as_deref()), (None, None, None));
    }

    #[test]
    fn a_processor_is_told_where_there_is_no_card_at_all() {
        let tree = Tree::new();
        let seen = tree.looked();
        assert!(seen.cards.is_empty() && seen.missing.unwrap().starts_with("no NVIDIA driver is installed"));
        tree.zone();
        let seen = tree.looked();
        let [processor] = seen.cards.as_slice() else { panic!("{seen:?}") };
        assert_eq!((processor.card.maker, processor.card.below_slowdown), (GpuMaker::Processor, Some(35)));
        assert!(seen.missing.is_some_and(|why| why.starts_with("no NVIDIA driver")), "it is no card");
        assert!(seen.is_whole);
    }

    #[test]
    fn others_come_after_nvidia_s_and_what_fails_is_told_beside_them() {
        let tree = Tree::new();
        tree.radeon();
        let told = || Ok(others(tree.0.path()));
        let nvidia = |name: &str| Card {
            name: name.to_owned(),
            uuid: "GPU-1".to_owned(),
            memory: None,
            free: None,
            below_slowdown: None,
            driver: "580".to_owned(),
            fault: None,
            damage: None,
        };
        let both = together(Ok(vec![nvidia("NVIDIA GB10")]), told());
        let told_of = |told: &Told| (told.card.number, told.card.maker, told.card.shares_memory);
        let cards: Vec<_> = both.cards.iter().map(told_of).collect();
        assert_eq!(cards, [(0, GpuMaker::Nvidia, true), (1, GpuMaker::Amd, false)]);
        let fails = together(Err(Missing::DriverNotLoaded.into()), told());
        assert!(fails.cards.len() == 1 && fails.missing.is_some_and(|why| why.contains("modprobe nvidia")));
        assert!(both.is_whole && !fails.is_whole);
        let hangs = together(Err(Unasked::silent("no answer".to_owned())), Err("nor here".to_owned()));
        assert_eq!((hangs.missing.as_deref(), hangs.is_whole), (Some("no answer; nor here"), false));
        // Where NVIDIA's driver fails, it is not the processor that computes.
        let processor = Tree::new();
        processor.zone();
        let fails = together(Err(Missing::DriverNotLoaded.into()), Ok(others(processor.0.path())));
        assert!(fails.cards.is_empty());
    }

    #[test]
    fn a_card_that_does_not_answer_stays_in_the_list() {
        let lost = Other {
            bus: "0000:03:00.0".to_owned(),
            identity: None,
            sample: Sample::missing(Duration::ZERO, Absent::Lost),
        };
        let Told { card, sleeps } = other(2, &lost);
        assert_eq!((card.number, card.name.as_str(), sleeps), (2, "the card at 0000:03:00.0", false));
        assert!(card.fault.is_some_and(|fault| fault.contains("sudo dmesg")));
    }
}
