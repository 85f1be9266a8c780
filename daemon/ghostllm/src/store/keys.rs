//! The API keys of this box.
//!
//! Knows the keys file and who a presented key belongs to. Refuses to know a key's secret beyond the moment in
//! which it is made: the file holds the SHA-256 of each whole key. Invariants: a keys file that cannot be read never
//! leads to a new key; what was closed stays closed until a person opens it; no request looks at the disk, and a change is on
//! the disk before anybody sees it.

mod change;
mod ended;
mod first;
mod known;
mod table;

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::Instant,
};

use aws_lc_rs::{constant_time, digest, error::Unspecified, rand};
use ghostllm_core::{
    access::{Class, Grant, Permissions, Role, Scope},
    key::{Key, RANDOM_BYTES},
    state::keys::{KeysFile, Sha256, StoredKey},
};
use ghostllm_edge::ca::CLOCK_FLOOR;
use thiserror::Error;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::sync::watch;

use super::{
    StateDir, StateError,
    versioned::{LoadError, Trial, Versioned},
};
use crate::date::rfc3339 as date;
pub use change::{ChangeError, Made, Wanted};
use first::FirstKeyFile;
pub use first::RemoveFirstKey;
use known::Known;
use table::{Record, Table};

/// The keys file.
const FILE: &str = "keys.json";
/// What the first key is called.
const FIRST_KEY_NAME: &str = "first";

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The key's id; none for a program on this box that shows no key.
    pub id: Option<Arc<str>>,
    /// The key's name, `local`, or `uid N`.
    pub name: Arc<str>,
    /// What the caller may do.
    pub permissions: Permissions,
    /// Whose requests come first.
    pub class: Class,
    /// The models that the caller may use; empty for all.
    pub models: Arc<[String]>,
    /// From when on the key is taken no more.
    pub expires: Option<OffsetDateTime>,
}

impl Caller {
    /// A program on this box, on a port where no key is needed: never an admin.
    #[must_use]
    pub fn local() -> Self {
        // Monitoring of the box asks without a key as well.
        Self::without_key(Arc::from("local"), Role::User.permissions().and(Scope::Metrics.permissions()))
    }

    /// Whoever the mode of the admin socket's file lets in; the number only says who it is.
    #[must_use]
    pub fn on_admin_socket(uid: Option<u32>) -> Self {
        let name = uid.map_or_else(|| "uid unknown".to_owned(), |uid| format!("uid {uid}"));
        Self::without_key(Arc::from(name), Role::Admin.permissions())
    }

    fn without_key(name: Arc<str>, permissions: Permissions) -> Self {
        Self { id: None, name, permissions, class: Class::Interactive, models: Arc::from([]), expires: None }
    }

    /// Whether the key's time is over.
    #[must_use]
    pub fn has_expired(&self, now: OffsetDateTime) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

/// Why a presented key is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotTaken {
    /// It is not a key of this box, or not any more.
    Unknown,
    /// It is, and its time is over.
    Expired,
}

/// Where the first key is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Show {
    /// On the terminal, by the caller of [`Keys::open`]; it is written nowhere.
    OnTerminal,
    /// In a file of the state directory, which goes at the key's first use.
    InFile,
}

/// The first key, while nobody has used it.
#[derive(Debug)]
pub enum FirstKey {
    /// To be shown now and never again.
    Made(Key),
    /// It lies in this file.
    InFile(PathBuf),
}

/// What [`Keys::open`] found or made.
#[derive(Debug)]
pub struct Opened {
    /// The keys.
    pub keys: Keys,
    /// The first key, if a person has still to be told of it.
    pub first: Option<FirstKey>,
}

/// All keys, in memory. Clones share them.
#[derive(Debug, Clone)]
pub struct Keys(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    file: Versioned<KeysFile>,
    table: watch::Sender<Arc<Table>>,
    /// Whoever holds it writes the file.
    writing: Mutex<()>,
    first: Mutex<Option<FirstKeyFile>>,
    known: Known,
    /// The latest moment that is known from what is on the disk, in Unix seconds.
    witnessed: AtomicI64,
    /// The names of keys that were revoked and are on the disk still, by id.
    closed: Mutex<HashMap<String, String>>,
    /// When what has ended could not be written.
    tended: Mutex<Option<Instant>>,
}

/// Why there are no keys.
#[derive(Debug, Error)]
pub enum KeysError {
    /// The state directory failed.
    #[error(transparent)]
    State(#[from] StateError),
    /// The keys file cannot be used; a person has to decide.
    #[error("nobody can be let in: {0}")]
    File(LoadError),
    /// The system has no randomness to give.
    #[error("the system gives no random numbers, so no key can be made")]
    Random,
}

impl From<LoadError> for KeysError {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::State(error) => Self::State(error),
            LoadError::Damaged { .. } | LoadError::Newer { .. } | LoadError::SetAside { .. } => {
                Self::File(error)
            }
        }
    }
}

impl KeysError {
    /// The program's exit code for it.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::State(error) => error.exit_code(),
            Self::File(_) => crate::exit::IO,
            Self::Random => crate::exit::INTERNAL,
        }
    }
}

/// Random bytes for a key, from the operating system by way of the crypto library.
///
/// # Errors
/// If there are none.
pub fn random() -> Result<[u8; RANDOM_BYTES], Unspecified> {
    let mut bytes = [0; RANDOM_BYTES];
    rand::fill(&mut bytes)?;
    Ok(bytes)
}

/// What a start would make of the keys, which stay as they are. Blocks.
///
/// # Errors
/// If one of their files cannot be read, or is open to others.
pub(crate) fn trial(state: &StateDir) -> Result<Trial, StateError> {
    let trial = Versioned::<KeysFile>::new(state, FILE).trial()?;
    first::trial(state)?;
    Ok(trial)
}

impl Keys {
    /// Reads the keys; on the first start makes one of role user. Blocks.
    ///
    /// `random` is [`random`], or bytes of a test; it is asked only where a key is made.
    ///
    /// # Errors
    /// If the file cannot be read, understood or written. What cannot be understood is set aside, and then no start
    /// succeeds until a person has decided.
    pub fn open(
        state: &StateDir,
        now: OffsetDateTime,
        random: impl FnOnce() -> Result<[u8; RANDOM_BYTES], Unspecified>,
        show: Show,
    ) -> Result<Opened, KeysError> {
        let file = Versioned::<KeysFile>::new(state, FILE);
        // Before anybody writes it: it may be the best that is known of the time.
        let written = file.written();
        let Some(KeysFile { keys: stored }) = file.load(now)? else {
            return Self::first_start(state, file, now, random, show);
        };
        let keys = Self::of(file, stored);
        keys.witness_all(written.map(OffsetDateTime::from));
        let first = keys.find_first_key(state)?;
        Ok(Opened { keys, first })
    }

    fn of(file: Versioned<KeysFile>, stored: Vec<StoredKey>) -> Self {
        let made: Vec<_> =
            stored.iter().filter_map(|key| OffsetDateTime::parse(&key.created, &Rfc3339).ok()).collect();
        let keys = Self(Arc::new(Inner {
            file,
            table: watch::Sender::new(Arc::new(Table::of(stored, None))),
            writing: Mutex::default(),
            first: Mutex::default(),
            known: Known::new(CLOCK_FLOOR),
            witnessed: AtomicI64::new(CLOCK_FLOOR.unix_timestamp()),
            closed: Mutex::default(),
            tended: Mutex::default(),
        }));
        keys.witness_all(made);
        keys
    }

    /// It has been these moments already, as is known from what is on the disk: keys that have ended by then stay shut, whatever
    /// the clock shows.
    pub fn witness_all(&self, moments: impl IntoIterator<Item = OffsetDateTime>) {
        moments.into_iter().for_each(|moment| self.witness(moment));
    }

    fn witness(&self, moment: OffsetDateTime) {
        self.0.known.witness(moment);
        self.0.witnessed.fetch_max(moment.unix_timestamp(), Relaxed);
    }

    fn witnessed(&self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(self.0.witnessed.load(Relaxed)).unwrap_or(CLOCK_FLOOR)
    }

    /// What time it is, where the clock shows `now`.
    fn known(&self, now: OffsetDateTime) -> OffsetDateTime {
        self.0.known.at(now)
    }

    /// What time it is at least, where the clock shows far less: it was lost.
    #[must_use]
    pub fn clock_lost(&self, now: OffsetDateTime) -> Option<OffsetDateTime> {
        self.0.known.lost(now)
    }

    fn first_start(
        state: &StateDir,
        file: Versioned<KeysFile>,
        now: OffsetDateTime,
        random: impl FnOnce() -> Result<[u8; RANDOM_BYTES], Unspecified>,
        show: Show,
    ) -> Result<Opened, KeysError> {
        let key = Key::generate(random().map_err(|Unspecified| KeysError::Random)?);
        let stored = StoredKey {
            id: key.id().to_owned(),
            name: FIRST_KEY_NAME.to_owned(),
            grant: Grant::Role(Role::User),
            class: Class::Interactive,
            models: Vec::new(),
            sha256: sha256(&key),
            created: date(now),
            expires: None,
            replaced_by: None,
        };
        // The key before its digest: a crash in between leaves a key that the next start replaces, never a digest
        // whose key nobody has seen.
        if show == Show::InFile {
            first::write(state, &key)?;
        }
        file.save(&KeysFile { keys: vec![stored.clone()] })?;
        let keys = Self::of(file, vec![stored]);
        let first = match show {
            Show::OnTerminal => Some(FirstKey::Made(key)),
            Show::InFile => keys.find_first_key(state)?,
        };
        Ok(Opened { keys, first })
    }

    /// Who `presented` belongs to, and that it is taken now.
    ///
    /// # Errors
    /// It is not a key of this box, or its time is over.
    pub fn verify(&self, presented: &str) -> Result<Caller, NotTaken> {
        self.verify_at(presented, OffsetDateTime::now_utc())
    }

    /// The same, where the clock shows `now`.
    fn verify_at(&self, presented: &str, now: OffsetDateTime) -> Result<Caller, NotTaken> {
        let key = Key::parse(presented).map_err(|_| NotTaken::Unknown)?;
        let table = self.0.table.borrow();
        let record = found(&table, &key).ok_or(NotTaken::Unknown)?;
        let now = self.known(now);
        if record.caller.has_expired(now) {
            return Err(NotTaken::Expired);
        }
        record.used(now);
        Ok(record.caller.clone())
    }

    /// Whether `presented` is a key of this box, its time aside: the decision that [`Keys::verify`] makes, alone.
    #[must_use]
    pub fn opens(&self, presented: &str) -> bool {
        Key::parse(presented).is_ok_and(|key| found(&self.0.table.borrow(), &key).is_some())
    }

    /// Why the key that `caller` came with is taken no more, if it is not; whoever came without one needs none. It goes by what
    /// is known of the key now, not by what was when the caller came.
    #[must_use]
    pub fn lost(&self, caller: &Caller, now: OffsetDateTime) -> Option<NotTaken> {
        let id = caller.id.as_ref()?;
        match self.0.table.borrow().get(id) {
            None => Some(NotTaken::Unknown),
            Some(record) => record.caller.has_expired(self.known(now)).then_some(NotTaken::Expired),
        }
    }

    /// How many keys there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.table.borrow().len()
    }

    /// The keys file of one moment, for a backup. Blocks.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn text(&self) -> Result<Option<Vec<u8>>, StateError> {
        let _writing = self.writing();
        self.0.file.text()
    }

    fn writing(&self) -> MutexGuard<'_, ()> {
        self.0.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The key's record, if it is a key of this box.
///
/// An id that is not known costs the same digest and the same comparison as a wrong secret, and a right one no more than both.
fn found<'a>(table: &'a Table, key: &Key) -> Option<&'a Record> {
    /// No key is known to have this digest, and what is compared with it has no record anyway.
    const NOBODY: Sha256 = [0; digest::SHA256_OUTPUT_LEN];
    let record = table.get(key.id());
    let stored = record.map_or(&NOBODY, |record| &record.stored.sha256);
    let same = constant_time::verify_slices_are_equal(&sha256(key), stored).is_ok();
    record.filter(|_| same)
}

fn sha256(key: &Key) -> Sha256 {
    let mut bytes = [0; digest::SHA256_OUTPUT_LEN];
    // Both are 32 bytes long, so nothing is left out.
    let digest = digest::digest(&digest::SHA256, key.reveal().as_bytes());
    bytes.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
    bytes
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
