//! What each command asks, and what it says when that went well.

use std::fs;

use serde_json::{Value, json};
use tempfile::tempdir;

use crate::{
    canned::{Daemon, KEY, PEM, REQUEST, SHA256, status, usual},
    ghostctl, program,
};

/// The one order among what was asked, with its body.
fn order(daemon: &Daemon) -> (String, Value) {
    let asked = daemon.asked();
    let orders: Vec<_> = asked.iter().filter(|asked| !asked.line.starts_with("GET")).collect();
    assert_eq!(orders.len(), 1, "{asked:?}");
    (orders[0].line.clone(), serde_json::from_str(&orders[0].body).unwrap_or(Value::Null))
}

#[test]
fn the_status_is_in_the_exit_code() {
    for (condition, code) in [("ready", 0), ("degraded", 1), ("no_model", 1), ("stopping", 1)] {
        let daemon = Daemon::with("GET /status", 200, status(condition).to_string());
        for json in [false, true] {
            let arguments: &[&str] = if json { &["status", "--json"] } else { &["status"] };
            let ran = ghostctl(&daemon.socket, arguments);
            assert_eq!(ran.code, Some(code), "{condition}");
            assert!(json || ran.out.starts_with(&condition.replace('_', " ")), "{}", ran.out);
        }
    }
}

#[test]
fn a_card_that_is_not_well_is_in_the_exit_code() {
    let daemon = Daemon::well();
    assert_eq!(ghostctl(&daemon.socket, &["gpu"]).code, Some(0));
    let mut lost = usual("GET /gpu").unwrap();
    lost["cards"][0]["state"] = json!("lost");
    let daemon = Daemon::with("GET /gpu", 200, lost.to_string());
    for arguments in [&["gpu"][..], &["gpu", "--json"]] {
        assert_eq!(ghostctl(&daemon.socket, arguments).code, Some(1));
    }
    let ran = ghostctl(&daemon.socket, &["gpu", "history", "--card", "7"]);
    assert_eq!(ran.code, Some(5), "{ran:?}");
    assert!(ran.err.contains("Next: ghostctl gpu"), "{ran:?}");
    assert_eq!(daemon.asked().last().unwrap().line, "GET /gpu/history?card=7&span=10m");
    assert_eq!(ghostctl(&daemon.socket, &["gpu", "--watch", "history"]).code, Some(2));
}

#[test]
fn a_question_bears_what_the_guard_wants_and_no_key() {
    let daemon = Daemon::well();
    ghostctl(&daemon.socket, &["status"]);
    let head = daemon.asked()[0].head.to_lowercase();
    assert!(head.contains("\r\nhost: localhost\r\n") && head.contains("\r\nuser-agent: ghostctl/"), "{head}");
    assert!(!head.contains("authorization") && !head.contains("api-key"), "{head}");
}

#[test]
fn a_made_key_is_the_last_line_of_standard_output_and_what_it_is_stands_on_standard_error() {
    let daemon = Daemon::well();
    let ran = ghostctl(
        &daemon.socket,
        &[
            "keys",
            "create",
            "lap top",
            "--scope",
            "chat",
            "--scope",
            "models",
            "--class",
            "background",
            "--model",
            "llama*",
            "--expires",
            "30d",
        ],
    );
    assert_eq!((ran.code, ran.out), (Some(0), format!("{KEY}\n")));
    assert!(
        ran.err.contains("Ab3dE6gH") && ran.err.contains("never again") && !ran.err.contains(KEY),
        "{}",
        ran.err
    );
    let wanted = json!({ "name": "lap top", "scopes": ["chat", "models"], "class": "background", "models": ["llama*"], "expires_in_s": 2_592_000 });
    assert_eq!(order(&daemon), ("POST /keys".to_owned(), wanted));

    let daemon = Daemon::well();
    ghostctl(&daemon.socket, &["keys", "create", "x", "--role", "viewer"]);
    assert_eq!(order(&daemon).1, json!({ "name": "x", "role": "viewer", "class": "interactive" }));
}

#[test]
fn a_rotated_key_is_given_as_a_made_one_is() {
    for (arguments, body, until) in [
        (&["keys", "rotate", "Ab3dE6gH"][..], json!({}), "24 h"),
        (&["keys", "rotate", "Ab3dE6gH", "--overlap", "90m"], json!({ "overlap_s": 5400 }), "1 h"),
    ] {
        let daemon = Daemon::well();
        let ran = ghostctl(&daemon.socket, arguments);
        assert_eq!((ran.code, ran.out), (Some(0), format!("{KEY}\n")));
        assert!(ran.err.contains(until), "{}", ran.err);
        assert_eq!(order(&daemon), ("POST /keys/Ab3dE6gH/rotate".to_owned(), body));
    }
    let daemon = Daemon::well();
    let ran = ghostctl(&daemon.socket, &["keys", "first"]);
    assert_eq!((ran.code, ran.out), (Some(0), format!("{KEY}\n")));
    assert_eq!(order(&daemon).0, "POST /keys/first");
}

#[test]
fn what_destroys_is_done_with_yes_and_asked_about_without() {
    for (arguments, line) in [
        (&["keys", "revoke", "Ab3dE6gH"][..], "DELETE /keys/Ab3dE6gH"),
        (&["requests", "cancel", "1f3c9a02b"], "DELETE /requests/1f3c9a02b4d5e6f70123456789abcdef"),
        (&["requests", "cancel", REQUEST], "DELETE /requests/1f3c9a02b4d5e6f70123456789abcdef"),
        (&["cert", "renew", "--new-ca"], "POST /certificates/authority"),
    ] {
        let daemon = Daemon::well();
        let ran = ghostctl(&daemon.socket, arguments);
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{arguments:?}: {}", ran.err);
        assert!(ran.err.contains("--yes") && daemon.asked().is_empty(), "{arguments:?}: {}", ran.err);
        let mut with = arguments.to_vec();
        with.push("--yes");
        let ran = ghostctl(&daemon.socket, &with);
        assert_eq!((ran.code, order(&daemon).0.as_str()), (Some(0), line), "{arguments:?}: {}", ran.err);
    }
    let daemon = Daemon::well();
    assert_eq!(ghostctl(&daemon.socket, &["cert", "renew"]).code, Some(0));
    assert_eq!(order(&daemon).0, "POST /certificates/renew");
}

#[test]
fn backends_are_tested_all_or_by_name_and_one_that_is_down_is_the_exit_code() {
    let daemon = Daemon::well();
    let ran = ghostctl(&daemon.socket, &["backends", "test", "a b"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(order(&daemon).0, "POST /backends/a%20b/test");
    let ran = ghostctl(&daemon.socket, &["backends", "test"]);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert!(ran.out.contains("connection refused"), "{}", ran.out);
    assert_eq!(ghostctl(&daemon.socket, &["backends", "test", "--json"]).code, Some(1));
    assert_eq!(ghostctl(&daemon.socket, &["backends", "ls"]).code, Some(0));
}

#[test]
fn models_at_work_are_a_part_of_the_models() {
    let daemon = Daemon::well();
    let all = ghostctl(&daemon.socket, &["models", "ls"]).out;
    let busy = ghostctl(&daemon.socket, &["models", "ps"]).out;
    assert!(all.contains("模型") && !busy.contains("模型") && busy.contains("Qwen"), "{all}{busy}");
}

#[test]
fn the_ca_goes_to_standard_output_or_to_a_file_that_is_never_written_over() {
    let daemon = Daemon::well();
    assert_eq!(ghostctl(&daemon.socket, &["cert", "export"]).out, PEM);
    assert_eq!(ghostctl(&daemon.socket, &["cert", "fingerprint"]).out, format!("{SHA256}\n"));
    let der =
        program().args(["cert", "export", "--der", "--socket"]).arg(&daemon.socket).output().unwrap().stdout;
    assert_eq!(der[..2], [0x30, 0x82]);

    let dir = tempdir().unwrap();
    let file = dir.path().join("ca.pem");
    let name = file.to_str().unwrap();
    assert_eq!(ghostctl(&daemon.socket, &["cert", "export", name]).code, Some(0));
    assert_eq!(fs::read_to_string(&file).unwrap(), PEM);
    fs::write(&file, "mine").unwrap();
    let ran = ghostctl(&daemon.socket, &["cert", "export", name]);
    assert_eq!((ran.code, fs::read_to_string(&file).unwrap().as_str()), (Some(1), "mine"));
    assert!(ran.err.contains("--yes"), "{}", ran.err);
    assert_eq!(ghostctl(&daemon.socket, &["cert", "export", name, "--yes"]).code, Some(0));
    assert_eq!(fs::read_to_string(&file).unwrap(), PEM);
}

#[test]
fn nothing_but_one_certificate_is_given_out_as_the_ca() {
    for pem in ["", "rm -rf /", &PEM.repeat(2), &PEM.replace("CERTIFICATE", "PRIVATE KEY")] {
        let certificates = json!({ "version": 1, "server": { "names": [], "expires": null, "renews": null }, "authority": { "sha256": SHA256, "pem": pem }, "left_out": [] });
        let daemon = Daemon::with("GET /certificates", 200, certificates.to_string());
        let ran = ghostctl(&daemon.socket, &["cert", "export"]);
        assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{pem}");
    }
    let none = json!({ "version": 1, "server": { "names": ["a"], "expires": null, "renews": null }, "authority": null, "left_out": [] });
    let daemon = Daemon::with("GET /certificates", 200, none.to_string());
    for arguments in
        [&["cert", "export"][..], &["cert", "fingerprint"], &["cert", "trust"], &["cert", "trust", "--print"]]
    {
        let ran = ghostctl(&daemon.socket, arguments);
        assert_eq!(ran.code, Some(5), "{arguments:?}");
        assert!(ran.err.contains("owner") && ran.err.contains("Next: "), "{}", ran.err);
    }
    assert!(ghostctl(&daemon.socket, &["cert", "show"]).out.contains("its owner's"));
}

#[test]
fn what_to_do_on_each_system_is_printed_and_nothing_is_done() {
    let daemon = Daemon::well();
    let ran = ghostctl(&daemon.socket, &["cert", "trust", "--print"]);
    assert_eq!(ran.code, Some(0));
    for words in [
        "update-ca-certificates",
        "update-ca-trust",
        "security add-trusted-cert",
        "certutil -addstore",
        "SSL_CERT_FILE",
        "NODE_EXTRA_CA_CERTS",
    ] {
        assert!(ran.out.contains(words), "{words}");
    }
    let squeezed: String = ran.out.split_whitespace().collect();
    assert!(squeezed.contains(SHA256) && ran.out.lines().all(|line| line.len() <= 80), "{}", ran.out);
}

#[test]
fn a_configuration_is_shown_as_it_can_be_read_back() {
    let daemon = Daemon::well();
    let ran = ghostctl(&daemon.socket, &["config", "show"]);
    assert_eq!(ran.out, "[listen]\ntls = \"[::]:11443\" # /etc/ghostllm/ghostllm.toml:3\n");
    assert!(
        ran.err.contains("line 3: \\u{1b}[2Jodd") && ran.err.contains("restart: listen.tls"),
        "{}",
        ran.err
    );
    let pending = "listen.tls: \"[::]:11443\" now, not set then (/etc/\\u{1b}[2Ja.toml:3:1)";
    assert!(ran.err.contains(pending), "{}", ran.err);
    assert_eq!(ghostctl(&daemon.socket, &["config", "check"]).code, Some(0));

    let faulty = json!({ "version": 1, "sound": false, "faults": ["a.toml:3:1: unknown key", "b.toml:1:1: odd"], "files": [] });
    let daemon = Daemon::with("POST /config/check", 200, faulty.to_string());
    let ran = ghostctl(&daemon.socket, &["config", "check"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""));
    assert!(ran.err.contains("\na.toml:3:1: unknown key\nb.toml:1:1: odd\n"), "{}", ran.err);
    let ran = ghostctl(&daemon.socket, &["config", "check", "--json"]);
    assert_eq!((ran.code, ran.out.trim_end()), (Some(1), faulty.to_string().as_str()));
}

#[test]
fn a_reload_says_what_has_changed_and_a_fault_is_told() {
    let daemon = Daemon::well();
    let ran = ghostctl(&daemon.socket, &["reload"]);
    assert_eq!(ran.code, Some(0));
    assert!(
        ran.out.contains("limits.drain_grace") && ran.out.contains("need a restart: listen.tls"),
        "{}",
        ran.out
    );

    let fault = crate::canned::error(
        "The configuration is not in use, the one before it stays: a.toml:3:1: odd",
        "conflict",
    );
    let daemon = Daemon::with("POST /reload", 409, fault);
    let ran = ghostctl(&daemon.socket, &["reload"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""));
    assert!(
        ran.err.contains("a.toml:3:1: odd") && ran.err.contains("Next: mend it, then ghostctl reload"),
        "{}",
        ran.err
    );
}

#[test]
fn the_audit_is_asked_for_as_many_acts_as_are_wanted() {
    let daemon = Daemon::well();
    let ran = ghostctl(&daemon.socket, &["audit", "-n", "3"]);
    assert_eq!((ran.code, daemon.asked()[0].line.as_str()), (Some(0), "GET /audit?last=3"));
    assert!(ran.err.contains("ghostctl audit -n 30"), "{}", ran.err);
}

#[test]
fn the_version_is_ours_and_the_daemons_or_ours_alone() {
    let daemon = Daemon::well();
    let own = env!("CARGO_PKG_VERSION");
    let ran = ghostctl(&daemon.socket, &["version"]);
    assert_eq!((ran.code, ran.out), (Some(0), format!("ghostctl {own}\nghostllm 0.1.0\n")));
    let gone = tempdir().unwrap().path().join("none");
    let ran = ghostctl(&gone, &["version"]);
    assert_eq!((ran.code, ran.out), (Some(0), format!("ghostctl {own}\n")));
    let ran = ghostctl(&gone, &["version", "--json"]);
    let value: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(value, json!({ "version": 1, "ghostctl": own, "daemon": null }));
    let output = program().arg("--version").output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("ghostctl {own}\n"));
}
