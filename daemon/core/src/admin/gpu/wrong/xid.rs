//! What NVIDIA's Xids mean.
//!
//! Source: NVIDIA's "Xid Errors" (docs.nvidia.com/deploy/xid-errors), its table of Xids and what it advises.

use crate::admin::Severity;

const RESTART: &str = "restart the machine; where it comes again, have the card replaced";
const PROGRAM: &str =
    "look at what that program says, and update it and the driver; nothing is wrong with the card itself";
const RESET: &str =
    "end what uses the card and reset it (sudo nvidia-smi --gpu-reset), or restart the machine";

/// How bad it is, what it means, and what to do next.
pub(super) fn told(xid: u32) -> (Severity, &'static str, &'static str) {
    let (note, warning, error) = (Severity::Note, Severity::Warning, Severity::Error);
    match xid {
        13 => (note, "a program has failed on it (graphics engine exception)", PROGRAM),
        31 => (note, "a program has used memory that is not its own (memory page fault)", PROGRAM),
        43 => (note, "a program was stopped on it", PROGRAM),
        45 => (note, "what a program had there was cleaned up, as when it is ended", PROGRAM),
        48 => (warning, "its memory has had an error that could not be corrected", RESET),
        109 => (warning, "a program did not let go of it in time (context switch timeout)", RESET),
        62 | 119 | 120 => (error, "its own processor has failed or does not answer", RESET),
        63 => (warning, "bad memory was noted, to be replaced at the next reset", RESET),
        64 => (warning, "bad memory could not be noted to be replaced", RESTART),
        74 => (warning, "its link to another card has failed (NVLink)", RESTART),
        79 => (error, "it has fallen off the bus", RESTART),
        92 => (warning, "its memory has many errors that were corrected", RESET),
        94 => (warning, "an error of its memory has ended one program and no other", RESET),
        95 => (error, "an error of its memory may have reached every program on it", RESET),
        140 => (error, "its memory has had an error that could not be corrected", RESET),
        154 => (warning, "it asks to be recovered", RESET),
        _ => (
            warning,
            "NVIDIA's list of Xids says what that is",
            "sudo dmesg | grep -i xid, and look the number up at docs.nvidia.com/deploy/xid-errors",
        ),
    }
}
