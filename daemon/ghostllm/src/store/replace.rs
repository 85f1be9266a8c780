//! How a file is replaced: written beside itself, made to last, renamed, the directory made to last.
//!
//! Knows one directory and one name. Invariants: whoever reads the name finds the old file or the new one, whole, whenever
//! the program or the machine stops; what failed leaves the old file under the name.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use super::{missing_is_fine, sync};

/// A new file that is on the disk, beside the one that it is to replace. Dropped, it goes.
#[derive(Debug)]
pub(super) struct Staged<'a> {
    directory: &'a Path,
    /// The name that it is to have.
    name: PathBuf,
    next: PathBuf,
}

impl<'a> Staged<'a> {
    /// Writes it, with mode 0600.
    pub(super) fn write(directory: &'a Path, name: &str, bytes: &[u8]) -> io::Result<Self> {
        let next = directory.join(format!(".{name}.next"));
        // What a crash has left behind; `create_new` then makes sure that the file is ours alone.
        missing_is_fine(fs::remove_file(&next))?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&next)?;
        // From here on a failure removes it: the disk may be full, and what is half written must not keep it so.
        let staged = Self { directory, name: directory.join(name), next };
        file.write_all(bytes)?;
        file.sync_all()?;
        Ok(staged)
    }

    /// Gives it its name, and makes that last. If that fails, the old file has its name back.
    pub(super) fn install(self) -> io::Result<Installed<'a>> {
        let before = Before::keep(&self.name);
        fs::rename(&self.next, &self.name)?;
        let installed = Installed { directory: self.directory, name: self.name.clone(), before };
        match sync(self.directory) {
            Ok(()) => Ok(installed),
            Err(error) => {
                installed.undo();
                Err(error)
            }
        }
    }
}

impl Drop for Staged<'_> {
    fn drop(&mut self) {
        // Once it has its name, there is nothing to remove.
        let _nothing_to_add = fs::remove_file(&self.next);
    }
}

/// A new file that has its name. Dropped, it stays.
#[derive(Debug)]
pub(super) struct Installed<'a> {
    directory: &'a Path,
    name: PathBuf,
    before: Before,
}

impl Installed<'_> {
    /// Gives the old file its name back: the next start would find what nobody was told of.
    pub(super) fn undo(self) {
        self.before.put_back(&self.name);
        // The disk that has just failed may fail here too; then what is on it is not known.
        let _as_well_as_can_be = sync(self.directory);
    }
}

/// The old file under a second name, as long as the new one may have to go again. A link needs no room on a full disk.
#[derive(Debug)]
enum Before {
    Linked(PathBuf),
    /// There was none.
    Nothing,
    /// The file system has no links.
    Unknown,
}

impl Before {
    fn keep(name: &Path) -> Self {
        let file = name.file_name().unwrap_or_default().to_string_lossy();
        let link = name.with_file_name(format!(".{file}.before"));
        let kept = missing_is_fine(fs::remove_file(&link)).and_then(|_| fs::hard_link(name, &link));
        match kept {
            Ok(()) => Self::Linked(link),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::Nothing,
            Err(_) => Self::Unknown,
        }
    }

    fn put_back(&self, name: &Path) {
        let _as_well_as_can_be = match self {
            Self::Linked(link) => fs::rename(link, name),
            Self::Nothing => fs::remove_file(name),
            Self::Unknown => Ok(()),
        };
    }
}

impl Drop for Before {
    fn drop(&mut self) {
        if let Self::Linked(link) = self {
            let _put_back_already = fs::remove_file(link);
        }
    }
}
