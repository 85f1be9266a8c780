//! The engine ends its body in good order, but never says that the answer is complete.

use anyhow::Result;
use ghostllm_tests::script::Sin;

use crate::{Cell, in_every_cell};

in_every_cell!(is_no_end);

async fn is_no_end(cell: Cell) -> Result<()> {
    let case = cell.case(Sin::EndWithoutDone(0)).await?;
    for stream in [false, true] {
        case.refused(stream, 502, "backend_error").await?;
    }
    case.double.misbehave("tiny", Sin::EndWithoutDone(cell.pieces(2)));
    case.broken(502, "backend_error").await?;
    case.recovers().await
}
