//! The engine is restarted while it gives a hundred answers, streamed or whole: every client is told, and the next one is
//! answered.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use ghostllm_tests::{
    client::Request,
    double::{End, Seen},
    expect::{FRANCE, check_failed, check_whole},
    script::Sin,
};

use crate::{Case, Cell, DIED, Wire, check_refused, in_every_cell};

in_every_cell!(is_told_to_every_stream, is_told_to_whoever_has_no_whole_answer);

const STREAMS: usize = 100;
/// F-56.
const TOLD: Duration = Duration::from_secs(1);
const BACK: Duration = Duration::from_secs(2);

async fn is_told_to_every_stream(cell: Cell) -> Result<()> {
    let mut case = cell.case(Sin::StallAfter(cell.pieces(2))).await?;
    let opened = case.caller().open_many(&Request::chat("tiny", FRANCE, true), STREAMS).await?;
    let begun = opened.into_iter().map(|mut stream| async {
        let said = stream.until(" capital").await?;
        anyhow::Ok((stream, said))
    });
    let streams = try_join_all(begun).await?;
    let died = Instant::now();
    case.double.refuse().await;
    case.double.behave("tiny");
    let ended = streams.into_iter().map(|(stream, said)| async {
        let rest = stream.finish().await?;
        anyhow::Ok((died.elapsed(), [said, rest.body].concat(), rest.end))
    });
    let mut last = Duration::ZERO;
    for (told, body, end) in try_join_all(ended).await? {
        check_failed(cell.version, &body, &end, "The capital", "backend_error")?;
        last = last.max(told);
    }
    println!("{STREAMS} of {STREAMS} streams told, the last after {last:?}");
    ensure!(last < TOLD, "the last client was told after {last:?}");
    comes_back(case, true).await
}

/// Half of the whole answers are complete when the engine ends, and reach their clients; the others are refused.
async fn is_told_to_whoever_has_no_whole_answer(cell: Cell) -> Result<()> {
    let mut case = cell.case(Sin::Gated).await?;
    let (caller, path) = (case.caller().clone(), case.path());
    // Ollama is asked for a stream all the same: ten tokens and the last line. The other's one piece comes in halves.
    let pieces = if cell.wire == Wire::Ollama { 11 } else { 2 };
    let request = Request::chat("tiny", FRANCE, false);
    let asked = caller.open_many(&request, STREAMS);
    let dies = async {
        let asked = |seen: &[Seen]| seen.iter().filter(|seen| seen.request.path() == path).count();
        case.double.wait("a hundred requests", |seen| (asked(seen) >= STREAMS).then_some(())).await;
        case.double.release(STREAMS * pieces - STREAMS / 2);
        let given = |seen: &&Seen| seen.request.path() == path && seen.end == Some(End::Played);
        let half = |seen: &[Seen]| seen.iter().filter(given).count() >= STREAMS / 2;
        case.double.wait("half of them be answered", |seen| half(seen).then_some(())).await;
        case.double.refuse().await;
        Instant::now()
    };
    let (answers, died) = tokio::join!(asked, dies);
    let told = died.elapsed();
    let mut whole = 0;
    for stream in answers? {
        let answer = stream.finish().await?;
        if answer.status == 200 {
            check_whole(&answer, false)?;
            whole += 1;
        } else {
            check_refused(&answer, DIED)?;
        }
    }
    println!("{whole} of {STREAMS} answers whole, the others refused, the last after {told:?}");
    ensure!((STREAMS / 2..STREAMS).contains(&whole), "{whole} answers are whole");
    ensure!(told < TOLD, "the last client was told after {told:?}");
    case.double.behave("tiny");
    comes_back(case, false).await
}

async fn comes_back(mut case: Case, stream: bool) -> Result<()> {
    case.double.come_back().await;
    let back = Instant::now();
    check_whole(&case.ask(stream).await?, stream).context("the first after the restart")?;
    let answered = back.elapsed();
    println!("the next answered after {answered:?}");
    ensure!(answered < BACK, "the next was answered after {answered:?}");
    case.recovers().await
}
