//! The engine sends one line without an end: a gigabyte if it is let.

use anyhow::Result;
use ghostllm_tests::script::Sin;

use crate::{Cell, LONG_ANSWER, Told, Wire, in_every_cell};

in_every_cell!(is_cut_at_the_limit);

const MIB: u64 = 1 << 20;
/// What such a line may cost: its limit of 1 MiB, twice over while a buffer grows, and what a request costs anyhow.
const GROWTH: u64 = 8 * MIB;
const LONG_LINE: Told = Told(502, "backend_error", "sent more than 1048576 bytes where that is the limit");
/// An answer in one piece has a limit of 32 MiB; the kernel moves buffers of that size, and does not copy them.
const WHOLE_GROWTH: u64 = 32 * MIB + 2 * GROWTH;

async fn is_cut_at_the_limit(cell: Cell) -> Result<()> {
    let case = cell.case(Sin::EndlessLineAfter(0)).await?;
    let before = case.daemon.peak_memory()?;
    case.refused(true, LONG_LINE).await?;
    case.costs_little(before, GROWTH, "an endless first line").await?;
    case.double.misbehave("tiny", Sin::EndlessLineAfter(cell.pieces(2)));
    case.breaks(LONG_LINE).await?;
    case.costs_little(before, GROWTH, "an endless line behind tokens").await?;
    // Ollama is asked for lines, whatever the client wants.
    let (told, most) = match cell.wire {
        Wire::Ollama => (LONG_LINE, GROWTH),
        Wire::OpenAi => (LONG_ANSWER, WHOLE_GROWTH),
    };
    case.refused(false, told).await?;
    case.costs_little(before, most, "an endless whole answer").await?;
    case.recovers().await
}
