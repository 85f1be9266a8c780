//! On a terminal of 80 columns: colours, questions, and a screen that is drawn again. `script` of util-linux, which every Debian
//! has, makes the terminal.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use unicode_width::UnicodeWidthStr;

use crate::canned::{Daemon, status};

/// What a terminal of 80 columns and 24 lines shows of a run in which this is typed, and the exit code.
fn on_terminal(daemon: &Daemon, variables: &str, arguments: &str, typed: &str) -> (i32, String) {
    let variables = format!("GHOSTLLM_SOCKET={} {variables}", daemon.socket.display());
    run(&variables, arguments, typed)
}

/// The same of a run that asks no daemon and nobody.
#[cfg(feature = "journal")]
pub(crate) fn shown(variables: &str, arguments: &str) -> (i32, String) {
    run(variables, arguments, "")
}

fn run(variables: &str, arguments: &str, typed: &str) -> (i32, String) {
    let program = env!("CARGO_BIN_EXE_ghostctl");
    let line = format!("stty cols 80 rows 24 -echo; {variables} {program} {arguments}");
    let mut script = Command::new("script")
        .args(["-q", "-e", "-c", &line, "/dev/null"])
        .env_clear()
        .envs(crate::counted())
        .env("PATH", "/usr/bin:/bin")
        .env("TERM", "xterm")
        .env("SHELL", "/bin/sh")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    script.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
    let output = script.wait_with_output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap().replace("\r\n", "\n"))
}

/// The text without what gives it its colours.
pub(crate) fn plain(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, part| all + part.split_once('m').unwrap().1)
}

#[test]
fn colours_are_for_terminals_and_go_with_no_color_and_dumb_terminals() {
    let daemon = Daemon::with("GET /status", 200, status("degraded").to_string());
    let (code, coloured) = on_terminal(&daemon, "", "status", "");
    assert_eq!(code, 1);
    assert!(coloured.contains("\x1b[33mdegraded: \x1b[0m"), "{coloured:?}");
    assert!(plain(&coloured).lines().all(|line| line.width() <= 80), "{coloured}");
    for variables in ["NO_COLOR=1", "TERM=dumb"] {
        let (_, bare) = on_terminal(&daemon, variables, "status", "");
        assert_eq!(bare, plain(&coloured), "{variables}: the words are the same");
        assert!(!bare.contains('\x1b'), "{bare:?}");
    }
}

#[test]
fn what_destroys_is_asked_about_on_a_terminal() {
    let daemon = Daemon::well();
    let (code, said) = on_terminal(&daemon, "", "keys revoke Ab3dE6gH", "no\n");
    assert_eq!(code, 1);
    assert!(said.contains("Type yes to go on: ") && said.contains("nothing was done"), "{said}");
    assert!(daemon.asked().is_empty());
    let (code, said) = on_terminal(&daemon, "", "keys revoke Ab3dE6gH", "yes\n");
    assert_eq!(code, 0, "{said}");
    assert_eq!(daemon.asked()[0].line, "DELETE /keys/Ab3dE6gH");
}

#[test]
fn a_watched_status_is_drawn_in_its_place_and_ends_well_at_ctrl_c() {
    let daemon = Daemon::with("GET /status", 200, status("degraded").to_string());
    let (code, drawn) =
        on_terminal(&daemon, "", "status --watch & p=$!; sleep 3; kill -INT $p; wait $p; exit $?", "");
    assert_eq!(code, 130, "{drawn}");
    assert!(drawn.starts_with("\x1b[2J\x1b[H"), "{drawn:?}");
    let screens: Vec<&str> = drawn.split("\x1b[H").skip(1).collect();
    assert!(screens.len() >= 2, "{drawn:?}");
    for screen in &screens {
        assert!(screen.matches('\n').count() < 24, "{screen:?}");
        assert!(screen.contains("\x1b[K\x1b[J"), "what stood there before goes: {screen:?}");
    }
}
