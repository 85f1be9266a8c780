//! Passphrases that a person types on a terminal: `typed.py` is that person.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::json;
use tempfile::TempDir;

use crate::{
    Ran,
    canned::{self, Daemon, usual},
    program,
};

const PASSPHRASE: &str = "correct horse größer battery";
const ASKED: &str = "Passphrase: ";
const AGAIN: &str = "The same again: ";

/// A daemon that has a state to give, and a directory for the backup.
pub(crate) struct Home {
    dir: TempDir,
    pub(crate) daemon: Daemon,
}

impl Home {
    pub(crate) fn new() -> Self {
        let daemon = Daemon::answering(|asked| match usual(&asked.line) {
            _ if asked.line.starts_with("GET /backup") => given(&state()),
            // Without configuration files, which would be this machine's.
            Some(mut answer) => {
                if asked.line == "GET /config" {
                    answer["files"] = json!([]);
                }
                canned::response(200, &answer.to_string())
            }
            None => canned::refusal(404, "Nothing has this path.", "route_not_found"),
        });
        Self { dir: tempfile::tempdir().unwrap(), daemon }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What makes a backup without anybody who types.
    pub(crate) fn to_backup(&self, name: &str, arguments: &[&str]) -> Command {
        fs::write(self.path("passphrase"), PASSPHRASE).unwrap();
        let mut command = program();
        command.arg("backup").arg(self.path(name)).arg("--socket").arg(&self.daemon.socket);
        command.arg("--passphrase-file").arg(self.path("passphrase")).args(arguments);
        command
    }

    pub(crate) fn backup(&self, name: &str, arguments: &[&str]) -> Ran {
        self.to_backup(name, arguments).output().unwrap().into()
    }

    /// What restores the same.
    pub(crate) fn to_restore(&self, name: &str, arguments: &[&str]) -> Command {
        let mut command = program();
        command.arg("restore").arg(self.path(name)).arg("--state-dir").arg(self.path("state"));
        command.arg("--passphrase-file").arg(self.path("passphrase")).args(arguments);
        command
    }

    pub(crate) fn restore(&self, name: &str, arguments: &[&str]) -> Ran {
        self.to_restore(name, arguments).output().unwrap().into()
    }

    /// `ghostctl` with these arguments on a terminal at which that is typed; nothing of it may be shown.
    fn typed(&self, turns: &[(&str, &str)], arguments: &[&Path]) -> (i32, String) {
        let turns = json!(turns).to_string();
        let mut command = Command::new("python3");
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/support/typed.py")).arg(&turns);
        command.arg(env!("CARGO_BIN_EXE_ghostctl")).args(arguments);
        command.env_clear().envs(crate::counted()).env("PATH", "/usr/bin:/bin").env("TERM", "xterm");
        command.env("GHOSTLLM_SOCKET", &self.daemon.socket);
        let output = command.output().unwrap();
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        let shown = String::from_utf8(output.stdout).unwrap().replace("\r\n", "\n");
        for word in ["horse", "größer", "something"] {
            assert!(!shown.contains(word), "what was typed is shown: {shown}");
        }
        assert!(shown.ends_with("\nnot typed: 0; echoes: True\n"), "{shown}");
        (output.status.code().unwrap(), shown)
    }
}

/// The daemon's answer: a tar.
fn given(tar: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/x-tar\r\ncontent-length: {}\r\n\r\n",
        tar.len()
    );
    [head.as_bytes(), tar].concat()
}

/// A state with keys that are of no use, as a tar.
fn state() -> Vec<u8> {
    let keys = ghostllm_core::state::encode(&ghostllm_core::state::keys::KeysFile::default()).unwrap();
    let mut tar = tar::Builder::new(Vec::new());
    for (name, text) in [("state/keys.json", keys.as_slice()), ("state/audit.log", b"{}\n")] {
        let mut header = tar::Header::new_ustar();
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        header.set_entry_type(tar::EntryType::Regular);
        tar.append_data(&mut header, name, text).unwrap();
    }
    tar.into_inner().unwrap()
}

#[test]
fn a_passphrase_is_typed_twice_for_a_backup_and_once_to_restore_it_and_never_shown() {
    let home = Home::new();
    let line = format!("{PASSPHRASE}\n");
    let (file, state) = (home.path("new.backup"), home.path("state"));
    let backup: [&Path; 2] = ["backup".as_ref(), &file];
    let (code, shown) = home.typed(&[(ASKED, &line), (AGAIN, &line)], &backup);
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("state/keys.json") && file.exists(), "{shown}");
    // With what is typed wrongly taken back: a key, a word, the whole line.
    let edited = "something\u{15}correct horsx\u{7f}e größer batterx something\u{17}\u{17}battery\n";
    let list: [&Path; 3] = ["restore".as_ref(), "--list".as_ref(), &file];
    let (code, shown) = home.typed(&[(ASKED, edited)], &list);
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("state/audit.log") && !shown.contains(AGAIN), "{shown}");
    let restore: [&Path; 4] = ["restore".as_ref(), &file, "--state-dir".as_ref(), &state];
    let (code, shown) = home.typed(&[(ASKED, &line)], &restore);
    assert_eq!(code, 0, "{shown}");
    assert!(state.join("keys.json").exists(), "{shown}");
}

#[test]
fn two_that_are_not_the_same_a_short_one_and_none_make_no_backup() {
    let home = Home::new();
    let file = home.path("no.backup");
    let line = format!("{PASSPHRASE}\n");
    for (turns, words) in [
        (&[(ASKED, line.as_str()), (AGAIN, "something else\n")][..], "the two are not the same"),
        (&[(ASKED, "something\n")], "at least 12 characters"),
        (&[(ASKED, "\n")], "no passphrase was typed"),
        (&[(ASKED, "\u{4}")], "no passphrase was typed"),
        (&[(ASKED, line.as_str()), (AGAIN, "\n")], "no passphrase was typed"),
    ] {
        let (code, shown) = home.typed(turns, &["backup".as_ref(), &file]);
        assert_eq!(code, 1, "{shown}");
        assert!(shown.contains(words) && shown.contains("\nNext: "), "{words}: {shown}");
        assert!(!file.exists(), "{words}");
    }
    // Before the daemon has given anything, and noted that it has.
    assert!(
        home.daemon.asked().iter().all(|asked| !asked.line.contains("/backup")),
        "{:?}",
        home.daemon.asked()
    );
}

#[test]
fn a_wrong_one_and_none_restore_nothing() {
    let home = Home::new();
    assert_eq!(home.backup("a.backup", &[]).code, Some(0));
    let (file, state) = (home.path("a.backup"), home.path("state"));
    for (typed, words) in [("something else\n", "passphrase"), ("\n", "no passphrase was typed")] {
        let restore: [&Path; 4] = ["restore".as_ref(), &file, "--state-dir".as_ref(), &state];
        let (code, shown) = home.typed(&[(ASKED, typed)], &restore);
        assert_eq!(code, 1, "{shown}");
        assert!(shown.contains(words) && shown.contains("\nNext: "), "{shown}");
        assert!(!state.exists(), "{shown}");
    }
}

#[test]
fn ctrl_c_at_a_question_ends_it_and_leaves_a_terminal_that_shows_what_is_typed() {
    let home = Home::new();
    assert_eq!(home.backup("a.backup", &[]).code, Some(0));
    let (file, new) = (home.path("a.backup"), home.path("new.backup"));
    let line = format!("{PASSPHRASE}\n");
    let (backup, list): ([&Path; 2], [&Path; 3]) =
        (["backup".as_ref(), &new], ["restore".as_ref(), "--list".as_ref(), &file]);
    for (turns, arguments) in [
        (&[(ASKED, "something\u{3}")][..], &backup[..]),
        (&[(ASKED, line.as_str()), (AGAIN, "something\u{3}")], &backup),
        (&[(ASKED, "\u{3}")], &list),
    ] {
        let (code, shown) = home.typed(turns, arguments);
        assert_eq!(code, 130, "{shown}");
        assert!(!new.exists() && !shown.contains("Next: "), "{shown}");
    }
}
