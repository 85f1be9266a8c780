//! Vectors of texts, from the demo with a word on pooling in its head.

use crate::support::{Engine, Reply, add_pooled};
use serde_json::{Value, json};

const MEAN: u32 = 1;
const FIRST: u32 = 2;
const LAST: u32 = 3;
const SCORE: u32 = 4;

fn embed(engine: &Engine, more: &Value) -> Reply {
    let mut body = json!({"model": "mean"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    engine.post("/v1/embeddings", &body.to_string())
}

fn vectors(reply: &Reply) -> Vec<Vec<f64>> {
    assert_eq!(reply.status, 200, "{}", reply.body);
    let data = reply.json()["data"].as_array().unwrap().clone();
    for (index, entry) in data.iter().enumerate() {
        assert_eq!((&entry["object"], &entry["index"]), (&json!("embedding"), &json!(index)));
    }
    let numbers = |entry: &Value| serde_json::from_value(entry["embedding"].clone()).unwrap();
    data.iter().map(numbers).collect()
}

fn product(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn start() -> Engine {
    let engine = Engine::start(&[]);
    for (name, pooling) in [("mean", MEAN), ("first", FIRST), ("last", LAST), ("score", SCORE)] {
        add_pooled(&engine, name, pooling);
    }
    engine
}

#[test]
fn each_text_has_a_vector_of_length_one_and_of_its_own() {
    let engine = start();
    let texts = ["What is the capital of France?", "What is the capital of Italy?", "Count from 3 to 9."];
    let reply = embed(&engine, &json!({ "input": texts }));
    let together = vectors(&reply);
    assert_eq!(together.len(), 3);
    for vector in &together {
        assert_eq!(vector.len(), 128);
        assert!((product(vector, vector) - 1.0).abs() < 1e-5);
    }
    let near = product(&together[0], &together[1]);
    assert!(near > product(&together[0], &together[2]) && near < 1.0, "{near}");
    // Each is the same alone.
    for (text, vector) in texts.iter().zip(&together) {
        assert_eq!(&vectors(&embed(&engine, &json!({ "input": text })))[0], vector);
    }
    let answer = reply.json();
    assert_eq!((&answer["object"], &answer["model"]), (&json!("list"), &json!("mean")));
    let tokens = answer["usage"]["prompt_tokens"].as_u64().unwrap();
    assert!(tokens > 20 && answer["usage"]["total_tokens"] == tokens, "{}", answer["usage"]);
}

#[test]
fn vectors_are_pooled_as_the_file_says() {
    let engine = start();
    let vector = |name: &str, input: &Value| {
        vectors(&embed(&engine, &json!({"model": name, "input": input}))).remove(0)
    };
    let near = |a: &[f64], b: &[f64]| product(a, b) > 1.0 - 1e-5;
    // The model looks back only: the first token's vector knows nothing of what follows, the last one's all.
    assert!(near(&vector("first", &json!([10, 20, 30])), &vector("first", &json!([10, 99]))));
    assert!(!near(&vector("last", &json!([10, 20, 30])), &vector("last", &json!([99, 20, 30]))));
    // Of one token, all are the same.
    let one = vector("mean", &json!([10]));
    assert!(near(&one, &vector("first", &json!([10]))) && near(&one, &vector("last", &json!([10]))));
    let (first, last) = (vector("first", &json!([10, 20])), vector("last", &json!([10, 20])));
    assert!(!near(&first, &last));
    let mean = vector("mean", &json!([10, 20]));
    assert!(product(&mean, &first) > 0.0 && product(&mean, &last) > 0.0 && !near(&mean, &first));
}

#[test]
fn base64_holds_the_same_numbers_and_token_numbers_are_taken_as_they_are() {
    let engine = start();
    let plain = vectors(&embed(&engine, &json!({"input": [[10, 20], [30]]})));
    let coded = embed(&engine, &json!({"input": [[10, 20], [30]], "encoding_format": "base64"})).json();
    assert_eq!(coded["usage"]["prompt_tokens"], 3);
    for (entry, numbers) in coded["data"].as_array().unwrap().iter().zip(&plain) {
        let text = entry["embedding"].as_str().unwrap();
        // 128 numbers of four bytes, in groups of three bytes.
        assert_eq!(text.len(), (128_usize * 4).div_ceil(3) * 4);
        let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let bits =
            text.chars().take(6).fold(0, |bits, letter| bits << 6 | letters.find(letter).unwrap() as u64);
        // Six letters are 36 bits, of which the first 32 are the first number.
        let first = f32::from_le_bytes(u32::try_from(bits >> 4).unwrap().to_be_bytes());
        assert!((f64::from(first) - numbers[0]).abs() < 1e-6, "{first} is not {}", numbers[0]);
    }
    let refused = embed(&engine, &json!({"input": [[10], [1024]]}));
    assert_eq!((refused.status, &refused.json()["error"]["param"]), (400, &json!("input[1]")));
}

#[test]
fn models_that_do_not_fit_are_refused_on_either_route() {
    let engine = start();
    for (reply, words) in [
        (embed(&engine, &json!({"model": "ghostllm-demo", "input": "a"})), "makes no embeddings"),
        (embed(&engine, &json!({"model": "score", "input": "a"})), ""),
        (engine.chat("a", &json!({"model": "mean"})), "makes no text"),
        (engine.chat("a", &json!({"model": "nobody"})), "no model"),
    ] {
        assert!(reply.status == 400 || reply.status == 404, "{}", reply.body);
        assert_eq!(reply.json()["error"]["param"], "model");
        assert!(reply.body.contains(words), "{}", reply.body);
        // What looks like a path is kept from clients by the daemon, and the whole sentence with it.
        assert!(!reply.json()["error"]["message"].as_str().unwrap().contains('/'), "{}", reply.body);
    }
    // What scores is of no use here and not shown; the demo stays as long as nothing else talks.
    let listed = engine.get("/v1/models").json();
    let shown = |model: &Value| (model["id"].as_str().unwrap().to_owned(), model["capabilities"].clone());
    let mut models: Vec<_> = listed["data"].as_array().unwrap().iter().map(shown).collect();
    models.sort_by(|a, b| a.0.cmp(&b.0));
    let embedding = |name: &str| (name.to_owned(), json!(["embedding"]));
    let demo = ("ghostllm-demo".to_owned(), json!(["completion", "tools"]));
    assert_eq!(models, [embedding("first"), demo, embedding("last"), embedding("mean")]);
    // One takes the other's place and back.
    assert_eq!(engine.chat("Hello", &json!({})).status, 200);
    assert_eq!(embed(&engine, &json!({"input": "a"})).status, 200);
}

#[test]
fn a_text_passes_up_to_the_limit_and_no_longer() {
    let engine = Engine::start(&["--limit", "embedded_tokens=300", "--limit", "inputs=2"]);
    add_pooled(&engine, "mean", MEAN);
    assert_eq!(embed(&engine, &json!({"input": vec![10; 300]})).status, 200);
    let refused = embed(&engine, &json!({"input": [vec![10], vec![10; 301]]}));
    let error = refused.json()["error"].clone();
    assert_eq!(
        (refused.status, &error["code"], &error["param"]),
        (400, &json!("context_length_exceeded"), &json!("input[1]")),
        "{error}"
    );
    let long = embed(&engine, &json!({"input": "word ".repeat(100_000)}));
    assert_eq!((long.status, &long.json()["error"]["param"]), (400, &json!("input[0]")));
    assert_eq!(embed(&engine, &json!({"input": ["a", "b"]})).status, 200);
    assert_eq!(embed(&engine, &json!({"input": ["a", "b", "c"]})).status, 400);
}
