//! A stand-in for `libnvidia-ml.so.1`: its cards stand in the text file beside it, `<its own path>.state`.
//!
//! Knows NVML's C calls that listing cards needs, and their codes (nvml.h). Refuses to know who asks. Invariant: the
//! file is read at each call, so a test changes a card under a running daemon; a copy of the library under another
//! path is another machine. Lines: `init=9` (`nvmlInit_v2` answers 9), `driver=580.95.05`, `count=3` (else 999),
//! `0.name=…`, `0.memory=…` (bytes; absent: not supported), `0.free=…` (bytes; absent: all of it), `0.temperature=…` and
//! `0.slowdown=…` (degrees; absent: not supported), `0.lost=1`; and `wait_ms=…`, which `nvmlInit_v2` takes to answer.

use std::ffi::{CStr, OsStr, c_char, c_int, c_uint, c_ulonglong, c_void};
use std::os::unix::ffi::OsStrExt;

const SUCCESS: c_int = 0;
const INVALID_ARGUMENT: c_int = 2;
const NOT_SUPPORTED: c_int = 3;
const INSUFFICIENT_SIZE: c_int = 7;
const GPU_IS_LOST: c_int = 15;
const UNKNOWN: c_int = 999;

/// `NVML_TEMPERATURE_THRESHOLD_SLOWDOWN`.
const SLOWDOWN: c_uint = 1;

/// A card's handle is its number and one, since a handle is never null.
type Handle = *mut c_void;

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

/// The value of a key in the state file.
fn stated(key: &str) -> Option<String> {
    let mut state = own_path()?;
    state.push(".state");
    let text = std::fs::read_to_string(state).ok()?;
    text.lines().rev().find_map(|line| line.strip_prefix(key)?.strip_prefix('=').map(str::to_owned))
}

fn number<T: std::str::FromStr>(key: &str) -> Option<T> {
    stated(key)?.parse().ok()
}

/// Where this library was loaded from.
fn own_path() -> Option<std::ffi::OsString> {
    let address: *const c_void = (nvmlInit_v2 as extern "C" fn() -> c_int as *const ()).cast();
    // SAFETY: all-zero bytes are a valid Dl_info: null pointers.
    let mut info: libc::Dl_info = unsafe { std::mem::zeroed() };
    // SAFETY: `info` is writable for the call; dladdr only looks `address` up.
    let found = unsafe { libc::dladdr(address, &raw mut info) };
    if found == 0 || info.dli_fname.is_null() {
        return None;
    }
    // SAFETY: after success dli_fname is a terminated string that lives as long as the library is loaded, and this
    // very library is running.
    let path = unsafe { CStr::from_ptr(info.dli_fname) };
    Some(OsStr::from_bytes(path.to_bytes()).to_owned())
}

fn of(handle: Handle, key: &str) -> String {
    format!("{}.{key}", (handle as usize).saturating_sub(1))
}

/// # Safety
/// `out` is writable for `length` bytes.
unsafe fn put(text: Option<&str>, out: *mut c_char, length: c_uint) -> c_int {
    let Some(text) = text else { return UNKNOWN };
    if text.len() >= length as usize {
        return INSUFFICIENT_SIZE;
    }
    // SAFETY: the caller vouches for `length` bytes, of which the text and its end take no more.
    unsafe {
        std::ptr::copy_nonoverlapping(text.as_ptr().cast(), out, text.len());
        *out.add(text.len()) = 0;
    }
    SUCCESS
}

/// `nvmlInit_v2`.
// SAFETY: no other symbol of this name is linked into this library.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlInit_v2() -> c_int {
    if let Some(wait) = number("wait_ms") {
        std::thread::sleep(std::time::Duration::from_millis(wait));
    }
    number("init").unwrap_or(SUCCESS)
}

/// `nvmlShutdown`.
// SAFETY: as above.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlShutdown() -> c_int {
    SUCCESS
}

/// `nvmlSystemGetDriverVersion`.
///
/// # Safety
/// `out` is writable for `length` bytes.
// SAFETY: as above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlSystemGetDriverVersion(out: *mut c_char, length: c_uint) -> c_int {
    // SAFETY: the caller's promise is the same.
    unsafe { put(stated("driver").as_deref(), out, length) }
}

/// `nvmlDeviceGetCount_v2`.
///
/// # Safety
/// `out` is writable.
// SAFETY: as above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetCount_v2(out: *mut c_uint) -> c_int {
    let Some(count) = number("count") else { return UNKNOWN };
    // SAFETY: the caller vouches for it.
    unsafe { *out = count };
    SUCCESS
}

/// `nvmlDeviceGetHandleByIndex_v2`.
///
/// # Safety
/// `out` is writable.
// SAFETY: as above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetHandleByIndex_v2(index: c_uint, out: *mut Handle) -> c_int {
    if number::<c_uint>("count").is_none_or(|count| index >= count) {
        return INVALID_ARGUMENT;
    }
    let handle = std::ptr::without_provenance_mut(index as usize + 1);
    // SAFETY: the caller vouches for it.
    unsafe { *out = handle };
    if number(&of(handle, "lost")) == Some(1) { GPU_IS_LOST } else { SUCCESS }
}

/// `nvmlDeviceGetName`.
///
/// # Safety
/// `out` is writable for `length` bytes.
// SAFETY: as above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetName(handle: Handle, out: *mut c_char, length: c_uint) -> c_int {
    // SAFETY: the caller's promise is the same.
    unsafe { put(stated(&of(handle, "name")).as_deref(), out, length) }
}

/// `nvmlDeviceGetUUID`.
///
/// # Safety
/// `out` is writable for `length` bytes.
// SAFETY: as above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetUUID(handle: Handle, out: *mut c_char, length: c_uint) -> c_int {
    let uuid = format!("GPU-{:032x}", handle as usize);
    // SAFETY: the caller's promise is the same.
    unsafe { put(Some(&uuid), out, length) }
}

/// `nvmlDeviceGetMemoryInfo_v2`.
///
/// # Safety
/// `out` is writable.
// SAFETY: as above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMemoryInfo_v2(handle: Handle, out: *mut Memory) -> c_int {
    let Some(total) = number(&of(handle, "memory")) else { return NOT_SUPPORTED };
    // SAFETY: the caller vouches for it.
    let out = unsafe { &mut *out };
    let free = number(&of(handle, "free")).unwrap_or(total);
    *out = Memory { version: out.version, total, reserved: 0, free, used: total.saturating_sub(free) };
    SUCCESS
}

/// # Safety
/// `out` is writable.
unsafe fn degrees(handle: Handle, key: &str, out: *mut c_uint) -> c_int {
    let Some(degrees) = number(&of(handle, key)) else { return NOT_SUPPORTED };
    // SAFETY: the caller vouches for it.
    unsafe { *out = degrees };
    SUCCESS
}

/// `nvmlDeviceGetTemperature`; there is one sensor.
///
/// # Safety
/// `out` is writable.
// SAFETY: as above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetTemperature(
    handle: Handle,
    _sensor: c_uint,
    out: *mut c_uint,
) -> c_int {
    // SAFETY: the caller's promise is the same.
    unsafe { degrees(handle, "temperature", out) }
}

/// `nvmlDeviceGetTemperatureThreshold`; of all thresholds, `NVML_TEMPERATURE_THRESHOLD_SLOWDOWN` is known.
///
/// # Safety
/// `out` is writable.
// SAFETY: as above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetTemperatureThreshold(
    handle: Handle,
    kind: c_uint,
    out: *mut c_uint,
) -> c_int {
    if kind != SLOWDOWN {
        return NOT_SUPPORTED;
    }
    // SAFETY: the caller's promise is the same.
    unsafe { degrees(handle, "slowdown", out) }
}
