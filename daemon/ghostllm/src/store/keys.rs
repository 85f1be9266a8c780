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
use ghostllm_core::key::{Key, RANDOM_BYTES, is_id};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{StateDir, StateError};

/// The keys file.
const FILE: &str = "keys.json";
/// Where the first key lies until somebody uses it.
const FIRST_KEY_FILE: &str = "first-key";
/// The version of the keys file that this program reads and writes.
const VERSION: u64 = 1;
/// What the first key is called.
const FIRST_KEY_NAME: &str = "first";

type Sha256 = [u8; digest::SHA256_OUTPUT_LEN];

/// What a caller may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Inference, the list of models, metrics.
    User,
    /// All that, and changing the box.
    Admin,
}

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
    /// The file cannot be understood; it was set aside.
    #[error(
        "the keys file {path} cannot be understood ({why}) and was set aside as {aside}; nobody can be let in. \
         Put a good copy back as {path}, or, to begin anew with one new key, remove {aside}"
    )]
    Corrupt {
        /// Where the file was.
        path: PathBuf,
        /// Where it is now.
        aside: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A file was set aside at an earlier start, and nobody has decided yet.
    #[error(
        "the keys file was set aside as {aside} because it could not be understood, and there is no {path}. \
         Put a good copy back as {path}, or, to begin anew with one new key, remove {aside}"
    )]
    SetAside {
        /// Where the file was.
        path: PathBuf,
        /// Where it is now.
        aside: PathBuf,
    },
    /// A later version of this program wrote it.
    #[error(
        "the keys file {path} is of version {version}, written by a newer ghostllm; this one knows version {VERSION}. \
         Install the newer one again, or use another --state-dir"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u64,
    },
    /// The system has no randomness to give.
    #[error("the system gives no random numbers, so no key can be made")]
    Random,
}

impl KeysError {
    /// The program's exit code for it.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::State(error) => error.exit_code(),
            Self::Corrupt { .. } | Self::SetAside { .. } | Self::Newer { .. } => crate::exit::IO,
            Self::Random => 1,
        }
    }
}

/// The keys file. Unknown fields are refused: one of them might restrict a key.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeysFile {
    version: u64,
    keys: Vec<StoredKey>,
}

/// One key in the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredKey {
    id: String,
    name: String,
    role: Role,
    /// Of the whole key, in hexadecimal.
    sha256: String,
    /// RFC 3339.
    created: String,
}

/// The part of every version of the keys file.
#[derive(Deserialize)]
struct Versioned {
    version: u64,
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
        let Some(bytes) = state.read(FILE)? else {
            return Self::first_start(state, now, random, show);
        };
        let by_id = match parse(&bytes) {
            Ok(by_id) => by_id,
            Err(Unread::Newer(version)) => return Err(KeysError::Newer { path: state.file(FILE)?, version }),
            Err(Unread::Bad(why)) => {
                let aside = state.path().join(state.set_aside(FILE, now)?);
                return Err(KeysError::Corrupt { path: state.file(FILE)?, aside, why });
            }
        };
        let mut keys = Self { by_id, first: None };
        let first = keys.find_first_key(state)?;
        Ok(Opened { keys, first })
    }

    fn first_start(
        state: &StateDir,
        now: OffsetDateTime,
        random: impl FnOnce() -> Result<[u8; RANDOM_BYTES], Unspecified>,
        show: Show,
    ) -> Result<Opened, KeysError> {
        if let Some(aside) = state.aside(FILE)?.pop() {
            return Err(KeysError::SetAside { path: state.file(FILE)?, aside: state.path().join(aside) });
        }
        let key = Key::generate(random().map_err(|Unspecified| KeysError::Random)?);
        let sha256 = sha256(&key);
        let stored = StoredKey {
            id: key.id().to_owned(),
            name: FIRST_KEY_NAME.to_owned(),
            role: Role::User,
            sha256: hex(&sha256),
            // Only a year beyond 9999 has no RFC 3339 form; the date is for people and decides nothing.
            created: now.format(&Rfc3339).unwrap_or_else(|_| "1970-01-01T00:00:00Z".to_owned()),
        };
        let caller =
            Caller { id: Some(Arc::from(key.id())), name: Arc::from(FIRST_KEY_NAME), role: Role::User };
        let by_id = HashMap::from([(Box::from(key.id()), Record { caller, sha256 })]);
        let file = KeysFile { version: VERSION, keys: vec![stored] };
        let text = serde_json::to_vec_pretty(&file).map_err(|error| StateError::Unwritable {
            path: state.path().join(FILE),
            source: error.into(),
        })?;
        // The key before its digest: a crash in between leaves a key that the next start replaces, never a digest
        // whose key nobody has seen.
        if show == Show::InFile {
            state.write_private(FIRST_KEY_FILE, format!("{}\n", key.reveal()).as_bytes())?;
        }
        state.write_private(FILE, &text)?;
        let mut keys = Self { by_id, first: None };
        let first = match show {
            Show::OnTerminal => Some(FirstKey::Made(key)),
            Show::InFile => keys.find_first_key(state)?,
        };
        Ok(Opened { keys, first })
    }

    /// Looks for the file with the first key, which waits for its first use.
    fn find_first_key(&mut self, state: &StateDir) -> Result<Option<FirstKey>, KeysError> {
        let Some(bytes) = state.read(FIRST_KEY_FILE)? else { return Ok(None) };
        let path = state.file(FIRST_KEY_FILE)?;
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

/// Why the bytes are not a keys file.
enum Unread {
    Newer(u64),
    Bad(String),
}

fn parse(bytes: &[u8]) -> Result<HashMap<Box<str>, Record>, Unread> {
    // The reader's messages give places and field names; digests and names stay out of them.
    let bad = |error: serde_json::Error| Unread::Bad(format!("{} at line {}", kind(&error), error.line()));
    let Versioned { version } = serde_json::from_slice(bytes).map_err(bad)?;
    if version > VERSION {
        return Err(Unread::Newer(version));
    }
    let file: KeysFile = serde_json::from_slice(bytes).map_err(bad)?;
    if file.version != VERSION {
        return Err(Unread::Bad(format!("version {} never was", file.version)));
    }
    let mut by_id = HashMap::with_capacity(file.keys.len());
    for (at, stored) in file.keys.into_iter().enumerate() {
        let number = at + 1;
        let bad = |what: &str| Unread::Bad(format!("key {number} has {what}"));
        let sha256 = unhex(&stored.sha256).ok_or_else(|| bad("a digest that is none"))?;
        if !is_id(&stored.id) {
            return Err(bad("an id that is none"));
        }
        if OffsetDateTime::parse(&stored.created, &Rfc3339).is_err() {
            return Err(bad("a date that is none"));
        }
        let caller =
            Caller { id: Some(Arc::from(&*stored.id)), name: Arc::from(stored.name), role: stored.role };
        if by_id.insert(stored.id.into_boxed_str(), Record { caller, sha256 }).is_some() {
            return Err(bad("the id of another one"));
        }
    }
    Ok(by_id)
}

/// What kind of fault the JSON reader found, without any of the text.
fn kind(error: &serde_json::Error) -> &'static str {
    match error.classify() {
        serde_json::error::Category::Syntax => "no JSON",
        serde_json::error::Category::Eof => "cut off",
        serde_json::error::Category::Data => "a missing, unknown or wrong field",
        serde_json::error::Category::Io => "not read",
    }
}

fn sha256(key: &Key) -> Sha256 {
    let mut bytes = [0; digest::SHA256_OUTPUT_LEN];
    // Both are 32 bytes long, so nothing is left out.
    let digest = digest::digest(&digest::SHA256, key.reveal().as_bytes());
    bytes.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
    bytes
}

fn hex(bytes: &Sha256) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Sha256> {
    let mut bytes = [0; digest::SHA256_OUTPUT_LEN];
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != bytes.len() || !rest.is_empty() {
        return None;
    }
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
