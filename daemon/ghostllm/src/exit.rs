//! The program's exit codes: 0, 1 and 2 as everywhere, the others from sysexits.h, whose 64 to 78 are kept for what they name.

/// Something of our own failed.
pub(crate) const INTERNAL: u8 = 1;
/// Usage or configuration; clap's own code as well.
pub(crate) const USAGE: u8 = 2;
/// A port that is taken, or a daemon that is not there (`EX_UNAVAILABLE`).
pub(crate) const UNAVAILABLE: u8 = 69;
/// State that cannot be written (`EX_IOERR`).
pub(crate) const IO: u8 = 74;
/// Something that this user may not do or read, or that others may (`EX_NOPERM`).
pub(crate) const PERMISSION: u8 = 77;
/// Ctrl-C, as shells count it: 128 and the signal's number.
pub(crate) const INTERRUPTED: u8 = 130;
