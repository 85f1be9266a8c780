//! The heads of requests and responses: what HTTP/3 forbids, what a limit refuses, what a length promises.
//!
//! Knows header fields. Refuses to know streams. Invariant: no field that belongs to a connection passes in
//! either direction (RFC 9114 section 4.2), and at most one length is stated.

use std::time::SystemTime;

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode,
    header::{CONNECTION, CONTENT_LENGTH, COOKIE, DATE, TE, TRANSFER_ENCODING, UPGRADE},
    response::Parts,
};
use time::OffsetDateTime;

use crate::Limits;

const PER_CONNECTION: [HeaderName; 5] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Why a request never reaches its handler.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Its form is wrong: the stream is reset with H3_MESSAGE_ERROR (RFC 9114 section 4.1.2).
    Malformed,
    /// It is answered with this status and no body.
    Answer(StatusCode),
}

/// Checks a request's head against the limits and puts it into the form that every HTTP version shares.
/// Returns the length that the request states for its body.
pub(super) fn admit(request: &mut Request<()>, limits: &Limits) -> Result<Option<u64>, Refusal> {
    let headers = request.headers();
    if PER_CONNECTION.iter().any(|name| headers.contains_key(name))
        || headers.get_all(TE).iter().any(|value| value != "trailers")
    {
        return Err(Refusal::Malformed);
    }
    let length = stated_length(headers).map_err(|Unclear| Refusal::Malformed)?;
    if request.uri().path_and_query().is_some_and(|target| target.as_str().len() > limits.uri_bytes) {
        return Err(Refusal::Answer(StatusCode::URI_TOO_LONG));
    }
    if headers.len() > limits.header_count {
        return Err(Refusal::Answer(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
    }
    join_cookies(request.headers_mut());
    Ok(length)
}

/// HTTP/3 may carry cookies in several fields; everything else wants one (RFC 9114 section 4.2.1).
fn join_cookies(headers: &mut HeaderMap) {
    let crumbs: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if crumbs.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..]))
    {
        headers.insert(COOKIE, joined);
    }
}

/// A Content-Length that is no number, or several that differ or repeat.
struct Unclear;

fn stated_length(headers: &HeaderMap) -> Result<Option<u64>, Unclear> {
    let mut values = headers.get_all(CONTENT_LENGTH).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().map_err(|_| Unclear)?;
    // `parse` would take a leading plus sign as well.
    if values.next().is_some() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Unclear);
    }
    text.parse().map(Some).map_err(|_| Unclear)
}

/// What follows a response's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Follows {
    /// Nothing, whatever the body holds.
    Nothing,
    /// Exactly so many bytes, since the head has said so.
    Exactly(u64),
    /// A stream of unknown length.
    Stream,
}

/// Makes a handler's head fit to be sent over HTTP/3. `exact` is the body's length where it is known.
pub(super) fn respond(mut parts: Parts, method: &Method, exact: Option<u64>) -> (Response<()>, Follows) {
    strip(&mut parts.headers);
    if !parts.headers.contains_key(DATE)
        && let Some(now) = date(SystemTime::now())
    {
        parts.headers.insert(DATE, now);
    }
    let follows = length(&mut parts, method, exact);
    (Response::from_parts(parts, ()), follows)
}

fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&PER_CONNECTION) {
        headers.remove(name);
    }
}

fn length(parts: &mut Parts, method: &Method, exact: Option<u64>) -> Follows {
    if parts.status.is_informational() || parts.status == StatusCode::NO_CONTENT {
        parts.headers.remove(CONTENT_LENGTH);
        return Follows::Nothing;
    }
    let stated = stated_length(&parts.headers).unwrap_or_else(|Unclear| {
        parts.headers.remove(CONTENT_LENGTH);
        None
    });
    let bodiless = *method == Method::HEAD || parts.status == StatusCode::NOT_MODIFIED;
    // A HEAD whose handler gave an empty body knows no length: stating 0 would be untrue.
    let known = stated.or(exact.filter(|length| !bodiless || *length > 0));
    if let Some(length) = known {
        parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    match (bodiless, known) {
        (true, _) => Follows::Nothing,
        (false, Some(length)) => Follows::Exactly(length),
        (false, None) => Follows::Stream,
    }
}

/// The date as RFC 9110 section 5.6.7 writes it; an origin with a clock must send one (section 6.6.1), and
/// hyper does so on the other versions.
fn date(now: SystemTime) -> Option<HeaderValue> {
    let now = OffsetDateTime::from(now);
    let (weekday, month) = (now.weekday().to_string(), now.month().to_string());
    let text = format!(
        "{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT",
        weekday.get(..3)?,
        now.day(),
        month.get(..3)?,
        now.year(),
        now.hour(),
        now.minute(),
        now.second()
    );
    HeaderValue::from_str(&text).ok()
}

#[cfg(test)]
mod tests;
