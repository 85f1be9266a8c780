//! What is wrong with the cards, and what a person does about it.
//!
//! Knows each fault that the admin API's answer shows. Refuses to guess: what a card does not tell is no fault. Invariant: every fault has a
//! next step.

mod xid;

use ghostllm_core::admin::{
    GpuCard, GpuCause, GpuGate, GpuMaker, GpuMissingCause, GpuMode, GpuReading, GpuReason, GpuReport,
    GpuState, Severity,
};

use super::called;

#[cfg(test)]
mod tests;

/// An idle card lowers its link's generation to save power; one that is this busy, in percent, has no reason to.
const BUSY: u8 = 50;

/// What a fault is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum About {
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
pub(crate) struct Fault {
    /// What it is about.
    pub(crate) about: About,
    /// How bad it is.
    pub(crate) severity: Severity,
    /// The card's `index`; none where it is none of one card.
    pub(crate) card: Option<u32>,
    /// What is wrong.
    pub(crate) what: String,
    /// Why that matters.
    pub(crate) why: &'static str,
    /// What to do next.
    pub(crate) next: String,
}

/// All of them, the worst first.
pub(crate) fn all(report: &GpuReport) -> Vec<Fault> {
    let mut faults = of_cards(report);
    faults.extend(gate(report));
    by_severity(faults)
}

fn by_severity(mut faults: Vec<Fault>) -> Vec<Fault> {
    faults.sort_by_key(|fault| std::cmp::Reverse(fault.severity));
    faults
}

/// Those of the cards and their drivers alone, the worst first: what becomes of requests because of them is a cause in the status as well.
pub(crate) fn of_cards(report: &GpuReport) -> Vec<Fault> {
    let mut faults = missing(report);
    for card in &report.cards {
        // Of a card that is gone nothing else is known.
        match gone(card) {
            Some(gone) => faults.push(gone),
            None => {
                faults.extend(heat(card));
                faults.extend(memory(card));
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
        _ => (
            "a card is near to switching itself off, which would end all that runs on it",
            "wait until it has cooled; where that takes long, look at its fans and at the room",
        ),
    };
    Some(Fault {
        about: About::Heat,
        severity: Severity::Error,
        card: decision.card,
        what: format!("new requests {becomes}{sake}"),
        why,
        next: next.to_owned(),
    })
}

fn fault(card: &GpuCard, about: About, severity: Severity, what: &str, why: &'static str) -> Fault {
    let what = format!("{} {what}", called(card));
    Fault { about, severity, card: Some(card.index), what, why, next: String::new() }
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

fn heat(card: &GpuCard) -> Option<Fault> {
    let at = card.gpu.celsius.value().map_or(String::new(), |celsius| format!(" at {celsius:.0} °C"));
    match card.state {
        GpuState::ThrottledByBrake => {
            let what = "is slowed down by the machine's power supply";
            let why = "its clocks are far below what they could be, so that every answer takes longer";
            let next =
                "look at the power supply, at its cables to the card, and at what the machine's BMC says";
            Some(fault(card, About::Heat, Severity::Warning, what, why).next(next))
        }
        GpuState::ThrottledByHeat if only_by_its_driver(card) => {
            let what = format!("is kept at its temperature by its driver{at}");
            let why = "it runs a little slower than it could";
            Some(fault(card, About::Heat, Severity::Note, &what, why).next(cooler(card)))
        }
        GpuState::ThrottledByHeat => {
            let what = format!("is slowed down by its heat{at}");
            let why =
                "its hardware has lowered its clocks, by half or more, so that every answer takes longer";
            Some(fault(card, About::Heat, Severity::Warning, &what, why).next(cooler(card)))
        }
        _ => None,
    }
}

fn only_by_its_driver(card: &GpuCard) -> bool {
    let has = |reason| card.throttles.value().is_some_and(|told| told.iter().any(|one| one.reason == reason));
    has(GpuReason::SoftHeat) && !has(GpuReason::HardHeat) && !has(GpuReason::Slowdown)
}

/// Air first, then less power: a tenth less costs a few percent of the tokens.
fn cooler(card: &GpuCard) -> String {
    let air = "see that its fans turn and air comes to it";
    match (card.maker, card.power.limit.value()) {
        (GpuMaker::Nvidia, Some(limit)) => {
            format!("{air}; or give it less power: sudo nvidia-smi -i {} -pl {:.0}", place(card), limit * 0.9)
        }
        _ => air.to_owned(),
    }
}

/// As `nvidia-smi -i` takes it.
fn place(card: &GpuCard) -> String {
    card.pci.clone().unwrap_or_else(|| card.index.to_string())
}

fn memory(card: &GpuCard) -> Vec<Fault> {
    let mut found = Vec::new();
    let reset = || {
        format!(
            "end what uses it, then sudo nvidia-smi --gpu-reset -i {}; or restart the machine",
            place(card)
        )
    };
    let uncorrected = card.faults.ecc_uncorrected.value().copied().unwrap_or(0);
    if uncorrected > 0 {
        let errors = if uncorrected == 1 { "error" } else { "errors" };
        let what = format!(
            "has had {uncorrected} {errors} in its memory that could not be corrected since its driver was loaded"
        );
        let why = "what ran on it may have ended, or answered wrongly";
        let next = format!("{}; where it comes again, have the card replaced", reset());
        found.push(fault(card, About::Memory, Severity::Warning, &what, why).next(next));
    }
    if card.faults.rows_pending == GpuReading::Value(true) {
        let why = "until then it uses rows of its memory that are known to be bad";
        let what = "has rows of its memory to replace at its next reset";
        found.push(fault(card, About::Memory, Severity::Warning, what, why).next(reset()));
    }
    let retired = card.faults.pages_retired.value().copied().unwrap_or(0);
    if retired > 0 {
        let what = format!("no longer uses {retired} pages of its memory, which had errors");
        let why = "a few are harmless; from some sixty on its maker counts it as failing";
        let next = format!("nvidia-smi -q -d PAGE_RETIREMENT -i {}", place(card));
        found.push(fault(card, About::Memory, Severity::Note, &what, why).next(next));
    }
    found
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
    let what = format!("has told Xid {number}: {means}");
    let why = "an Xid is what the driver writes into the kernel's log when something goes wrong";
    Some(fault(card, About::Xid, severity, &what, why).next(next))
}
