//! The journal's entries, in their order.
//!
//! Knows libsystemd's reader. Refuses to know how an entry is told. Invariant: which unit an entry is of is what journald or systemd
//! has said, and never the word of whoever wrote it.

use std::{ffi::CString, os::unix::ffi::OsStrExt, path::Path, time::Duration};

use ghostllm_core::admin::{LogEntry, LoggedLevel};
use systemd::{
    Journal,
    journal::{OpenDirectoryOptions, OpenOptions},
};
use time::OffsetDateTime;

use super::{UNITS, entry::Fields};
use crate::exit::{Exit, Failure};

/// Which entries are a unit's, as `journalctl -u` has it: what its processes wrote, what systemd says of it, a core dump of it, and what
/// a system's service says of it. A field that begins with `_` is journald's own word, which no writer can give.
const OURS: [(&str, &[(&str, &str)]); 4] = [
    ("_SYSTEMD_UNIT", &[]),
    ("UNIT", &[("_PID", "1")]),
    ("COREDUMP_UNIT", &[("_UID", "0"), ("MESSAGE_ID", "fc2e22bc6ee647b6b90729ab34a250b1")]),
    ("OBJECT_SYSTEMD_UNIT", &[("_UID", "0")]),
];

/// The journal, at one of its entries or between two.
pub(super) struct Reader {
    journal: Journal,
    level: Option<LoggedLevel>,
}

impl Reader {
    /// The entries of ours of this level and more, in that directory or in this system's journal.
    pub(super) fn open(directory: Option<&Path>, level: Option<LoggedLevel>) -> Result<Self, Failure> {
        let opened = match directory {
            Some(directory) => {
                // An argument has no NUL in it.
                let path = CString::new(directory.as_os_str().as_bytes()).unwrap_or_default();
                OpenDirectoryOptions::default().open_directory(path)
            }
            None => OpenOptions::default().system(true).local_only(true).open(),
        };
        let mut reader = Self { journal: opened.map_err(|error| unreadable(&error))?, level };
        reader.choose().map_err(|error| unreadable(&error))?;
        Ok(reader)
    }

    fn choose(&mut self) -> systemd::Result<()> {
        for (number, (field, with)) in OURS.into_iter().enumerate() {
            if number > 0 {
                self.journal.match_or()?;
            }
            for (name, value) in with {
                self.journal.match_add(name, *value)?;
            }
            for unit in UNITS {
                self.journal.match_add(field, unit)?;
            }
        }
        // The journal's index finds these few among many; what else passes is looked at one by one.
        let most = match self.level {
            Some(LoggedLevel::Error) => 3,
            Some(LoggedLevel::Warn) => 4,
            _ => return Ok(()),
        };
        self.journal.match_and()?;
        // A line of JSON is of level 6 for the journal, whatever it says of itself.
        for priority in (0..=most).chain([6]) {
            self.journal.match_add("PRIORITY", priority.to_string())?;
        }
        Ok(())
    }

    /// Goes before the last so many entries that are not older than that; all of them where no number is given.
    pub(super) fn begin(&mut self, last: Option<u64>, since: Option<OffsetDateTime>) -> Result<(), Failure> {
        self.seek(last, since).map_err(|error| unreadable(&error))
    }

    fn seek(&mut self, last: Option<u64>, since: Option<OffsetDateTime>) -> systemd::Result<()> {
        let since = since.map(|since| u64::try_from(since.unix_timestamp_nanos() / 1000).unwrap_or(0));
        let Some(last) = last else { return self.journal.seek_realtime_usec(since.unwrap_or(0)) };
        self.journal.seek_tail()?;
        let mut seen = 0;
        while self.journal.previous()? > 0 {
            let older = since.is_some_and(|since| self.journal.timestamp_usec().is_ok_and(|at| at < since));
            // The one before the first that is wanted: the next step goes onto that.
            if older || seen == last {
                return Ok(());
            }
            let fields = self.fields()?;
            seen += u64::from(self.wanted(&fields));
        }
        // A place behind all of none is no place: entries that come would not be behind it.
        self.journal.seek_head()
    }

    /// The next entry that is wanted; none where there is none yet.
    pub(super) fn next(&mut self) -> Result<Option<LogEntry>, Failure> {
        self.step().map_err(|error| unreadable(&error))
    }

    fn step(&mut self) -> systemd::Result<Option<LogEntry>> {
        while self.journal.next()? > 0 {
            let fields = self.fields()?;
            if self.wanted(&fields) {
                let at = i128::from(self.journal.timestamp_usec()?) * 1000;
                let at = OffsetDateTime::from_unix_timestamp_nanos(at).unwrap_or(OffsetDateTime::UNIX_EPOCH);
                return Ok(Some(fields.entry(at, self.journal.cursor()?)));
            }
        }
        Ok(None)
    }

    fn wanted(&self, fields: &Fields) -> bool {
        self.level.is_none_or(|level| fields.level() <= level)
    }

    fn fields(&mut self) -> systemd::Result<Fields> {
        let mut fields = Fields::default();
        self.journal.restart_data();
        loop {
            match self.journal.enumerate_data() {
                Ok(Some(field)) => fields.take(field.name(), field.value().unwrap_or_default()),
                Ok(None) => return Ok(fields.unpacked()),
                // A field that is damaged, or compressed in a way that this libsystemd does not know, leaves the others readable up
                // to here; the entry says so.
                Err(_damaged) => {
                    fields.broken = true;
                    return Ok(fields);
                }
            }
        }
    }

    /// Takes note of changes: entries, and files that have come and gone. The first time, libsystemd begins to look for these, which
    /// its `process` alone never does.
    pub(super) fn changed(&mut self) -> Result<(), Failure> {
        self.journal.wait(Some(Duration::ZERO)).map(drop).map_err(|error| unreadable(&error))
    }
}

fn unreadable(error: &systemd::Error) -> Failure {
    Failure::new(Exit::Failed, format!("the journal cannot be read: {}", error.as_io_error()))
        .next("sudo journalctl --verify")
}
