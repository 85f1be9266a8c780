//! What doctor may mend: what is safe, and can be undone.
//!
//! Invariants: nothing is done before a person has said yes; each thing that was done is printed; no link is followed.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::{
        fs::{FileTypeExt, OpenOptionsExt, PermissionsExt},
        net::UnixStream,
    },
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;

use crate::{
    arguments::Context,
    confirm,
    exit::Failure,
    output::{self, text},
};

/// Something that can be mended.
#[derive(Debug)]
pub(super) enum Repair {
    /// A state file's mode.
    Mode { path: PathBuf, mode: u32 },
    /// A socket at which nobody listens.
    Socket(PathBuf),
}

impl Repair {
    fn command(&self) -> String {
        match self {
            Self::Mode { path, mode } => format!("chmod {mode:o} {}", path.display()),
            Self::Socket(path) => format!("rm {}", path.display()),
        }
    }

    /// Whether there was something to do.
    fn make(&self) -> io::Result<bool> {
        match self {
            Self::Mode { path, mode } => narrow(path, *mode).map(|()| true),
            Self::Socket(path) => remove(path),
        }
    }
}

/// The file may have become a link since it was looked at.
fn narrow(path: &Path, mode: u32) -> io::Result<()> {
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or_default();
    let follows = fs::symlink_metadata(path)?.is_symlink() && path.is_dir();
    let mut options = fs::OpenOptions::new();
    options.read(true).custom_flags(if follows { 0 } else { flags });
    options.open(path)?.set_permissions(Permissions::from_mode(mode))
}

/// Somebody may listen by now.
fn remove(path: &Path) -> io::Result<bool> {
    let refused =
        UnixStream::connect(path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
    let left = refused && fs::symlink_metadata(path)?.file_type().is_socket();
    if left {
        fs::remove_file(path)?;
    }
    Ok(left)
}

/// Asks, does and tells; whether anything was done.
pub(super) fn all(repairs: &[Repair], yes: bool, context: &Context) -> Result<bool, Failure> {
    // With --json, standard output is the report's alone.
    let tell = |words: &str| if context.json { said(words) } else { output::line(&text::clean(words)) };
    if repairs.is_empty() {
        tell("Nothing that is safe to mend was found.")?;
        return Ok(false);
    }
    let commands: Vec<String> = repairs.iter().map(Repair::command).collect();
    confirm::ask(yes, &format!("This will be done: {}.", commands.join("; ")))?;
    let mut done = false;
    for (repair, command) in repairs.iter().zip(&commands) {
        match repair.make() {
            Ok(true) => {
                tell(&format!("did {command}"))?;
                done = true;
            }
            Ok(false) => tell(&format!("left {command}: it is in use by now"))?,
            Err(error) => tell(&format!("could not {command}: {error}"))?,
        }
    }
    Ok(done)
}

fn said(words: &str) -> Result<(), Failure> {
    output::say(words);
    Ok(())
}
