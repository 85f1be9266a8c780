//! `host[:port]`, read strictly.
//!
//! Knows RFC 3986 section 3.2 and what servers and browsers make of hosts that stray from it. Refuses to know
//! whose host it is. Invariant: two spellings that any client resolves alike are equal here, and a spelling
//! that two programs might read differently is not read at all.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// Longest host name and longest label (RFC 1035 section 2.3.4).
const NAME_MAX: usize = 253;
const LABEL_MAX: usize = 63;

/// A host, in the one form that it is compared in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Host {
    /// Lower case, without the root's dot.
    Name(String),
    /// IPv4-mapped addresses already turned into IPv4.
    Ip(IpAddr),
}

impl Host {
    /// `localhost`, a name below it (RFC 6761 section 6.3), or a loopback address.
    pub(super) fn is_loopback(&self) -> bool {
        match self {
            Self::Name(name) => name == "localhost" || name.ends_with(".localhost"),
            Self::Ip(ip) => ip.is_loopback(),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Ip(ip) => ip.fmt(f),
        }
    }
}

/// A host and, where one was given, its port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Authority {
    pub(super) host: Host,
    pub(super) port: Option<u16>,
}

impl Authority {
    /// Reads `host`, `host:port`, `[v6]` or `[v6]:port`. Users, zones, escapes, empty ports and everything that
    /// is not ASCII are refused.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let end_of_host = match bytes.first() {
            Some(b'[') => bytes.iter().position(|byte| *byte == b']')? + 1,
            _ => bytes.iter().position(|byte| *byte == b':').unwrap_or(bytes.len()),
        };
        let (bare, rest) = bytes.split_at_checked(end_of_host)?;
        let host = match bare.strip_prefix(b"[").and_then(|inner| inner.strip_suffix(b"]")) {
            Some(inner) => Host::Ip(text(inner)?.parse::<Ipv6Addr>().ok().map(IpAddr::V6)?.to_canonical()),
            None => host(bare)?,
        };
        let port = match rest {
            [] => None,
            [b':', digits @ ..] => Some(port(digits)?),
            _ => return None,
        };
        Some(Self { host, port })
    }
}

/// Reads a name or an IPv4 address. Underscores are taken, since containers and Windows boxes bear them.
pub(super) fn host(bytes: &[u8]) -> Option<Host> {
    let given = text(bytes)?;
    if let Ok(ip) = given.parse::<Ipv4Addr>() {
        return Some(Host::Ip(IpAddr::V4(ip)));
    }
    let name = given.strip_suffix('.').unwrap_or(given);
    let last = name.rsplit('.').next()?;
    if name.len() > NAME_MAX || is_number(last) || !name.split('.').all(is_label) {
        return None;
    }
    Some(Host::Name(name.to_ascii_lowercase()))
}

fn is_label(label: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=LABEL_MAX).contains(&label.len())
        && label.bytes().all(fits)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// A host whose last label is a number is an IPv4 address to browsers and resolvers, in any of a dozen
/// spellings (127.1, 0x7f.1, 2130706433). Only the plain one is taken.
fn is_number(label: &str) -> bool {
    let hex = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
    match hex {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => label.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

/// One to five digits, 1 to 65535, without leading zeros.
fn port(digits: &[u8]) -> Option<u16> {
    let plain = digits.iter().all(u8::is_ascii_digit) && digits.first() != Some(&b'0');
    // `parse` by itself would take a leading plus sign.
    if plain { text(digits)?.parse().ok() } else { None }
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok().filter(|text| text.is_ascii())
}
