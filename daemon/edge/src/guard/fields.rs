//! Header fields: which must not be there, which mark a proxy, which never travel on.
//!
//! Knows RFC 9110 section 7.6 and how messages are smuggled. Refuses to know values that only a route
//! understands. Invariant: behind this, a request's length, its type and its key have one reading.
//!
//! On HTTP/1.1 hyper has the first word: of Content-Length beside Transfer-Encoding it keeps the latter and
//! closes the connection afterwards (RFC 9112 section 6.3), and equal lengths it joins.

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Version,
    header::{
        AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, FORWARDED, PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, VIA,
    },
    request::Parts,
};

use super::{NotSingle, Reason, Refusal, single};

/// Fields that each connection has for itself (RFC 9110 section 7.6.1).
const HOP_BY_HOP: [HeaderName; 10] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("http2-settings"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Fields by which proxies, tunnels and content networks pass on whom they speak for, besides `X-Forwarded-*`.
const FORWARDING: [HeaderName; 7] = [
    FORWARDED,
    VIA,
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("x-client-ip"),
    HeaderName::from_static("x-cluster-client-ip"),
    HeaderName::from_static("true-client-ip"),
    HeaderName::from_static("cf-connecting-ip"),
];

/// Fields that must be there once at the most: two would be read as the first here and the last there.
const ONCE: [HeaderName; 5] = [
    CONTENT_LENGTH,
    AUTHORIZATION,
    CONTENT_TYPE,
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("api-key"),
];

/// Checks what must hold of the fields alone.
pub(super) fn check(head: &Parts) -> Result<(), Refusal> {
    let refuse = |message: &'static str| Err(Refusal::new(Reason::Fields, message));
    let headers = &head.headers;
    // CGI and its heirs read X_Key and X-Key as one variable, so one of them would go past whoever checks.
    if headers.keys().any(|name| name.as_str().contains('_')) {
        return refuse("A header field's name has an underscore; write it with hyphens.");
    }
    if ONCE.iter().any(|name| headers.get_all(name).iter().nth(1).is_some()) {
        return refuse(
            "Content-Length, Content-Type, Authorization, X-API-Key or API-Key is there more than once; send one.",
        );
    }
    if headers.contains_key(CONTENT_LENGTH) && headers.contains_key(TRANSFER_ENCODING) {
        return refuse("The request has both Content-Length and Transfer-Encoding; send one of them.");
    }
    match head.version {
        Version::HTTP_2 | Version::HTTP_3 => {
            if headers.contains_key(TRANSFER_ENCODING) || headers.contains_key(CONNECTION) {
                return refuse("Transfer-Encoding and Connection do not exist in HTTP/2 and HTTP/3.");
            }
            let only = |value: &str| value.trim().eq_ignore_ascii_case("trailers");
            if headers.get_all(TE).iter().any(|value| !value.to_str().is_ok_and(only)) {
                return refuse("TE may only say \"trailers\" in HTTP/2 and HTTP/3.");
            }
        }
        _ => match single(headers, TRANSFER_ENCODING.as_str()) {
            Ok(None) => {}
            Ok(Some(coding)) if coding.trim().eq_ignore_ascii_case("chunked") => {}
            Ok(Some(_)) | Err(NotSingle) => {
                return refuse("The only Transfer-Encoding that is taken is \"chunked\".");
            }
        },
    }
    Ok(())
}

/// A page may send some media types without asking first; JSON is not among them, so a request that bears an
/// Origin must be JSON to be sure that the browser has asked (F-33).
pub(super) fn check_media_type(head: &Parts) -> Result<(), Refusal> {
    if !has_body(head) {
        return Ok(());
    }
    let essence = match single(&head.headers, CONTENT_TYPE.as_str()) {
        Ok(Some(value)) => value.split(';').next().unwrap_or_default().trim(),
        Ok(None) | Err(NotSingle) => "",
    };
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(Refusal::new(
        Reason::MediaType,
        "A request from a web page must have its body in JSON: set Content-Type to application/json.",
    ))
}

/// Whether a body follows. HTTP/2 and 3 need not say so; without a length, the methods whose meaning is their
/// body count as having one.
fn has_body(head: &Parts) -> bool {
    let headers = &head.headers;
    match headers.get(CONTENT_LENGTH) {
        Some(length) => length.as_bytes() != b"0",
        None if matches!(head.version, Version::HTTP_2 | Version::HTTP_3) => {
            [Method::POST, Method::PUT, Method::PATCH].contains(&head.method)
        }
        None => headers.contains_key(TRANSFER_ENCODING),
    }
}

/// Whether a proxy or a tunnel has passed the request on. Look before [`strip`].
pub fn is_forwarded(headers: &HeaderMap) -> bool {
    headers.keys().any(marks_a_proxy)
}

fn marks_a_proxy(name: &HeaderName) -> bool {
    FORWARDING.contains(name) || name.as_str().starts_with("x-forwarded-")
}

/// Removes what belongs to the client's connection, what claims to come from a proxy, and what only this program
/// itself may say (`X-Ghost-*`); also every field that Connection names.
pub fn strip(headers: &mut HeaderMap) {
    let lists = headers.get_all(CONNECTION).iter().map(HeaderValue::as_bytes);
    let named = lists.flat_map(|list| list.split(|byte| *byte == b','));
    let mut gone: Vec<HeaderName> =
        named.filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok()).collect();
    gone.extend(HOP_BY_HOP);
    let ours = |name: &HeaderName| marks_a_proxy(name) || name.as_str().starts_with("x-ghost-");
    gone.extend(headers.keys().filter(|name| ours(name)).cloned());
    for name in gone {
        headers.remove(name);
    }
}
