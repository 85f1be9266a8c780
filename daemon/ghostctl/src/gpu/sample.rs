//! Cards for tests: what real ones have said, or would.

use ghostllm_core::admin::{
    FORM, GpuByClass, GpuCard, GpuCause, GpuClocks, GpuDecision, GpuFaults, GpuGate, GpuGovernor,
    GpuInstances, GpuLimits, GpuLink, GpuMaker, GpuMargins, GpuMemory, GpuMissing, GpuMissingCause, GpuMode,
    GpuOutlook, GpuPoint, GpuPower, GpuProcess, GpuProcesses, GpuReading, GpuReason, GpuReport, GpuSensor,
    GpuShared, GpuSlower, GpuState, GpuThrottle, GpuUtilisation,
};

pub(super) const AT: &str = "2026-11-30T10:14:05.5Z";

pub(super) fn untold<T>() -> GpuReading<T> {
    GpuReading::Missing("this card does not tell it".to_owned())
}

fn sensor(celsius: f64, soft: f64, slowdown: f64, shutdown: f64) -> GpuSensor {
    GpuSensor {
        celsius: GpuReading::Value(celsius),
        to_soft: GpuReading::Value(soft),
        to_slowdown: GpuReading::Value(slowdown),
        to_shutdown: GpuReading::Value(shutdown),
    }
}

fn dark(why: &str) -> GpuSensor {
    let no = || GpuReading::Missing(why.to_owned());
    GpuSensor { celsius: no(), to_soft: no(), to_slowdown: no(), to_shutdown: no() }
}

/// An H100 that works hard and is cool.
pub(super) fn card(index: u32) -> GpuCard {
    let process = |pid, name: &str, bytes| GpuProcess {
        pid,
        name: Some(name.to_owned()),
        bytes: GpuReading::Value(bytes),
        instance: None,
    };
    GpuCard {
        index,
        uuid: Some(format!("GPU-{index}")),
        name: Some("NVIDIA H100 80GB HBM3".to_owned()),
        maker: GpuMaker::Nvidia,
        pci: Some(format!("0000:{index:02x}:00.0")),
        driver: Some("nvidia 580.95.05".to_owned()),
        state: GpuState::Cool,
        since: Some("2026-11-30T10:00:00Z".to_owned()),
        throttles: GpuReading::Value(Vec::new()),
        margins: GpuMargins { slower: Some(24.0), slowdown: Some(26.0), shutdown: Some(31.0) },
        slower: GpuSlower { outlook: GpuOutlook::Never, seconds: None, earliest_s: None, latest_s: None },
        gpu: sensor(61.0, 24.0, 26.0, 31.0),
        memory_heat: GpuSensor {
            to_slowdown: untold(),
            to_shutdown: untold(),
            ..sensor(70.0, 25.0, 0.0, 0.0)
        },
        hotspot: dark("this card does not tell it"),
        power: GpuPower {
            watts: GpuReading::Value(612.4),
            limit: GpuReading::Value(700.0),
            millijoules: GpuReading::Value(45_360_000_000),
        },
        clocks: GpuClocks {
            core: GpuReading::Value(1755),
            core_most: GpuReading::Value(1980),
            memory: GpuReading::Value(2619),
            memory_most: GpuReading::Value(2619),
        },
        utilisation: GpuUtilisation { core: GpuReading::Value(98), memory: GpuReading::Value(61) },
        memory: GpuMemory {
            total: GpuReading::Value(80 << 30),
            used: GpuReading::Value((61 << 30) + (205 << 20)),
            shared: None,
        },
        fan: untold(),
        link: GpuLink {
            generation: GpuReading::Value(5),
            generation_most: GpuReading::Value(5),
            lanes: GpuReading::Value(16),
            lanes_most: GpuReading::Value(16),
        },
        faults: GpuFaults {
            ecc_corrected: GpuReading::Value(0),
            ecc_uncorrected: GpuReading::Value(0),
            rows_remapped: GpuReading::Value(0),
            rows_pending: GpuReading::Value(false),
            rows_failed: GpuReading::Value(false),
            pages_retired: untold(),
            xid: GpuReading::Value(None),
            xid_age_s: None,
        },
        instances: GpuInstances { count: GpuReading::Value(0), list: Vec::new() },
        processes: GpuProcesses {
            count: GpuReading::Value(2),
            list: vec![process(4711, "VLLM::EngineCore", 60 << 30), process(4890, "ollama", 1 << 30)],
        },
        age_s: Some(0.4),
        late_s: None,
    }
}

/// One that is going to be slower soon.
pub(super) fn warm(index: u32) -> GpuCard {
    GpuCard {
        state: GpuState::Warm,
        slower: GpuSlower {
            outlook: GpuOutlook::Soon,
            seconds: Some(41.7),
            earliest_s: Some(30.0),
            latest_s: Some(66.0),
        },
        ..card(index)
    }
}

/// A moment of a history of which nothing but this is told.
pub(super) fn point(at: String, celsius: Option<f64>) -> GpuPoint {
    GpuPoint {
        at,
        celsius,
        memory_heat: None,
        hotspot: None,
        margin: None,
        watts: None,
        utilisation: None,
        clock: None,
        state: GpuState::Cool,
        throttles: None,
    }
}

/// A GeForce that its hardware has slowed down, as in llm-rig#97.
pub(super) fn hot(index: u32) -> GpuCard {
    let reason = |reason, words: &str| GpuThrottle { reason, words: words.to_owned() };
    GpuCard {
        name: Some("NVIDIA GeForce RTX 3060".to_owned()),
        state: GpuState::ThrottledByHeat,
        throttles: GpuReading::Value(vec![
            reason(GpuReason::PowerCap, "it is at its power limit"),
            reason(GpuReason::HardHeat, "its hardware has slowed it down because of its heat"),
        ]),
        margins: GpuMargins { slower: Some(-2.0), slowdown: Some(1.0), shutdown: Some(6.0) },
        slower: GpuSlower {
            outlook: GpuOutlook::Reached,
            seconds: Some(0.0),
            earliest_s: None,
            latest_s: None,
        },
        gpu: sensor(92.0, -2.0, 1.0, 6.0),
        memory_heat: dark("this card does not tell it"),
        power: GpuPower {
            watts: GpuReading::Value(139.6),
            limit: GpuReading::Value(140.0),
            millijoules: untold(),
        },
        fan: GpuReading::Value(100),
        ..card(index)
    }
}

/// A Radeon whose hotspot is beyond its limit while its edge is far from one, as amdgpu tells them.
pub(super) fn radeon(index: u32) -> GpuCard {
    let own =
        |celsius, slowdown| GpuSensor { to_soft: untold(), ..sensor(celsius, 0.0, slowdown, slowdown + 5.0) };
    GpuCard {
        name: Some("amdgpu 1002:744c".to_owned()),
        maker: GpuMaker::Amd,
        driver: Some("amdgpu".to_owned()),
        gpu: own(54.0, 46.0),
        memory_heat: own(80.0, 28.0),
        hotspot: own(111.0, -1.0),
        margins: GpuMargins { slower: Some(-1.0), slowdown: Some(-1.0), shutdown: Some(4.0) },
        ..hot(index)
    }
}

/// The processor of a machine without a card, which tells where it switches itself off and no more.
pub(super) fn processor(index: u32) -> GpuCard {
    const NO_CARD: &str = "this processor does not tell it";
    fn no<T>() -> GpuReading<T> {
        GpuReading::Missing(NO_CARD.to_owned())
    }
    let shares = || GpuReading::Missing("it shares the machine's memory".to_owned());
    GpuCard {
        name: Some("processor (x86_pkg_temp)".to_owned()),
        maker: GpuMaker::Processor,
        pci: None,
        driver: Some("x86_pkg_temp".to_owned()),
        state: GpuState::Unknown,
        margins: GpuMargins { slower: None, slowdown: None, shutdown: Some(33.0) },
        gpu: GpuSensor { to_soft: no(), to_slowdown: no(), ..sensor(67.0, 0.0, 0.0, 33.0) },
        memory_heat: dark(NO_CARD),
        memory: GpuMemory {
            total: shares(),
            used: shares(),
            shared: Some(GpuShared { total: 64 << 30, used: 16 << 30 }),
        },
        faults: GpuFaults { xid: no(), xid_age_s: None, ..lost(index).faults },
        ..lost(index)
    }
}

/// One that has fallen off the bus.
pub(super) fn lost(index: u32) -> GpuCard {
    fn no<T>() -> GpuReading<T> {
        GpuReading::Missing("it is lost".to_owned())
    }
    let whole = card(index);
    GpuCard {
        state: GpuState::Lost,
        throttles: no(),
        margins: GpuMargins::default(),
        gpu: dark("it is lost"),
        memory_heat: dark("it is lost"),
        hotspot: dark("it is lost"),
        power: GpuPower { watts: no(), limit: no(), millijoules: no() },
        clocks: GpuClocks { core: no(), core_most: no(), memory: no(), memory_most: no() },
        utilisation: GpuUtilisation { core: no(), memory: no() },
        memory: GpuMemory { total: no(), used: no(), shared: None },
        fan: no(),
        link: GpuLink { generation: no(), generation_most: no(), lanes: no(), lanes_most: no() },
        faults: GpuFaults {
            ecc_corrected: no(),
            ecc_uncorrected: no(),
            rows_remapped: no(),
            rows_pending: no(),
            rows_failed: no(),
            pages_retired: no(),
            xid: GpuReading::Value(Some(79)),
            xid_age_s: Some(12.0),
        },
        instances: GpuInstances { count: no(), list: Vec::new() },
        processes: GpuProcesses { count: no(), list: Vec::new() },
        ..whole
    }
}

pub(super) fn missing(cause: GpuMissingCause, fault: bool, words: &str) -> GpuMissing {
    GpuMissing { maker: GpuMaker::Nvidia, cause, fault, words: words.to_owned() }
}

/// A daemon with limits that somebody has set, whose governor has nothing to do.
pub(super) fn report(cards: Vec<GpuCard>) -> GpuReport {
    let most = GpuByClass { interactive: 8, background: 4 };
    let decision = GpuDecision {
        limits: GpuLimits::default(),
        most,
        gate: GpuGate::Open,
        retry_after: None,
        cause: GpuCause::Free,
        card: None,
        words: "as many requests run at once as are allowed: it is 24 °C below where it gets slower"
            .to_owned(),
    };
    GpuReport {
        version: FORM,
        at: AT.to_owned(),
        governor: GpuGovernor {
            mode: GpuMode::On,
            decision: Some(decision),
            limits: GpuLimits { interactive: Some(8), background: Some(4) },
            running: GpuByClass { interactive: 3, background: 1 },
            waiting: GpuByClass::default(),
        },
        missing: Vec::new(),
        cards,
    }
}

/// The same while it refuses, for the sake of a hot card.
pub(super) fn refusing() -> GpuReport {
    let mut report = report(vec![card(0), hot(1)]);
    report.governor.running = GpuByClass { interactive: 2, background: 0 };
    report.governor.waiting = GpuByClass { interactive: 5, background: 12 };
    let none = GpuLimits { interactive: Some(0), background: Some(0) };
    report.governor.limits = none;
    if let Some(decision) = &mut report.governor.decision {
        (decision.gate, decision.cause, decision.card) = (GpuGate::Refuse, GpuCause::Shutdown, Some(1));
        (decision.limits, decision.retry_after) = (none, Some(45));
        decision.words =
            "new requests are refused and asked to come again in 45 s: it is 2 °C below where it switches \
                          itself off; 2 that run are finished first"
                .to_owned();
    }
    report
}
