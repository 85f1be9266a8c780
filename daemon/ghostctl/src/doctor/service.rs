//! The service and its sockets, where systemd runs.

use std::{net::SocketAddr, process::Command};

use super::{
    Check, Finding, Needs, UNSEEN, ask, ports,
    repair::{Repair, Step},
    seen::Seen,
};

pub(super) const CHECKS: &[Check] = &[
    Check { id: "unit", looks_at: "the unit ghostllm has not failed", needs: Needs::Nothing, look: unit },
    Check {
        id: "sockets",
        looks_at: "no socket unit of the daemon's has failed, and each is used",
        needs: Needs::Nothing,
        look: sockets,
    },
    Check {
        id: "group",
        looks_at: "the group ghostllm-admin exists where the unit does",
        needs: Needs::Nothing,
        look: group,
    },
];

const UNIT: &str = "ghostllm.service";
const GROUP: &str = "ghostllm-admin";
const NONE_FAILED: &str = "no socket unit of the daemon's has failed";
/// The sockets that systemd opens for the daemon.
const SOCKETS: [&str; 4] =
    ["ghostllm-tls.socket", "ghostllm-quic.socket", "ghostllm-plain.socket", "ghostllm-admin.socket"];
/// Where units lie, what counts most first (systemd.unit(5)).
pub(super) const PLACES: [&str; 5] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

/// Whether one of the units is installed.
pub(super) fn installed(seen: &Seen, names: &[&str]) -> bool {
    PLACES.iter().any(|place| names.iter().any(|name| seen.path(place).join(name).exists()))
}

/// Whether a unit is active, as far as systemctl says so.
pub(super) fn is_active(unit: &str) -> bool {
    let mut command = Command::new("systemctl");
    command.args(["is-active", "--quiet", unit]);
    matches!(ask::run(command), Some((Some(0), _)))
}

/// As sd_booted(3) looks.
fn runs_systemd(seen: &Seen) -> bool {
    seen.path("/run/systemd/system").is_dir()
}

/// A socket unit whose port somebody else has fails, and the daemon goes on without it, or not at all.
fn sockets(seen: &Seen) -> Vec<Finding> {
    if !runs_systemd(seen) || !installed(seen, &SOCKETS) {
        return Vec::new();
    }
    let mut command = Command::new("systemctl");
    command
        .args(["list-units", "--all", "--state=failed", "--plain", "--no-legend", "--no-pager"])
        .args(SOCKETS);
    let Some((_, said)) = ask::run(command) else {
        return vec![Finding::note(
            format!("{UNSEEN}whether {NONE_FAILED}"),
            "systemctl cannot be run, or takes too long",
            "systemctl list-units --all 'ghostllm-*.socket'",
        )];
    };
    let failed =
        said.lines().filter_map(|line| SOCKETS.into_iter().find(|unit| line.trim_start().starts_with(unit)));
    let found = failed.map(|unit| {
        let (who, first) = match ports::in_the_way(seen, unit) {
            Some(who) => (format!(": {who}"), "see ports, which says what to do about it; then "),
            None => (String::new(), ""),
        };
        let fix = format!("{first}journalctl -u {unit} -n 20; sudo systemctl stop 'ghostllm*'; sudo systemctl start ghostllm");
        let what = format!("the unit {unit} has failed{who}");
        let why = "systemd does not hold its port: the daemon serves there only if it can have it by itself";
        if seen.known().is_some() { Finding::warning(what, why, fix) } else { Finding::error(what, why, fix) }
    });
    found.chain(unused(seen)).collect()
}

/// Socket units that systemd holds open and the daemon does not serve, since its configuration wants no such listener, or another port.
fn unused(seen: &Seen) -> Vec<Finding> {
    let Some(daemon) = seen.known() else { return Vec::new() };
    let port_of = |address: &str| address.parse::<SocketAddr>().ok().map(|address| address.port());
    let found = ports::PORTS.iter().filter_map(|(kind, _)| {
        let unit = ports::unit(kind);
        let held = open_ports(&unit)?;
        let own = daemon.status.what.listeners.iter().filter(|listener| listener.kind == *kind);
        let own: Vec<u16> = own.filter_map(|listener| port_of(&listener.address)).collect();
        let port = held.into_iter().find(|port| !own.contains(port))?;
        let close = format!("sudo systemctl mask --now {unit} (the service wants it, and would start one that is disabled)");
        let (what, fix) = match own.first() {
            None => ("has no such listener".to_owned(), close),
            Some(own) => (
                format!("has the port {own}"),
                format!("sudo systemctl edit {unit}, with ListenStream= or ListenDatagram= for {own} as for {port}; or {close}"),
            ),
        };
        Some(Finding::warning(
            format!("{unit} is open at the port {port}, and the configuration {what}"),
            "whoever connects there is never answered",
            fix,
        ))
    });
    found.collect()
}

/// The ports that systemd holds open for a socket unit; none where it is not active, or not to be asked.
fn open_ports(unit: &str) -> Option<Vec<u16>> {
    let mut command = Command::new("systemctl");
    command.args(["show", "--property=ActiveState,Listen", unit]);
    let (code, said) = ask::run(command)?;
    let active = code == Some(0) && said.lines().any(|line| line == "ActiveState=active");
    // `Listen=127.0.0.1:11430 (Stream)`, a line for each, or all behind the first.
    let words = said.split_whitespace().map(|word| word.strip_prefix("Listen=").unwrap_or(word));
    active.then(|| words.filter_map(|word| word.parse::<SocketAddr>().ok()).map(|at| at.port()).collect())
}

fn unit(seen: &Seen) -> Vec<Finding> {
    if !runs_systemd(seen) {
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
    let found = Finding::warning(
        format!("there is no group {GROUP}"),
        "the admin's socket in /run/ghostllm cannot be made, and only root manages the daemon",
        format!(
            "sudo groupadd --system {GROUP}; sudo systemctl restart ghostllm-admin.socket, or sudo ghostctl doctor --fix"
        ),
    );
    let steps = vec![
        Step::of(&["groupadd", "--system", GROUP]),
        Step::of(&["systemctl", "restart", "ghostllm-admin.socket"]),
    ];
    vec![found.mended_by(Repair::Run { steps, changes: seen.path("/etc") })]
}
