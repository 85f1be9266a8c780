//! The one record of a request: who asked for what, by which way, and how that ended.
//!
//! Knows what the steps of the pipeline tell. Refuses to know what was said: no prompt, no answer and no key ever reaches the log.
//! Invariants: each request has exactly one record, written once nobody can add to it: when its response's body is gone, or it is
//! dropped before it was answered; whatever a client has chosen is escaped and cut.

mod body;
mod told;

use std::{
    fmt::Display,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use ghostllm_core::{
    ApiError,
    chat::Usage,
    error::Code,
    key,
    routes::{Endpoint, Row},
    usage::Counts,
};
use ghostllm_edge::{Connection, ResponseBody, room::Slot};
use http::{HeaderMap, Method, Response, StatusCode, Version, request};
use http_body_util::BodyExt;
use tracing::Level;

use body::Recorded;
pub(super) use told::By;
use told::{Answer, Ended, Failure, Told};

use super::{
    ids::Id,
    requests::{Request, Source, spoken},
};
use crate::{
    log::{OneLine, millis},
    metrics::{self, Metrics, Operation},
    store::{keys::Caller, usage::Ledger},
    trace::Trace,
};

/// Bytes of a path, a model's name or a cause, at the most: a client chooses the first two.
const LONGEST: usize = 512;

/// The record at one level, which tracing wants to know when it is compiled.
macro_rules! event {
    ($level:expr, $record:expr, $told:expr, $ended:expr) => {{
        let (record, told, ended): (&Record, &Told, Ended) = ($record, &$told, $ended);
        let usage = told.usage;
        tracing::event!(
            $level,
            request = %record.id,
            client_request = record.trace.given(),
            trace = record.trace.trace(),
            caller = told.caller.as_ref().map(|caller| one_line(&caller.name)),
            key = told.caller.as_ref().and_then(|caller| caller.id.as_deref()),
            from = record.from.map(display),
            http = spoken(record.http),
            method = record.asked.as_ref().map(|(method, _)| cut(&key::before(method.as_str())).to_owned()),
            route = told.row.map(|row| row.path),
            path = told.path(record).map(one_line),
            status = told.answer.map(|answer| answer.status.as_u16()),
            code = told.code(),
            model = told.model.as_deref().map(one_line),
            alias_of = told.target.as_deref().map(one_line),
            backend = told.chat.as_ref().map(|chat| chat.backend.as_str()),
            ended = ended.name(),
            by = told.by(ended),
            cause = told.failure.as_ref().map(|failure| one_line(cut(&failure.cause))),
            queue_ms = told.queued.map(whole_millis),
            ttft_ms = told.first.map(|first| whole_millis(first - record.begun)),
            ms = millis(record.begun),
            prompt_tokens = usage.map(|usage| usage.prompt_tokens),
            completion_tokens = usage.filter(|_| told.operation() != Operation::Embeddings).map(|usage| usage.completion_tokens),
            cached_tokens = usage.and_then(|usage| usage.cached_tokens),
            reasoning_tokens = usage.and_then(|usage| usage.reasoning_tokens),
            estimated = usage.filter(|usage| usage.estimated).map(|_| true),
            bytes_in = told.bytes_in,
            bytes_out = told.answer.map_or(0, |answer| answer.bytes),
            "{} {}",
            told.subject(),
            ended.words(),
        );
    }};
}

/// What is known of a request when it comes in, and what its steps tell.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) id: Id,
    pub(super) trace: Trace,
    begun: Instant,
    http: Version,
    /// None where not even the head was read.
    asked: Option<(Method, String)>,
    from: Option<Source>,
    /// The program's own question, which is nobody's request.
    own: bool,
    told: Mutex<Told>,
    /// Count it as well when it ends.
    metrics: Arc<Metrics>,
}

/// A request that is being answered; its record is written when this is dropped.
#[derive(Debug)]
pub(super) struct Open(Arc<Record>);

impl Open {
    pub(super) fn new(id: Id, head: &request::Parts, metrics: &Arc<Metrics>) -> Self {
        let connection = head.extensions.get::<Connection>();
        let own = connection.is_some_and(|connection| connection.own);
        if !own {
            metrics.begun(head.version);
        }
        // Somebody may have put a key where an id or a name belongs.
        let path = cut(&key::before(head.uri.path())).to_owned();
        let record = Record {
            id,
            trace: Trace::new(id.number(), &head.headers),
            begun: Instant::now(),
            http: head.version,
            asked: Some((head.method.clone(), path)),
            from: connection.map(Source::of),
            own,
            told: Mutex::default(),
            metrics: Arc::clone(metrics),
        };
        Self(Arc::new(record))
    }

    /// One whose head could not be read.
    pub(super) fn unread(id: Id, http: Version, connection: &Connection, metrics: &Arc<Metrics>) -> Self {
        metrics.begun(http);
        let record = Record {
            id,
            trace: Trace::new(id.number(), &HeaderMap::new()),
            begun: Instant::now(),
            http,
            asked: None,
            from: Some(Source::of(connection)),
            own: false,
            told: Mutex::default(),
            metrics: Arc::clone(metrics),
        };
        Self(Arc::new(record))
    }

    /// What the steps of the pipeline tell of it.
    pub(super) fn record(&self) -> &Arc<Record> {
        &self.0
    }

    /// A status was all its client has got.
    pub(super) fn bare(self, status: StatusCode, code: Code) {
        self.0.told().answer = Some(Answer { status, code: Some(code), whole: true, ..Answer::default() });
    }

    /// The response, whose body's end is the request's.
    pub(super) fn answered(self, mut response: Response<ResponseBody>) -> Response<ResponseBody> {
        let status = response.status();
        let code = response.extensions_mut().remove::<Code>();
        let head = self.0.asked.as_ref().is_some_and(|(method, _)| method == Method::HEAD);
        let bodiless = head || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let answer = Answer { status, code, whole: bodiless, ..Answer::default() };
        self.0.told().answer = Some(answer);
        response.map(|body| Recorded { body, answer, open: self }.boxed_unsync())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.write();
    }
}

impl Record {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn row(&self, row: &'static Row) {
        self.told().row = Some(row);
    }

    pub(super) fn caller(&self, caller: &Caller) {
        self.told().caller = Some(caller.clone());
    }

    /// So many bytes of its body were read.
    pub(super) fn read(&self, bytes: usize) {
        self.told().bytes_in = Some(bytes as u64);
    }

    /// What was asked for, whether there is such a model or not.
    pub(super) fn model(&self, name: &str) {
        self.told().model = Some(cut(&key::before(name)).to_owned());
    }

    /// The configuration has given that name to this model.
    pub(super) fn target(&self, model: &str) {
        self.told().target = Some(cut(model).to_owned());
    }

    /// The name that was asked for and the model's own, where they are two.
    pub(super) fn names(&self) -> Option<(String, String)> {
        let told = self.told();
        told.model.clone().zip(told.target.clone())
    }

    /// The model that answers is one that its backend has listed, or was once.
    pub(super) fn listed(&self, listed: bool) {
        self.told().listed = listed;
    }

    pub(super) fn is_listed(&self) -> bool {
        self.told().listed
    }

    /// An answer was gathered, and is held until this record is written.
    pub(super) fn holds(&self, slot: Slot) {
        self.told().held = Some(slot);
    }

    /// An engine is asked, and what it has used is counted there.
    pub(super) fn chat(&self, request: &Arc<Request>, ledger: &Ledger) {
        let mut told = self.told();
        (told.chat, told.ledger) = (Some(Arc::clone(request)), Some(ledger.clone()));
    }

    /// What the engine has counted, and when it began to speak and had said all.
    /// Whether the last event was given as well: whoever leaves then has been answered.
    pub(super) fn settled(
        &self,
        usage: Option<Usage>,
        (queued, first, last): (Option<Duration>, Option<Instant>, Option<Instant>),
        over: bool,
    ) {
        let mut told = self.told();
        (told.usage, told.queued, told.first, told.last, told.over) = (usage, queued, first, last, over);
    }

    /// It failed; `cause` is for the log, `shown` is what the client hears.
    pub(super) fn failed(&self, cause: &dyn Display, shown: &ApiError, by: Option<By>) {
        let cause = cause.to_string();
        self.told().failure = Some(Failure { cause, code: shown.code(), by });
    }

    fn write(&self) {
        let told = self.told();
        let ended = told.ended();
        if self.own && ended == Ended::Completed {
            return;
        }
        match (ended, told.row.map(|row| row.endpoint)) {
            // Asked every few seconds, and by whoever looks at the page; a state that goes on is told elsewhere.
            (_, Some(Endpoint::Ready | Endpoint::ReadyCheck)) => event!(Level::DEBUG, self, told, ended),
            (Ended::Failed, _) => event!(Level::WARN, self, told, ended),
            (_, Some(Endpoint::Health | Endpoint::Page | Endpoint::Metrics)) => {
                event!(Level::DEBUG, self, told, ended);
            }
            (_, Some(Endpoint::OpenApi | Endpoint::Docs)) => event!(Level::DEBUG, self, told, ended),
            _ => event!(Level::INFO, self, told, ended),
        }
        if self.own {
            return;
        }
        if let (Some(chat), Some(ledger)) = (&told.chat, &told.ledger) {
            let counts = Counts::of(ended.into(), told.queued.is_some(), told.usage);
            ledger.count(chat.counted_for(), chat.counted_as(), &counts);
        }
        self.metrics.ended(
            self.http,
            &metrics::Ended {
                route: told.row.map(|row| row.path),
                http: spoken(self.http),
                status: told.answer.map(|answer| answer.status.as_u16()),
                ended: ended.name(),
                took: self.begun.elapsed(),
                chat: told.chat.as_ref().map(|chat| told.generated(self, chat)),
            },
        );
    }
}

/// As a text of its own, which the text form puts into quotes: no client can add a field.
fn one_line(text: &str) -> String {
    OneLine(text).to_string()
}

fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(LONGEST)).unwrap_or(text)
}

fn whole_millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
