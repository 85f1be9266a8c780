//! What a gateway must never forward, on every version and port.

use anyhow::{Result, ensure};
use ghostllm_tests::client::{Caller, Family, Request, Sent, Version, plain, raw};

use crate::{FRANCE, check_error, ollama, on_every_version};

on_every_version!(
    takes_its_own_names_only,
    refuses_foreign_origins,
    refuses_cross_site_requests,
    strips_what_is_between_client_and_daemon
);

async fn takes_its_own_names_only(version: Version) -> Result<()> {
    let (_double, daemon) = ollama().await?;
    let caller = Caller::new(&daemon, version, Family::V4).await?;
    let port = caller.address().port();
    for name in [
        "localhost".into(),
        format!("localhost:{port}"),
        format!("127.0.0.1:{port}"),
        format!("[::1]:{port}"),
    ] {
        let answer = caller.send(&Request::get("/v1/models").authority(&name)).await?;
        ensure!(answer.status == 200, "{name}: {} {}", answer.status, answer.text());
    }
    for name in ["evil.example", "localhost.evil.example", "169.254.169.254", "evil.example:443"] {
        let answer = caller.send(&Request::get("/v1/models").authority(name)).await?;
        let text = check_error(&answer, 421, None)?;
        ensure!(text.contains("listen.names"), "{name}: {text}");
    }
    daemon.stop().await
}

async fn refuses_foreign_origins(version: Version) -> Result<()> {
    let (double, daemon) = ollama().await?;
    let caller = Caller::new(&daemon, version, Family::V4).await?;
    for origin in ["http://evil.example", "https://localhost.evil.example", "null", "file://"] {
        let request = Request::chat("tiny", FRANCE, false).with("origin", origin);
        check_error(&caller.send(&request).await?, 403, None)
            .map_err(|cause| cause.context(origin.to_owned()))?;
    }
    ensure!(double.seen_at("/api/chat").is_empty(), "the engine was asked");
    daemon.stop().await
}

async fn refuses_cross_site_requests(version: Version) -> Result<()> {
    let (double, daemon) = ollama().await?;
    let caller = Caller::new(&daemon, version, Family::V4).await?;
    let request = Request::chat("tiny", FRANCE, false);
    check_error(&caller.send(&request.clone().with("sec-fetch-site", "cross-site")).await?, 403, None)?;
    ensure!(double.seen_at("/api/chat").is_empty(), "the engine was asked");
    for site in ["same-origin", "none"] {
        let answer = caller.send(&request.clone().with("sec-fetch-site", site)).await?;
        ensure!(answer.status == 200, "{site}: {} {}", answer.status, answer.text());
    }
    daemon.stop().await
}

async fn strips_what_is_between_client_and_daemon(version: Version) -> Result<()> {
    let (double, daemon) = ollama().await?;
    let caller = Caller::new(&daemon, version, Family::V4).await?;
    let request = Request::chat("tiny", FRANCE, false)
        .with("x-forwarded-for", "203.0.113.9")
        .with("forwarded", "for=203.0.113.9")
        .with("x-real-ip", "203.0.113.9")
        .with("via", "1.1 proxy")
        .with("cookie", "a=b");
    let answer = caller.send(&request).await?;
    ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
    let seen = double.seen_at("/api/chat");
    let seen = &seen[0].request;
    ensure!(seen.header("host") == Some(&double.address().to_string()), "Host is {:?}", seen.header("host"));
    for name in [
        "authorization",
        "origin",
        "x-forwarded-for",
        "forwarded",
        "x-real-ip",
        "via",
        "cookie",
        "transfer-encoding",
    ] {
        ensure!(seen.header(name).is_none(), "{name} reached the engine:\n{}", seen.dump());
    }
    daemon.stop().await
}

#[tokio::test]
async fn wants_exactly_one_host() -> Result<()> {
    let (_double, daemon) = ollama().await?;
    let caller = Caller::keyless(&daemon, Version::H1, Family::V4).await?;
    let ends = "Connection: close\r\n\r\n";
    for (hosts, status) in [
        ("", " 400 "),
        ("Host: localhost\r\nHost: localhost\r\n", " 400 "),
        ("Host: localhost\r\nHost: evil.example\r\n", " 400 "),
        ("Host: \r\n", " 400 "),
        ("Host: localhost:1/#@evil\r\n", " 400 "),
        ("Host: evil.example\r\n", " 421 "),
        ("Host: localhost\r\n", " 200 "),
    ] {
        let request = format!("GET /healthz HTTP/1.1\r\n{hosts}{ends}");
        for (address, ca) in
            [(caller.address(), Some(caller.ca())), (daemon.plain(false)?, None), (daemon.plain(true)?, None)]
        {
            let answer = raw(address, ca, request.as_bytes()).await?;
            let first = answer.lines().next().unwrap_or_default();
            ensure!(first.contains(status), "{hosts:?} at {address}: {first:?}");
        }
    }
    daemon.stop().await
}

const METHOD: (&str, &str) = (":method", "GET");
const SCHEME: (&str, &str) = (":scheme", "https");
const AUTHORITY: (&str, &str) = (":authority", "localhost");
const PATH: (&str, &str) = (":path", "/healthz");
const FIELD: (&str, &str) = ("accept", "*/*");

/// RFC 9114 section 4.3: malformed, so reset with H3_MESSAGE_ERROR before anything of it is looked at.
#[tokio::test]
async fn wants_each_pseudo_field_once_and_first_on_http_3() -> Result<()> {
    let (_double, daemon) = ollama().await?;
    let caller = Caller::keyless(&daemon, Version::H3, Family::V4).await?;
    let malformed = Sent::Reset(0x10e);
    let cases: &[(&[(&str, &str)], Sent)] = &[
        (&[METHOD, SCHEME, AUTHORITY, PATH, FIELD], Sent::Answered(200)),
        (&[PATH, AUTHORITY, SCHEME, METHOD], Sent::Answered(200)),
        (&[METHOD, SCHEME, PATH, ("host", "localhost")], Sent::Answered(200)),
        (&[METHOD, SCHEME, AUTHORITY, PATH, ("host", "localhost")], Sent::Answered(200)),
        (&[METHOD, SCHEME, (":authority", "evil.example"), AUTHORITY, PATH], malformed),
        (&[METHOD, SCHEME, AUTHORITY, AUTHORITY, PATH], malformed),
        (&[(":method", "POST"), METHOD, SCHEME, AUTHORITY, PATH], malformed),
        (&[METHOD, (":scheme", "http"), SCHEME, AUTHORITY, PATH], malformed),
        (&[METHOD, SCHEME, AUTHORITY, (":path", "/v1/models"), PATH], malformed),
        (&[METHOD, SCHEME, AUTHORITY, PATH, (":status", "200")], malformed),
        (&[METHOD, SCHEME, AUTHORITY, PATH, (":protocol", "websocket")], malformed),
        (&[METHOD, SCHEME, AUTHORITY, FIELD, PATH], malformed),
        (&[METHOD, SCHEME, PATH, FIELD, AUTHORITY], malformed),
        (&[METHOD, SCHEME, PATH], malformed),
        (&[METHOD, SCHEME, AUTHORITY, PATH, ("host", "evil.example")], malformed),
        (
            &[METHOD, SCHEME, AUTHORITY, PATH, ("host", "localhost"), ("host", "localhost")],
            Sent::Answered(400),
        ),
    ];
    for (fields, expected) in cases {
        let sent = caller.send_fields(fields).await?;
        ensure!(sent == *expected, "{fields:?}: {sent:?}, not {expected:?}");
    }
    daemon.stop().await
}

#[tokio::test]
async fn answers_the_box_without_a_key_unless_forwarded() -> Result<()> {
    let (_double, daemon) = ollama().await?;
    let key = format!("Bearer {}", daemon.key.clone().unwrap());
    for six in [false, true] {
        let address = daemon.plain(six)?;
        let request = Request::chat("tiny", FRANCE, false);
        let answer = plain(address, &request).await?;
        ensure!(answer.status == 200, "{address}: {} {}", answer.status, answer.text());
        for (name, value) in [
            ("forwarded", "for=203.0.113.9"),
            ("x-forwarded-for", "203.0.113.9"),
            ("x-forwarded-proto", "https"),
            ("via", "1.1 proxy"),
            ("x-real-ip", "203.0.113.9"),
        ] {
            let forwarded = request.clone().with(name, value);
            check_error(&plain(address, &forwarded).await?, 401, Some("invalid_api_key"))
                .map_err(|cause| cause.context(name))?;
            let answer = plain(address, &forwarded.with("authorization", &key)).await?;
            ensure!(answer.status == 200, "{name} with a key: {} {}", answer.status, answer.text());
        }
    }
    daemon.stop().await
}

#[tokio::test]
async fn lets_pages_of_this_box_use_the_plain_port() -> Result<()> {
    let (_double, daemon) = ollama().await?;
    let address = daemon.plain(false)?;
    let request = Request::chat("tiny", FRANCE, false).with("origin", "http://localhost:3000");
    let answer = plain(address, &request).await?;
    ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
    ensure!(
        answer.header("access-control-allow-origin") == Some("http://localhost:3000"),
        "{:?}",
        answer.headers
    );
    let mut text = request.clone();
    text.headers.retain(|(name, _)| name != "content-type");
    let answer = plain(address, &text.with("content-type", "text/plain")).await?;
    ensure!(
        matches!(answer.status, 403 | 415),
        "a simple request from a page: {} {}",
        answer.status,
        answer.text()
    );
    let preflight = Request::get("/v1/chat/completions")
        .method("OPTIONS")
        .with("access-control-request-method", "POST")
        .with("access-control-request-headers", "authorization,content-type");
    let allowed = plain(address, &preflight.clone().with("origin", "http://localhost:3000")).await?;
    ensure!(matches!(allowed.status, 200 | 204), "{} {}", allowed.status, allowed.text());
    let refused = plain(address, &preflight.with("origin", "http://evil.example")).await?;
    ensure!(refused.status == 403, "{} {}", refused.status, refused.text());
    daemon.stop().await
}
