//! A machine whose graphics cards stand in a text file: the stand-in for NVML where the daemon's loader finds it.
//!
//! Knows where cargo puts the stand-in (`tests/fake-nvml`). Invariant: each machine has a library of its own, whose file of cards is its own.

use std::{env, fs, path::PathBuf};

use anyhow::{Context as _, Result, anyhow};
use tempfile::TempDir;

/// A card of 24 GiB that has 1 GiB free and is 10 °C below its slowdown.
pub const CARD: &str = "driver=580.95.05\ncount=1\n0.name=NVIDIA Fake 4090\n0.memory=25769803776\n\
                               0.free=1073741824\n0.temperature=79\n0.slowdown=89\n";

/// The machine.
#[derive(Debug)]
pub struct Machine(TempDir);

impl Machine {
    /// Cards that say this.
    ///
    /// # Errors
    /// Where the library was not built, or cannot be copied.
    pub fn new(state: &str) -> Result<Self> {
        Self::of(state, &[])
    }

    /// The same, whose driver lacks these symbols, as an old one does.
    ///
    /// # Errors
    /// As [`Machine::new`], and where there is no such symbol.
    pub fn of(state: &str, lacks: &[&str]) -> Result<Self> {
        let machine = Self(tempfile::tempdir()?);
        let built = env::current_exe()?.with_file_name("libghostllm_fake_nvml.so");
        let library = fs::read(&built).with_context(|| built.display().to_string())?;
        let library =
            ghostllm_fake_nvml::without(library, lacks).map_err(|symbol| anyhow!("no {symbol} in it"))?;
        fs::write(machine.library(), library)?;
        machine.becomes(state)?;
        Ok(machine)
    }

    /// The library's file.
    #[must_use]
    pub fn library(&self) -> PathBuf {
        self.0.path().join("libnvidia-ml.so.1")
    }

    /// From its next question on, whoever asks finds it so; later lines count.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn becomes(&self, state: &str) -> Result<()> {
        // Whole at once: it is read at each call.
        let new = self.0.path().join("new");
        fs::write(&new, state)?;
        Ok(fs::rename(new, self.0.path().join("libnvidia-ml.so.1.state"))?)
    }

    /// The variable by which a program finds it.
    #[must_use]
    pub fn variable(&self) -> (String, String) {
        ("LD_LIBRARY_PATH".to_owned(), self.0.path().display().to_string())
    }
}
