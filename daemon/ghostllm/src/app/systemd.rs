//! The notify protocol (sd_notify(3)): ready, stopping, and where we listen.
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
    let mut states = vec![NotifyState::Ready];
    states.extend(lines.iter().map(|line| NotifyState::Custom(line)));
    tell(&states);
}

/// What `systemctl status` shows while it serves: where, and what is amiss. Told anew with every change.
pub(super) struct Standing {
    at: SocketAddr,
    amiss: Mutex<Amiss>,
}

#[derive(Clone)]
struct Amiss {
    /// What is wanted and not served.
    missing: Vec<String>,
    /// What the certificate lacks, each with what to do.
    left_out: Vec<String>,
}

impl Standing {
    pub(super) fn tell(addresses: &Addresses, missing: &[String], left_out: Vec<String>) -> Self {
        let amiss = Amiss { missing: missing.to_vec(), left_out };
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

    fn change(&self, change: impl FnOnce(&mut Amiss)) {
        let mut amiss = self.amiss.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut amiss);
        let Amiss { missing, left_out } = amiss.clone();
        let degraded = (!missing.is_empty()).then(|| format!("degraded, without {}", missing.join(", ")));
        let status = [format!("Serving at {}", self.at)].into_iter().chain(degraded).chain(left_out);
        tell(&[NotifyState::Status(&status.collect::<Vec<_>>().join("; "))]);
    }
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
