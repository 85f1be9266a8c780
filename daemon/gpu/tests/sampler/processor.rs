//! Machines without a card, by trees of thermal zones.

use std::time::{Duration, Instant};

use ghostllm_gpu::{Absent, Maker, Memory, Sample, Sensor};

use crate::{
    machine::{H100, with},
    tree::{RX_7900_XTX, Tree},
};

const NONE: Absent = Absent::Processor;

fn zone(tree: &Tree, number: u32, kind: &str, temp: &str, trips: &[(&str, &str)]) {
    let zone = format!("class/thermal/thermal_zone{number}");
    for (trip, (kind, temp)) in trips.iter().enumerate() {
        tree.says(&format!("{zone}/trip_point_{trip}_type"), &format!("{kind}\n"));
        tree.says(&format!("{zone}/trip_point_{trip}_temp"), &format!("{temp}\n"));
    }
    tree.says(&format!("{zone}/temp"), &format!("{temp}\n"));
    tree.says(&format!("{zone}/type"), &format!("{kind}\n"));
}

fn laptop() -> Tree {
    let tree = Tree::new();
    let acpi = [("critical", "103000"), ("passive", "97000"), ("active", "60000")];
    zone(&tree, 0, "acpitz", "27800", &acpi);
    zone(&tree, 1, "x86_pkg_temp", "71000", &[("passive", "0"), ("passive", "0")]);
    tree.says("class/hwmon/hwmon2/name", "coretemp\n");
    tree.says("class/hwmon/hwmon2/temp1_label", "Package id 0\n");
    tree.says("class/hwmon/hwmon2/temp1_crit", "100000\n");
    tree
}

#[test]
fn a_laptop_without_a_card_tells_its_processor() {
    let tree = laptop();
    let watched = tree.watched();
    let seen = watched.card(0, |_| true);
    let gpu = Sensor { celsius: Ok(71.0), to_slowdown: Ok(29.0), ..Sensor::missing(NONE) };
    let shared = Err(Absent::SharesMemory);
    let memory = Memory { total: shared, used: shared };
    assert_eq!(seen.sample, Sample { gpu, memory, ..Sample::missing(seen.sample.at, NONE) });
    let identity = seen.identity.unwrap();
    assert_eq!((identity.maker, identity.name.as_str()), (Maker::Processor, "processor (x86_pkg_temp)"));
    tree.says("class/thermal/thermal_zone1/temp", "98500\n");
    watched.card(0, |seen| seen.sample.gpu.to_slowdown == Ok(1.5));
}

#[test]
fn of_several_zones_the_hottest_is_told_and_the_nearest_limit() {
    let tree = Tree::new();
    zone(&tree, 0, "cpu0-thermal", "50000", &[("passive", "85000"), ("critical", "115000")]);
    zone(
        &tree,
        1,
        "cpu1-thermal",
        "61500",
        &[("passive", "95000"), ("passive", "75000"), ("critical", "-274000")],
    );
    zone(&tree, 2, "battery", "99000", &[("critical", "100000")]);
    let gpu = tree.watched().card(0, |_| true).sample.gpu;
    let (to_soft, to_shutdown) = (Ok(13.5), Ok(65.0));
    assert_eq!(gpu, Sensor { celsius: Ok(61.5), to_soft, to_slowdown: Err(NONE), to_shutdown });
}

#[test]
fn amds_processors_and_firmwares_zones_are_told_where_there_is_nothing_better() {
    let tree = Tree::new();
    zone(&tree, 0, "acpitz", "40000", &[("critical", "110000"), ("passive", "90000")]);
    let gpu = tree.watched().card(0, |_| true).sample.gpu;
    assert_eq!((gpu.celsius, gpu.to_soft, gpu.to_shutdown), (Ok(40.0), Ok(50.0), Ok(70.0)));
    tree.says("class/hwmon/hwmon1/name", "k10temp\n");
    tree.says("class/hwmon/hwmon1/temp1_input", "55250\n");
    tree.says("class/hwmon/hwmon1/temp1_max", "70000\n");
    let seen = tree.watched().card(0, |_| true);
    assert_eq!(seen.sample.gpu, Sensor { celsius: Ok(55.25), ..Sensor::missing(NONE) }, "its max is none");
    assert_eq!(seen.identity.unwrap().driver, "k10temp");
}

#[test]
fn the_processor_goes_when_a_card_comes_and_comes_when_it_is_given_away() {
    let tree = laptop();
    let watched = tree.watched();
    let maker = |maker: Maker| {
        let is_it = |seen: &ghostllm_gpu::Seen| seen.identity.as_ref().is_some_and(|one| one.maker == maker);
        watched.until(|seen, _| (seen.len() == 1 && is_it(&seen[0])).then_some(()));
    };
    maker(Maker::Processor);
    let card = tree.card(0, "0000:03:00.0", "1002:744C", "amdgpu", &RX_7900_XTX);
    maker(Maker::Amd);
    card.unbound("1002:744C");
    maker(Maker::Processor);
    tree.machine.installed(&[]);
    tree.machine.becomes(&with(1, H100));
    maker(Maker::Nvidia);
    // NVIDIA's driver that works no more is no machine without a card.
    tree.machine.becomes(&with(1, "init=18\nfail.nvmlDeviceGetTemperature=18\n"));
    watched.until(|seen, missing| (seen.is_empty() && missing.is_some()).then_some(()));
    let (began, mut seen) = (Instant::now(), Vec::new());
    while began.elapsed() < Duration::from_millis(700) {
        watched.sampler.read(&mut seen);
        assert!(seen.is_empty(), "{seen:?}");
    }
    tree.machine.becomes("count=0\n");
    maker(Maker::Processor);
}

#[test]
fn a_machine_that_tells_nothing_has_nothing_to_show() {
    let tree = Tree::new();
    zone(&tree, 0, "iwlwifi_1", "40000", &[]);
    let watched = tree.watched();
    watched.until(|_, missing| missing);
    let (began, mut seen) = (Instant::now(), Vec::new());
    while began.elapsed() < Duration::from_millis(700) {
        watched.sampler.read(&mut seen);
        assert!(seen.is_empty(), "{seen:?}");
    }
}
