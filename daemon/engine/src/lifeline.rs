//! Ends this process with the one that started it.
//!
//! Two ways, since each has a gap: the kernel's parent-death signal (which also comes when the *thread* that started
//! this process ends, so it wants one that stays), and the end of standard input where that is a pipe.

use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::getppid;
use std::io::Read;
use std::os::unix::fs::FileTypeExt;

/// Asks the kernel for SIGKILL at the parent's death and watches standard input.
///
/// # Errors
/// When the parent died meanwhile, or the kernel refuses.
pub fn tie_to_parent() -> std::io::Result<()> {
    let parent = getppid();
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    // A parent that died before the call above sends no signal any more.
    if getppid() != parent {
        return Err(std::io::Error::other("the process that started this one has ended"));
    }
    let status = std::fs::metadata("/proc/self/fd/0");
    if status.is_ok_and(|status| status.file_type().is_fifo() || status.file_type().is_socket()) {
        std::thread::Builder::new().name("lifeline".into()).spawn(watch_input)?;
    }
    Ok(())
}

/// Reads until the other end is closed, and ends the process at once: nobody is left to read an answer.
fn watch_input() {
    let mut buffer = [0; 64];
    let mut input = std::io::stdin();
    while matches!(input.read(&mut buffer), Ok(1..)) {}
    std::process::exit(0);
}
