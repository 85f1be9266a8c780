//! The engine sends one line without an end: a gigabyte if it is let.

use anyhow::{Result, ensure};
use ghostllm_tests::script::Sin;

use crate::{Case, Cell, Told, Wire, in_every_cell};

in_every_cell!(as_its_first, after_tokens);

const MIB: u64 = 1 << 20;
/// What such a line may cost: its limit of 1 MiB, twice over while a buffer grows, and what a request costs anyhow.
const GROWTH: u64 = 8 * MIB;
const LONG_LINE: Told = Told(502, "backend_error", "sent more than 1048576 bytes where that is the limit");
/// An answer in one piece has a limit of 32 MiB; the kernel moves buffers of that size, and does not copy them.
const WHOLE_GROWTH: u64 = 32 * MIB + 2 * GROWTH;
const LONG_ANSWER: Told = Told(502, "backend_error", "sent more than 33554432 bytes where that is the limit");

async fn as_its_first(cell: Cell) -> Result<()> {
    let case = cell.case(Sin::EndlessLineAfter(0)).await?;
    let before = case.daemon.peak_memory()?;
    case.refused(true, LONG_LINE).await?;
    costs_little(&case, before, GROWTH, "an endless first line").await?;
    whole_is_cut(&case, before).await?;
    case.recovers().await
}

async fn after_tokens(cell: Cell) -> Result<()> {
    let case = cell.case(Sin::EndlessLineAfter(cell.pieces(2))).await?;
    let before = case.daemon.peak_memory()?;
    case.breaks(LONG_LINE).await?;
    costs_little(&case, before, GROWTH, "an endless line behind tokens").await?;
    whole_is_cut(&case, before).await?;
    case.recovers().await
}

/// Ollama is asked for lines, whatever the client wants.
async fn whole_is_cut(case: &Case, before: u64) -> Result<()> {
    let (told, most) = match case.wire() {
        Wire::Ollama => (LONG_LINE, GROWTH),
        Wire::OpenAi => (LONG_ANSWER, WHOLE_GROWTH),
    };
    case.refused(false, told).await?;
    costs_little(case, before, most, "an endless whole answer").await
}

async fn costs_little(case: &Case, before: u64, most: u64, what: &str) -> Result<()> {
    case.double.wait_left(case.path()).await;
    let growth = case.daemon.peak_memory()?.saturating_sub(before);
    println!("{what}: the peak of the daemon's memory grew by {} KiB", growth >> 10);
    ensure!(growth < most, "the daemon grew by {growth} bytes, where {most} are the most");
    Ok(())
}
