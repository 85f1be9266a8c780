//! A page of HTML where JSON should be, as a proxy before the engine sends it.

use anyhow::{Result, ensure};
use ghostllm_tests::script::Sin;

use crate::{Cell, NONSENSE, Told, in_every_cell};

in_every_cell!(with_a_good_status, with_a_bad_one);

async fn with_a_good_status(cell: Cell) -> Result<()> {
    never_passed_on(cell, Sin::Page, NONSENSE).await
}

async fn with_a_bad_one(cell: Cell) -> Result<()> {
    let sin = Sin::Status("502 Bad Gateway", "<!DOCTYPE html><title>nginx</title>".into());
    never_passed_on(cell, sin, Told(502, "backend_error", "The engine behind this model failed.")).await
}

async fn never_passed_on(cell: Cell, sin: Sin, told: Told) -> Result<()> {
    let case = cell.case(sin).await?;
    for stream in [false, true] {
        let answer = case.refused(stream, told).await?;
        ensure!(!answer.text().contains("<!DOCTYPE"), "the page was passed on: {}", answer.text());
    }
    case.recovers().await
}
