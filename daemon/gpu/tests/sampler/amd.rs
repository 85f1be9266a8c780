//! Cards of AMD, by trees of amdgpu's files.

use ghostllm_gpu::{
    Absent, Clocks, Faults, Link, Maker, Memory, Power, Reason, Sample, Sensor, Tenants, Throttles,
    Utilisation,
};

use crate::tree::{RX_7900_XTX, Tree, blob};

const NONE: Absent = Absent::Unsupported;

fn set(reasons: &[Reason]) -> Throttles {
    reasons.iter().copied().collect()
}

#[test]
fn a_radeon_tells_all_that_it_has() {
    let tree = Tree::new();
    let card = tree.card(0, "0000:03:00.0", "1002:744C", "amdgpu", &RX_7900_XTX);
    card.says("gpu_metrics", blob(1, 3, 120, &[(112, &(1_u64 << 36 | 1).to_ne_bytes())]));
    let watched = tree.watched();
    let seen = watched.card(0, |_| true);
    let said = Sample {
        at: seen.sample.at,
        gpu: Sensor { celsius: Ok(54.0), to_soft: Err(NONE), to_slowdown: Ok(46.0), to_shutdown: Ok(51.0) },
        memory_heat: Sensor {
            celsius: Ok(80.0),
            to_soft: Err(NONE),
            to_slowdown: Ok(28.0),
            to_shutdown: Ok(33.0),
        },
        hotspot: Sensor {
            celsius: Ok(71.5),
            to_soft: Err(NONE),
            to_slowdown: Ok(38.5),
            to_shutdown: Ok(43.5),
        },
        power: Power { watts: Ok(303.0), limit: Ok(339.0), millijoules: Err(NONE) },
        clocks: Clocks { core: Ok(2371), core_most: Ok(2526), memory: Ok(1249), memory_most: Ok(1249) },
        throttles: Ok(set(&[Reason::PowerCap, Reason::HardHeat])),
        utilisation: Utilisation { core: Ok(97), memory: Ok(41) },
        memory: Memory { total: Ok(25_753_026_560), used: Ok(1_073_741_824) },
        fan: Ok(45),
        link: Link { generation: Ok(4), generation_most: Ok(4), lanes: Ok(8), lanes_most: Ok(16) },
        faults: Faults {
            corrected: Err(NONE),
            uncorrected: Err(NONE),
            rows_remapped: Err(NONE),
            rows_pending: Err(NONE),
            rows_failed: Err(NONE),
            pages_retired: Err(NONE),
            xid: Err(NONE),
        },
        tenants: Tenants { processes: Err(NONE), instances: Err(NONE) },
    };
    assert_eq!(seen.sample, said);
    assert_eq!((seen.index, seen.late, seen.sample.nearest()), (0, None, Some(28.0)));
    let identity = seen.identity.unwrap();
    assert_eq!((identity.maker, identity.name.as_str()), (Maker::Amd, "amdgpu 1002:744c"));
    assert_eq!((identity.uuid.as_str(), identity.bus.as_str()), ("3c7d3a92d06c4fb1", "0000:03:00.0"));
    assert_eq!(identity.driver, "amdgpu");
    // And what changes is followed.
    card.says("hwmon/hwmon3/temp2_input", "112000\n");
    card.says("gpu_metrics", blob(1, 3, 120, &[(112, &(1_u64 << 56).to_ne_bytes())]));
    let sample = watched.next(0).sample;
    assert_eq!((sample.hotspot.to_slowdown, sample.throttles), (Ok(-2.0), Ok(set(&[Reason::Brake]))));
}

#[test]
fn an_accelerator_tells_its_name_its_errors_and_its_bad_pages() {
    let tree = Tree::new();
    let files = [
        ("hwmon/hwmon0/name", "amdgpu\n"),
        ("hwmon/hwmon0/temp1_label", "edge\n"),
        ("hwmon/hwmon0/temp1_input", "38000\n"),
        ("hwmon/hwmon0/temp2_label", "junction\n"),
        ("hwmon/hwmon0/temp2_input", "42000\n"),
        ("hwmon/hwmon0/temp2_crit", "100000\n"),
        ("hwmon/hwmon0/power1_average", "41000000\n"),
        ("hwmon/hwmon0/power1_cap", "300000000\n"),
        ("pp_dpm_sclk", "0: 500Mhz \n1: 800Mhz *\n2: 1700Mhz \n"),
        ("product_name", "AMD Instinct MI210\n"),
        ("unique_id", "72b4f1e56a0c3d98\n"),
        ("driver/module/version", "6.8.5\n"),
        ("mem_info_vram_total", "68702699520\n"),
        ("mem_info_vram_used", "11534336\n"),
        ("ras/umc_err_count", "ue: 1\nce: 17\n"),
        (
            "ras/gpu_vram_bad_pages",
            "0x00000001 : 0x00001000 : R\n0x00000002 : 0x00001000 : P\n0x00000003 : 0x00001000 : R\n",
        ),
    ];
    let card = tree.card(1, "0000:83:00.0", "1002:740F", "amdgpu", &files);
    card.says("gpu_metrics", blob(1, 3, 120, &[]));
    let seen = tree.watched().card(0, |_| true);
    let sample = seen.sample;
    assert_eq!((sample.faults.corrected, sample.faults.uncorrected), (Ok(17), Ok(1)));
    assert_eq!((sample.faults.pages_retired, sample.throttles), (Ok(2), Ok(Throttles::default())));
    assert_eq!((sample.clocks.core, sample.clocks.core_most), (Ok(800), Ok(1700)), "by its marked step");
    assert_eq!((sample.fan, sample.link.lanes), (Err(NONE), Err(NONE)));
    let identity = seen.identity.unwrap();
    assert_eq!((identity.name.as_str(), identity.driver.as_str()), ("AMD Instinct MI210", "amdgpu 6.8.5"));
}

/// An MI300X of this `gpu_metrics`: it tells no temperature of its edge.
const MI300X: [(&str, &str); 8] = [
    ("hwmon/hwmon0/name", "amdgpu\n"),
    ("hwmon/hwmon0/temp2_label", "junction\n"),
    ("hwmon/hwmon0/temp2_input", "61000\n"),
    ("hwmon/hwmon0/temp2_crit", "105000\n"),
    ("hwmon/hwmon0/power1_input", "402000000\n"),
    ("hwmon/hwmon0/power1_cap", "750000000\n"),
    ("mem_info_vram_total", "206141652992\n"),
    ("ras/aca_umc", "ue: 0\nce: 0\nde: 2\n"),
];

#[test]
fn an_accelerator_whose_driver_never_tells_reasons_is_not_one_without() {
    let tree = Tree::new();
    let card = tree.card(0, "0000:05:00.0", "1002:74A1", "amdgpu", &MI300X);
    card.says("gpu_metrics", blob(1, 4, 288, &[(24, &6_553_600_u64.to_ne_bytes())]));
    let sample = tree.watched().card(0, |_| true).sample;
    assert_eq!((sample.throttles, sample.power.millijoules), (Err(NONE), Ok(100_000)));
    assert_eq!((sample.gpu.celsius, sample.hotspot.to_slowdown), (Err(NONE), Ok(44.0)));
    assert_eq!((sample.power.watts, sample.faults.uncorrected), (Ok(402.0), Ok(0)));
}

#[test]
fn an_accelerators_counters_are_reasons_while_they_go_on() {
    let tree = Tree::new();
    let card = tree.card(0, "0000:05:00.0", "1002:74A1", "amdgpu", &MI300X);
    let says = |clock: u32, hbm: u32| {
        let put: [(usize, &[u8]); 2] = [(32, &clock.to_ne_bytes()), (52, &hbm.to_ne_bytes())];
        card.says("gpu_metrics", blob(1, 6, 1664, &put));
    };
    says(100, 7);
    let watched = tree.watched();
    watched.card(0, |seen| seen.sample.throttles == Err(Absent::NotAsked));
    says(200, 7);
    watched.card(0, |seen| seen.sample.throttles == Ok(Throttles::default()));
    says(300, 8);
    watched.card(0, |seen| seen.sample.throttles == Ok(set(&[Reason::HardHeat])));
    says(400, 8);
    watched.card(0, |seen| seen.sample.throttles == Ok(Throttles::default()));
}

#[test]
fn a_processors_graphics_share_the_machines_memory_and_never_have_a_part_of_it() {
    let files = [
        ("hwmon/hwmon2/name", "amdgpu\n"),
        ("hwmon/hwmon2/temp1_label", "edge\n"),
        ("hwmon/hwmon2/temp1_input", "47000\n"),
        ("hwmon/hwmon2/in1_label", "vddnb\n"),
        ("hwmon/hwmon2/freq1_input", "800000000\n"),
        ("mem_info_vram_total", "536870912\n"),
        ("mem_info_vram_used", "104857600\n"),
        ("gpu_busy_percent", "3\n"),
    ];
    let spl = blob(2, 3, 152, &[(120, &(1_u64 << 4).to_ne_bytes())]);
    for (blob, files, throttles) in [
        (spl, &files[..], Ok(set(&[Reason::PowerCap]))),
        (blob(3, 0, 264, &[]), &files[..], Err(Absent::NotAsked)),
        // The blob's form alone says so, and so does the voltage alone.
        (blob(2, 4, 168, &[]), &[files[0], files[1], files[2], files[5]], Ok(Throttles::default())),
        (blob(9, 9, 64, &[]), &files[..], Err(Absent::UnknownForm)),
    ] {
        let tree = Tree::new();
        let card = tree.card(0, "0000:c1:00.0", "1002:15BF", "amdgpu", files);
        card.says("gpu_metrics", &blob);
        let seen = tree.watched().card(0, |_| true);
        let shared = Err(Absent::SharesMemory);
        assert_eq!(seen.sample.memory, Memory { total: shared, used: shared }, "{:?}", &blob[..4]);
        assert_eq!((seen.sample.throttles, seen.sample.gpu.celsius), (throttles, Ok(47.0)));
        assert_eq!(seen.identity.unwrap().uuid, "0000:c1:00.0", "it has no number of its own");
    }
}

#[test]
fn a_sleeping_card_is_left_asleep_and_tells_all_when_it_wakes() {
    let tree = Tree::new();
    let card = tree.card(0, "0000:03:00.0", "1002:744C", "amdgpu", &RX_7900_XTX);
    card.says("power/runtime_status", "suspended\n");
    let watched = tree.watched();
    let asleep = watched.card(0, |_| true);
    assert_eq!(asleep.sample, Sample::missing(asleep.sample.at, Absent::NotAsked));
    assert!(asleep.identity.is_some(), "who it is does not wake it");
    card.says("power/runtime_status", "active\n");
    let awake = watched.card(0, |seen| seen.sample.gpu.celsius == Ok(54.0)).sample;
    assert_eq!((awake.link.lanes, awake.power.limit, awake.gpu.to_slowdown), (Ok(8), Ok(339.0), Ok(46.0)));
}
