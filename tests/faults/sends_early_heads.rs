//! The engine sends informational responses (RFC 9110 section 15.2) before its answer.

use anyhow::Result;
use ghostllm_tests::{expect::check_whole, script::Sin};

use crate::{Cell, NONSENSE, in_every_cell};

in_every_cell!(are_no_answer, without_end_are_no_answer);

async fn are_no_answer(cell: Cell) -> Result<()> {
    let case = cell.case(Sin::Early).await?;
    for stream in [false, true] {
        check_whole(&case.ask(stream).await?, stream)?;
    }
    case.recovers().await
}

/// They are given up by their number, long before the time is over in which the first byte must come.
async fn without_end_are_no_answer(cell: Cell) -> Result<()> {
    let case = cell.case(Sin::EndlessEarly).await?;
    for stream in [false, true] {
        case.refused(stream, NONSENSE).await?;
        case.double.wait_left(case.path()).await;
    }
    case.recovers().await
}
