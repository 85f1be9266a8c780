//! The engine begins a chunk (RFC 9112 section 7.1) whose length does not end: zeros before it are allowed, in any number.

use anyhow::Result;
use ghostllm_tests::script::Sin;

use crate::{Cell, NONSENSE, in_every_cell};

in_every_cell!(is_given_up);

async fn is_given_up(cell: Cell) -> Result<()> {
    let case = cell.case(Sin::EndlessChunkSizeAfter(0)).await?;
    for stream in [false, true] {
        case.refused(stream, NONSENSE).await?;
        case.double.wait_left(case.path()).await;
    }
    case.double.misbehave("tiny", Sin::EndlessChunkSizeAfter(cell.pieces(2)));
    case.breaks(NONSENSE).await?;
    case.recovers().await
}
