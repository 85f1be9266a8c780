//! The engine's Content-Length is not the length of its body.

use anyhow::Result;
use ghostllm_tests::{expect::check_whole, script::Sin};

use crate::{Cell, DIED, ENDED_EARLY, NONSENSE, Wire, in_every_cell};

in_every_cell!(longer_than_its_body, shorter_than_its_body);

/// A stream that has said its last word is complete, whatever was announced; one JSON document that is cut is not.
async fn longer_than_its_body(cell: Cell) -> Result<()> {
    let case = cell.case(Sin::LongLength).await?;
    check_whole(&case.ask(true).await?, true)?;
    match cell.wire {
        // Ollama is always asked for a stream.
        Wire::Ollama => check_whole(&case.ask(false).await?, false)?,
        Wire::OpenAi => drop(case.refused(false, DIED).await?),
    }
    case.recovers().await
}

async fn shorter_than_its_body(cell: Cell) -> Result<()> {
    let case = cell.case(Sin::ShortLength).await?;
    case.breaks(ENDED_EARLY).await?;
    // Half of a document is none.
    let whole = if cell.wire == Wire::Ollama { ENDED_EARLY } else { NONSENSE };
    case.refused(false, whole).await?;
    case.recovers().await
}
