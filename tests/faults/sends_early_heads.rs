//! The engine sends informational responses (RFC 9110 section 15.2) before its answer.

use anyhow::Result;
use ghostllm_tests::{expect::check_whole, script::Sin};

use crate::{Cell, in_every_cell};

in_every_cell!(are_no_answer);

async fn are_no_answer(cell: Cell) -> Result<()> {
    let case = cell.case(Sin::Early).await?;
    for stream in [false, true] {
        check_whole(&case.ask(stream).await?, stream)?;
    }
    case.recovers().await
}
