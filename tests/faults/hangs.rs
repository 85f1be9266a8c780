//! The engine takes the request and says nothing: before its headers, or before the first byte of its body.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    client::{Event, Request, Stream, VERSIONS, Version},
    expect::{FRANCE, PARIS, check_error_object, check_whole},
    script::Sin,
    sse::Chat,
};

use crate::{Cell, Wire, in_every_cell};

in_every_cell!(
    too_long_before_the_headers,
    too_long_after_the_headers,
    too_long_once_the_client_has_its_headers,
    is_bridged_by_empty_deltas,
);

const IMPATIENT: &str = "timeouts = { first_byte = \"300ms\", idle = \"300ms\" }";

async fn too_long_before_the_headers(cell: Cell) -> Result<()> {
    times_out(cell, Sin::HangBeforeHeaders).await
}

async fn too_long_after_the_headers(cell: Cell) -> Result<()> {
    times_out(cell, Sin::HangBeforeFirstByte).await
}

async fn times_out(cell: Cell, sin: Sin) -> Result<()> {
    let case = cell.with(sin, "", IMPATIENT).await?;
    for stream in [false, true] {
        case.refused(stream, 504, "backend_timeout").await?;
    }
    case.double.wait_left(case.path()).await;
    case.recovers().await
}

async fn too_long_once_the_client_has_its_headers(cell: Cell) -> Result<()> {
    let limits = "header_wait = \"50ms\"\nsse_keep_alive = \"50ms\"";
    let case = cell.with(Sin::HangBeforeHeaders, limits, "timeouts = { first_byte = \"500ms\" }").await?;
    let answer = case.ask(true).await?;
    let chat = Chat::read(&answer.body)?;
    ensure!(answer.status == 200 && !chat.done && chat.comments > 0, "{} {}", answer.status, answer.text());
    let error = chat.error().with_context(|| format!("no error event: {}", answer.text()))?;
    check_error_object(error, Some("backend_timeout"))?;
    case.recovers().await
}

async fn is_bridged_by_empty_deltas(cell: Cell) -> Result<()> {
    let limits = "header_wait = \"50ms\"\nsse_keep_alive = \"50ms\"\nkeep_alive_style = \"empty-delta\"";
    let case = cell.with(Sin::LateBy(Duration::from_millis(400)), limits, "").await?;
    let answer = case.ask(true).await?;
    let chat = Chat::read(&answer.body)?;
    ensure!(chat.comments == 0 && chat.text() == PARIS && chat.done, "{}", answer.text());
    let empty = chat.chunks.iter().filter(|chunk| {
        let choice = &chunk["choices"][0];
        choice["finish_reason"].is_null() && choice["delta"].get("content").is_none_or(|text| text == "")
    });
    // The role's delta may be empty as well.
    ensure!(empty.count() >= 3, "too few empty deltas: {}", answer.text());
    case.recovers().await
}

/// By default the headers wait 15 s, and something comes every 15 s.
const SILENCE: Duration = Duration::from_secs(40);
const EVERY: Duration = Duration::from_secs(15);
/// How much later than due a busy machine may send.
const LATE: Duration = Duration::from_secs(2);

/// With the limits as they ship. All versions and wires at once, since each does little but wait.
#[tokio::test]
async fn forty_seconds_are_bridged() -> Result<()> {
    let streams = VERSIONS.map(|version| Box::pin(bridged(version)));
    let wholes = VERSIONS.map(|version| Box::pin(awaited(version)));
    let streams = async { futures_util::future::try_join_all(streams).await };
    let wholes = async { futures_util::future::try_join_all(wholes).await };
    tokio::try_join!(streams, wholes)?;
    Ok(())
}

async fn bridged(version: Version) -> Result<()> {
    let cell = Cell { wire: if version == Version::H2 { Wire::OpenAi } else { Wire::Ollama }, version };
    let case = cell.case(Sin::LateBy(SILENCE)).await?;
    let asked = Instant::now();
    let mut stream = case.caller().open_within(&Request::chat("tiny", FRANCE, true), EVERY + LATE).await?;
    check_due(asked, EVERY, "the headers").with_context(|| format!("{version:?}"))?;
    let mut body = Vec::new();
    for due in [EVERY, EVERY * 2] {
        body.extend(data(&mut stream).await?);
        ensure!(body.ends_with(b"\n\n") && body.starts_with(b":"), "{version:?}: {body:?}");
        check_due(asked, due, "a keep-alive").with_context(|| format!("{version:?}"))?;
    }
    let rest = stream.finish().await?;
    check_due(asked, SILENCE, "the answer").with_context(|| format!("{version:?}"))?;
    body.extend(&rest.body);
    let chat = Chat::read(&body)?;
    ensure!(
        chat.text() == PARIS && chat.done && chat.comments == 2,
        "{version:?}: {}",
        String::from_utf8_lossy(&body)
    );
    case.daemon.stop().await
}

/// A whole answer has nothing to send meanwhile, and comes all the same.
async fn awaited(version: Version) -> Result<()> {
    let case = Cell { wire: Wire::Ollama, version }.case(Sin::LateBy(SILENCE)).await?;
    let request = Request::chat("tiny", FRANCE, false);
    let answer = case.caller().open_within(&request, SILENCE + LATE).await?.finish().await?;
    check_whole(&answer, false).with_context(|| format!("{version:?}"))?;
    case.daemon.stop().await
}

async fn data(stream: &mut Stream) -> Result<Vec<u8>> {
    match stream.next().await? {
        Event::Data(data) => Ok(data),
        Event::End(end) => anyhow::bail!("the stream ended: {end:?}"),
    }
}

fn check_due(asked: Instant, due: Duration, what: &str) -> Result<()> {
    let passed = asked.elapsed();
    ensure!(
        (due..due + LATE).contains(&(passed + Duration::from_millis(50))),
        "{what} came after {passed:?}, due {due:?}"
    );
    Ok(())
}
