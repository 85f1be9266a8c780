//! The daemon's plain address, `http://host:port`.
//!
//! Knows this one form. Refuses https, since this program holds no CA: the plain listener is on this computer.
//! Invariant: the host goes into a request line safely, without white space or control characters.

use std::{fmt, str::FromStr};

/// The port where none is given: the daemon's own default for its plain listener.
const PORT: u16 = 11430;

/// Where the daemon's plain listener is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Url {
    /// The host as in a URL: an IPv6 address is in brackets.
    pub(crate) host: String,
    /// The port.
    pub(crate) port: u16,
}

/// Why a text is not such an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UrlError {
    #[error(
        "ghostctl asks the plain listener only; write http:// and its port, as in http://127.0.0.1:11430"
    )]
    Https,
    #[error("not an address; write it as in http://127.0.0.1:11430")]
    NotOne,
    #[error("the port is a number from 1 to 65535; write it as in http://127.0.0.1:11430")]
    Port,
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        if text.starts_with("https://") {
            return Err(UrlError::Https);
        }
        let rest = text.strip_prefix("http://").unwrap_or(text);
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match rest.rsplit_once(':') {
            // The last colon of a bracketed address may be inside the brackets.
            Some((host, port)) if !port.ends_with(']') => (host, parse_port(port)?),
            _ => (rest, PORT),
        };
        if is_host(host) { Ok(Self { host: host.to_owned(), port }) } else { Err(UrlError::NotOne) }
    }
}

fn parse_port(text: &str) -> Result<u16, UrlError> {
    text.parse().ok().filter(|port| *port != 0).ok_or(UrlError::Port)
}

fn is_host(host: &str) -> bool {
    match host.strip_prefix('[').map(|inner| inner.strip_suffix(']')) {
        Some(Some(address)) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        Some(None) => false,
        None => {
            !host.is_empty()
                && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'))
        }
    }
}

impl Url {
    /// For the system's resolver: an IPv6 address without its brackets.
    pub(crate) fn bare_host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::{Url, UrlError};

    #[test]
    fn reads_addresses() {
        for (text, shown) in [
            ("http://127.0.0.1:11430", "http://127.0.0.1:11430"),
            ("http://localhost:80/", "http://localhost:80"),
            ("box.lan", "http://box.lan:11430"),
            ("[::1]:9", "http://[::1]:9"),
            ("http://[::1]", "http://[::1]:11430"),
        ] {
            assert_eq!(text.parse::<Url>().unwrap().to_string(), shown);
        }
        assert_eq!("[::1]:9".parse::<Url>().unwrap().bare_host(), "::1");
    }

    #[test]
    fn refuses_the_rest() {
        for (text, error) in [
            ("https://box:11443", UrlError::Https),
            ("", UrlError::NotOne),
            ("http://:80", UrlError::NotOne),
            ("http://a b:80", UrlError::NotOne),
            ("http://box/path:1", UrlError::NotOne),
            ("http://user@box", UrlError::NotOne),
            ("http://a\r\nHost:1", UrlError::NotOne),
            ("::1", UrlError::NotOne),
            ("[::1", UrlError::NotOne),
            ("[box]:1", UrlError::NotOne),
            ("http://box:", UrlError::Port),
            ("http://box:0", UrlError::Port),
            ("http://box:65536", UrlError::Port),
        ] {
            assert_eq!(text.parse::<Url>(), Err(error), "{text:?}");
        }
    }
}
