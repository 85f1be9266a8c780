//! The engine sends one line without an end: a gigabyte if it is let.

use anyhow::{Result, ensure};
use ghostllm_tests::script::Sin;

use crate::{Case, Cell, Told, Wire, in_every_cell};

in_every_cell!(is_cut_at_the_limit);

const MIB: u64 = 1 << 20;
/// What such a line may cost: its limit of 1 MiB, twice over while a buffer grows, and what a request costs anyhow.
const GROWTH: u64 = 8 * MIB;
const LONG_LINE: Told = Told(502, "backend_error", "sent more than 1048576 bytes where that is the limit");
/// An answer in one piece has a limit of 32 MiB; the kernel moves buffers of that size, and does not copy them.
const WHOLE_GROWTH: u64 = 32 * MIB + 2 * GROWTH;
const LONG_ANSWER: Told = Told(502, "backend_error", "sent more than 33554432 bytes where that is the limit");

async fn is_cut_at_the_limit(cell: Cell) -> Result<()> {
    let case = cell.case(Sin::EndlessLineAfter(0)).await?;
    let before = case.daemon.peak_memory()?;
    case.refused(true, LONG_LINE).await?;
    costs_little(&case, before, GROWTH, "an endless first line").await?;
    case.double.misbehave("tiny", Sin::EndlessLineAfter(cell.pieces(2)));
    case.breaks(LONG_LINE).await?;
    costs_little(&case, before, GROWTH, "an endless line behind tokens").await?;
    // Ollama is asked for lines, whatever the client wants.
    let (told, most) = match cell.wire {
        Wire::Ollama => (LONG_LINE, GROWTH),
        Wire::OpenAi => (LONG_ANSWER, WHOLE_GROWTH),
    };
    case.refused(false, told).await?;
    costs_little(&case, before, most, "an endless whole answer").await?;
    case.recovers().await
}

async fn costs_little(case: &Case, before: u64, most: u64, what: &str) -> Result<()> {
    case.double.wait_left(case.path()).await;
    let growth = case.daemon.peak_memory()?.saturating_sub(before);
    println!("{what}: the peak of the daemon's memory grew by {} KiB", growth >> 10);
    ensure!(growth < most, "the daemon grew by {growth} bytes, where {most} are the most");
    Ok(())
}
