//! Limits that are set: each passes, and what is beyond it does not.

use crate::support::{Engine, Reply, add_endless, chat_body, demo, finish};
use serde_json::json;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Long enough to see that nothing comes; a slow machine sees the same.
const WHILE: Duration = Duration::from_millis(300);

fn limited(limits: &[&str]) -> Engine {
    let arguments: Vec<&str> = limits.iter().flat_map(|limit| ["--limit", *limit]).collect();
    Engine::start(&arguments)
}

/// A chat of so many bytes.
fn chat(bytes: usize) -> String {
    let body = |padding: usize| chat_body("Hello", &json!({"user": "x".repeat(padding)}));
    body(bytes - body(0).len())
}

fn code(reply: &Reply) -> String {
    reply.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn what_cannot_be_set_ends_the_start() {
    for (limit, words) in
        [("fils=2", "there is no limit"), ("files=0", "at least 1"), ("body_wait=5", "in ms or s")]
    {
        let ended = Command::new(env!("CARGO_BIN_EXE_ghostllm-engine"))
            .args(["--socket", "/nowhere/socket", "--limit", limit])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert_eq!(ended.status.code(), Some(2));
        let told = String::from_utf8(ended.stderr).unwrap();
        assert!(told.contains(words), "{told}");
    }
}

#[test]
fn a_body_passes_and_one_byte_more_does_not() {
    let engine = limited(&["longest_body=1000", "short_body=100"]);
    assert_eq!(engine.post("/v1/chat/completions", &chat(1000)).status, 200);
    let refused = engine.post("/v1/chat/completions", &chat(1001));
    assert_eq!((refused.status, code(&refused).as_str()), (413, "body_too_large"));
    // A load request has the shorter limit; here it is no request at all, which is told behind that.
    assert_eq!(engine.post("/load", &" ".repeat(100)).status, 400);
    assert_eq!(engine.post("/load", &" ".repeat(101)).status, 413);
}

#[test]
fn long_bodies_share_a_room_and_short_ones_need_none() {
    let engine = limited(&["longest_body=1000", "short_body=300", "long_bodies=1"]);
    let full = |reply: &Reply| reply.status == 503 && code(reply) == "queue_full";
    let held = engine.send_part("/v1/chat/completions", 1000, &" ".repeat(600));
    // From here on it is known to hold its share.
    engine.wait_for_reply(&chat(401), full);
    assert_eq!(engine.post("/v1/chat/completions", &chat(400)).status, 200);
    assert!(full(&engine.post("/v1/chat/completions", &chat(401))));
    let rest = engine.send_part("/v1/chat/completions", 1000, &" ".repeat(400));
    // Now there is no room at all, which the longest of the short ones does not feel.
    engine.wait_for_reply(&chat(301), full);
    assert_eq!(engine.post("/v1/chat/completions", &chat(300)).status, 200);
    drop((held, rest));
    engine.wait_for_reply(&chat(401), |reply| reply.status == 200);
}

#[test]
fn a_body_that_does_not_come_is_given_up() {
    let engine = limited(&["body_wait=100ms"]);
    let reply = finish(engine.send_part("/v1/chat/completions", 1000, "{"));
    assert_eq!(reply.status, 408, "{}", reply.body);
    assert_eq!(engine.post("/v1/chat/completions", &chat(1000)).status, 200);
}

#[test]
fn a_head_that_does_not_come_is_given_up() {
    let engine = limited(&["head_wait=100ms"]);
    let mut stream = UnixStream::connect(engine.socket()).unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: engine\r\n").unwrap();
    // It may answer with a status, but it ends.
    stream.read_to_end(&mut Vec::new()).unwrap();
    assert_eq!(engine.get("/healthz").status, 200);
}

#[test]
fn so_many_connections_are_served_and_one_more_waits() {
    let engine = limited(&["connections=2"]);
    let held = || {
        let mut stream = UnixStream::connect(engine.socket()).unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: engine\r\n\r\n").unwrap();
        stream.read_exact(&mut [0; 12]).unwrap();
        stream
    };
    let (first, _second) = (held(), held());
    let mut third = engine.send("GET", "/healthz", "");
    let patience = third.read_timeout().unwrap();
    third.set_read_timeout(Some(WHILE)).unwrap();
    assert_eq!(third.read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::WouldBlock);
    third.set_read_timeout(patience).unwrap();
    drop(first);
    assert_eq!(finish(third).status, 200);
}

#[test]
fn what_outlasts_the_grace_is_dropped() {
    let mut engine = limited(&["grace=100ms"]);
    add_endless(&engine);
    let body = chat_body("Tell me a story.", &json!({"model": "endless", "stream": true}));
    let mut running = engine.send("POST", "/v1/chat/completions", &body);
    running.read_exact(&mut [0; 1]).unwrap();
    engine.terminate();
    assert!(engine.ended().success());
    let mut rest = String::new();
    running.read_to_string(&mut rest).unwrap();
    assert!(!rest.contains("[DONE]"), "{rest}");
}

#[test]
fn a_prompt_is_read_in_batches_of_any_size() {
    let answers = ["batch=1", "batch=7", "batch=4096"].map(|batch| {
        let reply = limited(&[batch]).chat("What is the capital of Italy?", &json!({}));
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.json()["choices"][0]["message"]["content"].clone()
    });
    assert_eq!(answers, [(); 3].map(|()| json!("The capital of Italy is Rome.")));
}

#[test]
fn stop_texts_have_a_number_and_a_length() {
    let engine = limited(&["stop_texts=2", "stop_bytes=5"]);
    let status = |stop: &[&str]| engine.chat("Hello", &json!({"stop": stop})).status;
    assert_eq!(status(&["12345", "x"]), 200);
    assert_eq!(status(&["12345", "x", "y"]), 400);
    assert_eq!(status(&["123456"]), 400);
}

#[test]
fn a_template_has_so_much_to_spend() {
    let reply = limited(&["template_work=10"]).chat("Hello", &json!({}));
    assert_eq!(reply.status, 400);
    assert!(reply.body.contains("too much work"), "{}", reply.body);
}

#[test]
fn a_directory_has_so_many_models() {
    let engine = limited(&["files=2"]);
    for name in ["a.gguf", "b.gguf", "c.gguf"] {
        std::fs::copy(demo(), engine.models().join(name)).unwrap();
    }
    assert_eq!(engine.get("/v1/models").json()["data"].as_array().unwrap().len(), 2);
}
