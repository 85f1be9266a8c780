//! How the program stands: where it serves since when, and what is amiss.
//!
//! Knows what others have told it. Refuses to find anything out by itself. Invariant: the service manager and the admin API are told
//! the same.

use std::{
    net::SocketAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use ghostllm_core::admin::{Cause, Listener, Severity};
use time::OffsetDateTime;

use super::{Addresses, systemd};

/// All of it.
#[derive(Debug)]
pub(crate) struct Standing {
    at: SocketAddr,
    since: OffsetDateTime,
    begun: Instant,
    amiss: Mutex<Amiss>,
}

#[derive(Debug, Clone, Default)]
struct Amiss {
    /// The box's name.
    host: String,
    listeners: Vec<Listener>,
    /// What is wanted and not served.
    missing: Vec<String>,
    /// What the certificate lacks, each with what to do.
    left_out: Vec<String>,
    /// Why the configuration on disk is not the one in use.
    refused: Option<String>,
    /// The settings that have changed and need a restart.
    restart: Vec<String>,
    /// State cannot be written.
    unwritable: bool,
    /// The service manager is told from the time on when the program serves.
    serves: bool,
}

impl Standing {
    pub(super) fn new(addresses: &Addresses, listeners: Vec<Listener>, missing: &[String]) -> Self {
        let amiss = Amiss { listeners, missing: missing.to_vec(), ..Amiss::default() };
        Self {
            at: addresses.tls,
            since: OffsetDateTime::now_utc(),
            begun: Instant::now(),
            amiss: Mutex::new(amiss),
        }
    }

    /// It serves.
    pub(super) fn serves(&self, left_out: Vec<String>) {
        self.change(|amiss| (amiss.serves, amiss.left_out) = (true, left_out));
    }

    /// Something that was served is no more.
    pub(super) fn lost(&self, what: &str, kind: &str) {
        self.change(|amiss| {
            amiss.missing.push(what.to_owned());
            for listener in amiss.listeners.iter_mut().filter(|listener| listener.kind == kind) {
                listener.serves = false;
            }
        });
    }

    /// The certificate lacks this now.
    pub(super) fn lacks(&self, left_out: Vec<String>) {
        self.change(|amiss| amiss.left_out = left_out);
    }

    /// The box is called so.
    pub(super) fn is_called(&self, host: &str) {
        host.clone_into(&mut self.amiss().host);
    }

    /// Whether state can be written.
    pub(super) fn writes(&self, writes: bool) {
        self.amiss().unwritable = !writes;
    }

    /// Programs on the box need a key on the plain port, or none.
    pub(super) fn plain_wants_key(&self, wants: bool) {
        for listener in self.amiss().listeners.iter_mut().filter(|listener| listener.kind == "plain") {
            listener.key = wants;
        }
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
        self.amiss().refused.as_deref() == Some(why)
    }

    /// Whether the last configuration that was read was not taken.
    pub(super) fn is_refused(&self) -> bool {
        self.amiss().refused.is_some()
    }

    /// Why the configuration on disk is not in use, and the settings that need a restart.
    pub(crate) fn configuration(&self) -> (Option<String>, Vec<String>) {
        let amiss = self.amiss();
        (amiss.refused.clone(), amiss.restart.clone())
    }

    /// The box's name.
    pub(crate) fn host(&self) -> String {
        self.amiss().host.clone()
    }

    /// Since when it serves, or nearly so.
    pub(crate) fn since(&self) -> OffsetDateTime {
        self.since
    }

    /// How long that is.
    pub(crate) fn uptime(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Where it listens, and where it was to.
    pub(crate) fn listeners(&self) -> Vec<Listener> {
        self.amiss().listeners.clone()
    }

    /// What is amiss.
    pub(crate) fn causes(&self) -> Vec<Cause> {
        let Amiss { missing, left_out, refused, restart, unwritable, .. } = self.amiss().clone();
        let cause = |code: &str, severity, what: String, next: &str| Cause {
            code: code.to_owned(),
            severity,
            what,
            next: next.to_owned(),
        };
        let missing = missing.into_iter().map(|what| {
            let next = "the log says why: journalctl -u ghostllm; then: systemctl restart ghostllm";
            cause("listener_missing", Severity::Warning, format!("{what} is not served"), next)
        });
        let refused = refused.map(|why| {
            let what = format!("the changed configuration is not in use: {why}");
            cause("configuration_refused", Severity::Warning, what, "mend it, then: ghostctl reload")
        });
        let restart = (!restart.is_empty()).then(|| {
            let what = format!("changed settings wait for a restart: {}", restart.join(", "));
            cause("restart_needed", Severity::Note, what, "systemctl restart ghostllm")
        });
        let unwritable = unwritable.then(|| {
            let what = "state cannot be written, so keys and certificates cannot be changed".to_owned();
            cause(
                "state_unwritable",
                Severity::Warning,
                what,
                "make room on its disk; the log names the file",
            )
        });
        let left_out = left_out.into_iter().map(|line| {
            let (what, next) = line.split_once(". ").unwrap_or((&line, "see listen.names"));
            cause("certificate_lacks", Severity::Note, what.to_owned(), next)
        });
        missing.chain(refused).chain(restart).chain(unwritable).chain(left_out).collect()
    }

    fn amiss(&self) -> MutexGuard<'_, Amiss> {
        self.amiss.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Amiss)) {
        let mut amiss = self.amiss();
        change(&mut amiss);
        if !amiss.serves {
            return;
        }
        let Amiss { missing, left_out, refused, restart, .. } = amiss.clone();
        let degraded = (!missing.is_empty()).then(|| format!("degraded, without {}", missing.join(", ")));
        let refused = refused.map(|why| format!("the changed configuration is not in use: {why}"));
        let restart =
            (!restart.is_empty()).then(|| format!("a restart is needed for {}", restart.join(", ")));
        let first = [format!("Serving at {}", self.at)].into_iter();
        let status = first.chain(degraded).chain(refused).chain(restart).chain(left_out);
        systemd::status(&status.collect::<Vec<_>>().join("; "));
    }
}
