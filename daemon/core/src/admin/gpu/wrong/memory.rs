//! What is broken in a card's memory.

use super::{
    super::{GpuCard, GpuReading},
    About, Fault, fault, place,
};
use crate::admin::Severity;

pub(super) fn memory(card: &GpuCard) -> Vec<Fault> {
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
    if card.faults.rows_failed == GpuReading::Value(true) {
        let why = "its spare rows are used up, or one of them is bad itself: what is wrong there stays wrong";
        let what = "could not replace a row of its memory that is bad";
        let next = format!("have the card replaced; nvidia-smi -q -d ROW_REMAPPER -i {}", place(card));
        found.push(fault(card, About::Memory, Severity::Error, what, why).next(next));
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
