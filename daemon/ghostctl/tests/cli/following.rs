//! What goes on until Ctrl-C: the events, and a status that is watched.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::{
    canned::{Daemon, response, status, usual},
    program,
};

fn begin(daemon: &Daemon, arguments: &[&str]) -> (Child, impl Iterator<Item = String> + use<>) {
    let mut child = program()
        .args(arguments)
        .arg("--socket")
        .arg(&daemon.socket)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    (child, lines)
}

/// Ctrl-C, and the exit code after it.
fn interrupted(mut child: Child) -> Option<i32> {
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    child.wait().unwrap().code()
}

fn event(id: &str, kind: &str) -> String {
    let data = json!({ "version": 1, "id": id, "at": "2026-11-28T09:00:00.5Z", "kind": kind, "what": { "name": "a b", "evil": "\u{1b}[2J", "none": null, "n": 3 } });
    format!("id: {id}\nevent: {kind}\ndata: {data}\n\n")
}

/// A daemon that starts anew after each of its streams.
fn restarting() -> Daemon {
    let times = AtomicUsize::new(0);
    Daemon::answering(move |asked| {
        assert_eq!(asked.line, "GET /events");
        let body = match times.fetch_add(1, Ordering::Relaxed) {
            0 => format!(": here\n\n{}{}", event("7-1", "backend"), event("7-2", "key")),
            1 => "never whole".to_owned(),
            number => event(&format!("9-{number}"), "missed"),
        };
        format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n{body}").into_bytes()
    })
}

#[test]
fn events_are_a_line_each_and_go_on_behind_the_last_one_when_the_daemon_starts_anew() {
    let daemon = restarting();
    let (child, mut lines) = begin(&daemon, &["events"]);
    let first = lines.next().unwrap();
    assert!(first.starts_with("2026-11-28 09:00:00  backend"), "{first}");
    for words in ["name=\"a b\"", "none=-", "n=3"] {
        assert!(first.contains(words), "{first}");
    }
    assert!(!first.contains('\u{1b}'), "{first:?}");
    assert!(lines.next().unwrap().contains("  key "));
    assert!(lines.next().unwrap().contains("  missed "));
    assert_eq!(interrupted(child), Some(130));
    let last: Vec<bool> =
        daemon.asked().iter().map(|asked| asked.head.contains("last-event-id: 7-2\r\n")).collect();
    assert_eq!(last[..3], [false, true, true]);
}

#[test]
fn events_for_programs_are_the_daemons_own() {
    let daemon = restarting();
    let (child, mut lines) = begin(&daemon, &["events", "--json"]);
    let value: Value = serde_json::from_str(&lines.next().unwrap()).unwrap();
    assert_eq!((&value["id"], &value["kind"]), (&"7-1".into(), &"backend".into()));
    assert_eq!(interrupted(child), Some(130));
}

#[test]
fn a_watched_status_is_printed_again_and_goes_on_while_the_daemon_is_not_well() {
    let times = AtomicUsize::new(0);
    let daemon = Daemon::answering(move |_| match times.fetch_add(1, Ordering::Relaxed) {
        0 => response(200, &usual("GET /status").unwrap().to_string()),
        1 => Vec::new(),
        _ => response(200, &status("degraded").to_string()),
    });
    let (child, lines) = begin(&daemon, &["status", "--watch"]);
    let mut seen = Vec::new();
    for line in lines {
        assert!(!line.contains('\u{1b}'), "{line:?}");
        seen.extend(
            ["ready: ", "not reachable", "degraded: "].into_iter().filter(|word| line.starts_with(word)),
        );
        if seen.len() == 3 {
            break;
        }
    }
    assert_eq!(seen, ["ready: ", "not reachable", "degraded: "]);
    assert_eq!(interrupted(child), Some(130));
}
