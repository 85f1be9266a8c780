//! What `ghostctl config set` has kept.
//!
//! Knows its file, and what is in use of it. Refuses to know which settings exist. Invariant: what is there while the program
//! runs is on the disk, or being tried before it is written there.

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ghostllm_core::{backup::SETTINGS, config::Source, state::settings::SettingsFile};
use time::OffsetDateTime;

use super::{
    StateDir, StateError,
    versioned::{LoadError, Trial, Versioned},
};

/// What is kept. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Kept(Arc<Mutex<SettingsFile>>);

/// Why it cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    /// The file.
    #[error("what `ghostctl config set` has kept cannot be used: {0}")]
    File(LoadError),
    /// The state directory failed.
    #[error(transparent)]
    State(#[from] StateError),
    /// It is not what was read at the beginning of the start.
    #[error("what `ghostctl config set` has kept was changed during the start; start again")]
    Changed,
}

impl From<LoadError> for KeptError {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::State(error) => Self::State(error),
            LoadError::Damaged { .. } | LoadError::Newer { .. } | LoadError::SetAside { .. } => {
                Self::File(error)
            }
        }
    }
}

impl KeptError {
    /// The program's exit code for it.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::State(error) => error.exit_code(),
            Self::File(_) => crate::exit::IO,
            Self::Changed => crate::exit::UNAVAILABLE,
        }
    }
}

impl Kept {
    /// Reads it out of a state directory that this process does not have, and changes nothing there: the configuration is read
    /// before anything is made. Blocks.
    ///
    /// # Errors
    /// If a file is there and cannot be read.
    pub fn glance(state: &Path) -> Result<Self, StateError> {
        let settings = file(&StateDir::glance(state)).glance()?;
        Ok(Self(Arc::new(Mutex::new(settings.unwrap_or_default()))))
    }

    /// Reads it once more, now that this process has the directory: what is damaged is mended or set aside. Blocks.
    ///
    /// # Errors
    /// It cannot be used, or is another one than was read before.
    pub fn open(&self, state: &StateDir, now: OffsetDateTime) -> Result<(), KeptError> {
        let settings = file(state).load(now)?.unwrap_or_default();
        if settings == *self.lock() { Ok(()) } else { Err(KeptError::Changed) }
    }

    /// What there is.
    #[must_use]
    pub fn settings(&self) -> SettingsFile {
        self.lock().clone()
    }

    /// Lays other settings in its place, in memory: to try them, or to take that back.
    pub fn lay(&self, settings: SettingsFile) {
        *self.lock() = settings;
    }

    /// As a source of the configuration.
    #[must_use]
    pub fn source(&self) -> Source {
        Source::Kept(self.settings().settings.into_iter().collect())
    }

    fn lock(&self) -> MutexGuard<'_, SettingsFile> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes these to the disk. Blocks.
///
/// # Errors
/// If that fails; the file is as it was.
pub fn write(state: &StateDir, settings: &SettingsFile) -> Result<(), StateError> {
    write_if(state, settings, || true)
}

/// The same, unless it is no longer wanted once all that is left to do is to give it its name. Blocks.
///
/// # Errors
/// As above.
pub fn write_if(
    state: &StateDir,
    settings: &SettingsFile,
    wanted: impl FnOnce() -> bool,
) -> Result<(), StateError> {
    file(state).save_if(settings, wanted)
}

/// What a start would make of the file, which stays as it is. Blocks.
///
/// # Errors
/// If it cannot be read.
pub(crate) fn trial(state: &StateDir) -> Result<Trial, StateError> {
    file(state).trial()
}

/// The file as it is, for a backup. Blocks.
///
/// # Errors
/// If it cannot be read.
pub fn text(state: &StateDir) -> Result<Option<Vec<u8>>, StateError> {
    file(state).text()
}

fn file(state: &StateDir) -> Versioned<SettingsFile> {
    Versioned::new(state, SETTINGS)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use ghostllm_core::backup::SETTINGS_COPY;

    use super::*;

    fn settings(value: &str) -> SettingsFile {
        SettingsFile { settings: [("log.level".to_owned(), value.to_owned())].into() }
    }

    #[test]
    fn a_glance_sees_what_is_kept_and_changes_nothing() {
        let at = tempfile::tempdir().unwrap();
        let path = at.path().join("state");
        assert_eq!(Kept::glance(&path).unwrap().settings(), SettingsFile::default());
        assert!(!path.exists(), "nothing is made");
        let state = StateDir::open(&path).unwrap();
        write(&state, &settings("debug")).unwrap();
        assert_eq!(Kept::glance(&path).unwrap().settings(), settings("debug"));
        fs::write(path.join(SETTINGS), "{").unwrap();
        let kept = Kept::glance(&path).unwrap();
        assert_eq!(kept.settings(), settings("debug"), "of the copy");
        assert_eq!(fs::read(path.join(SETTINGS)).unwrap(), b"{");
        kept.open(&state, OffsetDateTime::UNIX_EPOCH).unwrap();
        assert_ne!(fs::read(path.join(SETTINGS)).unwrap(), b"{", "it is mended");
    }

    #[test]
    fn what_is_damaged_or_another_by_now_ends_the_start() {
        let at = tempfile::tempdir().unwrap();
        let path = at.path().join("state");
        let state = StateDir::open(&path).unwrap();
        write(&state, &settings("debug")).unwrap();
        let kept = Kept::glance(&path).unwrap();
        write(&state, &settings("info")).unwrap();
        let open = |kept: &Kept| kept.open(&state, OffsetDateTime::UNIX_EPOCH);
        assert!(matches!(open(&kept), Err(KeptError::Changed)));
        for name in [SETTINGS, SETTINGS_COPY] {
            fs::write(path.join(name), "{").unwrap();
        }
        let kept = Kept::glance(&path).unwrap();
        let error = open(&kept).unwrap_err();
        assert!(matches!(error, KeptError::File(LoadError::Damaged { .. })), "{error}");
        let error = open(&Kept::glance(&path).unwrap()).unwrap_err();
        assert!(matches!(error, KeptError::File(LoadError::SetAside { .. })), "{error}");
    }
}
