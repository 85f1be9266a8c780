//! What a client is told when the engine misbehaves, on every version: a status before the headers, the final event after.

use anyhow::{Result, ensure};
use ghostllm_tests::{
    client::{Caller, End, Family, Request, Version},
    script::Sin,
    sse::Chat,
};

use crate::{FRANCE, PARIS, check_error, check_error_object, ollama, on_every_version, sinner};

on_every_version!(
    says_503_while_the_engine_is_down,
    says_504_when_the_engine_hangs,
    says_502_for_garbage,
    passes_on_that_the_engine_is_busy,
    ends_a_broken_stream_with_its_error,
    ends_a_reset_stream_with_its_error,
    ends_a_stalled_stream_with_a_timeout,
    keeps_a_silent_stream_alive,
    times_out_after_the_headers_with_an_event,
);

async fn says_503_while_the_engine_is_down(version: Version) -> Result<()> {
    let (mut double, daemon) = ollama().await?;
    let caller = Caller::new(&daemon, version, Family::V4).await?;
    ensure!(caller.send(&Request::chat("tiny", FRANCE, false)).await?.status == 200, "it must work before");
    double.refuse().await;
    for stream in [false, true] {
        let answer = caller.send(&Request::chat("tiny", FRANCE, stream)).await?;
        check_error(&answer, 503, Some("backend_unavailable"))?;
        let wait = answer.header("retry-after").and_then(|wait| wait.parse::<u32>().ok());
        ensure!(wait.is_some_and(|wait| wait > 0), "Retry-After is {:?}", answer.header("retry-after"));
    }
    daemon.stop().await
}

async fn says_504_when_the_engine_hangs(version: Version) -> Result<()> {
    for sin in [Sin::HangBeforeHeaders, Sin::HangBeforeFirstByte] {
        let (double, daemon) =
            sinner(sin, "", "timeouts = { first_byte = \"300ms\", idle = \"300ms\" }").await?;
        let caller = Caller::new(&daemon, version, Family::V4).await?;
        for stream in [false, true] {
            check_error(
                &caller.send(&Request::chat("tiny", FRANCE, stream)).await?,
                504,
                Some("backend_timeout"),
            )?;
        }
        double.wait_left("/api/chat").await;
        daemon.stop().await?;
    }
    Ok(())
}

async fn says_502_for_garbage(version: Version) -> Result<()> {
    let (double, daemon) = ollama().await?;
    let caller = Caller::new(&daemon, version, Family::V4).await?;
    let sins = [
        Sin::Garbage,
        Sin::Page,
        Sin::Gzip,
        Sin::InvalidUtf8After(0),
        Sin::EndlessLine,
        Sin::FinAfter(0),
        Sin::EndWithoutDone(0),
        Sin::Status(
            "500 Internal Server Error",
            "{\"error\":\"llama runner process has terminated\"}".into(),
        ),
        Sin::Status("418 I'm a teapot", "not even JSON".into()),
    ];
    for sin in sins {
        double.misbehave("tiny", sin.clone());
        for stream in [false, true] {
            let answer = caller.send(&Request::chat("tiny", FRANCE, stream)).await?;
            check_error(&answer, 502, Some("backend_error"))
                .map_err(|cause| cause.context(format!("{sin:?} {stream}")))?;
            ensure!(!answer.text().contains("DOCTYPE"), "the engine's page was passed on");
        }
    }
    double.behave("tiny");
    ensure!(caller.send(&Request::chat("tiny", FRANCE, false)).await?.status == 200, "it must work again");
    daemon.stop().await
}

async fn passes_on_that_the_engine_is_busy(version: Version) -> Result<()> {
    let text = "{\"error\":\"server busy, please try again.  maximum pending requests exceeded\"}";
    let (double, daemon) = sinner(Sin::Status("503 Service Unavailable", text.into()), "", "").await?;
    let caller = Caller::new(&daemon, version, Family::V4).await?;
    let answer = caller.send(&Request::chat("tiny", FRANCE, true)).await?;
    check_error(&answer, 503, Some("queue_full"))?;
    ensure!(answer.header("retry-after").is_some(), "no Retry-After");
    let text = r#"{"error":"{\"error\":{\"code\":400,\"message\":\"request (12009 tokens) exceeds the available context size (2048 tokens), try increasing it\",\"type\":\"exceed_context_size_error\",\"n_prompt_tokens\":12009,\"n_ctx\":2048}}"}"#;
    double.misbehave("tiny", Sin::Status("400 Bad Request", text.into()));
    check_error(
        &caller.send(&Request::chat("tiny", FRANCE, true)).await?,
        400,
        Some("context_length_exceeded"),
    )?;
    daemon.stop().await
}

/// The stream's end as a failure must look: the text so far, the error as the last event, no `[DONE]`; on HTTP/2 and 3 a
/// reset behind it.
fn check_failed(version: Version, body: &[u8], end: &End, code: &str) -> Result<()> {
    let text = String::from_utf8_lossy(body);
    let chat = Chat::read(body)?;
    ensure!(chat.text().starts_with("The capital") && PARIS.starts_with(&chat.text()), "{text}");
    ensure!(!chat.done && chat.finishes().is_empty(), "it looks complete: {text}");
    check_error_object(chat.error().ok_or_else(|| anyhow::anyhow!("no error event: {text}"))?, Some(code))?;
    match version {
        Version::H1 => ensure!(*end == End::Clean, "HTTP/1.1 must end the body cleanly: {end:?}"),
        Version::H2 | Version::H3 => ensure!(matches!(end, End::Broken(_)), "a reset must follow: {end:?}"),
    }
    Ok(())
}

async fn ends_a_broken_stream_with_its_error(version: Version) -> Result<()> {
    let (double, daemon) = ollama().await?;
    let caller = Caller::new(&daemon, version, Family::V4).await?;
    let sins = [
        Sin::FinAfter(2),
        Sin::EndWithoutDone(2),
        Sin::InvalidUtf8After(2),
        Sin::ErrorAfter(2, "an error was encountered while running the model: unexpected EOF".into()),
    ];
    for sin in sins {
        double.misbehave("tiny", sin.clone());
        let answer = caller.send(&Request::chat("tiny", FRANCE, true)).await?;
        ensure!(answer.status == 200, "{sin:?}: {} {}", answer.status, answer.text());
        check_failed(version, &answer.body, &answer.end, "backend_error")
            .map_err(|cause| cause.context(format!("{sin:?}")))?;
    }
    daemon.stop().await
}

async fn ends_a_reset_stream_with_its_error(version: Version) -> Result<()> {
    let (double, daemon) = sinner(Sin::RstAfter(2), "", "").await?;
    let caller = Caller::new(&daemon, version, Family::V4).await?;
    let mut stream = caller.open(&Request::chat("tiny", FRANCE, true)).await?;
    let mut body = stream.until(" capital").await?;
    double.release(1);
    let rest = stream.finish().await?;
    body.extend(rest.body);
    check_failed(version, &body, &rest.end, "backend_error")?;
    daemon.stop().await
}

async fn ends_a_stalled_stream_with_a_timeout(version: Version) -> Result<()> {
    let (double, daemon) = sinner(Sin::StallAfter(2), "", "timeouts = { idle = \"300ms\" }").await?;
    let caller = Caller::new(&daemon, version, Family::V4).await?;
    let answer = caller.send(&Request::chat("tiny", FRANCE, true)).await?;
    check_failed(version, &answer.body, &answer.end, "backend_timeout")?;
    double.wait_left("/api/chat").await;
    daemon.stop().await
}

async fn keeps_a_silent_stream_alive(version: Version) -> Result<()> {
    let limits = "header_wait = \"50ms\"\nsse_keep_alive = \"50ms\"";
    let (double, daemon) = sinner(Sin::Gated, limits, "").await?;
    let caller = Caller::new(&daemon, version, Family::V4).await?;
    let mut stream = caller.open(&Request::chat("tiny", FRANCE, true)).await?;
    ensure!(stream.status == 200, "{}", stream.status);
    let mut body = Vec::new();
    // Two comments, so that the second shows that they go on.
    for _ in 0..2 {
        body.extend(stream.until(":").await?);
        ensure!(
            body.starts_with(b":"),
            "the engine has said nothing yet: {}",
            String::from_utf8_lossy(&body)
        );
    }
    double.release(100);
    let rest = stream.finish().await?;
    body.extend(&rest.body);
    let chat = Chat::read(&body)?;
    ensure!(chat.done && chat.text() == PARIS && chat.comments >= 2, "{}", String::from_utf8_lossy(&body));
    daemon.stop().await
}

async fn times_out_after_the_headers_with_an_event(version: Version) -> Result<()> {
    let limits = "header_wait = \"50ms\"\nsse_keep_alive = \"50ms\"";
    let (_double, daemon) =
        sinner(Sin::HangBeforeHeaders, limits, "timeouts = { first_byte = \"500ms\" }").await?;
    let caller = Caller::new(&daemon, version, Family::V4).await?;
    let answer = caller.send(&Request::chat("tiny", FRANCE, true)).await?;
    let chat = Chat::read(&answer.body)?;
    ensure!(answer.status == 200 && !chat.done && chat.comments > 0, "{} {}", answer.status, answer.text());
    let error = chat.error().ok_or_else(|| anyhow::anyhow!("no error event: {}", answer.text()))?;
    check_error_object(error, Some("backend_timeout"))?;
    daemon.stop().await
}
