//! What each failure says, and its exit code.

use std::{
    fs::{self, Permissions},
    os::unix::{fs::PermissionsExt, net::UnixListener},
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use serde_json::Value;
use tempfile::tempdir;

use crate::{
    Ran,
    canned::{Daemon, KEY, error, request, response},
    ghostctl, program,
};

const READS: &[&[&str]] = &[
    &["status"],
    &["keys", "ls"],
    &["models", "ls"],
    &["models", "ps"],
    &["backends", "ls"],
    &["requests", "ls"],
    &["tasks"],
    &["cert", "show"],
    &["cert", "export"],
    &["cert", "fingerprint"],
    &["config", "show"],
    &["config", "check"],
    &["audit"],
    &["events"],
];

const ACTS: &[&[&str]] = &[
    &["keys", "create", "x"],
    &["keys", "revoke", "Ab3dE6gH", "--yes"],
    &["keys", "rotate", "Ab3dE6gH"],
    &["keys", "first"],
    &["backends", "test", "x"],
    &["requests", "cancel", "abcd", "--yes"],
    &["cert", "renew"],
    &["config", "set", "log.level", "debug"],
    &["reload"],
];

/// Both readings of a failure: a person's and a program's.
fn fails(socket: &Path, arguments: &[&str], code: i32) -> Ran {
    let mut with = arguments.to_vec();
    with.push("--json");
    let ran = ghostctl(socket, &with);
    assert_eq!(ran.code, Some(code), "{arguments:?}: {}", ran.err);
    let value: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(value["version"], 1, "{value}");
    assert!(value["error"]["message"].is_string() && value["error"]["code"].is_string(), "{value}");

    let ran = ghostctl(socket, arguments);
    assert_eq!((ran.code, ran.out.as_str()), (Some(code), ""), "{arguments:?}: {}", ran.err);
    assert!(ran.err.starts_with("ghostctl: "), "{arguments:?}: {}", ran.err);
    ran
}

#[test]
fn a_daemon_that_is_not_there_is_3_and_says_how_to_start_it() {
    let dir = tempdir().unwrap();
    let (missing, stale) = (dir.path().join("none.sock"), dir.path().join("stale.sock"));
    drop(UnixListener::bind(&stale).unwrap());
    for arguments in READS.iter().chain(ACTS) {
        for (socket, why) in [(&missing, "does not exist"), (&stale, "nobody listens")] {
            let ran = fails(socket, arguments, 3);
            for words in
                [why, "systemctl start ghostllm", "ghostllm serve", "--socket", socket.to_str().unwrap()]
            {
                assert!(ran.err.contains(words), "{arguments:?} {words}: {}", ran.err);
            }
        }
    }
}

#[test]
fn the_socket_is_the_named_one_or_the_variables_or_the_first_that_exists() {
    let (named, other) = (Daemon::well(), Daemon::well());
    let run = |command: &mut Command| -> Ran { command.arg("version").output().unwrap().into() };
    run(program().env("GHOSTLLM_SOCKET", &other.socket).arg("--socket").arg(&named.socket));
    assert_eq!((named.asked().len(), other.asked().len()), (1, 0));
    run(program().env("GHOSTLLM_SOCKET", &other.socket));
    assert_eq!(other.asked().len(), 1);
    run(program().env("STATE_DIRECTORY", other.socket.parent().unwrap()).env("HOME", "/nonexistent"));
    // A service that runs on the machine of the test comes first.
    if !Path::new("/run/ghostllm/admin.sock").exists() {
        assert_eq!(other.asked().len(), 2);
        let output = program()
            .args(["status"])
            .env("HOME", "/nonexistent")
            .env("XDG_STATE_HOME", "/nonexistent/x")
            .output();
        let ran = Ran::from(output.unwrap());
        assert!(matches!(ran.code, Some(3 | 4)), "{}", ran.err);
        for place in [
            "/run/ghostllm/admin.sock",
            "/nonexistent/x/ghostllm/admin.sock",
            "/nonexistent/.local/state/ghostllm/admin.sock",
            "/var/lib/ghostllm/admin.sock",
        ] {
            assert!(ran.code == Some(4) || ran.err.contains(place), "{place}: {}", ran.err);
        }
    }
}

#[test]
fn a_socket_that_may_not_be_opened_is_4() {
    let dir = tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempdir().unwrap();
    let socket = dir.path().join("admin.sock");
    let _listener = UnixListener::bind(&socket).unwrap();
    fs::set_permissions(&socket, Permissions::from_mode(0o600)).unwrap();
    // Root may open everything, so that somebody else has to try.
    let mut command = if rustix::process::geteuid().is_root() {
        let copy = dir.path().join("ghostctl");
        fs::copy(env!("CARGO_BIN_EXE_ghostctl"), &copy).unwrap();
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(copy);
        command
    } else {
        fs::set_permissions(dir.path(), Permissions::from_mode(0o000)).unwrap();
        program()
    };
    let ran = Ran::from(command.args(["status", "--socket"]).arg(&socket).output().unwrap());
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    assert_eq!((ran.code, ran.out.as_str()), (Some(4), ""), "{}", ran.err);
    assert!(ran.err.contains("sudo") && ran.err.contains("Permission denied"), "{}", ran.err);
}

#[test]
fn what_the_api_refuses_has_its_words_and_a_next_step() {
    for (status, code) in
        [(400, 2), (401, 4), (403, 4), (404, 5), (409, 1), (429, 1), (500, 1), (503, 1), (507, 1)]
    {
        let daemon =
            Daemon::answering(move |_| response(status, &error("It says no\u{1b}[2J.", "some_code")));
        for arguments in READS.iter().chain(ACTS) {
            let ran = fails(&daemon.socket, arguments, code);
            assert!(
                ran.err.starts_with("ghostctl: It says no\\u{1b}[2J.\nNext: "),
                "{arguments:?}: {}",
                ran.err
            );
        }
        let json = ghostctl(&daemon.socket, &["status", "--json"]);
        let value: Value = serde_json::from_str(&json.out).unwrap();
        assert_eq!(
            (&value["error"]["code"], &value["error"]["type"]),
            (&"some_code".into(), &"some_error".into())
        );
        assert!(!json.out.contains('\u{1b}') && json.err.starts_with("ghostctl: It says no"), "{json:?}");
    }
}

#[test]
fn what_does_not_exist_names_the_command_that_lists_what_does() {
    for (arguments, line, next) in [
        (&["keys", "revoke", "x", "--yes"][..], "DELETE /keys/x", "Next: ghostctl keys ls"),
        (&["keys", "rotate", "x"], "POST /keys/x/rotate", "Next: ghostctl keys ls"),
        (&["backends", "test", "x"], "POST /backends/x/test", "Next: ghostctl backends ls"),
        (&["requests", "cancel", "ffff", "--yes"], "DELETE /requests/ffff", "Next: ghostctl requests ls"),
    ] {
        let daemon =
            Daemon::with(line, 404, error("There is none. GET /admin/api/v1/x lists them.", "not_found"));
        let ran = fails(&daemon.socket, arguments, 5);
        assert!(ran.err.contains(next), "{arguments:?}: {}", ran.err);
    }
    // One that ended while it was looked for.
    let daemon = Daemon::answering(|asked| match asked.line.as_str() {
        "GET /requests" => {
            response(200, &serde_json::json!({ "version": 1, "requests": [request("abcdef")] }).to_string())
        }
        _ => response(404, &error("It has ended.", "not_found")),
    });
    fails(&daemon.socket, &["requests", "cancel", "abcd", "--yes"], 5);
}

#[test]
fn whoever_names_a_key_or_backend_wrongly_is_told_the_command_with_the_one_that_is_taken() {
    let key = |id: &str, state: &str, next: Option<&str>| {
        serde_json::json!({"id": id, "name": "laptop", "role": "user", "scopes": [], "class": "interactive", "models": [],
            "created": "2026-11-28T00:00:00Z", "expires": null, "state": state, "replaced_by": next, "last_used": null})
    };
    let keys = serde_json::json!({"version": 1, "first_waits_since": null,
        "keys": [key("Ab3dE6gH", "rotated", Some("Xy3dE6gZ")), key("Xy3dE6gZ", "active", None)]});
    let daemon = Daemon::answering(move |asked| match asked.line.as_str() {
        "GET /keys" => response(200, &keys.to_string()),
        _ => response(404, &error("No key has this id.", "not_found")),
    });
    for (verb, typed, meant) in [
        ("revoke", "laptop", "Xy3dE6gZ"),
        ("rotate", "laptop", "Xy3dE6gZ"),
        ("rotate", "Ab3dE6gX", "Ab3dE6gH"),
    ] {
        let more: &[&str] = if verb == "revoke" { &["--yes"] } else { &[] };
        let ran = fails(&daemon.socket, &[&["keys", verb, typed], more].concat(), 5);
        assert!(ran.err.ends_with(&format!("Next: ghostctl keys {verb} {meant}\n")), "{}", ran.err);
        assert!(ran.err.contains(&format!("{meant} is the id of laptop")), "{}", ran.err);
    }
}

#[test]
fn an_id_that_begins_two_requests_ends_neither() {
    let daemon = Daemon::well();
    let ran = fails(&daemon.socket, &["requests", "cancel", "1f3c9a02", "--yes"], 1);
    assert!(ran.err.contains("2 requests"), "{}", ran.err);
    let ran = fails(&daemon.socket, &["requests", "cancel", "1f3", "--yes"], 2);
    assert!(ran.err.contains("at least 4"), "{}", ran.err);
    assert!(daemon.asked().iter().all(|asked| asked.line == "GET /requests"));
}

#[test]
fn an_answer_that_is_late_broken_endless_or_not_ours_is_told() {
    let late = Daemon::answering(|_| {
        std::thread::park();
        Vec::new()
    });
    let begun = Instant::now();
    let ran = fails(&late.socket, &["status", "--timeout", "1"], 3);
    assert!(ran.err.contains("within 1 s") && ran.err.contains("--timeout 6"), "{}", ran.err);
    assert!(begun.elapsed().as_secs() < 30);
    let ran = fails(&late.socket, &["reload", "--timeout", "1"], 3);
    assert!(ran.err.contains("whether it was done is not known"), "{}", ran.err);

    for (answer, code, words) in [
        (b"".to_vec(), 3, "did not answer"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{".to_vec(), 3, "did not answer"),
        (b"SSH-2.0-OpenSSH_9\r\n\r\n".to_vec(), 1, "is not GhostLLM"),
        (response(200, "<html>"), 1, "is not GhostLLM"),
        (response(200, "{\"version\":2}"), 1, "form 2"),
        (response(200, "{\"version\":1}"), 1, "not as it should be"),
        (response(502, "<html>"), 1, "502"),
        ([b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b' '; (40 << 20) + 1]].concat(), 1, "longer than any"),
    ] {
        let daemon = Daemon::answering(move |_| answer.clone());
        let ran = fails(&daemon.socket, &["status"], code);
        assert!(ran.err.contains(words) && ran.err.contains("\nNext: "), "{words}: {}", ran.err);
    }
}

#[test]
fn a_whole_key_is_no_argument_and_is_not_repeated() {
    let daemon = Daemon::well();
    for arguments in [
        &["keys", "revoke", KEY, "--yes"][..],
        &["keys", "rotate", KEY],
        &["keys", "create", KEY],
        &["keys", "create", "laptop", "--model", KEY],
    ] {
        let ran = fails(&daemon.socket, arguments, 2);
        assert!(!ran.err.contains(KEY) && ran.err.contains("id alone"), "{}", ran.err);
    }
    assert!(daemon.asked().is_empty());
}

#[test]
fn a_wrong_call_is_2_with_a_suggestion_and_asks_nobody() {
    let gone = PathBuf::from("/nonexistent");
    for (arguments, words) in [
        (&["stats"][..], "'status'"),
        (&["keys", "creat", "x"], "'create'"),
        (&["status", "--wach"], "'--watch'"),
        (&["keys", "create"], "<NAME>"),
        (&["keys", "create", "x", "--role", "admn"], "'admin'"),
        (&["keys", "create", "x", "--role", "user", "--scope", "chat"], "cannot be used with"),
        (&["keys", "create", "x", "--expires", "30"], "as in 30d"),
        (&["audit", "-n", "0"], "1..=10000"),
        (&["status", "--timeout", "0"], "1..=3600"),
        (&["completion", "csh"], "zsh"),
        (&["completion", "bash", "--json"], "no JSON"),
    ] {
        let ran = ghostctl(&gone, arguments);
        assert_eq!(ran.code, Some(2), "{arguments:?}: {}", ran.err);
        assert!(ran.err.contains(words), "{arguments:?}: {}", ran.err);
    }
    for arguments in [&[][..], &["keys"]] {
        let ran = Ran::from(program().args(arguments).output().unwrap());
        assert_eq!(ran.code, Some(2));
        assert!(ran.err.contains("Usage: ghostctl"), "{}", ran.err);
    }
    let ran = ghostctl(&gone, &["stats", "--json"]);
    let value: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(value["error"]["code"], "usage");
}

#[test]
fn a_reader_that_has_gone_is_no_failure() {
    let daemon = Daemon::well();
    let line = format!(
        "{} status --socket '{}' | true; echo ${{PIPESTATUS[0]}}",
        env!("CARGO_BIN_EXE_ghostctl"),
        daemon.socket.display()
    );
    let output = Command::new("bash").args(["-c", &line]).output().unwrap();
    assert_eq!((String::from_utf8_lossy(&output.stdout).trim(), output.stderr.as_slice()), ("0", &b""[..]));
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let ran =
        Ran::from(program().args(["status", "--socket"]).arg(&daemon.socket).stdout(full).output().unwrap());
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("cannot be written"), "{}", ran.err);
}
