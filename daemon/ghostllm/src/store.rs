//! State on disk: one directory that nobody else can read.
//!
//! Knows where it is, how a small file is replaced so that a crash leaves the old one or the new one whole, and whether
//! that works at the moment.
//! Refuses to know what the files mean. Invariant: the directory has mode 0700 and belongs to the user that runs
//! the program; every file in it is written with mode 0600, and refused if somebody else could have read it.
//!
//! Everything here blocks; on a running server it is called where blocking is allowed.

mod alert;
pub mod audit;
mod error;
pub(crate) mod flight;
pub mod keys;
pub(crate) mod quic_key;
mod replace;
pub mod settings;
pub mod usage;
pub mod versioned;

use std::{
    ffi::OsString,
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, ErrorKind, Read, Seek, SeekFrom, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use time::OffsetDateTime;

use alert::Alert;
pub use error::StateError;
use replace::Staged;

/// No state file of ours comes near to this; what is larger is not ours.
const LARGEST_FILE: usize = 16 * 1024 * 1024;
/// The file whose lock says that a process has the state.
pub(crate) const LOCK: &str = "lock";
/// A process id in decimal, and more.
const PROCESS_BYTES: u64 = 32;
/// The file that shows whether the directory can be written.
const PROBE: &str = "write-probe";
/// An empty file can be made on a full disk; what shows that there is room again has a block (4 KiB nearly everywhere).
const PROBE_BYTES: usize = 4096;
/// A pipe that lies where a file should be must not hold the start.
const UNBLOCKED: i32 = nix::libc::O_NONBLOCK;

/// A file of the state: its name from the state directory on, and what is in it.
pub type StateFile = (&'static str, Vec<u8>);

/// The state directory, or a directory in it.
#[derive(Debug, Clone)]
pub struct StateDir {
    path: PathBuf,
    alert: Alert,
    /// It is only read.
    glances: bool,
}

/// The state directory is this process's alone for as long as this is held; the kernel lets go of it however the
/// process ends.
#[derive(Debug)]
#[must_use = "dropped, it lets another process in"]
pub struct Claim {
    _directory: File,
    _lock: File,
}

impl StateDir {
    /// Where state goes: `--state-dir`, `$STATE_DIRECTORY` (systemd's, the first of a list),
    /// `$XDG_STATE_HOME/ghostllm`, `~/.local/state/ghostllm`.
    ///
    /// # Errors
    /// [`StateError::Nowhere`] if none of them is known.
    pub fn choose(
        argument: Option<&Path>,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<PathBuf, StateError> {
        if let Some(path) = argument {
            // The log names files in it, and whoever reads that is elsewhere.
            return std::path::absolute(path)
                .map_err(|source| StateError::Unreadable { path: path.to_owned(), source });
        }
        // The basedir specification says that relative paths are invalid and ignored; so are empty ones.
        let absolute = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let systemd = variable("STATE_DIRECTORY").and_then(|list| std::env::split_paths(&list).next());
        systemd
            .filter(|path| path.is_absolute())
            .or_else(|| absolute("XDG_STATE_HOME").map(|home| home.join("ghostllm")))
            .or_else(|| absolute("HOME").map(|home| home.join(".local/state/ghostllm")))
            .ok_or(StateError::Nowhere)
    }

    /// Opens the directory, and makes it (mode 0700) if it is not there.
    ///
    /// # Errors
    /// If it cannot be made or written, is open to others, or belongs to somebody else.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        let state = Self::made(path)?;
        state.probe()?;
        Ok(state)
    }

    /// Opens the directory as [`StateDir::open`] does, for this process alone.
    ///
    /// # Errors
    /// As [`StateDir::open`], and [`StateError::InUse`] while another process has it.
    pub fn claim(path: &Path) -> Result<(Self, Claim), StateError> {
        let state = Self::made(path)?;
        // Before anything else is written: two first starts would lose one another's keys.
        let claim = state.lock()?;
        state.probe()?;
        Ok((state, claim))
    }

    /// The directory as it lies there, whoever has it: for reading alone, which root may do whosever it is.
    fn glance(path: &Path) -> Self {
        Self { glances: true, ..Self::at(path.to_owned(), Alert::default()) }
    }

    /// The same, held to what a start asks of it; none where there is none.
    ///
    /// # Errors
    /// It cannot be looked at, is no directory, is open to others, or belongs to somebody else.
    pub(crate) fn look_at(path: &Path) -> Result<Option<Self>, StateError> {
        let unreadable = |source| StateError::Unreadable { path: path.to_owned(), source };
        let facts = match fs::metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            facts => facts.map_err(unreadable)?,
        };
        if !facts.is_dir() {
            return Err(StateError::NoDirectory { path: path.to_owned() });
        }
        check_glanced(path, &facts, 0o700)?;
        Ok(Some(Self::glance(path)))
    }

    fn at(path: PathBuf, alert: Alert) -> Self {
        Self { path, alert, glances: false }
    }

    fn made(path: &Path) -> Result<Self, StateError> {
        let unwritable = |source| StateError::Unwritable { path: path.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|source| {
            // The system's own words for it, "File exists" and "Not a directory", say neither which nor what to do.
            let is_other = |part: &&Path| fs::metadata(part).is_ok_and(|facts| !facts.is_dir());
            match path.ancestors().find(is_other) {
                Some(part) => StateError::NoDirectory { path: part.to_owned() },
                None => unwritable(source),
            }
        })?;
        let metadata = fs::metadata(path).map_err(unwritable)?;
        check_owner(path, &metadata, 0o700)?;
        Ok(Self::at(path.to_owned(), Alert::default()))
    }

    fn lock(&self) -> Result<Claim, StateError> {
        let path = self.path.join(LOCK);
        let unwritable = |source| StateError::Unwritable { path: path.clone(), source };
        // Whoever takes a `lock` away that looks left behind must not let a second process in. NFS locks no directory
        // (flock(2)), and has the file alone.
        let directory = File::open(&self.path).map_err(unwritable)?;
        if matches!(directory.try_lock(), Err(TryLockError::WouldBlock)) {
            return Err(self.in_use());
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(UNBLOCKED);
        let mut writer = options.open(&path).map_err(unwritable)?;
        // Whoever may open it may hold it.
        check_owner(&path, &writer.metadata().map_err(unwritable)?, 0o600)?;
        // A disk on which a file is open for writing cannot be made read-only by whoever looks after it. NFS, in turn,
        // locks nothing else (flock(2)).
        let reader = File::open(&path).map_err(unwritable)?;
        let (locked, held) = match reader.try_lock() {
            Err(TryLockError::Error(error)) if error.raw_os_error() == Some(nix::libc::EBADF) => {
                let held = writer.try_clone().map_err(unwritable)?;
                (held.try_lock(), held)
            }
            locked => (locked, reader),
        };
        match locked {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(self.in_use()),
            Err(TryLockError::Error(source)) => return Err(unwritable(source)),
        }
        // The number is for a person who is refused; on a full disk it is missing.
        let _told = writer.set_len(0).and_then(|()| writeln!(writer, "{}", std::process::id()));
        Ok(Claim { _directory: directory, _lock: held })
    }

    /// With the number of the process that has the state, where it has said so.
    fn in_use(&self) -> StateError {
        let open = OpenOptions::new().read(true).custom_flags(UNBLOCKED).open(self.path.join(LOCK));
        let mut holder = String::new();
        let read = open.and_then(|lock| lock.take(PROCESS_BYTES).read_to_string(&mut holder));
        let holder = read.ok().map(|_| holder.trim().to_owned()).filter(|holder| !holder.is_empty());
        StateError::InUse { path: self.path.clone(), holder }
    }

    /// Finds a directory that cannot be written now, not when a key is lost. A full disk passes: a box that has its keys
    /// serves on, and one that has none ends its start when it makes the first.
    fn probe(&self) -> Result<(), StateError> {
        let written = self.try_write(PROBE, b"").and_then(|()| self.try_remove(PROBE));
        written.map(drop).map_err(|source| self.unwritable(PROBE, source))
    }

    /// Whether the last write failed, and none has succeeded since.
    #[must_use]
    pub fn is_alarmed(&self) -> bool {
        self.alert.standing().is_some()
    }

    /// Looks whether state can be written again, if the last write failed: nobody else may try for days. Blocks.
    pub fn look_again(&self) {
        let Some(bytes) = self.alert.standing() else { return };
        // As large as what could not be written: there may be room for less.
        if self.probe_room(bytes.clamp(PROBE_BYTES, LARGEST_FILE)).is_ok() {
            self.alert.clear();
        }
    }

    /// Looks whether so many bytes can be written. Blocks.
    fn probe_room(&self, bytes: usize) -> io::Result<()> {
        self.try_write(PROBE, &vec![0; bytes]).and_then(|()| self.try_remove(PROBE)).map(drop)
    }

    /// The same directory, for the audit log, whose failures are an alert of their own.
    fn for_audit(&self) -> Self {
        Self::at(self.path.clone(), Alert::audit())
    }

    /// The same directory, for files whose writer tells by itself that they cannot be written.
    fn untold(&self) -> Self {
        Self::at(self.path.clone(), Alert::unsaid())
    }

    /// A directory in this one, under the same rules.
    ///
    /// # Errors
    /// As [`StateDir::open`].
    pub fn dir(&self, name: &str) -> Result<Self, StateError> {
        let inner = Self::made(&self.file(name)?)?;
        inner.probe()?;
        Ok(Self { alert: self.alert.clone(), ..inner })
    }

    /// The directory's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of the file of this name.
    ///
    /// # Errors
    /// If `name` is anything but a plain file name that is not hidden.
    pub fn file(&self, name: &str) -> Result<PathBuf, StateError> {
        if name.is_empty() || name.starts_with('.') || name.contains(['/', '\0']) {
            return Err(StateError::Name(name.to_owned()));
        }
        Ok(self.path.join(name))
    }

    /// The file's bytes; nothing if there is no such file.
    ///
    /// # Errors
    /// If it cannot be read, or others may read or change it.
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>, StateError> {
        self.end_of(name, u64::MAX)
    }

    /// So many of the file's last bytes, or all there are; nothing if there is no such file.
    ///
    /// # Errors
    /// As [`StateDir::read`].
    pub(crate) fn end_of(&self, name: &str, bytes: u64) -> Result<Option<Vec<u8>>, StateError> {
        let path = self.file(name)?;
        let unreadable = |source| StateError::Unreadable { path: path.clone(), source };
        let mut file = match OpenOptions::new().read(true).custom_flags(UNBLOCKED).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unreadable(error)),
        };
        let metadata = file.metadata().map_err(unreadable)?;
        let check = if self.glances { check_glanced } else { check_owner };
        check(&path, &metadata, 0o600)?;
        if !metadata.is_file() {
            return Err(unreadable(io::Error::new(ErrorKind::InvalidInput, "it is no file")));
        }
        if metadata.len() > LARGEST_FILE as u64 {
            return Err(unreadable(io::Error::from(ErrorKind::FileTooLarge)));
        }
        file.seek(SeekFrom::Start(metadata.len().saturating_sub(bytes))).map_err(unreadable)?;
        let mut read = Vec::new();
        file.read_to_end(&mut read).map_err(unreadable)?;
        Ok(Some(read))
    }

    /// Replaces the file by `bytes`, with mode 0600: after a crash the old file is there, or the new one, whole. When it
    /// returns, the new one is on the disk.
    ///
    /// One name has one writer; two at a time would be an error for one of them.
    ///
    /// # Errors
    /// If it cannot be written; the old file is then as it was.
    pub fn write_private(&self, name: &str, bytes: &[u8]) -> Result<(), StateError> {
        self.file(name)?;
        self.judged(name, bytes.len(), self.try_write(name, bytes))
    }

    fn try_write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        Staged::write(&self.path, name, bytes)?.install().map(drop)
    }

    /// Removes the file; says whether there was one.
    ///
    /// # Errors
    /// If it is there and cannot be removed.
    pub fn remove(&self, name: &str) -> Result<bool, StateError> {
        self.file(name)?;
        let there = self.try_remove(name).map_err(|source| self.failed(name, 0, source))?;
        self.alert.removed();
        Ok(there)
    }

    fn try_remove(&self, name: &str) -> io::Result<bool> {
        let there = missing_is_fine(fs::remove_file(self.path.join(name)))?;
        sync(&self.path)?;
        Ok(there)
    }

    /// Raises the alert after a failure, and ends it after a success.
    fn judged<T>(&self, name: &str, bytes: usize, outcome: io::Result<T>) -> Result<T, StateError> {
        let outcome = outcome.map_err(|source| self.failed(name, bytes, source));
        if outcome.is_ok() {
            self.alert.clear();
        }
        outcome
    }

    fn failed(&self, name: &str, bytes: usize, source: io::Error) -> StateError {
        let error = self.unwritable(name, source);
        self.alert.raise(bytes, &error);
        error
    }

    fn unwritable(&self, name: &str, source: io::Error) -> StateError {
        StateError::Unwritable { path: self.path.join(name), source }
    }

    /// Puts the file aside under a name that bears the date, and returns that name.
    ///
    /// # Errors
    /// If it cannot be renamed.
    pub fn set_aside(&self, name: &str, now: OffsetDateTime) -> Result<String, StateError> {
        let path = self.file(name)?;
        let now = now.to_offset(time::UtcOffset::UTC);
        let (date, time) = (now.date(), now.time());
        let stamp = format!(
            "{:04}{:02}{:02}T{:02}{:02}{:02}Z",
            date.year(),
            u8::from(date.month()),
            date.day(),
            time.hour(),
            time.minute(),
            time.second()
        );
        // Twice in one second, or with a clock that stands still, nothing that lies there is overwritten.
        let free = (0u32..).map(|n| match n {
            0 => format!("{name}{ASIDE}{stamp}"),
            _ => format!("{name}{ASIDE}{stamp}-{n}"),
        });
        let aside = free.into_iter().find(|aside| !self.path.join(aside).exists()).unwrap_or_default();
        let moved = fs::rename(&path, self.path.join(&aside)).and_then(|()| sync(&self.path));
        moved.map_err(|source| StateError::Unwritable { path, source })?;
        Ok(aside)
    }

    /// The names under which the file `name` was set aside.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn aside(&self, name: &str) -> Result<Vec<String>, StateError> {
        let unreadable = |source| StateError::Unreadable { path: self.path.clone(), source };
        let prefix = format!("{name}{ASIDE}");
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?.file_name();
            names.extend(entry.into_string().ok().filter(|entry| entry.starts_with(&prefix)));
        }
        names.sort();
        Ok(names)
    }
}

/// Makes what has changed in a directory last: names, not what is in the files.
fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// What stands between a file's name and the date of its being set aside.
const ASIDE: &str = ".bad-";

/// Whether there was something to remove.
fn missing_is_fine(removed: io::Result<()>) -> io::Result<bool> {
    match removed {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Refuses what others may read or change, and what is not ours.
fn check_owner(path: &Path, metadata: &fs::Metadata, right: u32) -> Result<(), StateError> {
    let user = nix::unistd::geteuid().as_raw();
    if metadata.uid() != user {
        return Err(StateError::Foreign { path: path.to_owned(), owner: metadata.uid(), user });
    }
    check_mode(path, metadata, right)
}

/// The same of what is only read: whosever it is, root may.
fn check_glanced(path: &Path, metadata: &fs::Metadata, right: u32) -> Result<(), StateError> {
    match check_owner(path, metadata, right) {
        Err(StateError::Foreign { user: 0, .. }) => check_mode(path, metadata, right),
        checked => checked,
    }
}

fn check_mode(path: &Path, metadata: &fs::Metadata, right: u32) -> Result<(), StateError> {
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(StateError::TooWide { path: path.to_owned(), mode, right });
    }
    Ok(())
}

#[cfg(test)]
#[path = "store/store_tests.rs"]
mod tests;
