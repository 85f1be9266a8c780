//! The notify protocol (sd_notify(3)): ready, reloading, stopping, and where we listen.
//!
//! The addresses are of use to whoever starts us with port 0 and must know what became of it.

use std::{
    net::SocketAddr,
    sync::{Mutex, PoisonError},
};

use sd_notify::{NotifyState, notify};

use super::{Addresses, join};

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

/// What `systemctl status` shows while it serves: where, and what is amiss. Told anew with every change.
pub(super) struct Standing {
    at: SocketAddr,
    amiss: Mutex<Amiss>,
}

#[derive(Clone, Default)]
struct Amiss {
    /// What is wanted and not served.
    missing: Vec<String>,
    /// What the certificate lacks, each with what to do.
    left_out: Vec<String>,
    /// Why the configuration on disk is not the one in use.
    refused: Option<String>,
    /// The settings that have changed and need a restart.
    restart: Vec<String>,
}

impl Standing {
    pub(super) fn tell(addresses: &Addresses, missing: &[String], left_out: Vec<String>) -> Self {
        let amiss = Amiss { missing: missing.to_vec(), left_out, ..Amiss::default() };
        let standing = Self { at: addresses.tls, amiss: Mutex::new(amiss) };
        standing.change(|_as_it_is| {});
        standing
    }

    /// Something that was served is no more.
    pub(super) fn lost(&self, what: &str) {
        self.change(|amiss| amiss.missing.push(what.to_owned()));
    }

    /// The certificate lacks this now.
    pub(super) fn lacks(&self, left_out: Vec<String>) {
        self.change(|amiss| amiss.left_out = left_out);
    }

    /// The configuration on disk was not taken, or it was, but for the settings that need a restart; what the certificate lacks
    /// now.
    pub(super) fn reloaded(&self, outcome: Result<Vec<String>, String>, left_out: Vec<String>) {
        self.change(|amiss| {
            amiss.left_out = left_out;
            match outcome {
                Ok(restart) => (amiss.refused, amiss.restart) = (None, restart),
                Err(why) => amiss.refused = Some(why),
            }
        });
    }

    /// Whether the configuration that was read last was not taken for this very reason.
    pub(super) fn is_refused_for(&self, why: &str) -> bool {
        self.amiss.lock().unwrap_or_else(PoisonError::into_inner).refused.as_deref() == Some(why)
    }

    /// Whether the last configuration that was read was not taken.
    pub(super) fn is_refused(&self) -> bool {
        self.amiss.lock().unwrap_or_else(PoisonError::into_inner).refused.is_some()
    }

    fn change(&self, change: impl FnOnce(&mut Amiss)) {
        let mut amiss = self.amiss.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut amiss);
        let Amiss { missing, left_out, refused, restart } = amiss.clone();
        let degraded = (!missing.is_empty()).then(|| format!("degraded, without {}", missing.join(", ")));
        let refused = refused.map(|why| format!("the changed configuration is not in use: {why}"));
        let restart =
            (!restart.is_empty()).then(|| format!("a restart is needed for {}", restart.join(", ")));
        let first = [format!("Serving at {}", self.at)].into_iter();
        let status = first.chain(degraded).chain(refused).chain(restart).chain(left_out);
        tell(&[NotifyState::Status(&status.collect::<Vec<_>>().join("; "))]);
    }
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

/// Says that the end has begun.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("Finishing open requests")]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = notify(states) {
        tracing::warn!(%error, "the service manager could not be told how things stand");
    }
}
