//! Something that is no HTTP answers at the engine's port.

use anyhow::Result;
use ghostllm_tests::script::Sin;

use crate::{Cell, NONSENSE, in_every_cell};

in_every_cell!(is_never_passed_on);

async fn is_never_passed_on(cell: Cell) -> Result<()> {
    let case = cell.case(Sin::Garbage).await?;
    for stream in [false, true] {
        case.refused(stream, NONSENSE).await?;
    }
    case.recovers().await
}
