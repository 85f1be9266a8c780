//! One line of a good answer is no JSON, or JSON of another form. What follows it is good, and must not hide that something
//! is missing.

use anyhow::{Context, Result};
use ghostllm_tests::script::Sin;

use crate::{Cell, NONSENSE, Wire, in_every_cell};

in_every_cell!(as_its_first_line, after_tokens);

const NO_JSON: &str = "{\"tokens\": twelve}";
const OTHER_JSON: &str = "[\"The\",\" capital\"]";

/// A line that was cut off, and its rest lost.
fn cut(wire: Wire) -> &'static str {
    match wire {
        Wire::Ollama => "{\"message\":{\"role\":\"assistant\",\"content\":\" of\"},\"done\":fal",
        Wire::OpenAi => "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\" of\"},\"finish_reason\":nul",
    }
}

async fn as_its_first_line(cell: Cell) -> Result<()> {
    let case = cell.case(Sin::LineAfter(0, "")).await?;
    for (line, stream) in
        [(cut(cell.wire), true), (cut(cell.wire), false), (NO_JSON, true), (OTHER_JSON, false)]
    {
        case.double.misbehave("tiny", Sin::LineAfter(0, line));
        case.refused(stream, NONSENSE).await.context(line)?;
    }
    case.recovers().await
}

async fn after_tokens(cell: Cell) -> Result<()> {
    let case = cell.case(Sin::LineAfter(0, "")).await?;
    for line in [NO_JSON, OTHER_JSON, cut(cell.wire)] {
        case.double.misbehave("tiny", Sin::LineAfter(cell.pieces(2), line));
        case.breaks(NONSENSE).await.context(line)?;
    }
    case.refused(false, NONSENSE).await?;
    case.recovers().await
}
