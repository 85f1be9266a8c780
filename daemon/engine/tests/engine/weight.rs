//! What a request may weigh: bodies within the daemon's limit that would fill the machine, were they taken in whole.
//!
//! Each test prints the figure that it is judged by: by how much the engine's largest resident size grew.

use crate::support::{Engine, Reply, add_endless, chat_body, finish};
use serde_json::{Value, json};
use std::io::Read;
use std::time::{Duration, Instant};

/// Within the daemon's limit of 32 MiB.
const HUGE: usize = 30_000_000;

/// A chat whose last field is this JSON.
fn with(field: &str, value: &str) -> String {
    let mut body = chat_body("hi", &json!({}));
    body.pop();
    format!("{body},\"{field}\":{value}}}")
}

fn list(item: &str, bytes: usize) -> String {
    format!("[{}]", vec![item; bytes / (item.len() + 1)].join(","))
}

fn tools(bytes: usize) -> String {
    let pairs = list("[1,2]", bytes);
    format!(r#"[{{"type":"function","function":{{"name":"f","parameters":{{"x":{pairs}}}}}}}]"#)
}

/// An engine that has its model in memory already.
fn warm() -> Engine {
    let engine = Engine::start(&[]);
    assert_eq!(engine.chat("hi", &json!({"max_tokens": 1})).status, 200);
    engine
}

fn error(reply: &Reply) -> Value {
    reply.json()["error"].clone()
}

#[test]
fn thirty_megabytes_are_refused_at_once_and_cost_little_more_than_themselves() {
    let message = r#"{"role":"user","content":"hi"}"#;
    let nested = format!("{{\"role\":\"user\",\"content\":\"hi\",\"x\":{}}}", list("{\"a\":[]}", HUGE));
    for (name, body, param) in [
        ("words", chat_body(&"word ".repeat(HUGE / 5), &json!({})), "messages"),
        ("one word", chat_body(&"x".repeat(HUGE), &json!({})), "messages"),
        (
            "escapes",
            with("messages", &format!("[\"{}\"]", "\\u0041".repeat(HUGE / 6))).replacen(
                "\"messages\"",
                "\"x\"",
                1,
            ),
            "messages",
        ),
        ("messages", with("messages", &list(message, HUGE)).replacen("\"messages\"", "\"x\"", 1), "messages"),
        (
            "a message's field",
            with("messages", &format!("[{nested}]")).replacen("\"messages\"", "\"x\"", 1),
            "messages",
        ),
        ("tools", with("tools", &tools(HUGE)), "tools"),
        (
            "template values",
            with("chat_template_kwargs", &format!("{{\"a\":{}}}", list("{}", HUGE))),
            "chat_template_kwargs",
        ),
    ] {
        let mut engine = warm();
        let before = engine.peak_bytes();
        let start = Instant::now();
        let reply = engine.post("/v1/chat/completions", &body);
        let (took, grown) = (start.elapsed(), engine.peak_bytes() - before);
        println!(
            "{name}: {} bytes refused after {took:?}, {:.2} times their size",
            body.len(),
            grown as f64 / body.len() as f64
        );
        let error = error(&reply);
        assert_eq!(
            (reply.status, &error["code"], &error["param"]),
            (400, &json!("context_length_exceeded"), &json!(param)),
            "{name}: {error}"
        );
        assert!(grown < 3 * body.len(), "{name}: {grown} bytes");
        // It takes a fraction of a second; a loaded machine is given ten times that.
        assert!(took < Duration::from_secs(5), "{name}: {took:?}");
    }
}

#[test]
fn a_field_that_nobody_reads_costs_only_its_bytes() {
    let mut engine = warm();
    let before = engine.peak_bytes();
    assert_eq!(engine.post("/v1/chat/completions", &with("metadata", &list("[1,2]", HUGE))).status, 200);
    let grown = engine.peak_bytes() - before;
    println!("30 MB of metadata: {grown} bytes");
    assert!(grown < 3 * HUGE, "{grown} bytes");
}

#[test]
fn many_at_once_share_one_allowance_and_hold_nobody_up() {
    let mut engine = warm();
    let before = engine.peak_bytes();
    let body = with("tools", &tools(HUGE));
    let replies = std::thread::scope(|scope| {
        let engine = &engine;
        let body = &body;
        let asked: Vec<_> =
            (0..8).map(|_| scope.spawn(move || engine.post("/v1/chat/completions", body))).collect();
        let start = Instant::now();
        assert_eq!(engine.get("/healthz").status, 200);
        assert_eq!(engine.chat("hi", &json!({"max_tokens": 1})).status, 200);
        println!("the others' answers took {:?}", start.elapsed());
        assert!(start.elapsed() < Duration::from_secs(5));
        asked.into_iter().map(|asked| asked.join().unwrap()).collect::<Vec<_>>()
    });
    for reply in replies {
        let error = error(&reply);
        let expected = if reply.status == 503 { "queue_full" } else { "context_length_exceeded" };
        assert_eq!(error["code"], expected, "{error}");
    }
    let grown = engine.peak_bytes() - before;
    println!("eight requests of 30 MB at once: {grown} bytes");
    assert!(grown < 5 * HUGE, "{grown} bytes");
}

#[test]
fn bodies_together_have_a_limit_which_leaves_room_for_short_ones() {
    let engine = warm();
    // Two bodies that never come to their end hold what may be held.
    let held: Vec<_> = (0..2)
        .map(|_| engine.send_part("/v1/chat/completions", 32 << 20, &"x".repeat((32 << 20) - 1)))
        .collect();
    let medium = chat_body("hi", &json!({"metadata": "x".repeat(200_000)}));
    let refused = engine.wait_for_reply(&medium, |reply| reply.status == 503);
    assert_eq!(error(&refused)["code"], "queue_full");
    assert!(refused.head.contains("retry-after: 1"));
    assert_eq!(engine.chat("hi", &json!({"max_tokens": 1})).status, 200);
    drop(held);
    engine.wait_for_reply(&medium, |reply| reply.status == 200);
}

#[test]
fn a_body_that_says_it_is_too_large_is_refused_before_it_comes() {
    let engine = Engine::start(&[]);
    let refused = finish(engine.send_part("/v1/chat/completions", (32 << 20) + 1, ""));
    assert_eq!((refused.status, &error(&refused)["code"]), (413, &json!("body_too_large")));
}

/// A chat of `tokens` tokens with models of the demo's vocabulary: "word " is one, and ten frame the message.
fn tokens(tokens: usize, more: &Value) -> String {
    chat_body(&"word ".repeat(tokens - 11), more)
}

#[test]
fn the_whole_context_passes_and_one_token_more_does_not() {
    let engine = Engine::start(&["--context", "2048"]);
    let full = engine.post("/v1/chat/completions", &tokens(2047, &json!({}))).json();
    assert_eq!(full["usage"]["prompt_tokens"], 2047, "{full}");
    assert_eq!(full["usage"]["completion_tokens"], 1);
    let over = engine.post("/v1/chat/completions", &tokens(2048, &json!({})));
    assert_eq!(error(&over)["code"], "context_length_exceeded", "{}", over.body);
}

#[test]
fn a_long_context_is_filled_to_its_end() {
    let engine = Engine::start(&["--context", "49920"]);
    add_endless(&engine);
    let more = json!({"model": "endless", "stream": true});
    // A stream begins as soon as the prompt is known to fit; reading it would take minutes.
    let mut fits = engine.send("POST", "/v1/chat/completions", &tokens(49_919, &more));
    let mut head = [0; 15];
    fits.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 200 OK");
    drop(fits);
    let over = engine.post("/v1/chat/completions", &tokens(49_920, &more));
    assert_eq!(
        (over.status, &error(&over)["code"]),
        (400, &json!("context_length_exceeded")),
        "{}",
        over.body
    );
}
