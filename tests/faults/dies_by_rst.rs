//! The engine's machine or kernel resets the connection, before or in the middle of the answer.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use ghostllm_tests::{client::Request, expect::FRANCE, script::Sin};

use crate::{Cell, DIED, check_broken, in_every_cell};

in_every_cell!(before_the_headers, before_the_first_token, in_the_middle);

async fn before_the_headers(cell: Cell) -> Result<()> {
    cell.dies_before_the_headers(Sin::RstBeforeHeaders).await
}

/// The reset overtakes the headers or follows them; for the client that is the same.
async fn before_the_first_token(cell: Cell) -> Result<()> {
    let case = cell.case(Sin::RstAfter(0)).await?;
    for stream in [false, true] {
        case.double.release(2);
        case.refused(stream, DIED).await?;
    }
    case.recovers().await
}

async fn in_the_middle(cell: Cell) -> Result<()> {
    let case = cell.case(Sin::RstAfter(cell.pieces(2))).await?;
    let mut stream = case.caller().open(&Request::chat("tiny", FRANCE, true)).await?;
    let said = stream.until(" capital").await?;
    let reset = Instant::now();
    case.double.release(1);
    let mut answer = stream.finish().await?;
    let told = reset.elapsed();
    println!("the engine's RST is told after {told:?}");
    // F-54, S10: the client knows within a second.
    ensure!(told < Duration::from_secs(1), "told after {told:?}");
    answer.body.splice(..0, said);
    check_broken(cell.version, &answer, "The capital", DIED)?;
    ensure!(case.double.seen_at(case.path()).len() == 1, "the engine was asked again");
    case.double.release(2);
    case.refused(false, DIED).await?;
    case.recovers().await
}
