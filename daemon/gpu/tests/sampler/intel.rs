//! Cards of Intel, by trees of i915's and of xe's files.

use ghostllm_gpu::{Absent, Clocks, Link, Maker, Memory, Reason, Sensor, Throttles};

use crate::tree::{Device, Tree};

const NONE: Absent = Absent::Unsupported;
const REASONS: [&str; 8] = ["pl1", "pl2", "pl4", "thermal", "prochot", "ratl", "vr_thermalert", "vr_tdc"];

fn set(reasons: &[Reason]) -> Throttles {
    reasons.iter().copied().collect()
}

/// The files of `throttle`, of which these are set.
fn slowed(card: &Device, folder: &str, prefix: &str, set: &[&str]) {
    for reason in REASONS {
        card.says(&format!("{folder}/{prefix}{reason}"), if set.contains(&reason) { "1\n" } else { "0\n" });
    }
    let status = if prefix == "reason_" { "status" } else { "throttle_reason_status" };
    card.says(&format!("{folder}/{status}"), if set.is_empty() { "0\n" } else { "1\n" });
}

#[test]
fn an_arc_on_i915_tells_all_that_it_has() {
    let tree = Tree::new();
    let files = [
        ("hwmon/hwmon4/name", "i915_gt0\n"),
        ("hwmon/hwmon4/energy1_input", "1\n"),
        ("hwmon/hwmon5/name", "i915\n"),
        ("hwmon/hwmon5/energy1_input", "7000000\n"),
        ("hwmon/hwmon5/power1_max", "190000000\n"),
        ("hwmon/hwmon5/power1_rated_max", "225000000\n"),
        ("hwmon/hwmon5/power1_crit", "320000000\n"),
        ("hwmon/hwmon5/temp1_input", "63000\n"),
        ("hwmon/hwmon5/fan1_input", "1200\n"),
        ("drm/card1/gt/gt0/rps_act_freq_mhz", "2050\n"),
        ("drm/card1/gt/gt0/rps_RP0_freq_mhz", "2400\n"),
        ("drm/card1/gt_act_freq_mhz", "2051\n"),
        ("drm/card1/gt_max_freq_mhz", "2401\n"),
        ("current_link_speed", "2.5 GT/s PCIe\n"),
        ("current_link_width", "1\n"),
        ("max_link_speed", "2.5 GT/s PCIe\n"),
        ("max_link_width", "1\n"),
    ];
    let card = tree.card(1, "0000:03:00.0", "8086:56A0", "i915", &files);
    slowed(&card, "drm/card1/gt/gt0", "throttle_reason_", &["pl1", "vr_thermalert"]);
    let watched = tree.watched();
    let first = watched.card(0, |_| true);
    let sample = first.sample;
    assert_eq!(sample.gpu, Sensor { celsius: Ok(63.0), ..Sensor::missing(NONE) });
    assert_eq!((sample.power.limit, sample.power.millijoules), (Ok(190.0), Ok(7000)));
    let core = Clocks { core: Ok(2050), core_most: Ok(2400), memory: Err(NONE), memory_most: Err(NONE) };
    assert_eq!((sample.clocks, sample.fan), (core, Err(NONE)));
    assert_eq!(sample.throttles, Ok(set(&[Reason::PowerCap, Reason::HardHeat])));
    assert_eq!(sample.memory, Memory { total: Err(NONE), used: Err(NONE) });
    let link = Link { generation: Ok(1), generation_most: Ok(1), lanes: Ok(1), lanes_most: Ok(1) };
    assert_eq!((sample.link, sample.utilisation.core), (link, Err(NONE)));
    let identity = first.identity.unwrap();
    assert_eq!((identity.maker, identity.name.as_str()), (Maker::Intel, "i915 8086:56a0"));
    assert_eq!((identity.uuid.as_str(), identity.driver.as_str()), ("0000:03:00.0", "i915"));
    // What it draws is what its energy grows by.
    watched.card(0, |seen| seen.sample.power.watts == Ok(0.0));
    let before = watched.next(0);
    card.says("hwmon/hwmon5/energy1_input", "7500000\n");
    let drawn = watched.card(0, |seen| seen.sample.power.watts.is_ok_and(|watts| watts > 0.0)).sample;
    let most = 0.5 / (drawn.at - before.sample.at).as_secs_f32();
    let watts = drawn.power.watts.unwrap();
    assert!(watts >= most * 0.99 && watts <= 0.5 / 0.009, "{watts} W, {most} W");
    // It is slowed down and says not why.
    slowed(&card, "drm/card1/gt/gt0", "throttle_reason_", &[]);
    card.says("drm/card1/gt/gt0/throttle_reason_status", "1\n");
    watched.card(0, |seen| seen.sample.throttles == Ok(set(&[Reason::Other])));
    card.says("drm/card1/gt/gt0/throttle_reason_status", "0\n");
    watched.card(0, |seen| seen.sample.throttles == Ok(Throttles::default()));
}

#[test]
fn an_arc_on_xe_tells_all_that_it_has() {
    let tree = Tree::new();
    let files = [
        ("hwmon/hwmon6/name", "xe\n"),
        ("hwmon/hwmon6/energy2_input", "90500\n"),
        ("hwmon/hwmon6/power1_max", "0\n"),
        ("hwmon/hwmon6/power2_max", "190000000\n"),
        ("hwmon/hwmon6/temp2_label", "pkg\n"),
        ("hwmon/hwmon6/temp2_input", "66000\n"),
        ("hwmon/hwmon6/temp2_max", "95000\n"),
        ("hwmon/hwmon6/temp2_crit", "100000\n"),
        ("hwmon/hwmon6/temp2_emergency", "105000\n"),
        ("hwmon/hwmon6/temp3_label", "vram\n"),
        ("hwmon/hwmon6/temp3_input", "72000\n"),
        ("tile0/gt0/freq0/act_freq", "2100\n"),
        ("tile0/gt0/freq0/cur_freq", "2150\n"),
        ("tile0/gt0/freq0/max_freq", "2200\n"),
        ("tile0/gt0/freq0/rp0_freq", "2400\n"),
        ("tile0/physical_vram_size_bytes", "17179869184\n"),
    ];
    let card = tree.card(0, "0000:03:00.0", "8086:56A0", "xe", &files);
    slowed(&card, "tile0/gt0/freq0/throttle", "reason_", &["pl4"]);
    slowed(&card, "tile0/gt1/freq0/throttle", "reason_", &["prochot"]);
    let seen = tree.watched().card(0, |_| true);
    let sample = seen.sample;
    let gpu = Sensor { celsius: Ok(66.0), to_soft: Ok(29.0), to_slowdown: Ok(34.0), to_shutdown: Ok(39.0) };
    assert_eq!((sample.gpu, sample.memory_heat.celsius), (gpu, Ok(72.0)));
    assert_eq!(
        (sample.power.limit, sample.power.millijoules),
        (Ok(190.0), Ok(90)),
        "the card's limit is off"
    );
    assert_eq!((sample.clocks.core, sample.clocks.core_most), (Ok(2100), Ok(2400)));
    assert_eq!(sample.throttles, Ok(set(&[Reason::Current, Reason::Brake])), "of both parts");
    assert_eq!(sample.memory, Memory { total: Ok(17_179_869_184), used: Err(NONE) });
    assert_eq!(seen.identity.unwrap().name, "xe 8086:56a0");
}

#[test]
fn a_processors_graphics_without_hwmon_tell_their_clock_and_their_reasons() {
    let tree = Tree::new();
    let files = [
        ("drm/card0/gt_act_freq_mhz", "0\n"),
        ("drm/card0/gt_max_freq_mhz", "1300\n"),
        ("current_link_speed", "Unknown\n"),
        ("current_link_width", "0\n"),
    ];
    let card = tree.card(0, "0000:00:02.0", "8086:46A6", "i915", &files);
    slowed(&card, "drm/card0/gt/gt0", "throttle_reason_", &[]);
    let sample = tree.watched().card(0, |_| true).sample;
    let shared = Err(Absent::SharesMemory);
    assert_eq!(sample.memory, Memory { total: shared, used: shared });
    assert_eq!((sample.clocks.core, sample.clocks.core_most), (Ok(0), Ok(1300)), "it is parked");
    assert_eq!((sample.throttles, sample.gpu), (Ok(Throttles::default()), Sensor::missing(NONE)));
    assert_eq!((sample.power.watts, sample.power.limit), (Err(NONE), Err(NONE)));
    assert_eq!((sample.link.generation, sample.link.lanes), (Err(NONE), Err(NONE)));
}

#[test]
fn an_old_chip_that_tells_no_reasons_is_not_one_without() {
    let tree = Tree::new();
    tree.card(0, "0000:00:02.0", "8086:5917", "i915", &[("drm/card0/gt_act_freq_mhz", "300\n")]);
    assert_eq!(tree.watched().card(0, |_| true).sample.throttles, Err(NONE));
}
