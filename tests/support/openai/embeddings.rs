//! `POST /v1/embeddings`: as recorded of engines that answer chats alone, and as their sources have it of those that were started
//! for embeddings, of which there is no recording.
//!
//! Knows what marks each engine out. Refuses to know what a vector means. Invariant: the vector of an input is its length and its
//! place, so that a test sees which is which.

use serde_json::{Value, json};

use super::{OpenAi, Style};
use crate::{script::Reply, wire::Incoming};

/// What llama.cpp's server says that was started without `--embeddings`.
const NONE: &str = "{\"error\":{\"code\":501,\"message\":\"This server does not support embeddings. Start it with \
    `--embeddings`\",\"type\":\"not_supported_error\"}}";

pub(super) fn answer(engine: &OpenAi, request: &Incoming) -> Reply {
    let mut reply = match engine.style {
        // It has no such route, whatever it serves.
        Style::Transformers => engine.whole("404 Not Found", engine.no_route()),
        Style::Vllm if !engine.embeds => engine.whole("404 Not Found", engine.no_route()),
        Style::Llama if !engine.embeds => engine.whole("501 Not Implemented", NONE),
        Style::Llama | Style::Vllm => vectors(engine, &request.json()),
    };
    reply.generated = true;
    reply
}

fn vectors(engine: &OpenAi, body: &Value) -> Reply {
    let name = body["model"].as_str().unwrap_or_default();
    if name != engine.model && engine.style == Style::Vllm {
        let text = format!("The model `{name}` does not exist.");
        return engine.refuse("404 Not Found", 404, &text, "NotFoundError");
    }
    let input = &body["input"];
    let is_one = input.is_string() || input[0].is_number();
    let one = [input.clone()];
    let inputs = if is_one { &one[..] } else { input.as_array().map(Vec::as_slice).unwrap_or_default() };
    let length =
        |input: &Value| input.as_str().map_or_else(|| input.as_array().map_or(0, Vec::len), str::len);
    let data: Vec<Value> = inputs
        .iter()
        .enumerate()
        .map(|(place, input)| {
            let embedding = written(length(input), place, body["encoding_format"] == "base64");
            json!({"embedding": embedding, "index": place, "object": "embedding"})
        })
        .collect();
    let tokens: usize = inputs.iter().map(length).sum();
    let mut whole = json!({"model": engine.model, "object": "list", "data": data,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens}});
    if engine.style == Style::Vllm {
        whole["id"] = "embd-9f4f4dbca126abee".into();
        whole["created"] = 1_795_431_484.into();
    }
    engine.whole("200 OK", &whole.to_string())
}

/// The vector (length, place), of numbers below 256 that are halves.
fn written(length: usize, place: usize, base64: bool) -> Value {
    let number = |count: usize| f32::from(u8::try_from(count).unwrap_or(u8::MAX)) + 0.5;
    let vector = [number(length), number(place)];
    if base64 { encoded(&vector).into() } else { json!(vector) }
}

/// Base64 as RFC 4648 has it, letter by letter.
fn encoded(vector: &[f32]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits =
            three.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for place in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place > three.len() { '=' } else { char::from(letter) });
        }
    }
    text
}
