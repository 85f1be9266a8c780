//! The engine's machine or kernel resets the connection in the middle of the answer.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use ghostllm_tests::{
    client::Request,
    expect::{FRANCE, check_failed},
    script::Sin,
};

use crate::{Cell, in_every_cell};

in_every_cell!(mid_stream, mid_answer);

async fn mid_stream(cell: Cell) -> Result<()> {
    let case = cell.case(Sin::RstAfter(cell.pieces(2))).await?;
    let mut stream = case.caller().open(&Request::chat("tiny", FRANCE, true)).await?;
    let mut body = stream.until(" capital").await?;
    let reset = Instant::now();
    case.double.release(1);
    let rest = stream.finish().await?;
    // F-54, S10: the client knows within a second.
    ensure!(reset.elapsed() < Duration::from_secs(1), "told after {:?}", reset.elapsed());
    body.extend(rest.body);
    check_failed(cell.version, &body, &rest.end, "The capital", "backend_error")?;
    case.recovers().await
}

async fn mid_answer(cell: Cell) -> Result<()> {
    let case = cell.case(Sin::RstAfter(cell.pieces(2))).await?;
    case.double.release(1);
    case.refused(false, 502, "backend_error").await?;
    case.recovers().await
}
