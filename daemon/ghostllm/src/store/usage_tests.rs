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
    assert_eq!(kept.unreadable, []);
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
    assert_eq!(requests(&home.ledger()), told(&[("2026-11-28", 1)]));
    assert!(home.files().iter().filter(|name| name.contains(".bad-")).count() >= 2, "{:?}", home.files());
}

#[test]
fn a_month_that_is_over_stays_on_the_disk_and_takes_what_comes_late() {
    let home = Home::new();
    let ledger = home.ledger();
    for date in ["2026-10-31", "2026-11-01", "2026-11-02"] {
        ledger.count_on(day(date), "local", "tiny", &one());
    }
    ledger.write(400).unwrap();
    let open = || ledger.held().keys().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(open(), ["2026-11"]);
    // The clock was set back.
    ledger.count_on(day("2026-10-31"), "local", "tiny", &one());
    assert_eq!(requests(&ledger), told(&[("2026-10-31", 2), ("2026-11-01", 1), ("2026-11-02", 1)]));
    ledger.write(400).unwrap();
    assert_eq!(open(), ["2026-11"]);
    assert_eq!(requests(&home.ledger()), told(&[("2026-10-31", 2), ("2026-11-01", 1), ("2026-11-02", 1)]));
}

#[test]
fn old_days_are_dropped_and_a_clock_that_ran_ahead_drops_none() {
    let home = Home::new();
    let ledger = home.ledger();
    for date in ["2026-08-30", "2026-10-30", "2026-10-31", "2026-11-01"] {
        ledger.count_on(day(date), "local", "tiny", &one());
    }
    ledger.write(400).unwrap();
    ledger.count_on(day("2099-01-01"), "local", "tiny", &one());
    ledger.write(400).unwrap();
    assert_eq!(requests(&ledger).len(), 5);
    // Counted back from the last but one: the first of November, and the two days before it.
    ledger.write(3).unwrap();
    let kept = [("2026-10-30", 1), ("2026-10-31", 1), ("2026-11-01", 1), ("2099-01-01", 1)];
    assert_eq!(requests(&ledger), told(&kept));
    assert!(!home.files().iter().any(|name| name.contains("2026-08")), "{:?}", home.files());
    ledger.write(2).unwrap();
    assert_eq!(requests(&home.ledger()), told(&kept[1..]));
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
    assert_eq!(again.read(november, november).unwrap().unreadable, [november]);
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
