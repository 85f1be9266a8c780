//! Web pages: own, allowed, local, foreign; links, preflights and what their answers say.

use http::{HeaderMap, HeaderValue, Method};

use super::{
    super::{Passed, Reason, allow},
    get, judged, reason, send,
};
use crate::Transport::{self, Plain, Quic, Tls};

const FOREIGN: Option<Reason> = Some(Reason::Origin);

#[test]
fn origins() {
    // The host is localhost:11430 throughout.
    let cases = [
        (Plain, "http://localhost:11430", None),
        (Plain, "HTTP://LOCALHOST:11430", None),
        (Tls, "https://localhost:11430", None),
        (Quic, "https://localhost:11430", None),
        (Tls, "http://localhost:11430", FOREIGN),
        (Tls, "https://localhost", FOREIGN),
        (Tls, "https://localhost:11431", FOREIGN),
        (Tls, "https://box:11430", FOREIGN),
        (Plain, "http://localhost", None),
        (Plain, "https://localhost:3000", None),
        (Plain, "http://app.localhost:3000", None),
        (Plain, "http://127.0.0.1:5173", None),
        (Plain, "http://[::1]:5173", None),
        (Plain, "http://0.0.0.0:5173", FOREIGN),
        (Plain, "http://192.168.1.5:5173", FOREIGN),
        (Plain, "ftp://localhost", FOREIGN),
        (Plain, "http://localhost.evil.test", FOREIGN),
        (Plain, "http://evil.test", FOREIGN),
        (Tls, "https://chat.example.org", None),
        (Plain, "https://chat.example.org", None),
        (Tls, "https://chat.example.org:443", None),
        (Tls, "https://CHAT.example.org", None),
        (Tls, "http://chat.example.org", FOREIGN),
        (Tls, "https://chat.example.org:8443", FOREIGN),
        (Tls, "https://chat.example.org.evil.test", FOREIGN),
        (Tls, "https://xchat.example.org", FOREIGN),
        (Tls, "http://ui.lan:3000", None),
        (Tls, "http://ui.lan", FOREIGN),
        (Tls, "app://obsidian.md", None),
        (Tls, "app://other.md", FOREIGN),
        (Tls, "null", FOREIGN),
        (Plain, "null", FOREIGN),
        (Plain, "", FOREIGN),
        (Plain, "*", FOREIGN),
        (Plain, "http://", FOREIGN),
        (Plain, "localhost:11430", FOREIGN),
        (Plain, "//localhost:11430", FOREIGN),
        (Plain, "http://localhost:11430/", FOREIGN),
        (Plain, "http://localhost:11430/x", FOREIGN),
        (Plain, "http://evil.test@localhost:11430", FOREIGN),
        (Plain, "http://localhost:11430 http://localhost:11430", FOREIGN),
        (Plain, "http://localhost:11430, http://evil.test", FOREIGN),
        (Plain, "1http://localhost:11430", FOREIGN),
        (Plain, "file://", FOREIGN),
    ];
    for (transport, origin, expected) in cases {
        for site in [None, Some("same-origin"), Some("same-site"), Some("cross-site")] {
            let mut fields = vec![("origin", origin)];
            fields.extend(site.map(|site| ("sec-fetch-site", site)));
            // An allowed Origin wins over Sec-Fetch-Site, and a forbidden one is not saved by it.
            assert_eq!(reason(&get("/v1/models", &fields), transport), expected, "{transport:?} {fields:?}");
        }
    }
    let twice = [("origin", "http://localhost:11430"), ("origin", "http://localhost:11430")];
    assert_eq!(reason(&get("/v1/models", &twice), Plain), FOREIGN);
}

#[test]
fn the_default_port_is_the_same_origin() {
    let cases = [
        ("localhost", Tls, "https://localhost", true),
        ("localhost:443", Tls, "https://localhost", true),
        ("localhost", Tls, "https://localhost:443", true),
        ("localhost:80", Tls, "https://localhost", false),
        ("box", Plain, "http://box", true),
        ("box:80", Plain, "http://box", true),
        ("box:443", Plain, "http://box", false),
        ("[fd00::5]:11443", Tls, "https://[fd00:0::5]:11443", true),
    ];
    for (host, transport, origin, same) in cases {
        let mut head = get("/v1/models", &[("origin", origin)]);
        head.headers.insert("host", HeaderValue::from_str(host).unwrap());
        assert_eq!(reason(&head, transport), if same { None } else { FOREIGN }, "{host} {origin}");
    }
}

#[test]
fn sites() {
    let cases: [(&[&str], bool); 9] = [
        (&[], true),
        (&["same-origin"], true),
        (&["none"], true),
        (&["same-site"], false),
        (&["cross-site"], false),
        (&[""], false),
        (&["Cross-Site"], false),
        (&["unheard-of"], false),
        (&["same-origin", "cross-site"], false),
    ];
    for (sites, passes) in cases {
        let fields: Vec<_> = sites.iter().map(|site| ("sec-fetch-site", *site)).collect();
        for transport in [Plain, Tls, Quic] {
            for method in [Method::GET, Method::POST, Method::OPTIONS] {
                let found = reason(&send(method, "/v1/models", &fields), transport);
                assert_eq!(found, if passes { None } else { Some(Reason::Site) }, "{sites:?}");
            }
        }
    }
}

#[test]
fn a_link_may_lead_to_a_static_page_and_nowhere_else() {
    let link =
        [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
    for page in ["/", "/?x=1", "/docs", "/ca.crt", "/ca.pem"] {
        assert_eq!(reason(&get(page, &link), Tls), None, "{page}");
        assert_eq!(reason(&send(Method::POST, page, &link), Tls), Some(Reason::Site), "{page}");
        let from = [link.as_slice(), &[("origin", "null")]].concat();
        let passed = Passed::Request { forwarded: false, cors: None };
        assert_eq!(judged(&get(page, &from), Tls).unwrap(), passed, "{page}");
        assert_eq!(reason(&send(Method::POST, page, &from), Tls), FOREIGN, "{page}");
    }
    for elsewhere in ["/docs/", "/v1/models", "/docs/x", "/metrics"] {
        assert_eq!(reason(&get(elsewhere, &link), Tls), Some(Reason::Site), "{elsewhere}");
    }
    for (mode, dest) in
        [("cors", "empty"), ("no-cors", "script"), ("navigate", "iframe"), ("navigate", "embed")]
    {
        let fields = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", mode), ("sec-fetch-dest", dest)];
        assert_eq!(reason(&get("/", &fields), Tls), Some(Reason::Site), "{mode} {dest}");
    }
}

#[test]
fn only_an_allowed_foreign_page_gets_a_word_in_the_answer() {
    let cors = |transport: Transport, origin: &'static str| match judged(
        &get("/v1/models", &[("origin", origin)]),
        transport,
    )
    .unwrap()
    {
        Passed::Request { cors, forwarded: false } => cors,
        other => panic!("{other:?}"),
    };
    assert_eq!(cors(Tls, "https://localhost:11430"), None);
    assert_eq!(
        cors(Tls, "https://chat.example.org"),
        Some(HeaderValue::from_static("https://chat.example.org"))
    );
    assert_eq!(cors(Plain, "http://localhost:3000"), Some(HeaderValue::from_static("http://localhost:3000")));
    let mut headers = HeaderMap::new();
    headers.insert("vary", HeaderValue::from_static("Accept"));
    allow(&mut headers, HeaderValue::from_static("https://chat.example.org"));
    assert_eq!(headers["access-control-allow-origin"], "https://chat.example.org");
    assert_eq!(headers.get_all("vary").iter().collect::<Vec<_>>(), ["Accept", "Origin"]);
    assert!(!headers.contains_key("access-control-allow-credentials"));
}

fn preflight(transport: Transport, fields: &[(&str, &str)]) -> HeaderMap {
    match judged(&send(Method::OPTIONS, "/v1/chat/completions", fields), transport).unwrap() {
        Passed::Preflight { headers } => headers,
        other => panic!("{other:?}"),
    }
}

#[test]
fn preflights_are_answered_from_the_origin_rule() {
    let asked = "authorization, Content-Type,x-stainless-os , x-stainless-retry-count,openai-beta, anthropic-version,\
                 x-evil, bad name, *, cookie, x-stainless-a_b";
    let fields = [
        ("origin", "https://chat.example.org"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", asked),
        ("access-control-request-private-network", "true"),
    ];
    let headers = preflight(Tls, &fields);
    assert_eq!(headers["access-control-allow-origin"], "https://chat.example.org");
    assert_eq!(headers["access-control-allow-methods"], "GET, HEAD, POST");
    let granted = "authorization, content-type, x-stainless-os, x-stainless-retry-count, openai-beta, \
                   anthropic-version";
    assert_eq!(headers["access-control-allow-headers"], granted);
    assert_eq!(headers["access-control-allow-private-network"], "true");
    assert_eq!(headers["access-control-max-age"], "600");
    assert!(headers["vary"].to_str().unwrap().starts_with("Origin,"));
    assert!(!headers.contains_key("access-control-allow-credentials"));

    let headers = preflight(Plain, &[("origin", "http://localhost:3000")]);
    assert!(!headers.contains_key("access-control-allow-headers"));
    assert!(!headers.contains_key("access-control-allow-private-network"));

    for (origin, transport) in [("https://evil.test", Tls), ("null", Plain), ("http://localhost:3000", Tls)] {
        let fields = [("origin", origin), ("access-control-request-method", "POST")];
        assert_eq!(reason(&send(Method::OPTIONS, "/v1/chat/completions", &fields), transport), FOREIGN);
    }
    // Without an origin it is no preflight, but a request like any other.
    let passed = judged(&send(Method::OPTIONS, "/v1/models", &[]), Tls).unwrap();
    assert_eq!(passed, Passed::Request { forwarded: false, cors: None });
}
