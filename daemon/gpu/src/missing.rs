//! Why no card can be asked.
//!
//! Knows NVML's ways to fail and what a person does about each. Refuses to repair. Invariant: every variant's text
//! says what is wrong and what to do next; having no card at all is no fault and says so.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use nvml_wrapper::error::NvmlError;

/// Why there is no card to ask.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// There is no NVML on this machine.
    #[error(
        "no NVIDIA driver is installed ({library} is not there); without such a card nothing is missing, with one install \
         its driver (Debian: nvidia-driver) and restart the machine"
    )]
    NoLibrary {
        /// What was looked for.
        library: PathBuf,
    },
    /// There is a file, but it is not NVML or not for this machine.
    #[error("{library} cannot be used as NVIDIA's library: {why}; reinstall the driver, or correct the path")]
    BadLibrary {
        /// The file.
        library: PathBuf,
        /// What the loader said.
        why: String,
    },
    /// The library is there, the kernel's part is not.
    #[error(
        "NVIDIA's driver is installed but not loaded; run `sudo modprobe nvidia`, and if that fails `sudo dmesg` says why \
         (often a new kernel without the module built for it, or Secure Boot that refuses it)"
    )]
    DriverNotLoaded,
    /// The driver was upgraded under a running kernel.
    #[error(
        "NVIDIA's library and the loaded driver are of different versions, as after an upgrade; restart the machine, or \
         stop all that uses the cards and load the nvidia modules anew"
    )]
    VersionMismatch,
    /// The device files are closed to this user.
    #[error(
        "this user may not use the cards; `ls -l /dev/nvidia*` shows who may: join that group, or allow the devices in the \
         service's unit"
    )]
    NoPermission,
    /// The system (a container, a cgroup) blocks the cards.
    #[error(
        "the system blocks the cards for this process; in a container pass the devices in (docker: --gpus all), under \
         systemd look at DeviceAllow="
    )]
    Blocked,
    /// The driver works and has no card.
    #[error("NVIDIA's driver runs but sees no card; `lspci | grep -i nvidia` shows whether the machine does")]
    NoCard,
    /// The driver has not answered.
    #[error(
        "NVIDIA's driver has not answered for {} s; if `nvidia-smi` hangs as well, `sudo dmesg` says more, and a restart of the \
         machine helps",
        waited.as_secs()
    )]
    Hangs {
        /// For so long.
        waited: Duration,
    },
    /// Anything else, in NVML's words.
    #[error("NVIDIA's driver does not answer as it should: {why}; `nvidia-smi` should show the same")]
    Other {
        /// What NVML said.
        why: String,
    },
}

impl Missing {
    /// From loading and starting NVML.
    pub(crate) fn from_start(failed: NvmlError, library: &Path) -> Self {
        let library = library.to_path_buf();
        match failed {
            NvmlError::LibloadingError(failed) => {
                let why = failed.to_string();
                // The loader tells the two apart only in its text, the same in glibc and musl for a file that is not
                // there; a path that exists settles it whatever the text.
                if !library.exists() && why.contains("No such file") {
                    Self::NoLibrary { library }
                } else {
                    Self::BadLibrary { library, why }
                }
            }
            NvmlError::LibraryNotFound => Self::NoLibrary { library },
            NvmlError::FailedToLoadSymbol(why) => Self::BadLibrary { library, why },
            NvmlError::FunctionNotFound => Self::BadLibrary { library, why: failed.to_string() },
            failed => Self::from_answer(&failed),
        }
    }

    /// From a call to an NVML that had started.
    pub(crate) fn from_answer(failed: &NvmlError) -> Self {
        match failed {
            NvmlError::DriverNotLoaded => Self::DriverNotLoaded,
            NvmlError::LibRmVersionMismatch => Self::VersionMismatch,
            NvmlError::NoPermission => Self::NoPermission,
            NvmlError::OperatingSystem => Self::Blocked,
            NvmlError::NotFound => Self::NoCard,
            other => Self::Other { why: other.to_string() },
        }
    }

    /// Somebody should act; `false` where there simply is no NVIDIA card.
    #[must_use]
    pub fn is_fault(&self) -> bool {
        !matches!(self, Self::NoLibrary { .. } | Self::NoCard)
    }
}
