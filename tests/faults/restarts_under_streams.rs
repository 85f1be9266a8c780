//! The engine is restarted while a hundred streams are open: every client is told, and the next one is answered.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use ghostllm_tests::{
    client::Request,
    expect::{FRANCE, check_failed, check_whole},
    script::Sin,
};

use crate::{Cell, in_every_cell};

in_every_cell!(is_told_to_every_stream);

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
    case.double.come_back().await;
    let back = Instant::now();
    check_whole(&case.ask(true).await?, true).context("the first after the restart")?;
    let answered = back.elapsed();
    println!(
        "{STREAMS} of {STREAMS} streams told, the last after {last:?}; the next answered after {answered:?}"
    );
    ensure!(last < TOLD, "the last client was told after {last:?}");
    ensure!(answered < BACK, "the next was answered after {answered:?}");
    case.recovers().await
}
