//! What the daemon knows of itself.

use std::{fs, os::unix::fs::FileTypeExt};

use ghostllm_core::admin::{Cause, KeyState, Severity, wrong};
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};

use super::{Check, Finding, Needs, der, repair::Repair, seen::Seen};
use crate::{
    exit::{Exit, Failure},
    socket,
};

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "daemon",
        looks_at: "the daemon answers on its admin socket",
        needs: Needs::Nothing,
        look: daemon,
    },
    Check {
        id: "version",
        looks_at: "the daemon and ghostctl are of one version",
        needs: Needs::Daemon,
        look: version,
    },
    Check {
        id: "status",
        looks_at: "the daemon names nothing that is amiss",
        needs: Needs::Daemon,
        look: status,
    },
    Check {
        id: "listeners",
        looks_at: "every listener that is wanted serves",
        needs: Needs::Daemon,
        look: listeners,
    },
    Check {
        id: "certificate",
        looks_at: "the certificate lasts for two weeks and more",
        needs: Needs::Daemon,
        look: certificate,
    },
    Check {
        id: "authority",
        looks_at: "the box's CA lasts for two weeks and more",
        needs: Needs::Daemon,
        look: authority,
    },
    Check {
        id: "backends",
        looks_at: "every backend that was asked answers",
        needs: Needs::Daemon,
        look: backends,
    },
    Check {
        id: "keys",
        looks_at: "no key has ended or ends within a week",
        needs: Needs::Daemon,
        look: keys,
    },
    Check { id: "audit", looks_at: "the audit log can be read", needs: Needs::Daemon, look: audit },
];

/// What ends sooner is said.
const SOON: Duration = Duration::days(14);
/// The same for keys, which people renew by hand.
const KEY_SOON: Duration = Duration::days(7);

fn daemon(seen: &Seen) -> Vec<Finding> {
    let Err(failure) = &seen.daemon else { return Vec::new() };
    let why = "nothing can be asked or managed without it";
    let next = failure.next.clone().unwrap_or_else(|| socket::START.to_owned());
    // A list of places is in lines of its own.
    let what = failure.message.replace(":\n  ", ": ").replace("\n  ", ", ");
    let found = Finding::error(what, why, next);
    let Some(path) = seen.socket.as_ref().filter(|_| failure.exit == Exit::Unreachable) else {
        return vec![found];
    };
    // One that a socket unit has made is systemd's to remove.
    let own = path != std::path::Path::new(socket::SERVICE);
    let left = own && fs::symlink_metadata(path).is_ok_and(|facts| facts.file_type().is_socket());
    vec![if left { found.mended_by(Repair::Socket(path.clone())) } else { found }]
}

fn version(seen: &Seen) -> Vec<Finding> {
    let (own, theirs) = (env!("CARGO_PKG_VERSION"), seen.known().map(|daemon| &daemon.status.what.program));
    let Some(theirs) = theirs.filter(|theirs| *theirs != own) else { return Vec::new() };
    let what = format!("the daemon is {theirs} and ghostctl {own}");
    let why = "the daemon that runs is not the one that is installed: it was not restarted since an update";
    vec![Finding::warning(what, why, "systemctl restart ghostllm, or end ghostllm serve and start it again")]
}

fn status(seen: &Seen) -> Vec<Finding> {
    let causes = seen.known().map(|daemon| daemon.status.what.causes.as_slice()).unwrap_or_default();
    let found = causes.iter().filter(|cause| !is_told_elsewhere(cause, seen)).map(|cause| {
        let why = "the daemon itself counts this among what is amiss";
        let what = format!("{} ({})", cause.what, cause.code);
        match cause.severity {
            Severity::Note => Finding::note(what, why, &cause.next),
            Severity::Warning => Finding::warning(what, why, &cause.next),
            Severity::Error => Finding::error(what, why, &cause.next),
        }
    });
    found.collect()
}

/// Whether another check says the same, and more of it.
fn is_told_elsewhere(cause: &Cause, seen: &Seen) -> bool {
    match cause.code.as_str() {
        "first_key_waits" => true,
        code if wrong::CODES.contains(&code) => seen.known().is_some_and(|daemon| daemon.gpu.is_ok()),
        _ => false,
    }
}

fn listeners(seen: &Seen) -> Vec<Finding> {
    let listeners = seen.known().map(|daemon| daemon.status.what.listeners.as_slice()).unwrap_or_default();
    let found = listeners.iter().filter(|listener| !listener.serves).map(|listener| {
        let what = format!("{} does not serve at {} ({})", listener.kind, listener.address, listener.speaks);
        Finding::warning(
            what,
            "clients that try it wait, or fail",
            "ghostctl status, whose causes say why and what to do",
        )
    });
    found.collect()
}

fn certificate(seen: &Seen) -> Vec<Finding> {
    let Some(daemon) = seen.known() else { return Vec::new() };
    let certificates = match &daemon.certificates {
        Ok(answer) => &answer.what,
        Err(failure) => return vec![unanswered(failure)],
    };
    let ends = certificates.server.expires.as_deref().and_then(time);
    let fix = match certificates.authority {
        Some(_) => "ghostctl cert renew",
        None => "put a new certificate in the place of listen.cert and listen.key; then ghostctl reload",
    };
    ends.and_then(|ends| ending("the certificate", ends, seen.now, fix)).into_iter().collect()
}

fn authority(seen: &Seen) -> Vec<Finding> {
    let answer = seen.known().and_then(|daemon| daemon.certificates.as_ref().ok());
    let Some(authority) = answer.and_then(|answer| answer.what.authority.as_ref()) else { return Vec::new() };
    let Some(ends) = pem::parse(&authority.pem).ok().and_then(|pem| der::not_after(pem.contents())) else {
        return vec![Finding::note(
            "the end of the CA's time cannot be read",
            "nobody is warned before it ends",
            "ghostctl cert export > ca.pem; openssl x509 -in ca.pem -noout -enddate",
        )];
    };
    ending("the CA", ends, seen.now, "ghostctl cert renew --new-ca").into_iter().collect()
}

fn ending(what: &str, ends: OffsetDateTime, now: OffsetDateTime, fix: &str) -> Option<Finding> {
    let day = ends.date();
    if ends <= now {
        return Some(Finding::error(format!("{what} has ended on {day}"), "clients refuse to connect", fix));
    }
    let why = "clients refuse to connect from then on";
    (ends - now < SOON).then(|| Finding::warning(format!("{what} ends on {day}"), why, fix))
}

fn time(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text, &Rfc3339).ok()
}

fn backends(seen: &Seen) -> Vec<Finding> {
    let Some(daemon) = seen.known() else { return Vec::new() };
    let list = match &daemon.backends {
        Ok(answer) => &answer.what.backends,
        Err(failure) => return vec![unanswered(failure)],
    };
    // One that is configured is among the causes; one that was only looked for need not be there.
    let caused = |name: &str| {
        daemon.status.what.causes.iter().any(|cause| {
            cause.code == "backend_down" && cause.what.starts_with(&format!("the backend {name} "))
        })
    };
    let down = list.iter().filter(|backend| backend.up == Some(false) && !caused(&backend.name));
    let found = down.map(|backend| {
        let fault = backend.fault.as_deref().unwrap_or("it says nothing");
        Finding::note(
            format!("{} at {} does not answer: {fault}", backend.name, backend.at),
            "its models cannot be used",
            format!("start it, then: ghostctl backends test '{}'", backend.name),
        )
    });
    found.collect()
}

fn keys(seen: &Seen) -> Vec<Finding> {
    let Some(daemon) = seen.known() else { return Vec::new() };
    let list = match &daemon.keys {
        Ok(answer) => &answer.what.keys,
        Err(failure) => return vec![unanswered(failure)],
    };
    let mut found = Vec::new();
    for key in list {
        let ends = key.expires.as_deref().and_then(time);
        let soon = ends.is_some_and(|ends| ends - seen.now < KEY_SOON);
        let when = key.expires.as_deref().unwrap_or_default();
        match key.state {
            KeyState::Expired => found.push(Finding::note(
                format!("the key {} ({}) has ended", key.id, key.name),
                "whoever has it is refused",
                format!("ghostctl keys create NAME, or ghostctl keys revoke {}", key.id),
            )),
            KeyState::Active if soon => found.push(Finding::note(
                format!("the key {} ({}) ends at {when}", key.id, key.name),
                "whoever has it is refused from then on",
                format!("ghostctl keys rotate {}", key.id),
            )),
            KeyState::Active | KeyState::Rotated => {}
        }
    }
    found
}

fn audit(seen: &Seen) -> Vec<Finding> {
    let failed = seen.known().and_then(|daemon| daemon.audit.as_ref().err());
    let found = failed.map(|failure| {
        let mut found = unanswered(failure);
        found.what = format!("the audit log cannot be read: {}", found.what);
        found
    });
    found.into_iter().collect()
}

pub(super) fn unanswered(failure: &Failure) -> Finding {
    let next = failure.next.clone().unwrap_or_else(|| "ghostctl status".to_owned());
    Finding::warning(&failure.message, "this part of the daemon does not answer as it should", next)
}
