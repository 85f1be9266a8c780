//! The cards: NVIDIA's through NVML, AMD's and Intel's by the kernel's files, and the processor where there is none.
//!
//! Knows who is asked, and in which order they are told. Refuses to watch them. Invariant: what hangs keeps nobody else's cards from being
//! told, and is told itself.

use std::path::Path;

use ghostllm_core::{
    admin::{GpuMaker, InspectedCard, InspectedGpus},
    config::Gpu,
    heat::Absent,
};
use ghostllm_gpu::{Card, Maker, Missing, Options, Other};

use super::{CARDS, within};

/// What the kernel's files tell.
struct Told {
    cards: Vec<Other>,
    /// Nothing, where there are cards.
    processor: Option<Other>,
}

/// Looks.
pub(super) async fn look(gpu: &Gpu) -> InspectedGpus {
    let (library, root) = (gpu.nvml_library.clone(), gpu.sysfs_root.clone());
    let root = root.unwrap_or_else(|| Options::default().sysfs_root);
    let (nvidia, others) = tokio::join!(
        within(CARDS, move || ghostllm_gpu::cards(library.as_deref())),
        within(CARDS, move || told(&root)),
    );
    together(nvidia, others)
}

fn told(root: &Path) -> Told {
    let cards = ghostllm_gpu::others(root);
    let processor = if cards.is_empty() { ghostllm_gpu::processor(root) } else { None };
    Told { cards, processor }
}

/// What both tell; none is one that has not answered in time.
fn together(nvidia: Option<Result<Vec<Card>, Missing>>, others: Option<Told>) -> InspectedGpus {
    let (mut cards, missing, is_fault) = match nvidia {
        Some(Ok(cards)) => (cards.into_iter().enumerate().map(card).collect(), None, false),
        Some(Err(missing)) => (Vec::new(), Some(missing.to_string()), missing.is_fault()),
        None => {
            let why =
                format!("NVIDIA's driver has not answered within {CARDS:?}; nvidia-smi should hang as well");
            (Vec::new(), Some(why), true)
        }
    };
    let hangs = others.is_none().then(|| {
        format!(
            "the kernel's files of other cards have not answered within {CARDS:?}; sudo dmesg may say more"
        )
    });
    let Told { cards: rest, processor } = others.unwrap_or(Told { cards: Vec::new(), processor: None });
    // A driver that fails has cards, most likely: it is not the processor then that computes.
    let processor = processor.filter(|_| cards.is_empty() && !is_fault);
    let first = cards.len();
    let numbered = rest.iter().chain(&processor).enumerate();
    cards.extend(numbered.map(|(number, one)| other(first + number, one)));
    // Who has other cards does not miss NVIDIA's.
    let is_missed = |card: &InspectedCard| card.maker == GpuMaker::Processor;
    let missing = missing.filter(|_| is_fault || cards.iter().all(is_missed));
    let missing: Vec<String> = missing.into_iter().chain(hangs).collect();
    InspectedGpus { cards, missing: (!missing.is_empty()).then(|| missing.join("; ")) }
}

fn card((number, card): (usize, Card)) -> InspectedCard {
    let Card { name, uuid, memory, free, below_slowdown, driver, fault, damage } = card;
    let shares_memory = memory.is_none() && fault.is_none();
    let maker = GpuMaker::Nvidia;
    InspectedCard {
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
    }
}

fn other(number: usize, other: &Other) -> InspectedCard {
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
    InspectedCard {
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
    }
}

#[expect(clippy::cast_possible_truncation, reason = "degrees Celsius; it saturates")]
fn whole(degrees: f32) -> i64 {
    degrees.round() as i64
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink, path::PathBuf};

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

        async fn looked(&self) -> InspectedGpus {
            let (nvml_library, sysfs_root) =
                (Some(self.0.path().join("none")), Some(self.0.path().to_owned()));
            look(&Gpu { nvml_library, sysfs_root, ..Gpu::default() }).await
        }
    }

    #[tokio::test]
    async fn a_card_of_another_maker_is_told_where_nvidia_s_driver_is_not() {
        let tree = Tree::new();
        tree.zone();
        tree.radeon();
        let seen = tree.looked().await;
        assert_eq!((seen.missing, seen.cards.len()), (None, 1), "a processor is told where there is no card");
        let card = &seen.cards[0];
        assert_eq!((card.number, card.maker, card.name.as_str()), (0, GpuMaker::Amd, "amdgpu 1002:744c"));
        assert_eq!((card.memory, card.free), (Some(25_753_026_560), Some(24_679_284_736)));
        assert_eq!((card.below_slowdown, card.shares_memory), (Some(-1), false), "by its hotspot");
        assert!(card.fault.is_none() && card.driver.starts_with("amdgpu"), "{card:?}");
    }

    #[tokio::test]
    async fn a_processor_is_told_where_there_is_no_card_at_all() {
        let tree = Tree::new();
        let seen = tree.looked().await;
        assert!(seen.cards.is_empty() && seen.missing.unwrap().starts_with("no NVIDIA driver is installed"));
        tree.zone();
        let seen = tree.looked().await;
        let [processor] = seen.cards.as_slice() else { panic!("{seen:?}") };
        assert_eq!((processor.maker, processor.below_slowdown), (GpuMaker::Processor, Some(35)));
        assert!(seen.missing.is_some_and(|why| why.starts_with("no NVIDIA driver")), "it is no card");
    }

    #[test]
    fn others_come_after_nvidia_s_and_what_fails_is_told_beside_them() {
        let tree = Tree::new();
        tree.radeon();
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
        let both = together(Some(Ok(vec![nvidia("NVIDIA GB10")])), Some(told(tree.0.path())));
        let told_of = |card: &InspectedCard| (card.number, card.maker, card.shares_memory);
        let cards: Vec<_> = both.cards.iter().map(told_of).collect();
        assert_eq!(cards, [(0, GpuMaker::Nvidia, true), (1, GpuMaker::Amd, false)]);
        let fails = together(Some(Err(Missing::DriverNotLoaded)), Some(told(tree.0.path())));
        assert!(fails.cards.len() == 1 && fails.missing.is_some_and(|why| why.contains("modprobe nvidia")));
        let hangs = together(None, None);
        let why = hangs.missing.unwrap();
        assert!(
            why.contains("NVIDIA's driver has not answered") && why.contains("the kernel's files"),
            "{why}"
        );
        // Where NVIDIA's driver fails, it is not the processor that computes.
        let processor = Tree::new();
        processor.zone();
        assert!(
            together(Some(Err(Missing::DriverNotLoaded)), Some(told(processor.0.path()))).cards.is_empty()
        );
    }

    #[test]
    fn a_card_that_does_not_answer_stays_in_the_list() {
        let lost = Other {
            bus: "0000:03:00.0".to_owned(),
            identity: None,
            sample: Sample::missing(std::time::Duration::ZERO, Absent::Lost),
        };
        let told = other(2, &lost);
        assert_eq!((told.number, told.name.as_str()), (2, "the card at 0000:03:00.0"));
        assert!(told.fault.is_some_and(|fault| fault.contains("sudo dmesg")));
    }
}
