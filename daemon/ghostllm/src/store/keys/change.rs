//! Changes of the keys: made, rotated, revoked.
//!
//! Knows what a new key may be. Refuses to know who asks for it. Invariant: a change is on the disk before it is in use, and
//! one that cannot be written has changed nothing; but a revoked key is closed in any case.

use std::{
    collections::HashMap,
    sync::{MutexGuard, PoisonError},
};

use aws_lc_rs::error::Unspecified;
use ghostllm_core::{
    ApiError,
    access::{Class, Grant},
    admin::KeyInfo,
    error::Code,
    key::{Key, NAME_CHARACTERS, PREFIX, RANDOM_BYTES, is_keyless_name, is_name},
    state::keys::{KeysFile, StoredKey},
    text::is_obeyed,
};
use time::{Duration, OffsetDateTime};

use super::{
    Keys, Table, date,
    ended::{forget, has_ended},
    random, sha256,
};
use crate::store::StateError;

/// The most patterns that one key has; who needs more wants none.
const PATTERNS: usize = 64;
/// The longest pattern, in bytes: the longest name of a model that is seen in the wild is far shorter.
const PATTERN_BYTES: usize = 256;
/// A hundred years, in seconds.
const LONGEST: u64 = 100 * 366 * 24 * 3600;
/// The most keys of a box, those aside that have ended: the promise of what a look-up costs is measured with so many.
const KEYS: usize = 10_000;

/// What a new key is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// What it may do.
    pub grant: Grant,
    /// Whose requests come first.
    pub class: Class,
    /// The models that it may use.
    pub models: Vec<String>,
    /// In how many seconds it ends.
    pub expires_in_s: Option<u64>,
}

/// A key that was made, to be shown now and never again.
#[derive(Debug)]
pub struct Made {
    /// The whole key.
    pub key: Key,
    /// What is known of it from now on.
    pub info: KeyInfo,
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// No key has this id.
    #[error("no key has this id")]
    NotFound,
    /// What is wanted cannot be: the field, and what it must be.
    #[error("{0} must be {1}")]
    Wrong(&'static str, String),
    /// There are as many keys as there may be.
    #[error("there are {KEYS} keys, and no more can be made")]
    TooMany,
    /// Another one takes its place already.
    #[error("another key takes its place already")]
    Rotated,
    /// Its time is over.
    #[error("the key's time is over")]
    Expired,
    /// The system has no randomness to give.
    #[error("the system gives no random numbers")]
    Random,
    /// The key is taken no more; but that cannot be written, and a restart would let it in again.
    #[error("the key is taken no more until a restart: {0}")]
    Closed(StateError),
    /// It cannot be written.
    #[error(transparent)]
    State(#[from] StateError),
}

impl From<ChangeError> for ApiError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::NotFound => {
                Self::new(Code::NotFound, "No key has this id. GET /admin/api/v1/keys lists them.")
            }
            ChangeError::Wrong(param, expected) => Self::invalid_value(param, &expected),
            ChangeError::TooMany => Self::new(
                Code::Conflict,
                format!("There are {KEYS} keys, and no more can be made; revoke those that nobody needs."),
            ),
            ChangeError::Rotated => Self::new(
                Code::Conflict,
                "Another key takes this one's place already; rotate that one, or revoke this one.",
            ),
            ChangeError::Expired => Self::new(
                Code::Conflict,
                "This key's time is over; make a new one instead, and revoke this one.",
            ),
            ChangeError::Random => Self::internal(),
            ChangeError::Closed(_) => Self::new(
                Code::StateUnwritable,
                "The key is taken no more from now on; but the box's disk is full, read-only or failing, so that a restart \
                 would let it in again. It is tried again by itself; the same command once more tells when it is done.",
            ),
            ChangeError::State(error) => error.answer(),
        }
    }
}

impl Wanted {
    fn check(&self) -> Result<(), ChangeError> {
        let wrong = |field, what: String| Err(ChangeError::Wrong(field, what));
        // It would be kept and shown.
        let whole = |text: &String| text.contains(PREFIX);
        if whole(&self.name) || self.models.iter().any(whole) {
            let field = if whole(&self.name) { "name" } else { "models" };
            return wrong(field, "no key: whoever wrote one there should rotate it".to_owned());
        }
        if !is_name(&self.name) {
            return wrong(
                "name",
                format!("1 to {NAME_CHARACTERS} characters on one line, none of them invisible"),
            );
        }
        if is_keyless_name(&self.name) {
            let what =
                "another name than local, system, other and uid N, which stand for callers without a key";
            return wrong("name", what.to_owned());
        }
        let good =
            |pattern: &String| (1..=PATTERN_BYTES).contains(&pattern.len()) && !pattern.contains(is_obeyed);
        if self.models.len() > PATTERNS || !self.models.iter().all(good) {
            return wrong("models", format!("at most {PATTERNS} patterns of 1 to {PATTERN_BYTES} bytes"));
        }
        if self.expires_in_s.is_some_and(|seconds| seconds == 0 || seconds > LONGEST) {
            return wrong("expires_in_s", format!("1 to {LONGEST}"));
        }
        Ok(())
    }
}

fn after(now: OffsetDateTime, seconds: u64) -> OffsetDateTime {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    // In whole seconds, as people write it, and never less than was asked for. What has no time left ends now.
    let whole = now.replace_nanosecond(0).unwrap_or(now);
    let begun = if whole < now && seconds > 0 { whole.saturating_add(Duration::SECOND) } else { whole };
    begun.saturating_add(Duration::seconds(seconds))
}

impl Keys {
    /// Makes a key. Blocks.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub fn make(&self, wanted: Wanted, now: OffsetDateTime) -> Result<Made, ChangeError> {
        wanted.check()?;
        let _writing = self.writing();
        let (mut stored, now) = (self.stored(), self.known(now));
        // The name of a key that opens nothing any more is free again.
        let same = |key: &StoredKey| key.name == wanted.name && !has_ended(key, now);
        if stored.iter().any(same) {
            return Err(ChangeError::Wrong("name", "one that no other key has".to_owned()));
        }
        let Wanted { name, grant, class, models, expires_in_s } = wanted;
        let key = Self::fresh(&mut stored, now)?;
        let expires = expires_in_s.map(|seconds| after(now, seconds));
        stored.push(StoredKey {
            id: key.id().to_owned(),
            name,
            grant,
            class,
            models,
            sha256: sha256(&key),
            created: date(now),
            expires,
            replaced_by: None,
        });
        self.save(stored)?;
        self.made(key, now)
    }

    /// Makes a key in the place of another one, which is taken for `overlap_s` seconds more and no longer than before. Blocks.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub fn rotate(&self, id: &str, overlap_s: u64, now: OffsetDateTime) -> Result<Made, ChangeError> {
        if overlap_s > LONGEST {
            return Err(ChangeError::Wrong("overlap_s", format!("0 to {LONGEST}")));
        }
        let _writing = self.writing();
        let (mut stored, now) = (self.stored(), self.known(now));
        let old = stored.iter().find(|old| old.id == id).ok_or(ChangeError::NotFound)?;
        if old.replaced_by.is_some() {
            return Err(ChangeError::Rotated);
        }
        if has_ended(old, now) {
            return Err(ChangeError::Expired);
        }
        let key = Self::fresh(&mut stored, now)?;
        let old = stored.iter_mut().find(|old| old.id == id).ok_or(ChangeError::NotFound)?;
        let (mut new, end) = (old.clone(), after(now, overlap_s));
        (new.id, new.sha256, new.created) = (key.id().to_owned(), sha256(&key), date(now));
        old.replaced_by = Some(new.id.clone());
        old.expires = Some(old.expires.map_or(end, |expires| expires.min(end)));
        stored.push(new);
        self.save(stored)?;
        self.made(key, now)
    }

    /// Has a key be no more; gives its name. Blocks.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub fn revoke(&self, id: &str) -> Result<String, ChangeError> {
        let _writing = self.writing();
        let mut stored = self.stored();
        let name = match stored.iter().position(|key| key.id == id) {
            Some(place) => stored.remove(place).name,
            None => self.closed().get(id).cloned().ok_or(ChangeError::NotFound)?,
        };
        // What is leaked must be closed also while the disk is full or hangs; in memory it opens nothing.
        self.replace(stored.clone());
        self.closed().insert(id.to_owned(), name.clone());
        let saved = self.save(stored);
        let first = self.first().take_if(|first| first.is_of(id));
        if let Some(Err(error)) = first.map(|first| first.remove()) {
            tracing::warn!(%error, "the file with the first key, which is revoked, could not be removed");
        }
        match saved {
            Err(ChangeError::State(error)) => Err(ChangeError::Closed(error)),
            saved => saved.map(|()| name),
        }
    }

    /// Every key, without its secret.
    #[must_use]
    pub fn list(&self, now: OffsetDateTime) -> Vec<KeyInfo> {
        self.0.table.borrow().list(self.known(now))
    }

    pub(super) fn stored(&self) -> Vec<StoredKey> {
        self.0.table.borrow().stored()
    }

    /// A key for which room is made, where ended ones take it.
    fn fresh(stored: &mut Vec<StoredKey>, now: OffsetDateTime) -> Result<Key, ChangeError> {
        forget(stored, KEYS - 1, now);
        if stored.len() >= KEYS {
            return Err(ChangeError::TooMany);
        }
        let random: Result<[u8; RANDOM_BYTES], Unspecified> = random();
        let key = Key::generate(random.map_err(|Unspecified| ChangeError::Random)?);
        // Eight digits meet by chance once in 10^14; the id must still be one key's alone.
        if stored.iter().any(|other| other.id == key.id()) { Err(ChangeError::Random) } else { Ok(key) }
    }

    pub(super) fn save(&self, stored: Vec<StoredKey>) -> Result<(), ChangeError> {
        let file = KeysFile { keys: stored };
        self.0.file.save(&file)?;
        // What a lost clock has written there is no witness.
        let now = OffsetDateTime::now_utc();
        if let Some(known) = self.clock_lost(now)
            && let Err(error) = self.0.file.stamp(known.into())
        {
            tracing::warn!(%error, "the keys file does not show what time it is at least");
        }
        self.closed().clear();
        self.replace(file.keys);
        Ok(())
    }

    pub(super) fn closed(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.0.closed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn replace(&self, stored: Vec<StoredKey>) {
        let before = std::sync::Arc::clone(&self.0.table.borrow());
        self.0.table.send_replace(std::sync::Arc::new(Table::of(stored, Some(&before))));
    }

    fn made(&self, key: Key, now: OffsetDateTime) -> Result<Made, ChangeError> {
        let table = self.0.table.borrow();
        let info =
            table.get(key.id()).map(|record| record.info(self.known(now))).ok_or(ChangeError::NotFound)?;
        drop(table);
        Ok(Made { key, info })
    }
}
