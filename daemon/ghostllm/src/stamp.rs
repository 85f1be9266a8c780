//! Tells one state of a file from the next.
//!
//! Refuses to read files. Invariant: whatever changes a file changes its stamp, but for what is written in place, and as long as what
//! was there, within one tick of the kernel's clock.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

/// The time of the last change of any kind (chmod is one, and no tool can set it back), and what tells two
/// changes within one tick of the kernel's clock apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    changed: (i64, i64),
    inode: u64,
    size: u64,
    mode: u32,
}

impl Stamp {
    /// The stamp of the file at `path`; none where there is no file, or nothing that can be read again, such as a pipe.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let facts = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        let changed = (facts.ctime(), facts.ctime_nsec());
        Some(Self { changed, inode: facts.ino(), size: facts.len(), mode: facts.mode() })
    }

    /// Whether nothing is in the file.
    pub(crate) fn is_empty(&self) -> bool {
        self.size == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_of_a_file_is_seen_and_a_pipe_has_none() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        assert_eq!(Stamp::of(&path), None);
        fs::write(&path, "a").unwrap();
        let first = Stamp::of(&path).unwrap();
        assert_eq!(Stamp::of(&path), Some(first));
        let other = directory.path().join("other");
        fs::write(&other, "b").unwrap();
        fs::rename(&other, &path).unwrap();
        let second = Stamp::of(&path).unwrap();
        assert_ne!(second, first, "another file of the same length");
        fs::write(&path, "longer").unwrap();
        assert_ne!(Stamp::of(&path), Some(second));
        fs::remove_file(&path).unwrap();
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(Stamp::of(&path), None);
    }
}
