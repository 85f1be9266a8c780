//! The system: its clock, names, memory and limits.

use std::{fs, net::ToSocketAddrs};

use super::{
    Check, Finding, Needs, ask,
    repair::{Repair, Step},
    seen::Seen,
};

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "clock",
        looks_at: "the clock is not before this program's time",
        needs: Needs::Nothing,
        look: clock,
    },
    Check {
        id: "host_name",
        looks_at: "this box's name leads to an address",
        needs: Needs::Nothing,
        look: host_name,
    },
    Check { id: "ipv6", looks_at: "IPv6 is on", needs: Needs::Nothing, look: ipv6 },
    Check {
        id: "udp_buffers",
        looks_at: "the kernel lets HTTP/3 have its buffers",
        needs: Needs::Nothing,
        look: udp_buffers,
    },
    Check { id: "memory", looks_at: "a gigabyte of memory is free", needs: Needs::Nothing, look: memory },
    Check {
        id: "open_files",
        looks_at: "the daemon may open enough files",
        needs: Needs::Daemon,
        look: open_files,
    },
    Check {
        id: "core_dumps",
        looks_at: "a crash of the daemon writes no memory to the disk",
        needs: Needs::Daemon,
        look: core_dumps,
    },
];

/// This program is of that year.
const BUILT: i32 = 2026;
/// Where administrators say what the kernel should do (sysctl.d(5)).
const SYSCTL: &str = "/etc/sysctl.d/60-ghostllm.conf";
/// What the daemon asks for.
const UDP_BUFFER: u64 = 4 << 20;
/// What the package's file gives (packaging/debian/sysctl.conf): ours, which is read after it, must not take any of that back.
const UDP_GIVEN: u64 = 7_500_000;
/// What the kernel gives to begin with (Linux 6.12); below it somebody has lowered it.
const UDP_USUAL: u64 = 212_992;
const LITTLE_MEMORY_KIB: u64 = 1 << 20;
/// What the daemon's own settings need is more (two for each connection), and systemd gives far more.
const FEW_FILES: u64 = 8448;

fn clock(seen: &Seen) -> Vec<Finding> {
    clock_at(seen.now.year(), &seen.now.date().to_string())
}

fn clock_at(year: i32, date: &str) -> Vec<Finding> {
    if year >= BUILT {
        return Vec::new();
    }
    vec![Finding::error(
        format!("the clock says {date}, and this program is of {BUILT}"),
        "the certificate is made for a long time, keys end by what is known of the time, and a backend's certificate is refused",
        "timedatectl set-ntp true, or date -s; the daemon notices by itself",
    )]
}

fn host_name(seen: &Seen) -> Vec<Finding> {
    let Ok(text) = seen.read("/proc/sys/kernel/hostname") else { return Vec::new() };
    let name = text.trim().to_owned();
    let asked = name.clone();
    let resolved = ask::in_time(move || (asked.as_str(), 0).to_socket_addrs().is_ok());
    if resolved == Some(true) {
        return Vec::new();
    }
    vec![Finding::warning(
        format!("this box's own name, {name}, leads to no address"),
        "programs on this box cannot use the name that the certificate bears",
        format!("echo '127.0.1.1 {name}' | sudo tee -a /etc/hosts"),
    )]
}

fn ipv6(seen: &Seen) -> Vec<Finding> {
    let off = seen.number("/proc/sys/net/ipv6/conf/all/disable_ipv6").is_none_or(|off| off != 0);
    if !off {
        return Vec::new();
    }
    vec![Finding::note(
        "IPv6 is off",
        "clients reach this box by IPv4 alone, and names that give IPv6 first take longer",
        "sudo sysctl net.ipv6.conf.all.disable_ipv6=0; where the kernel has none, ipv6.disable=1 is on its command line",
    )]
}

fn udp_buffers(seen: &Seen) -> Vec<Finding> {
    let Some(most) = seen.number("/proc/sys/net/core/rmem_max") else { return Vec::new() };
    let what = format!("the kernel lets a UDP socket buffer {most} bytes (net.core.rmem_max)");
    let why = "HTTP/3 loses datagrams while much arrives at once, and is slower for it";
    let fix = format!(
        "echo net.core.rmem_max={UDP_GIVEN} | sudo tee {SYSCTL}; sudo sysctl --system, or sudo ghostctl doctor --fix; then restart the daemon"
    );
    let found = match most {
        ..UDP_USUAL => Finding::warning(what, why, fix),
        UDP_USUAL..UDP_BUFFER => Finding::note(what, why, fix),
        _ => return Vec::new(),
    };
    vec![found.mended_by(larger_buffers(seen))]
}

/// The package brings the file; who has none, or another one, gets one where administrators keep theirs.
fn larger_buffers(seen: &Seen) -> Repair {
    let steps = vec![Step::of(&["sysctl", "--quiet", "--system"])];
    let there = [SYSCTL, "/usr/lib/sysctl.d/10-ghostllm.conf"];
    if there.iter().any(|file| fs::symlink_metadata(seen.path(file)).is_ok()) {
        return Repair::Run { steps, changes: seen.path("/etc") };
    }
    let text = format!(
        "# By ghostctl doctor --fix: room for the datagrams of HTTP/3.\nnet.core.rmem_max = {UDP_GIVEN}\nnet.core.wmem_max = {UDP_GIVEN}\n"
    );
    Repair::Write { path: seen.path(SYSCTL), text, steps }
}

fn memory(seen: &Seen) -> Vec<Finding> {
    let text = seen.read("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let free: Option<u64> = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    let Some(free) = free.filter(|free| *free < LITTLE_MEMORY_KIB) else { return Vec::new() };
    vec![Finding::warning(
        format!("{} MiB of memory are free", free >> 10),
        "the kernel may end the engine or the daemon while a model is loaded",
        "ps -eo pid,rss,comm --sort=-rss | head, and end what is not needed; or use a smaller model",
    )]
}

/// A soft limit of the daemon's process; none where it is unlimited or cannot be seen.
fn limit(seen: &Seen, name: &str) -> Option<u64> {
    let process = seen.known()?.status.what.pid;
    let text = seen.read(&format!("/proc/{process}/limits")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let soft = line.split_whitespace().next()?;
    Some(soft.parse().unwrap_or(u64::MAX))
}

fn open_files(seen: &Seen) -> Vec<Finding> {
    let Some(most) = limit(seen, "Max open files").filter(|most| *most < FEW_FILES) else {
        return Vec::new();
    };
    vec![Finding::warning(
        format!("the daemon may have {most} files open"),
        "each connection takes two, so that it refuses clients early",
        "systemctl edit ghostllm: LimitNOFILE=65536 under [Service]; in a shell: ulimit -n 65536",
    )]
}

fn core_dumps(seen: &Seen) -> Vec<Finding> {
    let Some(most) = limit(seen, "Max core file size").filter(|most| *most > 0) else { return Vec::new() };
    let size = if most == u64::MAX { "of any size".to_owned() } else { format!("of {most} bytes") };
    vec![Finding::warning(
        format!("the daemon may dump a core {size}"),
        "keys and prompts in its memory would lie on the disk",
        "systemctl edit ghostllm: LimitCORE=0 under [Service]; in a shell: ulimit -c 0; then restart it",
    )]
}

#[cfg(test)]
mod tests {
    use ghostllm_core::admin::DoctorResult;

    use super::*;

    #[test]
    fn a_clock_before_the_programs_own_year_is_an_error() {
        let found = clock_at(1970, "1970-01-01");
        assert_eq!(found[0].result, DoctorResult::Error);
        assert!(found[0].fix.contains("timedatectl"));
        assert!(clock_at(BUILT, "2026-01-01").is_empty());
    }
}
