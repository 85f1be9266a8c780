//! What happens, kept for a while and told to whoever listens.
//!
//! Knows the last events and their places. Refuses to know who listens. Invariants: the memory is bounded, and nobody who tells
//! something waits for those who listen; whoever has missed something is told so.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use ghostllm_core::{
    access::{Permission, Permissions},
    admin::{Event, FORM},
};
use ghostllm_edge::{StreamFailed, drain};
use http_body::{Body, Frame};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use tokio::{
    sync::watch,
    time::{Instant, Sleep, sleep_until},
};

use crate::{date::rfc3339, pipeline::Open as Request};

/// So many are kept for whoever comes back: some seconds of a busy box, days of an idle one. Each holds a request's name at the
/// most.
const KEPT: usize = 1024;

/// How often it is looked whether who follows still may.
const LOOK: Duration = Duration::from_millis(500);

/// A silent stream says after so many looks that it is there: 15 s, as `limits.sse_keep_alive` does for chats by default.
const KEEP_ALIVE: u32 = 30;

/// So many events go out in one piece.
const AT_ONCE: usize = 64;

/// Who follows, by key, so that they leave places to others. Clones share the count.
#[derive(Debug, Clone, Default)]
pub(crate) struct Followers(Arc<Mutex<HashMap<String, usize>>>);

/// One of them, until it is dropped.
#[derive(Debug)]
pub(crate) struct Follower {
    all: Followers,
    who: String,
}

impl Followers {
    /// One more of these, where there are not so many already.
    pub(crate) fn enter(&self, who: &str, most: usize) -> Option<Follower> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = all.get(who).copied().unwrap_or_default();
        (count < most).then(|| {
            all.insert(who.to_owned(), count + 1);
            Follower { all: self.clone(), who: who.to_owned() }
        })
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let mut all = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut count) = all.entry(std::mem::take(&mut self.who)) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// What has happened.
#[derive(Debug, Clone)]
pub(crate) enum Happened {
    /// A request began.
    Begun(Arc<Request>),
    /// It has ended in this way.
    Ended(Arc<Request>, &'static str),
    /// Something of this kind, with what there is to say of it.
    Told(&'static str, Arc<Map<String, Value>>),
}

/// What has happened last. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Journal(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Tells this process's places from another's: when it began, in milliseconds.
    epoch: u64,
    kept: Mutex<Kept>,
    /// The place of the next one.
    next: watch::Sender<u64>,
    /// How many were gone before somebody who followed them was told.
    lost: AtomicU64,
}

#[derive(Debug, Default)]
struct Kept {
    /// The place of the first one.
    first: u64,
    all: VecDeque<(OffsetDateTime, Happened)>,
}

impl Journal {
    pub(crate) fn new() -> Self {
        let now = OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000;
        let epoch = u64::try_from(now).unwrap_or_default();
        let (next, lost) = (watch::Sender::new(0), AtomicU64::new(0));
        Self(Arc::new(Inner { epoch, kept: Mutex::default(), next, lost }))
    }

    /// Something has happened.
    pub(crate) fn tell(&self, happened: Happened) {
        let mut kept = self.kept();
        if kept.all.len() == KEPT {
            kept.all.pop_front();
            kept.first += 1;
        }
        kept.all.push_back((OffsetDateTime::now_utc(), happened));
        let next = kept.first + kept.all.len() as u64;
        // While it is held: another's later place must not be followed by this one.
        self.0.next.send_replace(next);
    }

    /// The same, of something that is no request.
    pub(crate) fn say(&self, kind: &'static str, what: Value) {
        if let Value::Object(what) = what {
            self.tell(Happened::Told(kind, Arc::new(what)));
        }
    }

    /// How many events those who follow them have missed, one by one.
    pub(crate) fn lost(&self) -> u64 {
        self.0.lost.load(Relaxed)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn id(&self, place: u64) -> String {
        format!("{:x}-{place}", self.0.epoch)
    }

    /// The place behind the event of this id; none where it is of another process, or no id.
    fn behind(&self, id: &str) -> Option<u64> {
        let (epoch, place) = id.split_once('-')?;
        let place: u64 = place.parse().ok()?;
        (u64::from_str_radix(epoch, 16) == Ok(self.0.epoch) && place < *self.0.next.borrow())
            .then_some(place + 1)
    }

    /// The events behind this one, and those to come; from now on, where there is none. They are those that `permissions` let see, until
    /// it is `over`.
    pub(crate) fn follow(
        &self,
        last: Option<&str>,
        permissions: Permissions,
        over: Box<dyn Fn() -> bool + Send>,
        drain: drain::Watch,
        follower: Follower,
    ) -> Following {
        let now = *self.0.next.borrow();
        let (at, missed) = match last.map(|last| self.behind(last)) {
            None => (now, false),
            Some(Some(at)) => (at, false),
            // All there is, and before it that something is missing.
            Some(None) => (self.kept().first, true),
        };
        let journal = self.clone();
        let mut next = self.0.next.subscribe();
        next.mark_unchanged();
        Following {
            journal,
            at,
            missed,
            waiting: None,
            permissions,
            over,
            look: Box::pin(sleep_until(Instant::now() + LOOK)),
            silent: 0,
            begun: false,
            ending: Box::pin(drained(drain)),
            next,
            _follower: follower,
        }
    }

    /// The text of the events from this place on, and the place behind them.
    fn from(&self, at: u64, missed: bool, permissions: Permissions) -> (String, u64) {
        let kept = self.kept();
        let (first, gone) = (at.max(kept.first), missed || at < kept.first);
        self.0.lost.fetch_add(first - at, Relaxed);
        let skip = usize::try_from(first - kept.first).unwrap_or(usize::MAX);
        let events: Vec<_> = kept.all.iter().skip(skip).take(AT_ONCE).cloned().collect();
        drop(kept);
        let mut text = String::new();
        if gone {
            let what = json!({"next": "Ask for the lists again: some events before the next one are gone."});
            // It is told again to whoever leaves right behind it.
            let before = first.checked_sub(1).map_or_else(|| "0-0".to_owned(), |place| self.id(place));
            text.push_str(&written(before, OffsetDateTime::now_utc(), "missed", what));
        }
        let mut place = first;
        for (at, happened) in events {
            if permissions.has(happened.permission()) {
                let (kind, what) = happened.told();
                text.push_str(&written(self.id(place), at, kind, what));
            }
            place += 1;
        }
        (text, place)
    }
}

fn written(id: String, at: OffsetDateTime, kind: &str, what: Value) -> String {
    let Value::Object(what) = what else { return String::new() };
    let event = Event { version: FORM, id, at: rfc3339(at), kind: kind.to_owned(), what };
    let data = serde_json::to_string(&event).unwrap_or_default();
    format!("id: {}\nevent: {kind}\ndata: {data}\n\n", event.id)
}

impl Happened {
    /// What whoever is told of it must be allowed to see, as where it is read otherwise.
    fn permission(&self) -> Permission {
        match self {
            Self::Told("audit", _) => Permission::Audit,
            Self::Told("key", _) => Permission::ReadKeys,
            Self::Told("configuration", _) => Permission::Configuration,
            Self::Begun(_) | Self::Ended(..) | Self::Told(..) => Permission::Status,
        }
    }

    fn told(&self) -> (&'static str, Value) {
        let request = |request: &Request| serde_json::to_value(request.info()).unwrap_or_default();
        match self {
            Self::Begun(begun) => ("request_begun", request(begun)),
            Self::Ended(ended, outcome) => {
                let mut what = request(ended);
                if let Value::Object(fields) = &mut what {
                    fields.insert("outcome".to_owned(), json!(outcome));
                }
                ("request_ended", what)
            }
            Self::Told(kind, what) => (kind, Value::Object((**what).clone())),
        }
    }
}

async fn drained(mut drain: drain::Watch) {
    drain.begun().await;
}

type Waiting = Pin<Box<dyn Future<Output = watch::Receiver<u64>> + Send>>;

/// The body of `GET /events`.
pub(crate) struct Following {
    journal: Journal,
    at: u64,
    missed: bool,
    begun: bool,
    waiting: Option<Waiting>,
    permissions: Permissions,
    over: Box<dyn Fn() -> bool + Send>,
    look: Pin<Box<Sleep>>,
    /// How many looks ago something was sent.
    silent: u32,
    ending: Pin<Box<dyn Future<Output = ()> + Send>>,
    next: watch::Receiver<u64>,
    _follower: Follower,
}

impl Following {
    fn poll_text(&mut self, cx: &mut Context<'_>) -> Poll<Option<String>> {
        // A stop is not held up by whoever listens; they come back with the last event's id.
        if self.ending.as_mut().poll(cx).is_ready() || (self.over)() {
            return Poll::Ready(None);
        }
        if !self.begun {
            // So that a client sees at once that it is connected.
            self.begun = true;
            return Poll::Ready(Some(": GhostLLM's events\n\n".to_owned()));
        }
        loop {
            let before = self.at;
            let (text, at) = self.journal.from(before, std::mem::take(&mut self.missed), self.permissions);
            self.at = at;
            if !text.is_empty() {
                self.silent = 0;
                return Poll::Ready(Some(text));
            }
            // Those that it may not see are passed over, and there may be more behind them.
            if at != before {
                continue;
            }
            let mut next = self.next.clone();
            let waiting = self.waiting.get_or_insert_with(|| {
                Box::pin(async move {
                    // The journal is held by this very body, so that it cannot fail.
                    let _changed = next.changed().await;
                    next
                })
            });
            if let Poll::Ready(next) = waiting.as_mut().poll(cx) {
                (self.next, self.waiting) = (next, None);
                continue;
            }
            ready!(self.look.as_mut().poll(cx));
            self.look.as_mut().reset(Instant::now() + LOOK);
            if (self.over)() {
                return Poll::Ready(None);
            }
            self.silent += 1;
            if self.silent >= KEEP_ALIVE {
                self.silent = 0;
                return Poll::Ready(Some(": still here\n\n".to_owned()));
            }
        }
    }
}

impl Body for Following {
    type Data = Bytes;
    type Error = StreamFailed;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StreamFailed>>> {
        let text = ready!(self.get_mut().poll_text(cx));
        Poll::Ready(text.map(|text| Ok(Frame::data(Bytes::from(text)))))
    }
}

#[cfg(test)]
mod tests {
    use ghostllm_core::access::Role;

    use super::*;

    fn ids(text: &str) -> Vec<&str> {
        text.lines().filter_map(|line| line.strip_prefix("id: ")).collect()
    }

    #[test]
    fn the_memory_is_bounded_and_what_is_gone_is_told() {
        let journal = Journal::new();
        for number in 0..KEPT + 10 {
            journal.say("key", json!({"number": number}));
        }
        assert_eq!(journal.kept().all.len(), KEPT);
        let (text, at) = journal.from(0, false, Permissions::ALL);
        assert!(text.contains("event: missed") && text.contains("\"number\":10"), "{text}");
        assert_eq!(at, 10 + AT_ONCE as u64);
        let (text, _) = journal.from(10, false, Permissions::ALL);
        assert!(!text.contains("event: missed"));
        assert_eq!(journal.from(KEPT as u64 + 10, false, Permissions::ALL).0, "");
    }

    #[test]
    fn what_a_caller_may_not_read_it_is_not_told() {
        let journal = Journal::new();
        for kind in ["key", "audit", "configuration", "backend"] {
            journal.say(kind, json!({}));
        }
        let kinds = |permissions| {
            let (text, at) = journal.from(0, false, permissions);
            assert_eq!(at, 4, "they are passed over");
            text.lines()
                .filter_map(|line| line.strip_prefix("event: "))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(kinds(Role::Viewer.permissions()), ["backend"]);
        assert_eq!(kinds(Role::Operator.permissions()), ["configuration", "backend"]);
        assert_eq!(kinds(Role::Admin.permissions()).len(), 4);
    }

    #[test]
    fn an_id_leads_to_the_event_behind_it_and_another_process_s_to_none() {
        let journal = Journal::new();
        journal.say("key", json!({}));
        journal.say("key", json!({}));
        let (text, _) = journal.from(0, false, Permissions::ALL);
        assert_eq!(journal.behind(ids(&text)[0]), Some(1));
        assert_eq!(journal.behind(ids(&text)[1]), Some(2));
        for other in ["", "0-0", "x", &journal.id(2), &journal.id(99)] {
            assert_eq!(journal.behind(other), None, "{other}");
        }
    }
}
