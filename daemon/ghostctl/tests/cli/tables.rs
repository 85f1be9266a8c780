//! Every table in terminals of several widths.

use unicode_width::UnicodeWidthStr;

use crate::{
    Ran,
    canned::{Daemon, status},
    doctor::{self, House},
    ghostctl, program,
    typed::Home,
};

const TABLES: &[&[&str]] = &[
    &["status"],
    &["keys", "ls"],
    &["models", "ls"],
    &["models", "ps"],
    &["backends", "ls"],
    &["backends", "test"],
    &["requests", "ls"],
    &["tasks"],
    &["usage"],
    &["gpu"],
    &["gpu", "history"],
    &["cert", "show"],
    &["cert", "renew"],
    &["config", "check"],
    &["config", "set", "log.level", "debug"],
    &["reload"],
    &["audit"],
];

#[test]
fn no_line_is_wider_than_the_screen_and_nothing_in_it_is_obeyed() {
    let well = Daemon::well();
    let amiss = Daemon::with("GET /status", 200, status("degraded").to_string());
    for daemon in [&well, &amiss] {
        for columns in [None, Some(20), Some(40), Some(80), Some(132)] {
            for arguments in TABLES {
                let mut command = program();
                if let Some(columns) = columns {
                    command.env("COLUMNS", columns.to_string());
                }
                let output = command.args(*arguments).arg("--socket").arg(&daemon.socket).output().unwrap();
                let out = String::from_utf8(output.stdout).unwrap();
                assert!(!out.is_empty(), "{arguments:?}");
                for line in out.lines() {
                    let width = line.width();
                    assert!(width <= columns.unwrap_or(80), "{arguments:?} {columns:?} {width}: {line}");
                    let obeyed = |letter: char| letter.is_control() || letter == '\u{202e}';
                    assert!(!line.contains(obeyed), "{arguments:?}: {line:?}");
                }
            }
        }
    }
}

#[test]
fn what_is_made_beside_the_daemon_fits_as_well() {
    let (house, daemon) = (House::well(), doctor::daemon());
    let amiss = Daemon::with("GET /status", 200, status("degraded").to_string());
    for columns in [None, Some(20), Some(40), Some(80), Some(132)] {
        let text = columns.map(|columns: usize| columns.to_string());
        let drawn = |mut command: std::process::Command| {
            if let Some(columns) = &text {
                command.env("COLUMNS", columns);
            }
            Ran::from(command.output().unwrap())
        };
        for ran in [
            drawn(house.command(&daemon.socket, &[])),
            drawn(house.command(&amiss.socket, &[])),
            drawn(house.command(std::path::Path::new("/nowhere/admin.sock"), &[])),
        ] {
            check(&ran, columns.unwrap_or(80));
        }
    }
}

/// Each costs a second, for its passphrase's sake, so that not every width has one.
#[test]
fn a_backup_and_what_is_restored_of_it_fit_as_well() {
    let home = Home::new();
    for (columns, mut command) in [
        (80, home.to_backup("a.backup", &[])),
        (20, home.to_restore("a.backup", &["--list"])),
        (40, home.to_restore("a.backup", &[])),
    ] {
        check(&command.env("COLUMNS", columns.to_string()).output().unwrap().into(), columns);
    }
}

fn check(ran: &Ran, columns: usize) {
    assert!(!ran.out.is_empty(), "{ran:?}");
    for line in ran.out.lines() {
        assert!(line.width() <= columns, "{columns}: {line}");
        let obeyed = |letter: char| letter.is_control() || letter == '\u{202e}';
        assert!(!line.contains(obeyed), "{line:?}");
    }
}

#[test]
fn what_is_told_beside_a_table_fits_as_well() {
    let daemon = Daemon::well();
    for arguments in [
        &["keys", "ls"][..],
        &["audit"],
        &["usage"],
        &["config", "show"],
        &["requests", "cancel", "ffffffff", "--yes"],
    ] {
        let output = program()
            .env("COLUMNS", "40")
            .args(arguments)
            .arg("--socket")
            .arg(&daemon.socket)
            .output()
            .unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert!(!err.is_empty(), "{arguments:?}");
        for line in err.lines() {
            assert!(line.width() <= 40 && !line.contains(char::is_control), "{arguments:?}: {line:?}");
        }
    }
}

#[test]
fn a_status_says_what_is_amiss_and_what_to_do_about_it() {
    let daemon = Daemon::with("GET /status", 200, status("degraded").to_string());
    let ran = ghostctl(&daemon.socket, &["status"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.out.starts_with("degraded: "), "{}", ran.out);
    for words in [
        "GhostLLM 0.1.0 on ghostbox",
        "for 3 h",
        "backends 1 of 2",
        "systemctl start ollama",
        "ghostctl keys first",
        "\\u{1b}[2J",
        "[::]:11443",
    ] {
        assert!(ran.out.contains(words), "{words}: {}", ran.out);
    }
}

#[test]
fn a_request_is_shown_with_as_much_of_its_id_as_tells_it_from_the_others() {
    let daemon = Daemon::well();
    let ran = ghostctl(&daemon.socket, &["requests", "ls"]);
    assert!(
        ran.out.contains("\n1f3c9a02b ")
            && ran.out.contains("\n1f3c9a02f ")
            && ran.out.contains("\nabcdef012 "),
        "{}",
        ran.out
    );
}

#[test]
fn tasks_say_what_each_does_and_why_it_failed_last() {
    let daemon = Daemon::well();
    let ran = ghostctl(&daemon.socket, &["tasks"]);
    assert_eq!(ran.code, Some(0));
    for words in [
        "critical     running  0",
        "engine",
        "waiting  1",
        "failed last: it ended by itself",
        "hanging",
        "2 requests have panicked",
    ] {
        assert!(ran.out.contains(words), "{words}: {}", ran.out);
    }
}
