//! An engine that says back what it was asked, and remembers every request that arrived, byte for byte.
//!
//! Invariant: bytes on one of its connections that are no request are remembered as well, as what they are.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::BytesMut;
use ghostllm_tests::wire::{Incoming, read_request};
use serde_json::{Value, json};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

/// Its one model.
pub(crate) const MODEL: &str = "echo";

/// A running one. Dropping it closes the port and every connection.
pub(crate) struct Echo {
    pub(crate) address: SocketAddr,
    seen: Seen,
    accept: JoinHandle<()>,
}

type Seen = Arc<Mutex<Vec<Result<Incoming, String>>>>;

impl Echo {
    pub(crate) async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (address, seen) = (listener.local_addr()?, Seen::default());
        let accept = tokio::spawn(accept(listener, Arc::clone(&seen)));
        Ok(Self { address, seen, accept })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Everything that arrived so far, but for the question which models there are; what was no request is an error.
    pub(crate) fn seen(&self) -> Vec<Result<Incoming, String>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.accept.abort();
    }
}

/// A chat request's body that says this.
pub(crate) fn body(text: &str) -> String {
    json!({"model": MODEL, "messages": [{"role": "user", "content": text}]}).to_string()
}

/// What such a body says.
pub(crate) fn said(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    Some(body.pointer("/messages/0/content")?.as_str()?.to_owned())
}

/// What an answer of this engine repeats.
pub(crate) fn repeated(answer: &[u8]) -> Option<String> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    Some(answer.pointer("/choices/0/message/content")?.as_str()?.to_owned())
}

async fn accept(listener: TcpListener, seen: Seen) {
    // Aborting this task drops the set, and so every connection.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve(stream, Arc::clone(&seen)));
    }
}

async fn serve(mut stream: TcpStream, seen: Seen) {
    let mut buffer = BytesMut::new();
    loop {
        let request = match read_request(&mut stream, &mut buffer).await {
            Ok(Some(request)) => request,
            Ok(None) => return,
            Err(cause) => {
                let text = format!("{cause}: {:?}", String::from_utf8_lossy(&buffer));
                return seen.lock().unwrap_or_else(PoisonError::into_inner).push(Err(text));
            }
        };
        let answer = if request.method == "GET" && request.target == "/v1/models" {
            json!({"object": "list", "data": [{"id": MODEL, "object": "model", "created": 0, "owned_by": "tests"}]})
        } else {
            let text = said(&request.body).unwrap_or_default();
            seen.lock().unwrap_or_else(PoisonError::into_inner).push(Ok(request));
            json!({
                "id": "chatcmpl-1", "object": "chat.completion", "created": 0, "model": MODEL,
                "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
            })
        };
        let body = answer.to_string();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        if stream.write_all(format!("{head}{body}").as_bytes()).await.is_err() {
            return;
        }
    }
}
