//! What the threads of the sampler and its readers share.
//!
//! Knows the last answer of each card. Refuses to ask. Invariant: each lock is held for a copy and no longer.

use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use ghostllm_readings::{Absent, Sample};

use super::{Options, Seen};
use crate::{
    missing::Missing,
    who::{Identity, Who},
};

/// One card's place.
#[derive(Debug)]
pub(crate) struct Slot {
    index: u32,
    /// Its thread is to end, or has ended.
    pub(crate) over: AtomicBool,
    last: Mutex<Last>,
}

#[derive(Debug)]
struct Last {
    identity: Option<Arc<Identity>>,
    sample: Sample,
    who: Who,
    number: u64,
    /// Since when it is being asked.
    asked: Option<Duration>,
}

/// What is known of one driver.
#[derive(Debug, Default)]
struct Cards {
    slots: Vec<Arc<Slot>>,
    /// How many there were when there were any: while its library fails, their numbers are nobody else's.
    count: u32,
    missing: Option<Missing>,
    /// Since when its library is being opened.
    opening: Option<Duration>,
}

/// All of it.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: Options,
    since: Instant,
    nvidia: Mutex<Cards>,
    /// Those that the kernel's files tell of, in their order.
    others: Mutex<Vec<Arc<Slot>>>,
    stopped: Mutex<bool>,
    stop: Condvar,
    news: Mutex<u64>,
    bell: Condvar,
}

/// Nothing here is left half done by a thread that ends.
fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Slot {
    /// The place of the card of this number, which goes on from what was known of it.
    pub(crate) fn new(index: u32, before: Option<&Self>) -> Self {
        let before = before.map(|before| held(&before.last));
        let last = Last {
            identity: before.as_ref().and_then(|before| before.identity.clone()),
            sample: before
                .as_ref()
                .map_or(Sample::missing(Duration::ZERO, Absent::NotAsked), |before| before.sample),
            who: Who::default(),
            number: before.map_or(0, |before| before.number),
            asked: None,
        };
        Self { index, over: AtomicBool::new(false), last: Mutex::new(last) }
    }

    pub(crate) fn index(&self) -> u32 {
        self.index
    }

    pub(super) fn begin(&self, now: Duration) {
        held(&self.last).asked = Some(now);
    }

    pub(super) fn is(&self, identity: Arc<Identity>) {
        held(&self.last).identity = Some(identity);
    }

    pub(super) fn end(&self, sample: Sample, who: Who) {
        let mut last = held(&self.last);
        (last.sample, last.who, last.asked) = (sample, who, None);
        last.number += 1;
    }

    fn seen(&self, index: u32, now: Duration, deadline: Duration) -> Seen {
        let last = held(&self.last);
        let waited = last.asked.map(|asked| now.saturating_sub(asked));
        Seen {
            index,
            identity: last.identity.clone(),
            sample: last.sample,
            who: last.who,
            number: last.number,
            late: waited.filter(|waited| *waited >= deadline),
        }
    }

    /// Its last answer was that it is lost.
    pub(super) fn is_lost(&self) -> bool {
        held(&self.last).sample.is_lost()
    }
}

impl Shared {
    pub(super) fn new(options: Options, since: Instant) -> Self {
        Self {
            options,
            since,
            nvidia: Mutex::default(),
            others: Mutex::default(),
            stopped: Mutex::new(false),
            stop: Condvar::new(),
            news: Mutex::new(0),
            bell: Condvar::new(),
        }
    }

    pub(crate) fn now(&self) -> Duration {
        self.since.elapsed()
    }

    /// Waits; whether the sampler has ended.
    pub(crate) fn wait(&self, long: Duration) -> bool {
        let stopped = held(&self.stopped);
        let (stopped, _) = self
            .stop
            .wait_timeout_while(stopped, long, |stopped| !*stopped)
            .unwrap_or_else(PoisonError::into_inner);
        *stopped
    }

    /// Waits until this card's next turn; whether its thread is to end.
    pub(super) fn wait_of(&self, slot: &Slot, long: Duration) -> bool {
        let is_over = || slot.over.load(Ordering::Relaxed);
        let stopped = held(&self.stopped);
        let (stopped, _) = self
            .stop
            .wait_timeout_while(stopped, long, |stopped| !*stopped && !is_over())
            .unwrap_or_else(PoisonError::into_inner);
        *stopped || is_over()
    }

    pub(super) fn stop(&self) {
        *held(&self.stopped) = true;
        self.stop.notify_all();
    }

    /// Ends the threads of these.
    pub(super) fn end(&self, slots: &[Arc<Slot>]) {
        // Under the lock, or a thread that is about to wait would not hear of it.
        let stopped = held(&self.stopped);
        slots.iter().for_each(|slot| slot.over.store(true, Ordering::Relaxed));
        drop(stopped);
        self.stop.notify_all();
    }

    /// The cards of NVIDIA's library as it was opened last.
    pub(super) fn nvidia(&self) -> Vec<Arc<Slot>> {
        held(&self.nvidia).slots.clone()
    }

    /// NVIDIA's driver is known to have no card here, which is another thing than one that does not work.
    pub(super) fn is_without_nvidia(&self) -> bool {
        let nvidia = held(&self.nvidia);
        nvidia.slots.is_empty() && nvidia.missing.as_ref().is_some_and(|missing| !missing.is_fault())
    }

    /// These are the other cards.
    pub(super) fn others(&self, slots: Vec<Arc<Slot>>) {
        *held(&self.others) = slots;
        self.tell();
    }

    pub(crate) fn tell(&self) {
        *held(&self.news) += 1;
        self.bell.notify_all();
    }

    pub(super) fn news(&self, known: u64, longest: Duration) -> u64 {
        let news = held(&self.news);
        let (news, _) = self
            .bell
            .wait_timeout_while(news, longest, |news| *news <= known)
            .unwrap_or_else(PoisonError::into_inner);
        *news
    }

    /// NVIDIA's library is being opened.
    pub(super) fn opening(&self) {
        held(&self.nvidia).opening = Some(self.now());
    }

    /// What came of it.
    pub(super) fn opened(&self, came: Result<Vec<Arc<Slot>>, Missing>) {
        let (slots, missing) = match came {
            Ok(slots) => (slots, None),
            Err(missing) => (Vec::new(), Some(missing)),
        };
        let mut nvidia = held(&self.nvidia);
        let count = match u32::try_from(slots.len()).unwrap_or(u32::MAX) {
            0 => nvidia.count,
            count => count,
        };
        *nvidia = Cards { slots, count, missing, opening: None };
        drop(nvidia);
        self.tell();
    }

    pub(super) fn missing(&self) -> Option<Missing> {
        let nvidia = held(&self.nvidia);
        let waited = nvidia.opening.map(|began| self.now().saturating_sub(began));
        match waited {
            Some(waited) if waited >= self.options.deadline => Some(Missing::Hangs { waited }),
            _ => nvidia.missing.clone(),
        }
    }

    pub(super) fn read(&self, seen: &mut Vec<Seen>) {
        seen.clear();
        let now = self.now();
        let nvidia = held(&self.nvidia);
        let first = nvidia.count;
        let mut see = |index: u32, slot: &Arc<Slot>| seen.push(slot.seen(index, now, self.options.deadline));
        (0..).zip(&nvidia.slots).for_each(|(index, slot)| see(index, slot));
        drop(nvidia);
        (first..).zip(&*held(&self.others)).for_each(|(index, slot)| see(index, slot));
    }
}
