//! What requests have used, counted while the program runs and kept month by month.
//!
//! Knows the months' files, and which of their counts are not written yet. Refuses to know what is asked about them. Invariants: a
//! count that could not be written stays in memory until it is, and is an alert meanwhile; a month whose file cannot be read is not
//! written over; what is counted of a request waits for no disk.

use std::{
    collections::BTreeMap,
    fs,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ghostllm_core::{
    backup::LARGEST_USAGE,
    state::usage::{UsageFile, month, name},
    usage::{Book, Counts, Day, Month},
};
use time::OffsetDateTime;

use super::{
    StateDir, StateError,
    alert::Alert,
    keys::Keys,
    versioned::{LoadError, Versioned},
};

/// What a request that goes on has used so far.
#[derive(Debug, Clone)]
pub struct Running {
    /// By whom it is counted: a key's id, or the name of whoever needs none.
    pub caller: String,
    /// The model that it is counted for.
    pub model: String,
    /// As if it ended now.
    pub counts: Counts,
}

/// All counts. Clones share them.
#[derive(Debug, Clone)]
pub struct Ledger(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: StateDir,
    /// Stands while anything of it cannot be written or read: one for all months.
    alert: Alert,
    /// These know what time it is where the clock has been lost.
    keys: Keys,
    open: Mutex<BTreeMap<Month, Held>>,
    /// Whoever holds it reads or writes the files.
    files: Mutex<Files>,
}

/// A month in memory.
#[derive(Debug, Default)]
struct Held {
    book: Book,
    /// It has what its file has; until then, what came in since.
    whole: bool,
    /// How often it was added to, and how much of that is on the disk.
    added: u64,
    written: u64,
}

/// What is known of the files.
#[derive(Debug, Default)]
struct Files {
    /// On which last day, and of how many to keep, old days were dropped.
    forgotten: Option<(Day, u32)>,
}

/// What there is of some months.
#[derive(Debug, Default)]
pub struct Kept {
    /// Their counts, the oldest first.
    pub months: Vec<Book>,
    /// Those that cannot be read.
    pub unreadable: Vec<Month>,
}

impl Ledger {
    /// Reads the present month, and mends its file where that is damaged. A month that cannot be read is said, and no reason to serve
    /// nobody. Blocks.
    #[must_use]
    pub fn open(state: &StateDir, keys: &Keys) -> Self {
        let ledger = Self(Arc::new(Inner {
            state: state.untold(),
            alert: Alert::usage(),
            keys: keys.clone(),
            open: Mutex::default(),
            files: Mutex::default(),
        }));
        let files = ledger.files();
        let _told = ledger.judged(ledger.complete(ledger.today().month()));
        drop(files);
        ledger
    }

    /// The day that it is.
    #[must_use]
    pub fn today(&self) -> Day {
        let now = OffsetDateTime::now_utc();
        Day::of(self.0.keys.clock_lost(now).unwrap_or(now))
    }

    /// Counts a request of this caller's, a key's id or the name of whoever needs none.
    pub fn count(&self, caller: &str, model: &str, counts: &Counts) {
        self.count_on(self.today(), caller, model, counts);
    }

    fn count_on(&self, day: Day, caller: &str, model: &str, counts: &Counts) {
        let mut open = self.held();
        let held = open.entry(day.month()).or_default();
        held.book.add(day, caller, model, counts);
        held.added += 1;
    }

    /// Whether the last write, or what it needed to read, has failed.
    #[must_use]
    pub fn is_alarmed(&self) -> bool {
        self.0.alert.standing().is_some()
    }

    /// Whether anything is not written yet.
    #[must_use]
    pub fn is_ahead(&self) -> bool {
        self.held().values().any(|held| held.added > held.written)
    }

    /// Writes what is not written yet, and drops the days before the last `days`. Blocks.
    ///
    /// # Errors
    /// If something cannot be written or read; it stays in memory.
    pub fn write(&self, days: u32) -> Result<(), StateError> {
        self.write_with(&[], days)
    }

    /// The same, with what is `running` as if it ended now: once it has ended, what it came to takes the place of that, and after a crash
    /// that is what is known of it. Blocks.
    ///
    /// # Errors
    /// As [`Ledger::write`].
    pub fn write_with(&self, running: &[Running], days: u32) -> Result<(), StateError> {
        let mut files = self.files();
        let written = self.write_all(&mut files, days, running);
        self.judged(written)
    }

    /// Raises the alert after a failure, and ends it after a success.
    fn judged(&self, outcome: Result<(), StateError>) -> Result<(), StateError> {
        match &outcome {
            Ok(()) => self.0.alert.clear(),
            Err(error) => self.0.alert.raise(1, error),
        }
        outcome
    }

    fn write_all(&self, files: &mut Files, days: u32, running: &[Running]) -> Result<(), StateError> {
        let today = self.today();
        if !running.is_empty() {
            // Until they have ended, their month is never all written.
            self.held().entry(today.month()).or_default().added += 1;
        }
        let ahead: Vec<Month> = {
            let open = self.held();
            open.iter().filter(|(_, held)| held.added > held.written).map(|(month, _)| *month).collect()
        };
        let running_in = |month: Month| if month == today.month() { running } else { &[] };
        let write = |month| self.write_month(month, today, running_in(month));
        // Each, also where one of them fails.
        let written = ahead.into_iter().map(write).fold(Ok(()), Result::and);
        // What could not be read when it began may be readable now.
        let read = if self.is_alarmed() { self.complete(self.today().month()) } else { Ok(()) };
        self.let_go();
        written.and(read).and_then(|()| self.forget(files, days))
    }

    fn write_month(&self, month: Month, today: Day, running: &[Running]) -> Result<(), StateError> {
        self.complete(month)?;
        let (mut file, added) = {
            let open = self.held();
            let Some(held) = open.get(&month) else { return Ok(()) };
            (UsageFile { book: held.book.clone() }, held.added)
        };
        for Running { caller, model, counts } in running {
            file.book.add(today, caller, model, counts);
        }
        self.file(month).save(&file)?;
        if let Some(held) = self.held().get_mut(&month) {
            held.written = if running.is_empty() { added } else { added.saturating_sub(1) };
        }
        Ok(())
    }

    /// Adds what is on the disk to a month of which only what came in since is known. A file that is damaged, its copy as well, is set
    /// aside, and the month begins anew.
    fn complete(&self, month: Month) -> Result<(), StateError> {
        if self.held().get(&month).is_some_and(|held| held.whole) {
            return Ok(());
        }
        let kept = match self.file(month).load(OffsetDateTime::now_utc()) {
            Ok(kept) => kept.unwrap_or_default().book,
            Err(LoadError::State(error)) => return Err(error),
            Err(error) => {
                tracing::error!("what requests have used in {month} is counted anew: {error}");
                Book::default()
            }
        };
        let mut open = self.held();
        let held = open.entry(month).or_default();
        held.book.add_all(&kept);
        held.whole = true;
        Ok(())
    }

    /// Keeps no month in memory but the last: what is written is on the disk.
    fn let_go(&self) {
        let mut open = self.held();
        let last = open.last_key_value().map(|(month, _)| *month);
        open.retain(|month, held| Some(*month) == last || held.added > held.written);
    }

    /// Drops the days before the last `days`, counted back from the last but one that has any counts: a day that the clock has shown by
    /// mistake is the last, and takes none away.
    fn forget(&self, files: &mut Files, days: u32) -> Result<(), StateError> {
        // Nothing is looked for until another day is counted, or another number of days is to be kept.
        let counted = self.held().values().next_back().and_then(|held| held.book.days().next_back());
        if files.forgotten.is_some_and(|(last, kept)| counted == Some(last) && kept == days) {
            return Ok(());
        }
        let mut months = self.months()?;
        let mut newest: Vec<Day> = Vec::new();
        for month in months.iter().rev() {
            if newest.len() < 2 {
                newest.extend(self.month(*month)?.days().rev().take(2));
            }
        }
        let [last, before, ..] = newest.as_slice() else { return Ok(()) };
        let first = before.before(days.saturating_sub(1));
        months.retain(|month| *month <= first.month());
        for month in months {
            if month < first.month() {
                self.remove(month)?;
                continue;
            }
            self.complete(month)?;
            let forgotten = self.held().get_mut(&month).is_some_and(|held| {
                let forgotten = held.book.forget_before(first);
                held.added += u64::from(forgotten);
                forgotten
            });
            if forgotten {
                self.write_month(month, *last, &[])?;
            }
        }
        self.let_go();
        files.forgotten = Some((*last, days));
        Ok(())
    }

    fn remove(&self, month: Month) -> Result<(), StateError> {
        let name = name(month);
        // The copy first: alone, it would take the file's place.
        self.0.state.remove(&format!("{name}.last"))?;
        self.0.state.remove(&name)?;
        self.held().remove(&month);
        tracing::info!("what requests have used in {month} is older than usage.days, and is kept no longer");
        Ok(())
    }

    /// The months on the disk and in memory, the oldest first.
    fn months(&self) -> Result<Vec<Month>, StateError> {
        let path = self.0.state.path();
        let unreadable = |source| StateError::Unreadable { path: path.to_owned(), source };
        let mut months: Vec<Month> = self.held().keys().copied().collect();
        for entry in fs::read_dir(path).map_err(unreadable)? {
            months.extend(entry.map_err(unreadable)?.file_name().to_str().and_then(month));
        }
        months.sort_unstable();
        months.dedup();
        Ok(months)
    }

    /// What is known of a month: in memory, and on the disk as far as that is not in memory.
    fn month(&self, month: Month) -> Result<Book, StateError> {
        let held = self.held().get(&month).map(|held| (held.book.clone(), held.whole));
        match held {
            Some((book, true)) => Ok(book),
            held => {
                let mut book = self.file(month).glance()?.unwrap_or_default().book;
                if let Some((more, _)) = held {
                    book.add_all(&more);
                }
                Ok(book)
            }
        }
    }

    /// What is known of these months. Blocks.
    ///
    /// # Errors
    /// If the state directory cannot be read.
    pub fn read(&self, from: Month, to: Month) -> Result<Kept, StateError> {
        let _files = self.files();
        let mut kept = Kept::default();
        for month in self.months()?.into_iter().filter(|month| (from..=to).contains(month)) {
            match self.month(month) {
                Ok(book) => kept.months.push(book),
                Err(error) => {
                    tracing::warn!(%error, "what requests have used in {month} cannot be read");
                    kept.unreadable.push(month);
                }
            }
        }
        Ok(kept)
    }

    /// The months' files for a backup, the newest first, as many as it has room for. Blocks.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn texts(&self) -> Result<Vec<(String, Vec<u8>)>, StateError> {
        let _files = self.files();
        let (mut texts, mut bytes) = (Vec::new(), 0);
        for month in self.months()?.into_iter().rev() {
            let Some(text) = self.file(month).text()? else { continue };
            bytes += text.len() as u64;
            if bytes > LARGEST_USAGE {
                tracing::warn!(
                    "what requests have used up to {month} is left out of the backup, which has no room for it"
                );
                break;
            }
            texts.push((name(month), text));
        }
        Ok(texts)
    }

    fn file(&self, month: Month) -> Versioned<UsageFile> {
        Versioned::new(&self.0.state, &name(month))
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<Month, Held>> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn files(&self) -> MutexGuard<'_, Files> {
        self.0.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[path = "usage_tests.rs"]
mod tests;
