//! The engine says in its stream that it has failed, behind some tokens, and ends in good order.

use anyhow::{Result, ensure};
use ghostllm_tests::script::Sin;

use crate::{Cell, Told, in_every_cell};

in_every_cell!(is_told, is_told_as_its_first_word);

const DEATH: &str = "an error was encountered while running the model: unexpected EOF";
const TOLD: Told = Told(502, "backend_error", DEATH);

async fn is_told(cell: Cell) -> Result<()> {
    let case = cell.case(Sin::ErrorAfter(cell.pieces(2), DEATH.into())).await?;
    case.broken(TOLD).await?;
    case.recovers().await
}

async fn is_told_as_its_first_word(cell: Cell) -> Result<()> {
    let case = cell.case(Sin::ErrorAfter(0, DEATH.into())).await?;
    for stream in [false, true] {
        let answer = case.refused(stream, TOLD).await?;
        ensure!(answer.header("content-type") == Some("application/json"), "{:?}", answer.headers);
    }
    case.recovers().await
}
