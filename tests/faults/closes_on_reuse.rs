//! The engine closes a connection that it had kept alive at the moment when the next request arrives on it.

use anyhow::{Result, ensure};
use ghostllm_tests::{expect::check_whole, script::Sin};

use crate::{Cell, in_every_cell};

in_every_cell!(is_asked_again_on_a_new_one);

async fn is_asked_again_on_a_new_one(cell: Cell) -> Result<()> {
    let case = cell.case(Sin::CloseOnReuse).await?;
    for stream in [false, true, false, true] {
        check_whole(&case.ask(stream).await?, stream)?;
    }
    let asked = case.double.seen_at(case.path()).len();
    ensure!(asked > 4, "no connection was kept alive: {asked} requests arrived");
    case.recovers().await
}
