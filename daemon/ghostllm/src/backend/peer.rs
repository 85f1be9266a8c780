//! A backend for tests, which does byte for byte what the test says.
//!
//! Knows how to read one request. Refuses to know what a good answer is. Invariant: it acts only when told.

use ghostllm_core::config::{BackendUrl, Timeouts};
use std::{io::Write as _, thread, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Long enough for a busy machine.
pub(super) const PATIENT: Timeouts = Timeouts {
    connect: Duration::from_secs(30),
    first_byte: Duration::from_secs(30),
    idle: Duration::from_secs(30),
};

pub(super) struct Peer {
    listener: TcpListener,
}

/// One connection.
pub(super) struct Line {
    stream: TcpStream,
}

#[derive(Debug)]
pub(super) struct Got {
    pub(super) head: String,
    pub(super) body: String,
}

impl Peer {
    pub(super) async fn new() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    pub(super) fn address(&self) -> String {
        self.listener.local_addr().unwrap().to_string()
    }

    pub(super) fn url(&self) -> BackendUrl {
        format!("http://{}", self.address()).parse().unwrap()
    }

    pub(super) async fn accept(&self) -> Line {
        Line { stream: self.listener.accept().await.unwrap().0 }
    }

    /// Reads a request on a new connection and answers it, the connection kept.
    pub(super) async fn answer(&self, response: &str) -> (Line, Got) {
        let mut line = self.accept().await;
        let got = line.request().await;
        line.send(response).await;
        (line, got)
    }

    /// Whether nobody has connected whom the test did not accept.
    pub(super) fn nobody_else_came(self) -> bool {
        let listener = self.listener.into_std().unwrap();
        matches!(listener.accept(), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
    }
}

impl Line {
    pub(super) async fn request(&mut self) -> Got {
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            assert_ne!(self.stream.read_buf(&mut bytes).await.unwrap(), 0, "no request came");
        };
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.map_or(0, |length| length.parse().unwrap());
        while bytes.len() < end + length {
            assert_ne!(self.stream.read_buf(&mut bytes).await.unwrap(), 0, "the body broke off");
        }
        Got { head, body: String::from_utf8(bytes[end..].to_vec()).unwrap() }
    }

    pub(super) async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// Sends this again and again until the other side closes; in a thread of its own, so that there is always more to read.
    pub(super) fn flood(self, text: &'static str) -> thread::JoinHandle<()> {
        let mut stream = self.stream.into_std().unwrap();
        stream.set_nonblocking(false).unwrap();
        let text = text.repeat(1000);
        thread::spawn(move || while stream.write_all(text.as_bytes()).is_ok() {})
    }

    /// Waits until the other side has closed the connection.
    pub(super) async fn closed(&mut self) {
        let mut bytes = [0; 64];
        while !matches!(self.stream.read(&mut bytes).await, Ok(0) | Err(_)) {}
    }
}

/// A whole answer of status 200.
pub(super) fn ok(media: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: {media}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// The head of an answer in chunks.
pub(super) fn chunked(media: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: {media}\r\ntransfer-encoding: chunked\r\n\r\n")
}

/// One chunk.
pub(super) fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}
