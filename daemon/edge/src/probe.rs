//! Questions that the program asks itself, on each of the threads that serve.
//!
//! Knows one request of HTTP/1.1. Refuses to know who asks and why. Invariant: it takes no network, no port and none of a peer's
//! share, so that what it finds is the program's own state.

use std::io;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};

use crate::{Connection, Handler, Serve, tcp::serve::http1};

/// So much of an answer is looked at: its first line.
const HEAD: usize = 256;

/// Asks the handler.
#[derive(Debug, Clone)]
pub struct Probe<H>(Serve<H>);

impl<H: Handler> Probe<H> {
    /// Asks whoever answers with `serve`.
    #[must_use]
    pub fn new(serve: Serve<H>) -> Self {
        Self(serve)
    }

    /// How many threads there are.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.0.seats.count()
    }

    /// Whether a GET of `path` on that thread has 200 as its answer. Waits for ever where the thread hangs.
    ///
    /// # Errors
    /// The system's.
    pub async fn ask(&self, thread: usize, path: &str) -> io::Result<bool> {
        let (mut own, theirs) = UnixStream::pair()?;
        let (theirs, serve) = (theirs.into_std()?, self.0.begin());
        self.0.seats.spawn_on(thread, async move {
            let Ok(stream) = UnixStream::from_std(theirs) else { return };
            Box::pin(http1(stream, Connection::own(), None, &serve)).await;
        });
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        own.write_all(request.as_bytes()).await?;
        let mut head = Vec::with_capacity(HEAD);
        while !head.contains(&b'\n') && head.len() < HEAD && own.read_buf(&mut head).await? > 0 {}
        Ok(head.starts_with(b"HTTP/1.1 200 "))
    }
}
