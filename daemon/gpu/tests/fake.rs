//! The cards of a machine that is a text file, and every way in which there are none.
//!
//! Knows the stand-in for NVML (tests/fake-nvml). Invariant: no test needs a card or a driver.
#![expect(clippy::unwrap_used, reason = "a test crate: a panic is a failed test")]

use std::{
    env, fs,
    path::{Path, PathBuf},
};

// Named so that cargo builds the library that is loaded here.
use ghostllm_fake_nvml as _;
use ghostllm_gpu::{Card, Missing, cards, sentence};
use tempfile::TempDir;

const HEALTHY: &str = "driver=580.95.05\ncount=1\n0.name=NVIDIA Fake 4090\n0.memory=25757220864\n";

/// A machine of its own: a copy of the library beside its state.
struct Machine {
    folder: TempDir,
}

impl Machine {
    fn new(state: &str) -> Self {
        let machine = Self { folder: TempDir::new().unwrap() };
        let built = env::current_exe().unwrap().with_file_name("libghostllm_fake_nvml.so");
        fs::copy(&built, machine.library()).unwrap();
        machine.becomes(state);
        machine
    }

    fn library(&self) -> PathBuf {
        self.folder.path().join("libnvidia-ml.so.1")
    }

    fn becomes(&self, state: &str) {
        fs::write(self.folder.path().join("libnvidia-ml.so.1.state"), state).unwrap();
    }

    fn cards(&self) -> Result<Vec<Card>, Missing> {
        cards(Some(&self.library()))
    }
}

#[test]
fn lists_the_cards() {
    let first = "0.free=1048576\n0.temperature=73\n0.slowdown=89\n";
    let state = format!("{HEALTHY}{first}count=2\n1.name=NVIDIA GB10\n1.temperature=40\n");
    let listed = Machine::new(&state).cards().unwrap();
    let card = |name: &str, last: u32, memory, free, below_slowdown| Card {
        name: name.to_owned(),
        uuid: format!("GPU-{last:032x}"),
        memory,
        free,
        below_slowdown,
        driver: "580.95.05".to_owned(),
        fault: None,
        damage: None,
    };
    // The second one shares the machine's memory and says so by not supporting the question; nor does it say when it is too warm.
    let fake = card("NVIDIA Fake 4090", 1, Some(25_757_220_864), Some(1_048_576), Some(16));
    assert_eq!(listed, [fake, card("NVIDIA GB10", 2, None, None, None)]);
}

#[test]
fn a_card_that_is_warmer_than_its_slowdown_is_below_it_by_less_than_nothing() {
    let machine = Machine::new(&format!("{HEALTHY}0.temperature=91\n0.slowdown=89\n"));
    let [card] = machine.cards().unwrap().try_into().unwrap();
    assert_eq!((card.below_slowdown, card.free), (Some(-2), card.memory));
}

#[test]
fn a_card_that_answers_tells_what_is_broken() {
    let machine = Machine::new(&format!("{HEALTHY}0.remapped=3\n0.remap_failed=1\n"));
    let [card] = machine.cards().unwrap().try_into().unwrap();
    assert!(
        card.fault.is_none() && card.damage.as_deref().unwrap().contains("could not be replaced"),
        "{card:?}"
    );
}

#[test]
fn a_lost_card_stays_in_the_list() {
    let machine = Machine::new(&format!("{HEALTHY}count=2\n1.name=Second\n0.lost=1\n"));
    let listed = machine.cards().unwrap();
    let [lost, second] = listed.as_slice() else { panic!("{listed:?}") };
    assert_eq!((lost.name.as_str(), lost.memory), ("card 0", None));
    assert!(lost.fault.as_deref().unwrap().contains("fallen off the bus"));
    assert_eq!((second.name.as_str(), second.fault.as_ref()), ("Second", None));
    assert!(sentence(&Ok(listed)).contains("card 0 (cannot be used: it has fallen off the bus"));
}

#[test]
fn says_why_there_is_none_and_sees_when_that_changes() {
    let machine = Machine::new(HEALTHY);
    // The codes are nvml.h's.
    for (state, missing, next) in [
        ("init=9", Missing::DriverNotLoaded, "modprobe nvidia"),
        ("init=18", Missing::VersionMismatch, "restart the machine"),
        ("init=4", Missing::NoPermission, "ls -l /dev/nvidia*"),
        ("init=17", Missing::Blocked, "--gpus all"),
        ("count=0", Missing::NoCard, "lspci"),
    ] {
        machine.becomes(state);
        let found = machine.cards();
        assert_eq!(found, Err(missing), "{state}");
        assert!(sentence(&found).contains(next), "{state}");
    }
    machine.becomes("init=999");
    assert!(matches!(machine.cards(), Err(Missing::Other { why }) if why.contains("internal driver error")));
    machine.becomes(HEALTHY);
    assert_eq!(machine.cards().unwrap().len(), 1);
}

#[test]
fn tells_no_library_from_a_bad_one() {
    let folder = TempDir::new().unwrap();
    let absent = folder.path().join("absent.so");
    let found = cards(Some(&absent)).unwrap_err();
    assert_eq!(found, Missing::NoLibrary { library: absent.clone() });
    assert!(!found.is_fault());
    assert!(found.to_string().contains("install"));

    let torn = folder.path().join("torn.so");
    fs::write(&torn, "not a library").unwrap();
    let found = cards(Some(&torn)).unwrap_err();
    assert!(matches!(&found, Missing::BadLibrary { library, .. } if *library == torn), "{found:?}");
    assert!(found.is_fault());

    // A real library that is not NVML: the C library itself.
    let other = cards(Some(Path::new("libc.so.6")));
    assert!(matches!(other, Err(Missing::BadLibrary { why, .. }) if why.contains("nvmlInit_v2")));
}
