//! What the system says of this process. Reads files of `/proc`, which are memory.

use std::fs;

use nix::sys::{
    resource::{Resource, UsageWho, getrlimit, getrusage},
    time::TimeValLike,
};

/// All of it.
#[derive(Debug)]
pub(crate) struct Process {
    /// CPU time in seconds.
    pub(crate) cpu: f64,
    /// Bytes.
    pub(crate) resident: u64,
    /// Bytes.
    pub(crate) virtual_memory: u64,
    /// Open files and sockets.
    pub(crate) open: usize,
    /// The most that may be open.
    pub(crate) most: u64,
    pub(crate) threads: u64,
}

/// None where the system tells nothing.
pub(crate) fn read() -> Option<Process> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    let (most, _hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    Some(Process {
        cpu: micros as f64 / 1e6,
        resident: number(&status, "VmRSS:")? << 10,
        virtual_memory: number(&status, "VmSize:")? << 10,
        // The one by which the directory is read is no longer there.
        open: fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1),
        most,
        threads: number(&status, "Threads:")?,
    })
}

/// The memory that it holds, in bytes.
pub(crate) fn resident() -> Option<u64> {
    Some(number(&fs::read_to_string("/proc/self/status").ok()?, "VmRSS:")? << 10)
}

/// The machine's memory, and how much of that programs can still have, in bytes (proc_meminfo(5)).
pub(crate) fn machine_memory() -> (Option<u64>, Option<u64>) {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let bytes = |word| number(&text, word).map(|kib| kib << 10);
    (bytes("MemTotal:"), bytes("MemAvailable:"))
}

/// The number behind this word of proc(5)'s `status` or `meminfo`; sizes are in KiB.
pub(crate) fn number(status: &str, word: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(word))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_known() {
        let process = read().unwrap();
        assert!(process.resident > 1 << 20 && process.virtual_memory > process.resident, "{process:?}");
        assert!(process.open >= 3 && process.most >= process.open as u64, "{process:?}");
        assert!(process.threads >= 1 && process.cpu >= 0.0, "{process:?}");
    }
}
