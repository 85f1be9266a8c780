//! The calls that answer with a structure.
//!
//! Knows their layouts (nvml.h); a test compares the sizes with those of a real card's library. Invariant: nothing is written beyond what
//! the caller has given.

use super::{
    Handle, INSUFFICIENT_SIZE, INVALID_ARGUMENT, NOT_FOUND, NOT_SUPPORTED, PART, SUCCESS, State, c_char,
    c_int, c_uint, c_ulonglong, code, of, trouble,
};

/// `nvmlMemory_v2_t`.
#[repr(C)]
#[derive(Debug)]
pub struct Memory {
    version: c_uint,
    total: c_ulonglong,
    reserved: c_ulonglong,
    free: c_ulonglong,
    used: c_ulonglong,
}

/// `nvmlMemory_t`.
#[repr(C)]
#[derive(Debug)]
pub struct OlderMemory {
    total: c_ulonglong,
    free: c_ulonglong,
    used: c_ulonglong,
}

/// `nvmlMarginTemperature_v1_t`.
#[repr(C)]
#[derive(Debug)]
pub struct Margin {
    version: c_uint,
    degrees: c_int,
}

/// `nvmlUtilization_t`.
#[repr(C)]
#[derive(Debug)]
pub struct Utilisation {
    core: c_uint,
    memory: c_uint,
}

/// `nvmlFieldValue_t`; the union is read as its widest field.
#[repr(C)]
#[derive(Debug)]
pub struct Field {
    id: c_uint,
    scope: c_uint,
    timestamp: i64,
    latency: i64,
    kind: c_uint,
    code: c_int,
    value: i64,
}

/// `nvmlProcessInfo_v2_t`, which is `nvmlProcessInfo_t`.
#[repr(C)]
#[derive(Debug)]
pub struct Process {
    pid: c_uint,
    memory: c_ulonglong,
    gpu_instance: c_uint,
    compute_instance: c_uint,
}

/// `nvmlPciInfo_t`.
#[repr(C)]
#[derive(Debug)]
pub struct Place {
    legacy: [c_char; 16],
    domain: c_uint,
    bus: c_uint,
    device: c_uint,
    id: c_uint,
    subsystem: c_uint,
    name: [c_char; 32],
}

/// The sizes that a real card's library was asked for as well (tests/recordings/nvml), under their names there.
#[must_use]
pub fn sizes() -> [(&'static str, usize); 6] {
    [
        ("c_nvmlMemory_v2_t", size_of::<Memory>()),
        ("c_nvmlMemory_t", size_of::<OlderMemory>()),
        ("c_nvmlMarginTemperature_v1_t", size_of::<Margin>()),
        ("c_nvmlUtilization_t", size_of::<Utilisation>()),
        ("c_nvmlFieldValue_t", size_of::<Field>()),
        ("c_nvmlProcessInfo_v2_t", size_of::<Process>()),
    ]
}

/// All of its memory and what is free.
fn memory(symbol: &str, handle: Handle) -> Result<(c_ulonglong, c_ulonglong), c_int> {
    let state = trouble(symbol, Some(handle))?;
    let total = state.number(&of(handle, "memory")).ok_or(NOT_SUPPORTED)?;
    Ok((total, state.number(&of(handle, "free")).unwrap_or(total)))
}

/// `nvmlDeviceGetMemoryInfo_v2`; as on a real card, nothing of what is in use is told to be `used`, but `reserved`.
///
/// # Safety
/// `out` is writable.
// SAFETY: no other symbol of this name is linked into this library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMemoryInfo_v2(handle: Handle, out: *mut Memory) -> c_int {
    let (total, free) = match memory("nvmlDeviceGetMemoryInfo_v2", handle) {
        Ok(told) => told,
        Err(code) => return code,
    };
    // SAFETY: the caller vouches for it.
    let out = unsafe { &mut *out };
    *out = Memory { version: out.version, total, reserved: total.saturating_sub(free), free, used: 0 };
    SUCCESS
}

/// `nvmlDeviceGetMemoryInfo`.
///
/// # Safety
/// `out` is writable.
// SAFETY: as above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMemoryInfo(handle: Handle, out: *mut OlderMemory) -> c_int {
    let (total, free) = match memory("nvmlDeviceGetMemoryInfo", handle) {
        Ok(told) => told,
        Err(code) => return code,
    };
    // SAFETY: the caller vouches for it.
    unsafe { *out = OlderMemory { total, free, used: total.saturating_sub(free) } };
    SUCCESS
}

/// `nvmlDeviceGetMarginTemperature`.
///
/// # Safety
/// `out` is writable.
// SAFETY: as above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMarginTemperature(handle: Handle, out: *mut Margin) -> c_int {
    // SAFETY: the caller vouches for it.
    let out = unsafe { &mut *out };
    // NVML_STRUCT_VERSION of nvml.h.
    if out.version as usize != size_of::<Margin>() | (1 << 24) {
        return 25;
    }
    let told = trouble("nvmlDeviceGetMarginTemperature", Some(handle))
        .and_then(|state| state.number(&of(handle, "margin")).ok_or(NOT_SUPPORTED));
    code(told.map(|degrees| out.degrees = degrees))
}

/// `nvmlDeviceGetUtilizationRates`.
///
/// # Safety
/// `out` is writable.
// SAFETY: as above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetUtilizationRates(handle: Handle, out: *mut Utilisation) -> c_int {
    let told = trouble("nvmlDeviceGetUtilizationRates", Some(handle)).and_then(|state| {
        let core = state.number(&of(handle, "busy")).ok_or(NOT_SUPPORTED)?;
        Ok(Utilisation { core, memory: state.number(&of(handle, "mem_busy")).unwrap_or(0) })
    });
    let told = match told {
        Ok(told) => told,
        Err(code) => return code,
    };
    // SAFETY: the caller vouches for it.
    unsafe { *out = told };
    SUCCESS
}

/// `nvmlDeviceGetFieldValues`.
///
/// # Safety
/// `values` holds `count` of them.
// SAFETY: as above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetFieldValues(handle: Handle, count: c_int, values: *mut Field) -> c_int {
    let state = match trouble("nvmlDeviceGetFieldValues", Some(handle)) {
        Ok(state) => state,
        Err(code) => return code,
    };
    let Ok(count) = usize::try_from(count) else { return INVALID_ARGUMENT };
    // SAFETY: the caller vouches for them.
    let values = unsafe { std::slice::from_raw_parts_mut(values, count) };
    for value in values {
        let told: Option<i64> = state.number(&of(handle, &format!("field.{}", value.id)));
        // NVML_VALUE_TYPE_SIGNED_INT, as of limits, or UNSIGNED_INT, as of the memory's temperature: each has the low half.
        value.kind = if (193..=196).contains(&value.id) { 5 } else { 1 };
        (value.code, value.value) = match told {
            Some(told) => (SUCCESS, told & 0xffff_ffff),
            None => (NOT_SUPPORTED, 0),
        };
    }
    SUCCESS
}

/// `nvmlDeviceGetRetiredPages`, which tells but their number.
///
/// # Safety
/// `count` is writable.
// SAFETY: as above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetRetiredPages(
    handle: Handle,
    cause: c_uint,
    count: *mut c_uint,
    addresses: *mut c_ulonglong,
) -> c_int {
    let told = trouble("nvmlDeviceGetRetiredPages", Some(handle))
        .and_then(|state| state.number::<c_uint>(&of(handle, "retired")).ok_or(NOT_SUPPORTED));
    // All of them for the one cause.
    let pages = match (told, cause) {
        (Err(code), _) => return code,
        (Ok(pages), 1) => pages,
        (Ok(_), _) => 0,
    };
    // SAFETY: the caller vouches for it.
    unsafe { *count = pages };
    if pages > 0 && addresses.is_null() { INSUFFICIENT_SIZE } else { SUCCESS }
}

/// `nvmlDeviceGetComputeRunningProcesses_v3`.
///
/// # Safety
/// `out` is writable for `count` of them.
// SAFETY: as above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetComputeRunningProcesses_v3(
    handle: Handle,
    count: *mut c_uint,
    out: *mut Process,
) -> c_int {
    let state = match trouble("nvmlDeviceGetComputeRunningProcesses_v3", Some(handle)) {
        Ok(state) => state,
        Err(code) => return code,
    };
    let Some(listed) = state.value(&of(handle, "processes")).map(str::to_owned) else { return NOT_SUPPORTED };
    let listed: Vec<_> = listed.split(',').filter_map(|one| one.split_once(':')).collect();
    // SAFETY: the caller vouches for both.
    let room = unsafe { *count } as usize;
    // SAFETY: as above.
    unsafe { *count = c_uint::try_from(listed.len()).unwrap_or(c_uint::MAX) };
    for (place, (pid, memory)) in listed.iter().take(room).enumerate() {
        let (pid, memory) = (pid.parse().unwrap_or(0), memory.parse().unwrap_or(c_ulonglong::MAX));
        let process = Process { pid, memory, gpu_instance: c_uint::MAX, compute_instance: c_uint::MAX };
        // SAFETY: `place` is below what the caller vouches for.
        unsafe { out.add(place).write(process) };
    }
    if listed.len() > room { INSUFFICIENT_SIZE } else { SUCCESS }
}

/// `nvmlDeviceGetMigDeviceHandleByIndex`.
///
/// # Safety
/// `out` is writable.
// SAFETY: as above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMigDeviceHandleByIndex(
    handle: Handle,
    index: c_uint,
    out: *mut Handle,
) -> c_int {
    let parts: usize = State::read().number(&of(handle, "mig")).unwrap_or(0);
    if index as usize >= parts {
        return NOT_FOUND;
    }
    let part = handle.addr() | ((index as usize + 1) << PART);
    // SAFETY: the caller vouches for it.
    unsafe { *out = std::ptr::without_provenance_mut(part) };
    SUCCESS
}

/// `nvmlDeviceGetPciInfo_v3`: the first card is at `00000000:01:00.0`.
///
/// # Safety
/// `out` is writable.
// SAFETY: as above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetPciInfo_v3(handle: Handle, out: *mut Place) -> c_int {
    let number = handle.addr();
    let mut place = Place {
        legacy: [0; 16],
        domain: 0,
        bus: c_uint::try_from(number).unwrap_or(0),
        device: 0,
        id: 0x2684_10de,
        subsystem: 0,
        name: [0; 32],
    };
    for (to, from) in place.name.iter_mut().zip(format!("00000000:{number:02X}:00.0").bytes()) {
        *to = c_char::from_ne_bytes([from]);
    }
    for (to, from) in place.legacy.iter_mut().zip(format!("0000:{number:02X}:00.0").bytes()) {
        *to = c_char::from_ne_bytes([from]);
    }
    // SAFETY: the caller vouches for it.
    unsafe { *out = place };
    SUCCESS
}
