//! Whether a program of this version could take the state over, as an upgrade asks while the old one still serves.
//!
//! Knows every file of the state for which a start can fail, and those in which it would lose something. Refuses to change anything, and to
//! wait for whoever has the state. Invariant: what is called a fault here is what a start would fail for, and the other way round, as long
//! as the files stay as they are.

use std::path::Path;

use super::{StartError, upkeep::CaFiles};
use crate::{
    certificates::Certificates,
    exit,
    store::{LOCK, StateDir, StateError, flight, keys, settings, usage, versioned::Trial},
};

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// There is a state directory.
    pub(crate) there: bool,
    /// What a start would change, or could not read and do without.
    pub(crate) notes: Vec<String>,
    /// What it would fail for, each with the exit code of such a start.
    pub(crate) faults: Vec<(u8, String)>,
}

/// Looks at all of it. `own_ca` says whether the listeners would show the box's own certificate. Blocks.
pub(crate) fn state(path: &Path, own_ca: bool) -> Found {
    let mut found = Found::default();
    let state = match StateDir::look_at(path) {
        Ok(Some(state)) => state,
        Ok(None) => return found,
        Err(error) => {
            found.fault(error);
            return found;
        }
    };
    found.there = true;
    // In the order in which a start comes to them.
    if let Err(error) = state.read(LOCK) {
        found.fault(error);
    }
    found.file(settings::trial(&state));
    if own_ca {
        found.authority(&state);
    }
    found.file(keys::trial(&state));
    match usage::trial(&state) {
        Ok(lines) => found.notes.extend(lines),
        Err(error) => found.notes.push(error.to_string()),
    }
    found.records(path);
    found
}

impl Found {
    fn fault(&mut self, error: impl Into<StartError>) {
        let error = error.into();
        self.faults.push((error.exit_code(), error.to_string()));
    }

    fn file(&mut self, trial: Result<Trial, StateError>) {
        match trial {
            Ok(Trial::AsIs) => {}
            Ok(Trial::Changed(words)) => self.notes.push(words),
            Ok(Trial::Refused(words)) => self.faults.push((exit::IO, words)),
            Err(error) => self.fault(error),
        }
    }

    fn authority(&mut self, state: &StateDir) {
        match CaFiles::look(state) {
            Ok(None) => {}
            Ok(Some(files)) => {
                if let Err(error) = Certificates::trial(&files) {
                    self.fault(error);
                }
            }
            Err(error) => self.fault(error),
        }
    }

    /// The flight recorder's, for which nothing fails.
    fn records(&mut self, path: &Path) {
        let unread = flight::glance(path).map(|all| all.iter().filter(|one| one.flight.is_err()).count());
        if let Ok(unread @ 1..) = unread {
            self.notes.push(format!(
                "{unread} of the flight recorder's records cannot be read by this version, and stay as they are: ghostllm inspect --flight names \
                 them"
            ));
        }
    }
}

#[cfg(test)]
#[path = "trial_tests.rs"]
mod tests;
