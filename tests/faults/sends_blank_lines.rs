//! The engine sends empty lines and nothing else, as fast as they are taken: never a line that is too long, never silence.

use anyhow::Result;
use ghostllm_tests::script::Sin;

use crate::{Cell, LONG_ANSWER, NONSENSE, Wire, in_every_cell};

in_every_cell!(is_given_up);

const MIB: u64 = 1 << 20;
/// Nothing is kept of them.
const GROWTH: u64 = 4 * MIB;
/// In JSON they are blanks, and an answer in one piece has a limit of 32 MiB.
const WHOLE_GROWTH: u64 = 48 * MIB;

async fn is_given_up(cell: Cell) -> Result<()> {
    let case = cell.case(Sin::BlankLinesAfter(0)).await?;
    let before = case.daemon.peak_memory()?;
    case.refused(true, NONSENSE).await?;
    case.costs_little(before, GROWTH, "no first line").await?;
    case.double.misbehave("tiny", Sin::BlankLinesAfter(cell.pieces(2)));
    case.breaks(NONSENSE).await?;
    case.costs_little(before, GROWTH, "blank lines behind tokens").await?;
    let (told, most) = match cell.wire {
        Wire::Ollama => (NONSENSE, GROWTH),
        Wire::OpenAi => (LONG_ANSWER, WHOLE_GROWTH),
    };
    case.refused(false, told).await?;
    case.costs_little(before, most, "blank lines in a whole answer").await?;
    case.recovers().await
}
