//! The requests that are being answered: who, what, how far, and the way to end one.
//!
//! Knows every open request of a model. Refuses to know what is said in it. Invariant: a request is in the list from before
//! its engine is asked until its account is settled, and hears within one turn of its task that it is to end.

use std::{
    collections::HashMap,
    fmt,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

use ghostllm_core::{
    ApiError,
    admin::{RequestInfo, RequestState},
    admission::Class,
    error::Code,
    usage::{Counts, End, OTHER},
};
use ghostllm_edge::{Connection, Transport};
use http::Version;
use time::OffsetDateTime;
use tokio::sync::Notify;

use super::{
    ids::Id,
    record::{By, Record},
};
use crate::{
    admin::events::{Happened, Journal},
    backend::{Lease, Meter},
    date::rfc3339,
    log::millis,
    store::{
        keys::{Caller, Keys, NotTaken},
        usage::Running,
    },
};

/// Where a request came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// This address.
    Address(IpAddr),
    /// The admin socket.
    Socket,
}

impl Source {
    pub(crate) fn of(connection: &Connection) -> Self {
        match connection.transport {
            Transport::Unix => Self::Socket,
            Transport::Tls | Transport::Quic | Transport::Plain => Self::Address(connection.peer.ip()),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Socket => f.write_str("socket"),
        }
    }
}

/// Why a request ends that would have gone on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Somebody who may has ended it.
    Cancelled,
    /// Its key is no more.
    Revoked,
    /// Its key's time is over.
    Expired,
}

impl Ending {
    /// For the log.
    pub(super) fn cause(self) -> &'static str {
        match self {
            Self::Cancelled => "an admin has ended it",
            Self::Revoked => "its key was revoked",
            Self::Expired => "its key's time is over",
        }
    }
}

impl From<Ending> for By {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Cancelled => Self::Admin,
            Ending::Revoked | Ending::Expired => Self::Key,
        }
    }
}

impl From<NotTaken> for Ending {
    fn from(lost: NotTaken) -> Self {
        match lost {
            NotTaken::Unknown => Self::Revoked,
            NotTaken::Expired => Self::Expired,
        }
    }
}

impl From<Ending> for ApiError {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Cancelled => Self::new(
                Code::RequestCancelled,
                "This request was ended by an admin of this box before its answer was complete.",
            ),
            Ending::Revoked => Self::invalid_api_key(
                "This API key was revoked before the answer was complete; ask the box's admin for another.",
            ),
            Ending::Expired => Self::invalid_api_key(
                "This API key's time was over before the answer was complete; ask the box's admin for another.",
            ),
        }
    }
}

/// One request.
#[derive(Debug)]
pub(crate) struct Request {
    pub(super) id: Id,
    /// The id that its client has chosen, which others may have chosen as well.
    client_id: Option<String>,
    pub(super) caller: Caller,
    from: Source,
    http: Version,
    model: String,
    /// The model that answers, as its backend spells it.
    pub(super) routed: String,
    /// By its name: an event that is told of the request must not keep the backend.
    pub(super) backend: String,
    /// The backend's kind.
    pub(super) provider: &'static str,
    since: OffsetDateTime,
    pub(super) begun: Instant,
    events: AtomicU64,
    /// What it has used so far.
    pub(super) meter: Meter,
    /// Its backend has listed the model that answers, or had once.
    listed: bool,
    ending: OnceLock<Ending>,
    told: Notify,
}

/// What is known of a request when it begins.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) record: Arc<Record>,
    pub(super) caller: Caller,
    pub(super) from: Source,
    pub(super) http: Version,
    /// Whether it has time; none where nobody has said so.
    pub(super) priority: Option<Class>,
}

impl Asked {
    /// Whether the mode of the admin socket's file has let the caller in, and no key.
    pub(super) fn is_on_the_box(&self) -> bool {
        self.from == Source::Socket && self.caller.id.is_none()
    }
}

/// All of them. Clones share the list.
#[derive(Debug, Clone)]
pub(crate) struct Requests(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    open: Mutex<HashMap<Id, Arc<Request>>>,
    journal: Journal,
}

/// One request's place in the list, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    requests: Requests,
    pub(super) request: Arc<Request>,
    _backend: Lease,
}

impl Requests {
    pub(crate) fn new(journal: Journal) -> Self {
        Self(Arc::new(Inner { open: Mutex::default(), journal }))
    }

    /// `model` is what was asked for, and `routed` what the backend calls it.
    pub(super) fn begin(&self, asked: Asked, model: &str, routed: &str, backend: Lease) -> Place {
        let Asked { record, caller, from, http, priority: _ } = asked;
        let id = record.id;
        let request = Arc::new(Request {
            id,
            client_id: record.trace.given().map(str::to_owned),
            caller,
            from,
            http,
            model: model.to_owned(),
            routed: routed.to_owned(),
            backend: backend.backend().name().to_owned(),
            provider: backend.backend().kind().name(),
            since: OffsetDateTime::now_utc(),
            begun: Instant::now(),
            events: AtomicU64::new(0),
            meter: Meter::default(),
            listed: record.is_listed(),
            ending: OnceLock::new(),
            told: Notify::new(),
        });
        self.open().insert(id, Arc::clone(&request));
        self.0.journal.tell(Happened::Begun(Arc::clone(&request)));
        Place { requests: self.clone(), request, _backend: backend }
    }

    /// What those that go on have used so far, as if they ended now.
    pub(crate) fn running(&self) -> Vec<Running> {
        self.open().values().filter_map(|request| request.running()).collect()
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.open().len()
    }

    /// What an admin sees, the oldest first.
    pub(crate) fn list(&self) -> Vec<RequestInfo> {
        let mut all: Vec<Arc<Request>> = self.open().values().cloned().collect();
        all.sort_by_key(|request| request.begun);
        all.iter().map(|request| request.info()).collect()
    }

    /// How many each backend answers of each of its models: one look at each request.
    pub(crate) fn by_model(&self) -> HashMap<(String, String), usize> {
        let mut counts = HashMap::new();
        for request in self.open().values() {
            *counts.entry((request.backend.clone(), request.routed.clone())).or_default() += 1;
        }
        counts
    }

    /// Ends the request of this id, as `x-request-id` has it, if there is one, and no other whose client has chosen the same; gives
    /// our own id of it.
    pub(crate) fn cancel(&self, id: &str) -> Option<String> {
        let open = self.open();
        let own = id.parse().ok().and_then(|id: Id| open.get(&id));
        let mut chosen = open.values().filter(|request| request.client_id.as_deref() == Some(id));
        let request = own.or_else(|| chosen.next().filter(|_| chosen.next().is_none()));
        request.inspect(|request| request.end(Ending::Cancelled)).map(|request| request.id.to_string())
    }

    /// Ends the requests of keys that are taken no more.
    pub(crate) fn sweep(&self, keys: &Keys, now: OffsetDateTime) {
        for request in self.open().values() {
            if let Some(lost) = keys.lost(&request.caller, now) {
                request.end(lost.into());
            }
        }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<Id, Arc<Request>>> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Request {
    /// One more event for its client.
    pub(super) fn sent(&self) {
        self.events.fetch_add(1, Relaxed);
    }

    fn end(&self, ending: Ending) {
        let _first = self.ending.set(ending);
        self.told.notify_one();
    }

    /// Why it is to end, if it is.
    pub(super) fn ending(&self) -> Option<Ending> {
        self.ending.get().copied()
    }

    /// Completes when it is to end. One task waits for it.
    pub(super) async fn ended(&self) -> Ending {
        loop {
            if let Some(ending) = self.ending() {
                return ending;
            }
            // One that comes in between is kept for this wait.
            self.told.notified().await;
        }
    }

    /// By whom it is counted: a key's id, or the name of whoever needs none.
    pub(super) fn counted_for(&self) -> &str {
        self.caller.id.as_ref().unwrap_or(&self.caller.name)
    }

    /// The model that it is counted for.
    pub(super) fn counted_as(&self) -> &str {
        if self.listed { &self.routed } else { OTHER }
    }

    fn running(&self) -> Option<Running> {
        let counts = Counts::of(End::Cancelled, true, Some(self.meter.read()?));
        Some(Running { caller: self.counted_for().to_owned(), model: self.counted_as().to_owned(), counts })
    }

    pub(crate) fn info(&self) -> RequestInfo {
        let events = self.events.load(Relaxed);
        RequestInfo {
            id: self.id.to_string(),
            key: self.caller.id.as_deref().map(str::to_owned),
            caller: self.caller.name.to_string(),
            from: self.from.to_string(),
            http: spoken(self.http).to_owned(),
            model: self.model.clone(),
            backend: self.backend.clone(),
            state: if events == 0 { RequestState::Waiting } else { RequestState::Answering },
            since: rfc3339(self.since),
            age_ms: millis(self.begun),
            events,
        }
    }
}

pub(super) fn spoken(version: Version) -> &'static str {
    match version {
        Version::HTTP_3 => "HTTP/3",
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_10 => "HTTP/1.0",
        _ => "HTTP/1.1",
    }
}

impl Place {
    /// It is over.
    pub(super) fn over(&self, outcome: &'static str) {
        self.requests.0.journal.tell(Happened::Ended(Arc::clone(&self.request), outcome));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.requests.open().remove(&self.request.id);
    }
}
