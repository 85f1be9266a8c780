//! The audit log: who has done what, a line of JSON each.
//!
//! Knows two pairs of files, each of one that grows and the one before it: what was done or failed, and what was denied or asked for in vain.
//! Refuses to know what an act means. Invariants: a line that was written is never changed; when [`Audit::write`] returns, it is
//! on the disk; every file is bounded; whoever is denied something, however often, pushes out no line of what was done.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ghostllm_core::{
    ApiError,
    admin::{ActResult, AuditEntry, AuditLog, FORM},
    backup::{AUDIT, AUDIT_BEFORE, DENIED, DENIED_BEFORE},
    error::Code,
};
use nix::{
    errno::Errno,
    fcntl::{FallocateFlags, fallocate},
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{StateDir, StateError, StateFile, UNBLOCKED, check_owner, sync};

/// How large each file becomes: some thousands of acts, which is years of most boxes.
const LARGEST: u64 = 1 << 20;
/// No line is longer: what callers write is cut to 500 characters a field, and a character takes 6 bytes at the most.
const LINE: u32 = 8 << 10;

/// A file that grows, and the one before it.
#[derive(Debug, Clone, Copy)]
struct Pair {
    grows: &'static str,
    before: &'static str,
}

const DONE: Pair = Pair { grows: AUDIT, before: AUDIT_BEFORE };
const REFUSED: Pair = Pair { grows: DENIED, before: DENIED_BEFORE };

/// Which pair a line belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// An act that was done, or that the box could not do.
    Done,
    /// One that was denied, or asked for in vain.
    Refused,
}

impl Of {
    fn pair(self) -> Pair {
        match self {
            Self::Done => DONE,
            Self::Refused => REFUSED,
        }
    }
}

/// The log. Clones share it.
#[derive(Debug, Clone)]
pub struct Audit {
    state: StateDir,
    /// Whoever holds it writes. How many acts have room for their line, and have not written it yet.
    writing: Arc<Mutex<u32>>,
}

/// The room for an act's line, until it is written or given up.
#[derive(Debug)]
#[must_use = "dropped, it gives the room to others"]
pub struct Room(Arc<Mutex<u32>>);

impl Drop for Room {
    fn drop(&mut self) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *lines = lines.saturating_sub(1);
    }
}

/// A file that a line can be appended to.
struct Open {
    file: File,
    /// Its name is new, and must outlive a crash as well.
    named: bool,
    /// It ends in the middle of a line.
    torn: bool,
}

impl Audit {
    /// The log in this directory.
    #[must_use]
    pub fn new(state: &StateDir) -> Self {
        Self { state: state.for_audit(), writing: Arc::default() }
    }

    /// Looks whether the line of an act can be written, and takes the room for it, beside that of all others that are being done: an
    /// act without one is not to be done. Blocks.
    ///
    /// # Errors
    /// If it cannot.
    pub fn ready(&self) -> Result<Room, StateError> {
        let mut lines = self.writing();
        self.judged(DONE, 0, self.make_room(lines.saturating_add(1)))?;
        *lines += 1;
        Ok(Room(Arc::clone(&self.writing)))
    }

    fn writing(&self) -> MutexGuard<'_, u32> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the last line could not be written, or had no room.
    #[must_use]
    pub fn is_alarmed(&self) -> bool {
        self.state.is_alarmed()
    }

    /// Nothing can be written, since the disk does not answer: raises the alert, and gives what is to be said.
    #[must_use]
    pub fn hangs(&self) -> StateError {
        self.state.failed(AUDIT, 0, io::Error::new(io::ErrorKind::TimedOut, "the disk does not answer"))
    }

    /// Ends the alert once lines can be written again. Blocks.
    pub fn look_again(&self) {
        if self.is_alarmed() {
            // A failure is what stands already.
            let _still = self.ready();
        }
    }

    /// Writes a line. Blocks.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, of: Of, entry: &AuditEntry) -> Result<(), StateError> {
        let _writing = self.writing();
        let pair = of.pair();
        let line = serde_json::to_vec(entry).map_err(io::Error::from);
        let length = line.as_ref().map_or(0, Vec::len);
        let written = line.and_then(|line| self.append(pair, line));
        self.judged(pair, length, written)
    }

    fn judged(&self, pair: Pair, bytes: usize, outcome: io::Result<()>) -> Result<(), StateError> {
        self.state.judged(pair.grows, bytes, outcome)
    }

    fn make_room(&self, lines: u32) -> io::Result<()> {
        /// So many have room beside one another, however many there are: the file must not end for acts that are only begun.
        const AT_ONCE: u32 = 64;
        let bytes = LINE.saturating_mul(lines.min(AT_ONCE));
        let Open { file, named, .. } = self.open(DONE, LINE.into())?;
        let end = i64::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        let room = fallocate(&file, FallocateFlags::FALLOC_FL_KEEP_SIZE, end, bytes.into());
        match room {
            // Not every file system can (fallocate(2)); a file of that size shows it as well.
            Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => self.state.probe_room(bytes as usize)?,
            outcome => outcome?,
        }
        file.sync_data()?;
        if named { sync(self.state.path()) } else { Ok(()) }
    }

    /// Opens the file that grows, once there is place in it for so many bytes more.
    fn open(&self, pair: Pair, bytes: u64) -> io::Result<Open> {
        let path = self.state.path().join(pair.grows);
        let file = open(&path)?;
        let facts = file.metadata()?;
        check_owner(&path, &facts, 0o600).map_err(io::Error::other)?;
        if facts.len() > 0 && facts.len() + bytes > LARGEST {
            fs::rename(&path, self.state.path().join(pair.before))?;
            return Ok(Open { file: open(&path)?, named: true, torn: false });
        }
        let named = facts.len() == 0;
        Ok(Open { file, named, torn: !named && !ends_a_line(&path, facts.len())? })
    }

    fn append(&self, pair: Pair, mut line: Vec<u8>) -> io::Result<()> {
        line.push(b'\n');
        let Open { mut file, named, torn } = self.open(pair, line.len() as u64)?;
        if torn {
            // What was cut off by a crash stays a line of its own.
            line.insert(0, b'\n');
        }
        file.write_all(&line)?;
        file.sync_data()?;
        if named { sync(self.state.path()) } else { Ok(()) }
    }

    /// All files of one moment, for a backup. Blocks.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn files(&self) -> Result<Vec<StateFile>, StateError> {
        let _writing = self.writing();
        let read = |name| Ok(self.state.read(name)?.map(|text| (name, text)));
        let names = [DONE, REFUSED].into_iter().flat_map(|pair| [pair.before, pair.grows]);
        names.filter_map(|name| read(name).transpose()).collect()
    }

    /// The last `most` entries, the newest last. Blocks.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn read(&self, most: usize) -> Result<AuditLog, StateError> {
        let _writing = self.writing();
        let mut entries = merged(self.entries(DONE)?, self.entries(REFUSED)?);
        let left = entries.len().saturating_sub(most);
        Ok(AuditLog { version: FORM, more: left > 0, entries: entries.split_off(left) })
    }

    /// When the last line of what was done was written, where it says so. Blocks.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn last(&self) -> Result<Option<OffsetDateTime>, StateError> {
        let _writing = self.writing();
        let end = self.state.end_of(DONE.grows, LINE.into())?.unwrap_or_default();
        let lines = end.split(|byte| *byte == b'\n').rev().filter(|line| !line.is_empty());
        let mut entries = lines.filter_map(|line| serde_json::from_slice::<AuditEntry>(line).ok());
        Ok(entries.next().and_then(|entry| OffsetDateTime::parse(&entry.at, &Rfc3339).ok()))
    }

    fn entries(&self, pair: Pair) -> Result<Vec<AuditEntry>, StateError> {
        let mut entries = Vec::new();
        for name in [pair.before, pair.grows] {
            let bytes = self.state.read(name)?.unwrap_or_default();
            let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
            entries.extend(lines.map(|line| serde_json::from_slice(line).unwrap_or_else(|_| damaged())));
        }
        Ok(entries)
    }
}

/// What an admin hears whose act has no line, and so was not done.
#[must_use]
pub fn not_done() -> ApiError {
    ApiError::new(
        Code::StateUnwritable,
        "Nothing was done, since it could not be written to the audit log: the disk of the box's state is full, read-only or \
         failing, or audit.log in it is not the daemon's alone. Make room (df -h) or mend the file that the log names \
         (journalctl -u ghostllm), then try again; no restart is needed.",
    )
}

/// Both in one, by their times. Each keeps its own order, also where the clock was set back.
fn merged(done: Vec<AuditEntry>, denied: Vec<AuditEntry>) -> Vec<AuditEntry> {
    let timed = |entries: Vec<AuditEntry>| {
        let mut last = None;
        let timed = entries.into_iter().map(move |entry| {
            // A line without a time stands where the one before it does.
            last = OffsetDateTime::parse(&entry.at, &Rfc3339).ok().or(last);
            (last, entry)
        });
        timed.peekable()
    };
    let (mut done, mut denied, mut all) = (timed(done), timed(denied), Vec::new());
    loop {
        let first = match (done.peek(), denied.peek()) {
            (Some((one, _)), Some((other, _))) if other < one => denied.next(),
            (Some(_), _) => done.next(),
            (None, _) => denied.next(),
        };
        let Some((_, entry)) = first else { return all };
        all.push(entry);
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).custom_flags(UNBLOCKED).open(path)
}

fn ends_a_line(path: &Path, length: u64) -> io::Result<bool> {
    use std::os::unix::fs::FileExt;
    let mut last = [0];
    File::open(path)?.read_exact_at(&mut last, length - 1)?;
    Ok(last == [b'\n'])
}

/// What stands for a line that cannot be read: it is not passed over.
fn damaged() -> AuditEntry {
    AuditEntry {
        at: String::new(),
        who: "unknown".to_owned(),
        name: String::new(),
        from: "unknown".to_owned(),
        act: "unknown".to_owned(),
        on: None,
        result: ActResult::Failed,
        detail: Some(
            "this line of the audit log cannot be read: a crash has cut it off, or somebody has changed it"
                .to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: usize) -> AuditEntry {
        AuditEntry {
            at: "2026-11-28T00:00:00Z".to_owned(),
            act: format!("act.{number}"),
            result: ActResult::Done,
            detail: None,
            ..damaged()
        }
    }

    #[test]
    fn lines_are_kept_in_order_and_a_torn_one_is_told() {
        let scratch = tempfile::tempdir().unwrap();
        let state = StateDir::open(&scratch.path().join("state")).unwrap();
        let audit = Audit::new(&state);
        assert!(audit.read(10).unwrap().entries.is_empty() && audit.last().unwrap().is_none());
        audit.write(Of::Done, &entry(1)).unwrap();
        let path = state.file(AUDIT).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        bytes.truncate(bytes.len() - 5);
        fs::write(&path, &bytes).unwrap();
        audit.write(Of::Done, &entry(2)).unwrap();
        audit.write(Of::Done, &entry(3)).unwrap();
        let log = audit.read(10).unwrap();
        assert_eq!(log.entries, [damaged(), entry(2), entry(3)]);
        let log = audit.read(1).unwrap();
        assert!(log.more && log.entries == [entry(3)]);
        let at =
            |hour: u8| OffsetDateTime::from_unix_timestamp(1_795_824_000 + i64::from(hour) * 3600).unwrap();
        assert_eq!(audit.last().unwrap(), Some(at(0)));
        audit.write(Of::Done, &AuditEntry { at: "2026-11-28T07:00:00Z".to_owned(), ..entry(4) }).unwrap();
        File::options().append(true).open(&path).unwrap().write_all(b"{\"at\":\"2026-11-28T09:00").unwrap();
        assert_eq!(audit.last().unwrap(), Some(at(7)), "a torn line bears no witness");
    }

    #[test]
    fn the_files_are_bounded_and_open_to_nobody_else() {
        use std::os::unix::fs::PermissionsExt;
        let scratch = tempfile::tempdir().unwrap();
        let state = StateDir::open(&scratch.path().join("state")).unwrap();
        let audit = Audit::new(&state);
        let long = |number| AuditEntry { detail: Some("x".repeat(200_000)), ..entry(number) };
        for number in 0..20 {
            audit.write(Of::Done, &long(number)).unwrap();
        }
        for name in [AUDIT, AUDIT_BEFORE] {
            let facts = fs::metadata(state.file(name).unwrap()).unwrap();
            assert!(facts.len() <= LARGEST && facts.permissions().mode() & 0o777 == 0o600);
        }
        let log = audit.read(usize::MAX).unwrap();
        assert_eq!(log.entries.last(), Some(&long(19)), "the newest is there");
        assert!(log.entries.len() > 5 && log.entries.len() < 12);
    }

    #[test]
    fn what_was_denied_pushes_out_nothing_that_was_done_and_is_read_in_its_place() {
        let scratch = tempfile::tempdir().unwrap();
        let state = StateDir::open(&scratch.path().join("state")).unwrap();
        let audit = Audit::new(&state);
        let at = |time: &str, number, result| AuditEntry {
            at: format!("2026-11-28T00:00:{time}Z"),
            result,
            ..entry(number)
        };
        let wanted = [
            at("01", 1, ActResult::Done),
            at("01.5", 2, ActResult::Denied),
            at("02", 3, ActResult::Failed),
            at("02", 4, ActResult::Denied),
            at("02.25", 5, ActResult::Done),
        ];
        for entry in &wanted {
            let of = if entry.result == ActResult::Denied { Of::Refused } else { Of::Done };
            audit.write(of, entry).unwrap();
        }
        assert_eq!(audit.read(10).unwrap().entries, wanted);
        let long = AuditEntry { detail: Some("x".repeat(200_000)), ..at("03", 6, ActResult::Denied) };
        for _ in 0..20 {
            audit.write(Of::Refused, &long).unwrap();
        }
        for name in [DENIED, DENIED_BEFORE] {
            assert!(fs::metadata(state.file(name).unwrap()).unwrap().len() <= LARGEST, "{name}");
        }
        let acts: Vec<_> =
            audit.read(usize::MAX).unwrap().entries.into_iter().map(|entry| entry.act).collect();
        assert_eq!(acts[..3], ["act.1", "act.3", "act.5"], "the old denials are gone, and they alone");
        assert!(acts[3..].iter().all(|act| act == "act.6") && acts.len() > 8);
        assert_eq!(audit.files().unwrap().len(), 3);
    }

    #[test]
    fn acts_that_are_only_begun_push_out_nothing() {
        let scratch = tempfile::tempdir().unwrap();
        let state = StateDir::open(&scratch.path().join("state")).unwrap();
        let audit = Audit::new(&state);
        audit.write(Of::Done, &entry(1)).unwrap();
        for _ in 0..2 {
            let begun: Vec<_> = (0..300).map(|_| audit.ready().unwrap()).collect();
            for number in 0..begun.len() {
                audit.write(Of::Done, &entry(2 + number)).unwrap();
            }
        }
        assert!(!state.file(AUDIT_BEFORE).unwrap().exists());
        assert_eq!(audit.read(usize::MAX).unwrap().entries.first(), Some(&entry(1)));
    }

    #[test]
    fn a_line_has_its_place_before_the_act() {
        use std::os::unix::fs::PermissionsExt;
        let scratch = tempfile::tempdir().unwrap();
        let state = StateDir::open(&scratch.path().join("state")).unwrap();
        let audit = Audit::new(&state);
        let path = state.file(AUDIT).unwrap();
        drop(audit.ready().unwrap());
        audit.write(Of::Done, &entry(1)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(audit.ready().is_err() && audit.is_alarmed());
        assert!(!state.is_alarmed(), "keys can be written all the while");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        audit.look_again();
        assert!(!audit.is_alarmed());
        // A full file makes place before, and takes no more room than it says.
        let length = LARGEST - u64::from(LINE);
        File::options().write(true).open(&path).unwrap().set_len(length).unwrap();
        drop(audit.ready().unwrap());
        assert_eq!(fs::metadata(&path).unwrap().len(), length);
        File::options().write(true).open(&path).unwrap().set_len(length + 1).unwrap();
        drop(audit.ready().unwrap());
        assert_eq!(fs::metadata(&path).unwrap().len(), 0);
        assert_eq!(fs::metadata(state.file(AUDIT_BEFORE).unwrap()).unwrap().len(), length + 1);
    }
}
