//! Who slows a card down, and by how much as far as that is read.
//!
//! Knows what throttles now and what the judge keeps for a while. Refuses to claim what is not read: that clocks are halved is said by the
//! hardware's own reason alone.

use super::{
    super::{GpuCard, GpuMaker, GpuPlace, GpuReason, GpuState},
    About, Fault, fault, place,
};
use crate::admin::Severity;

pub(super) fn heat(card: &GpuCard) -> Option<Fault> {
    let at = at(card);
    match card.state {
        GpuState::ThrottledByBrake => Some(brake(card)),
        GpuState::ThrottledByHeat if was_hot(card) => {
            let what = "was slowed down by its heat until less than half a minute ago";
            let why = "it is not now; where it is so again and again, every answer takes longer";
            Some(fault(card, About::Heat, Severity::Note, what, why).next(cools(card)))
        }
        GpuState::ThrottledByHeat if has(card, GpuReason::HardHeat) || has(card, GpuReason::Slowdown) => {
            let what = format!("is slowed down by its heat{at}");
            let why =
                "its hardware has lowered its clocks, by half or more, so that every answer takes longer";
            Some(fault(card, About::Heat, Severity::Warning, &what, why).next(cools(card)))
        }
        GpuState::ThrottledByHeat if has(card, GpuReason::SoftHeat) => {
            let what = format!("is kept at its temperature by its driver{at}");
            let why = "it runs a little slower than it could";
            Some(fault(card, About::Heat, Severity::Note, &what, why).next(cools(card)))
        }
        GpuState::ThrottledByHeat => {
            // A processor that computes is there as a rule.
            let is_card = card.maker != GpuMaker::Processor;
            let severity = if is_card { Severity::Warning } else { Severity::Note };
            let what = format!("is as hot as where it is slowed down{at}");
            let why = "it does not tell by how much its clocks are lowered; answers may take longer";
            Some(fault(card, About::Heat, severity, &what, why).next(cools(card)))
        }
        _ => None,
    }
}

/// How hot it is where it is nearest to being slowed down; where that is not the chip as a whole, with its name.
fn at(card: &GpuCard) -> String {
    let place = card.nearest();
    let name = if place == GpuPlace::Chip { String::new() } else { format!(" ({})", place.name()) };
    let celsius = card.sensor(place).celsius.value();
    celsius.map_or(String::new(), |celsius| format!(" at {celsius:.0} °C{name}"))
}

fn brake(card: &GpuCard) -> Fault {
    let what = "is slowed down by the machine's power supply";
    let why = "its clocks are far below what they could be, so that every answer takes longer";
    let next = "look at the power supply, at its cables to the card, and at what the machine's BMC says";
    fault(card, About::Heat, Severity::Warning, what, why).next(next)
}

/// Whether it was slowed down by its heat a moment ago, and is no more: its state is kept for half a minute, what throttles it is of now.
#[must_use]
pub fn was_hot(card: &GpuCard) -> bool {
    let reasons = [GpuReason::SoftHeat, GpuReason::HardHeat, GpuReason::Slowdown];
    let within = |margin: Option<f64>| margin.is_some_and(|margin| margin <= 0.0);
    // What tells no reason is known by its temperature alone.
    let margin = if card.throttles.value().is_some() { card.margins.slowdown } else { card.margins.slower };
    card.state == GpuState::ThrottledByHeat
        && !within(margin)
        && !reasons.into_iter().any(|reason| has(card, reason))
}

fn has(card: &GpuCard, reason: GpuReason) -> bool {
    card.throttles.value().is_some_and(|told| told.iter().any(|one| one.reason == reason))
}

/// Air first, then less power: a tenth less costs a few percent of the tokens.
#[must_use]
pub fn cools(card: &GpuCard) -> String {
    let air = "see that its fans turn and air comes to it";
    match (card.maker, card.power.limit.value()) {
        (GpuMaker::Nvidia, Some(limit)) => {
            format!("{air}; or give it less power: sudo nvidia-smi -i {} -pl {:.0}", place(card), limit * 0.9)
        }
        _ => air.to_owned(),
    }
}
