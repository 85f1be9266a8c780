//! What monitoring is told: each figure moves by the request that should move it, nothing that a client makes up becomes a series, and
//! both formats are read by parsers that are not our own.

mod parsers;
mod series;
mod state;

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    admin,
    client::{Caller, Family, Request, Version, plain},
    daemon::{Daemon, Setup},
    double::Double,
    script::Sin,
    sheet::Sheet,
};
use serde_json::json;

use crate::{FRANCE, ollama, ollama_with, on_every_version};

on_every_version!(requests_move_their_figures, who_may_is_shown_them);

const CHAT: &str = "/v1/chat/completions";

fn http(version: Version) -> &'static str {
    match version {
        Version::H1 => "HTTP/1.1",
        Version::H2 => "HTTP/2",
        Version::H3 => "HTTP/3",
    }
}

async fn requests_move_their_figures(version: Version) -> Result<()> {
    let (double, daemon) = ollama_with("uri_bytes = 100", "").await?;
    let caller = Caller::new(&daemon, version, Family::V4).await?;
    let before = Sheet::of(&daemon).await?;
    let failed = [("route", CHAT), ("ended", "failed")];
    ensure!(
        before.count("ghostllm_requests_ended_total", &failed) == 1
            && before.sum("ghostllm_requests_ended_total", &failed) == 0.0
            && before.count("ghostllm_backend_failures_total", &[("backend", "box")]) == 1,
        "a counter is not there before its first request:\n{}",
        before.text
    );
    let ask = async |request: Request, status: u16| {
        let answer = caller.send(&request).await?;
        ensure!(answer.status == status, "{}: {}", answer.status, answer.text());
        anyhow::Ok(answer)
    };
    let whole = ask(Request::chat("tiny", FRANCE, false), 200).await?.json()?;
    let tokens = whole["usage"]["completion_tokens"].as_f64().context("no usage")?;
    ask(Request::chat("tiny", FRANCE, true), 200).await?;
    ask(Request::chat("nobody's", FRANCE, true), 404).await?;
    ask(Request::get("/no/where"), 404).await?;
    ask(Request::get(&format!("/v1/models?{}", "a".repeat(100))), 414).await?;
    double.misbehave("tiny", Sin::Status("500 Internal Server Error", "{}".to_owned()));
    ask(Request::chat("tiny", FRANCE, false), 502).await?;
    double.misbehave("tiny", Sin::FinAfter(2));
    ask(Request::chat("tiny", FRANCE, true), 200).await?;
    let sheet =
        Sheet::until(&daemon, |sheet| sheet.sum("ghostllm_requests_ended_total", &failed) == 2.0).await?;
    requests(&sheet, version)?;
    generations(&sheet, tokens)?;
    open(&double, &daemon, &caller).await?;
    daemon.stop().await
}

/// The figures of requests, by what they were answered.
fn requests(sheet: &Sheet, version: Version) -> Result<()> {
    let http = http(version);
    let check = |name: &str, labels: &[(&str, &str)], wanted: f64| {
        let is = sheet.sum(name, labels);
        ensure!(is == wanted, "{name} {labels:?} is {is}, not {wanted}:\n{}", sheet.text);
        anyhow::Ok(())
    };
    for (status, model, backend, wanted) in
        [("200", "tiny:latest", "box", 3.0), ("502", "tiny:latest", "box", 1.0), ("404", "", "", 1.0)]
    {
        let labels =
            [("route", CHAT), ("http", http), ("status", status), ("model", model), ("backend", backend)];
        check("ghostllm_requests_total", &labels, wanted)?;
        check("ghostllm_request_duration_seconds_count", &labels, wanted)?;
    }
    for status in ["404", "414"] {
        let labels = [("route", "unmatched"), ("http", http), ("status", status)];
        check("ghostllm_requests_total", &labels, 1.0)?;
    }
    check("ghostllm_requests_ended_total", &[("route", CHAT), ("ended", "completed")], 2.0)?;
    check("ghostllm_requests_ended_total", &[("route", CHAT), ("ended", "refused")], 1.0)?;
    check("ghostllm_requests_ended_total", &[("route", "unmatched"), ("ended", "refused")], 2.0)?;
    check("ghostllm_backend_failures_total", &[("backend", "box")], 2.0)?;
    check("ghostllm_request_panics_total", &[], 0.0)
}

/// Those of what the engine has said.
fn generations(sheet: &Sheet, tokens: f64) -> Result<()> {
    let labels = [
        ("gen_ai_operation_name", "chat"),
        ("gen_ai_provider_name", "ollama"),
        ("gen_ai_request_model", "tiny:latest"),
    ];
    let output = [labels[0], labels[1], labels[2], ("gen_ai_token_type", "output")];
    for (name, labels, wanted) in [
        // Two whole ones, one without a word, and one that broke off.
        ("gen_ai_server_request_duration_seconds_count", &labels[..], 4.0),
        ("gen_ai_server_time_to_first_token_seconds_count", &labels[..], 2.0),
        ("gen_ai_server_time_per_output_token_seconds_count", &labels[..], 1.0),
        ("gen_ai_client_token_usage_count", &output[..], 2.0),
        ("gen_ai_client_token_usage_sum", &output[..], 2.0 * tokens),
    ] {
        let is = sheet.sum(name, labels);
        ensure!(is == wanted, "{name} is {is}, not {wanted}:\n{}", sheet.text);
    }
    let first = sheet.sum("gen_ai_server_time_to_first_token_seconds_sum", &labels);
    ensure!(first > 0.0, "the first word took {first} s");
    Ok(())
}

/// Those of what is open, while it is.
async fn open(double: &Double, daemon: &Daemon, caller: &Caller) -> Result<()> {
    double.misbehave("tiny", Sin::StallAfter(2));
    let mut stream = caller.open(&Request::chat("tiny", FRANCE, true)).await?;
    stream.until("data: ").await?;
    let http = http(caller.version());
    // Whoever asks for the figures has a stream as well, over the plain port.
    let streams = if http == "HTTP/1.1" { 2.0 } else { 1.0 };
    let are = |sheet: &Sheet, streams: f64, open: f64| {
        sheet.sum("ghostllm_streams", &[("http", http)]) == streams
            && sheet.sum("ghostllm_backend_requests_open", &[("backend", "box")]) == open
    };
    Sheet::until(daemon, |sheet| are(sheet, streams, 1.0)).await?;
    let _left = stream.leave().await?;
    let sheet =
        Sheet::until(daemon, |sheet| sheet.sum("ghostllm_streams", &[("http", http)]) == streams - 1.0)
            .await?;
    let left = [("route", CHAT), ("ended", "left")];
    ensure!(sheet.sum("ghostllm_requests_ended_total", &left) == 1.0, "{}", sheet.text);
    Ok(())
}

async fn who_may_is_shown_them(version: Version) -> Result<()> {
    let (_double, daemon) = ollama().await?;
    let keyless = Caller::keyless(&daemon, version, Family::V4).await?;
    let mut callers = vec![(keyless.clone(), 401)];
    for (order, status) in [
        (json!({"name": "monitoring", "scopes": ["metrics"]}), 200),
        (json!({"name": "viewer", "role": "viewer"}), 200),
        (json!({"name": "user", "role": "user"}), 403),
        (json!({"name": "chats", "scopes": ["chat", "models"]}), 403),
    ] {
        let made = admin::make(&daemon, &order).await?;
        callers.push((keyless.clone().with_key(Some(&made.key)), status));
    }
    for (caller, status) in callers {
        let answer = caller.send(&Request::get("/metrics")).await?;
        ensure!(answer.status == status, "{} instead of {status}: {}", answer.status, answer.text());
        ensure!((status == 200) == answer.text().contains("ghostllm_ready"), "{}", answer.text());
    }
    daemon.stop().await
}

#[tokio::test]
async fn the_plain_port_shows_them_without_a_key_unless_it_asks_for_one() -> Result<()> {
    let (double, daemon) = ollama().await?;
    let answer = plain(daemon.plain(false)?, &Request::get("/metrics")).await?;
    ensure!(answer.status == 200, "{}", answer.text());
    ensure!(answer.header("content-type") == Some("text/plain; version=0.0.4; charset=utf-8"));
    let posted = plain(daemon.plain(false)?, &Request::get("/metrics").method("POST")).await?;
    ensure!(posted.status == 405, "{}", posted.text());
    daemon.stop().await?;
    let mut setup = Setup::backend("ollama", &double.url());
    setup.listen.push_str("plain_auth = \"key\"\n");
    let daemon = Daemon::start(&setup).await?;
    let made = admin::make(&daemon, &json!({"name": "monitoring", "scopes": ["metrics"]})).await?;
    let ask = async |request: Request| anyhow::Ok(plain(daemon.plain(false)?, &request).await?.status);
    ensure!(ask(Request::get("/metrics")).await? == 401);
    let bearer = format!("Bearer {}", made.key);
    ensure!(ask(Request::get("/metrics").with("authorization", &bearer)).await? == 200);
    ensure!(ask(Request::get("/v1/models").with("authorization", &bearer)).await? == 403);
    daemon.stop().await
}
