//! Tests of what is kept of the counts.

use std::{fs, path::Path};

use ghostllm_core::{chat::Usage, usage::End};

use super::*;
use crate::store::keys::Show;

const NOVEMBER: &str = "usage-2026-11.json";

struct Home {
    _scratch: tempfile::TempDir,
    state: StateDir,
    keys: Keys,
}

impl Home {
    fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let state = StateDir::open(&scratch.path().join("state")).unwrap();
        let opened =
            Keys::open(&state, OffsetDateTime::UNIX_EPOCH, || Ok([7; 40]), Show::OnTerminal).unwrap();
        Self { _scratch: scratch, state, keys: opened.keys }
    }

    fn ledger(&self) -> Ledger {
        Ledger::open(&self.state, &self.keys)
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.state.path().join(name)
    }

    fn files(&self) -> Vec<String> {
        let names = fs::read_dir(self.state.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
        names.retain(|name| name.starts_with("usage-"));
        names.sort();
        names
    }
}

fn day(text: &str) -> Day {
    text.parse().unwrap()
}

fn one() -> Counts {
    Counts::of(End::Completed, true, Some(Usage::counted(2, 3)))
}

/// How many requests there were on each day.
fn requests(ledger: &Ledger) -> Vec<(String, u64)> {
    let kept = ledger.read("0000-01".parse().unwrap(), "9999-12".parse().unwrap()).unwrap();
    assert!(kept.unreadable.is_empty(), "{:?}", kept.unreadable);
    let days = kept.months.iter().flat_map(Book::rows);
    days.map(|(day, _, _, counts)| (day.to_string(), counts.requests)).collect()
}

fn told(days: &[(&str, u64)]) -> Vec<(String, u64)> {
    days.iter().map(|(day, requests)| ((*day).to_owned(), *requests)).collect()
}

#[test]
fn what_was_counted_is_there_again_and_goes_on() {
    let home = Home::new();
    let ledger = home.ledger();
    assert!(!ledger.is_ahead() && home.files().is_empty());
    ledger.write(400).unwrap();
    assert!(home.files().is_empty(), "nothing was counted, and nothing is written");
    ledger.count("local", "tiny", &one());
    assert!(ledger.is_ahead() && home.files().is_empty(), "a request waits for no disk");
    ledger.write(400).unwrap();
    assert!(!ledger.is_ahead());
    let today = ledger.today();
    let name = name(today.month());
    assert_eq!(home.files(), [name.clone(), format!("{name}.last")]);
    let again = home.ledger();
    again.count("local", "tiny", &one());
    let expected = vec![(today.to_string(), 2)];
    assert_eq!(requests(&again), expected, "also what is in memory alone");
    again.write(400).unwrap();
    assert_eq!(requests(&home.ledger()), expected);
}

#[test]
fn a_damaged_month_falls_back_to_its_copy_and_begins_anew_without() {
    let home = Home::new();
    let ledger = home.ledger();
    let november = day("2026-11-28");
    ledger.count_on(november, "local", "tiny", &one());
    ledger.write(400).unwrap();
    fs::write(home.path(NOVEMBER), "{").unwrap();
    let again = home.ledger();
    assert_eq!(requests(&again), told(&[("2026-11-28", 1)]), "of the copy");
    again.count_on(november, "local", "tiny", &one());
    again.write(400).unwrap();
    assert_eq!(requests(&home.ledger()), told(&[("2026-11-28", 2)]));
    for name in [NOVEMBER.to_owned(), format!("{NOVEMBER}.last")] {
        fs::write(home.path(&name), "{").unwrap();
    }
    let anew = home.ledger();
    anew.count_on(november, "local", "tiny", &one());
    anew.write(400).unwrap();
    let kept = home.ledger().read(november.month(), november.month()).unwrap();
    assert_eq!(kept.months.iter().flat_map(Book::rows).map(|row| row.3.requests).collect::<Vec<_>>(), [1]);
    assert!(home.files().iter().filter(|name| name.contains(".bad-")).count() >= 2, "{:?}", home.files());
}

#[test]
fn a_month_that_is_over_stays_on_the_disk_and_takes_what_comes_late() {
    let home = Home::new();
    let ledger = home.ledger();
    for date in ["2026-10-31", "2026-11-01", "2026-11-02"] {
        ledger.count_on(day(date), "local", "tiny", &one());
    }
    ledger.write_on(day("2026-11-02"), &[], 400).unwrap();
    let open = || ledger.held().keys().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(open(), ["2026-11"]);
    // The clock was set back.
    ledger.count_on(day("2026-10-31"), "local", "tiny", &one());
    assert_eq!(requests(&ledger), told(&[("2026-10-31", 2), ("2026-11-01", 1), ("2026-11-02", 1)]));
    ledger.write_on(day("2026-11-02"), &[], 400).unwrap();
    assert_eq!(open(), ["2026-11"]);
    assert_eq!(requests(&home.ledger()), told(&[("2026-10-31", 2), ("2026-11-01", 1), ("2026-11-02", 1)]));
}

/// Counts a request on each of these days, written as on that day.
fn day_by_day(ledger: &Ledger, dates: &[&str], days: u32) {
    for date in dates {
        ledger.count_on(day(date), "local", "tiny", &one());
        ledger.write_on(day(date), &[], days).unwrap();
    }
}

fn once(days: &[&str]) -> Vec<(String, u64)> {
    days.iter().map(|day| ((*day).to_owned(), 1)).collect()
}

#[test]
fn the_last_days_that_have_counts_are_kept_and_days_without_do_not_count() {
    let home = Home::new();
    let ledger = home.ledger();
    day_by_day(&ledger, &["2025-08-30", "2026-10-30", "2026-10-31"], 3);
    assert_eq!(requests(&ledger), once(&["2025-08-30", "2026-10-30", "2026-10-31"]), "a year is no reason");
    day_by_day(&ledger, &["2026-11-01"], 3);
    assert_eq!(requests(&ledger), once(&["2026-10-30", "2026-10-31", "2026-11-01"]));
    assert!(!home.files().iter().any(|name| name.contains("2025-08")), "{:?}", home.files());
    ledger.write_on(day("2026-11-01"), &[], 2).unwrap();
    assert_eq!(requests(&home.ledger()), once(&["2026-10-31", "2026-11-01"]));
}

#[test]
fn a_clock_that_ran_ahead_takes_no_history_away_then_or_later() {
    let home = Home::new();
    let ledger = home.ledger();
    let november = ["2026-11-28", "2026-11-29", "2026-11-30"];
    let (first, rest) = november.split_at(1);
    day_by_day(&ledger, first, 4);
    let ahead = ["2036-11-27", "2036-11-28", "2036-12-01"];
    day_by_day(&ledger, &ahead, 4);
    let all = |days: &[&[&str]]| once(&days.concat());
    assert_eq!(requests(&ledger), all(&[first, &ahead]));
    // The clock is right again, also after a new start: no day of those makes today one too many.
    day_by_day(&ledger, &rest[..1], 4);
    let again = home.ledger();
    day_by_day(&again, &rest[1..], 4);
    assert_eq!(requests(&again), all(&[&november, &ahead]));
    // Even where there were more days ahead than are to be kept: today stays, and they take a bounded room.
    again.write_on(day("2026-11-30"), &[], 2).unwrap();
    assert_eq!(requests(&again), all(&[&november[1..], &ahead[..2]]));
    again.write_on(day("2026-11-30"), &[], 1).unwrap();
    assert_eq!(requests(&home.ledger()), all(&[&november[2..], &ahead[..1]]));
    assert!(!home.files().iter().any(|name| name.contains("2036-12")), "{:?}", home.files());
}

#[test]
fn a_clock_that_is_behind_drops_nothing_that_comes_later() {
    let home = Home::new();
    let ledger = home.ledger();
    day_by_day(&ledger, &["2026-11-29", "2026-11-30", "2020-01-01", "2020-01-02", "2026-12-01"], 2);
    assert_eq!(requests(&home.ledger()), once(&["2026-11-30", "2026-12-01"]));
    day_by_day(&ledger, &["2020-01-03"], 2);
    assert_eq!(requests(&home.ledger()), once(&["2020-01-03", "2026-11-30", "2026-12-01"]));
}

#[test]
fn a_month_without_a_good_file_is_told_until_what_is_set_aside_is_gone() {
    let home = Home::new();
    let november = day("2026-11-28");
    let copy = format!("{NOVEMBER}.last");
    day_by_day(&home.ledger(), &["2026-10-31", "2026-11-28"], 400);
    // One of the two is no loss.
    fs::write(home.path(NOVEMBER), "{").unwrap();
    let one_bad = home.ledger();
    one_bad.complete(november.month()).unwrap();
    one_bad.write_on(november, &[], 400).unwrap();
    assert!(one_bad.anew().is_empty() && requests(&one_bad).len() == 2, "{:?}", home.files());
    for name in [NOVEMBER, copy.as_str()] {
        fs::write(home.path(name), "{").unwrap();
    }
    let told = |ledger: &Ledger| {
        let kept = ledger.read("2026-01".parse().unwrap(), "2026-12".parse().unwrap()).unwrap();
        kept.unreadable.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let anew = home.ledger();
    assert_eq!(told(&anew), ["2026-11"], "before anything is counted");
    day_by_day(&anew, &["2026-11-29"], 400);
    for ledger in [anew, home.ledger()] {
        let files: Vec<_> = ledger.anew().into_values().flatten().collect();
        assert!(files.len() >= 2 && files.iter().all(|file| file.exists()), "{files:?}");
        assert_eq!(told(&ledger), ["2026-11"], "as long as a person has not removed them");
        let october = ledger.read("2026-10".parse().unwrap(), "2026-10".parse().unwrap()).unwrap();
        assert!(october.unreadable.is_empty());
    }
    let last = home.ledger();
    for file in last.anew().into_values().flatten() {
        fs::remove_file(file).unwrap();
    }
    last.write_on(november, &[], 400).unwrap();
    assert!(last.anew().is_empty() && !last.is_alarmed());
    assert_eq!(requests(&last), once(&["2026-10-31", "2026-11-29"]));
}

#[test]
fn a_damaged_file_without_a_copy_is_told_as_well() {
    let home = Home::new();
    fs::write(home.path(NOVEMBER), "{").unwrap();
    let mut open = fs::metadata(home.path(NOVEMBER)).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut open, 0o600);
    fs::set_permissions(home.path(NOVEMBER), open).unwrap();
    let ledger = home.ledger();
    day_by_day(&ledger, &["2026-11-29"], 400);
    assert_eq!(ledger.anew().into_keys().map(|month| month.to_string()).collect::<Vec<_>>(), ["2026-11"]);
}

/// A directory in a file's place cannot be replaced by one, also by root.
fn blocked(path: &Path) {
    fs::create_dir(path).unwrap();
    fs::write(path.join("x"), "").unwrap();
}

#[test]
fn what_cannot_be_written_stays_in_memory_until_it_can() {
    let home = Home::new();
    let ledger = home.ledger();
    let copy = home.path(&format!("{NOVEMBER}.last"));
    ledger.count_on(day("2026-11-27"), "local", "tiny", &one());
    ledger.complete(day("2026-11-27").month()).unwrap();
    blocked(&copy);
    ledger.count_on(day("2026-10-31"), "local", "tiny", &one());
    for _ in 0..2 {
        assert!(ledger.write(400).is_err() && ledger.is_ahead() && ledger.is_alarmed());
    }
    assert!(!home.state.is_alarmed(), "keys can be written, and nothing is refused");
    assert_eq!(home.files()[0], "usage-2026-10.json", "what can be written is");
    ledger.count_on(day("2026-11-28"), "local", "tiny", &one());
    let expected = told(&[("2026-10-31", 1), ("2026-11-27", 1), ("2026-11-28", 1)]);
    assert_eq!(requests(&ledger), expected);
    fs::remove_dir_all(&copy).unwrap();
    ledger.write(400).unwrap();
    assert!(!ledger.is_alarmed() && !ledger.is_ahead());
    assert_eq!(requests(&home.ledger()), expected);
}

#[test]
fn a_month_that_cannot_be_read_is_not_written_over_and_is_told() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new();
    let ledger = home.ledger();
    ledger.count_on(day("2026-11-27"), "local", "tiny", &one());
    ledger.write(400).unwrap();
    let (file, before) = (home.path(NOVEMBER), fs::read(home.path(NOVEMBER)).unwrap());
    let mode = |mode| fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    mode(0o644);
    let again = home.ledger();
    again.count_on(day("2026-11-28"), "local", "tiny", &one());
    assert!(again.write(400).is_err() && again.is_alarmed());
    assert_eq!(fs::read(&file).unwrap(), before);
    let november = day("2026-11-28").month();
    assert_eq!(again.read(november, november).unwrap().unreadable, [november].into());
    mode(0o600);
    again.write(400).unwrap();
    assert_eq!(requests(&home.ledger()), told(&[("2026-11-27", 1), ("2026-11-28", 1)]));
}

#[test]
fn a_backup_has_the_months_newest_first() {
    let home = Home::new();
    let ledger = home.ledger();
    for date in ["2026-10-31", "2026-11-01"] {
        ledger.count_on(day(date), "local", "tiny", &one());
    }
    ledger.write(400).unwrap();
    let names: Vec<String> = ledger.texts().unwrap().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, [NOVEMBER, "usage-2026-10.json"]);
}
