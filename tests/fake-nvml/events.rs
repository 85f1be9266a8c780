//! Events: Xids.
//!
//! Knows which ones each set has told. Invariant: what stood in the file when a card was registered is no event.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use super::{Handle, SUCCESS, State, TIMEOUT, c_int, c_uint, c_ulonglong, code, of, trouble};

/// `nvmlEventTypeXidCriticalError`.
const XID: c_ulonglong = 8;

/// What `nvmlEventSet_t` points to: the cards that are registered, each with the line that was told last.
#[derive(Debug, Default)]
pub struct Set(Mutex<HashMap<usize, String>>);

/// `nvmlEventData_t`.
#[repr(C)]
#[derive(Debug)]
pub struct Event {
    device: Handle,
    kind: c_ulonglong,
    number: c_ulonglong,
    gpu_instance: c_uint,
    compute_instance: c_uint,
}

fn line(state: &State, handle: Handle) -> String {
    state.value(&of(handle, "xid")).unwrap_or_default().to_owned()
}

/// `nvmlEventSetCreate`.
///
/// # Safety
/// `out` is writable.
// SAFETY: no other symbol of this name is linked into this library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlEventSetCreate(out: *mut *mut Set) -> c_int {
    // SAFETY: the caller vouches for it.
    unsafe { *out = Box::into_raw(Box::default()) };
    SUCCESS
}

/// `nvmlEventSetFree`.
///
/// # Safety
/// `set` is of `nvmlEventSetCreate` and used no more.
// SAFETY: as above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlEventSetFree(set: *mut Set) -> c_int {
    // SAFETY: the caller vouches for it.
    drop(unsafe { Box::from_raw(set) });
    SUCCESS
}

/// `nvmlDeviceRegisterEvents`.
///
/// # Safety
/// `set` is of `nvmlEventSetCreate`.
// SAFETY: as above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceRegisterEvents(
    handle: Handle,
    _kinds: c_ulonglong,
    set: *mut Set,
) -> c_int {
    // SAFETY: the caller vouches for it.
    let set = unsafe { &*set };
    code(trouble("nvmlDeviceRegisterEvents", Some(handle)).map(|state| {
        set.0.lock().unwrap_or_else(PoisonError::into_inner).insert(handle.addr(), line(&state, handle));
    }))
}

/// `nvmlEventSetWait_v2`.
///
/// # Safety
/// `set` is of `nvmlEventSetCreate`, and `out` is writable.
// SAFETY: as above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlEventSetWait_v2(set: *mut Set, out: *mut Event, milliseconds: c_uint) -> c_int {
    // SAFETY: the caller vouches for it.
    let set = unsafe { &*set };
    let until = Instant::now() + Duration::from_millis(milliseconds.into());
    loop {
        let state = State::read();
        for (card, told) in set.0.lock().unwrap_or_else(PoisonError::into_inner).iter_mut() {
            let device = std::ptr::without_provenance_mut(*card);
            let line = line(&state, device);
            let number = line.split('#').next().and_then(|number| number.parse().ok());
            if let Some(number) = number.filter(|_| line != *told) {
                *told = line;
                let event =
                    Event { device, kind: XID, number, gpu_instance: u32::MAX, compute_instance: u32::MAX };
                // SAFETY: the caller vouches for it.
                unsafe { *out = event };
                return SUCCESS;
            }
        }
        if Instant::now() >= until {
            return TIMEOUT;
        }
        thread::sleep(Duration::from_millis(5));
    }
}
