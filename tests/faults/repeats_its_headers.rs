//! The engine, or a proxy before it, sends a header twice.

use anyhow::{Context, Result};
use ghostllm_tests::{expect::check_whole, script::Sin};

use crate::{Cell, NONSENSE, Wire, in_every_cell};

in_every_cell!(with_the_same_value_or_another);

async fn with_the_same_value_or_another(cell: Cell) -> Result<()> {
    let kind = if cell.wire == Wire::Ollama { "application/x-ndjson" } else { "text/event-stream" };
    let same = format!("Content-Type: {kind}\r\nServer: a\r\nServer: b\r\nServer: b\r\n");
    let case = cell.case(Sin::Fields(same)).await?;
    check_whole(&case.ask(true).await?, true)?;
    // Nobody is asked which of two he means, and so it is no matter which comes first.
    for fields in ["Content-Type: text/html\r\n", "Content-Encoding: identity\r\nContent-Encoding: gzip\r\n"]
    {
        case.double.misbehave("tiny", Sin::Fields(fields.into()));
        for stream in [false, true] {
            case.refused(stream, NONSENSE).await.context(fields)?;
        }
    }
    // Chunks go before a length (RFC 9112 section 6.3); of two lengths, none is right.
    case.double.misbehave("tiny", Sin::Fields("Content-Length: 7\r\n".into()));
    check_whole(&case.ask(true).await?, true)?;
    match cell.wire {
        Wire::Ollama => check_whole(&case.ask(false).await?, false)?,
        Wire::OpenAi => drop(case.refused(false, NONSENSE).await?),
    }
    case.recovers().await
}
