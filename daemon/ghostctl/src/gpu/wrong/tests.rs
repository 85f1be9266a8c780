use ghostllm_core::admin::{
    GpuCard, GpuMaker, GpuMargins, GpuMissingCause, GpuMode, GpuReading, GpuReport, GpuState, Severity, wrong,
};

use super::{About, all, was_hot};
use crate::gpu::sample::{card, hot, lost, missing, radeon, refusing, report, untold};

/// What is found, as its subject, how bad it is, and its words.
fn found(report: &GpuReport) -> Vec<(About, Severity, String)> {
    let faults = all(report);
    for fault in &faults {
        assert!(!fault.next.is_empty() && !fault.what.is_empty() && !fault.why.is_empty(), "{fault:?}");
    }
    faults.into_iter().map(|fault| (fault.about, fault.severity, fault.what)).collect()
}

#[test]
fn nothing_is_wrong_where_nothing_is() {
    assert_eq!(found(&report(vec![card(0), card(1)])), []);
    let mut none = report(Vec::new());
    none.missing = vec![missing(
        GpuMissingCause::NoLibrary,
        false,
        "no NVIDIA driver is installed; without such a card ...",
    )];
    assert_eq!(found(&none), []);
}

#[test]
fn a_driver_that_cannot_be_asked_is_told_with_its_fix() {
    for (cause, about) in [
        (GpuMissingCause::VersionMismatch, About::Driver),
        (GpuMissingCause::DriverNotLoaded, About::Driver),
        (GpuMissingCause::Hangs, About::Driver),
        (GpuMissingCause::NoPermission, About::Permission),
        (GpuMissingCause::Blocked, About::Permission),
    ] {
        let mut none = report(Vec::new());
        none.missing = vec![missing(cause, true, "the driver is wrong; restart the machine; or wait")];
        let faults = all(&none);
        assert_eq!((faults[0].about, faults[0].severity), (about, Severity::Error));
        assert_eq!(
            (faults[0].what.as_str(), faults[0].next.as_str()),
            ("the driver is wrong", "restart the machine; or wait")
        );
    }
}

#[test]
fn of_a_lost_card_nothing_else_is_said() {
    let faults = found(&report(vec![card(0), lost(1)]));
    assert_eq!(
        faults,
        [(About::Lost, Severity::Error, "card 1 (NVIDIA H100 80GB HBM3) is lost (Xid 79)".to_owned())]
    );
    let mut silent = card(0);
    (silent.state, silent.late_s) = (GpuState::Stale, Some(34.2));
    silent.faults.ecc_uncorrected = GpuReading::Value(3);
    let faults = found(&report(vec![silent]));
    assert_eq!(
        faults,
        [(
            About::Lost,
            Severity::Error,
            "card 0 (NVIDIA H100 80GB HBM3) has not answered for 34 s".to_owned()
        )]
    );
}

#[test]
fn heat_is_told_by_who_slows_the_card_down_and_by_what_becomes_of_requests() {
    let refused = all(&refusing());
    assert_eq!(
        (refused[0].about, refused[0].severity, refused[0].card),
        (About::Heat, Severity::Error, Some(1))
    );
    assert!(
        refused[0].what == "new requests are refused, for the sake of card 1 (NVIDIA GeForce RTX 3060)",
        "{refused:?}"
    );
    assert_eq!(refused[1].what, "card 1 (NVIDIA GeForce RTX 3060) is slowed down by its heat at 92 °C");
    assert_eq!(refused[1].severity, Severity::Warning);
    assert!(refused[1].next.ends_with("sudo nvidia-smi -i 0000:01:00.0 -pl 126"), "{refused:?}");

    let mut watches = refusing();
    watches.governor.mode = GpuMode::Watch;
    assert_eq!(all(&watches).len(), 1, "what would be refused is not");

    let mut soft = hot(0);
    soft.throttles = GpuReading::Value(vec![ghostllm_core::admin::GpuThrottle {
        reason: ghostllm_core::admin::GpuReason::SoftHeat,
        words: String::new(),
    }]);
    let faults = found(&report(vec![soft]));
    assert_eq!(
        faults.iter().map(|(about, severity, _)| (*about, *severity)).collect::<Vec<_>>(),
        [(About::Heat, Severity::Note)]
    );

    let mut braked = card(0);
    braked.state = GpuState::ThrottledByBrake;
    assert_eq!(found(&report(vec![braked]))[0].1, Severity::Warning);
}

#[test]
fn memory_that_is_broken_is_told_and_memory_that_is_sound_is_not() {
    let mut broken = card(0);
    broken.faults.ecc_uncorrected = GpuReading::Value(1);
    broken.faults.rows_pending = GpuReading::Value(true);
    broken.faults.pages_retired = GpuReading::Value(4);
    broken.faults.ecc_corrected = GpuReading::Value(400);
    let faults = found(&report(vec![broken]));
    let told: Vec<_> = faults.iter().map(|(about, severity, _)| (*about, *severity)).collect();
    let (warning, note) = (Severity::Warning, Severity::Note);
    assert_eq!(told, [(About::Memory, warning), (About::Memory, warning), (About::Memory, note)]);
    assert!(faults[0].2.contains("has had 1 error in its memory"), "{faults:?}");
}

#[test]
fn a_link_is_wrong_only_where_nothing_explains_it() {
    let mut idle = card(0);
    idle.utilisation.core = GpuReading::Value(0);
    idle.link.generation = GpuReading::Value(1);
    assert_eq!(found(&report(vec![idle.clone()])), [], "an idle card lowers its link");
    idle.utilisation.core = GpuReading::Value(100);
    let faults = found(&report(vec![idle.clone()]));
    assert_eq!((faults[0].0, faults[0].1), (About::Link, Severity::Warning));
    idle.utilisation.core = GpuReading::Value(0);
    idle.link.lanes = GpuReading::Value(4);
    assert!(found(&report(vec![idle.clone()]))[0].2.ends_with("has 4 of 16 lanes of its PCIe link"));
    idle.maker = GpuMaker::Amd;
    assert_eq!(found(&report(vec![idle])), [], "amdgpu gives up lanes where it has nothing to do");
}

#[test]
fn an_xid_is_told_with_what_it_means() {
    for (xid, severity) in [
        (13, Severity::Note),
        (31, Severity::Note),
        (48, Severity::Warning),
        (119, Severity::Error),
        (999, Severity::Warning),
    ] {
        let mut told = card(0);
        told.faults.xid = GpuReading::Value(Some(xid));
        let faults = found(&report(vec![told]));
        assert_eq!((faults[0].0, faults[0].1), (About::Xid, severity), "{xid}");
        assert!(faults[0].2.contains(&format!("Xid {xid}: ")), "{faults:?}");
    }
}

#[test]
fn a_program_s_xid_fades_and_what_needs_a_reset_stays() {
    let told = |xid, age| {
        let mut told = card(0);
        (told.faults.xid, told.faults.xid_age_s) = (GpuReading::Value(Some(xid)), Some(age));
        found(&report(vec![told])).into_iter().map(|(_, _, what)| what).collect::<Vec<_>>()
    };
    assert!(told(31, 599.0)[0].contains("has told Xid 31 9 min ago: "), "{:?}", told(31, 599.0));
    assert_eq!(told(31, 600.0), Vec::<String>::new());
    for (age, words) in
        [(12.4, "12 s ago"), (4200.0, "1 h ago"), (90_000.0, "25 h ago"), (600_000.0, "6 days ago")]
    {
        assert!(told(95, age)[0].contains(&format!("has told Xid 95 {words}: ")), "{:?}", told(95, age));
    }
}

#[test]
fn a_row_that_could_not_be_replaced_is_an_error() {
    let mut broken = card(0);
    broken.faults.rows_failed = GpuReading::Value(true);
    broken.faults.rows_pending = GpuReading::Value(true);
    let faults = found(&report(vec![broken]));
    let told: Vec<_> = faults.iter().map(|(about, severity, _)| (*about, *severity)).collect();
    assert_eq!(told, [(About::Memory, Severity::Error), (About::Memory, Severity::Warning)]);
    assert!(faults[0].2.ends_with("could not replace a row of its memory that is bad"), "{faults:?}");
}

#[test]
fn only_what_throttles_now_is_said_to_and_halved_clocks_only_where_the_hardware_says_so() {
    let told = |card: GpuCard| {
        let faults = all(&report(vec![card]));
        let [fault] = faults.as_slice() else { panic!("{faults:?}") };
        (fault.severity, fault.what.clone(), fault.why)
    };
    // As llm-rig#97's card half a minute after its load has ended.
    let mut cooled = hot(0);
    cooled.throttles = GpuReading::Value(Vec::new());
    cooled.margins = GpuMargins { slower: Some(38.0), slowdown: Some(43.0), shutdown: Some(48.0) };
    cooled.gpu.celsius = GpuReading::Value(50.0);
    assert!(was_hot(&cooled) && !was_hot(&hot(0)) && !was_hot(&card(0)));
    let (severity, what, why) = told(cooled.clone());
    assert_eq!(severity, Severity::Note);
    assert!(what.ends_with("was slowed down by its heat until less than half a minute ago"), "{what}");
    assert!(!why.contains("half or more"), "{why}");
    // A processor at its passive trip point, which tells no reason.
    let mut processor = cooled;
    (processor.maker, processor.name) = (GpuMaker::Processor, Some("processor (x86_pkg_temp)".to_owned()));
    processor.throttles = untold();
    processor.margins = GpuMargins { slower: Some(-1.0), slowdown: None, shutdown: Some(4.0) };
    let (severity, what, why) = told(processor);
    assert_eq!(severity, Severity::Note);
    assert_eq!(what, "processor 0 (x86_pkg_temp) is as hot as where it is slowed down at 50 °C");
    assert!(!why.contains("half or more"), "{why}");
    assert!(told(hot(0)).2.contains("half or more"));
}

#[test]
fn what_is_wrong_with_a_driver_or_a_card_is_a_cause_as_bad_as_it_is_here() {
    let causes = |report: &GpuReport| {
        let told = wrong::causes(report);
        told.into_iter().map(|cause| (cause.code, cause.severity, cause.what)).collect::<Vec<_>>()
    };
    let (warning, error) = (Severity::Warning, Severity::Error);
    let mut away = report(Vec::new());
    away.missing =
        vec![missing(GpuMissingCause::VersionMismatch, true, "the versions differ; restart the machine")];
    assert_eq!(causes(&away), [("gpu_driver".to_owned(), error, "the versions differ".to_owned())]);
    away.missing = vec![missing(GpuMissingCause::NoLibrary, false, "no driver is installed; get one")];
    assert_eq!(causes(&away), [], "a box without a card is well");

    let mut broken = card(0);
    (broken.faults.xid, broken.faults.xid_age_s) = (GpuReading::Value(Some(95)), Some(5.0));
    broken.faults.ecc_uncorrected = GpuReading::Value(2);
    broken.faults.rows_pending = GpuReading::Value(true);
    broken.faults.pages_retired = GpuReading::Value(1);
    let mut silent = card(2);
    (silent.state, silent.late_s) = (GpuState::Stale, Some(34.0));
    let all = causes(&report(vec![broken.clone(), lost(1), silent, hot(3)]));
    let name = "(NVIDIA H100 80GB HBM3): it";
    assert_eq!(
        all.iter().map(|(code, severity, _)| (code.as_str(), *severity)).collect::<Vec<_>>(),
        [
            ("gpu_xid", error),
            ("gpu_lost", error),
            ("gpu_silent", error),
            ("gpu_memory", warning),
            ("gpu_heat", warning)
        ]
    );
    for ((_, _, what), begins) in all.iter().zip([
        format!("card 0 {name} has told Xid 95 5 s ago: "),
        format!("card 1 {name} is lost (Xid 79)"),
        format!("card 2 {name} has not answered for 34 s"),
        format!("card 0 {name} has had 2 errors in its memory"),
        "card 3 (NVIDIA GeForce RTX 3060): it is slowed down by its heat at 92 °C".to_owned(),
    ]) {
        assert!(what.starts_with(&begins), "{what}");
    }
    assert!(
        all[3].2.contains("; it has rows of its memory to replace"),
        "one cause for all of its memory: {all:?}"
    );
    broken.faults = card(0).faults;
    broken.faults.xid = GpuReading::Value(Some(31));
    assert_eq!(causes(&report(vec![broken])), [], "a program's fault is none of the card's");
}

#[test]
fn a_card_s_heat_is_a_cause_only_while_it_costs_something() {
    let causes = |card: GpuCard| {
        let told = wrong::causes(&report(vec![card]));
        told.into_iter().map(|cause| (cause.code, cause.severity, cause.what)).collect::<Vec<_>>()
    };
    let of = |name: &str, what: &str| {
        vec![("gpu_heat".to_owned(), Severity::Warning, format!("card 0 ({name}): it {what}"))]
    };
    // By the place that is the hottest, and not by the chip, which is far from its limit.
    assert_eq!(causes(radeon(0)), of("amdgpu 1002:744c", "is slowed down by its heat at 111 °C (hotspot)"));
    let mut braked = card(0);
    braked.state = GpuState::ThrottledByBrake;
    assert_eq!(causes(braked), of("NVIDIA H100 80GB HBM3", "is slowed down by the machine's power supply"));
    let mut cooled = hot(0);
    (cooled.throttles, cooled.margins.slowdown) = (GpuReading::Value(Vec::new()), Some(43.0));
    assert_eq!(causes(cooled), [], "it is not so any more");
    let mut soft = hot(0);
    soft.throttles = GpuReading::Value(vec![ghostllm_core::admin::GpuThrottle {
        reason: ghostllm_core::admin::GpuReason::SoftHeat,
        words: String::new(),
    }]);
    assert_eq!(causes(soft), [], "its driver keeps it at its temperature, as it should");
}
