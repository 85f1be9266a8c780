//! A machine whose graphics cards stand in files: NVIDIA's in the text of a stand-in for NVML, where the daemon's loader finds it, others
//! in what its kernel tells.
//!
//! Knows where cargo puts the stand-in (`tests/fake-nvml`), and the kernel's names of a few files. Invariant: each machine has a library of
//! its own, whose file of cards is its own.

use std::{env, fs, os::unix::fs::symlink, path::PathBuf};

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

    /// Where its kernel's files are: its sysfs, which tells what [`Machine::tells`] has written.
    #[must_use]
    pub fn sysfs(&self) -> PathBuf {
        self.0.path().join("sys")
    }

    /// From now on its kernel tells that at this path.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn tells(&self, path: &str, content: &str) -> Result<()> {
        let path = self.sysfs().join(path);
        fs::create_dir_all(path.parent().context("no folder")?)?;
        Ok(fs::write(path, content)?)
    }

    /// Its processor has so many thousandths of a degree of the 85 °C at which its kernel slows it down
    /// (Documentation/driver-api/thermal/sysfs-api.rst).
    ///
    /// # Errors
    /// Where the files cannot be written.
    pub fn warms(&self, millidegrees: u32) -> Result<()> {
        for (file, content) in [
            ("trip_point_0_type", "passive".to_owned()),
            ("trip_point_0_temp", "85000".to_owned()),
            ("temp", millidegrees.to_string()),
            ("type", "cpu-thermal".to_owned()),
        ] {
            self.tells(&format!("class/thermal/thermal_zone0/{file}"), &format!("{content}\n"))?;
        }
        Ok(())
    }

    /// A Radeon of 24 GiB is put in, 1 GiB of it in use, whose hottest place has 100 of the 110 °C at which it slows itself down
    /// (Documentation/gpu/amdgpu/thermal.rst). Its files are below `devices/0`.
    ///
    /// # Errors
    /// Where they cannot be written.
    pub fn gets_radeon(&self) -> Result<()> {
        for (path, content) in [
            ("hwmon/hwmon3/name", "amdgpu\n"),
            ("hwmon/hwmon3/temp1_label", "edge\n"),
            ("hwmon/hwmon3/temp1_input", "54000\n"),
            ("hwmon/hwmon3/temp1_crit", "100000\n"),
            ("hwmon/hwmon3/temp2_label", "junction\n"),
            ("hwmon/hwmon3/temp2_input", "100000\n"),
            ("hwmon/hwmon3/temp2_crit", "110000\n"),
            ("hwmon/hwmon3/temp3_label", "mem\n"),
            ("hwmon/hwmon3/temp3_input", "80000\n"),
            ("hwmon/hwmon3/temp3_crit", "108000\n"),
            ("mem_info_vram_total", "25769803776\n"),
            ("mem_info_vram_used", "1073741824\n"),
            ("power/runtime_status", "active\n"),
            ("uevent", "DRIVER=amdgpu\nPCI_CLASS=30000\nPCI_ID=1002:744C\nPCI_SLOT_NAME=0000:03:00.0\n"),
        ] {
            self.tells(&format!("devices/0/{path}"), content)?;
        }
        self.has_node("devices/0", "card0")
    }

    /// An Arc of 16 GiB under `xe` is put in, whose package has 90 of the 100 °C at which it slows itself down; how much of its memory is
    /// in use that driver does not tell (Documentation/ABI/testing/sysfs-driver-intel-xe-hwmon). Its files are below `devices/1`.
    ///
    /// # Errors
    /// Where they cannot be written.
    pub fn gets_arc(&self) -> Result<()> {
        for (path, content) in [
            ("hwmon/hwmon6/name", "xe\n"),
            ("hwmon/hwmon6/temp2_label", "pkg\n"),
            ("hwmon/hwmon6/temp2_input", "90000\n"),
            ("hwmon/hwmon6/temp2_crit", "100000\n"),
            ("hwmon/hwmon6/temp2_emergency", "105000\n"),
            ("hwmon/hwmon6/temp3_label", "vram\n"),
            ("hwmon/hwmon6/temp3_input", "72000\n"),
            ("tile0/gt0/freq0/throttle/status", "0\n"),
            ("tile0/physical_vram_size_bytes", "17179869184\n"),
            ("power/runtime_status", "active\n"),
            ("uevent", "DRIVER=xe\nPCI_CLASS=30000\nPCI_ID=8086:56A0\nPCI_SLOT_NAME=0000:04:00.0\n"),
        ] {
            self.tells(&format!("devices/1/{path}"), content)?;
        }
        self.has_node("devices/1", "card1")
    }

    fn has_node(&self, device: &str, name: &str) -> Result<()> {
        let node = self.sysfs().join("class/drm").join(name);
        fs::create_dir_all(&node)?;
        Ok(symlink(self.sysfs().join(device), node.join("device"))?)
    }

    /// The variable by which a program finds it.
    #[must_use]
    pub fn variable(&self) -> (String, String) {
        ("LD_LIBRARY_PATH".to_owned(), self.0.path().display().to_string())
    }
}
