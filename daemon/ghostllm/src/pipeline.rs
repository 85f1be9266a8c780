//! A request's life, top to bottom.
//!
//! Knows the order: guard, classify, authenticate, read the body, route, answer, account. Refuses to know sockets
//! and how a backend is spoken to. Invariants: nothing of a request is read before its caller is known, except on
//! public pages; every failure that a client sees is an [`ApiError`], rendered in one place; a request that panics
//! is that request's 500 and no more.

mod account;
mod chat;
mod content;
mod ids;
mod respond;
mod route;
mod stream;

use std::{panic::AssertUnwindSafe, sync::Arc, time::Instant};

use bytes::Bytes;
use futures_util::FutureExt;
use ghostllm_core::{
    ApiError,
    config::{Limits, PlainAuth},
    dialect::openai::{model_body, models_body},
    error::Code,
};
use ghostllm_edge::{
    Connection, Handler, RequestBody, ResponseBody, Transport, drain,
    guard::{self, Guard, Passed, Reason},
};
use http::{HeaderMap, Request, Response, StatusCode, header::AUTHORIZATION, request::Parts};
use tokio::sync::watch;

use crate::{
    admin::Page,
    backend::registry::Registry,
    log::{OneLine, millis},
    store::keys::{Caller, Keys, Role},
};
pub(crate) use route::{MODEL_PREFIX, PAGES};

use ids::Ids;
use route::{Classified, Route};

/// What the configuration says of requests. One that has begun ends by what it has begun with.
#[derive(Debug)]
pub struct Settings {
    /// What a request may cost.
    pub limits: Limits,
    /// Whether the plain port asks for keys.
    pub plain_auth: PlainAuth,
    /// The box's CA, where it has its own: PEM and DER.
    pub authority: Option<(Bytes, Bytes)>,
}

/// What all requests share; each part changes only by being replaced whole.
pub struct Shared {
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
        let id = self.ids.next();
        let begun = Instant::now();
        let (head, body) = request.into_parts();
        let target = (head.method.clone(), head.uri.path().to_owned());
        let answered = AssertUnwindSafe(self.answer(id, head, body)).catch_unwind().await;
        let mut response = answered.unwrap_or_else(|_panic| {
            tracing::error!(request = %id, method = %target.0, path = %OneLine(&target.1), "a request's handling has panicked");
            respond::error(&ApiError::internal())
        });
        respond::finish(&mut response, id);
        tracing::debug!(
            request = %id,
            method = %target.0,
            path = %OneLine(&target.1),
            status = response.status().as_u16(),
            headers_ms = millis(begun),
            "answered"
        );
        response
    }

    fn refuse(&self, status: StatusCode) -> Response<ResponseBody> {
        let mut response = respond::error(&beyond(status, &self.shared.settings.borrow().limits));
        respond::finish(&mut response, self.ids.next());
        response
    }
}

impl Pipeline {
    /// The handler over these parts.
    ///
    /// # Errors
    /// When the operating system has no random bytes for the request ids.
    pub fn new(shared: Shared) -> Result<Self, aws_lc_rs::error::Unspecified> {
        Ok(Self { shared: Arc::new(shared), ids: Arc::new(Ids::new()?) })
    }

    async fn answer(&self, id: ids::Id, mut head: Parts, body: RequestBody) -> Response<ResponseBody> {
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
        let outcome = self.serve(id, &head, body, &connection, forwarded).await;
        let mut response = outcome.unwrap_or_else(|error| respond::error(&error));
        if let Some(origin) = cors {
            guard::allow(response.headers_mut(), origin);
        }
        response
    }

    async fn serve(
        &self,
        id: ids::Id,
        head: &Parts,
        body: RequestBody,
        connection: &Connection,
        forwarded: bool,
    ) -> Result<Response<ResponseBody>, ApiError> {
        let Classified { route, public } = route::classify(&head.method, head.uri.path());
        let settings = Arc::clone(&self.shared.settings.borrow());
        let caller = if public {
            Caller::local()
        } else {
            self.authenticate(&settings, &head.headers, connection, forwarded).await?
        };
        match route? {
            Route::Page => {
                let page = Arc::clone(&self.shared.page.borrow());
                let own = guard::asked_host(head).and_then(|host| page.reached_by(&host));
                Ok(own.as_ref().unwrap_or(&page).answer(&head.method, &head.headers).map(respond::body))
            }
            Route::Health => Ok(respond::text(StatusCode::OK, "the edge serves\n")),
            Route::Ready => Ok(self.ready()),
            Route::AuthorityDer => authority(&settings, |(_, der)| respond::authority_der(der)),
            Route::AuthorityPem => authority(&settings, |(pem, _)| respond::authority_pem(pem)),
            Route::Models => Ok(respond::json(models_body(self.shared.registry.snapshot().list()))),
            Route::Model(name) => self.model(&name),
            Route::Chat => {
                let body = content::read(&head.headers, body, &settings.limits).await?;
                chat::answer(&self.shared, &settings, id, caller, body).await
            }
        }
    }

    fn ready(&self) -> Response<ResponseBody> {
        if self.shared.drain.has_begun() {
            return respond::text(StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
        }
        if self.shared.registry.ready() {
            return respond::text(StatusCode::OK, "a model can answer\n");
        }
        respond::text(StatusCode::SERVICE_UNAVAILABLE, "no model can answer\n")
    }

    fn model(&self, name: &str) -> Result<Response<ResponseBody>, ApiError> {
        let snapshot = self.shared.registry.snapshot();
        let known = snapshot.model(name).ok_or_else(|| chat::unrouted(&snapshot, name))?;
        let model = known.map_err(|fault| ApiError::from(fault.clone()))?;
        // The answer repeats the id as it was asked, which is what a client looks for.
        let mut model = model.clone();
        name.clone_into(&mut model.id);
        Ok(respond::json(model_body(&model)))
    }

    /// Who asks: whoever the key belongs to, or a program on this box where no key is needed.
    async fn authenticate(
        &self,
        settings: &Settings,
        headers: &HeaderMap,
        connection: &Connection,
        forwarded: bool,
    ) -> Result<Caller, ApiError> {
        if connection.transport == Transport::Unix && !forwarded {
            // The mode of the socket's file has decided. What a proxy hands on may be anybody's.
            let uid = connection.uid.map_or_else(|| "unknown".to_owned(), |uid| uid.to_string());
            return Ok(Caller { id: None, name: format!("uid {uid}").into(), role: Role::Admin });
        }
        let open = is_open(settings, connection);
        let Some(key) = shown_key(headers) else {
            return match (open, forwarded) {
                (true, false) => Ok(Caller::local()),
                (true, true) => Err(ApiError::invalid_api_key(
                    "This request came through a proxy, and such a request needs an API key even on the plain port: \
                     Authorization: Bearer gllm_...",
                )),
                (false, _) => Err(ApiError::invalid_api_key(
                    "An API key is needed: send the header Authorization: Bearer gllm_...",
                )),
            };
        };
        let caller = key.and_then(|key| self.shared.keys.verify(key));
        if caller.is_none() && open && !forwarded {
            // A program on the box may send any placeholder: most clients insist on having some key.
            return Ok(Caller::local());
        }
        let caller = caller.ok_or_else(|| {
            ApiError::invalid_api_key(
                "This API key is not one of this box's: look for a typing error or ask its admin.",
            )
        })?;
        if let Some(removal) = self.shared.keys.after_use(&caller) {
            // Once in a box's life; whoever sees the answer finds the file gone.
            match tokio::task::spawn_blocking(move || removal.run()).await {
                Ok(Ok(())) => tracing::info!("the first key was used, and its file is removed"),
                Ok(Err(error)) => tracing::warn!(%error, "the file with the first key could not be removed"),
                Err(error) => tracing::error!(%error, "removing the file with the first key has panicked"),
            }
        }
        Ok(caller)
    }
}

/// Whether programs on this box need no key here.
fn is_open(settings: &Settings, connection: &Connection) -> bool {
    connection.transport == Transport::Plain
        && settings.plain_auth == PlainAuth::None
        && connection.peer.ip().is_loopback()
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

/// The key that a request shows, as OpenAI's clients do, Anthropic's (`X-API-Key`) or Azure's (`API-Key`); the first of these fields
/// counts, also where it holds none.
fn shown_key(headers: &HeaderMap) -> Option<Option<&str>> {
    if let Some(value) = headers.get(AUTHORIZATION) {
        return Some(value.to_str().ok().and_then(bearer));
    }
    let value = headers.get("x-api-key").or_else(|| headers.get("api-key"))?;
    Some(value.to_str().ok().map(str::trim))
}

/// The token of `Bearer token`; the scheme's case does not matter (RFC 9110 section 11.1).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start())
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
