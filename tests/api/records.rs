//! Each request has one record in the log, which says who asked for what and how that ended, and an id by which it is followed.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    admin,
    client::{Caller, End, Family, Request, Version, raw},
    daemon::{Daemon, Setup, Signal},
    double::Double,
    ollama::Ollama,
    openai::{OpenAi, Style},
    script::Sin,
};
use serde_json::{Value, json};

use crate::{FRANCE, ollama, ollama_with, on_every_version};

on_every_version!(
    each_request_has_one_record_with_its_figures,
    a_refusal_has_its_status_and_its_code,
    whoever_ends_a_request_is_named,
    whoever_leaves_at_the_last_event_was_answered,
    an_engine_whose_body_does_not_end_holds_no_client,
    ids_are_kept_returned_and_sent_on
);

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn lines(said: &str) -> Result<Vec<Value>> {
    said.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
}

/// The one record of the request whose client has called it so.
pub(crate) async fn record(daemon: &Daemon, id: &str) -> Result<Value> {
    let named = format!("\"client_request\":\"{id}\"");
    daemon.wait_said(&named).await?;
    let all = lines(&daemon.stderr())?;
    let mut found = all.into_iter().filter(|line| line["client_request"] == id);
    let record = found.next().context("no record")?;
    ensure!(found.next().is_none(), "there are several of {id}: {}", daemon.stderr());
    Ok(record)
}

/// Checks these fields of it.
fn check(record: &Value, expected: &Value) -> Result<()> {
    for (name, value) in expected.as_object().context("fields")? {
        // Null is a field that is not there.
        ensure!(record.get(name).unwrap_or(&Value::Null) == value, "{name} is not {value} in {record:#}");
    }
    Ok(())
}

fn http(version: Version) -> &'static str {
    match version {
        Version::H1 => "HTTP/1.1",
        Version::H2 => "HTTP/2",
        Version::H3 => "HTTP/3",
    }
}

fn named(request: Request, id: &str) -> Request {
    request.with("x-request-id", id)
}

async fn each_request_has_one_record_with_its_figures(version: Version) -> Result<()> {
    let (_double, daemon) = ollama().await?;
    let made = admin::make(&daemon, &json!({"name": "laptop"})).await?;
    let caller = Caller::keyless(&daemon, version, Family::V4).await?.with_key(Some(&made.key));
    for (stream, id) in [(false, "whole"), (true, "stream")] {
        let request = named(Request::chat("tiny", FRANCE, stream), id);
        let answer = caller.send(&request).await?;
        ensure!(answer.status == 200, "{}", answer.text());
        let record = record(&daemon, id).await?;
        check(
            &record,
            &json!({
                "level": "INFO", "message": "a chat was answered", "caller": "laptop", "key": made.id, "from": "127.0.0.1",
                "http": http(version), "method": "POST", "route": "/v1/chat/completions", "status": 200, "code": null,
                "model": "tiny", "backend": "box", "ended": "completed", "by": null, "cause": null,
                "bytes_in": request.body.len(), "bytes_out": answer.body.len(), "path": null,
            }),
        )?;
        let number = |name: &str| record[name].as_u64().with_context(|| format!("no {name}: {record:#}"));
        ensure!(number("prompt_tokens")? > 0 && number("completion_tokens")? > 0, "{record:#}");
        // An answer in one piece has no first word.
        let timed = if stream { number("ttft_ms")? <= number("ms")? } else { record["ttft_ms"].is_null() };
        ensure!(timed && number("queue_ms")? <= number("ms")?, "{record:#}");
        ensure!(record["request"].as_str().is_some_and(|id| id.len() == 32), "{record:#}");
    }
    // What has no body has its record as well.
    // aioquic holds its length against it.
    if version != Version::H3 {
        let head = caller.send(&named(Request::get("/v1/models").method("HEAD"), "head")).await?;
        ensure!(head.status == 200 && head.body.is_empty());
        let expected = json!({"method": "HEAD", "route": "/v1/models", "ended": "completed", "bytes_out": 0});
        check(&record(&daemon, "head").await?, &expected)?;
    }
    let model = caller.send(&named(Request::get("/v1/models/tiny"), "model")).await?;
    let expected =
        json!({"route": "/v1/models/{model...}", "path": "/v1/models/tiny", "bytes_out": model.body.len()});
    check(&record(&daemon, "model").await?, &expected)?;
    daemon.stop().await
}

async fn a_refusal_has_its_status_and_its_code(version: Version) -> Result<()> {
    let (double, daemon) = ollama_with("uri_bytes = 100", "").await?;
    let caller = Caller::new(&daemon, version, Family::V4).await?;
    let ask = async |caller: &Caller, request: Request, id: &str| {
        caller.send(&named(request, id)).await?;
        record(&daemon, id).await
    };
    double.misbehave("tiny", Sin::Status("500 Internal Server Error", "{}".to_owned()));
    let failed = ask(&caller, Request::chat("tiny", FRANCE, false), "failed").await?;
    let expected = json!({"level": "WARN", "message": "a chat failed", "status": 502, "code": "backend_error", "ended": "failed"});
    check(&failed, &expected)?;
    ensure!(failed["cause"].as_str().is_some_and(|cause| cause.contains("500")), "{failed:#}");
    // Behind its headers the status is sent already.
    double.misbehave("tiny", Sin::FinAfter(2));
    let broken = ask(&caller, Request::chat("tiny", FRANCE, true), "broken").await?;
    check(&broken, &json!({"level": "WARN", "status": 200, "code": "backend_error", "ended": "failed"}))?;
    ensure!(broken["ttft_ms"].is_u64() && broken["bytes_out"].as_u64() > Some(0), "{broken:#}");
    let nobodys = ask(&caller, Request::chat("nobody's", FRANCE, true), "nobodys").await?;
    let expected = json!({
        "level": "INFO", "message": "a chat was refused", "status": 404, "code": "model_not_found", "ended": "refused",
        "model": "nobody's", "backend": null, "queue_ms": null, "ttft_ms": null, "prompt_tokens": null,
    });
    check(&nobodys, &expected)?;
    let nowhere = ask(&caller, Request::get("/no/where"), "nowhere").await?;
    let expected =
        json!({"status": 404, "code": "unknown_url", "route": null, "path": "/no/where", "ended": "refused"});
    check(&nowhere, &expected)?;
    let stranger = ask(&caller.clone().with_key(None), Request::get("/v1/models"), "stranger").await?;
    let expected =
        json!({"status": 401, "code": "invalid_api_key", "caller": null, "key": null, "http": http(version)});
    check(&stranger, &expected)?;
    let garbage = ask(&caller, Request::post_bytes("/v1/chat/completions", b"{"), "garbage").await?;
    check(&garbage, &json!({"status": 400, "code": "invalid_json", "bytes_in": 1, "model": null}))?;
    // The edge has refused it by its head; what was asked for is told all the same.
    let path = format!("/v1/models?{}", "a".repeat(100));
    let answer = caller.send(&named(Request::get(&path), "long")).await?;
    ensure!(answer.status == 414 && answer.header("x-request-id") == Some("long"), "{:?}", answer.headers);
    let expected = json!({
        "status": 414, "code": "uri_too_long", "http": http(version), "method": "GET", "path": "/v1/models", "from": "127.0.0.1",
        "ended": "refused",
    });
    check(&record(&daemon, "long").await?, &expected)?;
    daemon.stop().await
}

async fn whoever_ends_a_request_is_named(version: Version) -> Result<()> {
    let (double, daemon) = ollama_with("drain_grace = \"200ms\"", "").await?;
    double.misbehave("tiny", Sin::StallAfter(2));
    let made = admin::make(&daemon, &json!({"name": "laptop"})).await?;
    let caller = Caller::keyless(&daemon, version, Family::V4).await?.with_key(Some(&made.key));
    let open = async |id: &str| {
        let mut stream = caller.open(&named(Request::chat("tiny", FRANCE, true), id)).await?;
        stream.until("data: ").await?;
        anyhow::Ok(stream)
    };
    let _left = open("left").await?.leave().await?;
    let expected = json!({"level": "INFO", "message": "a chat was left", "status": 200, "ended": "left", "by": "client"});
    check(&record(&daemon, "left").await?, &expected)?;

    double.misbehave("tiny", Sin::HangBeforeHeaders);
    let request = named(Request::chat("tiny", FRANCE, false), "early");
    let before = double.seen_at("/api/chat").len();
    let asked = async {
        double
            .wait("one more chat", |seen| {
                let chats = seen.iter().filter(|seen| seen.request.path() == "/api/chat");
                (chats.count() > before).then_some(())
            })
            .await;
    };
    let _left = caller.leave_headless(&request, asked).await?;
    let expected = json!({"status": null, "ended": "left", "by": "client", "bytes_out": 0, "ttft_ms": null, "backend": "box"});
    check(&record(&daemon, "early").await?, &expected)?;

    // By the id that its client has chosen, as long as no other open request bears it.
    double.misbehave("tiny", Sin::StallAfter(2));
    let (one, two) = (open("twins").await?, open("twins").await?);
    let cancelled = admin::ask(&daemon, "DELETE", "requests/twins", None).await?;
    ensure!(cancelled.status == 404, "{}", cancelled.text());
    drop((one, two));
    let stream = open("mine").await?;
    admin::done(&daemon, "DELETE", "requests/mine", None).await?;
    stream.finish().await?;
    let expected = json!({"message": "a chat was ended", "ended": "cancelled", "by": "admin", "code": "request_cancelled"});
    check(&record(&daemon, "mine").await?, &expected)?;

    let stream = open("last").await?;
    admin::done(&daemon, "DELETE", &format!("keys/{}", made.id), None).await?;
    stream.finish().await?;
    let expected =
        json!({"ended": "cancelled", "by": "key", "code": "invalid_api_key", "cause": "its key was revoked"});
    check(&record(&daemon, "last").await?, &expected)?;

    let caller = Caller::new(&daemon, version, Family::V4).await?;
    let mut stream = caller.open(&named(Request::chat("tiny", FRANCE, true), "stopped")).await?;
    stream.until("data: ").await?;
    daemon.signal(Signal::SIGTERM)?;
    stream.finish().await?;
    let said = daemon.wait().await?.stderr;
    let all = lines(&said)?;
    let stopped = all.iter().find(|line| line["client_request"] == "stopped").context("no record")?;
    check(stopped, &json!({"ended": "cancelled", "by": "shutdown"}))
}

async fn whoever_leaves_at_the_last_event_was_answered(version: Version) -> Result<()> {
    let (double, daemon) = ollama().await?;
    // It has said all, and its body does not end.
    double.misbehave("tiny", Sin::StallAfter(usize::MAX));
    let caller = Caller::new(&daemon, version, Family::V4).await?;
    let mut stream = caller.open(&named(Request::chat("tiny", FRANCE, true), "last-word")).await?;
    stream.until("[DONE]").await?;
    let _left = stream.leave().await?;
    let expected =
        json!({"level": "INFO", "message": "a chat was answered", "ended": "completed", "by": null});
    check(&record(&daemon, "last-word").await?, &expected)?;
    daemon.stop().await
}

async fn an_engine_whose_body_does_not_end_holds_no_client(version: Version) -> Result<()> {
    let (double, daemon) = ollama().await?;
    double.misbehave("tiny", Sin::StallAfter(usize::MAX));
    let caller = Caller::new(&daemon, version, Family::V4).await?;
    let mut stream = caller.open(&named(Request::chat("tiny", FRANCE, true), "held")).await?;
    stream.until("[DONE]").await?;
    // A second is what its end may take.
    let rest = tokio::time::timeout(Duration::from_secs(5), stream.finish()).await;
    let rest = rest.context("its client waits for the engine's end")??;
    ensure!(rest.end == End::Clean && rest.text().trim().is_empty(), "{:?} {}", rest.end, rest.text());
    let expected =
        json!({"level": "INFO", "message": "a chat was answered", "ended": "completed", "by": null});
    check(&record(&daemon, "held").await?, &expected)?;
    daemon.stop().await
}

#[tokio::test]
async fn what_cannot_be_read_has_its_record_as_well() -> Result<()> {
    let daemon = Daemon::start(&Setup::default().with_limits("header_count = 10")).await?;
    let caller = Caller::keyless(&daemon, Version::H1, Family::V4).await?;
    // Nobody hears anything of what begins as HTTP/2 does, and so it has no record below.
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let answer = raw(daemon.plain(false)?, None, preface).await?;
    ensure!(answer.is_empty(), "{answer}");
    let long = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "x: a\r\n".repeat(10));
    for (bytes, status, code) in
        [("nonsense\r\n\r\n", 400, "invalid_request"), (&long, 431, "header_too_large")]
    {
        let answer = raw(caller.address(), Some(caller.ca()), bytes.as_bytes()).await?;
        ensure!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        daemon.wait_said(&format!("\"code\":\"{code}\"")).await?;
        let all = lines(&daemon.stderr())?;
        let found: Vec<&Value> = all.iter().filter(|line| line["code"] == code).collect();
        ensure!(found.len() == 1, "{found:?}");
        let expected = json!({
            "level": "INFO", "message": "a request was refused", "status": status, "ended": "refused", "http": "HTTP/1.1",
            "from": "127.0.0.1", "method": null, "path": null, "caller": null,
        });
        check(found[0], &expected)?;
    }
    daemon.stop().await
}

/// The fields by which the engine was told of the last chat.
fn told(double: &Double, path: &str) -> Result<[Option<String>; 3]> {
    let seen = double.seen_at(path);
    let request = &seen.last().context("it was not asked")?.request;
    Ok(["x-request-id", "traceparent", "tracestate"].map(|name| request.header(name).map(str::to_owned)))
}

async fn ids_are_kept_returned_and_sent_on(version: Version) -> Result<()> {
    let (double, daemon) = ollama().await?;
    let caller = Caller::new(&daemon, version, Family::V4).await?;
    let chat = || Request::chat("tiny", FRANCE, false);
    let request = named(chat(), "A-b_1.2:3+/=").with("traceparent", PARENT).with("tracestate", "a=1,b=2");
    let answer = caller.send(&request).await?;
    ensure!(answer.header("x-request-id") == Some("A-b_1.2:3+/="), "{:?}", answer.headers);
    let [id, parent, state] = told(&double, "/api/chat")?;
    ensure!(id.as_deref() == Some("A-b_1.2:3+/=") && state.as_deref() == Some("a=1,b=2"), "{id:?} {state:?}");
    let parent = parent.context("no traceparent")?;
    let (ours, theirs) = (&parent[36..52], &PARENT[36..52]);
    ensure!(parent[..36] == PARENT[..36] && parent[52..] == PARENT[52..] && ours != theirs, "{parent}");
    ensure!(answer.header("traceparent") == Some(&parent), "{:?}", answer.headers);
    let line = record(&daemon, "A-b_1.2:3+/=").await?;
    check(&line, &json!({"trace": "4bf92f3577b34da6a3ce929d0e0e4736"}))?;

    // What is none of an id's letters, too long, or a key, is replaced.
    let key = "gllm_0123456789";
    let too_long = "x".repeat(129);
    for insane in ["a b", "a\"b", "{}", key, &too_long] {
        let request = named(chat(), insane).with("traceparent", "00-0-0-00").with("tracestate", "a=1");
        let answer = caller.send(&request).await?;
        let own = answer.header("x-request-id").context("no id")?.to_owned();
        ensure!(own.len() == 32 && own.bytes().all(|byte| byte.is_ascii_hexdigit()), "{own} for {insane}");
        let [id, parent, state] = told(&double, "/api/chat")?;
        ensure!(id.as_deref() == Some(&own) && state.is_none(), "{id:?} {state:?}");
        ensure!(parent.as_ref().is_some_and(|parent| parent.starts_with(&format!("00-{own}-"))), "{insane}");
        ensure!(answer.header("traceparent") == parent.as_deref(), "{:?}", answer.headers);
        daemon.wait_said(&format!("\"request\":\"{own}\"")).await?;
    }
    // An answer without a chat bears one as well, and so does an error.
    for path in ["/v1/models", "/no/where", "/healthz"] {
        let answer = caller.send(&named(Request::get(path), "any").with("traceparent", PARENT)).await?;
        ensure!(answer.header("x-request-id") == Some("any"), "{path}: {:?}", answer.headers);
        let parent = answer.header("traceparent").context("no traceparent")?;
        ensure!(parent.starts_with(&PARENT[..36]) && parent != PARENT, "{path}: {parent}");
    }
    ensure!(!daemon.stderr().contains(key) && !daemon.stderr().contains(&too_long));
    daemon.stop().await
}

#[tokio::test]
async fn a_backend_that_speaks_openai_s_api_is_told_the_ids() -> Result<()> {
    let double = Double::start(OpenAi::new(Style::Llama, "tiny")).await;
    let daemon = Daemon::start(&Setup::backend("openai", &double.url())).await?;
    let caller = Caller::new(&daemon, Version::H1, Family::V4).await?;
    let answer = caller.send(&named(Request::chat("tiny", FRANCE, true), "to-openai")).await?;
    ensure!(answer.status == 200, "{}", answer.text());
    let [id, parent, _] = told(&double, "/v1/chat/completions")?;
    ensure!(id.as_deref() == Some("to-openai") && parent.is_some(), "{id:?} {parent:?}");
    daemon.stop().await
}

#[tokio::test]
async fn nothing_that_a_client_writes_begins_a_record() -> Result<()> {
    let double = Double::start(Ollama::default()).await;
    let setup = Setup::backend("ollama", &double.url()).with_environment("GHOSTLLM_LOG__FORMAT", "text");
    let daemon = Daemon::start(&setup).await?;
    let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
    let evil = "x\r\n2030-01-01T00:00:00.000000Z ERROR all is lost\u{1b}[2J\u{202e}\u{2028}\0";
    let answer = caller.send(&named(Request::chat(evil, evil, false), "evil")).await?;
    ensure!(answer.status == 400, "{}", answer.text());
    let turned = caller.send(&named(Request::chat("x \u{202e}\u{2028} y", FRANCE, false), "turned")).await?;
    ensure!([400, 404].contains(&turned.status), "{}", turned.text());
    let path = "/v1/models/x%0d%0a2030-01-01T00:00:00.000000Z%20ERROR%1b";
    caller.send(&named(Request::get(path), "evil-path")).await?;
    daemon.wait_said("evil-path").await?;
    let said = daemon.stderr();
    for line in said.lines() {
        ensure!(line.starts_with("20") && !line.starts_with("2030"), "{line:?}");
        ensure!(
            !line.contains(|letter: char| letter.is_control() || "\u{202e}\u{2028}".contains(letter)),
            "{line:?}"
        );
    }
    let forged = "x ended=\"completed\" key=abc";
    caller.send(&named(Request::chat(forged, FRANCE, false), "forged")).await?;
    daemon.wait_said("client_request=\"forged\"").await?;
    let quoted = format!("model={forged:?}");
    ensure!(daemon.stderr().contains(&quoted), "{quoted} is not in {}", daemon.stderr());
    let of_it = said.lines().filter(|line| line.contains("client_request=\"evil\"")).count();
    ensure!(of_it == 1, "{said}");
    daemon.stop().await
}

#[tokio::test]
async fn what_one_part_logs_is_changed_while_it_runs() -> Result<()> {
    let setup = |filter: &str| Setup {
        config: format!("[log]\nlevel = \"info\"\nfilter = [{filter}]\n"),
        ..Setup::default()
    };
    let daemon = Daemon::start(&setup("")).await?;
    let caller = Caller::new(&daemon, Version::H1, Family::V4).await?;
    let ask = async |id: &str| caller.send(&named(Request::get("/healthz"), id)).await;
    // How the box is, is asked so often that it is told at `debug`.
    ask("before").await?;
    daemon.reconfigure(&setup("\"ghostllm::pipeline=debug\"")).await?;
    ask("with").await?;
    check(&record(&daemon, "with").await?, &json!({"level": "DEBUG", "route": "/healthz"}))?;
    daemon.reconfigure(&setup("\"ghostllm::pipeline=error\"")).await?;
    ensure!(caller.send(&named(Request::get("/v1/models"), "silent")).await?.status == 200);
    daemon.reconfigure(&setup("\"ghostllm=debug\"")).await?;
    ask("after").await?;
    record(&daemon, "after").await?;
    let said = daemon.stderr();
    ensure!(!said.contains("\"before\"") && !said.contains("\"silent\""), "{said}");
    // A library's own words may hold a request's head.
    daemon.configure(&setup("\"hyper=trace\""))?;
    daemon.signal(Signal::SIGHUP)?;
    daemon.wait_said("\\\"hyper=trace\\\" is no part of this program").await?;
    tokio::time::timeout(Duration::from_secs(20), ask("still")).await??;
    daemon.stop().await
}
