//! One GET over HTTP/1.1, for its status alone.
//!
//! Knows TCP and a response's first line. Refuses bodies, redirects and reuse: two questions need no client library.
//! Invariant: once the system has looked the name up, it ends within its deadline, and it reads little more than
//! [`LONGEST_LINE`] bytes, whatever the other side does.

use std::{
    io::{self, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    time::{Duration, Instant},
};

use crate::url::Url;

/// `HTTP/1.1 200` and a reason; 1 KiB is far beyond any server's.
const LONGEST_LINE: usize = 1024;

/// Why there is no status.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GetError {
    /// No connection.
    #[error("{0}")]
    Unreachable(io::Error),
    /// A connection, but no whole answer in time or before it closed.
    #[error("it took the connection and did not answer ({0})")]
    Silent(io::Error),
    /// Bytes that are no HTTP response.
    #[error("what answers there does not speak HTTP")]
    NotHttp,
}

/// The status that `GET path` is answered with.
pub(crate) fn status(url: &Url, path: &str, within: Duration) -> Result<u16, GetError> {
    let deadline = Instant::now() + within;
    let mut stream = connect(url, deadline).map_err(GetError::Unreachable)?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {}:{}\r\nUser-Agent: ghostctl/{}\r\nConnection: close\r\n\r\n",
        url.host,
        url.port,
        env!("CARGO_PKG_VERSION"),
    );
    stream
        .set_write_timeout(Some(left(deadline).map_err(GetError::Silent)?))
        .and_then(|()| stream.write_all(request.as_bytes()))
        .map_err(GetError::Silent)?;
    parse(&first_line(&mut stream, deadline)?).ok_or(GetError::NotHttp)
}

/// Each address of the name in turn, as long as time is left; the last failure counts.
fn connect(url: &Url, deadline: Instant) -> io::Result<TcpStream> {
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in (url.bare_host(), url.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, left(deadline)?) {
            Ok(stream) => return Ok(stream),
            Err(refused) => failed = refused,
        }
    }
    Err(failed)
}

fn first_line(stream: &mut TcpStream, deadline: Instant) -> Result<Vec<u8>, GetError> {
    let mut line = Vec::new();
    let mut chunk = [0; 256];
    while line.len() < LONGEST_LINE {
        let read = left(deadline)
            .and_then(|left| stream.set_read_timeout(Some(left)))
            .and_then(|()| stream.read(&mut chunk))
            .map_err(|failed| GetError::Silent(in_words(failed)))?;
        if read == 0 {
            return Err(GetError::Silent(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "it closed the connection",
            )));
        }
        line.extend_from_slice(chunk.get(..read).unwrap_or_default());
        if let Some(end) = line.iter().position(|byte| *byte == b'\n') {
            line.truncate(end);
            return Ok(line);
        }
    }
    Err(GetError::NotHttp)
}

/// A read that times out is "would block" to the system, which tells a person nothing.
fn in_words(failed: io::Error) -> io::Error {
    match failed.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => timed_out(),
        _ => failed,
    }
}

/// The time left, never zero, which sockets would take for none at all.
fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(timed_out()) } else { Ok(left) }
}

fn timed_out() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no answer in time")
}

/// The status in `HTTP/1.x NNN …` (RFC 9112 section 4).
fn parse(line: &[u8]) -> Option<u16> {
    let line = std::str::from_utf8(line).ok()?;
    let (digits, reason) = line.strip_prefix("HTTP/1.")?.get(1..)?.strip_prefix(' ')?.split_at_checked(3)?;
    let ends = reason.is_empty() || reason.starts_with([' ', '\r']);
    digits.parse().ok().filter(|status| ends && (100..600).contains(status))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn reads_the_status() {
        assert_eq!(parse(b"HTTP/1.1 200 OK\r"), Some(200));
        assert_eq!(parse(b"HTTP/1.0 503"), Some(503));
        assert_eq!(parse(b"HTTP/1.1 404\r"), Some(404));
        for wrong in [
            "",
            "HTTP/2 200",
            "HTTP/1.1 20",
            "HTTP/1.1 2000 OK",
            "HTTP/1.1 abc",
            "HTTP/1.1 999 X",
            "SSH-2.0-x",
        ] {
            assert_eq!(parse(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(parse(b"HTTP/1.1 \xff\xff\xff"), None);
    }
}
