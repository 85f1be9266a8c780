//! The engine sends empty lines and nothing else, as fast as they are taken: never a line that is too long, never silence.

use anyhow::{Result, ensure};
use ghostllm_tests::script::Sin;

use crate::{Case, Cell, NONSENSE, Told, Wire, in_every_cell};

in_every_cell!(instead_of_its_first, after_tokens);

const MIB: u64 = 1 << 20;
/// Nothing is kept of them.
const GROWTH: u64 = 4 * MIB;
/// In JSON they are blanks, and an answer in one piece has a limit of 32 MiB.
const WHOLE_GROWTH: u64 = 48 * MIB;
const LONG_ANSWER: Told = Told(502, "backend_error", "sent more than 33554432 bytes where that is the limit");

async fn instead_of_its_first(cell: Cell) -> Result<()> {
    let case = cell.case(Sin::BlankLinesAfter(0)).await?;
    let before = case.daemon.peak_memory()?;
    case.refused(true, NONSENSE).await?;
    costs_little(&case, before, GROWTH).await?;
    whole_is_given_up(&case, before).await?;
    case.recovers().await
}

async fn after_tokens(cell: Cell) -> Result<()> {
    let case = cell.case(Sin::BlankLinesAfter(cell.pieces(2))).await?;
    let before = case.daemon.peak_memory()?;
    case.breaks(NONSENSE).await?;
    costs_little(&case, before, GROWTH).await?;
    whole_is_given_up(&case, before).await?;
    case.recovers().await
}

async fn whole_is_given_up(case: &Case, before: u64) -> Result<()> {
    let (told, most) = match case.wire() {
        Wire::Ollama => (NONSENSE, GROWTH),
        Wire::OpenAi => (LONG_ANSWER, WHOLE_GROWTH),
    };
    case.refused(false, told).await?;
    costs_little(case, before, most).await
}

async fn costs_little(case: &Case, before: u64, most: u64) -> Result<()> {
    case.double.wait_left(case.path()).await;
    let growth = case.daemon.peak_memory()?.saturating_sub(before);
    println!("blank lines without an end: the peak of the daemon's memory grew by {} KiB", growth >> 10);
    ensure!(growth < most, "the daemon grew by {growth} bytes, where {most} are the most");
    Ok(())
}
