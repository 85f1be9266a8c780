//! The box: its system, its processor, its memory, its network.
//!
//! Reads files of `/proc`, `/sys` and `/etc`. Invariant: what cannot be read is left out.

use std::{env::consts::ARCH, fs, num::NonZero, path::Path, thread::available_parallelism};

use ghostllm_core::{
    admin::InspectedHost,
    cgroup::{self, GROUPS, Groups, MOUNTS, Version},
};
use ghostllm_edge::bind;

use super::{Whose, in_time};
use crate::{host::Host, process::machine_memory};

/// Looks; at that one's control group.
pub(super) async fn look(whose: Whose) -> InspectedHost {
    in_time(move || read(whose)).await.unwrap_or_default()
}

fn read(whose: Whose) -> InspectedHost {
    let text = |path: &str| fs::read_to_string(path).ok();
    let (host, (memory, memory_available)) = (Host::read(), machine_memory());
    let (cgroup_memory, cgroup_cpu) = groups(whose).map(|groups| bounds(&groups)).unwrap_or_default();
    InspectedHost {
        name: host.short,
        system: text("/etc/os-release").and_then(|text| system(&text)),
        kernel: text("/proc/sys/kernel/osrelease").map(|text| text.trim().to_owned()),
        architecture: ARCH.to_owned(),
        processor: text("/proc/cpuinfo").and_then(|text| processor(&text)),
        processors: available_parallelism().map_or(1, NonZero::get),
        memory,
        memory_available,
        cgroup_memory,
        cgroup_cpu,
        uptime_s: text("/proc/uptime").and_then(|text| text.split('.').next()?.parse().ok()),
        ipv6: !bind::ipv6_is_disabled(),
        addresses: host.addresses.iter().map(ToString::to_string).collect(),
    }
}

/// os-release(5): `PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"`.
fn system(text: &str) -> Option<String> {
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(name.trim_matches(['"', '\'']).to_owned())
}

/// What x86 calls `model name`; other machines name none here.
fn processor(text: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The groups around this process, or another; none of another that is outside of what this one sees.
fn groups(whose: Whose) -> Option<Groups> {
    let text = match whose {
        Whose::Own => fs::read_to_string(GROUPS).ok()?,
        Whose::Daemon(process) => {
            let text = fs::read_to_string(format!("/proc/{process}/cgroup")).ok();
            text.filter(|text| !is_outside(text))?
        }
        Whose::Nobody => return None,
    };
    Groups::of(&text, &fs::read_to_string(MOUNTS).ok()?)
}

/// So a path begins that is not below the root of who reads it (cgroup_namespaces(7)).
fn is_outside(groups: &str) -> bool {
    groups.contains(":/..")
}

/// The least memory in bytes, and the least of a processor in hundredths, that these groups may use.
fn bounds(groups: &Groups) -> (Option<u64>, Option<u64>) {
    let (mut memory, mut cpu) = (None, None);
    let least = |now: Option<u64>, more: Option<u64>| now.into_iter().chain(more).min();
    for directory in &groups.directories {
        let text = |name: &str| fs::read_to_string(Path::new(directory).join(name)).ok();
        memory = least(memory, limit(groups.version, text));
        // The first version has processors in a hierarchy of their own, which is not looked at.
        cpu = least(cpu, text("cpu.max").and_then(|text| share(&text)));
    }
    (memory, cpu)
}

fn limit(version: Version, text: impl Fn(&str) -> Option<String>) -> Option<u64> {
    let files = [Some(version.limit()), version.high()].into_iter().flatten();
    let limits: Vec<_> = files.filter_map(|name| Some((name, text(name)?))).collect();
    cgroup::limit(limits.iter().map(|(name, limit)| (*name, limit.as_str()))).ok().flatten()
}

/// `150000 100000` is one and a half, `max 100000` no limit.
fn share(text: &str) -> Option<u64> {
    let (quota, period) = text.trim().split_once(' ')?;
    let quota: u64 = quota.parse().ok()?;
    quota.saturating_mul(100).checked_div(period.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_files_are_read() {
        let os = "ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n";
        assert_eq!(system(os).as_deref(), Some("Debian GNU/Linux 12 (bookworm)"));
        assert_eq!(processor("processor\t: 0\nmodel name\t: A B @ 3\n").as_deref(), Some("A B @ 3"));
        assert_eq!(processor("processor\t: 0\n"), None);
        assert!(is_outside("0::/../x\n") && !is_outside("0::/system.slice/x..service\n"));
        assert_eq!((share("150000 100000\n"), share("max 100000\n"), share("1 0")), (Some(150), None, None));
    }

    #[test]
    fn the_least_of_a_group_and_those_above_it_counts() {
        let root = tempfile::tempdir().unwrap();
        let (outer, inner) = (root.path().join("a"), root.path().join("a/b"));
        fs::create_dir_all(&inner).unwrap();
        let mut directories: Vec<String> =
            [&inner, &outer].iter().map(|path| path.display().to_string()).collect();
        directories.push(root.path().display().to_string());
        let mut groups = Groups { version: Version::Two, directories };
        assert_eq!(bounds(&groups), (None, None));
        for (directory, memory, cpu) in
            [(&inner, "max\n", "50000 100000\n"), (&outer, "4096\n", "200000 100000\n")]
        {
            fs::write(directory.join("memory.max"), memory).unwrap();
            fs::write(directory.join("memory.current"), "1024\n").unwrap();
            fs::write(directory.join("memory.stat"), "inactive_file 0\ntotal_inactive_file 0\n").unwrap();
            fs::write(directory.join("cpu.max"), cpu).unwrap();
        }
        assert_eq!(bounds(&groups), (Some(4096), Some(50)));
        fs::write(inner.join("memory.limit_in_bytes"), "9223372036854771712\n").unwrap();
        fs::write(inner.join("memory.usage_in_bytes"), "1024\n").unwrap();
        fs::write(outer.join("memory.limit_in_bytes"), "8192\n").unwrap();
        fs::write(outer.join("memory.usage_in_bytes"), "1024\n").unwrap();
        groups.version = Version::One;
        assert_eq!(bounds(&groups).0, Some(8192));
    }

    #[test]
    fn this_box_is_known() {
        let host = read(Whose::Own);
        assert!(!host.name.is_empty() && host.processors > 0 && host.kernel.is_some(), "{host:?}");
        assert!(host.memory_available <= host.memory && host.uptime_s.is_some(), "{host:?}");
        assert!(host.addresses.contains(&"127.0.0.1".to_owned()), "{host:?}");
        let nobodys = read(Whose::Nobody);
        assert_eq!((nobodys.cgroup_memory, nobodys.cgroup_cpu), (None, None));
    }
}
