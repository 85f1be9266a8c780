//! Header fields: framing, marks of proxies, what is stripped, and arbitrary heads.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};
use proptest::prelude::*;

use super::{
    super::{Guard, Passed, Reason, strip},
    get, head, judged, over, reason, rules, send,
};
use crate::Transport;

type Fields = &'static [(&'static str, &'static str)];

/// A method, its fields, and whether it passes.
type Sent = (Method, Vec<(&'static str, &'static str)>, bool);

#[test]
fn fields_with_two_readings_are_refused() {
    let cases: [(Fields, bool); 16] = [
        (&[("content-length", "1")], true),
        (&[("content-length", "1"), ("content-length", "1")], false),
        (&[("content-length", "1"), ("content-length", "2")], false),
        (&[("transfer-encoding", "chunked")], true),
        (&[("transfer-encoding", "Chunked")], true),
        (&[("transfer-encoding", "gzip, chunked")], false),
        (&[("transfer-encoding", "identity")], false),
        (&[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")], false),
        (&[("content-length", "1"), ("transfer-encoding", "chunked")], false),
        (&[("authorization", "Bearer a")], true),
        (&[("authorization", "Bearer a"), ("authorization", "Bearer a")], false),
        (&[("content-type", "application/json"), ("content-type", "text/plain")], false),
        (&[("x_auth", "1")], false),
        (&[("content_length", "1")], false),
        (&[("x-auth", "1")], true),
        (&[("upgrade", "websocket"), ("connection", "upgrade"), ("te", "gzip")], true),
    ];
    for (fields, passes) in cases {
        let found = reason(&send(Method::POST, "/v1/models", fields), Transport::Plain);
        assert_eq!(found, if passes { None } else { Some(Reason::Fields) }, "{fields:?}");
    }
}

#[test]
fn fields_of_a_connection_do_not_exist_in_the_later_versions() {
    let cases: [(&str, &[u8], bool); 7] = [
        ("te", b"trailers", true),
        ("te", b"Trailers", true),
        ("te", b"gzip", false),
        ("te", b"trailers, gzip", false),
        ("te", b"\xff", false),
        ("transfer-encoding", b"chunked", false),
        ("connection", b"close", false),
    ];
    for version in [Version::HTTP_2, Version::HTTP_3] {
        for (name, value, passes) in cases {
            let head = head(version, Method::GET, "https://localhost/", &[(name, value)]);
            let expected = if passes { None } else { Some(Reason::Fields) };
            assert_eq!(reason(&head, Transport::Quic), expected, "{version:?} {name} {value:?}");
        }
    }
}

#[test]
fn marks_of_a_proxy_are_seen() {
    let marks = [
        "forwarded",
        "via",
        "x-real-ip",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-anything",
        "X-Forwarded-Host",
        "cf-connecting-ip",
        "true-client-ip",
        "x-client-ip",
        "x-cluster-client-ip",
    ];
    for name in marks {
        let passed = judged(&get("/", &[(name, "")]), Transport::Plain).unwrap();
        assert_eq!(passed, Passed::Request { forwarded: true, cors: None }, "{name}");
    }
    for name in ["x-request-id", "x-forwarded", "forward", "x-real", "user-agent"] {
        let passed = judged(&get("/", &[(name, "1")]), Transport::Plain).unwrap();
        assert_eq!(passed, Passed::Request { forwarded: false, cors: None }, "{name}");
    }
}

#[test]
fn a_page_sends_json_or_no_body() {
    let json = ("content-type", "application/json");
    let cases: [Sent; 14] = [
        (Method::POST, vec![json, ("content-length", "2")], true),
        (
            Method::POST,
            vec![("content-type", "Application/JSON ; charset=utf-8"), ("content-length", "2")],
            true,
        ),
        (Method::POST, vec![json, ("transfer-encoding", "chunked")], true),
        (Method::POST, vec![("content-type", "text/plain"), ("content-length", "2")], false),
        (Method::POST, vec![("content-type", "text/plain;application/json"), ("content-length", "2")], false),
        (Method::POST, vec![("content-type", "application/jsonp"), ("content-length", "2")], false),
        (
            Method::POST,
            vec![("content-type", "application/x-www-form-urlencoded"), ("content-length", "2")],
            false,
        ),
        (
            Method::POST,
            vec![("content-type", "multipart/form-data"), ("transfer-encoding", "chunked")],
            false,
        ),
        (Method::POST, vec![("content-length", "2")], false),
        (Method::GET, vec![("content-type", "text/plain"), ("content-length", "2")], false),
        (Method::POST, vec![], true),
        (Method::POST, vec![("content-length", "0")], true),
        (Method::POST, vec![("content-type", "text/plain"), ("content-length", "0")], true),
        (Method::GET, vec![], true),
    ];
    for (method, mut fields, passes) in cases {
        let without = reason(&send(method.clone(), "/v1/models", &fields), Transport::Plain);
        assert_eq!(without, None, "a program may send anything: {fields:?}");
        for origin in ["http://localhost:11430", "http://localhost:3000", "https://chat.example.org"] {
            fields.push(("origin", origin));
            let found = reason(&send(method.clone(), "/v1/models", &fields), Transport::Plain);
            assert_eq!(found, if passes { None } else { Some(Reason::MediaType) }, "{method} {fields:?}");
            fields.pop();
        }
    }
}

#[test]
fn later_versions_need_not_state_a_length() {
    for version in [Version::HTTP_2, Version::HTTP_3] {
        for (method, passes) in [(Method::POST, false), (Method::PUT, false), (Method::DELETE, true)] {
            let fields: &[(&str, &[u8])] = &[("origin", b"https://localhost")];
            let head = head(version, method, "https://localhost/x", fields);
            let expected = if passes { None } else { Some(Reason::MediaType) };
            assert_eq!(reason(&head, Transport::Quic), expected, "{head:?}");
        }
    }
}

#[test]
fn stripped_is_what_belongs_to_connections_proxies_and_us() {
    let gone = [
        ("connection", "close, X-Named"),
        ("connection", "\u{fc},,bad name , x-named-too"),
        ("x-named", "1"),
        ("x-named-too", "1"),
        ("keep-alive", "1"),
        ("proxy-connection", "1"),
        ("proxy-authorization", "1"),
        ("proxy-authenticate", "1"),
        ("te", "trailers"),
        ("trailer", "1"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("http2-settings", "1"),
        ("forwarded", "for=1"),
        ("via", "1"),
        ("x-real-ip", "1"),
        ("x-forwarded-for", "1"),
        ("x-forwarded-for", "2"),
        ("x-ghost-caller", "admin"),
    ];
    let stays = [("host", "localhost"), ("authorization", "Bearer a"), ("x-ghos", "1"), ("accept", "*/*")];
    let mut headers = HeaderMap::new();
    for (name, value) in gone.iter().chain(&stays) {
        headers.append(HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    strip(&mut headers);
    let left: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    assert_eq!(left.len(), stays.len(), "{left:?}");
    assert!(stays.iter().all(|field| left.contains(field)), "{left:?}");
}

proptest! {
    #[test]
    fn any_head_is_judged_without_a_panic(
        version in prop::sample::select(vec![Version::HTTP_10, Version::HTTP_11, Version::HTTP_2, Version::HTTP_3]),
        method in prop::sample::select(vec![Method::GET, Method::POST, Method::OPTIONS, Method::CONNECT]),
        target in prop_oneof!["/[ -~]{0,30}", "https://[ -~]{1,30}", "/\\PC{0,20}", "\\PC{0,30}"],
        fields in prop::collection::vec((
            prop_oneof![
                prop::sample::select(vec![
                    "host", "origin", "content-type", "content-length", "transfer-encoding", "te", "connection",
                    "sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest", "access-control-request-headers", "via",
                ]).prop_map(str::to_owned),
                "[a-zA-Z_-]{1,12}",
            ],
            prop::collection::vec(any::<u8>(), 0..40),
        ), 0..8),
    ) {
        let Ok(uri) = target.parse::<Uri>() else { return Ok(()) };
        let mut request = Request::new(());
        *request.version_mut() = version;
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        for (name, value) in fields {
            if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_bytes(&value)) {
                request.headers_mut().append(name, value);
            }
        }
        let (head, ()) = request.into_parts();
        let guard = Guard::new(rules());
        for transport in [Transport::Plain, Transport::Tls, Transport::Quic] {
            if let Err(refusal) = guard.check(&head, &over(transport)) {
                prop_assert!(refusal.message.is_ascii());
                prop_assert!(refusal.status.is_client_error());
            }
        }
    }
}
