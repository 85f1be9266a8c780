//! Which requests are looked at at all: decided from the head alone, on every port and HTTP version.
//!
//! Knows a request's head, its connection's facts and the rules. Refuses to know sockets, keys, routes and the
//! configuration's format; whoever joins the house puts the rules together and writes the refusals out.
//! Invariant: what passes names this box in exactly one well-formed authority, has one reading of its path and
//! its length, and comes from no web page that the rules do not allow.

mod authority;
mod fields;
mod origin;
mod preflight;
mod source;
mod target;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, net::IpAddr};

use http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header::HOST, request::Parts};
use tokio::sync::watch;

use self::{
    authority::{Authority, Host},
    origin::{Caller, Origin},
};
pub use self::{
    fields::{is_forwarded, strip},
    preflight::allow,
    source::source_allowed,
};
use crate::{Connection, Transport};

/// What the guard goes by. [`Rules::default`] answers `localhost` only, and no web page but its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    /// Every name of this box, with those of `listen.names`; an address written as a name counts as one of
    /// `addresses`. `localhost` and everything below it need not stand here. What is no name matches nothing.
    pub names: Vec<String>,
    /// Every address of this box. Loopback need not stand here.
    pub addresses: Vec<IpAddr>,
    /// Origins whose pages may call this box (`listen.origins`), as `scheme://host[:port]`. One that cannot be
    /// read allows nothing.
    pub origins: Vec<String>,
    /// Paths of static pages that say nothing secret and change nothing: a link on any web site may lead to
    /// them. Exact paths, such as `/` and `/ca.crt`.
    pub pages: Vec<String>,
    /// Path prefixes, such as `/v1/models/`, behind which `%2f` and `%25` may stand, since a model's name has slashes, or even a
    /// percent sign, and careful clients escape them. Everywhere else both are refused.
    pub slashed: Vec<String>,
    /// Answer every source (`listen.exposure = "everywhere"`).
    pub exposure_everywhere: bool,
    /// The interfaces' own prefixes, as an address within and the prefix's length in bits.
    pub on_link: Vec<(IpAddr, u8)>,
}

/// The kind of a refusal, for a status, a counter and a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The target has several readings or a form that no origin server takes: 400.
    Target,
    /// A field that decides the message's length or its sender is there twice or contradicts another: 400.
    Fields,
    /// No authority, several, or one that is malformed: 400.
    Authority,
    /// A well-formed authority that is not this box: 421.
    Misdirected,
    /// A web page of an origin that is not allowed: 403.
    Origin,
    /// A web page, says the browser, of another site: 403.
    Site,
    /// A web page sends a body that is not JSON: 415.
    MediaType,
    /// The connection is from before the rules, by which its source is answered no more: 403.
    Source,
}

impl Reason {
    /// The status that belongs to it.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Target | Self::Fields | Self::Authority => StatusCode::BAD_REQUEST,
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::Origin | Self::Site | Self::Source => StatusCode::FORBIDDEN,
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        }
    }
}

/// A request that is not looked at any further; its body is never read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// The status to answer with.
    pub status: StatusCode,
    /// The kind.
    pub reason: Reason,
    /// What is wrong and, where a setting decides, which one; plain ASCII, for the client's eyes.
    pub message: Cow<'static, str>,
}

impl Refusal {
    fn new(reason: Reason, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status: reason.status(), reason, message: message.into() }
    }
}

/// A request that is looked at.
#[derive(Debug, Clone, PartialEq)]
pub enum Passed {
    /// Goes on to its route.
    Request {
        /// It bears the marks of a proxy, so its sender may be anyone: the plain port must ask it for a key.
        forwarded: bool,
        /// The origin of the allowed foreign page that sent it; the response must go through [`allow`].
        cors: Option<HeaderValue>,
    },
    /// A browser asks whether a page may send a request: answer 204 with these fields and no body.
    Preflight {
        /// The response's fields.
        headers: HeaderMap,
    },
}

/// The rules in force. They can be replaced while requests are judged, since addresses come and go.
#[derive(Debug)]
pub struct Guard(watch::Sender<Judge>);

impl Guard {
    /// A guard that goes by `rules`.
    pub fn new(rules: Rules) -> Self {
        Self(watch::Sender::new(Judge::new(rules)))
    }

    /// Goes by `rules` from the next request on.
    pub fn replace(&self, rules: Rules) {
        self.0.send_replace(Judge::new(rules));
    }

    /// Judges a request's head, before its body is read.
    ///
    /// # Errors
    /// The first thing that is wrong: source, fields, target, authority, origin, media type, in this order.
    pub fn check(&self, head: &Parts, connection: &Connection) -> Result<Passed, Refusal> {
        self.0.borrow().check(head, connection)
    }

    /// Whether a peer at this address is answered; for the listeners, before TLS.
    pub fn answers(&self, peer: IpAddr) -> bool {
        source_allowed(peer, &self.0.borrow().rules)
    }
}

/// Rules in the form that they are compared in.
#[derive(Debug)]
struct Judge {
    rules: Rules,
    hosts: Vec<Host>,
    origins: Vec<Origin>,
}

impl Judge {
    fn new(rules: Rules) -> Self {
        let names = rules.names.iter().filter_map(|name| match name.parse::<IpAddr>() {
            Ok(ip) => Some(Host::Ip(ip.to_canonical())),
            Err(_) => authority::host(name.as_bytes()),
        });
        let addresses = rules.addresses.iter().map(|ip| Host::Ip(ip.to_canonical()));
        let hosts = names.chain(addresses).collect();
        let origins = rules.origins.iter().filter_map(|text| Origin::parse(text.as_bytes())).collect();
        Self { hosts, origins, rules }
    }

    fn check(&self, head: &Parts, connection: &Connection) -> Result<Passed, Refusal> {
        if !source_allowed(connection.peer.ip(), &self.rules) {
            return Err(Refusal::new(
                Reason::Source,
                "This server answers no more from where this request comes (listen.exposure in its configuration).",
            ));
        }
        fields::check(head)?;
        target::check(head, connection.transport, &self.rules.slashed)?;
        let authority = one_authority(head)?;
        if !self.is_own(&authority.host, connection) {
            return Err(misdirected(&authority.host, connection.transport));
        }
        match origin::judge(head, &authority, connection.transport, self)? {
            Caller::Program => Ok(passed(head, None)),
            Caller::Page { origin, .. } if head.method == Method::OPTIONS => {
                Ok(Passed::Preflight { headers: preflight::answer(&head.headers, origin) })
            }
            Caller::Page { origin, foreign } => {
                fields::check_media_type(head)?;
                Ok(passed(head, foreign.then_some(origin)))
            }
        }
    }

    /// Loopback literals count as `localhost` does, from whichever peer: a forwarded port (ssh -L, a container's)
    /// brings them in from elsewhere, and no name that rebinds can spell them. The address that this very
    /// connection reached is ours even when the rules have not heard of it yet. The unspecified address never is:
    /// browsers let pages on any site reach 0.0.0.0.
    ///
    /// Over a Unix socket only loopback is ours. No page reaches such a socket by itself, but `ssh -L 8080:/run/…/admin.sock`
    /// gives it a port on the admin's own machine, where the name of a page that rebinds would be taken for anybody's, and
    /// there this box's own name is whatever that machine's network says.
    fn is_own(&self, host: &Host, connection: &Connection) -> bool {
        match host {
            Host::Ip(ip) if ip.is_unspecified() => false,
            _ if connection.transport == Transport::Unix => host.is_loopback(),
            Host::Ip(ip) if *ip == connection.local.ip().to_canonical() => true,
            _ => host.is_loopback() || self.hosts.contains(host),
        }
    }
}

fn passed(head: &Parts, cors: Option<HeaderValue>) -> Passed {
    Passed::Request { forwarded: is_forwarded(&head.headers), cors }
}

/// The one authority of a request. HTTP/1 has it in exactly one Host field, which an absolute target must
/// repeat (RFC 9112 section 3.2); HTTP/2 and 3 in `:authority`, or in Host, or the same in both (RFC 9113
/// section 8.3.1, RFC 9114 section 4.3.1). HTTP/1.0 without a Host is refused like the rest.
fn one_authority(head: &Parts) -> Result<Authority, Refusal> {
    let refuse = |message: &'static str| Err(Refusal::new(Reason::Authority, message));
    let mut hosts = head.headers.get_all(HOST).iter().map(HeaderValue::as_bytes);
    let (field, second) = (hosts.next(), hosts.next());
    if second.is_some() {
        return refuse("The request has several Host fields; send exactly one.");
    }
    let target = head.uri.authority().map(|authority| authority.as_str().as_bytes());
    let pseudo = matches!(head.version, Version::HTTP_2 | Version::HTTP_3);
    let bytes = match (field, target) {
        (None, Some(target)) if pseudo => target,
        (None, _) => return refuse("The request names no host; send exactly one Host field or :authority."),
        (Some(field), Some(target)) if !field.eq_ignore_ascii_case(target) => {
            return refuse(
                "The Host field and the request's target name different hosts; they must be equal.",
            );
        }
        (Some(field), _) => field,
    };
    match Authority::parse(bytes) {
        Some(authority) => Ok(authority),
        None => refuse(
            "The Host field or :authority is malformed; it must be a host name, an IPv4 address or an IPv6 \
             address in brackets, and may have a port, such as localhost:11443.",
        ),
    }
}

/// The host that a request names, as a URL spells it: lower case, without the root's dot, IPv6 in brackets. None where the
/// guard would not take it for a host.
#[must_use]
pub fn asked_host(head: &Parts) -> Option<String> {
    Some(match one_authority(head).ok()?.host {
        Host::Ip(IpAddr::V6(address)) => format!("[{address}]"),
        host => host.to_string(),
    })
}

fn misdirected(host: &Host, transport: Transport) -> Refusal {
    if transport == Transport::Unix {
        let message =
            format!("Over this Unix socket the host is localhost, not \"{host}\": send Host: localhost.");
        return Refusal::new(Reason::Misdirected, message);
    }
    Refusal::new(
        Reason::Misdirected,
        format!(
            "This server does not answer for \"{host}\". If that is a name or an address of this box, add it \
             to listen.names in its configuration."
        ),
    )
}

/// The one value of a field. `Err` if there are several, or one that is not visible ASCII.
fn single<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, NotSingle> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| NotSingle),
        (Some(_), Some(_)) => Err(NotSingle),
    }
}

/// A field that must be there once at the most is there more often, or is not text.
#[derive(Debug)]
struct NotSingle;
