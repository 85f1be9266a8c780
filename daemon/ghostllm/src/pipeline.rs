//! A request's life, top to bottom.
//!
//! Knows the order: guard, classify, authenticate, read the body, route, answer, account. Refuses to know sockets
//! and how a backend is spoken to. Invariants: nothing of a request is read before its caller is known, except on
//! public pages; every failure that a client sees is an [`ApiError`], rendered in one place; a request that panics
//! is that request's 500 and no more.

mod account;
mod admin;
mod authenticate;
mod chat;
mod content;
mod embeddings;
mod guesses;
mod ids;
mod metrics;
mod models;
mod panics;
mod priority;
mod recall;
mod record;
mod requests;
mod respond;
mod stream;

use std::{
    ops::Deref,
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::FutureExt;
use ghostllm_core::{
    ApiError,
    access::Permission,
    admin::Cause,
    config::{Alerts, Gpu, HealthCheck, Limits, PlainAuth, Usage},
    dialect::openai::{ShownModel, model_body, models_body},
    error::Code,
    routes::{self, Access, Endpoint, Found, Row},
};
use ghostllm_edge::{
    Connection, Handler, RequestBody, ResponseBody, drain,
    guard::{self, Guard, Passed, Reason},
    room::{Room, Stay},
};
use http::{Request, Response, StatusCode, Version, request};
use time::OffsetDateTime;
use tokio::{sync::watch, task::JoinHandle, time::sleep};

use crate::{
    admin::{Desk, Documents, Page},
    backend::registry::{Listed, Registry, Routed, Snapshot},
    gate::Gate,
    log::OneLine,
    metrics::Metrics,
    store::{
        keys::{Caller, Keys},
        usage::{Ledger, Running},
    },
    tasks::health::Amiss,
};
use admin::Denials;
use authenticate::{Shown, authenticate, authorize};
use chat::Language;
use guesses::Guesses;
use ids::Ids;
use metrics::Shown as Scraped;
use recall::Recall;
use record::Record;
pub(crate) use requests::Request as Open;
use requests::{Asked, Requests, Source};

/// How soon a request ends whose key's time is over.
const EXPIRY: Duration = Duration::from_millis(500);

/// What the configuration says of requests. One that has begun ends by what it has begun with.
#[derive(Debug)]
pub struct Settings {
    /// What a request may cost.
    pub limits: Limits,
    /// Whether the plain port asks for keys.
    pub plain_auth: PlainAuth,
    /// The admin's own checks.
    pub health: Vec<HealthCheck>,
    /// The cards, and what is done about their heat.
    pub gpu: Gpu,
    /// What is kept of what requests have used.
    pub usage: Usage,
    /// Who is told what is amiss.
    pub alerts: Alerts,
    /// The box's CA, where it has its own: PEM and DER.
    pub authority: Option<(Bytes, Bytes)>,
}

/// What requests are answered with; each part changes only by being replaced whole.
pub struct Parts {
    /// Who is answered.
    pub guard: Arc<Guard>,
    /// Who has a key.
    pub keys: Keys,
    /// Where models are.
    pub registry: Arc<Registry>,
    /// What the configuration says.
    pub settings: watch::Receiver<Arc<Settings>>,
    /// The page at `/`.
    pub page: watch::Receiver<Arc<Page>>,
    /// Not ready any more once it has begun.
    pub drain: drain::Watch,
    /// What is left for those who come.
    pub room: Room,
    /// What requests have used.
    pub usage: Ledger,
    /// Who may begin on this machine's cards.
    pub(crate) gate: Gate,
    /// What an admin may look at and have done.
    pub(crate) desk: Desk,
}

/// What all requests share: their parts, and what is known of the requests themselves.
struct Shared {
    parts: Parts,
    requests: Requests,
    guesses: Guesses,
    denials: Denials,
    recall: Arc<Recall>,
    metrics: Arc<Metrics>,
    scraped: Scraped,
    documents: Documents,
}

impl Deref for Shared {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.parts
    }
}

/// The one handler of all listeners.
#[derive(Clone)]
pub struct Pipeline {
    shared: Arc<Shared>,
    ids: Arc<Ids>,
}

impl std::fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pipeline").finish_non_exhaustive()
    }
}

impl Handler for Pipeline {
    async fn handle(&self, request: Request<RequestBody>) -> Response<ResponseBody> {
        let (head, body) = request.into_parts();
        // Dropped before it is answered, its client has left.
        let open = record::Open::new(self.ids.next(), &head, &self.shared.metrics);
        let record = Arc::clone(open.record());
        let answered = AssertUnwindSafe(self.answer(&record, head, body)).catch_unwind().await;
        let metrics = &self.shared.metrics;
        let mut response = answered.unwrap_or_else(|_its_words| {
            metrics.panicked();
            let shown = ApiError::internal();
            record.failed(&panics::CAUSE, &shown, None);
            respond::error(&shown)
        });
        respond::finish(&mut response, &record.trace);
        open.answered(response.map(|body| panics::caught(body, &record, metrics)))
    }

    fn refuse(&self, status: StatusCode, head: &request::Parts) -> Response<ResponseBody> {
        let open = record::Open::new(self.ids.next(), head, &self.shared.metrics);
        let mut response = respond::error(&beyond(status, &self.shared.settings.borrow().limits));
        respond::finish(&mut response, &open.record().trace);
        open.answered(response)
    }

    fn unread(&self, status: StatusCode, version: Version, connection: &Connection) {
        let code = match status {
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => Code::HeaderTooLarge,
            _ => Code::InvalidRequest,
        };
        record::Open::unread(self.ids.next(), version, connection, &self.shared.metrics).bare(status, code);
    }
}

impl Pipeline {
    /// The handler over these parts.
    ///
    /// # Errors
    /// When the operating system has no random bytes for the request ids.
    pub fn new(parts: Parts) -> Result<Self, aws_lc_rs::error::Unspecified> {
        let requests = Requests::new(parts.desk.journal.clone());
        let shared = Shared {
            parts,
            requests,
            guesses: Guesses::default(),
            denials: Denials::default(),
            recall: Arc::default(),
            metrics: Arc::default(),
            scraped: Scraped::default(),
            documents: Documents::default(),
        };
        Ok(Self { shared: Arc::new(shared), ids: Arc::new(Ids::new()?) })
    }

    /// What is left for those who come.
    pub(crate) fn room(&self) -> Room {
        self.shared.room.clone()
    }

    /// What the configuration says of requests now.
    pub(crate) fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.shared.settings.borrow())
    }

    /// What requests that go on have used so far.
    pub(crate) fn running(&self) -> Vec<Running> {
        self.shared.requests.running()
    }

    /// Drops what can be made anew, or be done without: connections to backends that rest, the metrics as they were shown last, and
    /// what is kept of answers.
    pub(crate) fn drop_caches(&self) {
        self.shared.recall.clear();
        self.shared.scraped.forget();
        for known in self.shared.registry.snapshot().backends() {
            known.backend().close_resting();
        }
    }

    /// Ends the requests of keys that are taken no more, and forgets what was kept long enough, for ever.
    pub(crate) async fn expire(&self) {
        // Streams of keys that end wait for no disk.
        let mut tending: Option<JoinHandle<()>> = None;
        loop {
            sleep(EXPIRY).await;
            let now = OffsetDateTime::now_utc();
            self.shared.requests.sweep(&self.shared.keys, now);
            self.shared.recall.sweep(self.settings().limits.recall.as_usize(), Instant::now());
            if tending.as_ref().is_none_or(JoinHandle::is_finished) && self.shared.keys.wants_tending(now) {
                let keys = self.shared.keys.clone();
                tending = Some(tokio::task::spawn_blocking(move || {
                    if let Err(error) = keys.tend(now) {
                        tracing::warn!(%error, "what has become of ended keys cannot be written");
                    }
                }));
            }
        }
    }

    async fn answer(
        &self,
        record: &Arc<Record>,
        mut head: request::Parts,
        body: RequestBody,
    ) -> Response<ResponseBody> {
        #[cfg(feature = "freeze")]
        frozen("request", &record.trace);
        let Some(connection) = head.extensions.get::<Connection>().copied() else {
            // The edge always says it; a request without it could claim to come from anywhere.
            return respond::error(&ApiError::internal());
        };
        let (forwarded, cors) = match self.shared.guard.check(&head, &connection) {
            Ok(Passed::Request { forwarded, cors }) => (forwarded, cors),
            Ok(Passed::Preflight { headers }) => return respond::preflight(headers),
            Err(refusal) => return respond::refusal(&refused(&refusal), head.version),
        };
        guard::strip(&mut head.headers);
        let outcome = self.serve(record, &head, body, &connection, forwarded).await;
        let mut response = outcome.unwrap_or_else(|error| respond::error(&error));
        if let Some(origin) = cors {
            guard::allow(response.headers_mut(), origin);
        }
        response
    }

    async fn serve(
        &self,
        record: &Arc<Record>,
        head: &request::Parts,
        body: RequestBody,
        connection: &Connection,
        forwarded: bool,
    ) -> Result<Response<ResponseBody>, ApiError> {
        let found = routes::find(&head.method, head.uri.path());
        let settings = Arc::clone(&self.shared.settings.borrow());
        let public = match &found {
            Found::Row(row, _) => {
                record.row(row);
                row.access == Access::Public
            }
            Found::WrongMethod { public, .. } => *public,
            // A stranger learns nothing of the table.
            Found::Nothing => false,
        };
        let shown = Shown { headers: &head.headers, connection, forwarded };
        let caller = if public {
            // Anybody gets an answer, and a wrong key is counted all the same; whoever may know more is told more.
            let tells = |row: &Row| matches!(row.endpoint, Endpoint::Ready | Endpoint::ReadyCheck);
            let known = matches!(&found, Found::Row(row, _) if tells(row)) && shown.names_somebody();
            let caller = if known { authenticate(&self.shared, &settings, &shown).await.ok() } else { None };
            caller.inspect(|caller| record.caller(caller)).unwrap_or_else(Caller::local)
        } else {
            let caller = authenticate(&self.shared, &settings, &shown).await?;
            record.caller(&caller);
            caller
        };
        let (method, path) = (head.method.as_str(), head.uri.path());
        let (row, taken) = match found {
            Found::Row(row, taken) => (row, taken),
            Found::WrongMethod { allow, .. } => return Err(ApiError::method_not_allowed(method, &allow)),
            Found::Nothing => return Err(ApiError::route_not_found(method, path, &routes::instead(path))),
        };
        let (record, from) = (Arc::clone(record), Source::of(connection));
        let asked = Asked { record, caller, from, http: head.version, priority: None };
        if let Err(denied) = authorize(&asked.caller, row, connection) {
            admin::denied(&self.shared, row, &asked, &taken);
            return Err(denied);
        }
        self.route(row, taken, asked, &settings, head, body).await
    }

    async fn route(
        &self,
        row: &Row,
        taken: String,
        asked: Asked,
        settings: &Arc<Settings>,
        head: &request::Parts,
        body: RequestBody,
    ) -> Result<Response<ResponseBody>, ApiError> {
        match row.endpoint {
            Endpoint::Page => {
                let page = Arc::clone(&self.shared.page.borrow());
                let own = guard::asked_host(head).and_then(|host| page.reached_by(&host));
                Ok(own.unwrap_or(&page).answer(&head.method, &head.headers).map(respond::body))
            }
            Endpoint::OpenApi => {
                Ok(self.shared.documents.openapi.answer(&head.method, &head.headers).map(respond::body))
            }
            Endpoint::Docs => {
                Ok(self.shared.documents.docs.answer(&head.method, &head.headers).map(respond::body))
            }
            Endpoint::Health => Ok(respond::text(StatusCode::OK, "the edge serves\n")),
            Endpoint::Ready => Ok(self.ready(&asked.caller)),
            Endpoint::ReadyCheck => self.ready_check(&asked.caller, settings, &taken),
            Endpoint::Metrics => metrics::answer(&self.shared, &head.headers).await,
            Endpoint::AuthorityDer => authority(settings, |(_, der)| respond::authority_der(der)),
            Endpoint::AuthorityPem => authority(settings, |(pem, _)| respond::authority_pem(pem)),
            Endpoint::Models => {
                let snapshot = self.shared.registry.snapshot();
                let listed = snapshot.listed().filter(|listed| !listed.hidden);
                let mine = listed.filter_map(|listed| shown(&asked.caller, &snapshot, listed));
                Ok(respond::json(models_body(mine)))
            }
            Endpoint::Model => self.model(&asked.caller, &taken),
            Endpoint::Chat => self.chat(Language::Chat, asked, settings, head, body).await,
            Endpoint::Completions => self.chat(Language::Completions, asked, settings, head, body).await,
            Endpoint::Responses => self.chat(Language::Responses, asked, settings, head, body).await,
            Endpoint::Embeddings => {
                let asked = Asked { priority: priority::of(&head.headers)?, ..asked };
                let (body, stay) = self.taken(&asked, settings, head, body).await?;
                embeddings::answer(&self.shared, settings, asked, body, stay).await
            }
            Endpoint::Admin(endpoint) => {
                admin::answer(&self.shared, settings, endpoint, taken, asked, head, body).await
            }
        }
    }

    async fn chat(
        &self,
        language: Language,
        asked: Asked,
        settings: &Arc<Settings>,
        head: &request::Parts,
        body: RequestBody,
    ) -> Result<Response<ResponseBody>, ApiError> {
        let asked = Asked { priority: priority::of(&head.headers)?, ..asked };
        let (body, stay) = self.taken(&asked, settings, head, body).await?;
        chat::answer(&self.shared, settings, language, asked, body, stay).await
    }

    /// The body of a request that a model is asked for, and what it has of the box for as long as it stays.
    async fn taken(
        &self,
        asked: &Asked,
        settings: &Settings,
        head: &request::Parts,
        body: RequestBody,
    ) -> Result<(Bytes, Stay), ApiError> {
        let (body, stay) = content::chat(&head.headers, body, &settings.limits, &self.shared.room).await?;
        asked.record.read(body.len());
        Ok((body, stay))
    }

    /// What is amiss, the worst first.
    pub(crate) fn causes(&self) -> Vec<Cause> {
        self::admin::causes(&self.shared, &self.shared.registry.snapshot())
    }

    /// The box, by its name.
    pub(crate) fn host(&self) -> String {
        self.shared.desk.standing.host()
    }

    /// Whether it can serve, in a line; whoever may see how the box stands is told what is amiss as well, a line each.
    fn ready(&self, caller: &Caller) -> Response<ResponseBody> {
        let snapshot = self.shared.registry.snapshot();
        let (status, word) = match (self.shared.drain.has_begun(), snapshot.ready()) {
            (true, _) => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
            (false, true) => (StatusCode::OK, "a model can answer"),
            (false, false) => (StatusCode::SERVICE_UNAVAILABLE, "no model can answer"),
        };
        let mut text = format!("{word}\n");
        if caller.permissions.has(Permission::Status) {
            let amiss = self::admin::causes(&self.shared, &snapshot);
            text.extend(amiss.iter().map(|cause| {
                let line = format!("{}: {}: {}", cause.code, cause.what, cause.next);
                format!("{}\n", OneLine(&line))
            }));
        }
        respond::text(status, text)
    }

    /// Whether one of the admin's own checks passes, in a line; why, for whoever may see how the box stands. To everybody else a name
    /// that there is not looks like a check that fails: nobody learns the names by trying, but that of one that passes.
    fn ready_check(
        &self,
        caller: &Caller,
        settings: &Settings,
        name: &str,
    ) -> Result<Response<ResponseBody>, ApiError> {
        let may_know = caller.permissions.has(Permission::Status);
        let check = settings.health.iter().find(|check| check.name.as_str() == name);
        let (status, word, line) = match check.map(|check| self.shared.desk.health.of(check)) {
            None if may_know => return Err(no_such_check(&settings.health)),
            None => (StatusCode::SERVICE_UNAVAILABLE, "it fails", String::new()),
            Some(Ok(what)) => (StatusCode::OK, "it passes", what),
            Some(Err(Amiss { what, next })) => {
                (StatusCode::SERVICE_UNAVAILABLE, "it fails", format!("{what}: {next}"))
            }
        };
        let line = if may_know { format!("{}\n", OneLine(&line)) } else { String::new() };
        Ok(respond::text(status, format!("{word}\n{line}")))
    }

    fn model(&self, caller: &Caller, name: &str) -> Result<Response<ResponseBody>, ApiError> {
        let snapshot = self.shared.registry.snapshot();
        let mine = |routed: &Routed| models::may_ask(caller, &snapshot, name, routed);
        if snapshot.route(name).filter(mine).is_none() {
            return Err(models::refused(caller, &snapshot, name));
        }
        let known = snapshot.model(name).ok_or_else(|| models::refused(caller, &snapshot, name))?;
        let listed = known.map_err(|fault| ApiError::from(fault.clone()))?;
        // The answer repeats the id as it was asked, which is what a client looks for.
        let alias = snapshot.target(name).is_some();
        let shown = shown(caller, &snapshot, Listed { id: name, alias, ..listed });
        let shown = shown.ok_or_else(|| models::refused(caller, &snapshot, name))?;
        Ok(respond::json(model_body(&shown)))
    }
}

/// What this caller is shown of a model under this name; none where they may not use it.
fn shown<'a>(caller: &Caller, snapshot: &Snapshot, listed: Listed<'a>) -> Option<ShownModel<'a>> {
    let Listed { id, known, model, context_length, alias, .. } = listed;
    let backend = known.backend();
    // Whoever may use the name alone does not learn what else there is.
    let may = models::may(caller, snapshot, backend.name(), &model.id);
    (may || alias && models::may_name(caller, snapshot, id)).then(|| ShownModel {
        id,
        model,
        backend_kind: backend.kind().name(),
        context_length,
        alias_of: (alias && may).then_some(model.id.as_str()),
    })
}

/// For tests: a request or a stream whose client has called it so may hang or panic.
#[cfg(feature = "freeze")]
fn frozen(what: &str, trace: &crate::trace::Trace) {
    if ghostllm_edge::freeze::is_possible()
        && let Some(id) = trace.given()
    {
        ghostllm_edge::freeze::here(&format!("{what} {id}"));
    }
}

fn no_such_check(checks: &[HealthCheck]) -> ApiError {
    let names: Vec<_> = checks.iter().map(|check| check.name.as_str()).collect();
    let those = if names.is_empty() {
        "The configuration has no [[health]].".to_owned()
    } else {
        format!("Those that there are: {}.", names.join(", "))
    };
    ApiError::new(Code::NotFound, format!("No health check has this name. {those}"))
}

fn authority(
    settings: &Settings,
    answer: impl FnOnce(&(Bytes, Bytes)) -> Response<ResponseBody>,
) -> Result<Response<ResponseBody>, ApiError> {
    settings.authority.as_ref().map(answer).ok_or_else(|| {
        ApiError::new(
            Code::RouteNotFound,
            "This box shows its owner's own certificate, so it has no CA of its own to give out.",
        )
    })
}

/// The edge's own limits, in words.
fn beyond(status: StatusCode, limits: &Limits) -> ApiError {
    if status == StatusCode::URI_TOO_LONG {
        let most = limits.uri_bytes.bytes();
        return ApiError::new(Code::UriTooLong, format!("The path and query are longer than {most} bytes."));
    }
    let (count, most) = (limits.header_count, limits.header_bytes.bytes());
    ApiError::new(
        Code::HeaderTooLarge,
        format!("There are more than {count} header fields, or they hold more than {most} bytes."),
    )
}

fn refused(refusal: &guard::Refusal) -> ApiError {
    let message = refusal.message.clone();
    match refusal.reason {
        Reason::Target | Reason::Fields | Reason::Authority => ApiError::invalid_request(message),
        Reason::Misdirected => ApiError::misdirected(message),
        Reason::Origin | Reason::Site | Reason::Source => ApiError::forbidden(message),
        Reason::MediaType => ApiError::unsupported_media_type(message),
    }
}
