//! What requests have used, counted while the program runs and kept month by month.
//!
//! Knows the months' files, and which of their counts are not written yet. Refuses to know what is asked about them. Invariants: a
//! count that could not be written stays in memory until it is, and is an alert meanwhile; a month whose file cannot be read is not
//! written over; what is counted of a request waits for no disk; days are dropped by how many have counts and never the present one,
//! whatever the clock has shown before.

mod aside;
mod trial;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ghostllm_core::{
    backup::LARGEST_USAGE,
    state::usage::{UsageFile, month, name},
    usage::{Book, Counts, Day, Month},
};
use time::OffsetDateTime;

pub use aside::Anew;
pub(crate) use trial::trial;

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
    /// The months that are counted anew.
    anew: Mutex<Anew>,
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
    /// Up to which last day, and of how many to keep, old days were dropped.
    forgotten: Option<(Option<Day>, u32)>,
}

/// What there is of some months.
#[derive(Debug, Default)]
pub struct Kept {
    /// Their counts, the oldest first.
    pub months: Vec<Book>,
    /// Those of which something is missing: their files cannot be read, or could not be used and are set aside.
    pub unreadable: BTreeSet<Month>,
}

/// The first and the last of these days, the oldest first, that are kept where that is not all: the last `days` up to today, and as many
/// behind it. A clock that ran ahead has shown the latter, or else it is behind now; they take no other's place.
fn kept(counted: &[Day], today: Day, days: u32) -> (Option<Day>, Option<Day>) {
    let days = usize::try_from(days).unwrap_or(usize::MAX).max(1);
    let (past, later) = counted.split_at(counted.partition_point(|day| *day <= today));
    let first = past.len().checked_sub(days).and_then(|first| past.get(first));
    (first.copied(), later.get(days - 1).copied())
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
            anew: Mutex::default(),
            files: Mutex::default(),
        }));
        let files = ledger.files();
        let completed = ledger.complete(ledger.today().month());
        let _told = ledger.judged(completed.and(ledger.look_aside()));
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

    /// The months that are counted anew, since their files could not be used, until a person has removed what was set aside of them: as
    /// of the last write.
    #[must_use]
    pub fn anew(&self) -> Anew {
        self.0.anew.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes what is not written yet, and drops all days but the last `days` that have counts. Blocks.
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
        self.write_on(self.today(), running, days)
    }

    fn write_on(&self, today: Day, running: &[Running], days: u32) -> Result<(), StateError> {
        let mut files = self.files();
        let written = self.write_all(&mut files, (today, running), days);
        let seen = self.look_aside();
        self.judged(written.and(seen))
    }

    /// Sees which months are counted anew.
    fn look_aside(&self) -> Result<(), StateError> {
        let found = aside::found(self.0.state.path()).map_err(|source| self.unlisted(source))?;
        let mut anew = self.0.anew.lock().unwrap_or_else(PoisonError::into_inner);
        *anew = aside::joined(found, &anew);
        Ok(())
    }

    /// Raises the alert after a failure, and ends it after a success.
    fn judged(&self, outcome: Result<(), StateError>) -> Result<(), StateError> {
        match &outcome {
            Ok(()) => self.0.alert.clear(),
            Err(error) => self.0.alert.raise(1, error),
        }
        outcome
    }

    fn write_all(
        &self,
        files: &mut Files,
        (today, running): (Day, &[Running]),
        days: u32,
    ) -> Result<(), StateError> {
        if !running.is_empty() {
            // Until they have ended, their month is never all written.
            self.held().entry(today.month()).or_default().added += 1;
        }
        let ahead: Vec<Month> = {
            let open = self.held();
            open.iter().filter(|(_, held)| held.added > held.written).map(|(month, _)| *month).collect()
        };
        let (mut at_work, nothing) = (Book::default(), Book::default());
        for Running { caller, model, counts } in running {
            at_work.add(today, caller, model, counts);
        }
        let write = |month| self.write_month(month, if month == today.month() { &at_work } else { &nothing });
        // Each, also where one of them fails.
        let written = ahead.into_iter().map(write).fold(Ok(()), Result::and);
        // What could not be read when it began may be readable now.
        let read = if self.is_alarmed() { self.complete(today.month()) } else { Ok(()) };
        self.let_go(today);
        written.and(read).and_then(|()| self.forget(files, today, days))
    }

    /// With what is `at_work` on top, which stays out of the memory.
    fn write_month(&self, month: Month, at_work: &Book) -> Result<(), StateError> {
        self.complete(month)?;
        let (mut file, added) = {
            let open = self.held();
            let Some(held) = open.get(&month) else { return Ok(()) };
            (UsageFile { book: held.book.clone() }, held.added)
        };
        file.book.add_all(at_work);
        self.file(month).save(&file)?;
        if let Some(held) = self.held().get_mut(&month) {
            held.written = if at_work.days().next().is_none() { added } else { added.saturating_sub(1) };
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
                let mut anew = self.0.anew.lock().unwrap_or_else(PoisonError::into_inner);
                anew.insert(month, aside::of(error));
                Book::default()
            }
        };
        let mut open = self.held();
        let held = open.entry(month).or_default();
        held.book.add_all(&kept);
        held.whole = true;
        Ok(())
    }

    /// Keeps no month in memory but the present one: what is written is on the disk.
    fn let_go(&self, today: Day) {
        self.held().retain(|month, held| *month == today.month() || held.added > held.written);
    }

    /// Drops all days but those that [`kept`] names.
    fn forget(&self, files: &mut Files, today: Day, days: u32) -> Result<(), StateError> {
        // Nothing is looked for until another day is counted, or another number of days is to be kept.
        let last = {
            let open = self.held();
            open.values().rev().find_map(|held| held.book.days().rev().find(|day| *day <= today))
        };
        if files.forgotten == Some((last, days)) {
            return Ok(());
        }
        let months = self.months()?;
        let mut counted: Vec<Day> = Vec::new();
        for month in &months {
            // One that cannot be read counts for no day, and so takes none away; whoever asks for it is told.
            counted.extend(self.month(*month).iter().flat_map(|(book, _)| book.days()));
        }
        counted.sort_unstable();
        let (from, to) = kept(&counted, today, days);
        let is_edge = |month: Month| [from, to].into_iter().flatten().any(|day| day.month() == month);
        for month in months {
            if from.is_some_and(|from| month < from.month()) || to.is_some_and(|to| month > to.month()) {
                self.remove(month)?;
            } else if is_edge(month) {
                self.cut(month, from, to)?;
            }
        }
        self.let_go(today);
        files.forgotten = Some((last, days));
        Ok(())
    }

    /// Drops a month's days before `from` and after `to`.
    fn cut(&self, month: Month, from: Option<Day>, to: Option<Day>) -> Result<(), StateError> {
        self.complete(month)?;
        let cut = self.held().get_mut(&month).is_some_and(|held| {
            let cut = held.book.keep(from, to);
            held.added += u64::from(cut);
            cut
        });
        if cut { self.write_month(month, &Book::default()) } else { Ok(()) }
    }

    fn remove(&self, month: Month) -> Result<(), StateError> {
        let name = name(month);
        // The copy first: alone, it would take the file's place.
        self.0.state.remove(&format!("{name}.last"))?;
        self.0.state.remove(&name)?;
        self.held().remove(&month);
        tracing::info!("what requests have used in {month} is beyond usage.days, and is kept no longer");
        Ok(())
    }

    /// The months on the disk and in memory, the oldest first.
    fn months(&self) -> Result<Vec<Month>, StateError> {
        let unreadable = |source| self.unlisted(source);
        let mut months: Vec<Month> = self.held().keys().copied().collect();
        for entry in fs::read_dir(self.0.state.path()).map_err(unreadable)? {
            months.extend(entry.map_err(unreadable)?.file_name().to_str().and_then(month));
        }
        months.sort_unstable();
        months.dedup();
        Ok(months)
    }

    fn unlisted(&self, source: io::Error) -> StateError {
        StateError::Unreadable { path: self.0.state.path().to_owned(), source }
    }

    /// What is known of a month, in memory, and on the disk as far as that is not in memory; and whether its file, if there is one,
    /// could be used.
    fn month(&self, month: Month) -> Result<(Book, bool), StateError> {
        let held = self.held().get(&month).map(|held| (held.book.clone(), held.whole));
        match held {
            Some((book, true)) => Ok((book, true)),
            held => {
                let file = self.file(month).glance()?;
                let usable = file.is_some() || !self.0.state.path().join(name(month)).exists();
                let mut book = file.unwrap_or_default().book;
                if let Some((more, _)) = held {
                    book.add_all(&more);
                }
                Ok((book, usable))
            }
        }
    }

    /// What is known of these months. Blocks.
    ///
    /// # Errors
    /// If the state directory cannot be read.
    pub fn read(&self, from: Month, to: Month) -> Result<Kept, StateError> {
        let _files = self.files();
        let mut kept = Kept { unreadable: self.anew().into_keys().collect(), ..Kept::default() };
        kept.unreadable.retain(|month| (from..=to).contains(month));
        for month in self.months()?.into_iter().filter(|month| (from..=to).contains(month)) {
            match self.month(month) {
                Ok((book, usable)) => {
                    kept.months.push(book);
                    if !usable {
                        tracing::warn!(
                            "what requests have used in {month} cannot be read: neither its file nor the copy is whole"
                        );
                        kept.unreadable.insert(month);
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "what requests have used in {month} cannot be read");
                    kept.unreadable.insert(month);
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
