//! The engine sends informational responses (RFC 9110 section 15.2) before its answer.

use anyhow::Result;
use ghostllm_tests::{expect::check_whole, script::Sin};

use crate::{Cell, SILENT, in_every_cell};

in_every_cell!(are_no_answer, without_end_are_silence);

async fn are_no_answer(cell: Cell) -> Result<()> {
    let case = cell.case(Sin::Early).await?;
    for stream in [false, true] {
        check_whole(&case.ask(stream).await?, stream)?;
    }
    case.recovers().await
}

async fn without_end_are_silence(cell: Cell) -> Result<()> {
    let case = cell.with(Sin::EndlessEarly, "", "timeouts = { first_byte = \"300ms\" }").await?;
    for stream in [false, true] {
        case.refused(stream, SILENT).await?;
        case.double.wait_left(case.path()).await;
    }
    case.recovers().await
}
