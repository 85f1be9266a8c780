//! `ghostctl logs` over journals that systemd-journal-remote makes of entries a test has thought of, so that there are entries of
//! systemd's, of core dumps and of liars as well. What a running journald and the daemon write stands in `tests/network/journal.rs`.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;
use unicode_width::UnicodeWidthStr;

use crate::{Ran, canned::EVIL, program, schema::fits, terminal};

/// 2026-11-28 09:00:00 in UTC, in microseconds.
const NINE: u64 = 1_795_856_400_000_000;

/// A journal in a directory.
struct Journal {
    dir: TempDir,
}

/// An entry's fields, in the journal's export format.
struct Entry(Vec<u8>);

impl Entry {
    /// One that the journal took so many seconds after nine.
    fn at(seconds: u64) -> Self {
        let boot = "0123456789abcdef0123456789abcdef";
        let head = format!(
            "__CURSOR=x\n__REALTIME_TIMESTAMP={}\n__MONOTONIC_TIMESTAMP={}\n_BOOT_ID={boot}\n",
            NINE + seconds * 1_000_000,
            1_000_000 * (seconds + 1)
        );
        Self(head.into_bytes())
    }

    /// A line of the daemon's own, as tracing-journald writes it.
    fn of_the_daemon(seconds: u64, priority: u8, message: &str) -> Self {
        Self::at(seconds)
            .with("_SYSTEMD_UNIT", "ghostllm.service")
            .with("SYSLOG_IDENTIFIER", "ghostllm")
            .with("_PID", "4711")
            .with("TARGET", "ghostllm::app")
            .with("PRIORITY", &priority.to_string())
            .with("MESSAGE", message)
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.0.extend(name.as_bytes());
        self.0.push(b'\n');
        self.0.extend(u64::try_from(value.len()).unwrap().to_le_bytes());
        self.0.extend(value.as_bytes());
        self.0.push(b'\n');
        self
    }
}

impl Journal {
    fn of(entries: impl IntoIterator<Item = Entry>) -> Self {
        let journal = Self { dir: tempfile::tempdir().unwrap() };
        journal.add("system.journal", entries);
        journal
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn add(&self, name: &str, entries: impl IntoIterator<Item = Entry>) {
        let remote = ["/usr/lib/systemd/systemd-journal-remote", "/lib/systemd/systemd-journal-remote"]
            .map(PathBuf::from)
            .into_iter()
            .find(|path| path.exists())
            .unwrap_or_else(|| panic!("there is no systemd-journal-remote: `just setup` installs it"));
        let mut child = Command::new(remote)
            .arg("--output")
            .arg(self.path().join(name))
            .arg("-")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        for Entry(mut text) in entries {
            text.push(b'\n');
            input.write_all(&text).unwrap();
        }
        drop(input);
        let ended = child.wait_with_output().unwrap();
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program();
        command.env("TZ", "UTC").arg("logs").arg("--directory").arg(self.path()).args(arguments);
        command
    }

    fn logs(&self, arguments: &[&str]) -> Ran {
        self.command(arguments).output().unwrap().into()
    }

    /// The messages that are shown.
    fn messages(&self, arguments: &[&str]) -> Vec<String> {
        let ran = self.logs(&[arguments, &["--json"]].concat());
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{arguments:?}");
        let entries = ran.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        entries.map(|entry| entry["message"].as_str().unwrap().to_owned()).collect()
    }
}

/// One entry of each second and each level.
fn levels() -> Journal {
    let names = ["error", "warn", "info", "debug", "trace"];
    Journal::of((3..=7).map(|priority| {
        Entry::of_the_daemon(u64::from(priority), priority, names[usize::from(priority) - 3])
    }))
}

#[test]
fn the_entries_are_the_units_own_and_what_the_system_says_of_them() {
    const DUMP: &str = "fc2e22bc6ee647b6b90729ab34a250b1";
    let said = |second, message| Entry::at(second).with("PRIORITY", "6").with("MESSAGE", message);
    let journal = Journal::of([
        Entry::of_the_daemon(1, 5, "the daemon"),
        said(2, "the engine")
            .with("_SYSTEMD_UNIT", "ghostllm-engine.service")
            .with("SYSLOG_IDENTIFIER", "ghostllm-engine"),
        said(3, "systemd")
            .with("_PID", "1")
            .with("UNIT", "ghostllm.service")
            .with("_SYSTEMD_UNIT", "init.scope"),
        said(4, "a core dump")
            .with("_UID", "0")
            .with("MESSAGE_ID", DUMP)
            .with("COREDUMP_UNIT", "ghostllm.service"),
        said(5, "about it").with("_UID", "0").with("OBJECT_SYSTEMD_UNIT", "ghostllm-engine.service"),
        said(6, "another unit").with("_SYSTEMD_UNIT", "nginx.service"),
        said(7, "another unit of systemd's").with("_PID", "1").with("UNIT", "nginx.service"),
        said(8, "a liar").with("_PID", "99").with("_UID", "1000").with("UNIT", "ghostllm.service"),
        said(9, "a liar with a core dump")
            .with("_UID", "1000")
            .with("MESSAGE_ID", DUMP)
            .with("COREDUMP_UNIT", "ghostllm.service"),
        said(10, "a liar about it").with("_UID", "1000").with("OBJECT_SYSTEMD_UNIT", "ghostllm.service"),
        said(11, "a like name").with("_SYSTEMD_UNIT", "ghostllm.service.evil.service"),
    ]);
    assert_eq!(journal.messages(&[]), ["the daemon", "the engine", "systemd", "a core dump", "about it"]);
    let ran = journal.logs(&["--json", "-n", "3"]);
    let units: Vec<Value> = ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let units: Vec<&str> = units.iter().map(|entry| entry["unit"].as_str().unwrap()).collect();
    assert_eq!(units, ["ghostllm.service", "ghostllm.service", "ghostllm-engine.service"]);
}

#[test]
fn lines_of_json_are_what_they_say_of_themselves() {
    let said = |second, message| {
        Entry::at(second)
            .with("PRIORITY", "6")
            .with("_SYSTEMD_UNIT", "ghostllm.service")
            .with("MESSAGE", message)
    };
    let journal = Journal::of([
        said(
            1,
            r#"{"timestamp":"2026-11-28T09:00:01Z","level":"WARN","message":"a disk is full","bytes":3,"target":"x"}"#,
        ),
        said(2, r#"{"timestamp":"2026-11-28T09:00:02Z","level":"INFO","message":"well again","target":"x"}"#),
        said(3, r#"{"level":"loud","message":"another's"}"#),
        said(4, "{ no JSON"),
    ]);
    let all = ["a disk is full", "well again", r#"{"level":"loud","message":"another's"}"#, "{ no JSON"];
    assert_eq!(journal.messages(&[]), all);
    assert_eq!(journal.messages(&["--level", "warn"]), all[..1]);
    let ran = journal.logs(&["--json", "-n", "4"]);
    let first: Value = serde_json::from_str(ran.out.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&first["level"], &first["target"], &first["fields"]["bytes"]),
        (&"warn".into(), &"x".into(), &"3".into())
    );
}

#[test]
fn lines_levels_and_moments_choose_among_them() {
    let journal = levels();
    let all = ["error", "warn", "info", "debug", "trace"];
    assert_eq!(journal.messages(&[]), all);
    for (number, level) in all.iter().enumerate() {
        assert_eq!(journal.messages(&["--level", level]), all[..=number], "{level}");
    }
    for (lines, first) in [("0", 5), ("1", 4), ("2", 3), ("5", 0), ("1000", 0)] {
        assert_eq!(journal.messages(&["-n", lines]), all[first..], "{lines}");
    }
    // The last of those that are wanted, and not the wanted of the last.
    assert_eq!(journal.messages(&["--level", "warn", "-n", "1"]), ["warn"]);
    assert_eq!(journal.messages(&["--level", "info", "-n", "2"]), ["warn", "info"]);
    for (since, first) in [
        ("2026-11-28", 0),
        ("2026-11-28T09:00:05Z", 2),
        ("2026-11-28T10:00:05.000001+01:00", 3),
        ("2026-11-28 09:00:07", 4),
        ("2026-11-28 09:01", 5),
    ] {
        assert_eq!(journal.messages(&["--since", since]), all[first..], "{since}");
    }
    assert_eq!(journal.messages(&["--since", "2026-11-28 09:00:04", "-n", "2"]), ["debug", "trace"]);
    assert_eq!(journal.messages(&["--since", "2026-11-28 09:00:06", "-n", "9"]), ["debug", "trace"]);
    // The box's own clock, an hour before UTC's.
    let ran: Ran =
        journal.command(&["--since", "2026-11-28 10:00:07"]).env("TZ", "CET-1").output().unwrap().into();
    assert_eq!(ran.out, "2026-11-28 10:00:07.000 TRACE trace\n");
}

#[test]
fn what_is_said_of_levels_by_others_is_one_step_away_from_the_daemons() {
    let said = |second, priority, message| {
        let entry =
            Entry::at(second).with("_SYSTEMD_UNIT", "ghostllm-engine.service").with("MESSAGE", message);
        entry.with("PRIORITY", priority)
    };
    let bare = Entry::at(9).with("_SYSTEMD_UNIT", "ghostllm.service").with("MESSAGE", "bare");
    let journal = Journal::of([said(1, "0", "emergency"), said(2, "6", "info"), said(3, "7", "debug"), bare]);
    assert_eq!(journal.messages(&["--level", "error"]), ["emergency"]);
    assert_eq!(journal.messages(&["--level", "info"]), ["emergency", "info", "bare"]);
    assert_eq!(journal.messages(&["--level", "debug"]).len(), 4);
}

/// An entry with all that a peer may have sent.
fn evil() -> Journal {
    Journal::of([Entry::of_the_daemon(1, 4, &format!("{EVIL}\nERROR a line of a peer's own"))
        .with("F_REQUEST_ID", "1f3c9a02")
        .with("F_PATH", "/a \"b\"\u{1b}]0;x\u{7}")
        .with("F_PEER", "::1")
        .with("F_PEER", "::2")])
}

#[test]
fn an_entry_is_a_line_and_nothing_in_it_is_obeyed() {
    let ran = evil().logs(&[]);
    assert_eq!(ran.out.matches('\n').count(), 1, "{}", ran.out);
    assert!(
        !ran.out.trim_end().contains(|letter: char| letter.is_control() || letter == '\u{202e}'),
        "{:?}",
        ran.out
    );
    assert!(ran.out.starts_with("2026-11-28 09:00:01.000  WARN 模型 of the laptop\\u{1b}[2J"), "{}", ran.out);
    for words in ["\\nERROR a line", " request_id=1f3c9a02", " path=\"/a \\\"b\\\"\\u{1b}]0;x\\u{7}\""] {
        assert!(ran.out.contains(words), "{words}: {}", ran.out);
    }
    for columns in [20, 40, 80, 132] {
        let drawn: Ran = evil().command(&[]).env("COLUMNS", columns.to_string()).output().unwrap().into();
        for line in drawn.out.lines() {
            assert!(line.width() <= columns && !line.contains(char::is_control), "{columns}: {line:?}");
        }
        assert!(drawn.out.lines().skip(1).all(|line| line.starts_with("    ")), "{}", drawn.out);
    }
}

#[test]
fn an_entry_for_programs_is_a_line_of_its_form() {
    for journal in [evil(), levels()] {
        let ran = journal.logs(&["--json"]);
        assert!(ran.err.is_empty(), "{}", ran.err);
        for line in ran.out.lines() {
            assert!(!line.chars().any(char::is_control), "{line:?}");
            let value: Value = serde_json::from_str(line).unwrap();
            assert!(fits("LogEntry", &value), "{value:#}");
            assert_eq!(value["version"], 1);
        }
    }
    let value: Value = serde_json::from_str(&evil().logs(&["--json"]).out).unwrap();
    assert_eq!((&value["at"], &value["level"]), (&"2026-11-28T09:00:01Z".into(), &"warn".into()));
    assert_eq!((&value["pid"], &value["target"]), (&4711.into(), &"ghostllm::app".into()));
    assert_eq!(value["message"], format!("{EVIL}\nERROR a line of a peer's own"));
    assert_eq!(value["fields"]["request_id"], "1f3c9a02");
    let peer = value["fields"]["peer"].as_str().unwrap();
    assert!(peer == "::1, ::2" || peer == "::2, ::1", "{peer}");
    let mut broken = value;
    broken["level"] = "warning".into();
    assert!(!fits("LogEntry", &broken));
}

#[test]
fn the_level_has_its_colour_on_a_terminal_and_none_with_no_color() {
    let journal = levels();
    let line = format!("logs -n 5 --directory {}", journal.path().display());
    let (code, shown) = terminal::shown("TZ=UTC", &line);
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("2026-11-28 09:00:03.000 \u{1b}[31mERROR\u{1b}[0m error\n"), "{shown:?}");
    assert!(shown.contains(" \u{1b}[33m WARN\u{1b}[0m warn\n"), "{shown:?}");
    let (_, bare) = terminal::shown("TZ=UTC NO_COLOR=1", &line);
    assert_eq!(bare, terminal::plain(&shown));
    assert!(!bare.contains('\u{1b}'), "{bare:?}");
}

#[test]
fn where_there_is_no_journal_the_failure_says_what_to_do() {
    let empty = tempfile::tempdir().unwrap();
    let nowhere = empty.path().join("nowhere");
    for (path, words) in [(empty.path(), "there is no journal in"), (&nowhere, "No such file")] {
        let output = program().args(["logs", "--directory"]).arg(path).output().unwrap();
        let ran = Ran::from(output);
        assert_eq!((ran.code, ran.out.as_str()), (Some(5), ""), "{}", ran.err);
        assert!(ran.err.contains(words) && ran.err.contains("\nNext: "), "{}", ran.err);
    }
    let ran: Ran = program().args(["logs", "--json", "--directory"]).arg(&nowhere).output().unwrap().into();
    let value: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(value["error"]["code"], "not_found", "{value}");
}

#[test]
fn a_journal_without_an_entry_of_ours_says_so() {
    let other = Journal::of([Entry::at(1).with("_SYSTEMD_UNIT", "nginx.service").with("MESSAGE", "x")]);
    let ran = other.logs(&[]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), ""));
    assert!(
        ran.err.contains("no entry of ghostllm") && ran.err.contains("systemctl status ghostllm"),
        "{}",
        ran.err
    );
    let ran = levels().logs(&["--since", "2026-11-29"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), ""));
    assert!(ran.err.contains("no such entry"), "{}", ran.err);
    let ran = other.logs(&["--json"]);
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (Some(0), "", ""));
}

#[test]
fn a_journal_of_several_files_is_one() {
    let journal = levels();
    journal.add(
        "system@0.journal",
        [Entry::of_the_daemon(0, 5, "before"), Entry::of_the_daemon(99, 5, "behind")],
    );
    assert_eq!(
        journal.messages(&["-n", "7"]),
        ["before", "error", "warn", "info", "debug", "trace", "behind"]
    );
}

#[test]
fn a_damaged_file_ends_in_words_and_not_in_a_crash() {
    let journal = levels();
    let path = journal.path().join("system.journal");
    let whole = fs::read(&path).unwrap();
    let mut codes = Vec::new();
    for cut in [0, 100, 300, whole.len() / 2] {
        fs::write(&path, &whole[..cut]).unwrap();
        let ran = journal.logs(&[]);
        assert!(ran.code == Some(0) || ran.code == Some(1), "{cut}: {ran:?}");
        assert!(ran.err.contains("Next: "), "{cut}: {ran:?}");
        codes.push(ran.code);
    }
    for place in (0..whole.len()).step_by(whole.len() / 200) {
        let mut broken = whole.clone();
        broken[place] ^= 0xff;
        fs::write(&path, &broken).unwrap();
        let code = journal.logs(&["--json"]).code;
        assert!(code == Some(0) || code == Some(1), "byte {place}: {code:?}");
    }
    println!("cut files end with {codes:?}");
}

#[test]
fn who_reads_no_further_ends_it_quietly() {
    let journal =
        Journal::of((0..5000).map(|second| Entry::of_the_daemon(second, 5, &"many words ".repeat(9))));
    for arguments in [&["-n", "5000"][..], &["-n", "1", "--follow"]] {
        let mut child =
            journal.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut first = String::new();
        lines.read_line(&mut first).unwrap();
        assert!(first.contains("many words"), "{first}");
        drop(lines);
        let ended = child.wait_with_output().unwrap();
        assert_eq!((ended.status.code(), ended.stderr.as_slice()), (Some(0), &b""[..]), "{arguments:?}");
    }
}
