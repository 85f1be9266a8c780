//! The cards that NVML lists.
//!
//! Knows which of NVML's answers end the listing and which concern one card. Invariant: a card that does not answer
//! stays in the list with what is wrong with it, so that it is missed by nobody.

use std::path::Path;

use nvml_wrapper::{
    Device, Nvml,
    enum_wrappers::device::{TemperatureSensor, TemperatureThreshold},
    error::NvmlError,
};

use crate::{missing::Missing, nvml::raw};

/// What NVML is loaded from by default: the name that the driver's package installs, found by the loader.
pub(crate) const LIBRARY: &str = "libnvidia-ml.so.1";

/// One card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// The product's name, `NVIDIA H100 80GB HBM3`; `card 1` (counted from 0) when it does not answer.
    pub name: String,
    /// `GPU-…`, the same after every restart; empty when it does not answer.
    pub uuid: String,
    /// Its own memory in bytes; `None` where it has none of its own (it then shares the machine's), or does not answer.
    pub memory: Option<u64>,
    /// How much of that is free, in bytes; `None` as for [`memory`](Self::memory).
    pub free: Option<u64>,
    /// By how many degrees Celsius it is cooler than the temperature at which it slows itself down; less than 0 where it is
    /// warmer. `None` where it does not tell both.
    pub below_slowdown: Option<i64>,
    /// The driver's version, the same for all cards.
    pub driver: String,
    /// What is wrong with it and what to do; `None` for a card that answers.
    pub fault: Option<String>,
    /// What is broken on a card that answers, and what to do.
    pub damage: Option<String>,
}

/// The cards of this machine in NVML's order, asked once. `library` is NVML's file; `None` is the system's.
///
/// It takes 10 ms to 2 s (the driver may have to wake the cards) and blocks: call it from a thread that may wait.
///
/// # Errors
/// [`Missing`] where there is no card or none can be asked.
pub fn cards(library: Option<&Path>) -> Result<Vec<Card>, Missing> {
    let library = library.unwrap_or(Path::new(LIBRARY));
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
    Ok((0..count).map(|index| card(&nvml, index, &driver)).collect())
}

fn card(nvml: &Nvml, index: u32, driver: &str) -> Card {
    ask(nvml, index, driver).unwrap_or_else(|failed| Card {
        name: format!("card {index}"),
        uuid: String::new(),
        memory: None,
        free: None,
        below_slowdown: None,
        driver: driver.to_owned(),
        fault: Some(fault(&failed)),
        damage: None,
    })
}

fn ask(nvml: &Nvml, index: u32, driver: &str) -> Result<Card, NvmlError> {
    let device = nvml.device_by_index(index)?;
    let memory = match device.memory_info() {
        Ok(memory) => Some(memory).filter(|memory| memory.total > 0),
        Err(failed @ (NvmlError::GpuLost | NvmlError::ResetRequired)) => return Err(failed),
        // Cards that share the machine's memory (GB10, Jetson) refuse to say; a driver before 510 has no such call.
        Err(_) => None,
    };
    Ok(Card {
        name: device.name()?,
        uuid: device.uuid()?,
        memory: memory.as_ref().map(|memory| memory.total),
        free: memory.as_ref().map(|memory| memory.free),
        below_slowdown: below_slowdown(&device)?,
        driver: driver.to_owned(),
        fault: None,
        damage: damage(nvml, &device),
    })
}

/// Of cards and drivers that do not tell it (before Ampere, before 460) nothing is known.
fn damage(nvml: &Nvml, device: &Device<'_>) -> Option<String> {
    let failed = raw::rows(nvml, device).is_ok_and(|rows| rows.failed);
    failed.then(|| {
        "a row of its memory is bad and could not be replaced; `nvidia-smi -q -d ROW_REMAPPER` tells more, and the card \
         should be replaced"
            .to_owned()
    })
}

fn below_slowdown(device: &Device<'_>) -> Result<Option<i64>, NvmlError> {
    let told = |asked: Result<u32, NvmlError>| match asked {
        Ok(degrees) => Ok(Some(i64::from(degrees))),
        Err(failed @ (NvmlError::GpuLost | NvmlError::ResetRequired)) => Err(failed),
        Err(_) => Ok(None),
    };
    let now = told(device.temperature(TemperatureSensor::Gpu))?;
    let slowdown = told(device.temperature_threshold(TemperatureThreshold::Slowdown))?;
    Ok(slowdown.zip(now).map(|(slowdown, now)| slowdown - now))
}

fn fault(failed: &NvmlError) -> String {
    match failed {
        NvmlError::GpuLost => {
            "it has fallen off the bus; `sudo dmesg | grep Xid` tells more, and a restart of the machine brings it back \
             unless its power or its slot is at fault"
                .to_owned()
        }
        NvmlError::ResetRequired => {
            "it must be reset: stop what uses it, then run `sudo nvidia-smi --gpu-reset` or restart the machine".to_owned()
        }
        NvmlError::InsufficientPower => "its power cables are not properly attached".to_owned(),
        NvmlError::NoPermission => {
            "this user may not ask it; `ls -l /dev/nvidia*` shows who may".to_owned()
        }
        other => format!("it does not answer ({other}); `nvidia-smi` should show the same"),
    }
}
