//! The memory of this process is nobody else's.
//!
//! Prompts and answers are in it. Knows two of the kernel's settings. Invariant: both hold before anything secret is
//! read, or the program does not start.

use std::io;

use nix::sys::{
    prctl,
    resource::{Resource, setrlimit},
};

/// From here on no core is dumped, and no other program of the same user reads this one's memory and environment, or
/// attaches to it; root may. For this process alone: a program that it starts has to ask for itself.
///
/// # Errors
/// If the system refuses, as a filter of system calls may.
pub fn forbid() -> io::Result<()> {
    // Each where the other ends: a handler of cores (a pipe in core_pattern) is started whatever the limit says, and whoever
    // makes the process dumpable again still finds a limit that only root can raise.
    prctl::set_dumpable(false)?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    Ok(())
}
