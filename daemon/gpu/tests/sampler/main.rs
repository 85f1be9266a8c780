//! What the sampler says of cards of every kind, and of those that misbehave.
//!
//! Knows the stand-in for NVML (tests/fake-nvml) and trees of the kernel's files. Invariant: the real nvml-wrapper loads it; no test needs a card or a driver.
#![expect(clippy::unwrap_used, reason = "a test crate: a panic is a failed test")]

mod amd;
mod faults;
mod intel;
mod machine;
mod processor;
mod sysfs_faults;
mod tree;

use std::{fs, path::Path, time::Duration};

use ghostllm_gpu::{
    Absent, Clocks, Faults, Instance, Link, Maker, Memory, Power, Process, Reason, Sample, Sensor, Tenants,
    Throttles, Utilisation,
};
use machine::{H100, Machine, with};

fn set(reasons: &[Reason]) -> Throttles {
    reasons.iter().copied().collect()
}

#[test]
fn an_h100_tells_all_that_it_has() {
    let machine = Machine::new(1, H100);
    let watched = machine.watched();
    let seen = watched.card(0, |_| true);
    let unsupported = Sensor::missing(Absent::Unsupported);
    let said = Sample {
        at: seen.sample.at,
        gpu: Sensor { celsius: Ok(38.0), to_soft: Ok(49.0), to_slowdown: Ok(51.0), to_shutdown: Ok(57.0) },
        memory_heat: Sensor { celsius: Ok(38.0), to_soft: Ok(57.0), ..unsupported },
        hotspot: unsupported,
        power: Power { watts: Ok(74.378), limit: Ok(700.0), millijoules: Ok(2_479_716) },
        clocks: Clocks { core: Ok(345), core_most: Ok(1980), memory: Ok(2619), memory_most: Ok(2619) },
        throttles: Ok(set(&[Reason::Idle])),
        utilisation: Utilisation { core: Ok(3), memory: Ok(1) },
        memory: Memory { total: Ok(85_520_809_984), used: Ok(503_316_480) },
        fan: Err(Absent::Unsupported),
        link: Link { generation: Ok(5), generation_most: Ok(5), lanes: Ok(16), lanes_most: Ok(16) },
        faults: Faults {
            corrected: Ok(2),
            uncorrected: Ok(1),
            rows_remapped: Ok(4),
            rows_pending: Ok(true),
            rows_failed: Ok(false),
            pages_retired: Err(Absent::Unsupported),
            xid: Ok(None),
        },
        tenants: Tenants { processes: Ok(2), instances: Ok(0) },
    };
    assert_eq!(seen.sample, said);
    let process = |pid, bytes| Some(Process { pid, bytes: Ok(bytes), instance: None });
    assert_eq!(seen.who.processes[..3], [process(1234, 1_048_576), process(99, 2048), None]);
    let identity = seen.identity.unwrap();
    assert_eq!((identity.maker, identity.name.as_str()), (Maker::Nvidia, "NVIDIA H100 80GB HBM3"));
    assert_eq!((identity.bus.as_str(), identity.driver.as_str()), ("00000000:01:00.0", "nvidia 580.95.05"));
    assert_eq!((seen.late, watched.sampler.missing()), (None, None));
}

#[test]
fn a_card_that_tells_distances_alone_has_the_same_margins() {
    // As cards from Ada on may: no thresholds, but T.Limit, here 5 °C beyond where the driver begins.
    let state = "0.name=New\n0.temperature=92\n0.margin=-5\n0.field.193=-8\n0.field.194=-2\n0.reasons=32\n";
    let gpu = Machine::new(1, state).watched().card(0, |_| true).sample.gpu;
    let (to_slowdown, to_shutdown) = (Ok(-3.0), Ok(3.0));
    assert_eq!(gpu, Sensor { celsius: Ok(92.0), to_soft: Ok(-5.0), to_slowdown, to_shutdown });
}

#[test]
fn a_card_that_tells_thresholds_alone_has_margins_too_and_a_limit_of_0_is_none() {
    let state = "0.name=Old\n0.temperature=77\n0.gpu_max=88\n0.slowdown=97\n0.shutdown=0\n";
    let sample = Machine::new(1, state).watched().card(0, |_| true).sample;
    let (to_soft, to_slowdown) = (Ok(11.0), Ok(20.0));
    let gpu = Sensor { celsius: Ok(77.0), to_soft, to_slowdown, to_shutdown: Err(Absent::Unsupported) };
    assert_eq!((sample.gpu, sample.nearest()), (gpu, Some(11.0)));
}

#[test]
fn a_card_without_memory_of_its_own_shares_the_machines_and_never_has_0() {
    for state in
        ["0.name=NVIDIA GB10\n0.temperature=40\n", "0.name=NVIDIA GB10\n0.temperature=40\n0.memory=0\n"]
    {
        let seen = Machine::new(1, state).watched().card(0, |_| true);
        let shared = Err(Absent::SharesMemory);
        assert_eq!(seen.sample.memory, Memory { total: shared, used: shared }, "{state}");
        assert_eq!(seen.sample.gpu.celsius, Ok(40.0));
    }
}

#[test]
fn instances_of_a_card_that_is_cut_are_told_one_by_one() {
    let parts = "0.mig=2\n0.mig0.memory=42949672960\n0.mig0.free=42949672950\n0.mig1.memory=10737418240\n";
    let seen = Machine::new(1, &format!("{H100}{parts}")).watched().card(0, |_| true);
    assert_eq!(seen.sample.tenants.instances, Ok(2));
    let part = |index, total, used| Some(Instance { index, total: Ok(total), used: Ok(used) });
    let told = [part(0, 42_949_672_960, 10), part(1, 10_737_418_240, 0), None];
    assert_eq!(seen.who.instances[..3], told);
}

#[test]
fn more_processes_than_there_is_room_for_are_counted() {
    let listed: Vec<String> = (1..=40).map(|pid| format!("{pid}:0")).collect();
    let state = format!("0.name=Busy\n0.temperature=40\n0.processes={}\n", listed.join(","));
    let seen = Machine::new(1, &state).watched().card(0, |_| true);
    assert_eq!(seen.sample.tenants.processes, Ok(40));
    assert_eq!(seen.who.processes.iter().flatten().count(), ghostllm_gpu::PROCESSES);
}

#[test]
fn a_curve_is_followed_and_each_reason_is_told() {
    let machine = Machine::new(1, H100);
    let watched = machine.watched();
    for (clock, celsius, bits, reasons) in [
        (0, 60.0, 4, vec![Reason::PowerCap]),
        (15, 75.0, 0x24, vec![Reason::PowerCap, Reason::SoftHeat]),
        (30, 90.0, 0x48, vec![Reason::Slowdown, Reason::HardHeat]),
        (99, 90.0, 0x88, vec![Reason::Slowdown, Reason::Brake]),
        (99, 90.0, 0x200, vec![Reason::Other]),
    ] {
        let curve = format!("{H100}0.temperature=60@0 90@30\nclock={clock}\n0.reasons={bits}\n");
        machine.becomes(&with(1, &curve));
        let sample = watched.next(0).sample;
        assert_eq!((sample.gpu.celsius, sample.throttles), (Ok(celsius), Ok(set(&reasons))), "{clock}");
    }
}

#[test]
fn eight_cards_are_eight() {
    let cards: String =
        (0..8).map(|card| format!("{card}.name=Card\n{card}.temperature={}\n", 40 + card)).collect();
    let machine = Machine::new(8, &cards);
    let seen = machine.watched().until(|seen, _| {
        let all = seen.len() == 8 && seen.iter().all(|seen| seen.number > 0);
        all.then(|| seen.to_vec())
    });
    for (place, seen) in (0_u32..).zip(seen) {
        let degrees = [40.0, 41.0, 42.0, 43.0, 44.0, 45.0, 46.0, 47.0][seen.index as usize];
        assert_eq!((seen.index, seen.sample.gpu.celsius), (place, Ok(degrees)));
        assert_eq!(seen.identity.unwrap().uuid, format!("GPU-{:032x}", place + 1));
    }
}

#[test]
fn the_stand_ins_structures_are_as_long_as_a_real_cards() {
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/recordings/nvml/h100/sizes.json");
    let recorded = fs::read_to_string(recorded).unwrap();
    for (name, size) in ghostllm_fake_nvml::sizes() {
        assert!(recorded.contains(&format!("\"{name}\": {size},")), "{name} is {size}");
    }
}

#[test]
fn a_card_is_asked_no_more_often_than_it_is_to_be() {
    let machine = Machine::new(1, H100);
    let watched = machine.watched();
    let first = watched.card(0, |_| true);
    let later = watched.card(0, |seen| seen.number >= first.number + 5);
    assert!(later.sample.at >= first.sample.at + Duration::from_millis(40), "it was asked too soon");
}
