//! A stream's events, one at a time, as a socket gives them.
//!
//! Knows what an engine's line of one token looks like: the recordings' own. Refuses to know requests.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use bytes::BytesMut;
use ghostllm_core::{
    chat::ChatEvent,
    config::Limits,
    dialect::{
        ollama::ChatDecoder,
        openai::{ChunkDecoder, StreamRepair},
        render::{Form, Named, StreamOut},
        responses::parse_response,
    },
};

use crate::Way;

/// Events of a turn.
pub(crate) const PIECES: usize = 100;

/// What an event may cost.
const PROMISED_NS: f64 = 3_000.0;

/// Of an answer's text so much is kept where its end repeats it.
const LIMIT: usize = 8 << 20;

const OLLAMA: &str = include_str!("../../tests-data/ollama/chat.ndjson");
const VLLM: &str = include_str!("../../tests-data/vllm/plain.sse");

/// An event of the middle: the third has a token's text and nothing else.
fn ollama_line() -> Result<Vec<u8>> {
    let line = OLLAMA.lines().nth(2).context("a third line")?;
    Ok(format!("{line}\n").into_bytes())
}

fn vllm_event() -> Result<Vec<u8>> {
    let event = VLLM.split("\n\n").nth(2).context("a third event")?;
    Ok(format!("{event}\n\n").into_bytes())
}

/// Each event's bytes are taken out at once, as they are sent.
fn sent(out: &mut BytesMut) -> usize {
    std::hint::black_box(out.split().freeze()).len()
}

fn passed_on(event: Vec<u8>) -> Way {
    let work = move |pieces| {
        let mut out = BytesMut::new();
        Ok((0..pieces).map(|_| (out.extend_from_slice(&event), sent(&mut out)).1).sum())
    };
    Way { words: "passed on as it came", promised: None, work: Box::new(work) }
}

fn repaired(event: Vec<u8>) -> Way {
    let work = move |pieces| {
        let (mut repair, mut out) = (StreamRepair::new(LIMIT, None), BytesMut::new());
        let mut written = 0;
        for _ in 0..pieces {
            repair.feed(&event, &mut out)?;
            written += sent(&mut out);
        }
        Ok(written)
    };
    Way { words: "vLLM's chunk, looked at and passed on", promised: Some(PROMISED_NS), work: Box::new(work) }
}

/// Reads events of one language, and writes them in the other.
fn translated<R: 'static>(
    words: &'static str,
    form: Form,
    (new, feed): (impl Fn() -> R + 'static, impl Fn(&mut R, &mut Vec<ChatEvent>) -> Result<()> + 'static),
) -> Way {
    let work = move |pieces| {
        let (mut reader, mut out) = (new(), BytesMut::new());
        let mut writer: StreamOut = form.stream(Named { unique: "0123456789abcdef", created: 1 }, LIMIT);
        let mut written = 0;
        for _ in 0..pieces {
            let mut events = Vec::new();
            feed(&mut reader, &mut events)?;
            for event in events {
                writer.event(event, &mut out)?;
            }
            written += sent(&mut out);
        }
        Ok(written)
    };
    Way { words, promised: Some(PROMISED_NS), work: Box::new(work) }
}

fn ollama(words: &'static str, form: Form, line: Vec<u8>) -> Way {
    let feed = move |reader: &mut ChatDecoder, events: &mut Vec<_>| Ok(reader.feed(&line, events)?);
    translated(words, form, (|| ChatDecoder::new("0123456789abcdef", LIMIT), feed))
}

fn openai(words: &'static str, form: Form, event: Vec<u8>) -> Way {
    let feed = move |reader: &mut ChunkDecoder, events: &mut Vec<_>| Ok(reader.feed(&event, events)?);
    translated(words, form, (|| ChunkDecoder::new("0123456789abcdef", LIMIT, 16), feed))
}

/// All that are compared, the bytes themselves first.
pub(crate) fn ways() -> Result<Vec<Way>> {
    let (line, event) = (ollama_line()?, vllm_event()?);
    ensure!(line.ends_with(b"\"done\":false}\n") && event.starts_with(b"data: {"), "other recordings");
    let chat = Form::Chat { model: Arc::from("tiny"), include_usage: false };
    let request = parse_response(br#"{"model":"tiny","input":"Hi","stream":true}"#, &Limits::default())?;
    let response = Form::Response(Arc::new(request.echo));
    Ok(vec![
        passed_on(event.clone()),
        repaired(event.clone()),
        ollama("Ollama's line as a chat's chunk", chat.clone(), line.clone()),
        ollama("Ollama's line as a Responses event", response.clone(), line),
        openai("vLLM's chunk as a Responses event", response, event),
    ])
}
