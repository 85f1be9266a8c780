//! The state directory, for as long as it is this process's alone.
//!
//! Knows where it may be and the lock of the daemon's. Invariant: while another process has it, nothing is touched; what this
//! process has made only for the lock goes again.

use std::{
    env,
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, chown, fchown},
    path::{Path, PathBuf},
};

use ghostllm_core::{
    admin::{ActResult, AuditEntry},
    backup::{AUDIT, KEYS},
};
use rustix::fs::OFlags;

use super::replace::{self, Wanted};
use crate::{
    exit::{Exit, Failure},
    output::when,
};

/// The file whose lock says that a process has the state.
const LOCK: &str = "lock";
/// The service's own.
const SERVICE: &str = "/var/lib/ghostllm";

/// The state directory, locked.
#[derive(Debug)]
pub(crate) struct Place {
    path: PathBuf,
    /// Whose it is: user and group.
    owner: (u32, u32),
    locks: Vec<File>,
    /// The lock file is ours, and goes.
    made_lock: bool,
    /// The directory is ours, and goes unless something is restored in it.
    made: bool,
}

/// Who runs this program.
pub(crate) fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

impl Place {
    /// Takes the directory for this process alone.
    pub(crate) fn claim(named: Option<&Path>) -> Result<Self, Failure> {
        let path = choose(named)?;
        let failed = |error: io::Error| failed(&path, &error);
        let made = !path.exists();
        if made {
            DirBuilder::new().mode(0o700).create(&path).map_err(failed)?;
        }
        let facts = fs::metadata(&path).map_err(failed)?;
        let owner = (facts.uid(), facts.gid());
        let mut place = Self { path: path.clone(), owner, locks: Vec::new(), made_lock: false, made };
        place.check(&facts)?;
        place.lock()?;
        Ok(place)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Puts these files in the place of what is there; gives the names that what was there has now, with what it was before.
    pub(crate) fn replace(&mut self, files: &[Wanted], before: &str) -> Result<Vec<String>, Failure> {
        let before = replace::all(&self.path, files, before, &|file| self.give(file)).map_err(|error| {
            let message = format!("nothing was changed in {}: {error}", self.path.display());
            Failure::new(Exit::Failed, message).next("df -h; then the same command again")
        })?;
        self.made = false;
        Ok(before)
    }

    /// Removes what such a change has set aside of this file, but for the newest few.
    pub(crate) fn forget(&self, name: &str, before: &str) {
        /// Enough to find the way back.
        const KEPT: usize = 8;
        // What cannot be removed is in nobody's way.
        let _as_well_as_can_be = replace::forget(&self.path, name, before, KEPT);
    }

    /// Adds a line to the audit log, before what it tells of is done.
    pub(crate) fn note(&self, line: &[u8]) -> Result<(), Failure> {
        let path = self.path.join(AUDIT);
        let written = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(&path)
            .and_then(|mut file| {
                self.give(&file)?;
                file.write_all(line)?;
                file.sync_all()
            });
        written.map_err(|error| {
            let message = format!("nothing was changed, since {} cannot be written: {error}", path.display());
            Failure::new(Exit::Failed, message).next("df -h; then the same command again")
        })
    }

    /// Gives a file of root's to whoever the directory belongs to.
    fn give(&self, file: &File) -> io::Result<()> {
        let (user, group) = self.owner;
        if file.metadata()?.uid() == user { Ok(()) } else { fchown(file, Some(user), Some(group)) }
    }

    fn check(&self, facts: &fs::Metadata) -> Result<(), Failure> {
        let shown = self.path.display();
        if !facts.is_dir() {
            return Err(Failure::new(Exit::Failed, format!("{shown} is no directory"))
                .next("give the daemon's state directory with --state-dir"));
        }
        if user() != 0 && facts.uid() != user() {
            let message = format!("{shown} belongs to user {}, and this is user {}", facts.uid(), user());
            return Err(
                Failure::new(Exit::Denied, message).next("the same command with sudo, or as that user")
            );
        }
        let mode = facts.mode() & 0o7777;
        // Only of a directory that is the daemon's is it sure that nobody else needs it.
        if mode & 0o077 != 0 && self.path.join(KEYS).symlink_metadata().is_err() {
            return Err(Failure::new(Exit::Failed, format!("{shown} is no state directory of the daemon's"))
                .next("give the daemon's with --state-dir; a new one is made where there is none"));
        }
        if mode & 0o077 != 0 {
            return Err(Failure::new(
                Exit::Failed,
                format!("{shown} is open to other users (mode {mode:04o})"),
            )
            .next(format!("chmod 700 '{shown}', then the same command again")));
        }
        let ca = self.path.join("ca");
        match ca.symlink_metadata() {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Ok(inner) if inner.is_dir() && inner.uid() == facts.uid() => Ok(()),
            Ok(_) => {
                Err(Failure::new(Exit::Failed, format!("{} is no directory of its owner's", ca.display()))
                    .next("look at it and move it away, then the same command again"))
            }
            Err(error) => Err(failed(&ca, &error)),
        }
    }

    /// As the daemon does: the directory, and the file in it.
    fn lock(&mut self) -> Result<(), Failure> {
        let failed = |error: io::Error| failed(&self.path, &error);
        let directory = File::open(&self.path).map_err(failed)?;
        if matches!(directory.try_lock(), Err(TryLockError::WouldBlock)) {
            return Err(self.in_use());
        }
        self.locks.push(directory);
        let at = self.path.join(LOCK);
        let made_lock = at.symlink_metadata().is_err();
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(flags);
        let mut lock = options.open(&at).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(self.in_use()),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        self.made_lock = made_lock;
        self.give(&lock).map_err(failed)?;
        // For whoever is refused meanwhile.
        let _told = lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id()));
        self.locks.push(lock);
        Ok(())
    }

    fn in_use(&self) -> Failure {
        let mut holder = String::new();
        let read =
            File::open(self.path.join(LOCK)).and_then(|lock| lock.take(32).read_to_string(&mut holder));
        let process = read.ok().and_then(|_| holder.trim().parse::<u32>().ok());
        let who = process.map_or_else(|| "a process".to_owned(), |process| format!("process {process}"));
        let message = format!("the daemon runs: the state in {} is held by {who}", self.path.display());
        let stop = process.map(|process| format!(" (or kill {process})")).unwrap_or_default();
        Failure::new(Exit::Failed, message)
            .next(format!("systemctl stop ghostllm{stop}, then the same command again"))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What cannot be removed is in nobody's way: the next start writes the lock anew.
        if self.made_lock {
            let _as_well_as_can_be = fs::remove_file(self.path.join(LOCK));
        }
        if self.made {
            let _as_well_as_can_be = fs::remove_dir(&self.path);
        }
    }
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    let message = format!("{} cannot be used: {error}", path.display());
    match error.kind() {
        ErrorKind::PermissionDenied => Failure::new(Exit::Denied, message).next("the same command with sudo"),
        ErrorKind::NotFound => Failure::new(Exit::NotFound, message)
            .next("make the directory above it, or give another one with --state-dir"),
        _ => Failure::new(Exit::Failed, message).next("give the daemon's state directory with --state-dir"),
    }
}

/// As the daemon chooses; of places that only an account has, one that is there, since root's own are not the service's.
fn choose(named: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(path) = named {
        return Ok(path.to_owned());
    }
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let systemd = env::var_os("STATE_DIRECTORY").and_then(|list| env::split_paths(&list).next());
    if let Some(path) = systemd.filter(|path| path.is_absolute()) {
        return Ok(path);
    }
    let own = absolute("XDG_STATE_HOME").map(|state| state.join("ghostllm"));
    let own = own.or_else(|| absolute("HOME").map(|home| home.join(".local/state/ghostllm")));
    let places = own.into_iter().chain([PathBuf::from(SERVICE)]);
    let there = |path: &PathBuf| match path.symlink_metadata() {
        Ok(_) => true,
        Err(error) => error.kind() == ErrorKind::PermissionDenied,
    };
    places.into_iter().find(there).ok_or_else(|| {
        Failure::new(Exit::Usage, "there is no state directory in any of its places")
            .next("the same command with --state-dir DIR, the directory that the daemon is to use")
    })
}

/// The line of the audit log that says what was done, where no daemon could write it.
pub(crate) fn noted(act: &str, on: Option<String>, detail: &str) -> Vec<u8> {
    let uid = user();
    let entry = AuditEntry {
        at: when::now(),
        who: format!("uid {uid}"),
        name: format!("uid {uid}"),
        from: "ghostctl".to_owned(),
        act: act.to_owned(),
        on,
        result: ActResult::Done,
        detail: Some(detail.chars().take(200).collect()),
    };
    let mut line = serde_json::to_vec(&entry).unwrap_or_default();
    line.push(b'\n');
    line
}

/// Makes a directory in the state, of its owner's.
pub(crate) fn made_inside(path: &Path) -> io::Result<bool> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => {
            if let Some(above) = path.parent() {
                let facts = fs::metadata(above)?;
                if facts.uid() != user() {
                    chown(path, Some(facts.uid()), Some(facts.gid()))?;
                }
            }
            Ok(true)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}
