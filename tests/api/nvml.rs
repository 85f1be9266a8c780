//! A machine whose graphics cards stand in a text file: the stand-in for NVML where the daemon's loader finds it.

use std::{env, fs, path::PathBuf};

use anyhow::{Context, Result};
// Named so that cargo builds the library that is loaded.
use ghostllm_fake_nvml as _;
use tempfile::TempDir;

/// A card of 24 GiB that has 1 GiB free and is 10 °C below its slowdown.
pub(crate) const CARD: &str = "driver=580.95.05\ncount=1\n0.name=NVIDIA Fake 4090\n0.memory=25769803776\n\
                               0.free=1073741824\n0.temperature=79\n0.slowdown=89\n";

/// The machine.
pub(crate) struct Machine(TempDir);

impl Machine {
    pub(crate) fn new(state: &str) -> Result<Self> {
        let machine = Self(tempfile::tempdir()?);
        let built = env::current_exe()?.with_file_name("libghostllm_fake_nvml.so");
        fs::copy(&built, machine.library()).with_context(|| built.display().to_string())?;
        machine.becomes(state)?;
        Ok(machine)
    }

    pub(crate) fn library(&self) -> PathBuf {
        self.0.path().join("libnvidia-ml.so.1")
    }

    /// From its next question on, whoever asks finds it so; later lines count.
    pub(crate) fn becomes(&self, state: &str) -> Result<()> {
        // Whole at once: it is read at each call.
        let new = self.0.path().join("new");
        fs::write(&new, state)?;
        Ok(fs::rename(new, self.0.path().join("libnvidia-ml.so.1.state"))?)
    }

    /// The variable by which a program finds it.
    pub(crate) fn variable(&self) -> (String, String) {
        ("LD_LIBRARY_PATH".to_owned(), self.0.path().display().to_string())
    }
}
