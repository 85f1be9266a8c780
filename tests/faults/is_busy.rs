//! The engine has no room, or the conversation no room in the engine: its own words, made ours.

use anyhow::{Result, ensure};
use ghostllm_tests::{client::Version, on_every_version, script::Sin};

use crate::{Cell, Told, Wire};

on_every_version!(is_told_with_a_time, an_overlong_prompt_is_the_clients);

async fn is_told_with_a_time(version: Version) -> Result<()> {
    // Two blanks, as recorded.
    let text = "{\"error\":\"server busy, please try again.  maximum pending requests exceeded\"}";
    let sin = Sin::Status("503 Service Unavailable", text.into());
    let case = Cell { wire: Wire::Ollama, version }.case(sin).await?;
    for stream in [false, true] {
        let answer = case.refused(stream, Told(503, "queue_full", "every waiting place is taken")).await?;
        ensure!(answer.header("retry-after").is_some(), "no Retry-After");
    }
    case.recovers().await
}

const TOO_LONG: Told = Told(400, "context_length_exceeded", "exceeds the available context size");

async fn an_overlong_prompt_is_the_clients(version: Version) -> Result<()> {
    let text = r#"{"error":"{\"error\":{\"code\":400,\"message\":\"request (12009 tokens) exceeds the available context size (2048 tokens), try increasing it\",\"type\":\"exceed_context_size_error\",\"n_prompt_tokens\":12009,\"n_ctx\":2048}}"}"#;
    let case = Cell { wire: Wire::Ollama, version }.case(Sin::Status("400 Bad Request", text.into())).await?;
    for stream in [false, true] {
        case.refused(stream, TOO_LONG).await?;
    }
    case.recovers().await
}
