//! Small files of the kernel.
//!
//! Knows what reading one may come to. Refuses to know what stands in it. Invariants: a file is opened once, and read again from its
//! beginning, which has the kernel write it anew; reading allocates nothing.

use std::{
    fs::File,
    io,
    ops::RangeInclusive,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    str,
};

use ghostllm_readings::{Absent, Reading};

/// One page, which is the most that such a file has (`sysfs_emit` of the kernel; `gpu_metrics` is cut to less).
const PAGE: usize = 4096;

// errno(3). They are the same on every architecture that this is built for.
const EINVAL: i32 = 22;
const ENODEV: i32 = 19;
const ENODATA: i32 = 61;
const EOPNOTSUPP: i32 = 95;

/// One file, which may not be there; it is opened when it is first read.
#[derive(Debug)]
pub(super) struct Entry {
    path: PathBuf,
    file: Option<File>,
}

impl Entry {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, file: None }
    }

    fn read(&mut self, page: &mut [u8], from: u64) -> Reading<usize> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(File::open(&self.path).map_err(|failed| not_opened(&failed))?),
        };
        file.read_at(page, from).map_err(|failed| not_read(&failed))
    }
}

/// Reads a card's files, until one says that the card is gone.
#[derive(Debug)]
pub(super) struct Reader {
    page: Box<[u8; PAGE]>,
    /// A file has said so; nothing more is read.
    pub(super) lost: bool,
}

impl Reader {
    pub(super) fn new() -> Self {
        Self { page: Box::new([0; PAGE]), lost: false }
    }

    /// What stands in it from there on, a page at the most.
    pub(super) fn bytes_from(&mut self, entry: &mut Entry, from: u64) -> Reading<&[u8]> {
        if self.lost {
            return Err(Absent::Lost);
        }
        let read = entry.read(self.page.as_mut_slice(), from);
        self.lost = read == Err(Absent::Lost);
        self.page.get(..read?).ok_or(Absent::Failed)
    }

    /// The first of it, where it has so much.
    pub(super) fn first<const N: usize>(&mut self, entry: &mut Entry) -> Reading<[u8; N]> {
        let mut first = [0; N];
        let read = if self.lost { Err(Absent::Lost) } else { entry.read(&mut first, 0) };
        self.lost = read == Err(Absent::Lost);
        if read? == N { Ok(first) } else { Err(Absent::Failed) }
    }

    /// All that stands in it.
    pub(super) fn bytes(&mut self, entry: &mut Entry) -> Reading<&[u8]> {
        self.bytes_from(entry, 0)
    }

    /// The same, where it is text, without the blanks around it.
    pub(super) fn text(&mut self, entry: &mut Entry) -> Reading<&str> {
        str::from_utf8(self.bytes(entry)?).map(str::trim).map_err(|_not_text| Absent::Failed)
    }

    /// The number that stands in it alone, where it is one of these.
    pub(super) fn number(&mut self, entry: &mut Entry, sound: RangeInclusive<i64>) -> Reading<i64> {
        let number = self.text(entry)?.parse().map_err(|_no_number| Absent::Failed)?;
        if sound.contains(&number) { Ok(number) } else { Err(Absent::Failed) }
    }

    /// A number of bytes, joules and the like.
    pub(super) fn count(&mut self, entry: &mut Entry) -> Reading<u64> {
        self.number(entry, 0..=i64::MAX).map(i64::unsigned_abs)
    }

    /// The first of these that there is.
    pub(super) fn either<T>(
        &mut self,
        entries: &mut [Entry],
        mut ask: impl FnMut(&mut Self, &mut Entry) -> Reading<T>,
    ) -> Reading<T> {
        let mut told = Err(Absent::Unsupported);
        for entry in entries {
            told = ask(self, entry);
            if !matches!(told, Err(Absent::Unsupported)) {
                break;
            }
        }
        told
    }
}

/// What stands in a file that is read once.
pub(super) fn once(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// The names in a folder, in their order; none where it cannot be read.
pub(super) fn names(folder: &Path) -> Vec<String> {
    let listed = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let mut names: Vec<String> = listed.filter_map(|one| one.file_name().into_string().ok()).collect();
    names.sort_unstable();
    names
}

fn not_opened(failed: &io::Error) -> Absent {
    match (failed.kind(), failed.raw_os_error()) {
        (_, Some(ENODEV)) => Absent::Lost,
        (io::ErrorKind::NotFound | io::ErrorKind::NotADirectory, _) => Absent::Unsupported,
        (io::ErrorKind::PermissionDenied, _) => Absent::Forbidden,
        _ => Absent::Failed,
    }
}

/// A file that could be opened is not forbidden: amdgpu says EPERM while it resets a card.
fn not_read(failed: &io::Error) -> Absent {
    match failed.raw_os_error() {
        // The kernel has taken the file away.
        Some(ENODEV) => Absent::Lost,
        // amdgpu and hwmon for a sensor that this chip has not.
        Some(EOPNOTSUPP | ENODATA | EINVAL) => Absent::Unsupported,
        _ => Absent::Failed,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn each_way_to_fail_has_its_reason() {
        let why = |code: i32| not_read(&io::Error::from_raw_os_error(code));
        assert_eq!(
            [19, 95, 61, 22].map(why),
            [Absent::Lost, Absent::Unsupported, Absent::Unsupported, Absent::Unsupported]
        );
        // EPERM, EIO, EISDIR, ETIMEDOUT.
        assert_eq!([1, 5, 21, 110].map(why), [Absent::Failed; 4]);
        let why = |code: i32| not_opened(&io::Error::from_raw_os_error(code));
        assert_eq!(
            [19, 2, 20, 13, 24].map(why),
            [Absent::Lost, Absent::Unsupported, Absent::Unsupported, Absent::Forbidden, Absent::Failed]
        );
    }

    #[test]
    fn numbers_are_numbers_and_a_file_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("number");
        let (mut reader, mut entry) = (Reader::new(), Entry::new(path.clone()));
        assert_eq!(reader.count(&mut entry), Err(Absent::Unsupported));
        for (text, told) in [
            ("42\n", Ok(42)),
            ("-1\n", Err(Absent::Failed)),
            ("", Err(Absent::Failed)),
            ("4 2", Err(Absent::Failed)),
            ("99999999999999999999", Err(Absent::Failed)),
            (" 7 ", Ok(7)),
        ] {
            fs::write(&path, text).unwrap();
            assert_eq!(reader.count(&mut entry), told, "{text:?}");
        }
        assert_eq!(reader.number(&mut entry, 0..=6), Err(Absent::Failed));
        let mut folder = Entry::new(folder.path().to_owned());
        assert_eq!(reader.count(&mut folder), Err(Absent::Failed), "a folder in a file's place");
    }
}
