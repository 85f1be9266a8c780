//! A page of HTML where JSON should be, as a proxy before the engine sends it.

use anyhow::{Result, ensure};
use ghostllm_tests::script::Sin;

use crate::{Cell, in_every_cell};

in_every_cell!(with_a_good_status, with_a_bad_one);

async fn with_a_good_status(cell: Cell) -> Result<()> {
    never_passed_on(cell, Sin::Page).await
}

async fn with_a_bad_one(cell: Cell) -> Result<()> {
    never_passed_on(cell, Sin::Status("502 Bad Gateway", "<!DOCTYPE html><title>nginx</title>".into())).await
}

async fn never_passed_on(cell: Cell, sin: Sin) -> Result<()> {
    let case = cell.case(sin).await?;
    for stream in [false, true] {
        let answer = case.refused(stream, 502, "backend_error").await?;
        ensure!(!answer.text().contains("<!DOCTYPE"), "the page was passed on: {}", answer.text());
    }
    case.recovers().await
}
