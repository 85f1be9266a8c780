//! The certificates' part of the state directory.
//!
//! Knows its folder. Refuses to know what a certificate is.

use std::{io, path::PathBuf};

use ghostllm_core::backup;

use crate::{
    certificates::Files,
    store::{StateDir, StateError, StateFile},
};

/// The folder of the CA in the state directory.
const FOLDER: &str = "ca";

/// The certificates' part of the state directory.
#[derive(Debug)]
pub(in crate::app) struct CaFiles {
    /// The folder itself.
    folder: StateDir,
    /// The state directory that it lies in.
    state: StateDir,
}

impl CaFiles {
    pub(in crate::app) fn open(state: &StateDir) -> Result<Self, StateError> {
        Ok(Self { folder: state.dir(FOLDER)?, state: state.clone() })
    }

    /// The same of a state that is only looked at; none where there is no folder yet.
    pub(in crate::app) fn look(state: &StateDir) -> Result<Option<Self>, StateError> {
        let folder = StateDir::look_at(&state.file(FOLDER)?)?;
        Ok(folder.map(|folder| Self { folder, state: state.clone() }))
    }

    fn name(name: &str) -> &str {
        name.strip_prefix("ca/").unwrap_or(name)
    }
}

/// What is in the CA's files: its certificate, and where `authority` asks for it its key and the server's as well. Blocks.
pub(super) fn read(state: &StateDir, authority: bool) -> Result<Vec<StateFile>, StateError> {
    let names: &[&'static str] = match authority {
        true => &[backup::AUTHORITY, backup::AUTHORITY_COPY, backup::LEAF],
        false => &[backup::AUTHORITY_COPY],
    };
    let files = CaFiles::open(state)?;
    let read = |name: &&'static str| Ok(files.folder.read(CaFiles::name(name))?.map(|text| (*name, text)));
    names.iter().filter_map(|name| read(name).transpose()).collect()
}

fn plain(error: StateError) -> io::Error {
    match error {
        StateError::Unwritable { source, .. } | StateError::Unreadable { source, .. } => source,
        refused @ (StateError::TooWide { .. } | StateError::Foreign { .. }) => {
            io::Error::new(io::ErrorKind::PermissionDenied, refused)
        }
        other => io::Error::other(other),
    }
}

impl Files for CaFiles {
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        self.folder.read(Self::name(name)).map_err(plain)
    }

    fn write_private(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.folder.write_private(Self::name(name), bytes).map_err(plain)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.state.path().join(name)
    }
}
