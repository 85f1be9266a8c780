//! Responses: the one place where errors become bytes, and the fields that every response has.

use bytes::Bytes;
use ghostllm_core::{ApiError, dialect::openai::table};
use ghostllm_edge::{ResponseBody, body as edge};
use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version,
    header::{
        ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_DISPOSITION, CONTENT_TYPE, RETRY_AFTER, VARY,
        WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
    },
};

use crate::trace::{REQUEST_ID, TRACE_PARENT, Trace};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream; charset=utf-8");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Bytes as a response's body.
pub(super) fn body(bytes: Bytes) -> ResponseBody {
    edge::full(bytes)
}

fn with_type(status: StatusCode, kind: HeaderValue, bytes: Bytes) -> Response<ResponseBody> {
    let mut response = Response::new(edge::full(bytes));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// A JSON answer.
pub(super) fn json(bytes: Bytes) -> Response<ResponseBody> {
    with_type(StatusCode::OK, JSON, bytes)
}

/// Files in one.
pub(super) fn tar(bytes: Bytes) -> Response<ResponseBody> {
    with_type(StatusCode::OK, HeaderValue::from_static("application/x-tar"), bytes)
}

/// Metrics, in a form of theirs.
pub(super) fn metrics(kind: &'static str, bytes: Bytes) -> Response<ResponseBody> {
    let mut response = with_type(StatusCode::OK, HeaderValue::from_static(kind), bytes);
    response.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
    response
}

/// A line of text.
pub(super) fn text(status: StatusCode, lines: impl Into<Bytes>) -> Response<ResponseBody> {
    with_type(status, TEXT, lines.into())
}

/// The CA for systems that install a file: DER, as Windows, Android and iOS expect of `.crt`.
pub(super) fn authority_der(der: &Bytes) -> Response<ResponseBody> {
    download(der, "application/x-x509-ca-cert", "attachment; filename=\"ghostllm-ca.crt\"")
}

/// The CA for programs.
pub(super) fn authority_pem(pem: &Bytes) -> Response<ResponseBody> {
    download(pem, "application/x-pem-file", "attachment; filename=\"ghostllm-ca.pem\"")
}

fn download(bytes: &Bytes, kind: &'static str, name: &'static str) -> Response<ResponseBody> {
    let mut response = with_type(StatusCode::OK, HeaderValue::from_static(kind), bytes.clone());
    response.headers_mut().insert(CONTENT_DISPOSITION, HeaderValue::from_static(name));
    response
}

/// A stream of events.
pub(super) fn events(body: ResponseBody) -> Response<ResponseBody> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, EVENTS);
    // nginx holds a stream back unless it is told not to (ngx_http_proxy_module, proxy_buffering).
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// The names of fields that changed nothing, as they may stand in a header.
pub(super) fn listed(names: &[impl AsRef<str>]) -> String {
    /// More than an honest client has, and less than a head may hold.
    const MOST: usize = 1024;
    let plain = |c: char| if c.is_ascii_graphic() && c != ',' { c } else { '?' };
    let shown: Vec<String> = names.iter().map(|name| name.as_ref().chars().map(plain).collect()).collect();
    let mut list = shown.join(", ");
    list.truncate(MOST);
    list
}

/// Names in the head of an answer what of its request was asked of an engine that may do otherwise.
pub(super) fn unpromised(response: &mut Response<ResponseBody>, field: Option<&'static str>) {
    if let Some(field) = field {
        response
            .headers_mut()
            .insert(HeaderName::from_static(table::UNPROMISED), HeaderValue::from_static(field));
    }
}

/// Names in the head of an answer what of its request changed nothing: all of these lists, of which some may be empty.
pub(super) fn ignored(response: &mut Response<ResponseBody>, listed: &[&str]) {
    let listed: Vec<&str> = listed.iter().copied().filter(|list| !list.is_empty()).collect();
    if let Some(value) = HeaderValue::from_str(&listed.join(", ")).ok().filter(|value| !value.is_empty()) {
        response.headers_mut().insert(HeaderName::from_static(table::IGNORED), value);
    }
}

/// The answer to a browser's question.
pub(super) fn preflight(headers: HeaderMap) -> Response<ResponseBody> {
    let mut response = Response::new(edge::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    *response.headers_mut() = headers;
    response
}

/// An error of the guard's. What cannot be understood on HTTP/1.1 may be half of something else: nothing more is read from
/// that connection.
pub(super) fn refusal(error: &ApiError, version: Version) -> Response<ResponseBody> {
    let mut response = self::error(error);
    if version <= Version::HTTP_11 && error.status() == StatusCode::BAD_REQUEST {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// An error, before any header has been sent.
pub(super) fn error(error: &ApiError) -> Response<ResponseBody> {
    let mut response = with_type(error.status(), JSON, error.body());
    // For the request's record.
    response.extensions_mut().insert(error.code());
    let headers = response.headers_mut();
    if let Some(seconds) = error.retry_after() {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(allow) = error.allow().and_then(|allow| HeaderValue::from_str(allow).ok()) {
        headers.insert(ALLOW, allow);
    }
    if error.status() == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"ghostllm\""));
    }
    response
}

/// What every response has.
pub(super) fn finish(response: &mut Response<ResponseBody>, trace: &Trace) {
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, trace.shown().clone());
    if let Some(parent) = trace.parent() {
        headers.insert(TRACE_PARENT, parent);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(CACHE_CONTROL).or_insert(NO_STORE);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_nothing_is_named_as_a_field_can_hold_it() {
        let named = |names: &[&str]| {
            let mut response = text(StatusCode::OK, "");
            ignored(&mut response, &[&listed(names), ""]);
            response.headers().get(table::IGNORED).map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(named(&[]), None);
        let mut response = text(StatusCode::OK, "");
        ignored(&mut response, &["store", "", "logprobs, top_logprobs"]);
        assert_eq!(response.headers()[table::IGNORED], "store, logprobs, top_logprobs");
        assert_eq!(named(&["store", "tools[1]:web_search"]).as_deref(), Some("store, tools[1]:web_search"));
        assert_eq!(named(&["a b,c\r\nx: y", "ü"]).as_deref(), Some("a?b?c??x:?y, ?"));
        assert_eq!(named(&["ä".repeat(2000).as_str()]).map(|list| list.len()), Some(1024));
    }
}
