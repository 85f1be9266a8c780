//! How much the daemon takes at a time.

use std::{fs, time::Duration};

use ghostllm_core::{admin::InspectedLimits, config::Limits};
use nix::sys::resource::{Resource, getrlimit};

use super::{Whose, in_time};

/// Those in use, or those of a daemon that this user would start.
pub(super) async fn look(limits: &Limits, whose: Whose, watchdog: Option<bool>) -> InspectedLimits {
    InspectedLimits {
        open_files: in_time(move || open_files(whose)).await.flatten(),
        watchdog,
        threads: limits.threads,
        connections: limits.connections,
        connections_per_source: limits.connections_per_source,
        admin_connections: limits.admin_connections,
        streams: limits.streams,
        body: limits.body.bytes(),
        memory_shed: limits.memory_shed,
        memory_drop: limits.memory_drop,
        backend_first_byte_ms: millis(limits.backend_first_byte),
        drain_grace_ms: millis(limits.drain_grace),
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The daemon takes as many as the hard limit lets it.
fn open_files(whose: Whose) -> Option<u64> {
    match whose {
        Whose::Own => getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(_soft, hard)| hard),
        Whose::Daemon(process) => soft(&fs::read_to_string(format!("/proc/{process}/limits")).ok()?),
        Whose::Nobody => None,
    }
}

/// `Max open files            1024                 524288               files` (proc_pid_limits(5)).
fn soft(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    let soft = line.split_whitespace().next()?;
    Some(soft.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_table_is_read() {
        let table = "Limit                     Soft Limit           Hard Limit           Units\n\
                     Max open files            1024                 524288               files\n";
        assert_eq!(soft(table), Some(1024));
        assert_eq!(soft(&table.replace("1024  ", "unlimited")), Some(u64::MAX));
        assert_eq!(soft(""), None);
        assert!(open_files(Whose::Daemon(std::process::id())) <= open_files(Whose::Own));
        assert_eq!(open_files(Whose::Nobody), None);
    }
}
