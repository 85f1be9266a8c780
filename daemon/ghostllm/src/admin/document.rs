//! A text that is served as it is: a page, or the description of the API.
//!
//! Knows its headers and its tag. Refuses to know what it says. Invariant: nothing in a page loads or runs but the one style that
//! stands in it.

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Response, StatusCode,
    header::{
        CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
        REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    },
};

/// The policy of a text that is no page.
const NOTHING: &str = "default-src 'none'; frame-ancestors 'none'";

/// The description of the API, as `packaging/docs` has it: what is generated there is what is served, on every box the same.
#[derive(Debug)]
pub(crate) struct Documents {
    /// For programs.
    pub(crate) openapi: Document,
    /// For people.
    pub(crate) docs: Document,
}

impl Default for Documents {
    fn default() -> Self {
        let openapi = include_bytes!("../../../../packaging/docs/openapi.json");
        let docs = include_bytes!("../../../../packaging/docs/api.html");
        Self {
            openapi: Document::json(Bytes::from_static(openapi)),
            docs: Document::page(Bytes::from_static(docs)),
        }
    }
}

/// A text with its headers.
#[derive(Debug, Clone)]
pub struct Document {
    body: Bytes,
    kind: HeaderValue,
    etag: HeaderValue,
    policy: HeaderValue,
}

impl Document {
    /// A page, of which its one style is all that may be used.
    #[must_use]
    pub fn page(body: Bytes) -> Self {
        let policy = value(&policy(&String::from_utf8_lossy(&body)));
        Self::new(body, HeaderValue::from_static("text/html; charset=utf-8"), policy)
    }

    /// JSON.
    #[must_use]
    pub fn json(body: Bytes) -> Self {
        Self::new(body, HeaderValue::from_static("application/json"), HeaderValue::from_static(NOTHING))
    }

    fn new(body: Bytes, kind: HeaderValue, policy: HeaderValue) -> Self {
        let etag = format!("\"{}\"", hex(digest(&SHA256, &body).as_ref().get(..12).unwrap_or_default()));
        Self { etag: value(&etag), body, kind, policy }
    }

    /// The text.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The answer to a GET or HEAD: 200, or 304 for a client that already has this very text.
    #[must_use]
    pub fn answer(&self, method: &Method, request: &HeaderMap) -> Response<Bytes> {
        let mut response = Response::new(Bytes::new());
        let headers = response.headers_mut();
        headers.insert(ETAG, self.etag.clone());
        // A page tells how things stand, and a newer program says more: it is asked for again each time, which the tag makes cheap.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(CONTENT_SECURITY_POLICY, self.policy.clone());
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
        headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
        if self.is_had_by(request) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return response;
        }
        headers.insert(CONTENT_TYPE, self.kind.clone());
        headers.insert(CONTENT_LENGTH, HeaderValue::from(self.body.len()));
        if method != Method::HEAD {
            *response.body_mut() = self.body.clone();
        }
        response
    }

    /// Weak comparison, as RFC 9110 section 13.1.2 has it for `If-None-Match`.
    fn is_had_by(&self, request: &HeaderMap) -> bool {
        let tags = request.get_all(IF_NONE_MATCH).iter().filter_map(|tags| tags.to_str().ok());
        tags.flat_map(|tags| tags.split(','))
            .map(str::trim)
            .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag).as_bytes() == self.etag.as_bytes())
    }
}

/// Nothing may load or run but the one style in the page, which its hash names.
fn policy(source: &str) -> String {
    let style = source.split_once("<style>").and_then(|(_, rest)| rest.split_once("</style>"));
    let style = style.map(|(style, _)| style).unwrap_or_default();
    let hash = base64(digest(&SHA256, style.as_bytes()).as_ref());
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
    )
}

/// RFC 4648 section 4, with padding.
pub(super) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let quad = |chunk: &[u8]| {
        let bits = (0..3).fold(0_usize, |bits, at| bits << 8 | chunk.get(at).copied().map_or(0, usize::from));
        (0..4_usize)
            .map(|at| match DIGITS.get(bits >> (18 - 6 * at) & 63) {
                Some(digit) if at <= chunk.len() => char::from(*digit),
                _ => '=',
            })
            .collect::<String>()
    };
    bytes.chunks(3).map(quad).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Our own text of visible ASCII always is a header's value; were it not, an empty policy would still load nothing
/// harmful, since the page has nothing to load.
fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_rfc_4648s() {
        let pairs = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")];
        for (text, encoded) in pairs {
            assert_eq!(base64(text.as_bytes()), encoded);
        }
        assert_eq!(base64(&[0xfb, 0xff, 0xfe]), "+//+");
    }

    #[test]
    fn the_description_is_served_with_a_tag_and_may_load_nothing_but_its_style() {
        let Documents { openapi, docs } = Documents::default();
        let page = std::str::from_utf8(docs.body()).unwrap();
        let style = page.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
        let hash = base64(digest(&SHA256, style.as_bytes()).as_ref());
        for (document, kind) in [(&openapi, "application/json"), (&docs, "text/html; charset=utf-8")] {
            let whole = document.answer(&Method::GET, &HeaderMap::new());
            assert_eq!(
                (whole.headers()[CONTENT_TYPE].to_str().unwrap(), whole.body()),
                (kind, document.body())
            );
            let head = document.answer(&Method::HEAD, &HeaderMap::new());
            assert_eq!(head.headers(), whole.headers());
            assert!(head.body().is_empty());
            let had = HeaderMap::from_iter([(IF_NONE_MATCH, whole.headers()[ETAG].clone())]);
            let again = document.answer(&Method::GET, &had);
            assert_eq!((again.status(), again.body().len()), (StatusCode::NOT_MODIFIED, 0));
            let policy = whole.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
            assert!(policy.starts_with("default-src 'none';") && !policy.contains("unsafe"), "{policy}");
            assert_eq!(
                policy.contains(&format!("style-src 'sha256-{hash}';")),
                kind.starts_with("text/html")
            );
        }
        assert_ne!(openapi.etag, docs.etag);
    }
}
