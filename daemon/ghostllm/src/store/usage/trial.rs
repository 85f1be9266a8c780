//! What a program of this version would make of the months, without touching them.
//!
//! Refuses to find a fault: no start fails for what requests have used. Invariant: a month whose file it could not take is named.

use std::fs;

use ghostllm_core::state::usage::{UsageFile, month};

use crate::store::{
    StateDir, StateError,
    versioned::{Trial, Versioned},
};

/// What it would do, a line for each month of which there is something to say, the oldest first. Blocks.
///
/// # Errors
/// If the directory cannot be read.
pub(crate) fn trial(state: &StateDir) -> Result<Vec<String>, StateError> {
    let unreadable = |source| StateError::Unreadable { path: state.path().to_owned(), source };
    let mut lines = Vec::new();
    for entry in fs::read_dir(state.path()).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        let Some((name, month)) = name.to_str().and_then(|name| Some((name, month(name)?))) else { continue };
        match Versioned::<UsageFile>::new(state, name).trial() {
            Ok(Trial::AsIs) => {}
            Ok(Trial::Changed(words)) => lines.push((month, words)),
            Ok(Trial::Refused(why)) => lines.push((
                month,
                format!("what requests have used in {month} would be counted anew, and what there is be set aside: {why}"),
            )),
            Err(error) => {
                lines.push((month, format!("what requests have used in {month} could not be read: {error}")));
            }
        }
    }
    lines.sort_unstable();
    Ok(lines.into_iter().map(|(_, line)| line).collect())
}
