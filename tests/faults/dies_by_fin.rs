//! The engine's process ends: the kernel closes its connection in good order, before or in the middle of the answer.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use ghostllm_tests::{client::Request, expect::FRANCE, script::Sin};

use crate::{Cell, DIED, check_broken, in_every_cell};

in_every_cell!(before_the_headers, before_the_first_token, in_the_middle);

async fn before_the_headers(cell: Cell) -> Result<()> {
    cell.dies_before_the_headers(Sin::FinBeforeHeaders).await
}

async fn before_the_first_token(cell: Cell) -> Result<()> {
    let case = cell.case(Sin::FinAfter(0)).await?;
    for stream in [false, true] {
        case.refused(stream, DIED).await?;
    }
    case.recovers().await
}

async fn in_the_middle(cell: Cell) -> Result<()> {
    let case = cell.case(Sin::GatedFinAfter(cell.pieces(2))).await?;
    let mut stream = case.caller().open(&Request::chat("tiny", FRANCE, true)).await?;
    let said = stream.until(" capital").await?;
    let died = Instant::now();
    case.double.release(1);
    let mut answer = stream.finish().await?;
    let told = died.elapsed();
    println!("the engine's FIN is told after {told:?}");
    // F-54: the client knows within a second.
    ensure!(told < Duration::from_secs(1), "told after {told:?}");
    answer.body.splice(..0, said);
    check_broken(cell.version, &answer, "The capital", DIED)?;
    ensure!(case.double.seen_at(case.path()).len() == 1, "the engine was asked again");
    case.double.misbehave("tiny", Sin::FinAfter(cell.pieces(2)));
    case.refused(false, DIED).await?;
    case.recovers().await
}
