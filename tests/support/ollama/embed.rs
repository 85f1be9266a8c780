//! `POST /api/embed`: checks in the real server's order, then a vector for each text.
//!
//! Knows the endpoint's keys, the error texts, and the recorded vectors of the recorded texts. Refuses to know what a vector means.
//! Invariant: the same text gets the same vector, of length 1 in Euclid's norm; shortened ones are brought to it again.

use std::sync::LazyLock;

use serde_json::Value;

use super::{Shelf, error, go, json};
use crate::{script::Reply, wire::Incoming};

/// What its runner says of a model whose file names no pooling (205).
const NONE: &str = "This server does not support embeddings. Start it with `--embeddings`";
/// Tokens that fit (082).
const LONGEST: usize = 2046;
/// Numbers in a vector, as long as the recorded ones.
const LENGTH: usize = 128;

static ONE: LazyLock<Vec<Vec<f32>>> =
    LazyLock::new(|| recorded(include_str!("../../recordings/ollama/075-embed-one.response.http")));
static TWO: LazyLock<Vec<Vec<f32>>> =
    LazyLock::new(|| recorded(include_str!("../../recordings/ollama/076-embed-list.response.http")));
static CUT: LazyLock<Vec<Vec<f32>>> = LazyLock::new(|| {
    recorded(include_str!("../../recordings/ollama/082-embed-too-long-truncate.response.http"))
});

/// The vectors of a recorded answer, whose body lies in one chunk.
fn recorded(response: &str) -> Vec<Vec<f32>> {
    let (start, end) = (response.find("{\"model\"").unwrap(), response.rfind('}').unwrap());
    let body: Value = serde_json::from_str(&response[start..=end]).unwrap();
    serde_json::from_value(body["embeddings"].clone()).unwrap()
}

/// Answers one request.
pub(super) fn embed(request: &Incoming, shelf: &mut Shelf) -> Reply {
    if request.body.is_empty() {
        return error("400 Bad Request", "missing request body");
    }
    let Ok(body) = serde_json::from_slice::<Value>(&request.body) else {
        return error("400 Bad Request", "unexpected EOF");
    };
    let Some(texts) = texts(&body["input"]) else { return error("400 Bad Request", "invalid input type") };
    let name = body["model"].as_str().unwrap_or_default();
    let Some(model) = shelf.find(name) else {
        return error("404 Not Found", &format!("model \"{name}\" not found, try pulling it first"));
    };
    let embeds = model.embeds;
    shelf.load(name);
    let mut reply = if texts.is_empty() {
        json("200 OK", &format!("{{\"model\":{},\"embeddings\":[]}}", go::quote(name)))
    } else if embeds {
        vectors(name, &body, &texts)
    } else {
        error("501 Not Implemented", NONE)
    };
    reply.generated = true;
    reply
}

/// The texts; none where something else is among them.
fn texts(input: &Value) -> Option<Vec<&str>> {
    match input {
        Value::Null => Some(Vec::new()),
        Value::String(text) if text.is_empty() => Some(Vec::new()),
        Value::String(text) => Some(vec![text]),
        Value::Array(all) => all.iter().map(Value::as_str).collect(),
        _ => None,
    }
}

fn vectors(name: &str, body: &Value, texts: &[&str]) -> Reply {
    let too_long = texts.iter().any(|text| tokens(text) > LONGEST);
    if too_long && body["truncate"] == false {
        return error("400 Bad Request", "the input length exceeds the context length");
    }
    let wanted = body["dimensions"].as_u64().and_then(|wanted| usize::try_from(wanted).ok());
    let vectors: Vec<String> = texts
        .iter()
        .map(|text| {
            let mut vector = vector(text);
            if let Some(wanted) = wanted.filter(|wanted| (1..vector.len()).contains(wanted)) {
                vector.truncate(wanted);
                normalise(&mut vector);
            }
            let numbers: Vec<String> = vector.into_iter().map(go::float32).collect();
            format!("[{}]", numbers.join(","))
        })
        .collect();
    let count: usize = texts.iter().map(|text| tokens(text).min(LONGEST)).sum();
    json(
        "200 OK",
        &format!(
            "{{\"model\":{},\"embeddings\":[{}],\"total_duration\":5040740,\"load_duration\":836938,\
             \"prompt_eval_count\":{count}}}",
            go::quote(name),
            vectors.join(",")
        ),
    )
}

/// The recorded counts for the recorded texts, else one that grows with the words.
fn tokens(text: &str) -> usize {
    match text {
        "hello" => 2,
        "world" => 4,
        text => 1 + text.split_whitespace().count(),
    }
}

fn vector(text: &str) -> Vec<f32> {
    match text {
        "hello" => ONE[0].clone(),
        "world" => TWO[1].clone(),
        text if tokens(text) > LONGEST => CUT[0].clone(),
        text => generated(text),
    }
}

/// Numbers that hang on the text alone (FNV-1a, then a multiplicative step for each).
fn generated(text: &str) -> Vec<f32> {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in text.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    let mut vector: Vec<f32> = (0..LENGTH)
        .map(|_| {
            hash = hash.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            let byte = u8::try_from(hash >> 56).unwrap_or_default();
            f32::from(byte) - 127.5
        })
        .collect();
    normalise(&mut vector);
    vector
}

/// In the width and the order in which the real server does it, so that its recorded numbers come out.
fn normalise(vector: &mut [f32]) {
    let sum: f32 = vector.iter().fold(0.0, |sum, number| sum + number * number);
    let factor = 1.0 / sum.sqrt();
    for number in vector {
        *number *= factor;
    }
}
