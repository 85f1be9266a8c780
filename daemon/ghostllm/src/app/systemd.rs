//! The notify protocol (sd_notify(3)): ready, reloading, stopping, how long each may yet take, and where we listen.
//!
//! The addresses are of use to whoever starts us with port 0 and must know what became of it.

use std::{pin::pin, time::Duration};

use sd_notify::{NotifyState, notify};
use tokio::time::timeout;

use super::{Addresses, join};
use crate::tasks::supervisor::Failure;

/// A start or a stop that goes on may take so much longer from each word on, whatever the unit's TimeoutStartSec= and TimeoutStopSec= are;
/// one that hangs says nothing. It is the first of these, and so what a step of a start may take there.
const LONGER: Duration = Duration::from_secs(60);
/// How often that is said: thrice in that time, as a word may be late on a busy machine.
const AGAIN: Duration = Duration::from_secs(20);

/// Says that a start or a stop goes on.
pub(super) fn goes_on() {
    let longer = u32::try_from(LONGER.as_micros()).unwrap_or(u32::MAX);
    tell(&[NotifyState::ExtendTimeoutUsec(longer)]);
}

/// Says so until this is done. A thread that hangs says nothing more.
pub(super) async fn while_it_goes_on<F: Future>(work: F) -> F::Output {
    let mut work = pin!(work);
    loop {
        goes_on();
        if let Ok(done) = timeout(AGAIN, work.as_mut()).await {
            return done;
        }
    }
}

/// Says that requests are answered, and where.
pub(super) fn ready(addresses: &Addresses) {
    let mut lines = vec![format!("X_GHOSTLLM_TLS={}", addresses.tls)];
    lines.extend(addresses.quic.map(|address| format!("X_GHOSTLLM_QUIC={address}")));
    lines.push(format!("X_GHOSTLLM_PLAIN={}", join(&addresses.plain)));
    // The protocol is one of lines of text, which a path need not be.
    let admin = addresses.admin.as_ref().and_then(|path| path.to_str()).filter(|path| !path.contains('\n'));
    lines.extend(admin.map(|path| format!("X_GHOSTLLM_ADMIN={path}")));
    let mut states = vec![NotifyState::Ready];
    states.extend(lines.iter().map(|line| NotifyState::Custom(line)));
    tell(&states);
}

/// What `systemctl status` shows.
pub(super) fn status(line: &str) {
    tell(&[NotifyState::Status(line)]);
}

/// Says that a reload has begun (`RELOADING=1` in sd_notify(3)); [`ready_again`] ends it.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "the service manager could not be told of the reload"),
    }
}

/// Says that a reload is over, however it went.
pub(super) fn ready_again() {
    tell(&[NotifyState::Ready]);
}

/// How soon it ends us where it hears nothing (`WatchdogSec=`), if it does.
pub(super) fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero())
}

/// Says that all goes on.
pub(super) fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// Says that the end has begun, and why, where nobody has asked for it.
pub(super) fn stopping(failure: Option<&Failure>) {
    let words = failure.map_or_else(|| "Finishing open requests".to_owned(), ToString::to_string);
    tell(&[NotifyState::Stopping, NotifyState::Status(&words)]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = notify(states) {
        tracing::warn!(%error, "the service manager could not be told how things stand");
    }
}
