//! The engine escapes half of a surrogate pair, which is JSON by its grammar and no character (RFC 8259 section 8.2): a text that
//! was cut between the halves, or a tokenizer's leavings. The client gets the character that stands for what is none, and the
//! rest of the answer.

use anyhow::{Result, ensure};
use ghostllm_tests::{
    client::End,
    expect::{PARIS, check_error},
    script::Sin,
    sse::Chat,
};

use crate::{Cell, Wire, in_every_cell};

in_every_cell!(in_a_stream, in_a_whole_answer, in_an_error);

/// Both halves, each by itself, then a whole pair.
const HALVES: &str = r"\ud83d-\ude00 \ud83d\ude00";
const MENDED: &str = "\u{fffd}-\u{fffd} \u{1f600}";

fn piece(wire: Wire) -> &'static str {
    match wire {
        Wire::Ollama => {
            r#"{"message":{"role":"assistant","content":"\ud83d-\ude00 \ud83d\ude00"},"done":false}"#
        }
        Wire::OpenAi => {
            r#"{"choices":[{"index":0,"delta":{"content":"\ud83d-\ude00 \ud83d\ude00"},"finish_reason":null}]}"#
        }
    }
}

fn whole(wire: Wire) -> &'static str {
    match wire {
        Wire::Ollama => {
            r#"{"message":{"role":"assistant","content":"\ud83d-\ude00 \ud83d\ude00"},"done":true,"done_reason":"stop"}"#
        }
        Wire::OpenAi => {
            r#"{"choices":[{"index":0,"message":{"content":"\ud83d-\ude00 \ud83d\ude00"},"finish_reason":"stop"}]}"#
        }
    }
}

async fn in_a_stream(cell: Cell) -> Result<()> {
    ensure!(piece(cell.wire).contains(HALVES), "the piece is another one");
    let case = cell.case(Sin::LineAfter(cell.pieces(2), piece(cell.wire))).await?;
    let answer = case.ask(true).await?;
    let text = answer.text();
    ensure!(answer.status == 200 && answer.end == End::Clean, "{} {:?} {text}", answer.status, answer.end);
    // Every event is read here, by a reader that takes no half.
    let chat = Chat::read(&answer.body)?;
    let due = PARIS.replacen(" of", &format!("{MENDED} of"), 1);
    ensure!(chat.text() == due && chat.done && chat.finishes() == ["stop"], "{text}");
    case.recovers().await
}

async fn in_a_whole_answer(cell: Cell) -> Result<()> {
    ensure!(whole(cell.wire).contains(HALVES), "the answer is another one");
    let case = cell.case(Sin::LineAfter(0, whole(cell.wire))).await?;
    let answer = case.ask(false).await?;
    ensure!(answer.status == 200 && answer.end == End::Clean, "{} {}", answer.status, answer.text());
    let choice = &answer.json()?["choices"][0];
    ensure!(choice["message"]["content"] == MENDED && choice["finish_reason"] == "stop", "{choice}");
    case.recovers().await
}

async fn in_an_error(cell: Cell) -> Result<()> {
    let broken = r#"{"error":{"message":"no room for \ud83d here","code":"context_length_exceeded"}}"#;
    let case = cell.case(Sin::Status("400 Bad Request", broken.to_owned())).await?;
    for stream in [false, true] {
        check_error(&case.ask(stream).await?, 400, Some("context_length_exceeded"))?;
    }
    case.recovers().await
}
