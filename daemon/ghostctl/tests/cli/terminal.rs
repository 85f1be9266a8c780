//! On a terminal of 80 columns: colours, questions, and a screen that is drawn again. `script` of util-linux, which every Debian
//! has, makes the terminal.

use std::{
    io::{Read, Write},
    process::{Child, Command, Stdio},
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
    let mut script = begun(variables, arguments);
    script.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
    let output = script.wait_with_output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap().replace("\r\n", "\n"))
}

/// The same of a run in which this is typed once that stands on the terminal.
fn run_until(daemon: &Daemon, arguments: &str, shown: &str, typed: &str) -> (i32, String) {
    let mut script = begun(&format!("GHOSTLLM_SOCKET={}", daemon.socket.display()), arguments);
    let (mut keys, mut terminal) = (script.stdin.take().unwrap(), script.stdout.take().unwrap());
    let mut all = Vec::new();
    while !String::from_utf8_lossy(&all).contains(shown) {
        let mut some = [0; 4096];
        let count = terminal.read(&mut some).unwrap();
        assert!(count > 0, "it ended before: {:?}", String::from_utf8_lossy(&all));
        all.extend(&some[..count]);
    }
    keys.write_all(typed.as_bytes()).unwrap();
    terminal.read_to_end(&mut all).unwrap();
    // An end of what is typed would be a key as well.
    drop(keys);
    (script.wait().unwrap().code().unwrap(), String::from_utf8(all).unwrap())
}

fn begun(variables: &str, arguments: &str) -> Child {
    let program = env!("CARGO_BIN_EXE_ghostctl");
    let line = format!("stty cols 80 rows 24 -echo; {variables} {program} {arguments}");
    Command::new("script")
        .args(["-q", "-e", "-c", &line, "/dev/null"])
        .env_clear()
        .envs(crate::counted())
        .env("PATH", "/usr/bin:/bin")
        .env("TERM", "xterm")
        .env("SHELL", "/bin/sh")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
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

/// What switches to a screen of its own, and back. On it blanks are not written but stepped over.
const OWN_SCREEN: &str = "\x1b[?1049h";
const BACK: &str = "\x1b[?1049l";

#[test]
fn watched_cards_are_drawn_on_a_screen_of_their_own_and_the_terminal_is_given_back() {
    let daemon = Daemon::well();
    for (ends, code) in [("-INT", 130), ("-TERM", 130), ("-HUP", 130)] {
        let line = format!(
            "gpu --watch & p=$!; sleep 3; kill {ends} $p; wait $p; e=$?; stty -a | grep -o ' -\\?icanon'; exit $e"
        );
        let (ended, drawn) = on_terminal(&daemon, "NO_COLOR=1", &line, "");
        assert_eq!(ended, code, "{drawn}");
        let inside = drawn.split_once(OWN_SCREEN).unwrap().1.split_once(BACK).unwrap();
        assert!(inside.0.contains("GhostLLM:") && inside.0.contains("612"), "{drawn:?}");
        assert!(!inside.0.contains("\x1b[31m") && !inside.0.contains("\x1b[32m"), "{drawn:?}");
        assert!(inside.1.contains(" icanon"), "lines are edited again: {drawn:?}");
        assert!(
            inside.1.contains("\x1b[?25h") || inside.0.contains("\x1b[?25h"),
            "the cursor is there again: {drawn:?}"
        );
    }
}

#[test]
fn a_letter_ends_watched_cards() {
    let daemon = Daemon::well();
    for (typed, code) in [("q", 0), ("\x1b", 0), ("\x03", 130)] {
        let (ended, drawn) = run_until(&daemon, "gpu --watch", "612", typed);
        assert_eq!(ended, code, "{typed:?}: {drawn:?}");
        assert!(drawn.contains(BACK), "{drawn:?}");
    }
}

#[test]
fn what_is_no_terminal_is_told_what_there_is_for_programs() {
    let daemon = Daemon::well();
    let ran = crate::ghostctl(&daemon.socket, &["gpu", "--watch"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.err.contains("--watch --json") && ran.out.is_empty(), "{ran:?}");
    let (code, said) = on_terminal(&daemon, "TERM=dumb", "gpu --watch", "");
    assert!(code == 2 && said.contains("--json") && !said.contains('\x1b'), "{said:?}");
}
