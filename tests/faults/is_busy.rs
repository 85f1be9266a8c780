//! The engine has no room, or is not ready, or the conversation has no room in the engine: its own words, made ours.

use anyhow::{Context, Result, ensure};
use ghostllm_tests::script::Sin;

use crate::{Cell, Told, Wire, in_every_cell};

in_every_cell!(is_told_with_a_time, is_told_as_its_first_word, an_overlong_prompt_is_the_clients);

const FULL: Told = Told(503, "queue_full", "every waiting place is taken");
const BUSY: Told = Told(429, "rate_limit_exceeded", "is busy");
const LOADING: Told = Told(503, "backend_unavailable", "Loading model");
const TOO_LONG: Told = Told(400, "context_length_exceeded", "exceeds the available context size");

const UNAVAILABLE: &str = "503 Service Unavailable";
const TOO_MANY: &str = "429 Too Many Requests";

/// What engines answer instead of an answer.
fn answers(wire: Wire) -> Vec<(&'static str, &'static str, Told)> {
    match wire {
        // Two blanks, as recorded.
        Wire::Ollama => vec![
            (
                UNAVAILABLE,
                r#"{"error":"server busy, please try again.  maximum pending requests exceeded"}"#,
                FULL,
            ),
            (TOO_MANY, r#"{"error":"too many concurrent requests"}"#, BUSY),
        ],
        // Ollama's own /v1, SGLang's queue, Hugging Face's text-generation-inference, llama.cpp's server while it starts.
        Wire::OpenAi => vec![
            (
                UNAVAILABLE,
                r#"{"error":{"message":"server busy, please try again.  maximum pending requests exceeded","type":"api_error","param":null,"code":null}}"#,
                FULL,
            ),
            (
                UNAVAILABLE,
                r#"{"object":"error","message":"The request queue is full.","type":"ServiceUnavailable","param":null,"code":503}"#,
                FULL,
            ),
            (TOO_MANY, r#"{"error":"Model is overloaded","error_type":"overloaded"}"#, BUSY),
            (
                UNAVAILABLE,
                r#"{"error":{"message":"Loading model","type":"unavailable_error","code":503}}"#,
                LOADING,
            ),
        ],
    }
}

async fn is_told_with_a_time(cell: Cell) -> Result<()> {
    let case = cell.case(Sin::HangBeforeHeaders).await?;
    for (status, body, told) in answers(cell.wire) {
        case.double.misbehave("tiny", Sin::Status(status, body.into()));
        for stream in [false, true] {
            let answer = case.refused(stream, told).await.context(body)?;
            let wait = answer.header("retry-after").and_then(|wait| wait.parse::<u32>().ok());
            ensure!(wait.is_some_and(|wait| wait > 0), "{body}: Retry-After {wait:?}");
        }
    }
    case.recovers().await
}

/// SGLang begins a stream well, and says in its first event that its queue was full. Ollama never does.
async fn is_told_as_its_first_word(cell: Cell) -> Result<()> {
    let (line, told) = match cell.wire {
        Wire::OpenAi => (r#"{"error":{"message":"The request queue is full.","code":503},"code":503}"#, FULL),
        Wire::Ollama => (
            r#"{"error":"server busy, please try again."}"#,
            Told(502, "backend_error", "server busy, please try again."),
        ),
    };
    let case = cell.case(Sin::LineAfter(0, line)).await?;
    for stream in [false, true] {
        let answer = case.refused(stream, told).await?;
        ensure!(answer.header("retry-after").is_some() == (told.0 == 503), "{:?}", answer.headers);
    }
    case.recovers().await
}

async fn an_overlong_prompt_is_the_clients(cell: Cell) -> Result<()> {
    // Ollama has llama.cpp's error as a text within its own.
    let text = match cell.wire {
        Wire::Ollama => {
            r#"{"error":"{\"error\":{\"code\":400,\"message\":\"request (12009 tokens) exceeds the available context size (2048 tokens), try increasing it\",\"type\":\"exceed_context_size_error\",\"n_prompt_tokens\":12009,\"n_ctx\":2048}}"}"#
        }
        Wire::OpenAi => {
            r#"{"error":{"code":400,"message":"request (12009 tokens) exceeds the available context size (2048 tokens), try increasing it","type":"exceed_context_size_error","n_prompt_tokens":12009,"n_ctx":2048}}"#
        }
    };
    let case = cell.case(Sin::Status("400 Bad Request", text.into())).await?;
    for stream in [false, true] {
        case.refused(stream, TOO_LONG).await?;
    }
    case.recovers().await
}
