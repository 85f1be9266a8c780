//! The engine ends its body in good order, but never says that the answer is complete.

use anyhow::Result;
use ghostllm_tests::script::Sin;

use crate::{Cell, DIED, ENDED_EARLY, Wire, in_every_cell};

in_every_cell!(is_no_end);

async fn is_no_end(cell: Cell) -> Result<()> {
    let case = cell.case(Sin::EndWithoutDone(0)).await?;
    // Of an answer that the engine gives in one piece, the length says that it is not all there.
    let whole = if cell.wire == Wire::Ollama { ENDED_EARLY } else { DIED };
    case.refused(false, whole).await?;
    case.refused(true, ENDED_EARLY).await?;
    case.double.misbehave("tiny", Sin::EndWithoutDone(cell.pieces(2)));
    case.refused(false, whole).await?;
    case.breaks(ENDED_EARLY).await?;
    case.recovers().await
}
