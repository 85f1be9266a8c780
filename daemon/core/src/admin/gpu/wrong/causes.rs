//! Which of the cards' faults are causes in the status, so that an alert tells them.
//!
//! Knows what each is about. Refuses to judge: how bad one is and what to do about it are the fault's own. Invariant: of one card there is
//! one cause of each code, which begins with the card's name and a colon, by which alerts tell them apart. What the
//! governor does for a card's heat is a cause of its own (`gpu_thermal`), which there is not where that is nothing. A slow link is not among
//! them, which can wait until somebody looks.

use super::{
    super::{GpuReport, GpuState},
    About, Fault, called, of_cards,
};
use crate::admin::{Cause, Severity};

/// Their codes: the first is about the box, the others about a card each.
pub const CODES: [&str; 6] = ["gpu_driver", "gpu_lost", "gpu_silent", "gpu_memory", "gpu_xid", "gpu_heat"];

/// All of them, the worst first.
#[must_use]
pub fn causes(report: &GpuReport) -> Vec<Cause> {
    let mut all: Vec<(Option<u32>, Cause)> = Vec::new();
    for fault in of_cards(report).into_iter().filter(|fault| fault.severity > Severity::Note) {
        let Some(code) = code(&fault, report) else { continue };
        let known = all.iter_mut().find(|(card, cause)| *card == fault.card && cause.code == code);
        // The worst of a card's came first, and says what to do.
        match known {
            Some((_, cause)) => cause.what = format!("{}; it {}", cause.what, fault.is),
            None => all.push((fault.card, cause(code, &fault, report))),
        }
    }
    all.into_iter().map(|(_, cause)| cause).collect()
}

fn code(fault: &Fault, report: &GpuReport) -> Option<&'static str> {
    let [driver, lost, silent, memory, xid, heat] = CODES;
    let state = report.cards.iter().find(|card| Some(card.index) == fault.card).map(|card| card.state);
    match fault.about {
        About::Driver | About::Permission => Some(driver),
        About::Lost if state == Some(GpuState::Stale) => Some(silent),
        About::Lost => Some(lost),
        About::Memory => Some(memory),
        About::Xid => Some(xid),
        About::Heat => Some(heat),
        About::Link => None,
    }
}

fn cause(code: &str, fault: &Fault, report: &GpuReport) -> Cause {
    let card = report.cards.iter().find(|card| Some(card.index) == fault.card);
    let what = card.map_or(fault.is.clone(), |card| format!("{}: it {}", called(card), fault.is));
    Cause { code: code.to_owned(), severity: fault.severity, what, next: fault.next.clone() }
}
