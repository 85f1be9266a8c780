//! The engine compresses its answer, which nobody asked for.

use anyhow::{Result, ensure};
use ghostllm_tests::script::Sin;

use crate::{Cell, NONSENSE, in_every_cell};

in_every_cell!(is_refused);

async fn is_refused(cell: Cell) -> Result<()> {
    let case = cell.case(Sin::Gzip).await?;
    for stream in [false, true] {
        case.refused(stream, NONSENSE).await?;
    }
    let asked = case.double.seen_at(case.path());
    let encoding = asked.iter().find_map(|seen| seen.request.header("accept-encoding"));
    ensure!(encoding.is_none_or(|encoding| encoding == "identity"), "it was asked for: {encoding:?}");
    case.recovers().await
}
