//! The engine falls silent in the middle of its answer and keeps the connection.

use anyhow::Result;
use ghostllm_tests::script::Sin;

use crate::{Cell, STOPPED, in_every_cell};

in_every_cell!(is_given_up);

async fn is_given_up(cell: Cell) -> Result<()> {
    let sin = Sin::StallAfter(cell.pieces(2));
    let case = cell.with(sin, "", "timeouts = { idle = \"300ms\" }").await?;
    case.broken(STOPPED).await?;
    case.double.wait_left(case.path()).await;
    case.recovers().await
}
