//! The engine sends one line without an end: a gigabyte if it is let.

use anyhow::{Result, ensure};
use ghostllm_tests::script::Sin;

use crate::{Cell, in_every_cell};

in_every_cell!(is_cut_at_the_limit);

/// What such a line may cost: its limit of 1 MiB, twice over while a buffer grows, and what a request costs anyhow.
const GROWTH: u64 = 8 << 20;

async fn is_cut_at_the_limit(cell: Cell) -> Result<()> {
    let case = cell.case(Sin::EndlessLine).await?;
    let before = case.daemon.peak_memory()?;
    for stream in [false, true] {
        case.refused(stream, 502, "backend_error").await?;
        case.double.wait_left(case.path()).await;
    }
    let growth = case.daemon.peak_memory()?.saturating_sub(before);
    println!("an endless line: the peak of the daemon's memory grew by {} KiB", growth >> 10);
    ensure!(growth < GROWTH, "the daemon grew by {growth} bytes");
    case.recovers().await
}
