//! The questions to NVML that its wrapper does not ask, or not without allocating.
//!
//! Knows the C calls by the signatures of `nvml-wrapper-sys`, which are those of NVIDIA's `nvml.h`; the sizes of their structures were
//! compared with a real card's library (tests/recordings/nvml). Refuses to know what an answer means. Invariants: a call that the library
//! does not have is an error and never made; what a call writes to lives, and is as long as it is told to be, until the call is back.

use std::{mem, ptr};

use nvml_wrapper::{
    Device, Nvml,
    error::{NvmlError, nvml_try},
};
use nvml_wrapper_sys::bindings::{
    nvmlDevice_t, nvmlFieldValue_t, nvmlMarginTemperature_t, nvmlMemory_t, nvmlPageRetirementCause_t,
    nvmlProcessInfo_t, nvmlReturn_enum_NVML_ERROR_INSUFFICIENT_SIZE, nvmlReturn_t,
    nvmlValueType_enum_NVML_VALUE_TYPE_SIGNED_INT as SIGNED_INT,
    nvmlValueType_enum_NVML_VALUE_TYPE_SIGNED_LONG_LONG as SIGNED_LONG_LONG,
    nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_INT as UNSIGNED_INT,
    nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_LONG as UNSIGNED_LONG,
    nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_LONG_LONG as UNSIGNED_LONG_LONG,
};

use crate::who::PROCESSES;

/// A call that the library may lack. The wrapper's own way to say so makes a text of it each time.
macro_rules! found {
    ($nvml:expr, $symbol:ident) => {
        $nvml.lib().$symbol.as_ref().map_err(|_the_loaders_words| NvmlError::FunctionNotFound)?
    };
}

/// Corrected and uncorrected rows that were replaced, whether more will be at the next reset, and whether one could not be.
pub(crate) struct Rows {
    pub(crate) replaced: u32,
    pub(crate) pending: bool,
    pub(crate) failed: bool,
}

/// `NVML_STRUCT_VERSION` of nvml.h.
fn version<T>(number: u32) -> u32 {
    u32::try_from(mem::size_of::<T>()).unwrap_or_default() | (number << 24)
}

fn handle(device: &Device<'_>) -> nvmlDevice_t {
    // SAFETY: the handle is only lent to calls of the same library that are back before `device` ends.
    unsafe { device.handle() }
}

/// The degrees that are left to where the driver begins to lower clocks (`nvmlDeviceGetMarginTemperature`).
pub(super) fn margin(nvml: &Nvml, device: &Device<'_>) -> Result<i32, NvmlError> {
    let ask = found!(nvml, nvmlDeviceGetMarginTemperature);
    let version = version::<nvmlMarginTemperature_t>(1);
    let mut told = nvmlMarginTemperature_t { version, marginTemperature: 0 };
    // SAFETY: the symbol has this signature, the handle is of this library, and `told` is of the version that it names.
    nvml_try(unsafe { ask(handle(device), &raw mut told) })?;
    Ok(told.marginTemperature)
}

/// Why its clocks are not the highest, in NVML's bits. The wrapper drops those that it does not know.
pub(super) fn reasons(nvml: &Nvml, device: &Device<'_>) -> Result<u64, NvmlError> {
    let lib = nvml.lib();
    // Drivers before 535 have the older name alone; should a later one drop that, the newer is there.
    let ask = lib.nvmlDeviceGetCurrentClocksEventReasons.as_ref().ok();
    let ask = match ask {
        Some(ask) => ask,
        None => found!(nvml, nvmlDeviceGetCurrentClocksThrottleReasons),
    };
    let mut told = 0;
    // SAFETY: both symbols have this one signature, the handle is of this library, and `told` is writable.
    nvml_try(unsafe { ask(handle(device), &raw mut told) })?;
    Ok(told)
}

/// Memory as drivers before 510 tell it: all of it and what is free.
pub(super) fn older_memory(nvml: &Nvml, device: &Device<'_>) -> Result<(u64, u64), NvmlError> {
    let ask = found!(nvml, nvmlDeviceGetMemoryInfo);
    let mut told = nvmlMemory_t { total: 0, free: 0, used: 0 };
    // SAFETY: the symbol has this signature, the handle is of this library, and `told` is writable.
    nvml_try(unsafe { ask(handle(device), &raw mut told) })?;
    Ok((told.total, told.free))
}

/// The values of these fields (`NVML_FI_*`), each by itself.
pub(super) fn fields<const N: usize>(
    nvml: &Nvml,
    device: &Device<'_>,
    wanted: [u32; N],
) -> Result<[Result<i64, NvmlError>; N], NvmlError> {
    let ask = found!(nvml, nvmlDeviceGetFieldValues);
    let mut values = wanted.map(|field| {
        // SAFETY: all of it is numbers, and a union of numbers, for which all-zero bytes are a value.
        let mut value: nvmlFieldValue_t = unsafe { mem::zeroed() };
        value.fieldId = field;
        value
    });
    let count = i32::try_from(N).map_err(|_too_many| NvmlError::InvalidArg)?;
    // SAFETY: the symbol has this signature, the handle is of this library, and `values` holds `count` of them.
    nvml_try(unsafe { ask(handle(device), count, values.as_mut_ptr()) })?;
    Ok(values.map(|value| field(&value)))
}

fn field(told: &nvmlFieldValue_t) -> Result<i64, NvmlError> {
    nvml_try(told.nvmlReturn)?;
    // SAFETY: every field of the union is a number, for which all bytes are a value, and all of it was zeroed before the library wrote to
    // it; the type says which one that was.
    let (int, unsigned, long, unsigned_long) =
        unsafe { (told.value.siVal, told.value.uiVal, told.value.sllVal, told.value.ullVal) };
    match told.valueType {
        SIGNED_INT => Ok(i64::from(int)),
        UNSIGNED_INT => Ok(i64::from(unsigned)),
        SIGNED_LONG_LONG => Ok(long),
        UNSIGNED_LONG | UNSIGNED_LONG_LONG => {
            i64::try_from(unsigned_long).map_err(|_too_big| NvmlError::UnexpectedVariant(told.valueType))
        }
        unknown => Err(NvmlError::UnexpectedVariant(unknown)),
    }
}

/// Rows of the memory that were replaced by spare ones (Ampere and later).
pub(crate) fn rows(nvml: &Nvml, device: &Device<'_>) -> Result<Rows, NvmlError> {
    let ask = found!(nvml, nvmlDeviceGetRemappedRows);
    let [mut corrected, mut uncorrected, mut pending, mut failed] = [0; 4];
    // SAFETY: the symbol has this signature, the handle is of this library, and all four are writable.
    nvml_try(unsafe {
        ask(handle(device), &raw mut corrected, &raw mut uncorrected, &raw mut pending, &raw mut failed)
    })?;
    Ok(Rows { replaced: corrected.saturating_add(uncorrected), pending: pending != 0, failed: failed != 0 })
}

/// How many pages of the memory were retired for this cause (before Ampere).
pub(super) fn pages(
    nvml: &Nvml,
    device: &Device<'_>,
    cause: nvmlPageRetirementCause_t,
) -> Result<u32, NvmlError> {
    let ask = found!(nvml, nvmlDeviceGetRetiredPages);
    let mut count = 0;
    // SAFETY: the symbol has this signature and the handle is of this library; a count of 0 asks for the count alone, and nothing is
    // then written to the addresses.
    counted(unsafe { ask(handle(device), cause, &raw mut count, ptr::null_mut()) })?;
    Ok(count)
}

/// How many processes compute on it, and the first of them.
pub(super) fn processes(
    nvml: &Nvml,
    device: &Device<'_>,
) -> Result<(u32, [nvmlProcessInfo_t; PROCESSES]), NvmlError> {
    let ask = found!(nvml, nvmlDeviceGetComputeRunningProcesses_v3);
    let none =
        nvmlProcessInfo_t { pid: 0, usedGpuMemory: 0, gpuInstanceId: u32::MAX, computeInstanceId: u32::MAX };
    let mut told = [none; PROCESSES];
    let mut count = u32::try_from(PROCESSES).map_err(|_too_many| NvmlError::InvalidArg)?;
    // SAFETY: the symbol has this signature, the handle is of this library, and `told` holds `count` of them.
    counted(unsafe { ask(handle(device), &raw mut count, told.as_mut_ptr()) })?;
    Ok((count, told))
}

/// A call that has too little room still tells how much it needs.
fn counted(code: nvmlReturn_t) -> Result<(), NvmlError> {
    if code == nvmlReturn_enum_NVML_ERROR_INSUFFICIENT_SIZE { Ok(()) } else { nvml_try(code) }
}
