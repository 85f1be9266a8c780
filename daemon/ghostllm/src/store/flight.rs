//! The flight recorder's files: what cards went through before something happened to them, and what one goes through that is near its
//! limit.
//!
//! Knows their room, `flight/`, and how many may be in it. Refuses to know when a record is made. Invariants: a failure costs records and
//! nothing else, and is said once until a write succeeds; what cannot be read is told by its name, stops nothing, and has its end as any
//! other record; a running record that this program has not written is never written over and never removed, but becomes a record first;
//! there are no more than `RECORDS` and one running record for each card, each of `state::flight::LARGEST` bytes at the most.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use ghostllm_core::{
    heat::flight::{Boot, Flight, Name, Trigger, surplus},
    state::{
        Unread,
        flight::{VERSION, decode, encode},
    },
};
use time::OffsetDateTime;

use super::{StateDir, StateError, alert::Alert, sync};

/// The directory in the state.
pub(crate) const ROOM: &str = "flight";
/// What a running record's name begins with.
const RUNNING: &str = "running-";
/// The kernel's name of this run of the machine (random(4)).
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// Has when that began: `btime` in seconds since 1970, by the clock as it is now (proc(5)).
const BOOT_TIME: &str = "/proc/stat";

/// What becomes of a running record.
#[derive(Debug)]
pub(crate) enum Running {
    /// It is that now.
    Is(Box<Flight>),
    /// There is none any more.
    Over,
}

/// What is to be written.
#[derive(Debug, Default)]
pub(crate) struct Work {
    /// The running records of a start are to be looked after first: nobody has ended them.
    pub(crate) begun: bool,
    /// Whole records with their recorders' numbers, the oldest first.
    pub(crate) whole: Vec<(u32, Flight)>,
    /// Running ones, by their recorders' numbers.
    pub(crate) running: BTreeMap<u32, Running>,
}

impl Work {
    pub(crate) fn is_empty(&self) -> bool {
        !self.begun && self.whole.is_empty() && self.running.is_empty()
    }
}

/// The room. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    state: StateDir,
    /// This run of the machine; empty where the kernel does not say.
    boot: Arc<str>,
    /// When that began.
    began: Option<i64>,
    /// One writes at a time, also where one before hangs. It has the numbers of the running records that this program has written.
    turn: Arc<Mutex<BTreeSet<u32>>>,
}

impl Room {
    /// That of this state. Nothing is made before there is something to write.
    pub(crate) fn new(state: &StateDir) -> Self {
        let boot = fs::read_to_string(BOOT_ID).unwrap_or_default();
        let state = StateDir::at(state.path.clone(), Alert::flight());
        Self { state, boot: boot.trim().into(), began: boot_time(), turn: Arc::default() }
    }

    /// This run of the machine.
    pub(crate) fn boot(&self) -> &str {
        &self.boot
    }

    /// Does all of it, as far as the disk does. Blocks.
    pub(crate) fn write(&self, work: &Work) {
        let mut own = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = if work.begun { self.begin() } else { Ok(()) };
        // Before the running ones, since what they hold was running.
        let whole: Vec<Result<(), StateError>> =
            work.whole.iter().map(|(number, flight)| self.keep(*number, flight, &own)).collect();
        let running = work.running.iter().map(|(number, running)| self.run(*number, running, &mut own));
        for error in std::iter::once(begun).chain(whole).chain(running).filter_map(Result::err) {
            // More than 1, which is a removal that has failed, and which the next removal would end.
            self.state.alert.raise(2, &error);
        }
    }

    fn room(&self) -> Result<StateDir, StateError> {
        let room = StateDir::made(&self.state.file(ROOM)?)?;
        Ok(StateDir { alert: self.state.alert.clone(), ..room })
    }

    /// Makes records of the running ones that the program before has left.
    fn begin(&self) -> Result<(), StateError> {
        let listed = list(&self.state)?;
        if listed.is_empty() {
            return Ok(());
        }
        let (room, mut all) = (self.room()?, Ok(()));
        for name in listed {
            // What a crash has left half written, under a name that may never come again.
            if name.starts_with('.') {
                let _as_well_as_can_be = fs::remove_file(room.path.join(&name));
            } else if name.starts_with(RUNNING) {
                // One that fails keeps no other.
                all = all.and(self.cut_off(&room, &name));
            }
        }
        all
    }

    /// Makes a record of a running one that nobody has ended. One that cannot be written anew, as on a full disk, or cannot be read, gets a
    /// record's name as it is: under its own it would be written over.
    fn cut_off(&self, room: &StateDir, running: &str) -> Result<(), StateError> {
        let unread = || Name::new(millis(OffsetDateTime::now_utc()), 0, Trigger::Abrupt);
        let name = match room.read(running).map(|file| file.as_deref().map(decode)) {
            Ok(None) => return Ok(()),
            Ok(Some(Ok(flight))) => {
                let flight = flight.cut_off(&Boot { id: &self.boot, began: self.began });
                match self.put(room, &flight) {
                    Ok(name) => {
                        room.remove(running)?;
                        name
                    }
                    Err(error) => self.set_aside(room, running, Name::of(&flight), &error)?,
                }
            }
            Ok(Some(Err(damage))) => self.set_aside(room, running, unread(), &fault(&damage))?,
            Err(error) => self.set_aside(room, running, unread(), &error)?,
        };
        tracing::warn!(
            record = %name,
            "the program before this one ended abruptly while a card was near its limit: `ghostllm inspect --flight={name}` shows its last \
             minutes"
        );
        Ok(())
    }

    fn set_aside(
        &self,
        room: &StateDir,
        running: &str,
        name: Name,
        why: &dyn Display,
    ) -> Result<Name, StateError> {
        let path = room.path.join(running);
        let name = self
            .renamed(room, running, name)
            .map_err(|source| StateError::Unwritable { path: path.clone(), source })?;
        tracing::warn!(
            record = %name,
            "the flight recorder's {} is kept as it is, under the name {name}, since no record could be made of it: {why}",
            path.display()
        );
        Ok(name)
    }

    /// Gives a running record a record's name, which a disk does that takes no more bytes.
    fn renamed(&self, room: &StateDir, running: &str, name: Name) -> std::io::Result<Name> {
        let name = free(room, name);
        fs::rename(room.path.join(running), room.path.join(name.to_string()))?;
        // As well as can be: it may be taken for running once more.
        let _synced = sync(&room.path);
        let _removed = self.thin(room, &name);
        Ok(name)
    }

    /// Keeps a record, and no more than there may be.
    fn keep(&self, number: u32, flight: &Flight, own: &BTreeSet<u32>) -> Result<(), StateError> {
        let room = self.room()?;
        let name = match self.put(&room, flight) {
            Ok(name) => name,
            Err(error) if own.contains(&number) => {
                return self.keep_running(&room, number, flight).ok_or(error);
            }
            Err(error) => return Err(error),
        };
        tracing::info!(
            record = %name,
            card = flight.card.index,
            "what the card went through is kept: ghostllm inspect --flight={name}"
        );
        Ok(())
    }

    /// Keeps what was last written of a record that can be written no more: on a disk that is full a file still gets another name. So what
    /// was ended in order is not taken for an abrupt end by the next start either.
    fn keep_running(&self, room: &StateDir, number: u32, flight: &Flight) -> Option<()> {
        let running = running(number);
        let earlier = decode(&room.read(&running).ok()??).ok().filter(|earlier| flight.continues(earlier))?;
        let name = self.renamed(room, &running, Name::of(&earlier)).ok()?;
        tracing::warn!(
            record = %name,
            card = flight.card.index,
            "of what the card went through only what was written while it ran is kept, since there is no writing it now: ghostllm inspect \
             --flight={name}"
        );
        Some(())
    }

    fn put(&self, room: &StateDir, flight: &Flight) -> Result<Name, StateError> {
        let name = free(room, Name::of(flight));
        put(room, &name.to_string(), flight)?;
        self.thin(room, &name)?;
        Ok(name)
    }

    /// Removes what is too many, and not this one.
    fn thin(&self, room: &StateDir, new: &Name) -> Result<(), StateError> {
        let names = list(&self.state)?.iter().filter_map(|name| name.parse().ok()).collect();
        for gone in surplus(names, new) {
            room.remove(&gone.to_string())?;
        }
        Ok(())
    }

    fn run(&self, number: u32, state: &Running, own: &mut BTreeSet<u32>) -> Result<(), StateError> {
        let name = running(number);
        match state {
            Running::Is(flight) => {
                let room = self.room()?;
                if !own.contains(&number) {
                    // The start may not have come to an end with that of the program before.
                    self.cut_off(&room, &name)?;
                    own.insert(number);
                }
                put(&room, &name, flight)
            }
            // What another program has left is not over for that; and without a room there is none: for want of one none is made.
            Running::Over if !own.contains(&number) || !room(&self.state.path).exists() => Ok(()),
            Running::Over => self.room()?.remove(&name).map(drop),
        }
    }
}

fn put(room: &StateDir, name: &str, flight: &Flight) -> Result<(), StateError> {
    // No record of ours is too large for it, which its tests show.
    let large = |_damage| StateError::Unwritable {
        path: room.path.join(name),
        source: ErrorKind::FileTooLarge.into(),
    };
    room.write_private(name, &encode(flight).map_err(large)?)
}

/// What a running record is called.
fn running(number: u32) -> String {
    format!("{RUNNING}{number}")
}

/// When this run of the machine began, in milliseconds since 1970.
fn boot_time() -> Option<i64> {
    let text = fs::read_to_string(BOOT_TIME).ok()?;
    let seconds: i64 = text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    seconds.checked_mul(1000)
}

/// This name, or the next one that no record has: a box without a clock begins each of its days at the same moment.
fn free(room: &StateDir, mut name: Name) -> Name {
    while room.path.join(name.to_string()).exists() {
        name = name.next();
    }
    name
}

/// The names in the room; none where there is no room.
fn list(state: &StateDir) -> Result<Vec<String>, StateError> {
    let path = state.file(ROOM)?;
    let unreadable = |source| StateError::Unreadable { path: path.clone(), source };
    let entries = match fs::read_dir(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(unreadable)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry.map_err(unreadable)?.file_name().into_string());
    }
    names.sort();
    Ok(names)
}

/// A moment in milliseconds since 1970.
pub(crate) fn millis(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or_default()
}

fn fault(unread: &Unread) -> String {
    match unread {
        Unread::Newer(version) => {
            format!("it is of version {version}, of a newer ghostllm; this one knows version {VERSION}")
        }
        Unread::Damaged(damage) => damage.to_string(),
    }
}

/// A file of the room.
#[derive(Debug)]
pub(crate) struct Found {
    /// Its name.
    pub(crate) name: String,
    /// It is a running record.
    pub(crate) running: bool,
    /// When it was last written.
    pub(crate) written: Option<SystemTime>,
    /// What it says, or why it says nothing.
    pub(crate) flight: Result<Flight, String>,
}

/// All records of a state that another process may have, the newest first, and nothing is changed. Blocks.
///
/// # Errors
/// If the room cannot be looked into.
pub(crate) fn glance(state: &Path) -> Result<Vec<Found>, StateError> {
    let state = StateDir::glance(state);
    let room = StateDir::glance(&room(&state.path));
    let mut found = Vec::new();
    for name in list(&state)? {
        let running = name.starts_with(RUNNING);
        if !running && name.parse::<Name>().is_err() {
            continue;
        }
        let flight = match room.read(&name) {
            // It was removed meanwhile.
            Ok(None) => continue,
            Ok(Some(file)) => decode(&file).map_err(|unread| fault(&unread)),
            Err(error) => Err(error.to_string()),
        };
        let written = fs::metadata(room.path.join(&name)).and_then(|facts| facts.modified()).ok();
        found.push(Found { name, running, written, flight });
    }
    // Running ones sort behind all dates.
    found.reverse();
    Ok(found)
}

/// Where the records of a state are.
pub(crate) fn room(state: &Path) -> PathBuf {
    state.join(ROOM)
}

#[cfg(test)]
#[path = "flight_tests.rs"]
mod tests;
