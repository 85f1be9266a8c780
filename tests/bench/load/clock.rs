//! The clock that all processes of a machine share.

use nix::time::{ClockId, clock_gettime};

/// `CLOCK_MONOTONIC` in nanoseconds.
#[expect(clippy::cast_possible_truncation, reason = "nanoseconds since the boot fit for 500 years")]
pub(crate) fn now() -> u64 {
    clock_gettime(ClockId::CLOCK_MONOTONIC)
        .map_or(0, |time| std::time::Duration::from(time).as_nanos() as u64)
}

/// Microseconds from `then`, which another process may have read.
#[expect(clippy::cast_precision_loss, reason = "differences are small")]
pub(crate) fn micros_since(then: u64) -> f64 {
    now().saturating_sub(then) as f64 / 1000.0
}
