//! NVIDIA's library, opened and asked.
//!
//! Knows NVML's ways to fail and what each means for a reading. Refuses to know threads. Invariant: an answer that ends more than one
//! reading, as that of a lost card or of a driver that was replaced, is told from one that concerns a single reading.

use std::{path::Path, sync::Arc};

use ghostllm_readings::{Absent, Reading};
use nvml_wrapper::{Nvml, error::NvmlError};

use crate::missing::Missing;

mod card;
#[expect(unsafe_code, reason = "the C calls that the wrapper does not make; each block has its argument")]
pub(crate) mod raw;

pub(crate) use card::NvmlCard;

/// NVML, started.
pub(crate) struct Session {
    pub(crate) nvml: Arc<Nvml>,
    /// How many cards it lists; never 0.
    pub(crate) count: u32,
    /// The driver's version.
    pub(crate) driver: String,
}

impl Session {
    /// Loads and starts it. It blocks, up to seconds, and for ever if the driver hangs.
    ///
    /// # Errors
    /// [`Missing`] where there is no card or none can be asked.
    pub(crate) fn open(library: &Path) -> Result<Self, Missing> {
        let nvml = Nvml::builder()
            .lib_path(library.as_os_str())
            .init()
            .map_err(|failed| Missing::from_start(failed, library))?;
        let count = nvml.device_count().map_err(|failed| Missing::from_answer(&failed))?;
        if count == 0 {
            return Err(Missing::NoCard);
        }
        // A driver that hides its version still has cards.
        let driver = nvml.sys_driver_version().unwrap_or_else(|_| "unknown".to_owned());
        Ok(Self { nvml: Arc::new(nvml), count, driver })
    }
}

/// Why a reading is missing.
fn absent(failed: &NvmlError) -> Absent {
    match failed {
        NvmlError::NotSupported | NvmlError::InvalidArg | NvmlError::NoData | NvmlError::NotFound => {
            Absent::Unsupported
        }
        NvmlError::FailedToLoadSymbol(_) | NvmlError::FunctionNotFound => Absent::OldDriver,
        NvmlError::NoPermission | NvmlError::OperatingSystem => Absent::Forbidden,
        NvmlError::GpuLost | NvmlError::ResetRequired => Absent::Lost,
        _ => Absent::Failed,
    }
}

/// No card answers any more before NVML is started anew.
fn ends_all(failed: &NvmlError) -> bool {
    matches!(failed, NvmlError::Uninitialized | NvmlError::LibRmVersionMismatch | NvmlError::DriverNotLoaded)
}

/// The difference of two readings; the first that is missing says why there is none.
fn less(one: Reading<f32>, other: Reading<f32>) -> Reading<f32> {
    Ok(one? - other?)
}
