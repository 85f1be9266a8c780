//! Who asks, and whether they may.
//!
//! Knows where keys stand in a request, and who needs none. Refuses to know what is asked for beyond its row in the table.
//! Invariants: what a request may do is decided by the row that answers it; a right key is let in whatever others do.

use std::time::Instant;

use ghostllm_core::{
    ApiError,
    access::Permission,
    config::PlainAuth,
    error::Code,
    routes::{Access, Endpoint, Row},
};
use ghostllm_edge::{Connection, Transport, sources};
use http::{HeaderMap, header::AUTHORIZATION};

use super::{Settings, Shared, guesses::Verdict};
use crate::{
    store::keys::{Caller, NotTaken},
    tasks::state::PANICKED,
};

/// What of a request tells who asks.
pub(super) struct Shown<'a> {
    pub(super) headers: &'a HeaderMap,
    pub(super) connection: &'a Connection,
    /// It came through a proxy.
    pub(super) forwarded: bool,
}

impl Shown<'_> {
    /// Whether it says who asks: by a key, or by the admin's socket.
    pub(super) fn names_somebody(&self) -> bool {
        let Shown { headers, connection, forwarded } = *self;
        (connection.transport == Transport::Unix && !forwarded) || shown_key(headers).is_some()
    }
}

/// Who asks: whoever the key belongs to, a program on this box where no key is needed, or whom the admin socket lets in.
pub(super) async fn authenticate(
    shared: &Shared,
    settings: &Settings,
    shown: &Shown<'_>,
) -> Result<Caller, ApiError> {
    let Shown { headers, connection, forwarded } = *shown;
    // The mode of the socket's file has decided. What a proxy hands on may be anybody's.
    if connection.transport == Transport::Unix && !forwarded {
        return Ok(Caller::on_admin_socket(connection.uid));
    }
    let open = is_open(settings, connection);
    let Some(key) = shown_key(headers) else { return without_key(open, forwarded) };
    let caller = key.ok_or(NotTaken::Unknown).and_then(|key| shared.keys.verify(key));
    match caller {
        Ok(caller) => {
            used(shared, &caller).await;
            Ok(caller)
        }
        // A program on the box may send any placeholder: most clients insist on having some key.
        Err(_) if open && !forwarded => Ok(Caller::local()),
        Err(NotTaken::Expired) => {
            Err(ApiError::invalid_api_key("This API key's time is over: ask the box's admin for another."))
        }
        Err(NotTaken::Unknown) => Err(wrong(shared, settings, connection)),
    }
}

/// Whether the caller may use what the row stands for.
pub(super) fn authorize(caller: &Caller, row: &Row, connection: &Connection) -> Result<(), ApiError> {
    let Access::Needs(permission) = row.access else { return Ok(()) };
    // On the plain port a key would go over the wire for all to read, or none would be asked for.
    if matches!(row.endpoint, Endpoint::Admin(_)) && connection.transport == Transport::Plain {
        return Err(ApiError::forbidden(
            "The admin API is not served on the plain port: use ghostctl on the box, or the TLS port with an admin's key.",
        ));
    }
    let on_the_box = connection.transport == Transport::Unix && caller.id.is_none();
    if row.on_the_socket_alone() && !on_the_box {
        return Err(ApiError::forbidden(
            "A backup is given out over the admin's socket alone: run ghostctl backup on the box.",
        ));
    }
    if caller.permissions.has(permission) { Ok(()) } else { Err(lacking(caller, permission)) }
}

fn lacking(caller: &Caller, permission: Permission) -> ApiError {
    let who = if caller.id.is_some() { "This API key" } else { "A program without an API key" };
    ApiError::forbidden(format!(
        "{who} may not do this: it needs the permission {}. The box's admin can make a key that has it: ghostctl keys create.",
        permission.name()
    ))
}

fn without_key(open: bool, forwarded: bool) -> Result<Caller, ApiError> {
    match (open, forwarded) {
        (true, false) => Ok(Caller::local()),
        (true, true) => Err(ApiError::invalid_api_key(
            "This request came through a proxy, and such a request needs an API key even on the plain port: \
             Authorization: Bearer gllm_...",
        )),
        (false, _) => Err(ApiError::invalid_api_key(
            "An API key is needed: send the header Authorization: Bearer gllm_...",
        )),
    }
}

fn wrong(shared: &Shared, settings: &Settings, connection: &Connection) -> ApiError {
    let source = sources::network(connection.peer.ip());
    match shared.guesses.wrong(source, settings.limits.wrong_keys, Instant::now()) {
        Verdict::Wrong => ApiError::invalid_api_key(
            "This API key is not one of this box's: look for a typing error or ask its admin.",
        ),
        Verdict::TooMany { wait, first } => {
            if first {
                tracing::warn!(%source, "wrong API keys come from there again and again; they are told to wait");
            }
            ApiError::new(
                Code::RateLimited,
                format!(
                    "Too many wrong API keys have come from this address: wait {wait} s before the next one. The right one is \
                     let in at any time."
                ),
            )
            .with_retry_after(wait)
        }
    }
}

/// Removes the file with the first key at the key's first use: whoever sees the answer finds the file gone.
async fn used(shared: &Shared, caller: &Caller) {
    let Some(removal) = shared.keys.after_use(caller) else { return };
    let keys = shared.keys.clone();
    match tokio::task::spawn_blocking(move || removal.run(&keys)).await {
        Ok(Ok(())) => tracing::info!("the first key was used, and its file is removed"),
        Ok(Err(error)) => tracing::warn!(%error, "the file with the first key could not be removed"),
        Err(_its_words) => tracing::error!("removing the file with the first key failed: {PANICKED}"),
    }
}

/// Whether programs on this box need no key here.
fn is_open(settings: &Settings, connection: &Connection) -> bool {
    connection.transport == Transport::Plain
        && settings.plain_auth == PlainAuth::None
        && connection.peer.ip().is_loopback()
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
