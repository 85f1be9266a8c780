//! Ports of the daemon's that somebody else has: who, and what to do, TCP and UDP apart; and what systemd holds for the daemon itself.

use std::{fs, os::unix::fs::symlink};

use ghostllm_core::admin::{DoctorReport, DoctorResult};

use serde_json::json;

use super::{House, TCP, changed, daemon, said};

/// A process that has the socket of this inode.
fn holds(house: &House, process: u32, name: &str, groups: &str, inode: u32) {
    house.put(&format!("proc/{process}/comm"), &format!("{name}\n"));
    house.put(&format!("proc/{process}/cgroup"), groups);
    let descriptors = house.root().join(format!("proc/{process}/fd"));
    fs::create_dir_all(&descriptors).unwrap();
    symlink(format!("socket:[{inode}]"), descriptors.join("7")).unwrap();
}

/// All sockets of the daemon's, of which these have failed, and these are active.
fn units(house: &House, failed: &str, active: &str) {
    for kind in ["tls", "quic", "plain", "admin"] {
        house.put(&format!("usr/lib/systemd/system/ghostllm-{kind}.socket"), "");
    }
    house.program(
        "systemctl",
        &format!(
            "case \"$1 $3\" in\n\
             'list-units '*) for unit in {failed}; do echo \"$unit loaded failed failed GhostLLM\"; done ;;\n\
             'is-active {active}') exit 0 ;;\n\
             *) exit 1 ;;\nesac"
        ),
    );
}

/// Where no daemon answers.
fn looked(house: &House) -> DoctorReport {
    house.report(&house.dir.path().join("admin.sock")).1
}

#[test]
fn the_service_that_has_the_port_of_a_failed_socket_unit_is_named() {
    let house = House::well();
    units(&house, "ghostllm-tls.socket", "none");
    house.listen("00000000:2CB3 00000000:0000 0A", 4242);
    holds(&house, 77, "nginx", "0::/system.slice/nginx.service\n", 4242);
    let report = looked(&house);
    let (result, what, fix) = said(&report, "sockets").unwrap();
    assert_eq!(result, DoctorResult::Error, "{what}");
    let who = "process 77 (nginx, nginx.service) has the TCP port 11443";
    assert!(what.contains("ghostllm-tls.socket has failed") && what.contains(who), "{what}");
    assert!(fix.contains("sudo systemctl start ghostllm"), "{fix}");
    let (_, what, fix) = said(&report, "ports").unwrap();
    assert_eq!(what, who);
    for step in
        ["sudo systemctl disable --now nginx.service", "listen.tls", "ghostllm-tls.socket (systemctl edit)"]
    {
        assert!(fix.contains(step), "{step}: {fix}");
    }
}

#[test]
fn udp_is_told_apart_from_tcp() {
    let house = House::well();
    let line =
        "   0: 00000000:2CB3 00000000:0000 07 00000000:00000000 00:00000000 00000000  0        0 99 1\n";
    house.put("proc/net/udp", &format!("{TCP}{line}"));
    holds(&house, 78, "quiche", "0::/user.slice/user-1000.slice/session-2.scope\n", 99);
    let (_, what, fix) = said(&looked(&house), "ports").unwrap();
    assert_eq!(what, "process 78 (quiche) has the UDP port 11443");
    assert!(fix.contains("ps -fp 78") && !fix.contains("systemctl edit"), "{fix}");
}

/// Where the daemon does not run, systemd goes on to hold its ports.
#[test]
fn what_systemd_holds_for_the_daemon_is_not_in_its_way() {
    let house = House::well();
    house.listen("00000000:2CB3 00000000:0000 0A", 4242);
    holds(&house, 1, "systemd", "0::/init.scope\n", 4242);
    units(&house, "", "ghostllm-tls.socket");
    let report = looked(&house);
    assert!(said(&report, "ports").is_none() && said(&report, "sockets").is_none(), "{report:?}");
    units(&house, "ghostllm-tls.socket", "none");
    let report = looked(&house);
    let (_, what, fix) = said(&report, "ports").unwrap();
    assert!(
        what.contains("a socket unit that is not GhostLLM's") && fix.contains("list-sockets"),
        "{what} {fix}"
    );
}

/// systemd goes on to listen there, and nobody takes what comes.
#[test]
fn a_socket_unit_that_the_configuration_does_not_use_is_named() {
    let house = House::well();
    units(&house, "", "none");
    let holds = |kind: &str, listens: &str| {
        house.program(
            "systemctl",
            &format!("[ \"$1 $3\" = 'show ghostllm-{kind}.socket' ] || exit 1\nprintf 'ActiveState=active\\n{listens}\\n'"),
        );
    };
    let plain = "Listen=127.0.0.1:11430 (Stream)\\nListen=[::1]:11430 (Stream)";
    holds("plain", plain);
    assert!(said(&house.report(&daemon().socket).1, "sockets").is_none(), "it is used");
    let without = changed("GET /status", |status| {
        status["listeners"].as_array_mut().unwrap().retain(|listener| listener["kind"] != "plain");
    });
    let (code, report) = house.report(&without.socket);
    let (result, what, fix) = said(&report, "sockets").unwrap();
    assert!(code == Some(1) && result == DoctorResult::Warning, "{code:?} {what}");
    assert_eq!(
        what,
        "ghostllm-plain.socket is open at the port 11430, and the configuration has no such listener"
    );
    assert!(fix.starts_with("sudo systemctl mask --now ghostllm-plain.socket"), "{fix}");
    // Where no daemon answers, nobody knows what is wanted.
    assert!(said(&looked(&house), "sockets").is_none());

    holds("tls", "Listen=[::]:11443 (Stream)");
    let elsewhere = changed("GET /status", |status| status["listeners"][0]["address"] = json!("[::]:8443"));
    let (_, what, fix) = said(&house.report(&elsewhere.socket).1, "sockets").unwrap();
    assert!(what.ends_with("open at the port 11443, and the configuration has the port 8443"), "{what}");
    assert!(fix.contains("systemctl edit ghostllm-tls.socket") && fix.contains("for 8443"), "{fix}");
}
