//! A state file of our own form: read in every version that ever was, kept twice, never torn.
//!
//! Knows the envelope of [`ghostllm_core::state`] and two files of the same content: `NAME`, and `NAME.last`, the last good
//! copy. Refuses to know what the content means. Invariants: what [`Versioned::save`] has acknowledged is on the disk; a
//! file that cannot be read never counts as none, and is set aside instead of being overwritten; the copy takes a damaged
//! file's place only while both held the same whenever something was acknowledged, so that nothing is undone by it.

mod trial;

use std::{
    io::ErrorKind,
    marker::PhantomData,
    path::{Path, PathBuf},
    time::SystemTime,
};

use ghostllm_core::state::{Decoded, Kind, Unread, decode, encode};
use thiserror::Error;
use time::OffsetDateTime;

use super::{LARGEST_FILE, StateDir, StateError, replace::Staged};
use crate::access::quoted;
pub use trial::Trial;

/// A state file with content of the kind `K`.
#[derive(Debug, Clone)]
pub struct Versioned<K> {
    state: StateDir,
    name: String,
    kind: PhantomData<fn() -> K>,
}

/// Why a state file gives nothing, although there is one.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The directory failed, or the file is open to others.
    #[error(transparent)]
    State(#[from] StateError),
    /// Neither the file nor its last good copy can be used.
    #[error(
        "the state file {} cannot be used ({why}), nor is there a good copy. What there was is set aside: {}. {}",
        quoted(path),
        list(aside, ", "),
        ways_out(path, aside)
    )]
    Damaged {
        /// Where the file was.
        path: PathBuf,
        /// Where it and its copy are now.
        aside: Vec<PathBuf>,
        /// What is wrong.
        why: String,
    },
    /// A later version of this program wrote it.
    #[error(
        "the state file {} is of version {version}, written by a newer ghostllm; this one knows version {known}. \
         It is set aside: {}. {}{}",
        quoted(path), list(aside, ", "), back_to_newer(path, aside), kept_before(path, before.as_ref())
    )]
    Newer {
        /// Where the file was.
        path: PathBuf,
        /// Its version.
        version: usize,
        /// Ours.
        known: usize,
        /// Where it and its copy are now.
        aside: Vec<PathBuf>,
        /// What the file was before the newer program took it over.
        before: Option<PathBuf>,
    },
    /// It was set aside at an earlier start, and nobody has decided yet.
    #[error(
        "there is no state file {}, but one was set aside at an earlier start: {}. {}{}",
        quoted(path),
        list(aside, ", "),
        whole_again(path, whole.as_ref()),
        ways_out(path, aside)
    )]
    SetAside {
        /// Where the file was.
        path: PathBuf,
        /// Where it and its copy are now.
        aside: Vec<PathBuf>,
        /// The one of them that this program can read: an older one could not.
        whole: Option<PathBuf>,
    },
}

fn list(paths: &[PathBuf], between: &str) -> String {
    let paths: Vec<String> = paths.iter().map(|path| quoted(path)).collect();
    paths.join(between)
}

fn anew(aside: &[PathBuf]) -> String {
    format!("To begin anew instead, run: rm -r {}", list(aside, " "))
}

fn ways_out(path: &Path, aside: &[PathBuf]) -> String {
    format!("Put a good copy back as {}. {}", quoted(path), anew(aside))
}

fn whole_again(path: &Path, whole: Option<&PathBuf>) -> String {
    whole.map_or_else(String::new, |whole| {
        format!("The last one is whole; to use it again, run: mv {} {}. ", quoted(whole), quoted(path))
    })
}

fn back_to_newer(path: &Path, aside: &[PathBuf]) -> String {
    let newest = aside.first().map(|aside| quoted(aside)).unwrap_or_default();
    format!("Install the newer one again and run: mv {newest} {}. {}", quoted(path), anew(aside))
}

fn kept_before(path: &Path, before: Option<&PathBuf>) -> String {
    before.map_or_else(String::new, |before| {
        format!(
            ". Or go back to what was there before the newer one, with whatever was closed since open again: \
             cp -p {} {}",
            quoted(before),
            quoted(path)
        )
    })
}

/// What one of the two files gives.
enum Look<K> {
    Absent,
    Good(Decoded<K>, Vec<u8>),
    Newer(usize),
    Bad(String),
}

impl<K: Kind> Versioned<K> {
    /// The file of this name in this directory.
    #[must_use]
    pub fn new(state: &StateDir, name: &str) -> Self {
        Self { state: state.clone(), name: name.to_owned(), kind: PhantomData }
    }

    fn copy(&self) -> String {
        format!("{}.last", self.name)
    }

    /// Where a file of an older version is kept when its content is brought up to the present one.
    fn before(&self, version: usize) -> String {
        format!("{}.v{version}", self.name)
    }

    /// Reads the file; nothing if there has never been one. An older version is brought up to the present one, and a
    /// damaged file's place is taken by its last good copy. Blocks.
    ///
    /// # Errors
    /// If what is there cannot be used. It is set aside with its date then, and every further load fails as well until a
    /// person has decided.
    pub fn load(&self, now: OffsetDateTime) -> Result<Option<K>, LoadError> {
        match (self.look(&self.name)?, self.look(&self.copy())?) {
            (Look::Good(decoded, text), copy) => self.take_main(decoded, &text, &copy, now).map(Some),
            (Look::Newer(version), copy) => {
                let aside = self.both_aside(true, &copy, now)?;
                Err(self.newer(version, aside)?)
            }
            (Look::Bad(why), Look::Good(decoded, text)) => {
                let aside = self.state.set_aside(&self.name, now)?;
                tracing::error!(
                    aside = %self.state.path().join(aside).display(),
                    "the state file {} cannot be used ({why}) and is set aside; its last good copy takes its place",
                    self.state.file(&self.name)?.display(),
                );
                Ok(Some(self.take(decoded, &text)))
            }
            (Look::Absent, Look::Good(decoded, text)) => {
                tracing::error!(
                    "the state file {} is gone; its last good copy {} takes its place. Who means to begin anew removes both",
                    self.state.file(&self.name)?.display(),
                    self.copy()
                );
                Ok(Some(self.take(decoded, &text)))
            }
            (Look::Bad(why), copy) => self.damaged(why, true, &copy, now),
            (Look::Absent, Look::Absent) => self.never_was(),
            (Look::Absent, copy) => self.damaged("it is gone".to_owned(), false, &copy, now),
        }
    }

    /// What [`Versioned::load`] would give, without mending anything; nothing where that fails. Blocks.
    ///
    /// # Errors
    /// If a file is there and cannot be read.
    pub fn glance(&self) -> Result<Option<K>, StateError> {
        for name in [&self.name, &self.copy()] {
            match self.look(name)? {
                Look::Good(decoded, _) => return Ok(Some(decoded.value)),
                // Never its copy, which lets in what was closed since.
                Look::Newer(_) => return Ok(None),
                Look::Absent | Look::Bad(_) => {}
            }
        }
        Ok(None)
    }

    /// Replaces the file, and then its copy. When it returns, both are on the disk. Blocks.
    ///
    /// # Errors
    /// [`StateError::Unwritable`] if one of the two cannot be written; both are then as they were.
    pub fn save(&self, value: &K) -> Result<(), StateError> {
        self.save_if(value, || true)
    }

    /// The same, unless it is no longer wanted once all of it is on the disk and only the names are missing, which is asked once:
    /// both files are then as they were.
    ///
    /// # Errors
    /// As above.
    pub fn save_if(&self, value: &K, wanted: impl FnOnce() -> bool) -> Result<(), StateError> {
        let path = self.state.file(&self.name)?;
        let text = encode(value)
            .map_err(std::io::Error::from)
            // Or the next start would refuse it.
            .and_then(
                |text| if text.len() > LARGEST_FILE { Err(ErrorKind::FileTooLarge.into()) } else { Ok(text) },
            )
            .map_err(|source| StateError::Unwritable { path, source })?;
        self.write(&text, wanted)
    }

    /// The file as it is, for a backup; whoever asks holds up its writers. Blocks.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn text(&self) -> Result<Option<Vec<u8>>, StateError> {
        self.state.read(&self.name)
    }

    /// When the file was last written, as its stamp has it.
    #[must_use]
    pub fn written(&self) -> Option<SystemTime> {
        std::fs::metadata(self.state.path().join(&self.name)).and_then(|facts| facts.modified()).ok()
    }

    /// Has its stamp be this moment, on the disk. Blocks.
    ///
    /// # Errors
    /// [`StateError::Unwritable`] if it cannot be written.
    pub fn stamp(&self, moment: SystemTime) -> Result<(), StateError> {
        let file = std::fs::File::open(self.state.path().join(&self.name));
        let stamped = file.and_then(|file| file.set_modified(moment).and_then(|()| file.sync_all()));
        self.state.judged(&self.name, 0, stamped)
    }

    fn write(&self, text: &[u8], wanted: impl FnOnce() -> bool) -> Result<(), StateError> {
        let copy = self.copy();
        let directory = self.state.path();
        // Both before either has its name, so that a disk that fills up between them changes neither.
        let staged = Staged::write(directory, &self.name, text)
            .and_then(|file| Ok((file, Staged::write(directory, &copy, text)?)));
        let written = staged.and_then(|(file, copy)| {
            if !wanted() {
                return Ok(());
            }
            let installed = file.install()?;
            if let Err(error) = copy.install() {
                // A copy of before would one day bring back what was changed: the change is taken back with it.
                installed.undo();
                return Err(error);
            }
            Ok(())
        });
        self.state.judged(&self.name, text.len(), written)
    }

    fn look(&self, name: &str) -> Result<Look<K>, StateError> {
        let text = match self.state.read(name) {
            Ok(None) => return Ok(Look::Absent),
            Ok(Some(text)) => text,
            Err(error) => return error.damage().map(Look::Bad).ok_or(error),
        };
        Ok(match decode(&text) {
            Ok(decoded) => Look::Good(decoded, text),
            Err(Unread::Newer(version)) => Look::Newer(version),
            Err(Unread::Damaged(damage)) => Look::Bad(damage.to_string()),
        })
    }

    /// The file is good; its copy is made the same where it is not.
    fn take_main(
        &self,
        decoded: Decoded<K>,
        text: &[u8],
        copy: &Look<K>,
        now: OffsetDateTime,
    ) -> Result<K, LoadError> {
        let why = match copy {
            // A crash may have come between the two, or a person has put a backup back.
            Look::Good(_, same) if same == text && decoded.version == K::VERSION => return Ok(decoded.value),
            Look::Good(..) | Look::Absent => return Ok(self.take(decoded, text)),
            Look::Bad(why) => why.clone(),
            Look::Newer(version) => format!("it is of version {version}"),
        };
        let name = self.copy();
        let aside = self.state.set_aside(&name, now)?;
        tracing::warn!(
            aside = %self.state.path().join(aside).display(),
            "the copy {} cannot be used ({why}) and is set aside; the file itself is good, and copied anew",
            self.state.file(&name)?.display(),
        );
        Ok(self.take(decoded, text))
    }

    /// Makes this the content of the file and of its copy, in the present version. Where that cannot be written, the alert
    /// says so and the content is used all the same: nothing has changed, and the next load finds what this one found.
    fn take(&self, decoded: Decoded<K>, text: &[u8]) -> K {
        let Decoded { value, version } = decoded;
        if version == K::VERSION {
            let _alert_is_raised = self.write(text, || true);
            return value;
        }
        // A step that was wrong must not have thrown away what it was given.
        let before = self.before(version);
        let written = self.state.write_private(&before, text).and_then(|()| self.save(&value));
        if written.is_ok() {
            tracing::info!(
                "the state file {} was of version {version} and is of version {} now; the old one is kept as {before}",
                self.state.path().join(&self.name).display(),
                K::VERSION
            );
        }
        value
    }

    fn damaged(
        &self,
        why: String,
        main: bool,
        copy: &Look<K>,
        now: OffsetDateTime,
    ) -> Result<Option<K>, LoadError> {
        let aside = self.both_aside(main, copy, now)?;
        Err(LoadError::Damaged { path: self.state.file(&self.name)?, aside, why })
    }

    fn both_aside(
        &self,
        main: bool,
        copy: &Look<K>,
        now: OffsetDateTime,
    ) -> Result<Vec<PathBuf>, StateError> {
        let mut aside = Vec::new();
        // The copy first: the file alone, were the program to stop in between, is judged as both are now.
        if !matches!(copy, Look::Absent) {
            aside.push(self.state.path().join(self.state.set_aside(&self.copy(), now)?));
        }
        if main {
            aside.insert(0, self.state.path().join(self.state.set_aside(&self.name, now)?));
        }
        Ok(aside)
    }

    fn newer(&self, version: usize, aside: Vec<PathBuf>) -> Result<LoadError, StateError> {
        let path = self.state.file(&self.name)?;
        let before = self.state.file(&self.before(K::VERSION))?;
        let before = Some(before).filter(|before| before.exists());
        Ok(LoadError::Newer { path, version, known: K::VERSION, aside, before })
    }

    fn never_was(&self) -> Result<Option<K>, LoadError> {
        let mut aside = self.state.aside(&self.name)?;
        // The last one first.
        aside.reverse();
        let last = aside.first().and_then(|last| self.look(last).ok());
        aside.extend(self.state.aside(&self.copy())?);
        if aside.is_empty() {
            return Ok(None);
        }
        let aside: Vec<PathBuf> = aside.into_iter().map(|name| self.state.path().join(name)).collect();
        let whole = match last {
            // A supervisor starts anew at once, and people read what it says last: nothing may advise to throw this away.
            Some(Look::Newer(version)) => return Err(self.newer(version, aside)?),
            Some(Look::Good(..)) => aside.first().cloned(),
            Some(Look::Absent | Look::Bad(_)) | None => None,
        };
        Err(LoadError::SetAside { path: self.state.file(&self.name)?, aside, whole })
    }
}

#[cfg(test)]
#[path = "versioned_tests.rs"]
mod tests;
