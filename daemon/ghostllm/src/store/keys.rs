//! The API keys of this box.
//!
//! Knows the keys file and who a presented key belongs to. Refuses to know a key's secret beyond the moment in
//! which it is made: the file holds the SHA-256 of each whole key. Invariant: a keys file that cannot be read never
//! leads to a new key; what was closed stays closed until a person opens it.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use aws_lc_rs::{constant_time, digest, error::Unspecified, rand};
pub use ghostllm_core::key::Role;
use ghostllm_core::{
    key::{Key, RANDOM_BYTES},
    state::keys::{KeysFile, Sha256, StoredKey},
};
use thiserror::Error;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    StateDir, StateError,
    versioned::{LoadError, Versioned},
};

/// The keys file.
const FILE: &str = "keys.json";
/// Where the first key lies until somebody uses it.
const FIRST_KEY_FILE: &str = "first-key";
/// What the first key is called.
const FIRST_KEY_NAME: &str = "first";

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The key's id; none for a program on this box that shows no key.
    pub id: Option<Arc<str>>,
    /// The key's name, or `local`.
    pub name: Arc<str>,
    /// What the caller may do.
    pub role: Role,
}

impl Caller {
    /// A program on this box, on a port where no key is needed: never an admin.
    #[must_use]
    pub fn local() -> Self {
        Self { id: None, name: Arc::from("local"), role: Role::User }
    }
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

/// All keys, in memory.
#[derive(Debug)]
pub struct Keys {
    by_id: HashMap<Box<str>, Record>,
    first: Option<FirstKeyFile>,
}

#[derive(Debug)]
struct Record {
    caller: Caller,
    sha256: Sha256,
}

impl From<StoredKey> for Record {
    fn from(key: StoredKey) -> Self {
        let StoredKey { id, name, role, sha256, .. } = key;
        Self { caller: Caller { id: Some(Arc::from(id)), name: Arc::from(name), role }, sha256 }
    }
}

/// The file with the first key, and whether it is still to be removed.
#[derive(Debug, Clone)]
struct FirstKeyFile {
    id: Box<str>,
    state: StateDir,
    waiting: Arc<AtomicBool>,
}

/// Removes the file with the first key, which has been used. It blocks: run it where that is allowed.
#[derive(Debug)]
#[must_use = "the file with the first key stays where it is until `run` is called"]
pub struct RemoveFirstKey(FirstKeyFile);

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
        let Some(KeysFile { keys: stored }) = file.load(now)? else {
            return Self::first_start(state, &file, now, random, show);
        };
        let by_id = stored.into_iter().map(|key| (Box::from(&*key.id), Record::from(key))).collect();
        let mut keys = Self { by_id, first: None };
        let first = keys.find_first_key(state)?;
        Ok(Opened { keys, first })
    }

    fn first_start(
        state: &StateDir,
        file: &Versioned<KeysFile>,
        now: OffsetDateTime,
        random: impl FnOnce() -> Result<[u8; RANDOM_BYTES], Unspecified>,
        show: Show,
    ) -> Result<Opened, KeysError> {
        let key = Key::generate(random().map_err(|Unspecified| KeysError::Random)?);
        let stored = StoredKey {
            id: key.id().to_owned(),
            name: FIRST_KEY_NAME.to_owned(),
            role: Role::User,
            sha256: sha256(&key),
            // Only a year beyond 9999 has no RFC 3339 form; the date is for people and decides nothing.
            created: now.format(&Rfc3339).unwrap_or_else(|_| "1970-01-01T00:00:00Z".to_owned()),
        };
        // The key before its digest: a crash in between leaves a key that the next start replaces, never a digest
        // whose key nobody has seen.
        if show == Show::InFile {
            state.write_private(FIRST_KEY_FILE, format!("{}\n", key.reveal()).as_bytes())?;
        }
        file.save(&KeysFile { keys: vec![stored.clone()] })?;
        let by_id = HashMap::from([(Box::from(key.id()), Record::from(stored))]);
        let mut keys = Self { by_id, first: None };
        let first = match show {
            Show::OnTerminal => Some(FirstKey::Made(key)),
            Show::InFile => keys.find_first_key(state)?,
        };
        Ok(Opened { keys, first })
    }

    /// Looks for the file with the first key, which waits for its first use.
    fn find_first_key(&mut self, state: &StateDir) -> Result<Option<FirstKey>, KeysError> {
        let path = state.file(FIRST_KEY_FILE)?;
        let bytes = match state.read(FIRST_KEY_FILE) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Ok(None),
            // The key itself stays good, and whoever has it needs no file.
            Err(error) => {
                let why = error.damage().ok_or(error)?;
                tracing::warn!(path = %path.display(), "the file of the first key cannot be read ({why}); it can be removed");
                return Ok(None);
            }
        };
        let key = std::str::from_utf8(&bytes).ok().and_then(|text| Key::parse(text.trim()).ok());
        let caller = key.as_ref().and_then(|key| self.verify(key.reveal()));
        let Some(id) = caller.and_then(|caller| caller.id) else {
            tracing::warn!(path = %path.display(), "the file does not hold a key of this box; it can be removed");
            return Ok(None);
        };
        self.first = Some(FirstKeyFile {
            id: Box::from(&*id),
            state: state.clone(),
            waiting: Arc::new(AtomicBool::new(true)),
        });
        tracing::info!(path = %path.display(), "the first API key is in this file, which goes at the key's first use");
        Ok(Some(FirstKey::InFile(path)))
    }

    /// Who `presented` belongs to; nobody, if it is not a key of this box.
    ///
    /// An id that is not known costs the same digest and the same comparison as a wrong secret.
    #[must_use]
    pub fn verify(&self, presented: &str) -> Option<Caller> {
        /// No key is known to have this digest, and what is compared with it has no record anyway.
        const NOBODY: Sha256 = [0; digest::SHA256_OUTPUT_LEN];
        let key = Key::parse(presented).ok()?;
        let record = self.by_id.get(key.id());
        let stored = record.map_or(&NOBODY, |record| &record.sha256);
        let same = constant_time::verify_slices_are_equal(&sha256(&key), stored).is_ok();
        record.filter(|_| same).map(|record| record.caller.clone())
    }

    /// What is to be done after a request of `caller` was let in: for the first key's first use, its file is to be
    /// removed. Never blocks; what it returns does.
    pub fn after_use(&self, caller: &Caller) -> Option<RemoveFirstKey> {
        let first = self.first.as_ref()?;
        let is_first = caller.id.as_deref() == Some(&*first.id);
        // Relaxed reads keep the many later requests cheap; the swap lets exactly one of the first ones through.
        let mine =
            is_first && first.waiting.load(Ordering::Relaxed) && first.waiting.swap(false, Ordering::Relaxed);
        mine.then(|| RemoveFirstKey(first.clone()))
    }

    /// How many keys there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.by_id.len()
    }
}

impl RemoveFirstKey {
    /// Removes the file. Blocks.
    ///
    /// # Errors
    /// If it cannot be removed; the key's next use then tries again.
    pub fn run(self) -> Result<(), StateError> {
        let removed = self.0.state.remove(FIRST_KEY_FILE);
        if removed.is_err() {
            self.0.waiting.store(true, Ordering::Relaxed);
        }
        removed.map(drop)
    }
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
