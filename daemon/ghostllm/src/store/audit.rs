//! The audit log: who has done what, a line of JSON each.
//!
//! Knows two files, the one that grows and the one before it. Refuses to know what an act means. Invariants: a line that was
//! written is never changed; when [`Audit::write`] returns, it is on the disk; the two files are bounded.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    sync::{Arc, Mutex, PoisonError},
};

use ghostllm_core::admin::{ActResult, AuditEntry, AuditLog, FORM};

use super::{StateDir, StateError, StateFile, UNBLOCKED, check_owner, sync};

/// The file that grows.
const FILE: &str = "audit.log";
/// The one before it.
const BEFORE: &str = "audit.log.1";
/// How large each of them becomes: some thousands of acts, which is years of most boxes.
const LARGEST: u64 = 1 << 20;

/// The log. Clones share it.
#[derive(Debug, Clone)]
pub struct Audit {
    state: StateDir,
    /// Whoever holds it writes.
    writing: Arc<Mutex<()>>,
}

impl Audit {
    /// The log in this directory.
    #[must_use]
    pub fn new(state: &StateDir) -> Self {
        Self { state: state.clone(), writing: Arc::default() }
    }

    /// Writes a line. Blocks.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, entry: &AuditEntry) -> Result<(), StateError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let line = serde_json::to_vec(entry).map_err(io::Error::from);
        let length = line.as_ref().map_or(0, Vec::len);
        let written = line.and_then(|line| self.append(line));
        self.state.judged(FILE, length, written)
    }

    fn append(&self, mut line: Vec<u8>) -> io::Result<()> {
        let path = self.state.path().join(FILE);
        line.push(b'\n');
        let mut file = open(&path)?;
        let facts = file.metadata()?;
        check_owner(&path, &facts, 0o600).map_err(io::Error::other)?;
        let mut named = facts.len() == 0;
        if facts.len() + line.len() as u64 > LARGEST {
            fs::rename(&path, self.state.path().join(BEFORE))?;
            file = open(&path)?;
            named = true;
        } else if !named && !ends_a_line(&path, facts.len())? {
            // What was cut off by a crash stays a line of its own.
            line.insert(0, b'\n');
        }
        file.write_all(&line)?;
        file.sync_data()?;
        // Its name must outlive a crash as well.
        if named { sync(self.state.path()) } else { Ok(()) }
    }

    /// Both files of one moment, for a backup. Blocks.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn files(&self) -> Result<Vec<StateFile>, StateError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let read = |name| Ok(self.state.read(name)?.map(|text| (name, text)));
        [BEFORE, FILE].into_iter().filter_map(|name| read(name).transpose()).collect()
    }

    /// The last `most` entries, the newest last. Blocks.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn read(&self, most: usize) -> Result<AuditLog, StateError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut entries = Vec::new();
        for name in [BEFORE, FILE] {
            let bytes = self.state.read(name)?.unwrap_or_default();
            let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
            entries.extend(lines.map(|line| serde_json::from_slice(line).unwrap_or_else(|_| damaged())));
        }
        let left = entries.len().saturating_sub(most);
        Ok(AuditLog { version: FORM, more: left > 0, entries: entries.split_off(left) })
    }
}

fn open(path: &std::path::Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).custom_flags(UNBLOCKED).open(path)
}

fn ends_a_line(path: &std::path::Path, length: u64) -> io::Result<bool> {
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
        assert!(audit.read(10).unwrap().entries.is_empty());
        audit.write(&entry(1)).unwrap();
        let path = state.file(FILE).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        bytes.truncate(bytes.len() - 5);
        fs::write(&path, &bytes).unwrap();
        audit.write(&entry(2)).unwrap();
        audit.write(&entry(3)).unwrap();
        let log = audit.read(10).unwrap();
        assert_eq!(log.entries, [damaged(), entry(2), entry(3)]);
        let log = audit.read(1).unwrap();
        assert!(log.more && log.entries == [entry(3)]);
    }

    #[test]
    fn the_files_are_bounded_and_open_to_nobody_else() {
        use std::os::unix::fs::PermissionsExt;
        let scratch = tempfile::tempdir().unwrap();
        let state = StateDir::open(&scratch.path().join("state")).unwrap();
        let audit = Audit::new(&state);
        let long = |number| AuditEntry { detail: Some("x".repeat(200_000)), ..entry(number) };
        for number in 0..20 {
            audit.write(&long(number)).unwrap();
        }
        for name in [FILE, BEFORE] {
            let facts = fs::metadata(state.file(name).unwrap()).unwrap();
            assert!(facts.len() <= LARGEST && facts.permissions().mode() & 0o777 == 0o600);
        }
        let log = audit.read(usize::MAX).unwrap();
        assert_eq!(log.entries.last(), Some(&long(19)), "the newest is there");
        assert!(log.entries.len() > 5 && log.entries.len() < 12);
    }
}
