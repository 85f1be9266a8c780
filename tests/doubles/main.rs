//! The doubles, measured against the recordings of the real engines, and each of their sins against its promise.
//!
//! Knows raw sockets and bytes. Refuses to know the daemon. Invariant: what a double answers differs from a recording in
//! nothing but what two runs of the real engine differ in (times, durations, ids).
#![expect(clippy::unwrap_used, reason = "a test crate: a panic is a failed test")]

mod ollama;
mod openai;
mod sins;

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// Sends a request as it is and reads until the peer closes; the end may be a reset.
async fn exchange(address: SocketAddr, request: &[u8]) -> (Vec<u8>, std::io::Result<()>) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut response = Vec::new();
    let end = timeout(Duration::from_secs(10), stream.read_to_end(&mut response)).await.unwrap();
    (response, end.map(|_| ()))
}

/// A chat request for this model, as bytes.
fn chat(path: &str, model: &str, prompt: &str, stream: bool, close: bool) -> Vec<u8> {
    let messages = serde_json::json!([{"role": "user", "content": prompt}]);
    let body = serde_json::json!({"model": model, "messages": messages, "stream": stream}).to_string();
    let close = if close { "Connection: close\r\n" } else { "" };
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{close}Content-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}
