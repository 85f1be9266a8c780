//! What the daemon says of the graphics cards.

use ghostllm_core::admin::Severity;

use super::{Check, Finding, Needs, UNSEEN, known::unanswered, seen::Seen};
use crate::gpu::wrong::{self, About, Fault};

const MAY_USE: &str = "the daemon may use the graphics cards";

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "gpu_driver",
        looks_at: "the driver of every graphics card answers, or there is none",
        needs: Needs::Daemon,
        look: driver,
    },
    Check { id: "gpu_permission", looks_at: MAY_USE, needs: Needs::Daemon, look: permission },
    Check {
        id: "gpu_lost",
        looks_at: "no card is lost or silent",
        needs: Needs::Cards,
        look: |seen| of(About::Lost, seen),
    },
    Check {
        id: "gpu_heat",
        looks_at: "no card is held back by heat or by its power supply",
        needs: Needs::Cards,
        look: |seen| of(About::Heat, seen),
    },
    Check {
        id: "gpu_memory",
        looks_at: "no card's memory has errors or waits to be mended",
        needs: Needs::Cards,
        look: |seen| of(About::Memory, seen),
    },
    Check {
        id: "gpu_link",
        looks_at: "every card's PCIe link is as fast as it and its slot can",
        needs: Needs::Cards,
        look: |seen| of(About::Link, seen),
    },
    Check {
        id: "gpu_xid",
        looks_at: "no driver has told an Xid",
        needs: Needs::Cards,
        look: |seen| of(About::Xid, seen),
    },
];

fn driver(seen: &Seen) -> Vec<Finding> {
    match seen.known().map(|daemon| &daemon.gpu) {
        Some(Err(failure)) => vec![unanswered(failure)],
        Some(Ok(_)) | None => of(About::Driver, seen),
    }
}

/// A driver that does not answer at all says nothing of who may ask it.
fn permission(seen: &Seen) -> Vec<Finding> {
    let found = of(About::Permission, seen);
    match unseen(seen).filter(|_| found.is_empty()) {
        Some((why, next)) => vec![Finding::note(format!("{UNSEEN}whether {MAY_USE}"), why, next)],
        None => found,
    }
}

/// What is wrong about this.
fn of(about: About, seen: &Seen) -> Vec<Finding> {
    let report = seen.known().and_then(|daemon| daemon.gpu.as_ref().ok());
    let faults = report.map(|answer| wrong::of_cards(&answer.what)).unwrap_or_default();
    faults.into_iter().filter(|fault| fault.about == about).map(finding).collect()
}

fn finding(fault: Fault) -> Finding {
    match fault.severity {
        Severity::Note => Finding::note(fault.what, fault.why, fault.next),
        Severity::Warning => Finding::warning(fault.what, fault.why, fault.next),
        Severity::Error => Finding::error(fault.what, fault.why, fault.next),
    }
}

/// Why the cards cannot be looked at; none where they can, or where there simply is none.
pub(super) fn unseen(seen: &Seen) -> Option<(&'static str, &'static str)> {
    let next = "see gpu_driver and gpu_permission, then ghostctl doctor again";
    match &seen.known()?.gpu {
        Err(_) => Some(("the daemon does not tell of its cards", next)),
        Ok(answer) => {
            let report = &answer.what;
            let kept_away = report.cards.is_empty() && report.missing.iter().any(|missing| missing.fault);
            kept_away.then_some(("their driver does not answer", next))
        }
    }
}
