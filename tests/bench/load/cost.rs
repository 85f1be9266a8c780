//! What processes have cost: CPU time and memory of a program and its children, as `/proc` tells them.

use std::fs;

use anyhow::{Context, Result};
use ghostllm_tests::process::children;

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

    /// CPU time of all threads so far in microseconds (the first field of `schedstat`, which counts nanoseconds). A thread
    /// that has ended takes its share along; none of these programs ends one while it is measured.
    #[expect(clippy::cast_precision_loss, reason = "a few seconds in nanoseconds")]
    pub(crate) fn cpu_micros(self) -> Result<f64> {
        let mut nanos = 0_u64;
        for id in self.processes()? {
            for task in fs::read_dir(format!("/proc/{id}/task")).context("the program has ended")? {
                let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
                nanos += text.split(' ').next().context("no time")?.parse::<u64>()?;
            }
        }
        Ok(nanos as f64 / 1000.0)
    }

    /// Memory in kB: private pages, and a share of those that processes have in common (`Pss` of proc(5)).
    pub(crate) fn memory_kb(self) -> Result<f64> {
        let mut all = 0.0;
        for id in self.processes()? {
            let text =
                fs::read_to_string(format!("/proc/{id}/smaps_rollup")).context("the program has ended")?;
            let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).context("no Pss")?;
            all += line.trim().trim_end_matches(" kB").parse::<f64>()?;
        }
        Ok(all)
    }
}
