//! What a client is told of its own mistakes, on every version: status, code, text, and the headers that help.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::client::{Caller, End, Family, Request, Version, gtlsclient};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::sleep,
};

use crate::{FRANCE, check_error, ollama, ollama_with, on_every_version};

on_every_version!(
    refuses_an_unknown_model,
    refuses_bad_json_with_its_position,
    refuses_without_a_key,
    takes_a_key_as_each_client_shows_it,
    refuses_an_unknown_route_and_method,
    refuses_a_body_beyond_the_limit,
    refuses_a_head_beyond_the_limits,
);

async fn refuses_an_unknown_model(version: Version) -> Result<()> {
    let (double, daemon) = ollama().await?;
    let caller = Caller::new(&daemon, version, Family::V4).await?;
    for stream in [false, true] {
        let answer = caller.send(&Request::chat("no-such-model", FRANCE, stream)).await?;
        let text = check_error(&answer, 404, Some("model_not_found"))?;
        ensure!(text.contains("no-such-model") && text.contains("/v1/models"), "{text}");
    }
    ensure!(double.seen_at("/api/chat").is_empty(), "the engine was asked for a model that it has not");
    daemon.stop().await
}

async fn refuses_bad_json_with_its_position(version: Version) -> Result<()> {
    let (_double, daemon) = ollama().await?;
    let caller = Caller::new(&daemon, version, Family::V4).await?;
    for (body, place) in
        [("{\"model\": \"tiny\",\n \"messages\": [}", "line 2"), ("{\"model\": ", "line 1"), ("", "empty")]
    {
        let answer = caller.send(&Request::post_bytes("/v1/chat/completions", body.as_bytes())).await?;
        let text = check_error(&answer, 400, None)?;
        ensure!(text.contains(place), "no position in {text:?} for {body:?}");
    }
    daemon.stop().await
}

async fn refuses_without_a_key(version: Version) -> Result<()> {
    let (double, daemon) = ollama().await?;
    let key = daemon.key.clone().unwrap();
    let caller = Caller::keyless(&daemon, version, Family::V4).await?;
    // Another last letter breaks the checksum; swapped halves keep the shape.
    let (head, last) = key.split_at(key.len() - 1);
    let torn = format!("{head}{}", if last == "0" { "1" } else { "0" });
    for key in [None, Some(torn.as_str()), Some("sk-1234"), Some(""), Some("gllm_")] {
        let answer = caller.clone().with_key(key).send(&Request::chat("tiny", FRANCE, false)).await?;
        let text = check_error(&answer, 401, Some("invalid_api_key"))?;
        ensure!(!text.contains(head), "the answer repeats the key");
    }
    ensure!(double.seen_at("/api/chat").is_empty(), "the engine was asked without a key");
    daemon.stop().await
}

async fn takes_a_key_as_each_client_shows_it(version: Version) -> Result<()> {
    let (_double, daemon) = ollama().await?;
    let key = daemon.key.clone().unwrap();
    let caller = Caller::keyless(&daemon, version, Family::V4).await?;
    let bearer = format!("Bearer {key}");
    let list = || Request::get("/v1/models");
    for (request, status) in [
        (list().with("authorization", &bearer), 200),
        (list().with("x-api-key", &key), 200),
        (list().with("api-key", &key), 200),
        (list().with("x-api-key", "sk-ant-1"), 401),
        (list().with("api-key", &bearer), 401),
        // Which of two is meant is not guessed.
        (list().with("authorization", "Bearer sk-1").with("x-api-key", &key), 401),
        (list().with("authorization", &bearer).with("x-api-key", "sk-ant-1"), 200),
        (list().with("x-api-key", &key).with("x-api-key", "sk-ant-1"), 400),
    ] {
        let answer = caller.send(&request).await?;
        ensure!(
            answer.status == status,
            "{status}: {:?}: {} {}",
            request.headers,
            answer.status,
            answer.text()
        );
        ensure!(!answer.text().contains(&key), "the answer repeats the key");
    }
    ensure!(!daemon.stderr().contains(&key), "the log holds the key");
    daemon.stop().await
}

async fn refuses_an_unknown_route_and_method(version: Version) -> Result<()> {
    let (_double, daemon) = ollama().await?;
    let caller = Caller::new(&daemon, version, Family::V4).await?;
    for path in ["/v1/nope", "/v1/chat/completions/", "/admin"] {
        check_error(&caller.send(&Request::get(path)).await?, 404, None)?;
    }
    // A path with two readings is refused, not resolved.
    check_error(&caller.send(&Request::get("/v1/../v1/models")).await?, 400, None)?;
    for (method, path, allow) in [
        ("GET", "/v1/chat/completions", "POST"),
        ("DELETE", "/v1/models", "GET"),
        ("POST", "/healthz", "GET"),
    ] {
        let answer = caller.send(&Request::get(path).method(method)).await?;
        check_error(&answer, 405, None)?;
        let allowed = answer.header("allow").unwrap_or_default();
        ensure!(allowed.contains(allow), "{method} {path}: Allow is {allowed:?}");
    }
    daemon.stop().await
}

async fn refuses_a_body_beyond_the_limit(version: Version) -> Result<()> {
    const LIMIT: usize = 4096;
    let (_double, daemon) = ollama_with("body = \"4KiB\"", "").await?;
    let caller = Caller::new(&daemon, version, Family::V4).await?;
    let sized = |size: usize| {
        let empty = Request::chat("tiny", "Echo: ", false).body.len();
        Request::chat("tiny", &format!("Echo: {}", "a".repeat(size - empty)), false)
    };
    let passes = caller.send(&sized(LIMIT)).await?;
    ensure!(passes.status == 200, "the limit itself must pass: {} {}", passes.status, passes.text());
    check_error(&caller.send(&sized(LIMIT + 1)).await?, 413, None)?;
    daemon.stop().await
}

/// A client of HTTP/1.1 that reads nothing before it has sent all, and sends on long after its body was refused.
async fn sends_all_first(mut wire: impl AsyncRead + AsyncWrite + Unpin, key: &str) -> Result<String> {
    const BODY: usize = 120 << 10;
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n\
         Content-Type: application/json\r\nContent-Length: {BODY}\r\n\r\n"
    );
    wire.write_all(head.as_bytes()).await?;
    for _ in 0..BODY / 4096 {
        sleep(Duration::from_millis(10)).await;
        wire.write_all(&[b' '; 4096]).await.context("it cannot send all of its body")?;
    }
    let mut said = Vec::new();
    wire.read_to_end(&mut said).await.context("its answer is lost")?;
    Ok(String::from_utf8(said)?)
}

#[tokio::test]
async fn a_client_that_sends_all_of_a_refused_body_first_reads_why_over_http_1_1() -> Result<()> {
    let (_double, daemon) = ollama_with("body = \"64KiB\"", "").await?;
    let key = daemon.key.clone().context("no key")?;
    let caller = Caller::new(&daemon, Version::H1, Family::V4).await?;
    let plain = TcpStream::connect(daemon.plain(false)?).await?;
    let said = tokio::try_join!(
        sends_all_first(caller.dial().await?.wire, &key),
        sends_all_first(plain, &key),
        sends_all_first(caller.dial().await?.wire, "sk-unknown"),
    )?;
    for (said, status) in [(said.0, "413"), (said.1, "413"), (said.2, "401")] {
        ensure!(said.starts_with(&format!("HTTP/1.1 {status} ")) && said.ends_with('}'), "{said}");
    }
    daemon.stop().await
}

async fn refuses_a_head_beyond_the_limits(version: Version) -> Result<()> {
    let (_double, daemon) = ollama_with("header_count = 20\nuri_bytes = 100", "").await?;
    let caller = Caller::new(&daemon, version, Family::V4).await?;
    let fields = |count: usize| {
        (0..count).fold(Request::get("/v1/models"), |request, at| request.with(&format!("x-{at}"), "1"))
    };
    // The key, and on HTTP/1.1 the host, are fields as well.
    let own = if version == Version::H1 { 2 } else { 1 };
    ensure!(caller.send(&fields(20 - own)).await?.status == 200, "the limit must pass");
    let answer = caller.send(&fields(21 - own)).await?;
    ensure!(answer.status == 431, "{} {}", answer.status, answer.text());
    // On HTTP/1.1 hyper refuses it, before there is anything that could speak JSON.
    if version != Version::H1 {
        check_error(&answer, 431, Some("header_too_large"))?;
    }
    let path =
        |length: usize| Request::get(&format!("/v1/models?{}", "a".repeat(length - "/v1/models?".len())));
    ensure!(caller.send(&path(100)).await?.status == 200, "the limit must pass");
    check_error(&caller.send(&path(101)).await?, 414, Some("uri_too_long"))?;
    daemon.stop().await
}

#[tokio::test]
async fn begins_every_text_with_a_capital() -> Result<()> {
    let (_double, daemon) = ollama_with("uri_bytes = 100\njson_depth = 4", "").await?;
    let caller = Caller::new(&daemon, Version::H1, Family::V4).await?;
    let chat = || Request::chat("tiny", FRANCE, false);
    let deep = Request::post_bytes("/v1/chat/completions", b"[[[[[[]]]]]]");
    let long = Request::get(&format!("/v1/models?{}", "a".repeat(100)));
    let typed = Request { headers: Vec::new(), ..chat() }.with("content-type", "text/plain");
    let mut answers = vec![
        (415, caller.send(&chat().with("content-encoding", "gzip")).await?),
        (415, caller.send(&typed).await?),
        (400, caller.send(&deep).await?),
        (414, caller.send(&long).await?),
        (404, caller.send(&Request::get("/nope")).await?),
        (401, caller.clone().with_key(Some("sk-1")).send(&chat()).await?),
        (401, caller.clone().with_key(None).send(&chat()).await?),
    ];
    let proxied = Request::get("/v1/models").with("x-forwarded-for", "192.0.2.1");
    answers.push((401, ghostllm_tests::client::plain(daemon.plain(false)?, &proxied).await?));
    for (status, answer) in answers {
        let text = check_error(&answer, status, None)?;
        ensure!(text.starts_with(|first: char| first.is_uppercase()), "{text}");
    }
    daemon.stop().await
}

#[tokio::test]
async fn answers_a_head_without_a_body() -> Result<()> {
    let (_double, daemon) = ollama().await?;
    for version in [Version::H1, Version::H2] {
        let caller = Caller::new(&daemon, version, Family::V4).await?;
        for path in HEADS {
            let get = caller.send(&Request::get(path)).await?;
            let head = caller.send(&Request::get(path).method("HEAD")).await?;
            ensure!(head.status == get.status, "{version:?} {path}: {}", head.status);
            ensure!(
                head.body.is_empty() && head.end == End::Clean,
                "{version:?} {path}: {:?} {:?}",
                head.text(),
                head.end
            );
            let length = get.body.len().to_string();
            // An error names the method, and so has another length.
            let said = head.header("content-length");
            ensure!(said == Some(&length) || get.status != 200, "{path}: {:?}, not {length}", head.headers);
        }
    }
    daemon.stop().await
}

/// By ngtcp2's client: aioquic 1.7.2 expects a body of the length that a HEAD's answer states.
#[tokio::test]
async fn answers_a_head_without_a_body_over_http3() -> Result<()> {
    let (_double, daemon) = ollama().await?;
    let port = daemon.quic.context("no HTTP/3")?;
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    for path in HEADS {
        let said = gtlsclient(address, "HEAD", path).await?;
        // It prints each DATA frame's bytes under such a line.
        ensure!(said.contains(":status: ") && !said.contains("body "), "{path}:\n{said}");
    }
    let got = gtlsclient(address, "GET", "/healthz").await?;
    ensure!(got.contains("body "), "it no longer prints bodies so:\n{got}");
    daemon.stop().await
}

/// Every route that takes GET, a page that is not there, and a route that does not take it.
const HEADS: [&str; 12] = [
    "/",
    "/openapi.json",
    "/docs",
    "/healthz",
    "/readyz",
    "/readyz/disk",
    "/ca.pem",
    "/ca.crt",
    "/v1/models",
    "/v1/models/tiny",
    "/v1/nope",
    "/v1/chat/completions",
];
