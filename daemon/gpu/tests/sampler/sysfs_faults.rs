//! One test for each way in which the kernel's files, or what they tell of, misbehave.

use std::{fs, process::Command};

use ghostllm_gpu::{Absent, Maker, Sample};

use crate::{
    machine::{H100, Machine, with},
    tree::{RX_7900_XTX, Tree, blob},
};

const FIRST: &str = "0000:03:00.0";
const SECOND: &str = "0000:43:00.0";

fn radeon(tree: &Tree, number: u32, bus: &str) -> crate::tree::Device {
    tree.card(number, bus, "1002:744C", "amdgpu", &RX_7900_XTX)
}

#[test]
fn garbage_is_no_number_and_spoils_no_other_reading() {
    let tree = Tree::new();
    let card = radeon(&tree, 0, FIRST);
    for (path, garbage) in [
        ("hwmon/hwmon3/temp1_input", "warm\n"),
        ("hwmon/hwmon3/temp2_input", "9999999\n"),
        ("hwmon/hwmon3/temp3_crit", "-5\n"),
        ("hwmon/hwmon3/power1_average", "-1\n"),
        ("hwmon/hwmon3/power1_cap", "0\n"),
        ("hwmon/hwmon3/fan1_input", "\u{1F525}\n"),
        ("gpu_busy_percent", "101\n"),
        ("mem_info_vram_used", "\n"),
        ("pp_dpm_mclk", "0: Mhz\n"),
        ("current_link_width", "300\n"),
        ("max_link_speed", "warp\n"),
        ("ras/umc_err_count", "Query currently inaccessible\n"),
    ] {
        card.says(path, garbage);
    }
    card.says("hwmon/hwmon3/freq2_input", [0xff, 0xfe]);
    card.says("gpu_metrics", [0xff; 120]);
    let sample = tree.watched().card(0, |_| true).sample;
    let failed = Absent::Failed;
    assert_eq!((sample.gpu.celsius, sample.gpu.to_slowdown), (Err(failed), Err(failed)));
    assert_eq!((sample.hotspot.celsius, sample.memory_heat.celsius), (Err(failed), Ok(80.0)));
    assert_eq!(sample.memory_heat.to_slowdown, Err(Absent::Unsupported), "a limit below 0 is none");
    assert_eq!((sample.power.watts, sample.power.limit), (Err(failed), Err(Absent::Unsupported)));
    assert_eq!(
        (sample.fan, sample.utilisation.core, sample.memory.used),
        (Err(failed), Err(failed), Err(failed))
    );
    assert_eq!(
        (sample.clocks.core, sample.clocks.memory, sample.clocks.memory_most),
        (Ok(2371), Err(failed), Err(failed))
    );
    assert_eq!(
        (sample.link.lanes, sample.link.generation_most, sample.link.generation),
        (Err(failed), Err(failed), Ok(4))
    );
    assert_eq!((sample.faults.corrected, sample.throttles), (Err(failed), Err(Absent::UnknownForm)));
    assert_eq!((sample.utilisation.memory, sample.memory.total), (Ok(41), Ok(25_753_026_560)));
}

#[test]
fn a_blob_that_is_cut_off_is_not_read() {
    let tree = Tree::new();
    let card = radeon(&tree, 0, FIRST);
    let watched = tree.watched();
    assert_eq!(watched.card(0, |_| true).sample.throttles, Err(Absent::Unsupported), "there is none");
    let whole = blob(1, 3, 120, &[]);
    card.says("gpu_metrics", &whole);
    watched.card(0, |seen| seen.sample.throttles.is_ok());
    card.says("gpu_metrics", &whole[..112]);
    watched.card(0, |seen| seen.sample.throttles == Err(Absent::UnknownForm));
    card.says("gpu_metrics", "");
    watched.card(0, |seen| seen.sample.throttles == Err(Absent::UnknownForm));
    assert_eq!(watched.next(0).sample.gpu.celsius, Ok(54.0));
}

#[test]
fn a_file_that_cannot_be_read_is_one_reading_less() {
    let tree = Tree::new();
    let card = radeon(&tree, 0, FIRST);
    card.instead("hwmon/hwmon3/temp1_input", |path| fs::create_dir(path).unwrap());
    card.instead("gpu_busy_percent", |path| std::os::unix::fs::symlink(path, path).unwrap());
    let sample = tree.watched().card(0, |_| true).sample;
    assert_eq!((sample.gpu.celsius, sample.utilisation.core), (Err(Absent::Failed), Err(Absent::Failed)));
    assert_eq!((sample.hotspot.celsius, sample.utilisation.memory), (Ok(71.5), Ok(41)));
}

#[test]
fn a_card_that_is_gone_is_lost_stays_who_it_is_and_comes_back_by_another_number() {
    let tree = Tree::new();
    let (card, _second) = (radeon(&tree, 0, FIRST), radeon(&tree, 1, SECOND));
    let watched = tree.watched();
    let before = watched.all(2);
    card.gone();
    let lost = watched.card(0, |seen| seen.sample.is_lost());
    assert_eq!(lost.sample, Sample::missing(lost.sample.at, Absent::Lost));
    assert_eq!((lost.index, lost.identity.as_ref()), (0, before[0].identity.as_ref()));
    let later = watched.card(0, |seen| seen.number >= lost.number + 2);
    assert!(later.sample.is_lost(), "it stays in the list");
    assert!(later.sample.at >= lost.sample.at + std::time::Duration::from_millis(350), "{later:?}, {lost:?}");
    assert_eq!(watched.next(1).sample.gpu.celsius, Ok(54.0));
    radeon(&tree, 7, FIRST);
    let back = watched.card(0, |seen| !seen.sample.is_lost());
    assert_eq!((back.sample.gpu, back.sample.link), (before[0].sample.gpu, before[0].sample.link));
    assert_eq!(back.identity, before[0].identity);
    assert_eq!(watched.all(2).len(), 2);
}

#[test]
fn a_card_that_answers_no_more_on_its_bus_is_lost_though_its_driver_has_not_noticed() {
    let tree = Tree::new();
    let card = radeon(&tree, 0, FIRST);
    card.says("config", [0x02, 0x10, 0x4c, 0x74]);
    let watched = tree.watched();
    assert_eq!(watched.card(0, |_| true).sample.gpu.celsius, Ok(54.0));
    card.says("config", [0xff; 64]);
    let lost = watched.card(0, |seen| seen.sample.is_lost());
    assert!(watched.card(0, |seen| seen.number >= lost.number + 2).sample.is_lost(), "it stays so");
    card.says("config", [0x02, 0x10, 0x4c, 0x74]);
    watched.card(0, |seen| seen.sample.gpu.celsius == Ok(54.0));
}

#[test]
fn a_file_that_hangs_hangs_its_own_card_alone() {
    let tree = Tree::new();
    // Other tests have no card there: its thread is known by its name.
    let first = radeon(&tree, 0, "0000:17:00.0");
    first.instead("hwmon/hwmon3/temp2_input", |path| {
        // Opening it waits for somebody who writes.
        assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    });
    radeon(&tree, 1, SECOND);
    let watched = tree.watched();
    let late = watched.until(|seen, _| seen.iter().find(|seen| seen.late.is_some()).cloned());
    assert_eq!((late.index, late.number), (0, 0));
    assert_eq!(late.sample, Sample::missing(late.sample.at, Absent::NotAsked));
    let neighbour = watched.next(1);
    assert_eq!((neighbour.late, neighbour.sample.hotspot.celsius), (None, Ok(71.5)));
    // It is found at each look, and asked once: had it a second thread, that would hang too.
    radeon(&tree, 2, "0000:a3:00.0");
    watched.until(|seen, _| (seen.len() == 3 && seen[2].number > 0).then_some(()));
    let number = watched.next(1).number;
    watched.card(1, |seen| seen.number > number + 20);
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.filter_map(|task| fs::read_to_string(task.unwrap().path().join("comm")).ok());
    assert_eq!(names.filter(|name| name.trim_end() == "gpu-17:00.0").count(), 1);
}

#[test]
fn a_card_that_is_put_in_is_found_and_one_that_is_given_away_is_not_missed() {
    let tree = Tree::new();
    let watched = tree.watched();
    watched.until(|_, missing| missing);
    let second = radeon(&tree, 0, SECOND);
    assert_eq!(watched.all(1)[0].identity.as_ref().unwrap().bus, SECOND);
    tree.card(1, FIRST, "8086:56A0", "xe", &[]);
    let both = watched.all(2);
    let buses: Vec<_> =
        both.iter().map(|seen| (seen.index, seen.identity.as_ref().unwrap().bus.as_str())).collect();
    assert_eq!(buses, [(0, FIRST), (1, SECOND)]);
    second.unbound("1002:744C");
    assert_eq!(watched.all(1)[0].identity.as_ref().unwrap().bus, FIRST);
    // As a virtual machine's it is somebody else's.
    second.driven_by("1002:744C", "vfio-pci");
    watched.next(0);
    assert_eq!(watched.all(1).len(), 1);
}

#[test]
fn cards_of_drivers_that_are_not_read_here_are_none_and_one_with_two_nodes_is_one() {
    let tree = Tree::new();
    for (number, driver) in (0..).zip(["nouveau", "ast", "radeon", "nvidia"]) {
        tree.card(number, &format!("0000:0{number}:00.0"), "10DE:2684", driver, &RX_7900_XTX);
    }
    radeon(&tree, 9, SECOND);
    radeon(&tree, 4, "0000:a3:00.0");
    let nodes = tree.machine.sys().join("class/drm");
    std::os::unix::fs::symlink(fs::read_link(nodes.join("card9")).unwrap(), nodes.join("card1x")).unwrap();
    std::os::unix::fs::symlink(fs::read_link(nodes.join("card9")).unwrap(), nodes.join("card10")).unwrap();
    let seen = tree.watched().all(2);
    assert_eq!(seen[0].identity.as_ref().unwrap().bus, SECOND);
}

#[test]
fn nvidias_cards_are_counted_first_and_each_number_is_one_cards() {
    let tree = Tree { machine: Machine::new(2, &format!("{H100}1.name=Second\n1.temperature=50\n")) };
    radeon(&tree, 0, FIRST);
    let watched = tree.watched();
    let seen = watched.all(3);
    let makers: Vec<_> =
        seen.iter().map(|seen| (seen.index, seen.identity.as_ref().unwrap().maker)).collect();
    assert_eq!(makers, [(0, Maker::Nvidia), (1, Maker::Nvidia), (2, Maker::Amd)]);
    // NVIDIA's driver that hangs keeps the others not waiting.
    tree.machine
        .becomes(&with(2, &format!("{H100}1.name=Second\n1.temperature=50\n0.hang=all\n1.hang=all\n")));
    watched.card(0, |seen| seen.late.is_some());
    assert_eq!(watched.next(2).late, None);
}
