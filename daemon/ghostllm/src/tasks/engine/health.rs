//! One question to the engine: does it answer?
//!
//! Knows one line of HTTP/1.1 and nothing more, since a client with a pool would keep what is to be tried anew.

use std::{io, path::Path};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};

const QUESTION: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: engine\r\nconnection: close\r\n\r\n";
const ANSWER: &[u8; 12] = b"HTTP/1.1 200";

/// Asks on a connection of its own. Has no limit in time; whoever asks has one.
///
/// # Errors
/// If nobody is there, or the answer is not the right one.
pub(super) async fn ask(socket: &Path) -> io::Result<()> {
    let mut stream = UnixStream::connect(socket).await?;
    stream.write_all(QUESTION).await?;
    let mut answer = [0; ANSWER.len()];
    stream.read_exact(&mut answer).await?;
    if answer == *ANSWER { Ok(()) } else { Err(io::Error::from(io::ErrorKind::InvalidData)) }
}
