//! The first key's file, which waits until somebody uses or is shown the key.
//!
//! Invariant: whoever has seen the key in use, or was shown it, finds the file gone.

use std::{
    fs, io,
    sync::{MutexGuard, PoisonError},
};

use ghostllm_core::key::Key;
use time::OffsetDateTime;

use super::{Caller, FirstKey, Keys, KeysError, found};
use crate::store::{StateDir, StateError};

/// Where the first key lies until somebody uses it.
pub(super) const FIRST_KEY_FILE: &str = "first-key";

/// The file with the first key.
#[derive(Debug, Clone)]
pub(super) struct FirstKeyFile {
    id: Box<str>,
    state: StateDir,
}

/// Removes the file with the first key, which has been used. It blocks: run it where that is allowed.
#[derive(Debug)]
#[must_use = "the file with the first key stays where it is until `run` is called"]
pub struct RemoveFirstKey(FirstKeyFile);

/// Writes the file.
pub(super) fn write(state: &StateDir, key: &Key) -> Result<(), StateError> {
    state.write_private(FIRST_KEY_FILE, format!("{}\n", key.reveal()).as_bytes())
}

fn read(state: &StateDir) -> Result<Option<Key>, StateError> {
    let bytes = state.read(FIRST_KEY_FILE)?;
    Ok(bytes.and_then(|bytes| Key::parse(std::str::from_utf8(&bytes).ok()?.trim()).ok()))
}

/// Whether a start could go on past the file. Blocks.
pub(super) fn trial(state: &StateDir) -> Result<(), StateError> {
    match read(state) {
        Err(error) if error.damage().is_none() => Err(error),
        _ => Ok(()),
    }
}

impl Keys {
    /// Looks for the file with the first key, which waits for its first use.
    pub(super) fn find_first_key(&self, state: &StateDir) -> Result<Option<FirstKey>, KeysError> {
        let path = state.file(FIRST_KEY_FILE)?;
        if matches!(fs::symlink_metadata(&path), Err(error) if error.kind() == io::ErrorKind::NotFound) {
            return Ok(None);
        }
        let key = match read(state) {
            Ok(key) => key,
            // The key itself stays good, and whoever has it needs no file.
            Err(error) => {
                let why = error.damage().ok_or(error)?;
                tracing::warn!(path = %path.display(), "the file of the first key cannot be read ({why}); it can be removed");
                return Ok(None);
            }
        };
        let Some(id) = key.filter(|key| self.is_mine(key)).map(|key| Box::from(key.id())) else {
            tracing::warn!(path = %path.display(), "the file does not hold a key of this box; it can be removed");
            return Ok(None);
        };
        *self.first() = Some(FirstKeyFile { id, state: state.clone() });
        tracing::info!(path = %path.display(), "the first API key is in this file, which goes at the key's first use");
        Ok(Some(FirstKey::InFile(path)))
    }

    /// What is to be done after a request of `caller` was let in: for the first key's first use, its file is to be
    /// removed. Never blocks; what it returns does.
    pub fn after_use(&self, caller: &Caller) -> Option<RemoveFirstKey> {
        // Exactly one of the first requests takes it.
        let id = caller.id.as_deref()?;
        self.first().take_if(|first| first.is_of(id)).map(RemoveFirstKey)
    }

    /// The first key, which is shown by this once: its file is gone when it returns. None where it does not wait any more.
    /// Blocks.
    ///
    /// # Errors
    /// The file cannot be read or removed.
    pub fn show_first(&self) -> Result<Option<Key>, StateError> {
        let _writing = self.writing();
        let Some(file) = self.first().clone() else { return Ok(None) };
        let key = read(&file.state)?;
        file.state.remove(FIRST_KEY_FILE)?;
        *self.first() = None;
        Ok(key.filter(|key| self.is_mine(key)))
    }

    /// Since when the first key waits in its file. Blocks for a look at the file.
    #[must_use]
    pub fn first_waits_since(&self) -> Option<OffsetDateTime> {
        let file = self.first().clone()?;
        let path = file.state.file(FIRST_KEY_FILE).ok()?;
        fs::metadata(path).ok()?.modified().ok().map(OffsetDateTime::from)
    }

    /// Whether the first key waits in its file.
    #[must_use]
    pub fn first_waits(&self) -> bool {
        self.first().is_some()
    }

    pub(super) fn first(&self) -> MutexGuard<'_, Option<FirstKeyFile>> {
        self.0.first.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_mine(&self, key: &Key) -> bool {
        found(&self.0.table.borrow(), key).is_some()
    }
}

impl FirstKeyFile {
    pub(super) fn is_of(&self, id: &str) -> bool {
        &*self.id == id
    }

    /// Removes the file. Blocks.
    pub(super) fn remove(&self) -> Result<(), StateError> {
        self.state.remove(FIRST_KEY_FILE).map(drop)
    }
}

impl RemoveFirstKey {
    /// Removes the file. Blocks.
    ///
    /// # Errors
    /// If it cannot be removed; the next start finds it, and the key's next use then tries again.
    pub fn run(self, keys: &Keys) -> Result<(), StateError> {
        let removed = self.0.remove();
        if removed.is_err() {
            keys.first().get_or_insert(self.0);
        }
        removed
    }
}
