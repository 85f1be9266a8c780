//! Hosts and origins: read as a second reader reads them, spelled in one way, judged alike in every spelling.
//!
//! An input is two lines: what stands in Host or `:authority`, and what stands in Origin.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::LazyLock,
};

use http::{HeaderValue, Method, Request, Uri, Version, request::Parts};

use crate::{
    Connection, Transport,
    edge::guard::{Guard, Passed, Reason, Rules},
    host_port::{Authority, Host},
};

const NAMES: [&str; 3] = ["box", "box.lan", "llm.example.org"];
const ADDRESSES: [&str; 3] = ["192.168.1.5", "203.0.113.9", "fd00::5"];
/// Scheme, host and port of the origins that may call.
const ORIGINS: [(&str, &str, Option<u16>); 3] =
    [("https", "chat.example.org", None), ("http", "ui.lan", Some(3000)), ("app", "obsidian.md", None)];

static GUARD: LazyLock<Guard> = LazyLock::new(|| {
    let origin = |(scheme, host, port): &(&str, &str, Option<u16>)| {
        format!("{scheme}://{host}{}", port.map_or_else(String::new, |port| format!(":{port}")))
    };
    Guard::new(Rules {
        names: NAMES.map(str::to_owned).to_vec(),
        addresses: ADDRESSES.iter().map(|text| text.parse().unwrap()).collect(),
        origins: ORIGINS.iter().map(origin).collect(),
        ..Rules::default()
    })
});

/// Holds the edge's reading and its verdict against a second reader's.
pub fn check(bytes: &[u8]) {
    let mut lines = bytes.splitn(2, |byte| *byte == b'\n');
    let (host, origin) = (lines.next().unwrap_or_default(), lines.next());
    check_reading(host);
    check_spellings(host);
    check_verdict(host);
    if let Some(origin) = origin {
        check_origin(host, origin);
    }
}

/// A host as the second reader has it.
#[derive(Debug, Clone, PartialEq)]
enum Read {
    Name(String),
    Ip(IpAddr),
}

fn check_reading(bytes: &[u8]) {
    let read = Authority::parse(bytes);
    let ours = read.as_ref().map(|authority| (plain(&authority.host), authority.port));
    assert_eq!(ours, reference(bytes));
    let Some(authority) = read else { return };
    assert_eq!(authority.host.is_loopback(), is_local(&plain(&authority.host)));
    assert!(bytes.iter().all(|byte| byte.is_ascii_graphic() && !b"@/?#\\%\"<>,;".contains(byte)));
    let theirs = http::uri::Authority::try_from(bytes).expect("the http crate takes it as well");
    assert_eq!(theirs.port_u16(), authority.port);
    let rendered = match (&authority.host, authority.port) {
        (Host::Ip(IpAddr::V6(ip)), Some(port)) => format!("[{ip}]:{port}"),
        (Host::Ip(IpAddr::V6(ip)), None) => format!("[{ip}]"),
        (host, Some(port)) => format!("{host}:{port}"),
        (host, None) => host.to_string(),
    };
    assert_eq!(Authority::parse(rendered.as_bytes()), Some(authority), "read again from {rendered}");
}

/// Case means nothing, and neither does the root's dot behind a name.
fn check_spellings(bytes: &[u8]) {
    let read = Authority::parse(bytes);
    assert_eq!(Authority::parse(&bytes.to_ascii_uppercase()), read);
    assert_eq!(Authority::parse(&bytes.to_ascii_lowercase()), read);
    if let Some(Authority { host: Host::Name(name), port }) = read {
        let port = port.map_or_else(String::new, |port| format!(":{port}"));
        for spelling in [format!("{name}{port}"), format!("{name}.{port}")] {
            let again = Authority::parse(spelling.as_bytes()).expect("with or without the root's dot");
            assert_eq!(again.host, Host::Name(name.clone()), "{spelling}");
        }
        assert_eq!(Authority::parse(format!("{name}..").as_bytes()), None);
    }
}

/// One verdict for a host, in whichever case and HTTP version it comes: this box, another one, or none.
fn check_verdict(bytes: &[u8]) {
    let expected = match reference(bytes) {
        None => Err(Reason::Authority),
        Some((host, _)) if is_own(&host) => Ok(Passed::Request { forwarded: false, cors: None }),
        Some(_) => Err(Reason::Misdirected),
    };
    for spelling in [bytes.to_vec(), bytes.to_ascii_uppercase(), bytes.to_ascii_lowercase()] {
        if let Ok(value) = HeaderValue::from_bytes(&spelling) {
            assert_eq!(verdict(&head(Version::HTTP_11, "/v1/models", &[("host", value)])), expected);
        }
        // What the http crate does not take for a URI never reaches the guard, and is no authority either.
        let built = std::str::from_utf8(&spelling).ok().map(|text| format!("https://{text}/v1/models"));
        if let Some(uri) = built.and_then(|text| text.parse::<Uri>().ok())
            && uri.authority().is_some_and(|authority| authority.as_str().as_bytes() == spelling)
            && uri.path() == "/v1/models"
        {
            assert_eq!(verdict(&head(Version::HTTP_2, &uri.to_string(), &[])), expected);
        }
    }
}

fn check_origin(host: &[u8], origin: &[u8]) {
    let (own, port) = reference(host)
        .filter(|(host, _)| is_own(host))
        .unwrap_or((Read::Name("localhost".to_owned()), None));
    let Ok(value) = HeaderValue::from_bytes(origin) else { return };
    let host = match &own {
        Read::Ip(IpAddr::V6(ip)) => format!("[{ip}]"),
        Read::Ip(ip) => ip.to_string(),
        Read::Name(name) => name.clone(),
    };
    let host = port.map_or_else(|| host.clone(), |port| format!("{host}:{port}"));
    let fields = [("host", HeaderValue::from_str(&host).unwrap()), ("origin", value.clone())];
    let head = head(Version::HTTP_11, "/v1/models", &fields);
    for (transport, scheme) in [(Transport::Plain, "http"), (Transport::Tls, "https")] {
        let allowed = origin_of(origin).and_then(|(sent, host, sent_port)| {
            let ours = (sent.as_str(), &host, sent_port)
                == (scheme, &own, port.filter(|port| !is_default(scheme, *port)));
            let listed = ORIGINS.iter().any(|(scheme, name, port)| {
                sent == *scheme && host == Read::Name((*name).to_owned()) && sent_port == *port
            });
            let local = transport == Transport::Plain
                && is_local(&host)
                && ["http", "https"].contains(&sent.as_str());
            (ours || listed || local).then_some(!ours)
        });
        let expected = match allowed {
            Some(foreign) => Ok(Passed::Request { forwarded: false, cors: foreign.then(|| value.clone()) }),
            None => Err(Reason::Origin),
        };
        let verdict = GUARD.check(&head, &over(transport)).map_err(|refusal| refusal.reason);
        assert_eq!(verdict, expected, "over {transport:?}");
    }
}

fn head(version: Version, target: &str, fields: &[(&'static str, HeaderValue)]) -> Parts {
    let mut request = Request::new(());
    *request.version_mut() = version;
    *request.method_mut() = Method::GET;
    *request.uri_mut() = target.parse().unwrap();
    for (name, value) in fields {
        request.headers_mut().append(*name, value.clone());
    }
    request.into_parts().0
}

fn over(transport: Transport) -> Connection {
    let address = |text: &str| text.parse::<SocketAddr>().unwrap();
    Connection::new(address("192.168.1.77:50000"), address("192.168.1.5:11443"), transport)
}

fn verdict(head: &Parts) -> Result<Passed, Reason> {
    GUARD.check(head, &over(Transport::Tls)).map_err(|refusal| refusal.reason)
}

fn plain(host: &Host) -> Read {
    match host {
        Host::Name(name) => Read::Name(name.clone()),
        Host::Ip(ip) => Read::Ip(*ip),
    }
}

fn is_local(host: &Read) -> bool {
    match host {
        Read::Name(name) => name == "localhost" || name.ends_with(".localhost"),
        Read::Ip(IpAddr::V4(ip)) => ip.octets()[0] == 127,
        Read::Ip(IpAddr::V6(ip)) => *ip == Ipv6Addr::LOCALHOST,
    }
}

fn is_own(host: &Read) -> bool {
    is_local(host)
        || match host {
            Read::Name(name) => NAMES.contains(&name.as_str()),
            Read::Ip(ip) => ADDRESSES.contains(&ip.to_string().as_str()),
        }
}

fn is_default(scheme: &str, port: u16) -> bool {
    [("http", 80), ("https", 443)].contains(&(scheme, port))
}

/// `scheme://host[:port]`, the scheme in lower case and a default port left out.
fn origin_of(bytes: &[u8]) -> Option<(String, Read, Option<u16>)> {
    let at = bytes.windows(3).position(|window| window == b"://").filter(|_| bytes.len() <= 320)?;
    let (scheme, rest) = (&bytes[..at], &bytes[at + 3..]);
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
    if !scheme.first()?.is_ascii_alphabetic() || !scheme.iter().all(fits) {
        return None;
    }
    let scheme = String::from_utf8(scheme.to_ascii_lowercase()).ok()?;
    let (host, port) = reference(rest)?;
    let port = port.filter(|port| !is_default(&scheme, *port));
    Some((scheme, host, port))
}

/// The second reading: from the back, by pieces.
fn reference(bytes: &[u8]) -> Option<(Read, Option<u16>)> {
    let text =
        std::str::from_utf8(bytes).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic()))?;
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port_of(port)?)),
        _ => (text, None),
    };
    let host = if let Some(inner) = host.strip_prefix('[') {
        let ip: Ipv6Addr = inner.strip_suffix(']')?.parse().ok()?;
        Read::Ip(ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4))
    } else if let Some(ip) = v4(host) {
        Read::Ip(IpAddr::V4(ip))
    } else {
        Read::Name(name(host)?)
    };
    Some((host, port))
}

fn port_of(digits: &str) -> Option<u16> {
    let number = digits.bytes().try_fold(0_u32, |sum, byte| {
        let digit = char::from(byte).to_digit(10)?;
        (sum * 10 + digit <= 65_535).then_some(sum * 10 + digit)
    })?;
    // Written in one way only.
    (number > 0 && number.to_string() == digits).then(|| u16::try_from(number).unwrap())
}

fn v4(host: &str) -> Option<Ipv4Addr> {
    let parts: Vec<u8> = host
        .split('.')
        .map(|part| part.parse::<u8>().ok().filter(|number| number.to_string() == part))
        .collect::<Option<_>>()?;
    <[u8; 4]>::try_from(parts).ok().map(Ipv4Addr::from)
}

fn name(host: &str) -> Option<String> {
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let label = |label: &str| {
        let bytes = label.as_bytes();
        let inner =
            |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-' || *byte == b'_';
        (1..64).contains(&bytes.len())
            && bytes.iter().all(inner)
            && bytes[0] != b'-'
            && bytes[bytes.len() - 1] != b'-'
    };
    let last = host.split('.').next_back()?;
    let number = |digits: &str, radix: u32| digits.chars().all(|digit| digit.is_digit(radix));
    let numeric = number(last, 10) || last.strip_prefix("0x").is_some_and(|digits| number(digits, 16));
    (host.len() <= 253 && !numeric && host.split('.').all(label)).then_some(host)
}
