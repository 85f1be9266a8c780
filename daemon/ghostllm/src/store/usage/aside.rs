//! The months that are counted anew, since neither of their files could be used.
//!
//! Knows the names under which files are set aside. Refuses to read them, and to remove them: that is a person's, and ends what is said
//! of them.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fs, io,
    path::{Path, PathBuf},
};

use ghostllm_core::{state::usage::month, usage::Month};

use crate::store::{ASIDE, versioned::LoadError};

/// The months that are counted anew, each with what was set aside of it.
pub type Anew = BTreeMap<Month, Vec<PathBuf>>;

/// Those of a directory: a month's file and its copy were set aside at one moment. A damaged file whose place its copy has taken, or the
/// other way round, is not among them.
pub(super) fn found(state: &Path) -> io::Result<Anew> {
    let mut pairs: BTreeMap<(Month, String), [Vec<PathBuf>; 2]> = BTreeMap::new();
    for entry in fs::read_dir(state)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some((file, stamp)) = name.to_str().and_then(|name| name.split_once(ASIDE)) else { continue };
        let copied = file.strip_suffix(".last");
        let Some(month) = month(copied.unwrap_or(file)) else { continue };
        // Behind it stands a number where there was such a file already.
        let stamp = stamp.split('-').next().unwrap_or(stamp);
        let [files, copies] = pairs.entry((month, stamp.to_owned())).or_default();
        if copied.is_some() { copies } else { files }.push(entry.path());
    }
    let mut anew = Anew::new();
    for ((month, _), [files, copies]) in pairs {
        if !files.is_empty() && !copies.is_empty() {
            anew.entry(month).or_default().extend(files.into_iter().chain(copies));
        }
    }
    anew.values_mut().for_each(|files| files.sort_unstable());
    Ok(anew)
}

/// Adds those that lay there before and still do: the file alone, or its copy alone, tells by its name no more than that it was set aside.
pub(super) fn joined(mut anew: Anew, before: &Anew) -> Anew {
    for (month, files) in before {
        if let Entry::Vacant(place) = anew.entry(*month) {
            let left: Vec<PathBuf> = files.iter().filter(|file| file.exists()).cloned().collect();
            if !left.is_empty() {
                place.insert(left);
            }
        }
    }
    anew
}

/// What a load that gave nothing has set aside.
pub(super) fn of(error: LoadError) -> Vec<PathBuf> {
    match error {
        LoadError::Damaged { aside, .. }
        | LoadError::Newer { aside, .. }
        | LoadError::SetAside { aside, .. } => aside,
        LoadError::State(_) => Vec::new(),
    }
}
