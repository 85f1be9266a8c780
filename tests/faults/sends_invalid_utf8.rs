//! The engine sends bytes that are no UTF-8, which JSON never is (RFC 8259 section 8.1).

use anyhow::Result;
use ghostllm_tests::script::Sin;

use crate::{Cell, NONSENSE, in_every_cell};

in_every_cell!(as_its_first_line, mid_stream);

async fn as_its_first_line(cell: Cell) -> Result<()> {
    let case = cell.case(Sin::InvalidUtf8After(0)).await?;
    for stream in [false, true] {
        case.refused(stream, NONSENSE).await?;
    }
    case.recovers().await
}

async fn mid_stream(cell: Cell) -> Result<()> {
    let case = cell.case(Sin::InvalidUtf8After(cell.pieces(2))).await?;
    case.broken(NONSENSE).await?;
    case.recovers().await
}
