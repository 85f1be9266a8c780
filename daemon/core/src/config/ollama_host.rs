//! `OLLAMA_HOST`, as Ollama's own programs read it.
//!
//! Knows the grammar of that one variable. Refuses to know anything else. Invariant: what Ollama's client would
//! connect to is what comes out; where Ollama only warns (a port that is no port), so do we not refuse.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::values::{BackendUrl, is_url_host};

/// Ollama's default port.
pub(super) const PORT: u16 = 11434;

/// The address that `text` stands for; the default address where it is empty.
///
/// # Errors
/// A scheme other than http and https, or something that cannot be a host.
pub(super) fn parse(text: &str) -> Result<BackendUrl, String> {
    let text = text.trim().trim_matches(['"', '\'']).trim();
    let (tls, default_port, rest) = match text.split_once("://") {
        None => (false, PORT, text),
        Some(("http", rest)) => (false, 80, rest),
        Some(("https", rest)) => (true, 443, rest),
        Some(_) => return Err("only http:// and https:// can stand before the host".to_owned()),
    };
    if rest.contains('@') {
        return Err("no user or password may stand in it".to_owned());
    }
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (host, port) = split_port(authority);
    let port = port.and_then(|port| port.parse().ok()).filter(|port| *port != 0).unwrap_or(default_port);
    let host = reachable(host);
    if !is_url_host(&host) || path.contains(['?', '#']) {
        return Err("this is not a host with an optional port".to_owned());
    }
    Ok(BackendUrl::new(tls, &host, port, path))
}

/// Host and port, as Go's `net.SplitHostPort` parts them, and a bare IPv6 address as a host alone.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    if authority.parse::<Ipv6Addr>().is_ok() {
        return (authority, None);
    }
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    }
}

/// The host as it stands in a URL; an address that means "every interface" to a server is this box to a client.
fn reachable(host: &str) -> String {
    let bare = host.trim_matches(['[', ']']);
    if bare.is_empty() {
        return Ipv4Addr::LOCALHOST.to_string();
    }
    if let Ok(v4) = bare.parse::<Ipv4Addr>() {
        return if v4.is_unspecified() { Ipv4Addr::LOCALHOST } else { v4 }.to_string();
    }
    if let Ok(v6) = bare.parse::<Ipv6Addr>() {
        return format!("[{}]", if v6.is_unspecified() { Ipv6Addr::LOCALHOST } else { v6 });
    }
    host.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_is_ollamas_own() {
        for (text, url) in [
            ("", "http://127.0.0.1:11434"),
            ("0.0.0.0", "http://127.0.0.1:11434"),
            ("0.0.0.0:1234", "http://127.0.0.1:1234"),
            (":1234", "http://127.0.0.1:1234"),
            ("1.2.3.4", "http://1.2.3.4:11434"),
            ("1.2.3.4:56789", "http://1.2.3.4:56789"),
            ("example.com", "http://example.com:11434"),
            ("example.com:56789", "http://example.com:56789"),
            ("http://example.com", "http://example.com:80"),
            ("https://example.com", "https://example.com:443"),
            ("http://example.com:56789/", "http://example.com:56789"),
            ("https://example.com/ollama/", "https://example.com:443/ollama"),
            ("example.com:notaport", "http://example.com:11434"),
            ("example.com:66000", "http://example.com:11434"),
            ("[::1]", "http://[::1]:11434"),
            ("::1", "http://[::1]:11434"),
            ("[::1]:1337", "http://[::1]:1337"),
            ("[::]", "http://[::1]:11434"),
            ("::", "http://[::1]:11434"),
            (" \"1.2.3.4\" ", "http://1.2.3.4:11434"),
        ] {
            assert_eq!(parse(text).map(|url| url.to_string()).as_deref(), Ok(url), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_a_host_is_refused() {
        for text in
            ["ftp://example.com", "user:secret@example.com", "exa mple.com", "http://a?b", "http://a/b?c"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
