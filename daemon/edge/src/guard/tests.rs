//! The guard's tables: each rule with what it lets pass and what it refuses.

mod authority;
mod fields;
mod origin;
mod wire;

use std::net::{IpAddr, SocketAddr};

use http::{HeaderName, HeaderValue, Method, Request, Uri, Version, request::Parts};

use super::{Guard, Passed, Reason, Refusal, Rules, source_allowed};
use crate::{Connection, Transport};

fn rules() -> Rules {
    let text = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
    Rules {
        names: text(&["box", "box.lan", "box.local", "llm.example.org", "203.0.113.9"]),
        addresses: vec!["192.168.1.5".parse().unwrap(), "fd00::5".parse().unwrap()],
        origins: text(&["https://chat.example.org", "http://ui.lan:3000", "app://obsidian.md"]),
        pages: text(&["/", "/docs", "/ca.crt", "/ca.pem"]),
        slashed: text(&["/v1/models/"]),
        exposure_everywhere: false,
        on_link: vec![("2001:db8:1::5".parse().unwrap(), 64), ("198.51.100.7".parse().unwrap(), 25)],
    }
}

/// A connection from the network to 192.168.1.5, or from a program on this box.
fn over(transport: Transport) -> Connection {
    if transport == Transport::Unix {
        return Connection::unix(Some(1000));
    }
    let address = |text: &str| text.parse::<SocketAddr>().unwrap();
    Connection::new(address("192.168.1.77:50000"), address("192.168.1.5:11443"), transport)
}

fn head(version: Version, method: Method, target: &str, fields: &[(&str, &[u8])]) -> Parts {
    let mut request = Request::new(());
    *request.version_mut() = version;
    *request.method_mut() = method;
    *request.uri_mut() = target.parse::<Uri>().unwrap();
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        request.headers_mut().append(name, HeaderValue::from_bytes(value).unwrap());
    }
    request.into_parts().0
}

/// A GET of HTTP/1.1 for localhost, with more fields.
fn get(target: &str, fields: &[(&str, &str)]) -> Parts {
    send(Method::GET, target, fields)
}

/// A request of HTTP/1.1 for localhost, with more fields.
fn send(method: Method, target: &str, fields: &[(&str, &str)]) -> Parts {
    let mut all: Vec<(&str, &[u8])> = vec![("host", b"localhost:11430")];
    all.extend(fields.iter().map(|(name, value)| (*name, value.as_bytes())));
    head(Version::HTTP_11, method, target, &all)
}

fn judged(head: &Parts, transport: Transport) -> Result<Passed, Refusal> {
    Guard::new(rules()).check(head, &over(transport))
}

/// The reason for the refusal; `None` if it passes.
fn reason(head: &Parts, transport: Transport) -> Option<Reason> {
    let refusal = judged(head, transport).err()?;
    assert_eq!(refusal.status, refusal.reason.status());
    assert!(refusal.message.is_ascii() && refusal.message.len() > 20, "{refusal}");
    Some(refusal.reason)
}

#[test]
fn targets() {
    let passes = [
        "/",
        "/v1/chat/completions",
        "/v1/models/",
        "/v1/models/Qwen/Qwen3",
        "/v1/models/Qwen%2FQwen3:Q4_K_M",
        "/v1/models/hf.co/a/b:Q4",
        "/v1/models/100%25",
        "/v1/models/a%252Fb/c",
        "/v1/models/%252e%252e",
        "/a%20b",
        "/%E2%82%AC",
        "/...",
        "/.well-known/x",
        "/a?x=//../%2f%00",
    ];
    for target in passes {
        assert_eq!(reason(&get(target, &[]), Transport::Plain), None, "{target}");
    }
    let refused = [
        "//",
        "//evil.test/",
        "/a//b",
        "/v1//models",
        "/.",
        "/..",
        "/a/../b",
        "/a/.",
        "/a/..",
        "/%2e%2e/b",
        "/a/.%2E/b",
        "/%2e",
        "/a%2fb",
        "/a%2Fb",
        "/a%5cb",
        "/a%5Cb",
        "/a%00",
        "/a%0d%0a",
        "/a%7f",
        "/%25%32%66",
        "/a%252fb",
        "/a%25",
        "/v1/models%25/a",
        "/v1/models/a%25%2f..",
        "/v1/models/a%25%5c",
        "/a%",
        "/a%2",
        "/a%zz",
        "/a%+1",
        "/%c0%af",
        "/%c0%ae%c0%ae/",
        "/a\"b",
        "/{a}",
        "/a|b",
        "/\u{20ac}",
        "/v1/models/a%2f..%2fb",
        "/v1/models/%2fetc",
        "/v1/models/a%2f%2fb",
        "/v1/models%2f..",
        "/v1/models/%2e%2e",
        "*",
    ];
    for target in refused {
        assert_eq!(reason(&get(target, &[]), Transport::Plain), Some(Reason::Target), "{target}");
    }
}

#[test]
fn forms_of_targets() {
    let host: &[(&str, &[u8])] = &[("host", b"localhost")];
    let cases = [
        (Method::OPTIONS, "*", Transport::Plain, None),
        (Method::POST, "*", Transport::Plain, Some(Reason::Target)),
        (Method::GET, "http://localhost/v1/models", Transport::Plain, None),
        (Method::GET, "HTTP://localhost", Transport::Plain, None),
        (Method::GET, "https://localhost/v1/models", Transport::Plain, Some(Reason::Target)),
        (Method::GET, "https://localhost/v1/models", Transport::Tls, None),
        (Method::GET, "http://localhost/v1/models", Transport::Tls, Some(Reason::Target)),
        (Method::GET, "ftp://localhost/", Transport::Plain, Some(Reason::Target)),
        (Method::GET, "http://localhost/v1/models", Transport::Unix, None),
        (Method::GET, "https://localhost/v1/models", Transport::Unix, Some(Reason::Target)),
        (Method::GET, "localhost", Transport::Plain, Some(Reason::Target)),
        (Method::GET, "localhost:443", Transport::Plain, Some(Reason::Target)),
        (Method::CONNECT, "localhost:443", Transport::Plain, Some(Reason::Target)),
        (Method::CONNECT, "/", Transport::Tls, Some(Reason::Target)),
    ];
    for (method, target, transport, expected) in cases {
        let head = head(Version::HTTP_11, method.clone(), target, host);
        assert_eq!(reason(&head, transport), expected, "{method} {target} {transport:?}");
    }
}

#[test]
fn rules_are_replaced_while_it_stands() {
    let guard = Guard::new(rules());
    let head = head(Version::HTTP_11, Method::GET, "/", &[("host", b"10.1.2.3")]);
    let peer: IpAddr = "2001:db8:2::1".parse().unwrap();
    assert_eq!(guard.check(&head, &over(Transport::Tls)).unwrap_err().reason, Reason::Misdirected);
    assert!(!guard.answers(peer));
    let addresses = vec!["10.1.2.3".parse().unwrap()];
    guard.replace(Rules { addresses, on_link: vec![(peer, 64)], ..rules() });
    assert!(guard.check(&head, &over(Transport::Tls)).is_ok());
    assert!(guard.answers(peer));
}

/// Sources on our links or of our own ranges.
const NEAR: &[&str] = &[
    "127.0.0.1",
    "127.8.8.8",
    "::1",
    "169.254.1.1",
    "fe80::1",
    "febf::1",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.255.255",
    "fc00::1",
    "fdff::1",
    "100.64.0.0",
    "100.127.255.255",
    "::ffff:10.0.0.1",
    "2001:db8:1::ffff",
    "198.51.100.127",
    "::ffff:198.51.100.1",
];

/// Sources that the world can have, beside the borders of ours.
const FAR: &[&str] = &[
    "8.8.8.8",
    "172.15.255.255",
    "172.32.0.0",
    "192.167.255.255",
    "192.169.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "100.192.0.0",
    "169.253.0.1",
    "128.0.0.1",
    "::ffff:8.8.8.8",
    "2001:db8:1:1::1",
    "2001:db8:0:ffff::1",
    "198.51.100.128",
    "fec0::1",
    "fe00::1",
    "fe7f::1",
    "fb00::1",
    "::2",
    "2600::1",
    "0.0.0.0",
    "::",
    "::10.0.0.1",
    "64:ff9b::a00:1",
    "224.0.0.251",
    "255.255.255.255",
    "ff02::1",
];

#[test]
fn sources() {
    let mut rules = rules();
    for source in NEAR {
        assert!(source_allowed(source.parse().unwrap(), &rules), "{source}");
    }
    for source in FAR {
        assert!(!source_allowed(source.parse().unwrap(), &rules), "{source}");
    }
    // Prefixes that would mean everyone, or nothing, mean nobody.
    rules.on_link = ["0.0.0.0", "::", "8.8.8.8", "2600::1"]
        .map(|ip| ip.parse::<IpAddr>().unwrap())
        .into_iter()
        .flat_map(|ip| [(ip, 0), (ip, if ip.is_ipv4() { 33 } else { 129 })])
        .collect();
    for source in FAR {
        assert!(!source_allowed(source.parse().unwrap(), &rules), "{source}");
    }
    rules.on_link = vec![("8.8.8.8".parse().unwrap(), 32), ("2600::1".parse().unwrap(), 128)];
    assert!(source_allowed("8.8.8.8".parse().unwrap(), &rules));
    assert!(!source_allowed("8.8.8.9".parse().unwrap(), &rules));
    assert!(source_allowed("2600::1".parse().unwrap(), &rules));
    assert!(!source_allowed("2600::".parse().unwrap(), &rules));
    rules.exposure_everywhere = true;
    for source in FAR {
        assert!(source_allowed(source.parse().unwrap(), &rules), "{source}");
    }
}

#[test]
fn a_connection_from_before_the_rules_is_answered_no_more() {
    let guard = Guard::new(Rules { exposure_everywhere: true, ..Rules::default() });
    let (head, _) = http::Request::get("/").header("host", "localhost").body(()).unwrap().into_parts();
    let far =
        Connection::new("203.0.113.1:5".parse().unwrap(), "10.0.0.1:1".parse().unwrap(), Transport::Tls);
    assert!(guard.check(&head, &far).is_ok());
    guard.replace(Rules::default());
    let refusal = guard.check(&head, &far).unwrap_err();
    assert_eq!((refusal.reason, refusal.status.as_u16()), (Reason::Source, 403));
    assert!(guard.check(&head, &over(Transport::Tls)).is_ok(), "one that is near");
}

#[test]
fn over_a_unix_socket_the_host_is_loopback_and_no_foreign_page_may() {
    let asks = |host: &str, fields: &[(&str, &str)]| {
        let mut all = vec![("host", host.as_bytes())];
        all.extend(fields.iter().map(|(name, value)| (*name, value.as_bytes())));
        reason(&head(Version::HTTP_11, Method::GET, "/v1/models", &all), Transport::Unix)
    };
    for host in
        ["localhost", "localhost:8080", "admin.localhost", "127.0.0.1", "127.0.0.1:8080", "[::1]:8080"]
    {
        assert_eq!(asks(host, &[]), None, "{host}");
    }
    // Over TLS this box's names and addresses are its own.
    for host in ["box", "box.local", "llm.example.org", "192.168.1.5", "[fd00::5]", "evil.test", "0.0.0.0"] {
        assert_eq!(asks(host, &[]), Some(Reason::Misdirected), "{host}");
    }
    for host in ["", "local host", "localhost:0"] {
        assert_eq!(asks(host, &[]), Some(Reason::Authority), "{host}");
    }
    assert_eq!(asks("localhost:8080", &[("host", "localhost:8080")]), Some(Reason::Authority), "twice");
    let from = |origin| asks("localhost:8080", &[("origin", origin)]);
    assert_eq!(from("http://localhost:8080"), None, "our own page");
    for origin in ["http://localhost:3000", "https://localhost:8080", "https://chat.example.org", "null"] {
        assert_eq!(from(origin), Some(Reason::Origin), "{origin}");
    }
    assert_eq!(asks("localhost", &[("sec-fetch-site", "same-site")]), Some(Reason::Site));
    let message = judged(&head(Version::HTTP_11, Method::GET, "/", &[("host", b"box")]), Transport::Unix);
    assert!(message.unwrap_err().message.contains("Host: localhost"));
}
