//! What the service manager is told (sd_notify(3)): that requests are answered, that the end has begun, and that all goes on.
//!
//! Knows the notify protocol. Refuses to know what the threads do. Invariant: it hears that all goes on only while the thread that serves
//! has its turns and the one that infers is not late. Where there is no service manager nothing is said.

use crate::pulse::Pulse;
use sd_notify::{NotifyState, notify};
use std::time::Duration;

/// How often it is told, in the time after which it ends us (`WatchdogSec=`): a word may be late on a busy machine.
const SIGNS: u32 = 4;
/// How long the inference thread may take for its last step, once its askers are gone; one that takes longer is killed in it.
const LAST_STEP: Duration = Duration::from_secs(15);

/// Says that requests are answered, and of how many models.
pub fn ready(models: usize) {
    let status = format!("Serving; models: {models}");
    tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
}

/// Says that the end has begun, and that it may take until `grace` is over and the inference thread has come to the end of its step, whatever
/// the unit's `TimeoutStopSec=` is: it cannot know of a `--limit grace=`.
pub fn stopping(grace: Duration) {
    let longest = u32::try_from(grace.saturating_add(LAST_STEP).as_micros()).unwrap_or(u32::MAX);
    tell(&[
        NotifyState::Stopping,
        NotifyState::Status("Finishing requests that run"),
        NotifyState::ExtendTimeoutUsec(longest),
    ]);
}

/// Says again and again that all goes on, as long as it does; for ever. To be polled by the thread that serves, so that its own hanging is
/// heard as well.
pub async fn feed(pulse: &Pulse) {
    let limit = sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero());
    let Some(limit) = limit else { return std::future::pending().await };
    let mut before = false;
    loop {
        let late = pulse.is_late();
        if late != before {
            said(late, limit);
        }
        if !late {
            tell(&[NotifyState::Watchdog]);
        }
        before = late;
        tokio::time::sleep(limit / SIGNS).await;
    }
}

fn said(late: bool, limit: Duration) {
    if late {
        tracing::error!(
            "no sign of life of the inference thread, though it works (--limit silence=): within {limit:?} the service manager ends \
             the engine and starts it anew"
        );
    } else {
        tracing::info!("the inference thread goes on again");
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = notify(states) {
        tracing::warn!("the service manager could not be told how things stand: {error}");
    }
}
