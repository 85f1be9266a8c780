//! What [`Versioned::load`] would do, in words, without doing it.
//!
//! Knows the same two files. Refuses to write, rename or log. Invariant: what is refused here a load would refuse, and what a load would
//! refuse is refused here, as long as neither file changes in between.

use ghostllm_core::state::Kind;

use super::{Look, Versioned, kept_before};
use crate::{access::quoted, store::StateError};

/// What a load would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trial {
    /// It would take what there is, or there is nothing.
    AsIs,
    /// It would take it, and change the files: what it would do.
    Changed(String),
    /// It would give nothing: why, and what to do.
    Refused(String),
}

impl<K: Kind> Versioned<K> {
    /// What a load would do. Blocks.
    ///
    /// # Errors
    /// The state directory fails, or a file is open to others.
    pub fn trial(&self) -> Result<Trial, StateError> {
        let (file, copy) = (quoted(&self.state.file(&self.name)?), self.copy());
        Ok(match (self.look(&self.name)?, self.look(&self.copy())?) {
            (Look::Good(..), Look::Newer(_) | Look::Bad(_)) => {
                Trial::Changed(format!("the copy {copy} of {file} cannot be used, and would be made anew"))
            }
            (Look::Good(decoded, _), Look::Good(..) | Look::Absent) => {
                self.brought_up(&file, decoded.version)
            }
            (Look::Newer(version), _) => self.newer_than_known(&file, version)?,
            (Look::Bad(why), Look::Good(..)) => {
                Trial::Changed(format!("{file} cannot be used ({why}); its copy {copy} would take its place"))
            }
            (Look::Absent, Look::Good(..)) => {
                Trial::Changed(format!("{file} is gone; its copy {copy} would take its place"))
            }
            (Look::Bad(why), _) => self.unusable(&file, &why),
            (Look::Absent, Look::Absent) => self
                .never_was()
                .map_or_else(|error| Trial::Refused(error.to_string()), |_nothing| Trial::AsIs),
            (Look::Absent, _) => self.unusable(&file, "it is gone"),
        })
    }

    fn brought_up(&self, file: &str, version: usize) -> Trial {
        if version == K::VERSION {
            return Trial::AsIs;
        }
        let before = self.before(version);
        Trial::Changed(format!(
            "{file} is of version {version} and would be of version {}; the old one would be kept as {before}",
            K::VERSION
        ))
    }

    fn newer_than_known(&self, file: &str, version: usize) -> Result<Trial, StateError> {
        let before = Some(self.state.file(&self.before(K::VERSION))?).filter(|before| before.exists());
        Ok(Trial::Refused(format!(
            "{file} is of version {version}, written by a newer ghostllm; this one knows version {}. Install the newer one again{}",
            K::VERSION,
            kept_before(&self.state.file(&self.name)?, before.as_ref())
        )))
    }

    fn unusable(&self, file: &str, why: &str) -> Trial {
        let copy = self.copy();
        Trial::Refused(format!(
            "{file} cannot be used ({why}), nor can its copy {copy}. Put a good copy back in its place, as ghostctl restore does"
        ))
    }
}
