//! The blob's forms, held against structures that are written down here as the kernel has them.
//!
//! Source: drivers/gpu/drm/amd/include/kgd_pp_interface.h, field by field; C's rules of layout are the compiler's.
#![expect(non_camel_case_types, reason = "the kernel's names")]

use std::mem::{offset_of, size_of};

use super::*;

/// `struct metrics_table_header`.
#[repr(C)]
struct Header {
    structure_size: u16,
    format_revision: u8,
    content_revision: u8,
}

#[repr(C)]
struct v1_0 {
    common_header: Header,
    system_clock_counter: u64,
    temperatures: [u16; 6],
    activities: [u16; 3],
    average_socket_power: u16,
    energy_accumulator: u32,
    average_clocks: [u16; 7],
    current_clocks: [u16; 7],
    throttle_status: u32,
    current_fan_speed: u16,
    pcie_link_width: u8,
    pcie_link_speed: u8,
}

#[repr(C)]
struct v1_1 {
    common_header: Header,
    temperatures: [u16; 6],
    activities: [u16; 3],
    average_socket_power: u16,
    energy_accumulator: u64,
    system_clock_counter: u64,
    average_clocks: [u16; 7],
    current_clocks: [u16; 7],
    throttle_status: u32,
    current_fan_speed: u16,
    pcie_link_width: u16,
    pcie_link_speed: u16,
    padding: u16,
    gfx_activity_acc: u32,
    mem_activity_acc: u32,
    temperature_hbm: [u16; 4],
}

#[repr(C)]
struct v1_2 {
    before: v1_1,
    firmware_timestamp: u64,
}

#[repr(C)]
struct v1_3 {
    before: v1_2,
    voltage_soc: u16,
    voltage_gfx: u16,
    voltage_mem: u16,
    padding1: u16,
    indep_throttle_status: u64,
}

#[repr(C)]
struct v1_4 {
    common_header: Header,
    temperature_hotspot: u16,
    temperature_mem: u16,
    temperature_vrsoc: u16,
    curr_socket_power: u16,
    average_gfx_activity: u16,
    average_umc_activity: u16,
    vcn_activity: [u16; 4],
    energy_accumulator: u64,
    system_clock_counter: u64,
    throttle_status: u32,
    gfxclk_lock_status: u32,
    pcie_link: [u16; 2],
    xgmi_link: [u16; 2],
    gfx_activity_acc: u32,
    mem_activity_acc: u32,
    pcie_bandwidth_acc: u64,
    pcie_bandwidth_inst: u64,
    pcie_l0_to_recov_count_acc: u64,
    pcie_replay_count_acc: u64,
    pcie_replay_rover_count_acc: u64,
    xgmi_read_data_acc: [u64; 8],
    xgmi_write_data_acc: [u64; 8],
    firmware_timestamp: u64,
    current_gfxclk: [u16; 8],
    current_socclk: [u16; 4],
    current_vclk0: [u16; 4],
    current_dclk0: [u16; 4],
    current_uclk: u16,
    padding: u16,
}

#[repr(C)]
struct v1_5 {
    common_header: Header,
    temperatures: [u16; 3],
    curr_socket_power: u16,
    activities: [u16; 2],
    vcn_activity: [u16; 4],
    jpeg_activity: [u16; 32],
    energy_accumulator: u64,
    system_clock_counter: u64,
    throttle_status: u32,
    gfxclk_lock_status: u32,
    rest: RestOfV1_5,
}

/// What v1_5 and the first v1_6 have behind `gfxclk_lock_status`.
#[repr(C)]
struct RestOfV1_5 {
    link: Link,
    current_uclk: u16,
    padding: u16,
}

/// From `pcie_link_width` to `current_dclk0`.
#[repr(C)]
struct Link {
    pcie_link: [u16; 2],
    xgmi_link: [u16; 2],
    gfx_activity_acc: u32,
    mem_activity_acc: u32,
    pcie_bandwidth_acc: u64,
    pcie_bandwidth_inst: u64,
    pcie_l0_to_recov_count_acc: u64,
    pcie_replay_count_acc: u64,
    pcie_replay_rover_count_acc: u64,
    pcie_nak_sent_count_acc: u32,
    pcie_nak_rcvd_count_acc: u32,
    xgmi_read_data_acc: [u64; 8],
    xgmi_write_data_acc: [u64; 8],
    firmware_timestamp: u64,
    current_gfxclk: [u16; 8],
    current_socclk: [u16; 4],
    current_vclk0: [u16; 4],
    current_dclk0: [u16; 4],
}

#[repr(C)]
struct v1_6_first {
    common_header: Header,
    temperatures: [u16; 3],
    curr_socket_power: u16,
    activities: [u16; 2],
    vcn_activity: [u16; 4],
    jpeg_activity: [u16; 32],
    energy_accumulator: u64,
    system_clock_counter: u64,
    accumulation_counter: u32,
    prochot_residency_acc: u32,
    ppt_residency_acc: u32,
    socket_thm_residency_acc: u32,
    vr_thm_residency_acc: u32,
    hbm_thm_residency_acc: u32,
    throttle_status: u32,
    gfxclk_lock_status: u32,
    rest: RestOfV1_5,
}

/// `struct amdgpu_xcp_metrics` and its later forms: what they begin with, and how many lists of counters follow.
#[repr(C)]
struct Partition<const ENGINES: usize, const COUNTERS: usize> {
    gfx_busy_inst: [u32; 8],
    jpeg_busy: [u16; ENGINES],
    vcn_busy: [u16; 4],
    counters: [[u64; 8]; COUNTERS],
}

#[repr(C)]
struct v1_6 {
    common_header: Header,
    temperatures: [u16; 3],
    curr_socket_power: u16,
    activities: [u16; 2],
    energy_accumulator: u64,
    system_clock_counter: u64,
    accumulation_counter: u32,
    prochot_residency_acc: u32,
    ppt_residency_acc: u32,
    socket_thm_residency_acc: u32,
    vr_thm_residency_acc: u32,
    hbm_thm_residency_acc: u32,
    gfxclk_lock_status: u32,
    pcie_link: [u16; 2],
    xgmi_link: [u16; 2],
    gfx_activity_acc: u32,
    mem_activity_acc: u32,
    pcie_counters: [u64; 5],
    pcie_naks: [u32; 2],
    xgmi_read_data_acc: [u64; 8],
    xgmi_write_data_acc: [u64; 8],
    firmware_timestamp: u64,
    current_gfxclk: [u16; 8],
    current_clocks: [[u16; 4]; 3],
    current_uclk: u16,
    num_partition: u16,
    xcp_stats: [Partition<32, 1>; 8],
    pcie_lc_perf_other_end_recovery: u32,
}

/// v1_7 and v1_8 differ in their partitions alone.
#[repr(C)]
struct v1_7_of<Partition> {
    common_header: Header,
    temperatures: [u16; 3],
    curr_socket_power: u16,
    activities: [u16; 2],
    mem_max_bandwidth: u64,
    energy_accumulator: u64,
    system_clock_counter: u64,
    accumulation_counter: u32,
    prochot_residency_acc: u32,
    ppt_residency_acc: u32,
    socket_thm_residency_acc: u32,
    vr_thm_residency_acc: u32,
    hbm_thm_residency_acc: u32,
    gfxclk_lock_status: u32,
    pcie_link: [u16; 2],
    xgmi_link: [u16; 2],
    gfx_activity_acc: u32,
    mem_activity_acc: u32,
    pcie_counters: [u64; 5],
    pcie_naks: [u32; 2],
    xgmi_read_data_acc: [u64; 8],
    xgmi_write_data_acc: [u64; 8],
    xgmi_link_status: [u16; 8],
    padding: u16,
    firmware_timestamp: u64,
    current_gfxclk: [u16; 8],
    current_clocks: [[u16; 4]; 3],
    current_uclk: u16,
    num_partition: u16,
    xcp_stats: [Partition; 8],
    pcie_lc_perf_other_end_recovery: u32,
}
type v1_7 = v1_7_of<Partition<32, 2>>;
type v1_8 = v1_7_of<Partition<40, 5>>;

#[repr(C)]
struct v2_0 {
    common_header: Header,
    system_clock_counter: u64,
    temperatures: [u16; 12],
    activities: [u16; 2],
    powers: [u16; 12],
    average_clocks: [u16; 6],
    current_clocks: [u16; 6],
    current_coreclk: [u16; 8],
    current_l3clk: [u16; 2],
    throttle_status: u32,
    fan_pwm: u16,
    padding: u16,
}

#[repr(C)]
struct v2_1 {
    common_header: Header,
    temperatures: [u16; 12],
    activities: [u16; 2],
    system_clock_counter: u64,
    powers: [u16; 12],
    average_clocks: [u16; 6],
    current_clocks: [u16; 6],
    current_coreclk: [u16; 8],
    current_l3clk: [u16; 2],
    throttle_status: u32,
    fan_pwm: u16,
    padding: [u16; 3],
}

#[repr(C)]
struct v2_2 {
    before: v2_1,
    indep_throttle_status: u64,
}

#[repr(C)]
struct v2_3 {
    before: v2_1,
    indep_throttle_status: u64,
    average_temperatures: [u16; 12],
}

#[repr(C)]
struct v2_4 {
    before: v2_1,
    indep_throttle_status: u64,
    average_temperatures: [u16; 12],
    voltages: [u16; 3],
    currents: [u16; 3],
}

#[repr(C)]
struct v3_0 {
    common_header: Header,
    temperature_gfx: u16,
    temperature_soc: u16,
    temperature_core: [u16; 16],
    temperature_skin: u16,
    average_gfx_activity: u16,
    average_vcn_activity: u16,
    average_ipu_activity: [u16; 8],
    average_core_c0_activity: [u16; 16],
    average_dram_reads: u16,
    average_dram_writes: u16,
    average_ipu_reads: u16,
    average_ipu_writes: u16,
    system_clock_counter: u64,
    average_socket_power: u32,
    average_ipu_power: u16,
    average_apu_power: u32,
    average_gfx_power: u32,
    average_dgpu_power: u32,
    average_all_core_power: u32,
    average_core_power: [u16; 16],
    average_sys_power: u16,
    stapm_power_limit: u16,
    current_stapm_power_limit: u16,
    average_clocks: [u16; 8],
    current_coreclk: [u16; 16],
    current_core_maxfreq: u16,
    current_gfx_maxfreq: u16,
    throttle_residency_prochot: u32,
    throttle_residency_spl: u32,
    throttle_residency_fppt: u32,
    throttle_residency_sppt: u32,
    throttle_residency_thm_core: u32,
    throttle_residency_thm_gfx: u32,
    throttle_residency_thm_soc: u32,
    time_filter_alphavalue: u32,
}

fn of(format: u8, content: u8, size: usize) -> Revision {
    let found = |one: &&Revision| (one.format, one.content, one.size) == (format, content, size);
    *REVISIONS.iter().find(found).unwrap_or_else(|| panic!("no v{format}_{content} of {size} bytes"))
}

#[test]
fn forms_whose_bits_are_each_chips_own_have_their_length() {
    for (format, content, size) in [
        (1, 0, size_of::<v1_0>()),
        (1, 1, size_of::<v1_1>()),
        (1, 2, size_of::<v1_2>()),
        (2, 0, size_of::<v2_0>()),
        (2, 1, size_of::<v2_1>()),
    ] {
        assert!(matches!(of(format, content, size).why, Why::OfTheChip), "v{format}_{content}");
    }
}

#[test]
fn forms_with_bits_that_are_the_same_everywhere_have_them_there() {
    for (format, content, size, bits) in [
        (1, 3, size_of::<v1_3>(), offset_of!(v1_3, indep_throttle_status)),
        (2, 2, size_of::<v2_2>(), offset_of!(v2_2, indep_throttle_status)),
        (2, 3, size_of::<v2_3>(), offset_of!(v2_3, indep_throttle_status)),
        (2, 4, size_of::<v2_4>(), offset_of!(v2_4, indep_throttle_status)),
    ] {
        assert!(matches!(of(format, content, size).why, Why::Bits(at) if at == bits), "v{format}_{content}");
    }
}

#[test]
fn forms_that_never_tell_have_their_energy_there() {
    for (content, size, energy) in [
        (4, size_of::<v1_4>(), offset_of!(v1_4, energy_accumulator)),
        (5, size_of::<v1_5>(), offset_of!(v1_5, energy_accumulator)),
    ] {
        let form = of(1, content, size);
        assert!(matches!(form.why, Why::Never) && form.energy == Some(energy), "v1_{content}");
    }
}

#[test]
fn forms_with_counters_have_them_there() {
    macro_rules! form {
        ($form:ty) => {{
            assert_eq!(offset_of!($form, ppt_residency_acc), offset_of!($form, prochot_residency_acc) + 4);
            assert_eq!(
                offset_of!($form, socket_thm_residency_acc),
                offset_of!($form, prochot_residency_acc) + 8
            );
            assert_eq!(
                offset_of!($form, vr_thm_residency_acc),
                offset_of!($form, prochot_residency_acc) + 12
            );
            assert_eq!(
                offset_of!($form, hbm_thm_residency_acc),
                offset_of!($form, prochot_residency_acc) + 16
            );
            let clock = offset_of!($form, accumulation_counter);
            let energy = offset_of!($form, energy_accumulator);
            (size_of::<$form>(), clock, offset_of!($form, prochot_residency_acc), energy)
        }};
    }
    for (content, (size, its_clock, prochot, energy)) in
        [(6, form!(v1_6_first)), (6, form!(v1_6)), (7, form!(v1_7)), (8, form!(v1_8))]
    {
        let form = of(1, content, size);
        let Why::Counters { clock, from, reasons } = form.why else { panic!("v1_{content}") };
        assert_eq!((clock, from, form.energy), (Some(its_clock), prochot, Some(energy)), "v1_{content}");
        assert_eq!(reasons.len(), 5);
    }
    let Why::Counters { clock, from, reasons } = of(3, 0, size_of::<v3_0>()).why else { panic!("v3_0") };
    assert_eq!((clock, from), (None, offset_of!(v3_0, throttle_residency_prochot)));
    assert_eq!(offset_of!(v3_0, throttle_residency_thm_soc), from + 4 * (reasons.len() - 1));
    assert!(
        REVISIONS.iter().all(|one| !matches!(one.why, Why::Counters { reasons, .. } if reasons.len() > MOST))
    );
}

/// A blob of this form, zero but for what is put in.
fn blob(format: u8, content: u8, size: usize, put: &[(usize, &[u8])]) -> Vec<u8> {
    let mut blob = vec![0; size];
    let [first, second] = u16::try_from(size).unwrap().to_ne_bytes();
    let header = [first, second, format, content];
    for (at, bytes) in [(0, header.as_slice())].iter().chain(put) {
        blob[*at..*at + bytes.len()].copy_from_slice(bytes);
    }
    blob
}

fn told(blob: &[u8]) -> Reading<Throttles> {
    Metrics::default().told(blob).throttles
}

fn set(reasons: &[Reason]) -> Throttles {
    reasons.iter().copied().collect()
}

#[test]
fn each_bit_has_its_reason_and_none_is_left_out() {
    let bits = |bits: u64| told(&blob(1, 3, 120, &[(112, &bits.to_ne_bytes())]));
    assert_eq!(bits(0), Ok(Throttles::default()));
    for (bit, reason) in [
        (0, Reason::PowerCap),
        (7, Reason::PowerCap),
        (8, Reason::Other),
        (16, Reason::Current),
        (23, Reason::Current),
        (32, Reason::HardHeat),
        (36, Reason::HardHeat),
        (47, Reason::HardHeat),
        (48, Reason::Other),
        (56, Reason::Brake),
        (57, Reason::Other),
        (63, Reason::Other),
    ] {
        assert_eq!(bits(1 << bit), Ok(set(&[reason])), "{bit}");
    }
    assert_eq!(bits(1 << 36 | 1), Ok(set(&[Reason::PowerCap, Reason::HardHeat])));
    assert_eq!(bits(u64::MAX), Err(Absent::Unsupported), "it was not filled in");
    assert!((0..63).all(|bit| bits(1 << bit).unwrap().iter().count() == 1));
}

#[test]
fn what_is_not_known_or_not_whole_is_never_a_card_without_reasons() {
    let unknown = Err(Absent::UnknownForm);
    let whole = blob(1, 3, 120, &[]);
    assert_eq!(told(&whole), Ok(Throttles::default()));
    for length in 0..120 {
        assert_eq!(told(&whole[..length]), unknown, "cut to {length}");
    }
    assert_eq!(told(&[whole.as_slice(), &[0]].concat()), unknown, "longer than it says");
    // A revision of the future, one that is made of pointers, one with another's length, one of the chip.
    for other in [blob(1, 10, 120, &[]), blob(1, 9, 8, &[]), blob(1, 3, 128, &[]), blob(2, 1, 120, &[])] {
        assert_eq!(told(&other), unknown);
    }
    for format in 0..=u8::MAX {
        for content in 0..=u8::MAX {
            let told = told(&blob(format, content, 120, &[]));
            assert!(told.is_err() || (format, content) == (1, 3), "{format}.{content}: {told:?}");
        }
    }
    assert_eq!(
        told(&blob(1, 4, 288, &[])),
        Err(Absent::Unsupported),
        "the driver writes 0 whatever the card does"
    );
}

#[test]
fn counters_that_go_on_are_reasons_from_the_second_round_on() {
    let round = |clock: u32, counts: [u32; 5]| {
        let mut bytes: Vec<u8> = clock.to_ne_bytes().to_vec();
        counts.iter().for_each(|count| bytes.extend(count.to_ne_bytes()));
        blob(1, 6, 1664, &[(32, &bytes)])
    };
    let mut metrics = Metrics::default();
    let mut next = |clock, counts| metrics.told(&round(clock, counts)).throttles;
    assert_eq!(next(100, [0, 7, 0, 0, 0]), Err(Absent::NotAsked), "of the past");
    assert_eq!(next(200, [0, 7, 0, 0, 0]), Ok(Throttles::default()));
    assert_eq!(next(300, [0, 8, 0, 0, 0]), Ok(set(&[Reason::PowerCap])));
    assert_eq!(next(300, [0, 8, 0, 0, 0]), Ok(set(&[Reason::PowerCap])), "the firmware has not looked again");
    assert_eq!(next(400, [0, 9, 0, 0, 3]), Ok(set(&[Reason::PowerCap, Reason::HardHeat])));
    assert_eq!(next(5, [0, 0, 0, 0, 0]), Err(Absent::NotAsked), "the driver was loaded anew");
    assert_eq!(next(6, [1, 0, 0, 0, 0]), Ok(set(&[Reason::HardHeat])));
    assert_eq!(next(7, [u32::MAX; 5]), Err(Absent::Unsupported), "they are not filled in");
}

#[test]
fn a_blob_that_cannot_be_read_does_not_make_the_next_one_the_first() {
    let round =
        |clock: u32, ppt: u32| blob(1, 6, 1664, &[(32, &clock.to_ne_bytes()), (40, &ppt.to_ne_bytes())]);
    let mut metrics = Metrics::default();
    metrics.told(&round(1, 0));
    assert_eq!(metrics.told(&round(2, 1)[..99]).throttles, Err(Absent::UnknownForm));
    assert_eq!(metrics.told(&round(2, 1)).throttles, Ok(set(&[Reason::PowerCap])));
}

#[test]
fn counters_of_a_processor_have_no_clock() {
    let round = |counts: [u32; 7]| {
        let bytes: Vec<u8> = counts.iter().flat_map(|count| count.to_ne_bytes()).collect();
        blob(3, 0, 264, &[(228, &bytes)])
    };
    let mut metrics = Metrics::default();
    let mut next = |counts| metrics.told(&round(counts)).throttles;
    assert_eq!(next([5, 0, 0, 0, 0, 0, 0]), Err(Absent::NotAsked));
    assert_eq!(next([5, 0, 0, 0, 0, 0, 0]), Ok(Throttles::default()));
    for (place, reason) in OF_APU.iter().enumerate() {
        let mut counts = [5, 0, 0, 0, 0, 0, 0];
        next(counts).ok();
        next(counts).ok();
        counts[place] += 1;
        assert_eq!(next(counts), Ok(set(&[*reason])), "{place}");
        assert_eq!(next([0; 7]), Err(Absent::NotAsked), "they began anew");
    }
    assert!(metrics.told(&round([0; 7])).is_apu);
}

#[test]
fn energy_is_told_where_its_unit_is() {
    let energy =
        |units: u64| Metrics::default().told(&blob(1, 4, 288, &[(24, &units.to_ne_bytes())])).millijoules;
    assert_eq!([0, 65_536, 6_553_600_000].map(energy), [Ok(0), Ok(1000), Ok(100_000_000)]);
    assert_eq!(energy(u64::MAX), Err(Absent::Unsupported));
    assert_eq!(Metrics::default().told(&blob(1, 3, 120, &[])).millijoules, Err(Absent::Unsupported));
}
