//! What a browser is told so that an allowed page may go on.
//!
//! Knows the CORS protocol (the Fetch standard, section 3.2). Refuses to decide who is allowed. Invariant: never
//! `*`, never credentials: a page has to bring its key itself.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, VARY,
    },
};

const REQUEST_PRIVATE_NETWORK: &str = "access-control-request-private-network";
const ALLOW_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-allow-private-network");

/// Every method that a route for pages has.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST");

/// Seconds that a browser may remember an answer: short, so that a changed setting is soon felt.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

const PREFLIGHT_VARY: HeaderValue = HeaderValue::from_static(
    "Origin, Access-Control-Request-Method, Access-Control-Request-Headers, \
     Access-Control-Request-Private-Network",
);

/// What client libraries in a browser need to see of a response: when to try again, what to report, and what of the request
/// was ignored, or is no promise.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "retry-after, traceparent, x-ghostllm-ignored, x-ghostllm-unpromised, x-request-id",
);

/// Fields that the usual client libraries send from browsers, whole names and beginnings.
const NAMES: [&str; 12] = [
    "accept",
    "api-key",
    "authorization",
    "content-type",
    "ghostllm-priority",
    "idempotency-key",
    "traceparent",
    "tracestate",
    "user-agent",
    "x-api-key",
    "x-request-id",
    "x-requested-with",
];
const BEGINNINGS: [&str; 3] = ["anthropic-", "openai-", "x-stainless-"];

/// Most names that are answered; the OpenAI library for JavaScript asks for about a dozen.
const ASKED_MAX: usize = 64;

/// Marks a response as meant for the allowed origin that [`super::Passed`] gave.
pub fn allow(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    headers.append(VARY, HeaderValue::from_static("Origin"));
}

/// The fields of the 204 that answers a preflight.
pub(super) fn answer(request: &HeaderMap, origin: HeaderValue) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    headers.insert(VARY, PREFLIGHT_VARY);
    if let Some(names) = granted(request) {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, names);
    }
    if request.get(REQUEST_PRIVATE_NETWORK).is_some_and(|value| value == "true") {
        headers.insert(ALLOW_PRIVATE_NETWORK, HeaderValue::from_static("true"));
    }
    headers
}

/// Those of the asked-for fields that are known, each spelled by us. The others are left out, and the browser
/// names them to its page's author.
fn granted(request: &HeaderMap) -> Option<HeaderValue> {
    let lists =
        request.get_all(ACCESS_CONTROL_REQUEST_HEADERS).iter().filter_map(|value| value.to_str().ok());
    let names = lists.flat_map(|list| list.split(',')).take(ASKED_MAX);
    let known: Vec<String> = names
        .filter_map(|name| name.trim().parse::<HeaderName>().ok())
        .map(|name| name.as_str().to_owned())
        .filter(|name| is_known(name))
        .collect();
    if known.is_empty() { None } else { HeaderValue::from_str(&known.join(", ")).ok() }
}

fn is_known(name: &str) -> bool {
    NAMES.contains(&name) || (BEGINNINGS.iter().any(|start| name.starts_with(start)) && !name.contains('_'))
}
