//! One test for each way in which a driver or a card misbehaves.

use std::time::{Duration, Instant};

use ghostllm_gpu::{Absent, Missing, Reason, Seen, Throttles};

use crate::machine::{DEADLINE, H100, Machine, Watched, with};

#[test]
fn a_card_that_hangs_is_late_and_keeps_neither_its_neighbour_nor_who_reads_waiting() {
    let second = "1.name=Second\n1.temperature=50\n";
    let machine = Machine::new(2, &format!("{H100}{second}"));
    let watched = machine.watched();
    let before = watched.card(0, |_| true);
    machine.becomes(&with(2, &format!("{H100}{second}0.hang=nvmlDeviceGetTemperature\n")));
    let late = watched.card(0, |seen| seen.late.is_some());
    assert!(late.late.unwrap() >= DEADLINE);
    assert_eq!(late.sample.gpu, before.sample.gpu, "its last answer stays");
    let (neighbour, mut seen) = (watched.next(1), Vec::new());
    assert_eq!((neighbour.late, neighbour.sample.gpu.celsius), (None, Ok(50.0)));
    let began = Instant::now();
    for _ in 0..1000 {
        watched.sampler.read(&mut seen);
    }
    let each = began.elapsed() / 1000;
    println!("a reading of two cards, of which one hangs, takes {each:?}");
    assert!(each < Duration::from_millis(5), "{each:?}");
    assert_eq!(watched.card(0, |_| true).number, late.number, "it is asked once");
    machine.becomes(&with(2, &format!("{H100}{second}")));
    let again = watched.card(0, |seen| seen.number > late.number);
    assert_eq!((again.late, again.sample.gpu.celsius), (None, Ok(38.0)));
}

#[test]
fn a_library_that_hangs_when_it_is_opened_is_told_and_opened_in_the_end() {
    let machine = Machine::new(1, &format!("{H100}hang=nvmlInit_v2\n"));
    let watched = machine.watched();
    let missing = watched.until(|_, missing| missing);
    assert!(matches!(missing, Missing::Hangs { waited } if waited >= DEADLINE), "{missing:?}");
    assert!(missing.is_fault() && missing.to_string().contains("nvidia-smi"));
    machine.becomes(&with(1, H100));
    watched.card(0, |seen| seen.sample.gpu.celsius == Ok(38.0));
    assert_eq!(watched.sampler.missing(), None);
}

#[test]
fn a_lost_card_is_told_stays_who_it_is_and_comes_back_after_a_reset() {
    for count in [1, 2] {
        let cards = format!("{H100}1.name=Second\n1.temperature=50\n");
        let machine = Machine::new(count, &cards);
        let watched = machine.watched();
        let before = watched.card(0, |_| true);
        machine.becomes(&with(count, &format!("{cards}0.lost=1\n")));
        let lost = watched.card(0, |seen| seen.sample.is_lost());
        assert_eq!((lost.sample.throttles, lost.sample.memory.total), (Err(Absent::Lost), Err(Absent::Lost)));
        assert_eq!(lost.identity, before.identity);
        if count == 2 {
            assert_eq!(watched.next(1).sample.gpu.celsius, Ok(50.0));
        }
        // Asked again and again it stays lost, in the list.
        let later = watched.card(0, |seen| seen.number >= lost.number + 2);
        assert!(later.sample.is_lost() && later.identity == before.identity);
        machine.becomes(&with(count, &cards));
        let back = watched.card(0, |seen| !seen.sample.is_lost());
        assert_eq!((back.sample.gpu, back.identity), (before.sample.gpu, before.identity));
    }
}

#[test]
fn a_lost_card_is_asked_no_more_often_than_the_library() {
    let machine = Machine::new(1, &format!("{H100}0.lost=1\n"));
    let watched = machine.watched();
    let first = watched.card(0, |seen| seen.sample.is_lost());
    let later = watched.card(0, |seen| seen.number >= first.number + 2);
    assert!(later.sample.at >= first.sample.at + Duration::from_millis(350), "{later:?}, {first:?}");
}

#[test]
fn a_card_that_must_be_reset_is_lost_too() {
    let machine = Machine::new(1, &format!("{H100}0.fail.nvmlDeviceGetTemperature=16\n"));
    assert!(machine.watched().card(0, |_| true).sample.is_lost());
}

#[test]
fn a_driver_that_was_replaced_under_us_is_a_mismatch_and_not_a_machine_without_cards() {
    let machine = Machine::new(1, H100);
    let watched = machine.watched();
    watched.card(0, |_| true);
    let all = "fail.nvmlDeviceGetTemperature=18\ninit=18\n";
    machine.becomes(&with(1, &format!("{H100}{all}")));
    assert_eq!(watched.until(|_, missing| missing), Missing::VersionMismatch);
    watched.until(|seen, _| seen.is_empty().then_some(()));
    machine.becomes(&with(1, H100));
    watched.card(0, |seen| seen.sample.gpu.celsius == Ok(38.0));
    assert_eq!(watched.sampler.missing(), None);
}

#[test]
fn each_way_in_which_the_library_cannot_start_is_told_and_looked_at_again() {
    let machine = Machine::new(1, "init=9\n");
    let watched = machine.watched();
    for (state, wanted) in [
        ("init=9\n", Missing::DriverNotLoaded),
        ("init=4\n", Missing::NoPermission),
        ("init=17\n", Missing::Blocked),
        ("count=0\n", Missing::NoCard),
    ] {
        machine.becomes(&with(1, state));
        watched.until(|_, missing| (missing.as_ref() == Some(&wanted)).then_some(()));
    }
    machine.becomes(&with(1, H100));
    watched.card(0, |_| true);
}

#[test]
fn a_driver_that_is_installed_later_is_found() {
    let machine = Machine::bare();
    let watched = machine.watched();
    let missing = watched.until(|_, missing| missing);
    assert!(matches!(missing, Missing::NoLibrary { .. }) && !missing.is_fault(), "{missing:?}");
    machine.becomes(&with(1, H100));
    machine.installed(&[]);
    watched.card(0, |seen| seen.sample.gpu.celsius == Ok(38.0));
}

#[test]
fn an_old_driver_tells_what_it_can_and_is_old_for_the_rest() {
    let machine = Machine::bare();
    machine.installed(&[
        "nvmlDeviceGetMarginTemperature",
        "nvmlDeviceGetCurrentClocksEventReasons",
        "nvmlDeviceGetMemoryInfo_v2",
        "nvmlDeviceGetRemappedRows",
        "nvmlDeviceGetComputeRunningProcesses_v3",
        "nvmlDeviceGetMigMode",
        "nvmlDeviceGetNumFans",
        "nvmlDeviceGetFieldValues",
        "nvmlEventSetWait_v2",
    ]);
    machine.becomes(&with(1, &format!("{H100}0.fan=41\n0.reasons=4\n")));
    let sample = machine.watched().card(0, |_| true).sample;
    let old = Absent::OldDriver;
    assert_eq!((sample.gpu.to_soft, sample.gpu.to_slowdown), (Ok(49.0), Ok(51.0)), "by its thresholds");
    assert_eq!(sample.memory.used, Ok(503_316_480), "by the older call");
    assert_eq!(sample.throttles, Ok(Throttles::default().with(Reason::PowerCap)), "by the older name");
    assert_eq!((sample.fan, sample.memory_heat.celsius), (Ok(41), Err(old)));
    assert_eq!((sample.faults.rows_remapped, sample.faults.xid), (Err(old), Err(old)));
    assert_eq!((sample.tenants.processes, sample.tenants.instances), (Err(old), Err(old)));
}

#[test]
fn a_reading_that_fails_says_why_and_spoils_no_other() {
    let fails = "fail.nvmlDeviceGetPowerUsage=4\nfail.nvmlDeviceGetUtilizationRates=999\nfail.nvmlDeviceGetClockInfo=77\n\
                 fail.nvmlDeviceGetTotalEnergyConsumption=13\n";
    let machine = Machine::new(1, &format!("{H100}{fails}"));
    let sample = machine.watched().card(0, |_| true).sample;
    assert_eq!((sample.power.watts, sample.power.limit), (Err(Absent::Forbidden), Ok(700.0)));
    assert_eq!((sample.utilisation.core, sample.clocks.core), (Err(Absent::Failed), Err(Absent::Failed)));
    assert_eq!((sample.power.millijoules, sample.gpu.celsius), (Err(Absent::OldDriver), Ok(38.0)));
}

#[test]
fn an_xid_is_kept_also_when_the_card_is_lost_for_it() {
    let machine = Machine::new(1, &format!("{H100}0.xid=31\n"));
    let watched = machine.watched();
    assert_eq!(watched.card(0, |_| true).sample.faults.xid, Ok(None), "that was before");
    machine.becomes(&with(1, &format!("{H100}0.xid=63\n")));
    let heard = watched.card(0, |seen| xid(seen) == Some(63)).sample;
    let at = heard.faults.xid.ok().flatten().map(|xid| xid.at);
    assert!(at.is_some_and(|at| at <= heard.at), "{at:?}, {:?}", heard.at);
    let later = watched.next(0).sample;
    assert_eq!(later.faults.xid.ok().flatten().map(|xid| xid.at), at, "its moment stays");
    machine.becomes(&with(1, &format!("{H100}0.xid=79\n")));
    // It still answers, and what it answers is no card's any more.
    let fallen = watched.card(0, |seen| xid(seen) == Some(79)).sample;
    assert_eq!((fallen.gpu.celsius, fallen.throttles), (Err(Absent::Lost), Err(Absent::Lost)));
    machine.becomes(&with(1, &format!("{H100}0.xid=79\n0.lost=1\n")));
    let lost = watched.card(0, |seen| seen.sample.is_lost());
    assert_eq!(xid(&lost), Some(79));
}

fn xid(seen: &Seen) -> Option<u32> {
    seen.sample.faults.xid.ok().flatten().map(|xid| xid.number)
}

#[test]
fn a_row_that_could_not_be_replaced_is_told() {
    let machine = Machine::new(1, &format!("{H100}0.remap_failed=1\n"));
    assert_eq!(machine.watched().card(0, |_| true).sample.faults.rows_failed, Ok(true));
}

#[test]
fn one_of_eight_is_lost_one_hangs_and_six_go_on() {
    let cards: String = (0..8).map(|card| format!("{card}.name=Card\n{card}.temperature=40\n")).collect();
    let machine = Machine::new(8, &cards);
    let watched = machine.watched();
    watched.until(|seen, _| (seen.len() == 8 && seen.iter().all(|seen| seen.number > 0)).then_some(()));
    machine.becomes(&with(8, &format!("{cards}3.lost=1\n5.hang=all\n")));
    watched.card(3, |seen| seen.sample.is_lost());
    watched.card(5, |seen| seen.late.is_some());
    for index in [0, 1, 2, 4, 6, 7] {
        let seen = watched.next(index);
        assert_eq!((seen.late, seen.sample.gpu.celsius), (None, Ok(40.0)), "{index}");
    }
}

#[test]
fn a_file_that_is_no_library_is_told() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let watched = Watched::of(file.path());
    let missing = watched.until(|_, missing| missing);
    assert!(matches!(missing, Missing::BadLibrary { .. }) && missing.is_fault(), "{missing:?}");
}
