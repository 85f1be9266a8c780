//! Whether a web page sent the request, and whether it may.
//!
//! Knows Origin (RFC 6454) and Sec-Fetch-* (the W3C's Fetch Metadata). Refuses to know keys: a browser's page is
//! judged before its key is. Invariant: a page passes only when it is our own or its origin is allowed; a
//! program, which sends neither field, always passes.

use http::{HeaderMap, HeaderValue, Method, header::ORIGIN, request::Parts};

use super::{Judge, NotSingle, Reason, Refusal, authority::Authority, single};
use crate::Transport;

/// Longest scheme and authority that are read: a host name, a port, and a scheme longer than any browser has.
const ORIGIN_MAX: usize = 320;

/// An origin in the form that it is compared in: lower case, the default port left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    scheme: String,
    authority: Authority,
}

impl Origin {
    /// Reads `scheme://host[:port]`; `null`, paths, users and lists are none.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() <= ORIGIN_MAX)?;
        let (scheme, rest) = text.split_once("://")?;
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        if !scheme.starts_with(|first: char| first.is_ascii_alphabetic()) || !scheme.bytes().all(fits) {
            return None;
        }
        Some(Self::new(scheme.to_ascii_lowercase(), Authority::parse(rest.as_bytes())?))
    }

    fn new(scheme: String, mut authority: Authority) -> Self {
        authority.port = authority.port.filter(|port| !is_default(&scheme, *port));
        Self { scheme, authority }
    }

    /// A page that a program on the reader's own machine serves, on any port.
    fn is_local(&self) -> bool {
        matches!(self.scheme.as_str(), "http" | "https") && self.authority.host.is_loopback()
    }
}

fn is_default(scheme: &str, port: u16) -> bool {
    matches!((scheme, port), ("http", 80) | ("https", 443))
}

/// Who sent a request, as far as its fields tell.
#[derive(Debug)]
pub(super) enum Caller {
    /// No page, or a page of our own that did not need to say so.
    Program,
    /// A page that may.
    Page {
        /// As it was sent.
        origin: HeaderValue,
        /// It is not a page of ours.
        foreign: bool,
    },
}

/// Judges by Origin where there is one, else by Sec-Fetch-Site.
pub(super) fn judge(
    head: &Parts,
    own: &Authority,
    transport: Transport,
    judge: &Judge,
) -> Result<Caller, Refusal> {
    let headers = &head.headers;
    let sent = match single(headers, ORIGIN.as_str()) {
        Ok(sent) => sent.map(str::as_bytes),
        // Never what a browser sends, so nothing that is allowed.
        Err(NotSingle) => Some(b"".as_slice()),
    };
    let leads_to_page =
        || is_navigation(head) && judge.rules.pages.iter().any(|page| page == head.uri.path());
    match (sent, headers.get(ORIGIN)) {
        (Some(sent), Some(value)) => match Origin::parse(sent) {
            Some(origin) if origin == own_origin(own, transport) => {
                Ok(Caller::Page { origin: value.clone(), foreign: false })
            }
            Some(origin) if is_allowed(&origin, transport, judge) => {
                Ok(Caller::Page { origin: value.clone(), foreign: true })
            }
            _ if leads_to_page() => Ok(Caller::Program),
            _ => Err(foreign()),
        },
        _ if is_from_elsewhere(headers) && !leads_to_page() => Err(other_site()),
        _ => Ok(Caller::Program),
    }
}

/// Whose page is not ours and may call. Nobody's over a Unix socket, where no key is asked for: what `ssh -L` makes of it is open to
/// every page in the admin's browser.
fn is_allowed(origin: &Origin, transport: Transport, judge: &Judge) -> bool {
    transport != Transport::Unix && (judge.origins.contains(origin) || local_on_plain(origin, transport))
}

/// As Ollama does: a page that is developed on this box may use the plain port, whatever its port.
fn local_on_plain(origin: &Origin, transport: Transport) -> bool {
    transport == Transport::Plain && origin.is_local()
}

fn own_origin(own: &Authority, transport: Transport) -> Origin {
    let scheme = match transport {
        Transport::Plain | Transport::Unix => "http",
        Transport::Tls | Transport::Quic => "https",
    };
    Origin::new(scheme.to_owned(), own.clone())
}

/// `same-site` counts as elsewhere, too: to a browser, another port of this box is the same site, and so is
/// every other box under the same domain. What is unknown or there twice is no browser's word for "my own page".
fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    match single(headers, "sec-fetch-site") {
        Ok(None | Some("same-origin" | "none")) => false,
        Ok(Some(_)) | Err(NotSingle) => true,
    }
}

/// Somebody follows a link, into a whole tab. A page cannot set these fields.
fn is_navigation(head: &Parts) -> bool {
    let says =
        |name: &str, wanted: &str| matches!(single(&head.headers, name), Ok(Some(value)) if value == wanted);
    head.method == Method::GET && says("sec-fetch-mode", "navigate") && says("sec-fetch-dest", "document")
}

fn foreign() -> Refusal {
    Refusal::new(
        Reason::Origin,
        "Web pages of this origin may not call this server. If they should, add the origin to listen.origins in \
         its configuration.",
    )
}

fn other_site() -> Refusal {
    Refusal::new(
        Reason::Site,
        "A web page of another site may not load this. If it should, let it call with CORS and add its origin to \
         listen.origins in this server's configuration.",
    )
}
