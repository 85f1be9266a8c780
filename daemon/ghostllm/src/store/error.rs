//! Why state cannot be used: what a person reads, the program's exit code, what a client hears.

use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use ghostllm_core::ApiError;
use thiserror::Error;

use crate::{
    access::{EIO, advice, is_denied, quoted, room},
    exit,
};

/// Why state cannot be used.
#[derive(Debug, Error)]
pub enum StateError {
    /// Neither an argument nor the environment says where state goes.
    #[error(
        "there is no place for state: neither STATE_DIRECTORY, XDG_STATE_HOME nor HOME is set; use --state-dir DIR"
    )]
    Nowhere,
    /// A directory or file cannot be made, written or removed.
    #[error("state cannot be written: {path}: {source}; {}", room(source))]
    Unwritable {
        /// What could not be written.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something else lies where the directory should be, or above it.
    #[error("state needs a directory, and {path} is none; remove it or use --state-dir DIR")]
    NoDirectory {
        /// What lies there.
        path: PathBuf,
    },
    /// A file or directory is there but cannot be read.
    #[error("state cannot be read: {path}: {source}{}", readable(path, source))]
    Unreadable {
        /// What could not be read.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others may read or change it.
    #[error("{path} is open to other users (mode {mode:04o}); run: chmod {right:o} {}", quoted(path))]
    TooWide {
        /// What is open.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// What they should be.
        right: u32,
    },
    /// It belongs to another user, who could change it, or whom we would lock out of it.
    #[error(
        "{path} belongs to user {owner}, and this program runs as user {user}; run it as that user, or: chown {user} {}",
        quoted(path)
    )]
    Foreign {
        /// Whose it is not.
        path: PathBuf,
        /// The user that owns it.
        owner: u32,
        /// The user that the program runs as.
        user: u32,
    },
    /// Another process works with it.
    #[error(
        "the state in {path} is in use by another ghostllm{}; stop that one, or use another --state-dir",
        held_by(holder.as_deref())
    )]
    InUse {
        /// The state directory.
        path: PathBuf,
        /// The process that holds it, where it has said so.
        holder: Option<String>,
    },
    /// A name that is not a plain file name; a defect of the caller.
    #[error("\"{0}\" is not the name of a state file")]
    Name(String),
}

impl StateError {
    /// What is wrong with the file itself, where that is it: its blocks are lost, or it is none of ours by its size or its
    /// kind. None where somebody has only to let this program read it.
    pub(super) fn damage(&self) -> Option<String> {
        let Self::Unreadable { source, .. } = self else { return None };
        is_damaged(source).then(|| source.to_string())
    }

    /// What a client hears whose change could not be kept.
    #[must_use]
    pub fn answer(&self) -> ApiError {
        match self {
            Self::Unwritable { .. } => ApiError::state_unwritable(),
            Self::Nowhere
            | Self::NoDirectory { .. }
            | Self::Unreadable { .. }
            | Self::TooWide { .. }
            | Self::Foreign { .. }
            | Self::InUse { .. }
            | Self::Name(_) => ApiError::internal(),
        }
    }

    /// The program's exit code for it.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Nowhere => exit::USAGE,
            Self::Unwritable { .. } | Self::NoDirectory { .. } => exit::IO,
            Self::Unreadable { source, .. } if is_denied(source) => exit::PERMISSION,
            Self::Unreadable { .. } | Self::InUse { .. } => exit::IO,
            Self::TooWide { .. } | Self::Foreign { .. } => exit::PERMISSION,
            Self::Name(_) => 1,
        }
    }
}

fn is_damaged(source: &io::Error) -> bool {
    let lost = source.raw_os_error() == Some(EIO);
    lost || matches!(source.kind(), ErrorKind::FileTooLarge | ErrorKind::InvalidInput)
}

/// What to do about what cannot be read.
fn readable(path: &Path, source: &io::Error) -> String {
    if is_damaged(source) {
        return "; put a good copy back in its place, or move it away".to_owned();
    }
    advice(path, source)
}

fn held_by(holder: Option<&str>) -> String {
    holder.map(|process| format!(" (process {process})")).unwrap_or_default()
}
