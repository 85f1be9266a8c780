//! The engine's answer is good, and its Content-Type says that it is something else, or nothing at all.
//!
//! What is labelled as something else is refused, however it looks: a proxy's page must never be taken for an answer
//! (F-55). What has no label, or that of any text, is judged by its content, which is checked anyhow (RFC 9110 section 8.3).

use anyhow::{Context, Result};
use ghostllm_tests::{expect::check_whole, script::Sin};

use crate::{Cell, NONSENSE, Wire, in_every_cell};

in_every_cell!(another_is_refused, none_or_another_spelling_is_not);

async fn another_is_refused(cell: Cell) -> Result<()> {
    let labels = match cell.wire {
        Wire::Ollama => [(true, "text/html"), (true, "text/event-stream"), (false, "text/html")],
        Wire::OpenAi => [(true, "text/html"), (true, "application/json"), (false, "text/event-stream")],
    };
    let case = cell.case(Sin::Type(None)).await?;
    for (stream, label) in labels {
        case.double.misbehave("tiny", Sin::Type(Some(label)));
        case.refused(stream, NONSENSE).await.with_context(|| format!("{label}, stream {stream}"))?;
    }
    case.recovers().await
}

async fn none_or_another_spelling_is_not(cell: Cell) -> Result<()> {
    let (stream, whole) = match cell.wire {
        // A whole answer of Ollama is JSON, and one line of its stream.
        Wire::Ollama => ("Application/X-NDJSON", "APPLICATION/JSON"),
        Wire::OpenAi => ("TEXT/Event-Stream ; charset=\"utf-8\"", "Application/JSON;charset=UTF-8"),
    };
    let case = cell.case(Sin::Type(None)).await?;
    let plain = Some("text/plain; charset=utf-8");
    let labels = [
        (true, None),
        (true, plain),
        (true, Some(stream)),
        (false, None),
        (false, plain),
        (false, Some(whole)),
    ];
    for (stream, label) in labels {
        case.double.misbehave("tiny", Sin::Type(label));
        check_whole(&case.ask(stream).await?, stream)
            .with_context(|| format!("{label:?}, stream {stream}"))?;
    }
    case.recovers().await
}
