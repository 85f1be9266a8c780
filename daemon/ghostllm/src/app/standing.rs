//! How the program stands: where it serves since when, and what is amiss.
//!
//! Knows what others have told it. Refuses to find anything out by itself. Invariant: the service manager and the admin API are told
//! the same.

use std::{
    net::SocketAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use ghostllm_core::{
    admin::{Cause, Listener, Severity},
    cgroup::{Memory, Room},
};
use ghostllm_edge::room::Lack;
use time::OffsetDateTime;

use super::{Addresses, systemd};
use crate::{certificates::Complaint, tasks::room::Gauged};

/// All of it.
#[derive(Debug)]
pub(crate) struct Standing {
    at: SocketAddr,
    since: OffsetDateTime,
    begun: Instant,
    amiss: Mutex<Amiss>,
}

/// What is wanted and not served.
#[derive(Debug, Clone)]
pub(super) struct Missing {
    /// What, such as `HTTP/3`.
    pub(super) what: String,
    /// Why, and what to do, where that is known.
    pub(super) why: Option<(String, String)>,
}

/// What is served as soon as the box has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Away {
    /// What, such as `IPv6`.
    pub(super) what: String,
    /// The addresses that nobody reaches meanwhile.
    pub(super) at: Vec<SocketAddr>,
    /// Why.
    pub(super) why: String,
    /// What to do.
    pub(super) next: String,
}

impl From<&str> for Missing {
    fn from(what: &str) -> Self {
        Self { what: what.to_owned(), why: None }
    }
}

#[derive(Debug, Clone, Default)]
struct Amiss {
    /// The box's name.
    host: String,
    listeners: Vec<Listener>,
    /// What is wanted and not served.
    missing: Vec<Missing>,
    /// What is wanted and cannot be reached now, since the box has not got it.
    away: Vec<Away>,
    /// What the certificate lacks, each with what to do.
    left_out: Vec<String>,
    /// What is wrong with the certificate or its CA.
    certificate: Option<Complaint>,
    /// Why the configuration on disk is not the one in use.
    refused: Option<String>,
    /// The settings that have changed and need a restart.
    restart: Vec<String>,
    /// State cannot be written.
    unwritable: bool,
    /// Acts cannot be written to the audit log.
    unaudited: bool,
    /// What requests have used cannot be written.
    unkept: bool,
    /// Of some months what requests have used is counted anew.
    anew: Option<Cause>,
    /// Why the webhook was not told, where it was not.
    unsent: Option<String>,
    /// What gives no sign of life.
    late: Vec<String>,
    /// What is known of the memory.
    memory: Gauged,
    /// Why no connection is accepted.
    paused: Option<Lack>,
    /// What is wrong with the backends, in words; only the service manager hears it from here.
    engines: Vec<String>,
    /// The service manager is told from the time on when the program serves.
    serves: bool,
}

/// The code of what is wanted and not served.
const MISSING: &str = "listener_missing";
/// The code of a webhook that was not told.
pub(crate) const UNSENT: &str = "alerts_unsent";
/// What state that cannot be written means.
const UNWRITABLE: &str = "state cannot be written, so keys and certificates cannot be changed";
/// What an audit log that cannot be written means.
const UNAUDITED: &str = "the audit log cannot be written, so no act of an admin is done";
/// What usage that cannot be written means.
const UNKEPT: &str =
    "what requests have used cannot be written, and is lost where the program ends before it can";

impl Standing {
    pub(super) fn new(addresses: &Addresses, listeners: Vec<Listener>, missing: Vec<Missing>) -> Self {
        let amiss = Amiss { listeners, missing, ..Amiss::default() };
        Self {
            at: addresses.tls,
            since: OffsetDateTime::now_utc(),
            begun: Instant::now(),
            amiss: Mutex::new(amiss),
        }
    }

    /// It serves.
    pub(super) fn serves(&self) {
        self.change(|amiss| amiss.serves = true);
    }

    /// Something that was served is no more.
    pub(super) fn lost(&self, what: &str, kind: &str) {
        self.change(|amiss| {
            amiss.missing.push(what.into());
            for listener in amiss.listeners.iter_mut().filter(|listener| listener.kind == kind) {
                listener.serves = false;
            }
        });
    }

    /// These are away now, and no others.
    pub(super) fn away(&self, away: &[Away]) {
        if self.amiss().away != away {
            self.change(|amiss| amiss.away = away.to_vec());
        }
    }

    /// The certificate lacks this now, and this is wrong with it or its CA.
    pub(super) fn certified(&self, left_out: Vec<String>, complaint: Option<&Complaint>) {
        let news = {
            let amiss = self.amiss();
            amiss.left_out != left_out || amiss.certificate.as_ref() != complaint
        };
        if news {
            let certificate = complaint.cloned();
            self.change(|amiss| (amiss.left_out, amiss.certificate) = (left_out, certificate));
        }
    }

    /// The box is called so.
    pub(super) fn is_called(&self, host: &str) {
        host.clone_into(&mut self.amiss().host);
    }

    /// Whether state can be written.
    pub(crate) fn writes(&self, writes: bool) {
        if self.amiss().unwritable == writes {
            self.change(|amiss| amiss.unwritable = !writes);
        }
    }

    /// Whether acts can be written to the audit log.
    pub(crate) fn audits(&self, audits: bool) {
        if self.amiss().unaudited == audits {
            self.change(|amiss| amiss.unaudited = !audits);
        }
    }

    /// Whether what requests have used can be written.
    pub(crate) fn keeps_usage(&self, keeps: bool) {
        if self.amiss().unkept == keeps {
            self.change(|amiss| amiss.unkept = !keeps);
        }
    }

    /// Why the webhook of `[alerts]` was not told what is amiss, if it was not.
    pub(crate) fn tells(&self, unsent: Option<String>) {
        if self.amiss().unsent != unsent {
            self.change(|amiss| amiss.unsent = unsent);
        }
    }

    /// That of some months it is counted anew what requests have used, if it is.
    pub(crate) fn counts_anew(&self, anew: Option<Cause>) {
        if self.amiss().anew != anew {
            self.change(|amiss| amiss.anew = anew);
        }
    }

    /// So much memory is used, which means that. Whether what it means is new.
    pub(crate) fn gauged(&self, now: Gauged) -> bool {
        let is_new = match (&self.amiss().memory, &now) {
            (Gauged::Limited(_, before, had), Gauged::Limited(_, room, has)) => {
                before != room || had.map(|own| own.goes_on) != has.map(|own| own.goes_on)
            }
            (Gauged::Promised(_), Gauged::Promised(_)) => false,
            (before, now) => before != now,
        };
        if is_new {
            self.change(|amiss| amiss.memory = now);
        } else {
            self.amiss().memory = now;
        }
        is_new
    }

    /// How much memory is used; none where it has no limit that is known.
    pub(crate) fn memory(&self) -> Option<Memory> {
        match self.amiss().memory {
            Gauged::Limited(memory, ..) | Gauged::Promised(memory) => Some(memory),
            Gauged::Unlimited | Gauged::Unknown(_) => None,
        }
    }

    /// Why no connection is accepted, if none is.
    pub(crate) fn pauses(&self, paused: Option<Lack>) {
        if self.amiss().paused != paused {
            self.change(|amiss| amiss.paused = paused);
        }
    }

    /// This is amiss with the backends now. A mere note is none for the service manager.
    pub(super) fn engines(&self, causes: &[Cause]) {
        let bad = causes.iter().filter(|cause| cause.severity >= Severity::Warning);
        let engines: Vec<String> = bad.map(|cause| cause.what.clone()).collect();
        if self.amiss().engines != engines {
            self.change(|amiss| amiss.engines = engines);
        }
    }

    /// These give no sign of life, or none any more.
    pub(super) fn late(&self, late: &[String]) {
        if self.amiss().late != late {
            self.change(|amiss| late.clone_into(&mut amiss.late));
        }
    }

    /// Whether this one gives none.
    pub(crate) fn is_late(&self, name: &str) -> bool {
        self.amiss().late.iter().any(|late| late == name)
    }

    /// Programs on the box need a key on the plain port, or none.
    pub(super) fn plain_wants_key(&self, wants: bool) {
        for listener in self.amiss().listeners.iter_mut().filter(|listener| listener.kind == "plain") {
            listener.key = wants;
        }
    }

    /// The configuration on disk was not taken, or it was, but for the settings that need a restart.
    pub(super) fn reloaded(&self, outcome: Result<Vec<String>, String>) {
        self.change(|amiss| match outcome {
            Ok(restart) => (amiss.refused, amiss.restart) = (None, restart),
            Err(why) => amiss.refused = Some(why),
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
        let Amiss { mut listeners, away, .. } = self.amiss().clone();
        let unreached: Vec<_> = away.iter().flat_map(|away| &away.at).map(ToString::to_string).collect();
        for listener in &mut listeners {
            listener.serves &= !unreached.contains(&listener.address);
        }
        listeners
    }

    /// What is amiss.
    pub(crate) fn causes(&self) -> Vec<Cause> {
        self.amiss().causes()
    }

    fn amiss(&self) -> MutexGuard<'_, Amiss> {
        self.amiss.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Amiss)) {
        let mut amiss = self.amiss();
        change(&mut amiss);
        if amiss.serves {
            systemd::status(&amiss.status(self.at));
        }
    }
}

impl Amiss {
    /// One by one.
    fn causes(&self) -> Vec<Cause> {
        let Amiss { missing, away, left_out, certificate, refused, restart, late, memory, paused, .. } =
            self.clone();
        let scarce = short(&memory).into_iter().chain(paused.map(pause));
        let late = (!late.is_empty()).then(|| {
            let next = "systemctl restart ghostllm, which its watchdog does by itself";
            cause("hangs", Severity::Error, format!("no sign of life of {}", late.join(", ")), next)
        });
        let missing = missing.into_iter().map(|Missing { what, why }| {
            let next = "the log says why: journalctl -u ghostllm; then: systemctl restart ghostllm";
            let (why, next) =
                why.map_or((String::new(), next.to_owned()), |(why, next)| (format!(": {why}"), next));
            cause(MISSING, Severity::Warning, format!("{what} is not served{why}"), &next)
        });
        let away = away.into_iter().map(|Away { what, why, next, .. }| {
            cause(MISSING, Severity::Warning, format!("{what} is not served now: {why}"), &next)
        });
        let certificate = certificate.map(|Complaint { ended, what, next }| {
            let severity = if ended { Severity::Error } else { Severity::Warning };
            cause("certificate", severity, what, &next)
        });
        let refused = refused.map(|why| {
            let what = format!("the changed configuration is not in use: {why}");
            cause("configuration_refused", Severity::Warning, what, "mend it, then: ghostctl reload")
        });
        let restart = (!restart.is_empty()).then(|| {
            let what = format!("a restart is needed for {}", restart.join(", "));
            cause("restart_needed", Severity::Note, what, "systemctl restart ghostllm")
        });
        let left_out = left_out.into_iter().map(|line| {
            let (what, next) = line.split_once(". ").unwrap_or((&line, "see listen.names"));
            cause("certificate_lacks", Severity::Note, what.to_owned(), next)
        });
        let whole = late
            .into_iter()
            .chain(scarce)
            .chain(missing)
            .chain(away)
            .chain(certificate)
            .chain(refused)
            .chain(restart);
        whole.chain(self.unkept()).chain(left_out).collect()
    }

    /// What should be written, or told, and is not.
    fn unkept(&self) -> Vec<Cause> {
        let room = "make room on its disk (df -h); the log names the file: journalctl -u ghostllm";
        let warning = |code, what: &str| cause(code, Severity::Warning, what.to_owned(), room);
        let unwritable = self.unwritable.then(|| warning("state_unwritable", UNWRITABLE));
        let unaudited = self.unaudited.then(|| warning("audit_unwritable", UNAUDITED));
        let unkept = self.unkept.then(|| warning("usage_unwritable", UNKEPT));
        let unsent = self.unsent.as_ref().map(|why| {
            let what = format!("the webhook of [alerts] was not told what is amiss: {why}");
            let next = "see that it answers, or correct [alerts]; it is tried again meanwhile";
            cause(UNSENT, Severity::Warning, what, next)
        });
        let all = [unwritable, unaudited, unkept, self.anew.clone(), unsent];
        all.into_iter().flatten().collect()
    }

    /// In one line, of which systemctl shows the beginning.
    fn status(&self, at: SocketAddr) -> String {
        let missing = self.missing.iter().map(|missing| missing.what.as_str());
        let missing: Vec<_> = missing.chain(self.away.iter().map(|away| away.what.as_str())).collect();
        let degraded = (!missing.is_empty()).then(|| format!("degraded, without {}", missing.join(", ")));
        let others = self.causes().into_iter().filter(|cause| cause.code != MISSING).map(|cause| cause.what);
        let first = std::iter::once(format!("Serving at {at}"));
        first.chain(degraded).chain(self.engines.iter().cloned()).chain(others).collect::<Vec<_>>().join("; ")
    }
}

/// What is amiss with the memory.
fn short(memory: &Gauged) -> Option<Cause> {
    let next = "ghostctl requests ls says who is there; give it more (MemoryMax= of its unit, the limit of its container), or let \
                in fewer: limits.connections, limits.streams";
    let (memory, then, own) = match memory {
        Gauged::Unlimited | Gauged::Limited(_, Room::Enough, _) => return None,
        Gauged::Limited(memory, Room::Short, own) if own.is_some_and(|own| own.goes_on) => {
            (memory, "others have filled it, and chats go on up to limits.memory_drop", own)
        }
        Gauged::Limited(memory, Room::Short, own) => (memory, "new chats are refused", own),
        Gauged::Promised(memory) => {
            let then = "the chats that are open may take the rest, and new chats are refused";
            (memory, then, &None)
        }
        Gauged::Limited(memory, Room::Dire, own) => {
            (memory, "new chats are refused, and connections wait or are closed", own)
        }
        Gauged::Unknown(why) => {
            let what =
                format!("how much memory this program may have cannot be read, so it is not kept to: {why}");
            let next = "see who may read /proc/self/cgroup, /proc/self/mountinfo and the memory files below /sys/fs/cgroup";
            return Some(cause("memory_unknown", Severity::Note, what, next));
        }
    };
    // The engine, which is in the same group, may have the rest.
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let whose =
        own.map(|own| format!(" (this program and the sockets have {:.1} MiB of it)", mib(own.bytes)));
    let whose = whose.unwrap_or_default();
    Some(cause("memory_short", Severity::Warning, format!("memory is short, {memory}: {then}{whose}"), next))
}

/// That no connection is accepted.
fn pause(lack: Lack) -> Cause {
    let next = match lack {
        Lack::Memory => "as for memory_short",
        Lack::Descriptors => {
            "give it more (LimitNOFILE= in its unit, ulimit -n in its shell), or set limits.connections lower"
        }
    };
    let what = format!("no connection is accepted but the admin's, for want of {}", lack.name());
    cause("listener_paused", Severity::Warning, what, next)
}

fn cause(code: &str, severity: Severity, what: String, next: &str) -> Cause {
    Cause { code: code.to_owned(), severity, what, next: next.to_owned() }
}
