//! The engine takes the request and says nothing: before its headers, or before the first byte of its body.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use ghostllm_tests::{
    client::{Caller, Event, Family, PATIENCE, Request, Stream, VERSIONS, Version},
    expect::{FRANCE, PARIS, check_whole},
    script::Sin,
    sse::Chat,
};

use crate::{Cell, SILENT, Wire, check_broken, check_refused, in_every_cell};

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
        case.refused(stream, SILENT).await?;
    }
    case.double.wait_left(case.path()).await;
    case.recovers().await
}

async fn too_long_once_the_client_has_its_headers(cell: Cell) -> Result<()> {
    let limits = "header_wait = \"50ms\"\nsse_keep_alive = \"50ms\"";
    let case = cell.with(Sin::HangBeforeHeaders, limits, "timeouts = { first_byte = \"500ms\" }").await?;
    let answer = case.ask(true).await?;
    ensure!(Chat::read(&answer.body)?.comments > 0, "{}", answer.text());
    check_broken(cell.version, &answer, "", SILENT)?;
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

/// How an engine's silence of 40 s ends.
#[derive(Debug, Clone, Copy)]
enum Then {
    /// By its answer.
    Answer,
    /// By its limit.
    GivenUp,
}

/// With the limits as they ship. All engines, wires and versions at once, streaming and not, since each does little but wait.
#[tokio::test]
async fn forty_seconds_are_bridged() -> Result<()> {
    let given_up = "timeouts = { first_byte = \"40s\" }";
    let silences = [Wire::Ollama, Wire::OpenAi].into_iter().flat_map(|wire| {
        [
            silence(wire, Sin::LateBy(SILENCE), "", Then::Answer),
            silence(wire, Sin::LateBodyBy(SILENCE), "", Then::Answer),
            silence(wire, Sin::HangBeforeFirstByte, given_up, Then::GivenUp),
        ]
    });
    try_join_all(silences).await?;
    Ok(())
}

/// One engine, asked over each version for a stream and for a whole answer.
async fn silence(wire: Wire, sin: Sin, backend: &str, then: Then) -> Result<()> {
    let case = Cell { wire, version: Version::H1 }.with(sin.clone(), "", backend).await?;
    let mut legs = Vec::new();
    for version in VERSIONS {
        let caller = Caller::new(&case.daemon, version, Family::V4).await?;
        for streamed in [true, false] {
            let (caller, number) = (caller.clone(), legs.len() + 1);
            let opened = tokio::spawn(async move {
                let request = Request::chat("tiny", FRANCE, streamed);
                caller.open_within(&request, SILENCE + PATIENCE).await
            });
            // A client's start takes its time; the engine hears of a request as soon as the daemon does.
            case.double
                .wait("the request", |seen| {
                    let asked = seen.iter().filter(|seen| seen.request.path() == case.path());
                    (asked.count() >= number).then_some(())
                })
                .await;
            let asked = Instant::now();
            let sin = &sin;
            legs.push(async move {
                let stream = opened.await??;
                let bridged = if streamed {
                    bridged(stream, version, asked, then).await
                } else {
                    awaited(stream, asked, then).await
                };
                bridged.with_context(|| format!("{wire:?} {sin:?} {version:?}, streamed: {streamed}"))
            });
        }
    }
    try_join_all(legs).await?;
    case.recovers().await
}

async fn bridged(mut stream: Stream, version: Version, asked: Instant, then: Then) -> Result<()> {
    check_due(asked, EVERY, "the headers")?;
    let mut body = Vec::new();
    for due in [EVERY, EVERY * 2] {
        let more = data(&mut stream).await?;
        ensure!(more == b": keep-alive\n\n", "no keep-alive: {}", String::from_utf8_lossy(&more));
        check_due(asked, due, "a keep-alive")?;
        body.extend(more);
    }
    let mut answer = stream.finish().await?;
    check_due(asked, SILENCE, "the end")?;
    answer.body.splice(..0, body);
    ensure!(Chat::read(&answer.body)?.comments == 2, "{}", answer.text());
    match then {
        Then::Answer => check_whole(&answer, true),
        Then::GivenUp => check_broken(version, &answer, "", SILENT),
    }
}

/// A whole answer has nothing to send meanwhile, and comes all the same.
async fn awaited(stream: Stream, asked: Instant, then: Then) -> Result<()> {
    check_due(asked, SILENCE, "the headers")?;
    let answer = stream.finish().await?;
    match then {
        Then::Answer => check_whole(&answer, false),
        Then::GivenUp => check_refused(&answer, SILENT),
    }
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
