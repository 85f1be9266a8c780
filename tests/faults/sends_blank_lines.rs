//! The engine sends empty lines and nothing else, as fast as they are taken: never a line that is too long, never silence.

use anyhow::{Result, ensure};
use ghostllm_tests::script::Sin;

use crate::{Case, Cell, NONSENSE, Told, Wire, in_every_cell};

in_every_cell!(is_given_up);

const MIB: u64 = 1 << 20;
/// Nothing is kept of them.
const GROWTH: u64 = 4 * MIB;
/// In JSON they are blanks, and an answer in one piece has a limit of 32 MiB.
const WHOLE_GROWTH: u64 = 48 * MIB;
const LONG_ANSWER: Told = Told(502, "backend_error", "sent more than 33554432 bytes where that is the limit");

async fn is_given_up(cell: Cell) -> Result<()> {
    let case = cell.case(Sin::BlankLinesAfter(0)).await?;
    let before = case.daemon.peak_memory()?;
    case.refused(true, NONSENSE).await?;
    costs_little(&case, before, GROWTH, "no first line").await?;
    case.double.misbehave("tiny", Sin::BlankLinesAfter(cell.pieces(2)));
    case.breaks(NONSENSE).await?;
    costs_little(&case, before, GROWTH, "blank lines behind tokens").await?;
    let (told, most) = match cell.wire {
        Wire::Ollama => (NONSENSE, GROWTH),
        Wire::OpenAi => (LONG_ANSWER, WHOLE_GROWTH),
    };
    case.refused(false, told).await?;
    costs_little(&case, before, most, "blank lines in a whole answer").await?;
    case.recovers().await
}

async fn costs_little(case: &Case, before: u64, most: u64, what: &str) -> Result<()> {
    case.double.wait_left(case.path()).await;
    let growth = case.daemon.peak_memory()?.saturating_sub(before);
    println!("{what}: the peak of the daemon's memory grew by {} KiB", growth >> 10);
    ensure!(growth < most, "the daemon grew by {growth} bytes, where {most} are the most");
    Ok(())
}
