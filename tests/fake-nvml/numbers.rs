//! The calls that answer with numbers of their own.
//!
//! Knows which key each reads. Invariant: a key that is absent is not supported.

use super::{
    Handle, INVALID_ARGUMENT, NOT_SUPPORTED, SUCCESS, State, c_int, c_uint, c_ulonglong, of, trouble,
};

/// The number under this key, as this call would tell it.
fn told<T: TryFrom<i64>>(symbol: &str, handle: Handle, key: &str) -> Result<T, c_int> {
    trouble(symbol, Some(handle))?.number(&of(handle, key)).ok_or(NOT_SUPPORTED)
}

/// # Safety
/// `out` is writable.
unsafe fn put<T>(told: Result<T, c_int>, out: *mut T) -> c_int {
    match told {
        Ok(number) => {
            // SAFETY: the caller vouches for it.
            unsafe { *out = number };
            SUCCESS
        }
        Err(code) => code,
    }
}

/// Calls of one card, and perhaps of one thing of it, that answer with one number.
macro_rules! calls {
    ($($symbol:ident($($which:ident)?) -> $number:ty = $key:expr;)*) => {$(
        #[doc = concat!("`", stringify!($symbol), "`.")]
        ///
        /// # Safety
        /// `out` is writable.
        // SAFETY: no other symbol of this name is linked into this library.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $symbol(handle: Handle, $($which: c_uint,)? out: *mut $number) -> c_int {
            let key: Option<&str> = $key;
            let told = key.ok_or(INVALID_ARGUMENT).and_then(|key| told(stringify!($symbol), handle, key));
            // SAFETY: the caller's promise is the same.
            unsafe { put(told, out) }
        }
    )*};
}

calls! {
    nvmlDeviceGetTemperature(sensor) -> c_uint = (sensor == 0).then_some("temperature");
    nvmlDeviceGetTemperatureThreshold(kind) -> c_uint = threshold(kind);
    nvmlDeviceGetPowerUsage() -> c_uint = Some("power");
    nvmlDeviceGetEnforcedPowerLimit() -> c_uint = Some("limit");
    nvmlDeviceGetTotalEnergyConsumption() -> c_ulonglong = Some("energy");
    nvmlDeviceGetClockInfo(kind) -> c_uint = clock(kind);
    nvmlDeviceGetMaxClockInfo(kind) -> c_uint = highest(kind);
    nvmlDeviceGetCurrentClocksEventReasons() -> c_ulonglong = Some("reasons");
    nvmlDeviceGetCurrentClocksThrottleReasons() -> c_ulonglong = Some("reasons");
    nvmlDeviceGetNumFans() -> c_uint = Some("fans");
    nvmlDeviceGetFanSpeed_v2(_fan) -> c_uint = Some("fan");
    nvmlDeviceGetCurrPcieLinkGeneration() -> c_uint = Some("generation");
    nvmlDeviceGetMaxPcieLinkGeneration() -> c_uint = Some("generation_most");
    nvmlDeviceGetCurrPcieLinkWidth() -> c_uint = Some("lanes");
    nvmlDeviceGetMaxPcieLinkWidth() -> c_uint = Some("lanes_most");
}

/// `nvmlTemperatureThresholds_t`.
fn threshold(kind: c_uint) -> Option<&'static str> {
    match kind {
        0 => Some("shutdown"),
        1 => Some("slowdown"),
        2 => Some("mem_max"),
        3 => Some("gpu_max"),
        _ => None,
    }
}

/// `nvmlClockType_t`.
fn clock(kind: c_uint) -> Option<&'static str> {
    match kind {
        1 => Some("sm"),
        2 => Some("mem"),
        _ => None,
    }
}

fn highest(kind: c_uint) -> Option<&'static str> {
    match kind {
        1 => Some("sm_most"),
        2 => Some("mem_most"),
        _ => None,
    }
}

/// `nvmlDeviceGetTotalEccErrors`; of both counters the same.
///
/// # Safety
/// `out` is writable.
// SAFETY: as above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetTotalEccErrors(
    handle: Handle,
    kind: c_uint,
    _counter: c_uint,
    out: *mut c_ulonglong,
) -> c_int {
    let key = if kind == 0 { "corrected" } else { "uncorrected" };
    // SAFETY: the caller's promise is the same.
    unsafe { put(told("nvmlDeviceGetTotalEccErrors", handle, key), out) }
}

/// `nvmlDeviceGetRemappedRows`.
///
/// # Safety
/// All four are writable.
// SAFETY: as above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetRemappedRows(
    handle: Handle,
    corrected: *mut c_uint,
    uncorrected: *mut c_uint,
    pending: *mut c_uint,
    failed: *mut c_uint,
) -> c_int {
    let rows = told("nvmlDeviceGetRemappedRows", handle, "remapped");
    let state = State::read();
    let flag = |key: &str| state.number(&of(handle, key)).unwrap_or(0);
    // SAFETY: the caller vouches for all four.
    unsafe {
        (*corrected, *pending, *failed) = (0, flag("remap_pending"), flag("remap_failed"));
        put(rows, uncorrected)
    }
}

/// `nvmlDeviceGetMigMode`.
///
/// # Safety
/// Both are writable.
// SAFETY: as above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMigMode(handle: Handle, now: *mut c_uint, later: *mut c_uint) -> c_int {
    let mode = told("nvmlDeviceGetMigMode", handle, "mig").map(|parts: c_uint| parts.min(1));
    // SAFETY: the caller vouches for both.
    unsafe {
        *later = mode.unwrap_or(0);
        put(mode, now)
    }
}

/// `nvmlDeviceGetMaxMigDeviceCount`: 7, as on every card that can be cut.
///
/// # Safety
/// `out` is writable.
// SAFETY: as above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMaxMigDeviceCount(handle: Handle, out: *mut c_uint) -> c_int {
    let most = told("nvmlDeviceGetMaxMigDeviceCount", handle, "mig").map(|_parts: c_uint| 7);
    // SAFETY: the caller's promise is the same.
    unsafe { put(most, out) }
}
