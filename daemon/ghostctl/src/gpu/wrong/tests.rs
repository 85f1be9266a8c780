use ghostllm_core::admin::{GpuMaker, GpuMissingCause, GpuMode, GpuReading, GpuReport, GpuState, Severity};

use super::{About, all};
use crate::gpu::sample::{card, hot, lost, missing, refusing, report};

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
