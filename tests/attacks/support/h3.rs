//! HTTP/3 by hand: frames and fields that a library would never send (RFC 9114 section 7, RFC 9204 section 4.5), on QUIC
//! connections of quinn.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use ghostllm_tests::client::{Caller, client_config};
use quinn::{
    Connection, ConnectionError, Endpoint, ReadError, ReadToEndError, RecvStream, SendStream,
    TransportConfig, crypto::rustls::QuicClientConfig,
};
use tokio::time::timeout;

use super::status;

/// How long an end may take to come.
const PATIENCE: Duration = Duration::from_secs(20);
/// More than any answer has that is read whole.
const ANSWER: usize = 1 << 20;

/// Frame types.
pub(crate) const DATA: u64 = 0;
pub(crate) const HEADERS: u64 = 1;
pub(crate) const SETTINGS: u64 = 4;
pub(crate) const PUSH_PROMISE: u64 = 5;
pub(crate) const GOAWAY: u64 = 7;
/// Reserved, so that nobody knows it (section 7.2.8).
pub(crate) const UNKNOWN: u64 = 0x21;

/// Types of streams in one direction.
pub(crate) const CONTROL: u64 = 0;
pub(crate) const ENCODER: u64 = 2;
pub(crate) const DECODER: u64 = 3;

/// Error codes (section 8.1).
pub(crate) const NO_ERROR: u64 = 0x100;
pub(crate) const INTERNAL_ERROR: u64 = 0x102;
pub(crate) const STREAM_CREATION_ERROR: u64 = 0x103;
pub(crate) const FRAME_UNEXPECTED: u64 = 0x105;
pub(crate) const EXCESSIVE_LOAD: u64 = 0x107;
pub(crate) const REQUEST_REJECTED: u64 = 0x10b;
pub(crate) const REQUEST_CANCELLED: u64 = 0x10c;
pub(crate) const DECOMPRESSION_FAILED: u64 = 0x200;

/// The largest integer of QUIC.
pub(crate) const LARGEST: u64 = (1 << 62) - 1;

/// An integer in its shortest form (RFC 9000 section 16).
pub(crate) fn varint(number: u64) -> Vec<u8> {
    let (size, mark) = match number {
        0..0x40 => (1, 0),
        0x40..0x4000 => (2, 0x40),
        0x4000..0x4000_0000 => (4, 0x80),
        _ => (8, 0xc0),
    };
    let mut bytes = number.to_be_bytes()[8 - size..].to_vec();
    bytes[0] |= mark;
    bytes
}

/// A frame's head, whatever follows.
pub(crate) fn announced(kind: u64, length: u64) -> Vec<u8> {
    [varint(kind), varint(length)].concat()
}

/// One frame.
pub(crate) fn frame(kind: u64, payload: &[u8]) -> Vec<u8> {
    [announced(kind, payload.len() as u64), payload.to_vec()].concat()
}

/// An integer behind the marks of its first byte, of which it has the last `bits` (RFC 7541 section 5.1).
pub(crate) fn prefixed(marks: u8, bits: u32, number: usize) -> Vec<u8> {
    let most = (1_usize << bits) - 1;
    let byte = |number: usize| u8::try_from(number).unwrap_or(u8::MAX);
    if number < most {
        return vec![marks | byte(number)];
    }
    let (mut bytes, mut rest) = (vec![marks | byte(most)], number - most);
    while rest >= 0x80 {
        bytes.push(byte(rest & 0x7f) | 0x80);
        rest >>= 7;
    }
    bytes.push(byte(rest));
    bytes
}

/// Takes an integer off.
fn take(bytes: &mut &[u8]) -> Option<u64> {
    let size = 1_usize << (bytes.first()? >> 6);
    let (integer, rest) = bytes.split_at_checked(size)?;
    *bytes = rest;
    let first = u64::from(integer[0] & 0x3f);
    Some(integer[1..].iter().fold(first, |value, byte| value << 8 | u64::from(*byte)))
}

/// The whole frames among these bytes: types and payloads.
pub(crate) fn frames(mut bytes: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    std::iter::from_fn(move || {
        let (kind, length) = (take(&mut bytes)?, take(&mut bytes)?);
        let (payload, rest) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
        bytes = rest;
        Some((kind, payload))
    })
}

/// A field section without compression: literals with literal names (RFC 9204 section 4.5.6).
pub(crate) fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut section = vec![0, 0];
    for (name, value) in fields {
        section.extend(prefixed(0x20, 3, name.len()));
        section.extend(name.bytes());
        section.extend(prefixed(0, 7, value.len()));
        section.extend(value.bytes());
    }
    section
}

/// The HEADERS frame of a GET.
pub(crate) fn get(path: &str) -> Vec<u8> {
    let section =
        fields(&[(":method", "GET"), (":scheme", "https"), (":authority", "localhost"), (":path", path)]);
    frame(HEADERS, &section)
}

/// The HEADERS frame of a chat request with this key, or none.
pub(crate) fn chat(key: Option<&str>) -> Vec<u8> {
    let bearer = key.map(|key| format!("Bearer {key}"));
    let mut head = vec![
        (":method", "POST"),
        (":scheme", "https"),
        (":path", "/v1/chat/completions"),
        (":authority", "localhost"),
        ("content-type", "application/json"),
    ];
    head.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
    frame(HEADERS, &fields(&head))
}

/// A connection on which nothing has been said.
pub(crate) async fn dial(caller: &Caller) -> Result<Connection> {
    dial_with(caller, TransportConfig::default()).await
}

/// The same with settings of its own.
pub(crate) async fn dial_with(caller: &Caller, transport: TransportConfig) -> Result<Connection> {
    dial_at(caller, caller.address(), transport).await
}

/// The same by way of whoever passes it on.
pub(crate) async fn dial_at(
    caller: &Caller,
    address: SocketAddr,
    transport: TransportConfig,
) -> Result<Connection> {
    let tls = QuicClientConfig::try_from(client_config(caller.ca(), b"h3")?)?;
    let mut config = quinn::ClientConfig::new(Arc::new(tls));
    config.transport_config(Arc::new(transport));
    let endpoint = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into())?;
    let connecting = endpoint.connect_with(config, address, "localhost")?;
    timeout(PATIENCE, connecting).await.context("no connection in time")?.context("QUIC")
}

/// A stream in one direction that says its type, and this.
pub(crate) async fn one_way(quic: &Connection, kind: u64, bytes: &[u8]) -> Result<SendStream> {
    let mut stream = quic.open_uni().await?;
    stream.write_all(&[varint(kind), bytes.to_vec()].concat()).await?;
    Ok(stream)
}

/// The control stream that every client must have, with empty SETTINGS.
pub(crate) async fn control(quic: &Connection) -> Result<SendStream> {
    one_way(quic, CONTROL, &frame(SETTINGS, &[])).await
}

/// The code that the server closes with.
pub(crate) async fn closed(quic: &Connection) -> Result<u64> {
    match timeout(PATIENCE, quic.closed()).await.context("the connection is never closed")? {
        ConnectionError::ApplicationClosed(close) => Ok(close.error_code.into_inner()),
        other => bail!("it is not closed by HTTP/3: {other}"),
    }
}

/// What came of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Came {
    /// An answer to its end, with this status.
    Answer(u16),
    /// A reset with this code.
    Reset(u64),
    /// The connection's end with this code.
    Closed(u64),
}

/// Reads what comes of a request to its end.
pub(crate) async fn came(stream: &mut RecvStream) -> Result<Came> {
    let read = timeout(PATIENCE, stream.read_to_end(ANSWER)).await.context("the answer does not end")?;
    match read {
        Ok(bytes) => {
            let head = frames(&bytes).find(|(kind, _)| *kind == HEADERS).map(|(_, section)| section);
            let status = head.and_then(status::find);
            status
                .map(Came::Answer)
                .with_context(|| format!("no answer: {:02x?}", &bytes[..bytes.len().min(40)]))
        }
        Err(ReadToEndError::Read(ReadError::Reset(code))) => Ok(Came::Reset(code.into_inner())),
        Err(ReadToEndError::Read(ReadError::ConnectionLost(ConnectionError::ApplicationClosed(close)))) => {
            Ok(Came::Closed(close.error_code.into_inner()))
        }
        Err(other) => Err(other.into()),
    }
}

/// Asks with these bytes, which are all, and reads what comes of it.
pub(crate) async fn ask(quic: &Connection, bytes: &[u8]) -> Result<Came> {
    let (mut send, mut recv) = quic.open_bi().await?;
    // The server may have answered before it has read everything.
    let _written = send.write_all(bytes).await;
    let _finished = send.finish();
    came(&mut recv).await
}
