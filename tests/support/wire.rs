//! HTTP/1.1 as a double reads it: one request off a socket, every header kept as it came.
//!
//! Knows the message grammar that a well-behaved client sends. Refuses to know what the request means. A double writes
//! its answers as bytes of its own choosing, which no HTTP library lets it do; that is why this is not hyper.
//! Invariant: bytes behind the request stay in the buffer for the next one.

use std::{fmt::Write as _, io};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

/// The most that a double takes for a head or a body; far above what any test sends.
const MOST: usize = 256 << 20;

/// One request as it stood on the wire.
#[derive(Debug, Clone, Default)]
pub struct Incoming {
    /// The method, as sent.
    pub method: String,
    /// The request target, as sent, query included.
    pub target: String,
    /// Every header line in order, names as sent, values trimmed.
    pub headers: Vec<(String, String)>,
    /// The body, without chunk framing.
    pub body: Vec<u8>,
}

impl Incoming {
    /// The first header of that name, in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The target without its query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The body as JSON; null where it is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The client asked for the connection to be closed after the answer.
    #[must_use]
    pub fn closes(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    /// The request as text, for a failed test's message.
    #[must_use]
    pub fn dump(&self) -> String {
        let mut text = format!("{} {}\n", self.method, self.target);
        for (name, value) in &self.headers {
            let _ = writeln!(text, "{name}: {value}");
        }
        text.push_str(&String::from_utf8_lossy(&self.body[..self.body.len().min(2000)]));
        text
    }
}

/// Reads one request. `None` when the peer closed between requests.
///
/// # Errors
/// When the peer breaks off inside a request, or sends what is no HTTP/1.1.
pub async fn read_request(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
) -> io::Result<Option<Incoming>> {
    let Some(head) = read_head(stream, buffer).await? else { return Ok(None) };
    let mut request = parse_head(&head)?;
    if request.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        request.body = read_chunks(stream, buffer).await?;
    } else if let Some(length) = request.header("content-length") {
        let length = length.parse().map_err(|_| invalid("content-length is no number"))?;
        request.body = take(stream, buffer, length).await?;
    }
    Ok(Some(request))
}

async fn read_head(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
) -> io::Result<Option<Vec<u8>>> {
    loop {
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = buffer[..end].to_vec();
            buffer.advance(end + 4);
            return Ok(Some(head));
        }
        if !more(stream, buffer).await? {
            return if buffer.is_empty() { Ok(None) } else { Err(invalid("the head was cut off")) };
        }
    }
}

fn parse_head(head: &[u8]) -> io::Result<Incoming> {
    let text = std::str::from_utf8(head).map_err(|_| invalid("the head is not UTF-8"))?;
    let mut lines = text.split("\r\n");
    let mut first = lines.next().unwrap_or_default().splitn(3, ' ');
    let (Some(method), Some(target), Some(_)) = (first.next(), first.next(), first.next()) else {
        return Err(invalid("the request line has not three parts"));
    };
    let mut request = Incoming { method: method.into(), target: target.into(), ..Incoming::default() };
    for line in lines {
        let (name, value) = line.split_once(':').ok_or_else(|| invalid("a header line has no colon"))?;
        request.headers.push((name.into(), value.trim().into()));
    }
    Ok(request)
}

/// The chunks' content. What may stand between the last of them and the end (RFC 9112 section 7.1.2) is read and let go.
async fn read_chunks(stream: &mut (impl AsyncRead + Unpin), buffer: &mut BytesMut) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = read_line(stream, buffer).await?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).map_err(|_| invalid("a chunk size is no number"))?;
        if size == 0 {
            while !read_line(stream, buffer).await?.is_empty() {}
            return Ok(body);
        }
        body.extend(take(stream, buffer, size).await?);
        take(stream, buffer, 2).await?;
    }
}

async fn read_line(stream: &mut (impl AsyncRead + Unpin), buffer: &mut BytesMut) -> io::Result<String> {
    loop {
        if let Some(end) = buffer.windows(2).position(|two| two == b"\r\n") {
            let line = String::from_utf8_lossy(&buffer[..end]).into_owned();
            buffer.advance(end + 2);
            return Ok(line);
        }
        if !more(stream, buffer).await? {
            return Err(invalid("the chunked body was cut off"));
        }
    }
}

async fn take(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
    length: usize,
) -> io::Result<Vec<u8>> {
    while buffer.len() < length {
        if !more(stream, buffer).await? {
            return Err(invalid("the body was cut off"));
        }
    }
    let bytes = buffer[..length].to_vec();
    buffer.advance(length);
    Ok(bytes)
}

async fn more(stream: &mut (impl AsyncRead + Unpin), buffer: &mut BytesMut) -> io::Result<bool> {
    if buffer.len() > MOST {
        return Err(invalid("more than a double takes"));
    }
    Ok(stream.read_buf(buffer).await? > 0)
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}
