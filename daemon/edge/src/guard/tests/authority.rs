//! Hosts: malformed, foreign, own, in the three forms that the versions hand over.

use http::{Method, Uri, Version, request::Parts};
use proptest::prelude::*;

use super::{
    super::{
        Guard, Reason, Rules, asked_host,
        authority::{Authority, Host},
    },
    head, judged, over, reason, rules,
};
use crate::Transport;

const PORTS: [Transport; 3] = [Transport::Plain, Transport::Tls, Transport::Quic];

/// Every way in which a value can arrive as the authority; forms that a version's library refuses by itself
/// are left out.
fn forms(value: &[u8]) -> Vec<Parts> {
    let mut forms = Vec::new();
    if http::HeaderValue::from_bytes(value).is_err() {
        return forms;
    }
    for version in [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2, Version::HTTP_3] {
        forms.push(head(version, Method::GET, "/v1/models", &[("host", value)]));
    }
    let scheme = |scheme: &str| {
        let parsed = http::uri::Authority::try_from(value).ok()?;
        Uri::builder().scheme(scheme).authority(parsed).path_and_query("/v1/models").build().ok()
    };
    let Some(uri) = scheme("https") else { return forms };
    for (version, fields) in [
        (Version::HTTP_2, vec![]),
        (Version::HTTP_3, vec![]),
        (Version::HTTP_2, vec![("host", value)]),
        (Version::HTTP_3, vec![("host", value)]),
        (Version::HTTP_11, vec![("host", value)]),
    ] {
        let mut form = head(version, Method::GET, "/", &fields);
        form.uri = uri.clone();
        forms.push(form);
    }
    forms
}

#[test]
fn a_host_is_told_as_a_url_spells_it() {
    for (value, spelt) in [
        ("box.local", "box.local"),
        ("BOX.local.:11443", "box.local"),
        ("[fd00::5]:11443", "[fd00::5]"),
        ("[fd00::5]", "[fd00::5]"),
        ("192.168.1.7:11443", "192.168.1.7"),
    ] {
        for form in forms(value.as_bytes()).iter().filter(|form| form.version != Version::HTTP_10) {
            assert_eq!(asked_host(form).as_deref(), Some(spelt), "{value} in {form:?}");
        }
    }
    for value in ["", ":11443"] {
        assert_eq!(
            asked_host(&head(Version::HTTP_11, Method::GET, "/", &[("host", value.as_bytes())])),
            None
        );
    }
}

/// What no client that means well sends.
const MALFORMED: &[&[u8]] = &[
    b"",
    b" ",
    b":",
    b":80",
    b".",
    b"..",
    b"localhost..",
    b".localhost",
    b"a..localhost",
    b"localhost:",
    b"localhost:0",
    b"localhost:080",
    b"localhost:65536",
    b"localhost:99999",
    b"localhost:111111",
    b"localhost:+80",
    b"localhost:-1",
    b"localhost:8o",
    b"localhost:80:80",
    b"localhost: 80",
    b"localhost :80",
    b"localhost:80 ",
    b"localhost:4000/#@x",
    b"localhost/",
    b"localhost/v1",
    b"localhost#",
    b"localhost?x",
    b"localhost\\",
    b"localhost\\@evil.test",
    b"@localhost",
    b"user@localhost",
    b"user:pw@localhost:80",
    b"evil.test@localhost",
    b"localhost@evil.test",
    b"localhost,evil.test",
    b"localhost, localhost",
    b"localhost;x",
    b"localhost evil.test",
    b"localhost\tx",
    b"local%68ost",
    b"localhost%00",
    b"localhost%0d%0aX:y",
    b"http://localhost",
    b"//localhost",
    b"\"localhost\"",
    b"<localhost>",
    b"*",
    b"*.localhost",
    b"-localhost",
    b"localhost-",
    b"a-.localhost",
    b"l\xc3\xb6calhost",
    b"\xff",
    b"localhost\xe2\x80\x8b",
    b"\xef\xbd\x8cocalhost",
    b"127.1",
    b"127.0.1",
    b"0x7f.0.0.1",
    b"0x7f000001",
    b"0X7F.1",
    b"2130706433",
    b"017700000001",
    b"0177.0.0.1",
    b"127.0.0.01",
    b"127.0.0.1.",
    b"127.0.0.256",
    b"127.0.0.1.1",
    b"1.2.3.4.localhost.1",
    b"[",
    b"]",
    b"[]",
    b"[::1",
    b"::1",
    b"::1]:80",
    b"[::1]80",
    b"[::1]:",
    b"[::1]x",
    b"[[::1]]",
    b"[::1]]",
    b"[localhost]",
    b"[127.0.0.1]",
    b"[::1%25lo]",
    b"[::1%lo]",
    b"[fe80::1%25eth0]",
    b"[fe80::1%eth0]:80",
    b"[v1.x]",
    b"[::g]",
    b"[1:2:3:4:5:6:7:8:9]",
    b"[::1]@localhost",
    b"x[::1]",
    b"[::ffff:127.1]",
    b"fd00::5",
    b"$localhost",
    b"localhost!",
    b"(localhost)",
    b"localhost=",
    b"~",
    b"'localhost'",
];

#[test]
fn malformed_authorities_are_refused_in_every_form() {
    assert!(MALFORMED.len() >= 40);
    let long = [vec![b'a'; 64], b".localhost".to_vec()].concat();
    let longer = [b"a.".repeat(123), b"localhost".to_vec()].concat();
    for value in MALFORMED.iter().copied().chain([long.as_slice(), longer.as_slice()]) {
        assert_eq!(Authority::parse(value), None, "{:?}", value.escape_ascii().to_string());
        for form in forms(value) {
            let refused = reason(&form, Transport::Tls);
            assert_eq!(refused, Some(Reason::Authority), "{form:?}");
        }
    }
}

#[test]
fn own_hosts_pass_with_any_port_in_every_form() {
    let own: &[&str] = &[
        "localhost",
        "LocalHost",
        "localhost.",
        "chat.localhost",
        "a.b.localhost.",
        "box",
        "BOX",
        "box.",
        "box.lan",
        "box.local",
        "Box.Local.",
        "llm.example.org",
        "127.0.0.1",
        "127.9.9.9",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        "192.168.1.5",
        "[::ffff:192.168.1.5]",
        "[::FFFF:c0a8:105]",
        "[fd00::5]",
        "[FD00:0:0::5]",
        "203.0.113.9",
    ];
    for host in own {
        for port in ["", ":1", ":80", ":443", ":4000", ":11443", ":65535"] {
            for form in forms(format!("{host}{port}").as_bytes()) {
                assert_eq!(reason(&form, Transport::Tls), None, "{form:?}");
            }
        }
    }
}

#[test]
fn hosts_of_others_are_misdirected() {
    // The first is what a browser sends after its name has been rebound to this box (F-32).
    let others: &[&str] = &[
        "rebind.evil.test:11430",
        "evil.test",
        "localhost.evil.test",
        "evillocalhost",
        "localhost.lan",
        "xbox",
        "box.evil.test",
        "box.local.evil.test",
        "boxx.local",
        "0.0.0.0",
        "[::]",
        "[::ffff:0.0.0.0]",
        "192.168.1.6",
        "8.8.8.8",
        "169.254.169.254",
        "[fd00::6]",
        "[::192.168.1.5]",
        "[::127.0.0.1]",
        "[fe80::1]",
        "[64:ff9b::7f00:1]",
        "my_box",
        "xn--lcalhost-n4a",
        "example.org",
    ];
    for host in others {
        for form in forms(host.as_bytes()) {
            for transport in PORTS {
                if form.uri.scheme().is_some() && transport == Transport::Plain {
                    continue;
                }
                let refusal = judged(&form, transport).unwrap_err();
                assert_eq!((refusal.reason, refusal.status.as_u16()), (Reason::Misdirected, 421), "{form:?}");
                assert!(refusal.message.contains("listen.names"), "{refusal}");
            }
        }
    }
}

#[test]
fn the_address_that_was_reached_is_own_unless_it_is_unspecified() {
    let guard = Guard::new(Rules { names: vec!["0.0.0.0".into()], ..Rules::default() });
    let host = |host: &str| head(Version::HTTP_11, Method::GET, "/", &[("host", host.as_bytes())]);
    let reached = over(Transport::Tls);
    assert!(guard.check(&host("192.168.1.5"), &reached).is_ok());
    assert!(guard.check(&host("[::ffff:192.168.1.5]"), &reached).is_ok());
    assert!(guard.check(&host("192.168.1.77"), &reached).is_err());
    let unspecified = crate::Connection { local: "0.0.0.0:1".parse().unwrap(), ..reached };
    assert!(guard.check(&host("0.0.0.0:1"), &unspecified).is_err());
}

#[test]
fn exactly_one_host_which_equals_the_target() {
    type Fields = &'static [(&'static str, &'static [u8])];
    const ONE: Fields = &[("host", b"localhost")];
    const TWO: Fields = &[("host", b"localhost"), ("host", b"localhost")];
    const OTHER: Fields = &[("host", b"box")];
    const UPPER: Fields = &[("host", b"LOCALHOST")];
    const PORT: Fields = &[("host", b"localhost:443")];
    let (h10, h1, h2, h3) = (Version::HTTP_10, Version::HTTP_11, Version::HTTP_2, Version::HTTP_3);
    let full = "https://localhost/";
    let refused = Some(Reason::Authority);
    let cases: [(Version, &str, Fields, Option<Reason>); 22] = [
        (h10, "/", &[], refused),
        (h1, "/", &[], refused),
        (h2, "/", &[], refused),
        (h3, "/", &[], refused),
        (h1, full, &[], refused),
        (h10, full, &[], refused),
        (h1, "/", ONE, None),
        (h2, "/", ONE, None),
        (h3, "/", ONE, None),
        (h2, full, &[], None),
        (h3, full, &[], None),
        (h1, full, ONE, None),
        (h1, full, UPPER, None),
        (h2, full, UPPER, None),
        (h1, full, OTHER, refused),
        (h2, full, OTHER, refused),
        (h3, full, OTHER, refused),
        (h1, full, PORT, refused),
        (h1, "/", TWO, refused),
        (h2, "/", TWO, refused),
        (h2, full, TWO, refused),
        (h3, full, TWO, refused),
    ];
    for (version, target, fields, expected) in cases {
        let head = head(version, Method::GET, target, fields);
        assert_eq!(reason(&head, Transport::Tls), expected, "{version:?} {target} {fields:?}");
    }
}

/// Whether `value` means this box, written apart from the guard: the spellings that the rules allow, no others.
fn is_ours(value: &str) -> bool {
    let (host, port) = match value.rfind(':').filter(|at| !value[*at..].contains(']')) {
        Some(at) => (&value[..at], Some(&value[at + 1..])),
        None => (value, None),
    };
    let fits = port.is_none_or(|port| (1..=65535).contains(&port.parse::<u32>().unwrap_or(0)));
    let host = host.to_ascii_lowercase();
    let name = host.strip_suffix('.').unwrap_or(&host);
    let rules = rules();
    let address = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(six) => six.parse::<std::net::Ipv6Addr>().ok().map(|ip| std::net::IpAddr::V6(ip).to_canonical()),
        None => host.parse::<std::net::Ipv4Addr>().ok().map(std::net::IpAddr::V4),
    };
    let own = address.is_some_and(|ip| {
        ip.is_loopback() || rules.addresses.contains(&ip) || rules.names.contains(&ip.to_string())
    });
    let named = rules.names.iter().any(|own| own == name && own.parse::<std::net::IpAddr>().is_err());
    fits && (own || named || name == "localhost" || name.ends_with(".localhost"))
}

/// Pieces of hosts, so that random ones come near the rules' edges.
fn near_authority() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "localhost",
            "box",
            "box.lan",
            "lan",
            "llm.example.org",
            "127.0.0.1",
            "192.168.1.5",
            "[::1]",
            "[fd00::5]",
            "evil.test",
            ".",
            ":",
            "80",
            "@",
            "/",
            "#",
            "%",
            "[",
            "]",
            "::ffff:",
            "0x7f",
            " ",
            "-",
        ])
        .prop_map(str::to_owned),
        "[ -~]{0,3}",
    ];
    prop::collection::vec(piece, 0..5).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn nothing_outside_the_list_passes(value in prop_oneof![near_authority(), "\\PC{0,40}"]) {
        for form in forms(value.as_bytes()) {
            if judged(&form, Transport::Tls).is_ok() {
                prop_assert!(is_ours(&value), "{value:?}");
            }
        }
    }

    #[test]
    fn what_is_read_is_one_form(value in near_authority()) {
        if let Some(Authority { host, .. }) = Authority::parse(value.as_bytes()) {
            let written = match &host {
                Host::Ip(ip) if ip.is_ipv6() => format!("[{ip}]"),
                other => other.to_string(),
            };
            prop_assert_eq!(Authority::parse(written.as_bytes()), Some(Authority { host, port: None }));
        }
    }
}
