//! The engine's process ends: the kernel closes its connection in good order, before or in the middle of the answer.

use anyhow::Result;
use ghostllm_tests::script::Sin;

use crate::{Cell, in_every_cell};

in_every_cell!(before_the_first_token, mid_stream);

async fn before_the_first_token(cell: Cell) -> Result<()> {
    let case = cell.case(Sin::FinAfter(0)).await?;
    for stream in [false, true] {
        case.refused(stream, 502, "backend_error").await?;
    }
    case.recovers().await
}

async fn mid_stream(cell: Cell) -> Result<()> {
    let case = cell.case(Sin::FinAfter(cell.pieces(2))).await?;
    case.broken(502, "backend_error").await?;
    case.recovers().await
}
