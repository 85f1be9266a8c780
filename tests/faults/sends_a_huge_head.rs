//! The engine's headers are too long, too many, or without an end.

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{expect::check_whole, script::Sin};

use crate::{Cell, NONSENSE, in_every_cell};

in_every_cell!(is_no_answer, without_an_end_is_cut);

/// The limit of 32 KiB, what else is read at a time, and what a request costs anyhow.
const GROWTH: u64 = 4 << 20;

async fn is_no_answer(cell: Cell) -> Result<()> {
    let long = format!("X-Long: {}\r\n", "a".repeat(32 << 10));
    let many: String = (0..101).map(|number| format!("X-{number}: a\r\n")).collect();
    // Below the limits it is an answer.
    let much: String = (0..80).map(|number| format!("X-{number}: {}\r\n", "a".repeat(300))).collect();
    let case = cell.case(Sin::Fields(much)).await?;
    for stream in [false, true] {
        check_whole(&case.ask(stream).await?, stream)?;
    }
    for (what, fields) in [("a long one", long), ("many", many)] {
        case.double.misbehave("tiny", Sin::Fields(fields));
        for stream in [false, true] {
            case.refused(stream, NONSENSE).await.context(what)?;
        }
    }
    case.recovers().await
}

async fn without_an_end_is_cut(cell: Cell) -> Result<()> {
    let case = cell.case(Sin::EndlessHead).await?;
    let before = case.daemon.peak_memory()?;
    for stream in [false, true] {
        case.refused(stream, NONSENSE).await?;
        case.double.wait_left(case.path()).await;
    }
    let growth = case.daemon.peak_memory()?.saturating_sub(before);
    println!("an endless head: the peak of the daemon's memory grew by {} KiB", growth >> 10);
    ensure!(growth < GROWTH, "the daemon grew by {growth} bytes");
    case.recovers().await
}
