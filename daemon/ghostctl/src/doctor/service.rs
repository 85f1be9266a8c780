//! The service, where systemd runs.

use std::process::Command;

use super::{Check, Finding, Needs, ask, seen::Seen};

pub(super) const CHECKS: &[Check] = &[
    Check { id: "unit", looks_at: "the unit ghostllm has not failed", needs: Needs::Nothing, look: unit },
    Check {
        id: "group",
        looks_at: "the group ghostllm-admin exists where the unit does",
        needs: Needs::Nothing,
        look: group,
    },
];

const UNIT: &str = "ghostllm.service";
const GROUP: &str = "ghostllm-admin";

/// Whether one of the units is installed.
fn installed(seen: &Seen, names: &[&str]) -> bool {
    let places =
        ["/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];
    places.iter().any(|place| names.iter().any(|name| seen.path(place).join(name).exists()))
}

fn unit(seen: &Seen) -> Vec<Finding> {
    // As sd_booted(3) looks.
    if !seen.path("/run/systemd/system").is_dir() {
        return vec![Finding::note(
            "systemd does not run here, and units were not looked at",
            "nothing starts the daemon anew after a crash or a restart of this box",
            "start it yourself: ghostllm serve",
        )];
    }
    if !installed(seen, &[UNIT]) {
        return Vec::new();
    }
    let mut command = Command::new("systemctl");
    command.args(["is-failed", UNIT]);
    match ask::run(command) {
        Some((Some(0), _)) => vec![Finding::error(
            "the unit ghostllm has failed",
            "systemd has given up starting the daemon",
            "journalctl -u ghostllm -n 50; mend what it says, then systemctl reset-failed ghostllm; systemctl start \
             ghostllm",
        )],
        Some(_) => Vec::new(),
        None => vec![Finding::note(
            "systemctl cannot be run, or takes too long",
            "whether the unit has failed is not known",
            "systemctl is-failed ghostllm",
        )],
    }
}

fn group(seen: &Seen) -> Vec<Finding> {
    let wanted = installed(seen, &["ghostllm-admin.socket", UNIT]);
    let groups = seen.read("/etc/group").unwrap_or_default();
    let there = groups.lines().any(|line| line.split(':').next() == Some(GROUP));
    if !wanted || there {
        return Vec::new();
    }
    vec![Finding::warning(
        format!("there is no group {GROUP}"),
        "the admin's socket in /run/ghostllm cannot be made, and only root manages the daemon",
        format!("sudo groupadd --system {GROUP}; sudo systemctl restart ghostllm-admin.socket"),
    )]
}
