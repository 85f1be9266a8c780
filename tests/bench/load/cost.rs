//! What processes have cost: CPU time and memory of a program and its children, as the kernel counts them.

use std::{fs, io::ErrorKind, sync::Once, time::Duration};

use anyhow::{Context, Result};
use ghostllm_tests::process::children;
use nix::{
    time::{clock_getcpuclockid, clock_gettime},
    unistd::Pid,
};

/// A program, with all processes that it has started.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tree(pub(crate) u32);

impl Tree {
    /// Looked for each time: a program forks its workers when it likes.
    fn processes(self) -> Result<Vec<u32>> {
        let mut ids = vec![self.0];
        ids.extend(children(self.0)?);
        Ok(ids)
    }

    /// CPU time of its processes so far in microseconds, that of threads which have ended among it.
    pub(crate) fn cpu_micros(self) -> Result<f64> {
        let mut micros = 0.0;
        for id in self.processes()? {
            let process = Pid::from_raw(i32::try_from(id)?);
            let clock = clock_getcpuclockid(process).context("the program has ended")?;
            micros += Duration::from(clock_gettime(clock)?).as_secs_f64() * 1e6;
        }
        Ok(micros)
    }

    /// Memory in kB: private pages, and a share of those that processes have in common (`Pss` of proc(5)).
    pub(crate) fn memory_kb(self) -> Result<f64> {
        let mut all = 0.0;
        for id in self.processes()? {
            all += memory_kb(id)?;
        }
        Ok(all)
    }
}

/// Of one process. The daemon's pages are shown to root alone, since it is not dumpable; to anybody else it counts with
/// all that it has in common with other programs (`VmRSS`), which is never too little.
fn memory_kb(id: u32) -> Result<f64> {
    static TOLD: Once = Once::new();
    let (text, name) = match fs::read_to_string(format!("/proc/{id}/smaps_rollup")) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            TOLD.call_once(|| {
                println!("the daemon's Pss is for root to see: its VmRSS is taken, with all that it shares");
            });
            (fs::read_to_string(format!("/proc/{id}/status")).context("the program has ended")?, "VmRSS:")
        }
        read => (read.context("the program has ended")?, "Pss:"),
    };
    let line = text.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name}"))?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
