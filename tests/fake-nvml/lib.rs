//! A stand-in for `libnvidia-ml.so.1`: its cards stand in the text file beside it, `<its own path>.state`.
//!
//! Knows the C calls that the gpu room makes, by NVIDIA's published signatures, and their codes (nvml.h). Refuses to know who asks.
//! Invariant: the file is read at each call, so a test changes a card under a running daemon; a copy of the library under another path is
//! another machine. Of two equal keys the later line counts.
//!
//! The machine: `init=9` (`nvmlInit_v2` answers 9), `wait_ms=…` (which that takes), `driver=580.95.05`, `count=3` (else 999).
//!
//! A card, after its number and a point: `name`, `memory` and `free` (bytes), `temperature`, `margin`, `gpu_max`, `slowdown`, `shutdown`,
//! `mem_max` (degrees), `power`, `limit` (mW), `energy` (mJ), `sm`, `sm_most`, `mem`, `mem_most` (MHz), `reasons` (bits), `busy`,
//! `mem_busy`, `fan` (percent), `fans`, `generation`, `generation_most`, `lanes`, `lanes_most`, `corrected`, `uncorrected`, `remapped`,
//! `remap_pending`, `remap_failed`, `retired`, `field.82` (a value of `NVML_FI_*`), `xid=79` (an event, each time that the line changes;
//! `79#2` is a second one), `processes=1234:1048576,99:2048`, `mig=2` (instances; 0: cut into none) with `mig0.memory` and `mig0.free`. What
//! is absent is not supported, but for `free` (all of it).
//!
//! A number may be a curve, `60@0 90@30`: 60 at first, 90 from 30 s on, straight between; it begins when the file is written, or stands at
//! `clock=…` seconds where that is given. Faults: `0.lost=1`; `fail.nvmlDeviceGetPowerUsage=999`, or `0.fail.…` for one card, answers
//! that code; `hang=nvmlInit_v2`, or `0.hang=nvmlDeviceGetTemperature` or `0.hang=all`, takes as long as the line stands. A symbol that an
//! old driver lacks is taken out of the copy of the library ([`without`]).
#![expect(
    unsafe_code,
    reason = "a library that C calls; nothing shipped has it, and each block has its argument"
)]

use std::{
    ffi::{CStr, OsStr, OsString, c_char, c_int, c_uint, c_ulonglong, c_void},
    os::unix::ffi::OsStrExt,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, SystemTime},
};

pub mod events;
pub mod numbers;
pub mod structures;

pub use structures::sizes;

const SUCCESS: c_int = 0;
const INVALID_ARGUMENT: c_int = 2;
const NOT_SUPPORTED: c_int = 3;
const NOT_FOUND: c_int = 6;
const INSUFFICIENT_SIZE: c_int = 7;
const TIMEOUT: c_int = 10;
const GPU_IS_LOST: c_int = 15;
const UNKNOWN: c_int = 999;

/// A card's handle is its number and one, since a handle is never null; an instance of it has its own number and one in the higher bits.
type Handle = *mut c_void;

const PART: usize = 12;

/// What the calls of this library have taken of processors, in nanoseconds.
static SPENT: AtomicU64 = AtomicU64::new(0);

/// The state file at one moment.
struct State {
    text: String,
    age: Duration,
    _meter: Meter,
}

/// Adds what its thread has taken of a processor to [`SPENT`], when it is dropped.
struct Meter(u64);

impl Meter {
    fn begin() -> Self {
        Self(Self::now())
    }

    fn now() -> u64 {
        // SAFETY: all-zero bytes are a valid timespec.
        let mut time: libc::timespec = unsafe { std::mem::zeroed() };
        // SAFETY: the pointer is to a timespec of this function's own, and the clock is one that every Linux has.
        unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
        time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        SPENT.fetch_add(Self::now().saturating_sub(self.0), Ordering::Relaxed);
    }
}

/// So many nanoseconds of processors the calls of this library have taken since it was loaded, but for what is little: a driver's own time,
/// to be told apart from that of whoever asks. Not one of NVIDIA's.
// SAFETY: no other symbol of this name is linked into this library.
#[unsafe(no_mangle)]
pub extern "C" fn ghostllm_fake_nvml_spent() -> u64 {
    SPENT.load(Ordering::Relaxed)
}

impl State {
    /// Empty where there is no file.
    fn read() -> Self {
        let meter = Meter::begin();
        let (text, age) = Self::of_file().unwrap_or_default();
        Self { text, age, _meter: meter }
    }

    fn of_file() -> Option<(String, Duration)> {
        let mut path = own_path()?;
        path.push(".state");
        let text = std::fs::read_to_string(&path).ok()?;
        let written = std::fs::metadata(&path).ok()?.modified().ok()?;
        Some((text, SystemTime::now().duration_since(written).unwrap_or_default()))
    }

    fn value(&self, key: &str) -> Option<&str> {
        self.text.lines().rev().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
    }

    fn number<T: TryFrom<i64>>(&self, key: &str) -> Option<T> {
        let text = self.value(key)?;
        let number = if text.contains('@') { self.at_curve(text)? } else { text.parse().ok()? };
        T::try_from(number).ok()
    }

    #[expect(clippy::cast_possible_truncation, reason = "a test's curve is of small numbers")]
    fn at_curve(&self, text: &str) -> Option<i64> {
        let clock = self.value("clock").and_then(|seconds| seconds.parse().ok());
        let now: f64 = clock.unwrap_or(self.age.as_secs_f64());
        let mut last: Option<(f64, f64)> = None;
        for point in text.split_whitespace() {
            let (value, at) = point.split_once('@')?;
            let (value, at): (f64, f64) = (value.parse().ok()?, at.parse().ok()?);
            if at >= now {
                let (before, from) = last.unwrap_or((value, at));
                let share = if at > from { (now - from) / (at - from) } else { 1.0 };
                return Some((before + (value - before) * share).round() as i64);
            }
            last = Some((value, at));
        }
        last.map(|(value, _)| value.round() as i64)
    }
}

/// Takes as long as it is to take, and says how it fails, if it does.
fn trouble(symbol: &str, handle: Option<Handle>) -> Result<State, c_int> {
    loop {
        let state = State::read();
        let hangs = |key: &str| state.value(key).is_some_and(|which| which == symbol || which == "all");
        if hangs("hang") || handle.is_some_and(|handle| hangs(&of(handle, "hang"))) {
            thread::sleep(Duration::from_millis(5));
            continue;
        }
        let fail = format!("fail.{symbol}");
        let code = handle.and_then(|handle| state.number(&of(handle, &fail))).or_else(|| state.number(&fail));
        let lost = handle.is_some_and(|handle| state.value(&of(handle, "lost")) == Some("1"));
        return match code {
            Some(code) => Err(code),
            None if lost => Err(GPU_IS_LOST),
            None => Ok(state),
        };
    }
}

/// A copy of this library's file that lacks these symbols, as an old driver's does: their names are overwritten in its table of names, so
/// that the loader does not find them.
///
/// # Errors
/// The name that is not in it.
pub fn without(mut library: Vec<u8>, symbols: &[&str]) -> Result<Vec<u8>, String> {
    for symbol in symbols {
        let name = [b"\0", symbol.as_bytes(), b"\0"].concat();
        let places: Vec<usize> = library
            .windows(name.len())
            .enumerate()
            .filter(|(_, bytes)| *bytes == name)
            .map(|(at, _)| at)
            .collect();
        if places.is_empty() {
            return Err((*symbol).to_owned());
        }
        for at in places {
            if let Some(first) = library.get_mut(at + 1) {
                *first = b'x';
            }
        }
    }
    Ok(library)
}

/// Where this library was loaded from.
fn own_path() -> Option<OsString> {
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

/// The key of something of this card, or of this instance.
fn of(handle: Handle, key: &str) -> String {
    let number = handle.addr();
    let card = (number & ((1 << PART) - 1)).saturating_sub(1);
    match number >> PART {
        0 => format!("{card}.{key}"),
        part => format!("{card}.mig{}.{key}", part - 1),
    }
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

/// What a call answers that has no more to say than how it fails.
fn code(told: Result<(), c_int>) -> c_int {
    told.err().unwrap_or(SUCCESS)
}

/// `nvmlInit_v2`.
// SAFETY: no other symbol of this name is linked into this library.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlInit_v2() -> c_int {
    if let Some(wait) = State::read().number("wait_ms") {
        thread::sleep(Duration::from_millis(wait));
    }
    match trouble("nvmlInit_v2", None) {
        Ok(state) => state.number("init").unwrap_or(SUCCESS),
        Err(code) => code,
    }
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
    unsafe { put(State::read().value("driver"), out, length) }
}

/// `nvmlDeviceGetCount_v2`.
///
/// # Safety
/// `out` is writable.
// SAFETY: as above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetCount_v2(out: *mut c_uint) -> c_int {
    let Some(count) = State::read().number("count") else { return UNKNOWN };
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
    if State::read().number::<c_uint>("count").is_none_or(|count| index >= count) {
        return INVALID_ARGUMENT;
    }
    let handle = std::ptr::without_provenance_mut(index as usize + 1);
    // SAFETY: the caller vouches for it.
    unsafe { *out = handle };
    code(trouble("nvmlDeviceGetHandleByIndex_v2", Some(handle)).map(drop))
}

/// `nvmlDeviceGetName`.
///
/// # Safety
/// `out` is writable for `length` bytes.
// SAFETY: as above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetName(handle: Handle, out: *mut c_char, length: c_uint) -> c_int {
    match trouble("nvmlDeviceGetName", Some(handle)) {
        // SAFETY: the caller's promise is the same.
        Ok(state) => unsafe { put(state.value(&of(handle, "name")), out, length) },
        Err(code) => code,
    }
}

/// `nvmlDeviceGetUUID`.
///
/// # Safety
/// `out` is writable for `length` bytes.
// SAFETY: as above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetUUID(handle: Handle, out: *mut c_char, length: c_uint) -> c_int {
    let uuid = format!("GPU-{:032x}", handle.addr());
    // SAFETY: the caller's promise is the same.
    unsafe { put(Some(&uuid), out, length) }
}
