//! All keys at one moment, found by id.
//!
//! Knows who belongs to each. Refuses to know secrets and files. Invariant: it never changes, but for when each key was last
//! taken.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
};

use ghostllm_core::{
    admin::{KeyInfo, KeyState},
    state::keys::StoredKey,
};
use time::OffsetDateTime;

use super::{
    Caller, date,
    ended::{REMEMBERED, has_ended},
};

/// A key that was never taken.
const NEVER: i64 = i64::MIN;

/// One key.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) stored: StoredKey,
    pub(super) caller: Caller,
    /// When it was last taken, in Unix seconds. It outlives a change of the table.
    last_used: Arc<AtomicI64>,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Table {
    by_id: HashMap<Box<str>, Record>,
    /// The ids in the order in which the keys were made.
    order: Vec<Box<str>>,
}

impl Table {
    /// These keys; when each was last taken is known from `before`.
    pub(super) fn of(stored: Vec<StoredKey>, before: Option<&Self>) -> Self {
        let order = stored.iter().map(|key| Box::from(&*key.id)).collect();
        let record = |key: StoredKey| {
            let known = before.and_then(|before| before.get(&key.id));
            (Box::from(&*key.id), Record::new(key, known))
        };
        Self { by_id: stored.into_iter().map(record).collect(), order }
    }

    pub(super) fn get(&self, id: &str) -> Option<&Record> {
        self.by_id.get(id)
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// The keys, the oldest first.
    pub(super) fn records(&self) -> impl Iterator<Item = &Record> {
        self.order.iter().filter_map(|id| self.by_id.get(id))
    }

    /// What the file holds.
    pub(super) fn stored(&self) -> Vec<StoredKey> {
        self.records().map(|record| record.stored.clone()).collect()
    }

    /// What an admin sees: not those that have ended long ago.
    pub(super) fn list(&self, now: OffsetDateTime) -> Vec<KeyInfo> {
        let shown = self.records().filter(|record| !has_ended(&record.stored, now - REMEMBERED));
        shown.map(|record| record.info(now)).collect()
    }
}

impl Record {
    fn new(stored: StoredKey, known: Option<&Self>) -> Self {
        let caller = Caller {
            id: Some(Arc::from(&*stored.id)),
            name: Arc::from(&*stored.name),
            permissions: stored.grant.permissions(),
            class: stored.class,
            models: Arc::from(&*stored.models),
            expires: stored.expires,
        };
        let last_used =
            known.map_or_else(|| Arc::new(AtomicI64::new(NEVER)), |known| Arc::clone(&known.last_used));
        Self { stored, caller, last_used }
    }

    /// It was taken.
    pub(super) fn used(&self, now: OffsetDateTime) {
        let second = now.unix_timestamp();
        // A key in use is shared by the threads: one write a second, not one a request.
        if self.last_used.load(Relaxed) != second {
            self.last_used.store(second, Relaxed);
        }
    }

    pub(super) fn info(&self, now: OffsetDateTime) -> KeyInfo {
        let key = &self.stored;
        let state = match (self.caller.has_expired(now), &key.replaced_by) {
            (true, _) => KeyState::Expired,
            (false, Some(_)) => KeyState::Rotated,
            (false, None) => KeyState::Active,
        };
        KeyInfo {
            id: key.id.clone(),
            name: key.name.clone(),
            role: key.grant.role(),
            scopes: key.grant.scopes().to_vec(),
            class: key.class,
            models: key.models.clone(),
            created: key.created.clone(),
            expires: key.expires.map(date),
            state,
            replaced_by: key.replaced_by.clone(),
            last_used: self.last_used(),
        }
    }

    fn last_used(&self) -> Option<String> {
        let second = self.last_used.load(Relaxed);
        OffsetDateTime::from_unix_timestamp(second).ok().filter(|_| second != NEVER).map(date)
    }
}
