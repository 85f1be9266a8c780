//! Items of answers in the words of Responses, for clients that name them in their next request instead of sending them again.
//!
//! Knows for whom each was made, and since when it is here. Refuses to know what is in them, and disks and logs: it is a
//! convenience, and no store. Invariants: nobody is given what was made for another caller; all of them together never hold more
//! than the limit, and one caller's no more than half of it; the oldest go first, and none is given out that is an hour old.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use ghostllm_core::dialect::responses::KeptItem;

use super::Shared;
use crate::{backend::Keeper, store::keys::Caller};

/// A conversation goes on within minutes; whoever comes back later sends what they have.
const LONGEST: Duration = Duration::from_secs(60 * 60);
/// About what an item costs beside its id and its bytes: its entries here, and what the allocator adds.
const ENTRY: usize = 256;

/// For whom an item was made.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Owner {
    /// The key of this id.
    Key(Arc<str>),
    /// Somebody on this box who shows none, by the name that is told of them. All who need no key are one caller.
    Keyless(Arc<str>),
}

impl Owner {
    fn of(caller: &Caller) -> Self {
        match &caller.id {
            Some(id) => Self::Key(Arc::clone(id)),
            None => Self::Keyless(Arc::clone(&caller.name)),
        }
    }
}

/// What is kept for one caller.
#[derive(Clone)]
pub(super) struct Mine {
    recall: Arc<Recall>,
    owner: Owner,
}

impl Mine {
    pub(super) fn of(shared: &Shared, caller: &Caller) -> Self {
        Self { recall: Arc::clone(&shared.recall), owner: Owner::of(caller) }
    }

    /// The item of this id.
    pub(super) fn find(&self, id: &str, now: Instant) -> Option<Bytes> {
        self.recall.find(&self.owner, id, now)
    }

    /// Who keeps an answer's items, where all may hold `most` bytes; nobody where that is nothing.
    pub(super) fn keeper(&self, most: usize) -> Option<Keeper> {
        let mine = self.clone();
        let keep = move |items| mine.recall.keep(&mine.owner, items, most, Instant::now());
        (most > 0).then(|| Keeper::new(keep))
    }
}

/// All that is kept.
#[derive(Default)]
pub(super) struct Recall(Mutex<Kept>);

impl Recall {
    /// Forgets everything.
    pub(super) fn clear(&self) {
        *self.kept() = Kept::default();
    }

    /// Forgets what is too old, and what is more than `most` bytes.
    pub(super) fn sweep(&self, most: usize, now: Instant) {
        self.kept().sweep(most, now);
    }

    fn find(&self, owner: &Owner, id: &str, now: Instant) -> Option<Bytes> {
        let kept = self.kept();
        let item = kept.items.get(kept.places.get(id)?)?;
        (item.owner == *owner && !item.is_old(now)).then(|| item.json.clone())
    }

    fn keep(&self, owner: &Owner, items: Vec<KeptItem>, most: usize, now: Instant) {
        let mut kept = self.kept();
        kept.sweep(most, now);
        for KeptItem { id, json } in items {
            kept.add(Item { id: id.into(), owner: owner.clone(), json, since: now }, most);
        }
    }

    /// Whoever panicked has left whole items, or none.
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Item {
    id: Arc<str>,
    owner: Owner,
    json: Bytes,
    since: Instant,
}

impl Item {
    /// What it holds, in bytes.
    fn bytes(&self) -> usize {
        self.id.len() + self.json.len() + ENTRY
    }

    fn is_old(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= LONGEST
    }
}

#[derive(Default)]
struct Kept {
    /// The place of the next one.
    next: u64,
    bytes: usize,
    /// By place, so that the oldest is the first.
    items: BTreeMap<u64, Item>,
    /// By id.
    places: HashMap<Arc<str>, u64>,
    owners: HashMap<Owner, Own>,
}

/// One caller's.
#[derive(Default)]
struct Own {
    bytes: usize,
    /// The oldest first.
    places: VecDeque<u64>,
}

impl Kept {
    fn sweep(&mut self, most: usize, now: Instant) {
        while let Some(oldest) = self.items.first_entry()
            && (self.bytes > most || oldest.get().is_old(now))
        {
            let place = *oldest.key();
            self.remove(place);
        }
    }

    fn add(&mut self, item: Item, most: usize) {
        let (bytes, own) = (item.bytes(), most / 2);
        // Ids are made of a request's and differ; were two the same, the first would be meant.
        if bytes > own || self.places.contains_key(&item.id) {
            return;
        }
        while let Some(oldest) = self.oldest_beyond(&item.owner, own - bytes) {
            self.remove(oldest);
        }
        while self.bytes > most - bytes
            && let Some((oldest, _)) = self.items.first_key_value()
        {
            self.remove(*oldest);
        }
        let place = self.next;
        self.next += 1;
        self.bytes += bytes;
        self.places.insert(Arc::clone(&item.id), place);
        let owner = self.owners.entry(item.owner.clone()).or_default();
        owner.bytes += bytes;
        owner.places.push_back(place);
        self.items.insert(place, item);
    }

    /// This caller's oldest one, where theirs hold more than so many bytes.
    fn oldest_beyond(&self, owner: &Owner, bytes: usize) -> Option<u64> {
        let own = self.owners.get(owner).filter(|own| own.bytes > bytes)?;
        own.places.front().copied()
    }

    /// Removes one that is its caller's oldest, as the oldest of all is.
    fn remove(&mut self, place: u64) {
        let Some(item) = self.items.remove(&place) else { return };
        let bytes = item.bytes();
        self.bytes -= bytes;
        self.places.remove(&item.id);
        let Some(own) = self.owners.get_mut(&item.owner) else { return };
        own.bytes -= bytes;
        own.places.pop_front();
        if own.places.is_empty() {
            self.owners.remove(&item.owner);
        }
    }
}

#[cfg(test)]
mod tests;
