use ghostllm_core::admin::{FORM, FlightEvent, FlightTrigger, GpuCause};

use super::*;

/// A card that warms up from 61 to 91 °C in five minutes, is slowed down by its driver, and cools.
fn frames() -> Vec<FlightFrame> {
    (-300..=60).map(|second| frame(f64::from(second))).collect()
}

fn frame(second: f64) -> FlightFrame {
    let hot = (0.0..12.0).contains(&second);
    let celsius = if second < 0.0 { 91.0 + second / 10.0 } else { 91.0 - second / 4.0 };
    let reasons =
        if hot { vec![GpuReason::PowerCap, GpuReason::SoftHeat] } else { vec![GpuReason::PowerCap] };
    let state = match celsius {
        _ if hot => GpuState::ThrottledByHeat,
        80.0.. => GpuState::Warm,
        _ => GpuState::ThrottledByPower,
    };
    FlightFrame {
        at: "2026-11-30T08:49:15Z".to_owned(),
        offset_s: second,
        state,
        celsius: Some(celsius),
        memory_celsius: None,
        hotspot_celsius: Some(celsius + 12.0),
        to_slower: Some(90.0 - celsius),
        to_slowdown: Some(95.0 - celsius),
        to_shutdown: Some(98.0 - celsius),
        watts: Some(if hot { 244.0 } else { 348.5 }),
        watts_limit: Some(350.0),
        clock: Some(if hot { 1410 } else { 1860 }),
        memory_clock: Some(9751),
        throttles: Some(reasons),
        utilisation: Some(100),
        fan: Some(if second < -200.0 { 40 } else { 88 }),
        memory_used_mib: Some(22_000),
        running: GpuByClass { interactive: 6, background: 2 },
        waiting: GpuByClass { interactive: u32::from(hot), background: 0 },
        limits: Some(GpuByClass { interactive: 8, background: if hot { 3 } else { 4 } }),
        most: Some(GpuByClass { interactive: 8, background: 4 }),
        gate: Some(if second == 3.0 { GpuGate::Hold } else { GpuGate::Open }),
        cause: Some(GpuCause::Heat),
    }
}

fn record(name: &str, what: Option<FlightTrigger>) -> FlightRecord {
    FlightRecord {
        name: name.to_owned(),
        running: false,
        written: Some("2026-11-30T08:50:15Z".to_owned()),
        at: Some("2026-11-30T08:49:15Z".to_owned()),
        card: Some(0),
        card_name: Some("NVIDIA RTX 3090".to_owned()),
        what,
        seconds: Some(360),
        fault: None,
    }
}

fn flights() -> Flights {
    let none = record("running-0", None);
    let heat = record("20261130T084915Z-card0-heat", Some(FlightTrigger::Heat));
    let damaged = FlightRecord {
        at: None,
        card: None,
        card_name: None,
        seconds: None,
        fault: Some("its checksum does not fit: it was damaged, or cut off".to_owned()),
        ..record("20261129T000000Z-card0-lost", None)
    };
    let event = |offset_s, what: FlightTrigger| FlightEvent {
        at: "2026-11-30T08:49:15Z".to_owned(),
        offset_s,
        what,
        words: what.words().to_owned(),
    };
    Flights {
        version: FORM,
        directory: "/var/lib/ghostllm/flight".to_owned(),
        records: vec![FlightRecord { running: true, ..none }, heat.clone(), damaged],
        shown: Some(Flight {
            name: heat.name,
            made: "2026-11-30T08:50:15Z".to_owned(),
            program: "0.1.0".to_owned(),
            card: FlightCard {
                index: 0,
                name: "NVIDIA RTX 3090\u{1b}[2J".to_owned(),
                uuid: "GPU-7a1c".to_owned(),
                bus: "0000:01:00.0".to_owned(),
                driver: "580.95.05".to_owned(),
                gpu: FlightThresholds { soft: Some(90.0), slowdown: Some(95.0), shutdown: Some(98.0) },
                memory: FlightThresholds::default(),
                hotspot: FlightThresholds { slowdown: Some(110.0), ..FlightThresholds::default() },
                clock: Some(1995),
                memory_mib: Some(24_576),
            },
            events: vec![event(0.0, FlightTrigger::Heat), event(3.0, FlightTrigger::Brake)],
            machine_ran_on: None,
            frames: frames(),
        }),
    }
}

/// As a person sees it; `GHOSTLLM_RENEW=1` writes it anew, to be looked at.
#[test]
fn a_record_is_told_on_two_screens() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests-data/flight.txt");
    let drawn = drawn(&flights());
    if std::env::var_os("GHOSTLLM_RENEW").is_some() {
        std::fs::write(path, &drawn).unwrap();
    }
    check(&drawn);
    assert_eq!(drawn, std::fs::read_to_string(path).unwrap(), "\n{drawn}");
}

fn check(drawn: &str) {
    for line in drawn.lines() {
        assert!(line.chars().count() <= 80 || line.trim().split(' ').count() <= 2, "{line:?}");
        assert!(!line.chars().any(char::is_control), "{line:?}");
    }
}

#[test]
fn no_record_is_told_in_words() {
    let none = Flights { records: Vec::new(), shown: None, ..flights() };
    let drawn = drawn(&none);
    check(&drawn);
    assert!(drawn.starts_with("flights    none in /var/lib/ghostllm/flight. "), "{drawn}");
}

#[test]
fn what_flaps_and_what_was_not_read_stays_on_the_screen() {
    let mut all = flights();
    let shown = all.shown.as_mut().unwrap();
    for (place, frame) in shown.frames.iter_mut().enumerate() {
        if place % 2 == 0 {
            frame.state = GpuState::ThrottledByHeat;
            frame.throttles = Some(Reason::ALL.into_iter().map(GpuReason::from).collect());
        }
    }
    let rows = rows(&shown.frames);
    assert_eq!(rows.len(), ROWS);
    let (first, last) = (rows[0].offset_s, rows[ROWS - 1].offset_s);
    assert_eq!((first, last), (-300.0, 60.0));
    assert!(rows.iter().any(|row| row.offset_s == 0.0));
    let text = drawn(&all);
    check(&text);
    assert!(text.contains("because of its heat") && !text.contains("does not say why"), "{text}");
    let shown = all.shown.as_mut().unwrap();
    let blind =
        FlightFrame { state: GpuState::Lost, throttles: None, celsius: None, watts: None, ..frame(0.0) };
    shown.frames = vec![blind];
    shown.events.clear();
    let text = drawn(&all);
    assert!(text.contains("\n +0:00    -   -"), "{text}");
    assert!(!text.contains("chip °C"), "{text}");
    all.shown.as_mut().unwrap().frames.clear();
    assert!(drawn(&all).contains("minutes    nothing was read in them"));
}
