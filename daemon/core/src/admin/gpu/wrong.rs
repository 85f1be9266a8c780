//! What is wrong with the cards, and what a person does about it.
//!
//! Knows each fault that the admin API's answer shows, and which of them are causes in the status: the daemon and `ghostctl` both ask here,
//! so that they judge alike. Refuses to guess: what a card does not tell is no fault. Invariant: every fault has a next step.

mod causes;
mod heat;
mod memory;
mod xid;

use super::{
    GpuCard, GpuCause, GpuGate, GpuMaker, GpuMissingCause, GpuMode, GpuReading, GpuReport, GpuState,
};
use crate::{admin::Severity, text::long};

pub use causes::{CODES, causes};
pub use heat::{cools, was_hot};

/// An idle card lowers its link's generation to save power; one that is this busy, in percent, has no reason to.
const BUSY: u8 = 50;
/// So long, in seconds, an Xid of a program is worth telling: as long as somebody who sees its answers fail takes to look.
const FADES: f64 = 600.0;

/// What a fault is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// The driver cannot be asked.
    Driver,
    /// This user, or this container, may not ask it.
    Permission,
    /// The card is gone, or does not answer.
    Lost,
    /// Its heat, or a brake from outside.
    Heat,
    /// Its memory.
    Memory,
    /// Its link.
    Link,
    /// Something that the driver has told the kernel's log.
    Xid,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What it is about.
    pub about: About,
    /// How bad it is.
    pub severity: Severity,
    /// The card's `index`; none where it is none of one card.
    pub card: Option<u32>,
    /// What is wrong.
    pub what: String,
    /// The same without the card's name, of one that has one: `is lost (Xid 79)`.
    is: String,
    /// Why that matters.
    pub why: &'static str,
    /// What to do next.
    pub next: String,
}

/// All of them, the worst first.
#[must_use]
pub fn all(report: &GpuReport) -> Vec<Fault> {
    let mut faults = of_cards(report);
    faults.extend(gate(report));
    by_severity(faults)
}

fn by_severity(mut faults: Vec<Fault>) -> Vec<Fault> {
    faults.sort_by_key(|fault| std::cmp::Reverse(fault.severity));
    faults
}

/// Those of the cards and their drivers alone, the worst first: what becomes of requests because of them is a cause in the status as well.
#[must_use]
pub fn of_cards(report: &GpuReport) -> Vec<Fault> {
    let mut faults = missing(report);
    for card in &report.cards {
        // Of a card that is gone nothing else is known.
        match gone(card) {
            Some(gone) => faults.push(gone),
            None => {
                faults.extend(heat::heat(card));
                faults.extend(memory::memory(card));
                faults.extend(link(card));
                faults.extend(event(card));
            }
        }
    }
    by_severity(faults)
}

/// Having no card at all is no fault.
fn missing(report: &GpuReport) -> Vec<Fault> {
    let faults = report.missing.iter().filter(|missing| missing.fault);
    let told = faults.map(|missing| {
        let about = match missing.cause {
            GpuMissingCause::NoPermission | GpuMissingCause::Blocked => About::Permission,
            GpuMissingCause::NoLibrary
            | GpuMissingCause::BadLibrary
            | GpuMissingCause::DriverNotLoaded
            | GpuMissingCause::VersionMismatch
            | GpuMissingCause::NoCard
            | GpuMissingCause::Hangs
            | GpuMissingCause::Other => About::Driver,
        };
        let (what, next) = missing.words.split_once("; ").unwrap_or((missing.words.as_str(), "nvidia-smi"));
        Fault {
            about,
            severity: Severity::Error,
            card: None,
            what: what.to_owned(),
            is: what.to_owned(),
            why: "no card of this driver is seen: its heat is not watched, and engines most likely cannot use it",
            next: next.to_owned(),
        }
    });
    told.collect()
}

fn gate(report: &GpuReport) -> Option<Fault> {
    let decision = report.governor.decision.as_ref()?;
    if report.governor.mode != GpuMode::On || decision.gate == GpuGate::Open {
        return None;
    }
    let becomes = if decision.gate == GpuGate::Hold { "wait" } else { "are refused" };
    let card = report.cards.iter().find(|card| Some(card.index) == decision.card);
    let sake = card.map_or(String::new(), |card| format!(", for the sake of {}", called(card)));
    let (why, next) = match decision.cause {
        GpuCause::Blind => (
            "it was near to switching itself off, and does not answer now",
            "see what else is told of it; after a minute without an answer requests are let in again",
        ),
        GpuCause::Cooling => (
            "a card was near to switching itself off, which would have ended all that runs on it",
            "wait: they begin again once it has stayed cooler for half a minute",
        ),
        _ => (
            "a card is near to switching itself off, which would end all that runs on it",
            "wait until it has cooled; where that takes long, look at its fans and at the room",
        ),
    };
    let what = format!("new requests {becomes}{sake}");
    let (about, severity, card, is) = (About::Heat, Severity::Error, decision.card, what.clone());
    Some(Fault { about, severity, card, what, is, why, next: next.to_owned() })
}

/// What people call a card: `card 0 (NVIDIA H100 80GB HBM3)`.
#[must_use]
pub fn called(card: &GpuCard) -> String {
    let kind = if card.maker == GpuMaker::Processor { "processor" } else { "card" };
    let Some(name) = &card.name else { return format!("{kind} {}", card.index) };
    // A processor's name says what it is, as a card's does not: `processor (x86_pkg_temp)`.
    let own =
        name.strip_prefix(kind).map(str::trim).and_then(|rest| rest.strip_prefix('(')?.strip_suffix(')'));
    format!("{kind} {} ({})", card.index, own.unwrap_or(name))
}

fn fault(card: &GpuCard, about: About, severity: Severity, what: &str, why: &'static str) -> Fault {
    let (is, what) = (what.to_owned(), format!("{} {what}", called(card)));
    Fault { about, severity, card: Some(card.index), what, is, why, next: String::new() }
}

impl Fault {
    fn next(mut self, next: impl Into<String>) -> Self {
        self.next = next.into();
        self
    }
}

fn gone(card: &GpuCard) -> Option<Fault> {
    match card.state {
        GpuState::Lost => {
            let xid = card.faults.xid.value().copied().flatten();
            let what = match xid {
                Some(xid) => format!("is lost (Xid {xid})"),
                None => "is lost: it has fallen off the bus, or must be reset".to_owned(),
            };
            let why = "nothing runs on it, and what ran there has ended";
            let next = "sudo dmesg | grep -i xid, then restart the machine; where it comes again, look at its power \
                        cables, its seat in the slot and its heat";
            Some(fault(card, About::Lost, Severity::Error, &what, why).next(next))
        }
        GpuState::Stale => {
            let what = match card.late_s {
                Some(late) => format!("has not answered for {late:.0} s"),
                None => "does not answer".to_owned(),
            };
            let why =
                "its heat is not known: limits that its heat has lowered stay so for a minute and rise then";
            let next = match card.maker {
                GpuMaker::Nvidia => {
                    "nvidia-smi; where that hangs as well, sudo dmesg | grep -i xid, and a restart of the machine"
                }
                GpuMaker::Amd | GpuMaker::Intel | GpuMaker::Processor => {
                    "sudo dmesg, and a restart of the machine"
                }
            };
            Some(fault(card, About::Lost, Severity::Error, &what, why).next(next))
        }
        _ => None,
    }
}

/// As `nvidia-smi -i` takes it.
fn place(card: &GpuCard) -> String {
    card.pci.clone().unwrap_or_else(|| card.index.to_string())
}

fn link(card: &GpuCard) -> Option<Fault> {
    let busy = card.utilisation.core.value().is_some_and(|core| *core >= BUSY);
    let less = |now: &GpuReading<u8>, most: &GpuReading<u8>| {
        let (now, most) = (now.value().copied()?, most.value().copied()?);
        (now > 0 && now < most).then_some((now, most))
    };
    let link = &card.link;
    let lanes = less(&link.lanes, &link.lanes_most).filter(|_| busy || card.maker == GpuMaker::Nvidia);
    let generation = less(&link.generation, &link.generation_most).filter(|_| busy);
    let what = match (lanes, generation) {
        (Some((now, most)), _) => format!("has {now} of {most} lanes of its PCIe link"),
        (None, Some((now, most))) => format!("is busy at PCIe {now}, and it and its slot can {most}"),
        (None, None) => return None,
    };
    let why = "models load more slowly, and cards that work together wait for each other";
    let next = "switch the machine off and put the card anew into its slot, or into one that has all lanes; look at risers \
                and at the slot's setting in the firmware";
    Some(fault(card, About::Link, Severity::Warning, &what, why).next(next))
}

fn event(card: &GpuCard) -> Option<Fault> {
    let number = card.faults.xid.value().copied().flatten()?;
    let (severity, means, next) = xid::told(number);
    let age = card.faults.xid_age_s;
    // What a program did wrong is over with that program; what the card needs a reset for is not over before that.
    if severity == Severity::Note && age.is_some_and(|age| age >= FADES) {
        return None;
    }
    let ago = age.map_or(String::new(), |age| format!(" {} ago", long(whole(age))));
    let what = format!("has told Xid {number}{ago}: {means}");
    let why = "an Xid is what the driver writes into the kernel's log when something goes wrong";
    Some(fault(card, About::Xid, severity, &what, why).next(next))
}

/// Rounded down.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "what is below 0 is 0, and it saturates"
)]
fn whole(seconds: f64) -> u64 {
    seconds as u64
}
