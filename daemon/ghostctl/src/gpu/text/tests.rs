use ghostllm_core::admin::{
    GpuLimits, GpuMaker, GpuMissingCause, GpuMode, GpuReading, GpuReport, GpuShared, GpuState,
};

use super::drawn;
use crate::{
    gpu::{
        sample::{card, hot, lost, missing, processor, radeon, refusing, report, warm},
        wrong,
    },
    output::{Screen, text},
};

fn shown(report: &GpuReport) -> String {
    drawn(report, &wrong::all(report), &Screen::of_test(80, ""))
}

#[test]
fn a_card_that_is_well_is_a_block() {
    let expected = "\
governor: as many requests run at once as are allowed: it is 24 °C below where
          it gets slower
requests: 3 interactive and 1 background run, 8 and 4 may at once; 0 and 0 wait

cool: card 0 (NVIDIA H100 80GB HBM3); nvidia 580.95.05, 0000:00:00.0
  temperature 61 °C, slower from 85 and 87, off at 92; memory 70 °C, slower from
              95
  speed       as fast as it can
  power       612 of 700 W; 12.6 kWh since its driver was loaded
  clocks      1755 of 1980 MHz; memory 2619 of 2619 MHz
  busy        98 %
  memory      61.2 GiB of 80.0 GiB
  link        PCIe 5 x16
  processes   VLLM::EngineCore 4711: 60.0 GiB, ollama 4890: 1.0 GiB
  not read    hotspot, fan: this card does not tell it
";
    assert_eq!(shown(&report(vec![card(0)])), expected);
}

#[test]
fn what_is_wrong_stands_first_with_its_next_step() {
    let drawn = shown(&refusing());
    let expected = "\
governor: new requests are refused and asked to come again in 45 s: it is 2 °C
          below where it switches itself off; 2 that run are finished first
          (card 1)
requests: 2 interactive and 0 background run, 0 and 0 may at once; 5 and 12 wait

error    new requests are refused, for the sake of card 1 (NVIDIA GeForce RTX
         3060)
  why:   a card is near to switching itself off, which would end all that runs
         on it
  next:  wait until it has cooled; where that takes long, look at its fans and
         at the room

warning  card 1 (NVIDIA GeForce RTX 3060) is slowed down by its heat at 92 °C
  why:   its hardware has lowered its clocks, by half or more, so that every
         answer takes longer
  next:  see that its fans turn and air comes to it; or give it less power: sudo
         nvidia-smi -i 0000:01:00.0 -pl 126
";
    assert!(drawn.starts_with(expected), "{drawn}");
    assert!(drawn.contains("  slower      now\n"), "{drawn}");
}

#[test]
fn what_a_lost_card_does_not_tell_is_one_line() {
    let drawn = shown(&report(vec![lost(2)]));
    let block = drawn.rsplit("\n\n").next().unwrap();
    let expected = "\
lost: card 2 (NVIDIA H100 80GB HBM3); nvidia 580.95.05, 0000:02:00.0
  not read    temperature, memory's temperature, hotspot, reasons for clocks,
              power, clocks, busy, memory, fan, link, errors of memory,
              processes: it is lost
";
    assert_eq!(block, expected);
}

#[test]
fn no_card_is_no_fault_and_says_what_would_be_one() {
    let mut none = report(Vec::new());
    let words = "no NVIDIA driver is installed (libnvidia-ml.so.1 is not there); without such a card nothing is missing";
    none.missing = vec![missing(GpuMissingCause::NoLibrary, false, words)];
    (none.governor.mode, none.governor.decision) = (GpuMode::Off, None);
    none.governor.limits = GpuLimits::default();
    let expected = "\
governor off: nothing is done about heat (gpu.governor)
requests: 3 interactive and 1 background run; 0 and 0 wait

no NVIDIA driver is installed (libnvidia-ml.so.1 is not there); without such a
card nothing is missing
";
    assert_eq!(shown(&none), expected);
}

#[test]
fn what_is_foretold_is_told_and_a_governor_that_watches_says_so() {
    let mut watched = report(vec![warm(0)]);
    watched.governor.mode = GpuMode::Watch;
    watched.governor.limits = GpuLimits::default();
    let drawn = shown(&watched);
    assert!(drawn.contains("  slower      in about 42 s (30 to 66), as it goes\n"), "{drawn}");
    assert!(drawn.starts_with("governor only watches: it would say: as many requests"), "{drawn}");
    assert!(drawn.contains("requests: 3 interactive and 1 background run;"), "no limit is in force: {drawn}");
}

#[test]
fn no_line_is_wider_than_the_screen_and_nothing_in_it_is_obeyed() {
    let mut evil = hot(0);
    evil.name = Some("模型\u{1b}[2J\u{202e} of the kitchen".to_owned());
    let mut all = refusing();
    all.cards.extend([evil, lost(3)]);
    for width in 20..130 {
        let drawn = drawn(&all, &wrong::all(&all), &Screen::of_test(width, ""));
        for line in drawn.lines() {
            assert!(text::width(line) <= width, "{width}: {line:?}");
            assert!(!line.contains(|letter: char| letter.is_control() || letter == '\u{202e}'), "{line:?}");
        }
    }
}

#[test]
fn no_limit_is_shown_where_there_is_none() {
    let mut report = report(vec![card(0)]);
    let said = |report: &GpuReport| super::requests(&report.governor);
    report.governor.limits = GpuLimits::default();
    assert_eq!(said(&report), "3 interactive and 1 background run; 0 and 0 wait");
    report.governor.limits.background = Some(1);
    assert_eq!(said(&report), "3 interactive and 1 background run, 1 background may at once; 0 and 0 wait");
}

#[test]
fn who_has_no_card_is_not_told_to_wait_for_a_decision() {
    let undecided = |cards| {
        let mut report = report(cards);
        report.governor.decision = None;
        super::decided(&report).2
    };
    assert_eq!(undecided(vec![card(0)]), "it has not decided yet");
    assert_eq!(undecided(Vec::new()), "there is no card to decide by");
    let mut processor = card(0);
    processor.maker = GpuMaker::Processor;
    assert_eq!(undecided(vec![processor]), "there is no card to decide by");
}

#[test]
fn a_card_that_has_cooled_is_not_said_to_be_slow() {
    let mut cooled = hot(0);
    cooled.throttles = GpuReading::Value(Vec::new());
    cooled.margins.slowdown = Some(43.0);
    let drawn = shown(&report(vec![cooled]));
    assert!(drawn.contains("\njust slowed down by its heat: card 0"), "{drawn}");
    assert!(drawn.contains("as fast as it can") && !drawn.contains("half or more"), "{drawn}");
}

#[test]
fn a_latest_that_is_beyond_what_is_foretold_is_no_figure() {
    let mut one = warm(0);
    one.slower.latest_s = None;
    let drawn = shown(&report(vec![one]));
    assert!(drawn.contains("  slower      in about 42 s (30 at the earliest), as it goes\n"), "{drawn}");
}

#[test]
fn little_energy_is_told_in_watt_hours() {
    let told = |millijoules| {
        let mut one = card(0);
        one.power.millijoules = GpuReading::Value(millijoules);
        super::power(&one).unwrap()
    };
    assert_eq!(told(123_000_000), "612 of 700 W; 34 Wh since its driver was loaded");
    assert_eq!(told(3_599_999_999), "612 of 700 W; 999 Wh since its driver was loaded");
    assert_eq!(told(3_960_000_000), "612 of 700 W; 1.1 kWh since its driver was loaded");
}

#[test]
fn memory_that_is_the_machine_s_is_told_with_its_figure() {
    let mut one = card(0);
    let why = || GpuReading::Missing("it shares the machine's memory".to_owned());
    (one.memory.total, one.memory.used) = (why(), why());
    let without = shown(&report(vec![one.clone()]));
    assert!(without.contains("memory: it shares the machine's memory\n"), "{without}");
    one.memory.shared = Some(GpuShared { total: 120 << 30, used: 38 << 30 });
    let drawn = shown(&report(vec![one]));
    let line = "  memory      38.0 GiB of 120.0 GiB of the machine's are used, which it shares\n";
    assert!(drawn.contains(line) && !drawn.contains("memory: the card"), "{drawn}");
}

#[test]
fn a_processor_is_called_no_card_and_what_it_is_not_is_not_missed() {
    let drawn = shown(&report(vec![processor(0)]));
    let expected = "\
slowdown not known: processor 0 (x86_pkg_temp); x86_pkg_temp
  temperature 67 °C, off at 100
  memory      16.0 GiB of 64.0 GiB of the machine's are used, which it shares
";
    assert_eq!(drawn.rsplit("\n\n").next().unwrap(), expected);
}

#[test]
fn what_a_silent_card_said_is_told_with_its_age() {
    let mut silent = card(0);
    (silent.state, silent.age_s, silent.late_s) = (GpuState::Stale, Some(140.4), Some(138.0));
    let drawn = shown(&report(vec![silent]));
    assert!(drawn.replace("\n  ", "").contains("it said 140 s ago"), "{drawn}");
}

#[test]
fn a_hotspot_that_is_beyond_its_limit_is_named() {
    let drawn = shown(&report(vec![radeon(0)])).split_whitespace().collect::<Vec<_>>().join(" ");
    for words in [
        "card 0 (amdgpu 1002:744c) is slowed down by its heat at 111 °C (hotspot) why:",
        "temperature 54 °C, slower from 100, off at 105; memory 80 °C, slower from 108, off at 113; hotspot 111 °C, slower from 110",
    ] {
        assert!(drawn.contains(words), "{words} is not in {drawn}");
    }
}
