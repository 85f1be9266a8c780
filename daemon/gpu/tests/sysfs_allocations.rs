//! What sampling through the kernel's files allocates: nothing.
//!
//! Invariant: alone in its program, since what allocates is counted for all threads.
#![expect(clippy::unwrap_used, reason = "a test crate: a panic is a failed test")]

use std::{
    alloc::System,
    fs,
    os::unix::fs::symlink,
    path::Path,
    time::{Duration, Instant},
};

use ghostllm_gpu::{Absent, Options, Sampler, Seen};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, Stats, StatsAlloc};

#[global_allocator]
static COUNTED: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const AMD: [(&str, &str); 15] = [
    ("hwmon/hwmon0/name", "amdgpu"),
    ("hwmon/hwmon0/temp1_label", "edge"),
    ("hwmon/hwmon0/temp1_input", "54000"),
    ("hwmon/hwmon0/temp1_crit", "100000"),
    ("hwmon/hwmon0/power1_average", "303000000"),
    ("hwmon/hwmon0/power1_cap", "339000000"),
    ("hwmon/hwmon0/fan1_input", "1485"),
    ("hwmon/hwmon0/fan1_max", "3300"),
    ("pp_dpm_sclk", "0: 500Mhz\n1: 2371Mhz *\n"),
    ("gpu_busy_percent", "no number"),
    ("mem_info_vram_total", "25753026560"),
    ("mem_info_vram_used", "1073741824"),
    ("current_link_speed", "16.0 GT/s PCIe"),
    ("ras/umc_err_count", "ue: 0\nce: 1\n"),
    ("ras/gpu_vram_bad_pages", "0x00000001 : 0x00001000 : R\n"),
];

const INTEL: [(&str, &str); 7] = [
    ("hwmon/hwmon1/name", "xe"),
    ("hwmon/hwmon1/temp2_input", "66000"),
    ("hwmon/hwmon1/energy1_input", "90500000"),
    ("tile0/gt0/freq0/act_freq", "2100"),
    ("tile0/gt0/freq0/throttle/status", "1"),
    ("tile0/gt0/freq0/throttle/reason_pl1", "1"),
    ("tile0/gt0/freq0/throttle/reason_thermal", "0"),
];

fn says(path: &Path, content: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn card(root: &Path, number: u32, driver: &str, files: &[(&str, &str)]) {
    let folder = root.join(format!("devices/{number}"));
    for (path, content) in files {
        says(&folder.join(path), content);
    }
    // gpu_metrics_v3_0 of 264 bytes, whose reasons are counters.
    let blob: Vec<u8> = [8, 1, 3, 0].into_iter().chain([0; 260]).collect();
    says(&folder.join("gpu_metrics"), blob);
    let place = format!("DRIVER={driver}\nPCI_ID=1:{number}\nPCI_SLOT_NAME=0000:0{number}:00.0\n");
    says(&folder.join("uevent"), place);
    let node = root.join(format!("class/drm/card{number}"));
    fs::create_dir_all(&node).unwrap();
    symlink(&folder, node.join("device")).unwrap();
}

/// Waits until each of so many has answered so often.
fn until(sampler: &Sampler, seen: &mut Vec<Seen>, count: usize, number: u64) {
    let (began, mut news) = (Instant::now(), 0);
    loop {
        sampler.read(seen);
        if seen.len() == count && seen.iter().all(|seen| seen.number >= number) {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "they do not answer: {seen:?}");
        news = sampler.news(news, Duration::from_millis(50));
    }
}

/// Twenty whole rounds of what this tree tells.
fn rounds(root: &Path, count: usize) -> (Vec<Seen>, Stats) {
    let options = Options {
        nvml_library: root.join("none"),
        sysfs_root: root.to_owned(),
        every: Duration::from_millis(10),
        whole_every: Duration::ZERO,
        // It is looked for new cards before and after, which allocates.
        reopen: Duration::from_secs(300),
        ..Options::default()
    };
    let sampler = Sampler::start(options, Instant::now()).unwrap();
    let mut seen = Vec::with_capacity(count + 1);
    until(&sampler, &mut seen, count, 3);
    let counted = Region::new(COUNTED);
    let number = seen.iter().map(|seen| seen.number).max().unwrap() + 20;
    until(&sampler, &mut seen, count, number);
    let change = counted.change();
    (seen, change)
}

#[test]
fn rounds_of_eight_cards_and_of_a_processor_allocate_nothing_also_when_files_are_not_there() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..8 {
        let (driver, files) = if number % 2 == 0 { ("amdgpu", &AMD[..]) } else { ("xe", &INTEL[..]) };
        card(folder.path(), number, driver, files);
    }
    let (seen, change) = rounds(folder.path(), 8);
    println!("20 whole rounds of 8 cards: {change:?}");
    assert_eq!((change.allocations, change.reallocations, change.bytes_allocated), (0, 0, 0));
    let amd = seen[0].sample;
    assert_eq!(
        (amd.gpu.to_slowdown, amd.utilisation.core, amd.faults.pages_retired),
        (Ok(46.0), Err(Absent::Failed), Ok(1))
    );
    assert!(
        amd.throttles.is_ok()
            && amd.memory.total == Err(Absent::SharesMemory)
            && seen[1].sample.power.watts == Ok(0.0),
        "{seen:?}"
    );

    let folder = tempfile::tempdir().unwrap();
    let zone = folder.path().join("class/thermal/thermal_zone0");
    for (path, content) in [
        ("type", "cpu-thermal"),
        ("temp", "50000"),
        ("trip_point_0_type", "passive"),
        ("trip_point_0_temp", "80000"),
    ] {
        says(&zone.join(path), content);
    }
    let (seen, change) = rounds(folder.path(), 1);
    println!("20 whole rounds of a processor: {change:?}");
    assert_eq!((change.allocations, change.reallocations, change.bytes_allocated), (0, 0, 0));
    assert_eq!(seen[0].sample.gpu.to_soft, Ok(30.0));
}
