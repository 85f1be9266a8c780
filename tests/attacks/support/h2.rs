//! HTTP/2 by hand: frames that a library would never send (RFC 9113 sections 4 and 6).

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ghostllm_tests::client::Caller;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::client::TlsStream;

use super::h3::Came;

/// How long a flood may go on, and an end take to be read.
const PATIENCE: Duration = Duration::from_secs(20);

/// Frame types.
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

/// Flags.
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const PADDED: u8 = 8;

/// The error codes of a peer that breaks the rules, and of one that asks for too much.
pub(crate) const PROTOCOL_ERROR: u32 = 1;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

/// One frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A field section without compression: literals that are never indexed (RFC 7541 section 6.2.3). No text may have more than
/// 126 bytes.
pub(crate) fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut section = Vec::new();
    for text in fields.iter().flat_map(|(name, value)| [("\x10", *name), ("", *value)]) {
        section.extend(text.0.bytes());
        section.push(u8::try_from(text.1.len()).unwrap_or(u8::MAX) & 0x7f);
        section.extend(text.1.bytes());
    }
    section
}

/// The fields of a chat request with this key.
pub(crate) fn chat(key: &str) -> Vec<u8> {
    fields(&[
        (":method", "POST"),
        (":scheme", "https"),
        (":path", "/v1/chat/completions"),
        (":authority", "localhost"),
        ("content-type", "application/json"),
        ("authorization", &format!("Bearer {key}")),
    ])
}

/// A connection whose preface is sent.
pub(crate) struct Attacker {
    pub(crate) reading: ReadHalf<TlsStream<TcpStream>>,
    pub(crate) writing: WriteHalf<TlsStream<TcpStream>>,
}

/// How a flood ended.
#[derive(Debug)]
pub(crate) struct End {
    /// Rounds that were sent before.
    pub(crate) rounds: usize,
    /// The code of GOAWAY, if one came.
    pub(crate) goaway: Option<u32>,
    /// The streams that the server may have begun by then, as it says itself.
    pub(crate) taken_up: usize,
    /// Streams that the server has reset.
    pub(crate) resets: usize,
    /// Whether the connection was closed.
    pub(crate) closed: bool,
    /// Since the flood began.
    pub(crate) taken: Duration,
}

impl Attacker {
    pub(crate) async fn new(caller: &Caller) -> Result<Self> {
        let (reading, mut writing) = tokio::io::split(caller.dial().await?.wire);
        writing.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await?;
        writing.write_all(&frame(SETTINGS, 0, 0, &[])).await?;
        writing.flush().await?;
        Ok(Self { reading, writing })
    }

    /// Sends what `round` makes, so many times or until the server has had enough, and waits for the end.
    pub(crate) async fn flood(self, most: usize, mut round: impl FnMut(usize) -> Vec<u8>) -> Result<End> {
        let Self { mut reading, mut writing } = self;
        let begun = Instant::now();
        let mut end =
            End { rounds: 0, goaway: None, taken_up: 0, resets: 0, closed: false, taken: Duration::ZERO };
        let send = async {
            while end.rounds < most && writing.write_all(&round(end.rounds)).await.is_ok() {
                end.rounds += 1;
            }
            drop(writing.flush().await);
            // The server has the last word.
            std::future::pending::<()>().await;
        };
        let read = async {
            while let Ok(Frame { kind, payload, .. }) = next(&mut reading).await {
                match kind {
                    GOAWAY => {
                        // The client's streams have odd numbers.
                        end.taken_up = number(&payload, 0).map_or(0, |last| last.div_ceil(2) as usize);
                        end.goaway = number(&payload, 4);
                    }
                    RST_STREAM => end.resets += 1,
                    _ => {}
                }
            }
            end.closed = true;
        };
        tokio::select! {
            () = send => {}
            _in_time = timeout(PATIENCE, read) => {}
        }
        end.taken = begun.elapsed();
        Ok(end)
    }
}

/// A number of four bytes. GOAWAY has the last stream's and the error code (RFC 9113 section 6.8).
fn number(payload: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(payload.get(at..at + 4)?.try_into().ok()?))
}

/// A frame, as far as it matters.
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

/// The next frame.
pub(crate) async fn next(reading: &mut (impl AsyncRead + Unpin)) -> Result<Frame> {
    let mut head = [0; 9];
    reading.read_exact(&mut head).await.context("the connection has ended")?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; length as usize];
    reading.read_exact(&mut payload).await?;
    let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
    Ok(Frame { kind: head[3], flags: head[4], stream, payload })
}

/// Sends these frames, which are all of stream 1, on a connection of their own, and reads what comes of it.
pub(crate) async fn ask(caller: &Caller, frames: &[u8]) -> Result<Came> {
    let Attacker { mut reading, mut writing } = Attacker::new(caller).await?;
    // The server may have had enough before all is sent.
    let _written = writing.write_all(frames).await.and(writing.flush().await);
    timeout(PATIENCE, came(&mut reading)).await.context("nothing comes of it")?
}

async fn came(reading: &mut (impl AsyncRead + Unpin)) -> Result<Came> {
    let mut answer = None;
    loop {
        let frame = match next(reading).await {
            Ok(frame) => frame,
            // Some ends are told by the connection's alone.
            Err(_) if answer.is_none() => return Ok(Came::Closed(0)),
            Err(error) => return Err(error.context("half an answer")),
        };
        let code = |at: usize| {
            let bytes = frame.payload.get(at..at + 4)?;
            Some(u64::from(u32::from_be_bytes(bytes.try_into().ok()?)))
        };
        match frame.kind {
            GOAWAY => return Ok(Came::Closed(code(4).context("half a GOAWAY")?)),
            RST_STREAM if frame.stream == 1 => return Ok(Came::Reset(code(0).context("half a reset")?)),
            HEADERS if frame.stream == 1 => answer = answer.or(super::status::find(&frame.payload)),
            _ => {}
        }
        if frame.stream == 1 && frame.flags & END_STREAM != 0 && [HEADERS, DATA].contains(&frame.kind) {
            return answer.map(Came::Answer).context("an answer without a status");
        }
    }
}
