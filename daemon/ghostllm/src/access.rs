//! What to do about a file that this program's user may not read, and about state that cannot be written.
//!
//! Knows the user, the group and the system's answers. Refuses to know what is in the file. Invariant: no secret is opened to everybody by
//! following the advice.

use std::{
    io::{Error, ErrorKind},
    path::Path,
};

use nix::unistd::{getegid, geteuid};

/// Whether it is there, and only its permissions or those of a folder above it stand in the way.
pub(crate) fn is_denied(error: &Error) -> bool {
    error.kind() == ErrorKind::PermissionDenied
}

/// How to let this user read it.
pub(crate) fn next_step(path: &Path) -> String {
    let (path, user, group) = (quoted(path), geteuid(), getegid());
    format!(
        "Let this user read it: chown {user} {path}, or chgrp {group} {path} and chmod g+r {path}; each folder above \
         it must let the user in (chmod +x)"
    )
}

/// A path as a shell takes it, whatever is in its name.
pub(crate) fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', "'\\''"))
}

/// The same behind another sentence, where that is what the system's answer asks for. What we refuse ourselves, since too
/// many may read it, says already what to do, and it is the opposite.
pub(crate) fn advice(path: &Path, error: &Error) -> String {
    let by_the_system = error.get_ref().is_none();
    if is_denied(error) && by_the_system { format!(". {}", next_step(path)) } else { String::new() }
}

/// "Input/output error" of errno(3): what the disk says of a block that it has lost.
pub(crate) const EIO: i32 = nix::libc::EIO;

/// What to do about state that cannot be written.
pub(crate) fn room(error: &Error) -> &'static str {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "make room on that disk",
        ErrorKind::ReadOnlyFilesystem => "make that file system writable again, or use --state-dir DIR",
        _ if error.raw_os_error() == Some(EIO) => "look after that disk, or use --state-dir DIR",
        _ => "make it writable for this user or use --state-dir DIR",
    }
}
