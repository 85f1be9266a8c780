//! The engine's answer is good, and its Content-Type says that it is something else, or nothing at all.
//!
//! What is labelled as something else is refused, however it looks: a proxy's page must never be taken for an answer
//! (F-55). What has no label is judged by its content, which is checked anyhow (RFC 9110 section 8.3).

use anyhow::{Context, Result};
use ghostllm_tests::{expect::check_whole, script::Sin};

use crate::{Cell, NONSENSE, Wire, in_every_cell};

in_every_cell!(another_is_refused, none_is_believed, another_spelling_is_the_same);

async fn another_is_refused(cell: Cell) -> Result<()> {
    let (streamed, whole): (&[_], &[_]) = match cell.wire {
        // A whole answer of Ollama is JSON, and one line of it.
        Wire::Ollama => (&["text/html", "text/event-stream"], &["text/html", "text/event-stream"]),
        Wire::OpenAi => {
            (&["text/html", "application/json", "application/x-ndjson"], &["text/html", "text/event-stream"])
        }
    };
    let case = cell.case(Sin::Type(None)).await?;
    for (stream, kinds) in [(true, streamed), (false, whole)] {
        for kind in kinds {
            case.double.misbehave("tiny", Sin::Type(Some(kind)));
            case.refused(stream, NONSENSE).await.context(*kind)?;
        }
    }
    case.recovers().await
}

async fn none_is_believed(cell: Cell) -> Result<()> {
    let case = cell.case(Sin::Type(None)).await?;
    for stream in [false, true] {
        check_whole(&case.ask(stream).await?, stream)?;
    }
    case.recovers().await
}

async fn another_spelling_is_the_same(cell: Cell) -> Result<()> {
    let case = cell.case(Sin::Type(None)).await?;
    let kinds = match cell.wire {
        Wire::Ollama => {
            [(true, "Application/X-NDJSON"), (true, "application/json"), (false, "APPLICATION/JSON")]
        }
        Wire::OpenAi => [
            (true, "TEXT/event-stream"),
            (true, "text/event-stream ; charset=\"utf-8\""),
            (false, "Application/JSON;charset=UTF-8"),
        ],
    };
    for (stream, kind) in kinds {
        case.double.misbehave("tiny", Sin::Type(Some(kind)));
        check_whole(&case.ask(stream).await?, stream).context(kind)?;
    }
    case.recovers().await
}
